package main

import (
	"io"
	"log"

	"github.com/rudderlabs/analytics-go/v4"
)

type rudderstackLibrary struct{ analytics.Client }

type rudderstackCallback struct{ *outcome }

func (c rudderstackCallback) Success(analytics.Message) { c.open.Done() }

func (c rudderstackCallback) Failure(_ analytics.Message, err error) {
	c.failed(err)
	c.open.Done()
}

func rudderstack(task task, told *outcome) (library, error) {
	client, err := analytics.NewWithConfig(task.WriteKey, analytics.Config{
		DataPlaneUrl: task.Host,
		Interval:     interval,
		Callback:     rudderstackCallback{told},
		Logger:       analytics.StdLogger(log.New(io.Discard, "", 0)),
	})
	return rudderstackLibrary{client}, err
}

func (l rudderstackLibrary) make(c call) error {
	var context *analytics.Context
	if c.Context != nil {
		context = &analytics.Context{Extra: c.Context}
	}
	if c.Type == "page" {
		return l.Enqueue(analytics.Page{
			UserId:            c.UserID,
			Name:              c.page(),
			Properties:        c.Properties,
			Integrations:      c.Integrations,
			Context:           context,
			OriginalTimestamp: c.Timestamp,
		})
	}
	return l.Enqueue(analytics.Track{
		UserId:            c.UserID,
		Event:             c.Event,
		Properties:        c.Properties,
		Integrations:      c.Integrations,
		Context:           context,
		OriginalTimestamp: c.Timestamp,
	})
}
