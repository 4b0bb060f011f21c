package client_test

import (
	"io"
	"net/http"
	"net/url"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/planecheck/planecheck/apiserver/client"
	"github.com/planecheck/planecheck/checkers/history"
)

// copier keeps copies of what the observer is lent.
type copier struct {
	requests []history.Request
	events   []history.WatchEvent
}

func (c *copier) Request(r *history.Request) {
	kept := *r
	kept.Sent, kept.Answer = slices.Clone(r.Sent), slices.Clone(r.Answer)
	c.requests = append(c.requests, kept)
}

func (c *copier) WatchEvent(e *history.WatchEvent) {
	kept := *e
	kept.Object = slices.Clone(e.Object)
	c.events = append(c.events, kept)
}

// TestObserverSeesMessages checks that the observer is lent what was sent and
// what came, and can tell which watch an event belongs to.
func TestObserverSeesMessages(t *testing.T) {
	a := newAuthority(t)
	s := a.serve(t, 0, 100, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("watch") == "" {
			io.WriteString(w, "answer")
			return
		}
		w.Header().Set("Content-Type", r.Header.Get("Accept"))
		io.WriteString(w, `{"type":"ADDED","object":{"a":1}}`+"\n"+`{"type":"BOOKMARK","object":{}}`+"\n")
	})
	seen := &copier{}
	l, err := client.New(client.Config{Servers: []string{s.addr()}, CA: a.pem(), Observer: seen})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	c := l.Client(client.Identity{User: "u", Token: "t"})
	marks := &history.Marks{Sets: []history.Pair{{Name: "c1", Value: "7"}}}
	query := url.Values{"dryRun": {"All"}}
	if _, err := c.Do(bounded(t), &client.Request{
		Verb: "patch", Resource: pods, Namespace: "ns", Name: "p", Query: query,
		Body: []byte("body"), ContentType: "application/merge-patch+json", Marks: marks,
	}); err != nil {
		t.Fatal(err)
	}
	w, err := c.Watch(bounded(t), &client.Request{Resource: pods, Accept: "application/json"})
	if err != nil {
		t.Fatal(err)
	}
	first, err := w.Next()
	if err != nil || first.Type != "ADDED" || string(first.Object) != `{"a":1}` {
		t.Fatalf("first event %s %s, %v", first.Type, first.Object, err)
	}
	if second, err := w.Next(); err != nil || second.Type != "BOOKMARK" {
		t.Fatalf("second event %s, %v", second.Type, err)
	}
	if _, err := w.Next(); err != io.EOF {
		t.Fatalf("the end is %v, want io.EOF", err)
	}

	if len(seen.requests) != 2 || len(seen.events) != 3 {
		t.Fatalf("%d requests and %d events", len(seen.requests), len(seen.events))
	}
	p := seen.requests[0]
	if string(p.Sent) != "body" || string(p.Answer) != "answer" || p.ContentType != "application/merge-patch+json" ||
		p.Marks != marks || cmp.Diff(query, p.Query) != "" {
		t.Errorf("the observer was lent %+v", p)
	}
	if watch := seen.requests[1].ID; watch <= p.ID || seen.events[0].Request != watch || seen.events[2].Request != watch {
		t.Errorf("requests %d and %d, events of %d and %d", p.ID, watch, seen.events[0].Request, seen.events[2].Request)
	}
	if e := seen.events[0]; string(e.Object) != `{"a":1}` || e.Bytes != len(`{"type":"ADDED","object":{"a":1}}`) {
		t.Errorf("the observer was lent the event %+v", e)
	}
	if end := seen.events[2]; end.Type != "" || end.End != "" {
		t.Errorf("the server ended the watch, the observer was told %+v", end)
	}
}

// TestWatchGivenUp checks that the observer can tell a client that gives up
// from a server that ends a watch.
func TestWatchGivenUp(t *testing.T) {
	w, j := watchOf(t, nil, frame("ADDED", []byte("object")))
	w.Close()
	if _, events := j.all(); len(events) != 1 || events[0].End != history.ClosedByClient {
		t.Errorf("events %+v", events)
	}
}
