package sim

import (
	"bytes"
	"context"
	"fmt"
	"net/url"
	"time"

	"github.com/planecheck/planecheck/apiserver/client"
	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/history/wire"
)

// sink takes what a watch brings. Its methods are called by one goroutine.
type sink interface {
	// begin says that a complete list follows, as ADDED events.
	begin()
	// event brings one object, without its envelope and only for the time of
	// the call.
	event(typ string, raw []byte, version uint64, arrived history.Time)
	// end says that the list is complete: what was not in it is gone.
	end()
}

// ignore is the sink of what a kube-proxy would turn into rules of the kernel.
type ignore struct{}

func (ignore) begin()                                     {}
func (ignore) event(string, []byte, uint64, history.Time) {}
func (ignore) end()                                       {}

// watcher keeps one watch open.
type watcher struct {
	cluster  *Cluster
	client   *client.Client
	resource client.Resource
	query    url.Values // the selectors; the rest is set for each request
	sink     sink
	network  *network // nil: one that is never cut
	random   func() float64
	cursor   cursor
	lists    int  // complete lists so far
	opened   bool // at least once
}

func newWatcher(c *Cluster, from *client.Client, resource client.Resource, to sink, random func() float64) *watcher {
	return &watcher{cluster: c, client: from, resource: resource, query: url.Values{}, sink: to, random: random}
}

// run keeps the watch open until ctx ends.
func (w *watcher) run(ctx context.Context) {
	for ctx.Err() == nil {
		var wait time.Duration
		if w.cursor.next() == stepList {
			wait = w.list(ctx)
		} else {
			wait = w.watch(ctx)
		}
		if wait > 0 && !sleep(ctx, wait) {
			return
		}
	}
}

func (w *watcher) list(ctx context.Context) time.Duration {
	ctx, cancel := context.WithTimeout(ctx, requestLimit)
	defer cancel()
	w.cursor.query(w.query, 0)
	way, err := w.network.carry(cancel)
	if err == nil {
		err = w.fetchList(ctx)
		way.done()
	}
	if err != nil {
		return w.cursor.refused(err, time.Now(), w.random())
	}
	return 0
}

func (w *watcher) fetchList(ctx context.Context) error {
	resp, err := w.client.Do(ctx, &client.Request{Verb: "list", Resource: w.resource, Query: w.query})
	if err != nil {
		return err
	}
	return w.takeList(resp)
}

func (w *watcher) takeList(resp *client.Response) error {
	_, _, raw, err := wire.Unwrap(resp.Body)
	if err != nil {
		return err
	}
	w.sink.begin()
	info, err := wire.ScanList(raw, func(item []byte) error {
		version, err := objectVersion(item)
		if err == nil {
			w.sink.event("ADDED", item, version, resp.Returned)
		}
		return err
	})
	if err != nil {
		return err
	}
	version, err := parseVersion(info.ResourceVersion)
	if err != nil {
		return err
	}
	w.listComplete(version)
	return nil
}

func (w *watcher) listComplete(version uint64) {
	w.sink.end()
	w.cursor.listed(version)
	if w.lists++; w.lists > 1 {
		w.cluster.stats.relists.Add(1)
	}
}

// watch opens the watch and reads it to its end.
func (w *watcher) watch(ctx context.Context) time.Duration {
	streaming := w.cursor.next() == stepStream
	w.cursor.query(w.query, w.random())
	begin := time.Now()
	stream, way, err := w.open(ctx)
	if err != nil {
		return w.cursor.refused(err, time.Now(), w.random())
	}
	defer way.done()
	open := &w.cluster.stats.watchesOpen
	open.Add(1)
	if streaming {
		w.sink.begin()
	} else if w.opened {
		w.cluster.stats.reconnects.Add(1)
	}
	w.opened = true
	events, err := w.read(stream)
	open.Add(-1)
	stream.Close()
	if err != nil {
		w.cluster.cfg.Log.Debug("watch ended with an error", "resource", w.resource.Plural, "error", err)
		return w.cursor.refused(err, time.Now(), w.random())
	}
	return w.cursor.ended(time.Since(begin), events, time.Now(), w.random())
}

// open opens the watch, which ends when the network is cut.
func (w *watcher) open(ctx context.Context) (*client.Watch, *transfer, error) {
	ctx, cancel := context.WithCancel(ctx)
	way, err := w.network.carry(cancel)
	if err != nil {
		cancel()
		return nil, nil, err
	}
	stream, err := w.client.Watch(ctx, &client.Request{Verb: "watch", Resource: w.resource, Query: w.query})
	if err != nil {
		way.done()
		return nil, nil, err
	}
	return stream, way, nil
}

// read hands the events of the watch to the sink. It returns an error if what
// came cannot be gone on from; the plain end of the stream, however it came
// about, is none.
func (w *watcher) read(stream *client.Watch) (events int, err error) {
	for {
		e, err := stream.Next()
		if err != nil {
			return events, nil
		}
		events++
		if err := w.take(&e); err != nil {
			return events, err
		}
	}
}

var initialEventsEnd = []byte("k8s.io/initial-events-end") // metav1.InitialEventsAnnotationKey

func (w *watcher) take(e *client.Event) error {
	if err := e.Err(); err != nil {
		return err
	}
	_, kind, raw, err := wire.Unwrap(e.Object)
	if err != nil {
		return err
	}
	version, err := objectVersion(raw)
	if err != nil {
		return fmt.Errorf("version of a %s: %w", kind, err)
	}
	if e.Type != "BOOKMARK" {
		w.sink.event(e.Type, raw, version, e.Arrived)
	} else if !w.cursor.complete && bytes.Contains(raw, initialEventsEnd) {
		w.listComplete(version)
	}
	w.cursor.saw(version)
	return nil
}
