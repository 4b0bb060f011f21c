package storage

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"runtime/pprof"
	"time"

	"github.com/planecheck/planecheck/apiserver/storage/proxy"
)

// storeLabels and recorderLabels carry the two values of ProfileLabel.
var (
	storeLabels    = pprof.WithLabels(context.Background(), pprof.Labels(ProfileLabel, ProfileStore))
	recorderLabels = pprof.WithLabels(context.Background(), pprof.Labels(ProfileLabel, ProfileRecorder))
)

// AsRecorder runs f, whose goroutines then carry ProfileRecorder for ever: what a
// run pays for its history is told from what the store and the load cost.
func AsRecorder(f func()) {
	done := make(chan struct{})
	go func() { // the labels of the caller cannot be asked for, so they stay
		defer close(done)
		pprof.SetGoroutineLabels(recorderLabels)
		f()
	}()
	<-done
}

// startProxy starts a proxy that is charged to the recorder, all of it: it stands
// there for the history only.
func startProxy(opt proxy.Options) (p *proxy.Proxy, err error) {
	AsRecorder(func() { p, err = proxy.Start(opt) })
	return p, err
}

// errGoexit is what guard returns for a function that ended its goroutine, as
// a fatal log entry of etcd does here (see exitHook).
var errGoexit = errors.New("it gave up, see its log")

// errBound is what guard returns for a function that did not come back.
var errBound = errors.New("not done")

// panicError is what guard returns for a function that panicked.
type panicError struct {
	value any
	stack []byte
}

func (e *panicError) Error() string { return fmt.Sprintf("panic: %v", e.value) }

// guard runs f on a goroutine of its own that carries the store's pprof label,
// which everything that f starts inherits. A panic in f, and a Goexit, come
// back as errors. After bound it gives up on f and leaves it behind.
func guard(bound time.Duration, f func() error) error {
	done := make(chan error, 1)
	go func() {
		err := errGoexit
		defer func() {
			if p := recover(); p != nil {
				err = &panicError{value: p, stack: debug.Stack()}
			}
			done <- err
		}()
		pprof.SetGoroutineLabels(storeLabels)
		err = f()
	}()
	timer := time.NewTimer(bound)
	defer timer.Stop()
	select {
	case err := <-done:
		return err
	case <-timer.C:
		return fmt.Errorf("%w within %v", errBound, bound)
	}
}
