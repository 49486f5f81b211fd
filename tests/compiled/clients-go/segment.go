package main

import (
	"io"
	"log"

	"github.com/segmentio/analytics-go/v3"
)

type segmentLibrary struct{ analytics.Client }

type segmentCallback struct{ *outcome }

func (c segmentCallback) Success(analytics.Message) { c.open.Done() }

func (c segmentCallback) Failure(_ analytics.Message, err error) {
	c.failed(err)
	c.open.Done()
}

func segment(task task, told *outcome) (library, error) {
	client, err := analytics.NewWithConfig(task.WriteKey, analytics.Config{
		Endpoint: task.Host,
		Interval: interval,
		Callback: segmentCallback{told},
		Logger:   analytics.StdLogger(log.New(io.Discard, "", 0)),
	})
	return segmentLibrary{client}, err
}

func (l segmentLibrary) make(c call) error {
	var context *analytics.Context
	if c.Context != nil {
		context = &analytics.Context{Extra: c.Context}
	}
	if c.Type == "page" {
		return l.Enqueue(analytics.Page{
			UserId:       c.UserID,
			Name:         c.page(),
			Properties:   c.Properties,
			Integrations: c.Integrations,
			Context:      context,
			Timestamp:    c.Timestamp,
		})
	}
	return l.Enqueue(analytics.Track{
		UserId:       c.UserID,
		Event:        c.Event,
		Properties:   c.Properties,
		Integrations: c.Integrations,
		Context:      context,
		Timestamp:    c.Timestamp,
	})
}
