package sim

import (
	"sync"
	"time"
)

// tasks counts the goroutines of a cluster, so that Stop can wait for them.
// After stop no new one is started: what a late timer wants is dropped.
type tasks struct {
	mu      sync.Mutex
	stopped bool
	wg      sync.WaitGroup
}

// enter counts the calling goroutine in. It returns false after stop.
func (t *tasks) enter() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.stopped {
		return false
	}
	t.wg.Add(1)
	return true
}

// run starts f in a goroutine.
func (t *tasks) run(f func()) {
	if !t.enter() {
		return
	}
	go func() {
		defer t.wg.Done()
		f()
	}()
}

// after runs f in a goroutine of its own once d has passed. The runtime's
// timer heap is the shared one that simulated nodes wait in: a waiting node
// costs a timer and no goroutine, and a slow answer to one node's heartbeat
// holds up no other's.
func (t *tasks) after(d time.Duration, f func()) *time.Timer {
	return time.AfterFunc(d, func() {
		if !t.enter() {
			return
		}
		defer t.wg.Done()
		f()
	})
}

// stop waits for all goroutines to end, at most for timeout. It returns false
// if some are left.
func (t *tasks) stop(timeout time.Duration) bool {
	t.mu.Lock()
	t.stopped = true
	t.mu.Unlock()
	done := make(chan struct{})
	go func() {
		t.wg.Wait()
		close(done)
	}()
	select {
	case <-done:
		return true
	case <-time.After(timeout):
		return false
	}
}
