// Command clients-go makes the calls that standard input describes with the library that it names, and prints the errors
// that the library has told of as a JSON list, once everything is sent or given up.
package main

import (
	"encoding/json"
	"log"
	"os"
	"sync"
	"time"
)

// A call in the terms of the libraries.
type call struct {
	Type         string                 `json:"type"`
	UserID       string                 `json:"userId"`
	Event        string                 `json:"event"`
	Category     string                 `json:"category"`
	Name         string                 `json:"name"`
	Properties   map[string]interface{} `json:"properties"`
	Integrations map[string]interface{} `json:"integrations"`
	Context      map[string]interface{} `json:"context"`
	Timestamp    time.Time              `json:"timestamp"`
}

// Neither library knows of a page's category.
func (c call) page() string {
	if c.Category == "" {
		return c.Name
	}
	return c.Category + " " + c.Name
}

type task struct {
	Library  string   `json:"library"`
	Host     string   `json:"host"`
	WriteKey string   `json:"writeKey"`
	Calls    []call   `json:"calls"`
	Settings settings `json:"settings"`
}

type settings struct {
	// Closes the library without waiting for it, as a program does that ends.
	Hasty bool `json:"hasty"`
}

// What both libraries are to this program.
type library interface {
	make(call) error
	Close() error
}

// What has become of the messages.
type outcome struct {
	mutex  sync.Mutex
	errors []string
	open   sync.WaitGroup
}

func (o *outcome) failed(err error) {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	o.errors = append(o.errors, err.Error())
}

// How long a message may wait for others.
const interval = 100 * time.Millisecond

func main() {
	var given task
	if err := json.NewDecoder(os.Stdin).Decode(&given); err != nil {
		log.Fatal(err)
	}
	// Never null in JSON.
	told := &outcome{errors: []string{}}
	start := map[string]func(task, *outcome) (library, error){"segment": segment, "rudderstack": rudderstack}[given.Library]
	client, err := start(given, told)
	if err != nil {
		log.Fatal(err)
	}
	for _, call := range given.Calls {
		told.open.Add(1)
		if err := client.make(call); err != nil {
			told.failed(err)
			told.open.Done()
		}
	}
	// Closed while it would still send again, a library drops what it has.
	if !given.Settings.Hasty {
		told.open.Wait()
	}
	if err := client.Close(); err != nil {
		log.Fatal(err)
	}
	told.open.Wait()
	if err := json.NewEncoder(os.Stdout).Encode(told.errors); err != nil {
		log.Fatal(err)
	}
}
