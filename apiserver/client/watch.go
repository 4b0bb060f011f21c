package client

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"

	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/history/wire"
)

const (
	// maxEvent bounds one event. etcd refuses objects above 1.5 MiB; client-go
	// gives up at 16 MiB, too (runtime/serializer/streaming).
	maxEvent = 16 << 20
	// maxPooled is the largest buffer that is kept for other watches.
	maxPooled = 64 << 10
)

// buffers holds event buffers that no watch needs at the moment. A watch has
// one only between the arrival of an event and the next call of Next, so idle
// watches, which are nearly all of them, have none.
var buffers = sync.Pool{New: func() any { return new(make([]byte, 0, 4<<10)) }}

// Event is one event of a watch.
type Event struct {
	Type    string       // ADDED, MODIFIED, DELETED, BOOKMARK, ERROR
	Object  []byte       // envelope included; valid until the next call of Next
	Arrived history.Time // when its last byte had been read
}

// Err returns the *StatusError that an ERROR event carries, and nil for events
// of other types.
func (e *Event) Err() error {
	if e.Type != "ERROR" {
		return nil
	}
	return newStatusError(0, nil, e.Object)
}

// Watch is an open watch. Next is called by one goroutine at a time; Close may
// be called by any.
type Watch struct {
	observer history.Observer
	conn     *conn
	body     io.ReadCloser
	about    string // for errors

	// Of Next alone.
	told   history.WatchEvent
	size   [4]byte
	buffer *[]byte
	json   *json.Decoder // nil: the stream is protobuf

	mu    sync.Mutex // orders what the observer is told: nothing after the end
	ended bool       // guarded by mu
}

// Watch opens a watch and returns when the response headers have arrived. ctx
// ends the watch, too. If the answer is not 200 the error is a *StatusError.
//
// Name asks for one object, by a field selector.
func (c *Client) Watch(ctx context.Context, r *Request) (*Watch, error) {
	asked := *r
	asked.Verb = "watch"
	if err := asked.check(); err != nil {
		return nil, fmt.Errorf("%s: %w", &asked, err)
	}
	record := c.record(&asked)
	w, err := c.open(ctx, &asked, &record)
	c.tell(&record, err)
	if err == nil {
		return w, nil
	}
	if _, ok := errors.AsType[*StatusError](err); ok {
		return nil, err
	}
	return nil, fmt.Errorf("%s: %w", &asked, err)
}

func (c *Client) open(ctx context.Context, r *Request, record *history.Request) (*Watch, error) {
	cn, err := c.connect(ctx, true)
	if err != nil {
		return nil, err
	}
	record.Server = cn.instance
	answer, err := cn.http.RoundTrip(c.request(ctx, r, cn.pool.addr))
	if err != nil {
		cn.pool.release(cn)
		return nil, err
	}
	record.Returned = history.Now()
	record.Status = answer.StatusCode
	if err := refused(answer, r.accept(), record); err != nil {
		answer.Body.Close()
		cn.pool.release(cn)
		return nil, err
	}
	w := &Watch{
		observer: c.layer.cfg.Observer,
		conn:     cn,
		body:     answer.Body,
		about:    r.String(),
		told: history.WatchEvent{
			Request: record.ID, Class: c.id.Class, Identity: c.id.User, Resource: r.Resource.Plural,
		},
	}
	if r.accept() == jsonType {
		w.json = json.NewDecoder(answer.Body)
	}
	return w, nil
}

// refused reads why a watch was not opened.
func refused(answer *http.Response, accept string, record *history.Request) error {
	if answer.StatusCode == http.StatusOK {
		want, _, _ := strings.Cut(accept, ";")
		if t := answer.Header.Get("Content-Type"); !strings.HasPrefix(t, want) {
			return fmt.Errorf("server streams %q, not %s", t, want)
		}
		return nil
	}
	content, err := readBody(answer)
	if err != nil {
		return fmt.Errorf("read response: %w", err)
	}
	record.Returned = history.Now()
	record.ResponseBytes = len(content)
	record.Answer = content
	return newStatusError(answer.StatusCode, answer.Header, content)
}

// Server is the instance that serves the watch, as in Response.Server.
func (w *Watch) Server() string { return w.conn.instance }

