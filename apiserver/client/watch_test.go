package client_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/planecheck/planecheck/apiserver/client"
	"github.com/planecheck/planecheck/checkers/history"
)

// watchOf opens a watch on a server that streams the frames and then does what
// last says.
func watchOf(t *testing.T, last func(http.ResponseWriter), frames ...[]byte) (*client.Watch, *journal) {
	t.Helper()
	a := newAuthority(t)
	end := make(chan struct{})
	close(end)
	s := a.serve(t, 0, 100, func(w http.ResponseWriter, r *http.Request) {
		stream(w, r, end, frames...)
		if last != nil {
			last(w)
		}
	})
	l, j := a.layer(t, 0, s)
	w, err := l.Client(client.Identity{User: "u", Class: history.ClassKubelet, Token: "t"}).
		Watch(bounded(t), &client.Request{Resource: pods, Namespace: "ns"})
	if err != nil {
		t.Fatal(err)
	}
	return w, j
}

func TestWatch(t *testing.T) {
	// The second event is larger than an HTTP/2 frame and than the buffers
	// that are kept; the third tells whether its buffer was left in order.
	objects := []string{"small", strings.Repeat("large", 100_000), "k8s\x00again", ""}
	types := []string{"ADDED", "MODIFIED", "DELETED", "BOOKMARK"}
	var frames [][]byte
	for i := range objects {
		frames = append(frames, frame(types[i], []byte(objects[i])))
	}
	w, j := watchOf(t, nil, frames...)
	last := history.Now()
	for i := range objects {
		e, err := w.Next()
		if err != nil {
			t.Fatal(err)
		}
		if e.Type != types[i] || string(e.Object) != objects[i] || e.Err() != nil {
			t.Errorf("event %d: type %s, %d bytes, %v", i, e.Type, len(e.Object), e.Err())
		}
		if e.Arrived < last || e.Arrived > history.Now() {
			t.Errorf("event %d arrived at %d, the one before at %d", i, e.Arrived, last)
		}
		last = e.Arrived
	}
	if _, err := w.Next(); err != io.EOF {
		t.Errorf("the end is %v, want io.EOF itself", err)
	}
	w.Close()
	requests, events := j.all()
	wantRequest := []history.Request{{
		Class: history.ClassKubelet, Identity: "u", Verb: "watch", Version: "v1", Resource: "pods", Namespace: "ns",
		Status: 200, Server: "kube-apiserver-0/000000ab",
	}}
	if d := cmp.Diff(wantRequest, requests, requestTimes, lentRequest); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
	var want []history.WatchEvent
	for i := range frames {
		want = append(want, history.WatchEvent{Class: history.ClassKubelet, Identity: "u", Resource: "pods", Type: types[i], Bytes: len(frames[i])})
	}
	want = append(want, history.WatchEvent{Class: history.ClassKubelet, Identity: "u", Resource: "pods"})
	if d := cmp.Diff(want, events, lentEvent); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

func TestWatchErrorEvent(t *testing.T) {
	w, _ := watchOf(t, nil, frame("ERROR", status(410, "Expired", "too old resource version", 0)))
	e, err := w.Next()
	if err != nil {
		t.Fatal(err)
	}
	if e.Type != "ERROR" || !client.IsGone(e.Err()) || client.Reason(e.Err()) != "Expired" {
		t.Errorf("event %s: %v", e.Type, e.Err())
	}
}

// TestWatchBroken ends streams where no event ends.
func TestWatchBroken(t *testing.T) {
	f := func(name, want string, last func(http.ResponseWriter)) {
		t.Run(name, func(t *testing.T) {
			w, j := watchOf(t, last, frame("ADDED", []byte("o")))
			if _, err := w.Next(); err != nil {
				t.Fatal(err)
			}
			_, err := w.Next()
			if err == nil || err == io.EOF || !strings.Contains(err.Error(), want) {
				t.Errorf("error %v does not say %q", err, want)
			}
			if _, events := j.all(); len(events) != 2 || events[1].Type != "" {
				t.Errorf("events %+v", events)
			}
		})
	}
	whole := frame("ADDED", []byte("object"))
	f("in the length", "unexpected EOF", func(w http.ResponseWriter) { w.Write(whole[:2]) })
	f("after the length", "unexpected EOF", func(w http.ResponseWriter) { w.Write(whole[:4]) })
	f("in the event", "unexpected EOF", func(w http.ResponseWriter) { w.Write(whole[:9]) })
	f("stream reset", "INTERNAL_ERROR", func(http.ResponseWriter) { panic(http.ErrAbortHandler) })
	f("length beyond all bounds", "event of 4294967295 bytes", func(w http.ResponseWriter) { w.Write([]byte{255, 255, 255, 255}) })
	f("no protobuf", "scan watch event", func(w http.ResponseWriter) {
		w.Write(append(binary.BigEndian.AppendUint32(nil, 7), `{"type"`...))
	})
	f("no type", "event without a type", func(w http.ResponseWriter) { w.Write(make([]byte, 4)) })
}

func TestWatchRefused(t *testing.T) {
	a := newAuthority(t)
	var contentType string
	code := http.StatusGone
	s := a.serve(t, 0, 100, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(code)
		w.Write(status(410, "Expired", "too old", 0))
	})
	l, j := a.layer(t, 0, s)
	c := l.Client(client.Identity{User: "u", Token: "t"})
	if _, err := c.Watch(bounded(t), &client.Request{Resource: pods}); !client.IsGone(err) {
		t.Errorf("error %v", err)
	}
	code, contentType = http.StatusOK, "application/json"
	if _, err := c.Watch(bounded(t), &client.Request{Resource: pods}); err == nil || !strings.Contains(err.Error(), `streams "application/json"`) {
		t.Errorf("error %v", err)
	}
	requests, events := j.all()
	if len(requests) != 2 || requests[0].Reason != "Expired" || requests[0].Status != 410 || requests[1].Err == "" || len(events) != 0 {
		t.Errorf("records %+v, events %+v", requests, events)
	}
}

