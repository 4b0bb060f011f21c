package sim

import (
	"fmt"
	"sync"
	"time"
)

// tasks counts the goroutines of a cluster or of a process, so that whoever
// ends it can wait for them. After end no new one is started: what a late timer
// wants is dropped.
type tasks struct {
	mu      sync.Mutex
	stopped bool
	wg      sync.WaitGroup
}

// enter counts the calling goroutine in. It returns false after end.
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

func (t *tasks) end() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stopped = true
}

// drain waits for all goroutines of tasks that were ended. It gives up after
// limit, and when stopped is closed.
func drain(limit time.Duration, stopped <-chan struct{}, work ...*tasks) error {
	done := make(chan struct{})
	go func() {
		for _, t := range work {
			t.wg.Wait()
		}
		close(done)
	}()
	timeout := time.NewTimer(limit)
	defer timeout.Stop()
	select {
	case <-done:
		return nil
	case <-stopped:
		return errStopped
	case <-timeout.C:
		return fmt.Errorf("what was ended still has work after %v", limit)
	}
}