// Next waits for the next event. It returns io.EOF, not wrapped, when the
// server has ended the stream, and otherwise an error that wraps that of the
// transport. After an error the watch is closed.
//
// An event of type ERROR is returned like any other; the server ends the
// stream behind it.
func (w *Watch) Next() (Event, error) {
	w.recycle()
	event, size, err := w.next()
	if err == nil {
		if w.tell(&event, size) {
			return event, nil
		}
		err = errWatchClosed
	}
	w.recycle()
	if err == io.EOF {
		w.end("")
		return Event{}, io.EOF
	}
	w.end(ending(err))
	return Event{}, fmt.Errorf("%s: %w", w.about, err)
}

func (w *Watch) next() (event Event, size int, err error) {
	if w.json != nil {
		return w.readJSON()
	}
	event, err = w.read()
	if err != nil {
		return event, 0, err
	}
	return event, len(w.size) + len(*w.buffer), nil
}

// readJSON reads one metav1.WatchEvent of a stream of JSON objects.
func (w *Watch) readJSON() (Event, int, error) {
	before := w.json.InputOffset()
	var frame struct {
		Type   string
		Object json.RawMessage
	}
	if err := w.json.Decode(&frame); err != nil {
		return Event{}, 0, err
	}
	if frame.Type == "" {
		return Event{}, 0, errors.New("event without a type")
	}
	event := Event{Type: frame.Type, Object: frame.Object, Arrived: history.Now()}
	return event, int(w.json.InputOffset() - before), nil
}

// read reads one frame: four bytes of length, big-endian, and a
// metav1.WatchEvent.
func (w *Watch) read() (Event, error) {
	if _, err := io.ReadFull(w.body, w.size[:]); err != nil {
		return Event{}, err
	}
	n := binary.BigEndian.Uint32(w.size[:])
	if n > maxEvent {
		return Event{}, fmt.Errorf("event of %d bytes, more than %d", n, maxEvent)
	}
	w.buffer = buffers.Get().(*[]byte)
	if cap(*w.buffer) < int(n) {
		*w.buffer = make([]byte, n)
	}
	*w.buffer = (*w.buffer)[:n]
	if _, err := io.ReadFull(w.body, *w.buffer); err == io.EOF {
		return Event{}, io.ErrUnexpectedEOF
	} else if err != nil {
		return Event{}, err
	}
	event := Event{Arrived: history.Now()}
	var err error
	event.Type, event.Object, err = wire.ScanWatchEvent(*w.buffer)
	if err == nil && event.Type == "" {
		err = errors.New("event without a type")
	}
	return event, err
}

// recycle gives up the buffer of the last event.
func (w *Watch) recycle() {
	if w.buffer != nil && cap(*w.buffer) <= maxPooled {
		buffers.Put(w.buffer)
	}
	w.buffer = nil
}

// errWatchClosed says that a watch was closed while an event of it was being read.
var errWatchClosed = errors.New("the watch was closed")

// tell tells the observer of an event. It reports false if the observer knows of
// the end already: then nobody else may hear of the event either.
func (w *Watch) tell(event *Event, size int) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ended || w.observer == nil {
		return !w.ended
	}
	w.told.Type, w.told.Arrived, w.told.Bytes, w.told.Object = event.Type, event.Arrived, size, event.Object
	w.observer.WatchEvent(&w.told)
	w.told.Object = nil
	return true
}

// Close ends the watch. The observer is told of its end once, however often
// and by whomever it is closed. The error is always nil.
func (w *Watch) Close() error {
	w.end(history.ClosedByClient)
	return nil
}

// ending is what the history says of a stream that broke.
func ending(err error) string {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return history.ClosedByClient
	}
	return err.Error()
}

// end closes the watch, for the reason that the history gives.
func (w *Watch) end(why string) {
	if !w.tellEnd(why) {
		return
	}
	w.body.Close()
	w.conn.pool.release(w.conn)
}

// tellEnd reports false if the watch has ended before.
func (w *Watch) tellEnd(why string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ended {
		return false
	}
	w.ended = true
	if w.observer != nil {
		w.observer.WatchEvent(&history.WatchEvent{
			Request:  w.told.Request,
			Class:    w.told.Class,
			Identity: w.told.Identity,
			Resource: w.told.Resource,
			Arrived:  history.Now(),
			End:      why,
		})
	}
	return true
}