// TestWatchEnds closes a watch that waits in Next, by Close and by its context.
func TestWatchEnds(t *testing.T) {
	a := newAuthority(t)
	var urls []string
	gone := make(chan struct{}, 2)
	s := a.serve(t, 0, 100, func(w http.ResponseWriter, r *http.Request) {
		urls = append(urls, r.URL.String())
		stream(w, r, nil)
		gone <- struct{}{}
	})
	l, j := a.layer(t, 0, s)
	c := l.Client(client.Identity{User: "u", Token: "t"})
	ctx, cancel := context.WithCancel(bounded(t))
	defer cancel()
	f := func(r *client.Request, end func(*client.Watch), is error) {
		t.Helper()
		w, err := c.Watch(ctx, r)
		if err != nil {
			t.Fatal(err)
		}
		failed := make(chan error)
		go func() {
			_, err := w.Next()
			failed <- err
		}()
		end(w)
		if err := <-failed; err == nil || err == io.EOF || is != nil && !errors.Is(err, is) {
			t.Errorf("Next returned %v", err)
		}
		<-gone
		w.Close()
	}
	f(&client.Request{Resource: pods, Name: "p", Query: map[string][]string{"resourceVersion": {"5"}}}, func(w *client.Watch) { w.Close() }, nil)
	f(&client.Request{Resource: pods}, func(*client.Watch) { cancel() }, context.Canceled)
	if _, events := j.all(); len(events) != 2 {
		t.Errorf("two watches ended, events %+v", events)
	}
	want := []string{"/api/v1/pods?watch=true&fieldSelector=metadata.name%3Dp&resourceVersion=5", "/api/v1/pods?watch=true"}
	if d := cmp.Diff(want, urls); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

// TestStalledWatch leaves megabytes of one watch unread. The other one, on the
// same connection, goes on.
func TestStalledWatch(t *testing.T) {
	a := newAuthority(t)
	large := frame("ADDED", make([]byte, 4<<20))
	full := make(chan struct{})
	s := a.serve(t, 0, 100, func(w http.ResponseWriter, r *http.Request) {
		if !r.URL.Query().Has("stalled") {
			<-full
			stream(w, r, nil, frame("MODIFIED", nil))
			return
		}
		w.Header().Set("Content-Type", "application/vnd.kubernetes.protobuf;stream=watch")
		w.Write(large[:200<<10]) // what the window of a stream can hold
		w.(http.Flusher).Flush()
		close(full)
		w.Write(large[200<<10:])
	})
	l, _ := a.layer(t, 0, s)
	c := l.Client(client.Identity{User: "u", Token: "t"})
	stalled, err := c.Watch(bounded(t), &client.Request{Resource: pods, Query: map[string][]string{"stalled": {""}}})
	if err != nil {
		t.Fatal(err)
	}
	w, err := c.Watch(bounded(t), &client.Request{Resource: pods})
	if err != nil {
		t.Fatal(err)
	}
	if e, err := w.Next(); err != nil || e.Type != "MODIFIED" {
		t.Errorf("event %+v, error %v", e, err)
	}
	if e, err := stalled.Next(); err != nil || len(e.Object) != 4<<20 {
		t.Errorf("event of %d bytes, error %v", len(e.Object), err)
	}
	if s.connections() != 1 {
		t.Errorf("%d connections: the watches did not share one", s.connections())
	}
}

// FuzzWatchStream feeds bytes to a watch as they come from a server: it ends,
// without a panic, and every event has a type.
func FuzzWatchStream(f *testing.F) {
	f.Add(frame("ADDED", []byte("object")))
	f.Add(append(frame("MODIFIED", nil), frame("ERROR", status(410, "Expired", "m", 0))...))
	f.Add([]byte{0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		j := &journal{}
		w := client.NewWatch(io.NopCloser(bytes.NewReader(b)), j)
		events := 0
		for {
			e, err := w.Next()
			if err != nil {
				break
			}
			if events++; e.Type == "" {
				t.Error("event without a type")
			}
		}
		if _, told := j.all(); len(told) != events+1 {
			t.Errorf("%d events, %d told", events, len(told))
		}
	})
}

// whileRead does something while the last byte is read.
type whileRead struct {
	*bytes.Reader
	do func()
}

func (w whileRead) Read(p []byte) (int, error) {
	n, err := w.Reader.Read(p)
	if n > 0 && w.Len() == 0 {
		w.do()
	}
	return n, err
}

func (w whileRead) Close() error { return nil }

// An event that is read while another goroutine closes the watch is told to
// nobody: in a history nothing may come after the end of a watch.
func TestWatchClosedWhileRead(t *testing.T) {
	j := &journal{}
	var w *client.Watch
	w = client.NewWatch(whileRead{bytes.NewReader(frame("ADDED", []byte("o"))), func() { _ = w.Close() }}, j)
	if e, err := w.Next(); err == nil {
		t.Errorf("an event of a watch that was closed: %+v", e)
	}
	if _, events := j.all(); len(events) != 1 || events[0].End != history.ClosedByClient {
		t.Errorf("the observer was told %+v", events)
	}
}
