// Package record turns what the client layer sees into the records of an API
// history: one for each HTTP attempt, and one for each message of a watch. It
// reads requests and answers down to what a checker needs and keeps none of
// them.
package record

import (
	"bytes"

	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/history/object"
)

// Recorder is the history.Observer that makes an API history.
type Recorder struct{ sink history.APISink }

var _ history.Observer = (*Recorder)(nil)

// New returns a Recorder that writes to sink.
func New(sink history.APISink) *Recorder { return &Recorder{sink} }

// maxMessage bounds what is kept of a Status' message.
const maxMessage = 200

// Request records an attempt and, if it opened a watch, the beginning of that.
func (r *Recorder) Request(q *history.Request) {
	r.sink.APICall(Call(q))
	if q.Verb == "watch" && q.Status == 200 && q.Err == "" {
		r.sink.APIWatch(&history.APIWatch{Call: q.ID, Type: history.APIWatchOpen, At: q.Returned})
	}
}

// Call is the record of an attempt, with whose message it may share memory.
func Call(q *history.Request) *history.APICall {
	c := &history.APICall{
		ID: q.ID, Class: q.Class, Identity: q.Identity, Server: q.Server,
		Called: q.Called, Returned: q.Returned,
		Verb: q.Verb, Group: q.Group, Version: q.Version, Resource: q.Resource, Subresource: q.Subresource,
		Namespace: q.Namespace, Name: q.Name, ContentType: q.ContentType,
		Status: int32(q.Status), Reason: q.Reason, Error: clip(q.Err), Bytes: int64(q.ResponseBytes),
		Opaque: q.Opaque, Illegal: q.Illegal,
	}
	if m := q.Marks; m != nil {
		c.Declared, c.Sets, c.Removes = true, m.Sets, m.Removes
	}
	options(c, q.Query)
	if !q.Opaque {
		sent(c, q.Sent)
		answered(c, q.Answer)
	}
	return c
}

// answered reads the answer. One of success that cannot be read has an Error beside
// its Status.
func answered(c *history.APICall, body []byte) {
	if len(body) == 0 {
		if c.Status/100 == 2 && c.Verb != "watch" {
			c.Error = "the answer is empty"
		}
		return
	}
	if s, ok := object.Status(body); ok {
		c.Cause, c.DetailsKind, c.DetailsName, c.DetailsUID = s.Cause, s.DetailsKind, s.DetailsName, s.DetailsUID
		c.NextPage = token(s.Continue)
		if c.Status >= 300 {
			c.Message = clip(s.Message)
		}
		return
	}
	switch {
	case c.Status >= 300:
		c.Message = clip(string(body[:min(len(body), maxMessage)])) // of a filter, in plain text
	case c.Verb == "list" || c.Verb == "deletecollection":
		unreadable(c, listed(c, body))
	default:
		var err error
		c.Object, err = object.Served(body)
		unreadable(c, err)
	}
}

func unreadable(c *history.APICall, err error) {
	if err != nil {
		c.Error = clip(err.Error())
	}
}

func listed(c *history.APICall, body []byte) error {
	items, version, next, err := object.ServedList(body)
	if err != nil {
		return err
	}
	c.ListVersion, c.NextPage = version, token(next)
	if len(items) > history.MaxListed {
		c.Chunks = history.ChunkObjects(items)
	} else {
		c.Items = items
	}
	return nil
}

// WatchEvent records a message of a watch, or its end.
func (r *Recorder) WatchEvent(e *history.WatchEvent) {
	w := &history.APIWatch{Call: e.Request, Type: e.Type, At: e.Arrived}
	switch e.Type {
	case "":
		w.Type, w.Error = history.APIWatchClosed, clip(e.End)
	case "ERROR":
		if s, ok := object.Status(e.Object); ok {
			w.Status, w.Reason = s.Code, s.Reason
		}
	default:
		o, err := object.Served(e.Object)
		if err != nil {
			// It breaks every promise on the content of an event, and reads so.
			w.Error = clip(err.Error())
		}
		w.Object = o
		w.InitialEnd = e.Type == "BOOKMARK" && bytes.Contains(e.Object, initialEnd)
	}
	r.sink.APIWatch(w)
}

// initialEnd is the annotation of the bookmark that ends the initial events
// (metav1.InitialEventsAnnotationKey). A bookmark holds nothing else that could
// be mistaken for it.
var initialEnd = []byte("k8s.io/initial-events-end")

func clip(s string) string { return s[:min(len(s), maxMessage)] }
