package contract

import (
	"context"
	"sync"
)

// watches are the open watches of all clients.
type watches struct {
	most int // of each client
	ctx  context.Context
	stop context.CancelFunc
	all  sync.WaitGroup

	mu   sync.Mutex
	open map[*actor][]*running // oldest first
}

// running is a watch that goes on by itself.
type running struct{ cancel context.CancelFunc }

func newWatches(most int) *watches {
	w := &watches{most: most, open: map[*actor][]*running{}}
	w.ctx, w.stop = context.WithCancel(context.Background())
	return w
}

// start runs f until it returns or the watch is cut. If the client has as many
// watches as it may, the oldest is cut, which then takes a moment to end.
func (w *watches) start(a *actor, f func(context.Context)) {
	ctx, cancel := context.WithCancel(w.ctx)
	r := &running{cancel}
	w.mu.Lock()
	if list := w.open[a]; len(list) >= w.most {
		list[0].cancel()
		w.open[a] = list[1:]
	}
	w.open[a] = append(w.open[a], r)
	w.mu.Unlock()
	w.all.Go(func() {
		defer w.end(a, r)
		f(ctx)
	})
}

func (w *watches) end(a *actor, r *running) {
	r.cancel()
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, other := range w.open[a] {
		if other == r {
			w.open[a] = append(w.open[a][:i:i], w.open[a][i+1:]...)
			return
		}
	}
}

// close cuts all watches and waits for their ends.
func (w *watches) close() {
	w.stop()
	w.all.Wait()
}
