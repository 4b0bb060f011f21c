package workloads

import (
	"context"
	"errors"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/planecheck/planecheck/apiserver/client"
	"github.com/planecheck/planecheck/checkers/history"
)

// A slow server must not slow the schedule down: all operations keep their due
// times, and those that had to wait for a free place start late.
func TestOpenLoopIsOpen(t *testing.T) {
	const n, inFlight, stall = 40, 4, 50 * time.Millisecond
	start := history.Now()
	due := func(i int) history.Time { return start.Add(time.Duration(i) * time.Microsecond) }
	var mu sync.Mutex
	running, most := 0, 0
	dues := map[int]history.Time{}
	release := make(chan struct{})
	time.AfterFunc(stall, func() { close(release) })
	late, err := openLoop(t.Context(), n, inFlight,
		func(_ context.Context, i int) (history.Time, error) { return due(i), nil },
		func(_ context.Context, i int, at history.Time) error {
			mu.Lock()
			running++
			most = max(most, running)
			dues[i] = at
			mu.Unlock()
			<-release
			mu.Lock()
			running--
			mu.Unlock()
			return nil
		})
	if err != nil || len(late) != n || len(dues) != n {
		t.Fatalf("%d started, %d ran: %v", len(late), len(dues), err)
	}
	if most > inFlight {
		t.Errorf("%d operations ran at once", most)
	}
	for i, at := range dues {
		if at != due(i) {
			t.Errorf("operation %d was due at %v, want %v", i, at, due(i))
		}
	}
	// All but the first few had to wait for the stall to end.
	for i := inFlight; i < n; i++ {
		if late[i] < stall-time.Millisecond {
			t.Errorf("operation %d counts as only %v late", i, late[i])
		}
	}
}

func TestOpenLoopEndsAtTheFirstError(t *testing.T) {
	broken := errors.New("broken")
	start := history.Now()
	late, err := openLoop(t.Context(), 1000, 10,
		at(start, func(i int) time.Duration { return time.Duration(i) * time.Minute }),
		func(context.Context, int, history.Time) error { return broken })
	if !errors.Is(err, broken) || len(late) != 1 {
		t.Errorf("%d started: %v", len(late), err)
	}
}

func TestRetryable(t *testing.T) {
	f := func(err error, want bool, name string) {
		t.Helper()
		if got := retryable(err); got != want {
			t.Errorf("%v: retryable %v", err, got)
		}
		if got := errorName(err); got != name {
			t.Errorf("%v is counted as %q, want %q", err, got, name)
		}
	}
	f(&client.StatusError{Code: 429}, true, "429")
	f(&client.StatusError{Code: 500, Reason: "InternalError"}, true, "InternalError")
	f(&client.StatusError{Code: 503}, true, "503")
	f(&client.StatusError{Code: 403, Reason: "Forbidden"}, false, "Forbidden")
	f(&client.StatusError{Code: 409, Reason: "AlreadyExists"}, false, "AlreadyExists")
	f(errors.New("connection reset"), true, "no answer")
}

// Only what the control plane refuses, or leaves without an answer, is a stall.
func TestGaveUp(t *testing.T) {
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	f := func(ctx context.Context, err error, want bool) {
		t.Helper()
		var stall *StallError
		got := gaveUp(ctx, &client.Request{Verb: "create"}, 9, err)
		if errors.As(got, &stall) != want || !errors.Is(got, err) {
			t.Errorf("%v: stall %v, want %v", got, !want, want)
		}
	}
	f(t.Context(), &client.StatusError{Code: 503}, true)
	f(t.Context(), errors.New("connection refused"), true)
	f(t.Context(), &client.StatusError{Code: 403, Reason: "Forbidden"}, false)
	f(t.Context(), &net.OpError{Op: "dial", Err: os.NewSyscallError("socket", syscall.EMFILE)}, false)
	f(ended, errors.New("connection refused"), false)
}

func TestQuantiles(t *testing.T) {
	f := func(n int, want Quantiles) {
		t.Helper()
		var d []time.Duration
		for i := n; i > 0; i-- {
			d = append(d, time.Duration(i))
		}
		if got := quantiles(d); got != want {
			t.Errorf("of 1..%d: %+v, want %+v", n, got, want)
		}
	}
	f(0, Quantiles{})
	f(1, Quantiles{1, 1, 1, 1})
	f(2, Quantiles{2, 1, 2, 2})
	f(100, Quantiles{100, 50, 99, 100})
	f(200, Quantiles{200, 100, 198, 200})
}
