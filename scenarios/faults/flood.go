package faults

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/planecheck/planecheck/apiserver"
	apiclient "github.com/planecheck/planecheck/apiserver/client"
	"github.com/planecheck/planecheck/checkers/history"
)

const (
	// floodSenders is how many requests are under way to each API server at once.
	// A user is dealt 6 queues of 50 (k8s.io/apiserver/pkg/apis/flowcontrol/bootstrap),
	// so that what exceeds 300 and the seats of the priority level is rejected.
	floodSenders = 450
	// floodPause is what a sender that was turned away waits: the Retry-After of a
	// rejected request (k8s.io/apiserver/pkg/server/filters).
	floodPause = time.Second
	// floodMost ends a flood that nobody ends.
	floodMost = 90 * time.Second
)

// flood is many LISTs of all pods, whole and in JSON, which is the most expensive
// encoding. It has connections of its own, since those that share them with it
// would wait behind it in this process already. It is counted and not recorded:
// the recording would take the CPU time that the API servers are to be short of,
// and the latency of requests that are meant to wait is nobody's figure.
type flood struct {
	layers          []*apiclient.Layer
	stop            context.CancelFunc
	ended           atomic.Bool
	senders         sync.WaitGroup
	served, refused atomic.Int64          // 200 and 429
	cut, failed     atomic.Int64          // by the end of the flood, and otherwise
	last            atomic.Pointer[error] // of those that failed
}

// startFlood sends to API servers, with so many senders to each, until it is
// ended or floodMost has passed. A sender asks again and again, or only until it
// has been answered once.
func startFlood(ctx context.Context, e *Env, servers []apiserver.Component, senders int, again bool) (*flood, error) {
	f := &flood{}
	ctx, f.stop = context.WithTimeout(context.WithoutCancel(ctx), floodMost)
	for _, s := range servers {
		layer, err := apiclient.New(apiclient.Config{Servers: []string{s.Addr}, CA: e.Plane.CA(), Observer: f})
		if err != nil {
			f.end()
			return nil, fmt.Errorf("open connections for a flood: %w", err)
		}
		f.layers = append(f.layers, layer)
		c := layer.Client(e.Strangers[0])
		for range senders {
			f.senders.Go(func() { f.send(ctx, c, again) })
		}
	}
	return f, nil
}

// send asks for everything, again and again.
func (f *flood) send(ctx context.Context, c *apiclient.Client, again bool) {
	for ctx.Err() == nil {
		_, err := c.Do(ctx, &apiclient.Request{
			Verb: "list", Resource: apiclient.Resource{Version: "v1", Plural: "pods"}, Accept: "application/json",
		})
		if err == nil && !again {
			return
		}
		if err == nil {
			continue
		}
		select {
		case <-time.After(floodPause):
		case <-ctx.Done():
		}
	}
}

// Request counts what became of a request.
func (f *flood) Request(r *history.Request) {
	switch r.Status {
	case 200:
		f.served.Add(1)
	case 429:
		f.refused.Add(1)
	default:
		if f.ended.Load() {
			f.cut.Add(1)
			return
		}
		f.failed.Add(1)
		err := fmt.Errorf("answer %d: %s", r.Status, r.Err)
		f.last.Store(&err)
	}
}

// WatchEvent is part of history.Observer; a flood watches nothing.
func (f *flood) WatchEvent(*history.WatchEvent) {}

// end ends what is under way and closes all connections. The second end does
// nothing.
func (f *flood) end() {
	f.ended.Store(true)
	f.stop()
	f.senders.Wait()
	for _, l := range f.layers {
		l.Close()
	}
	f.layers = nil
}

// serversOf are the API servers of a target.
func serversOf(e *Env, target string) ([]apiserver.Component, error) {
	servers := slices.DeleteFunc(ofKind(e.Plane, apiserver.KubeAPIServer), func(c apiserver.Component) bool {
		return target != all && c.Name != target
	})
	if len(servers) == 0 {
		return nil, fmt.Errorf("there is no API server %q", target)
	}
	return servers, nil
}
