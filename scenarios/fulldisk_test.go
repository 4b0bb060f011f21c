package scenarios

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/results"
)

// A full disk breaks one thing after another; a person reads one line of it, and all
// that has other reasons.
func TestOneFullDisk(t *testing.T) {
	store := &lostStore{fmt.Errorf("etcd died: %w", syscall.ENOSPC)}
	stop := fmt.Errorf("stop: etcd had died: %w", syscall.ENOSPC)
	save := fmt.Errorf("save run: %w", syscall.ENOSPC)
	left := errors.New("pid 7 is still there")
	const full = "the disk is full: the store lost a member that nobody stopped: etcd died: no space left on device"
	f := func(err error, want string) {
		t.Helper()
		for range 2 { // it may be asked again
			err = oneFullDisk(err)
		}
		if got := fmt.Sprint(err); got != want {
			t.Errorf("it says %q, want %q", got, want)
		}
	}
	f(nil, "<nil>")
	f(left, left.Error())
	f(errors.Join(left, left), left.Error()+"\n"+left.Error())
	f(save, "the disk is full: save run: no space left on device")
	f(errors.Join(store, stop), full)
	f(errors.Join(errors.Join(store, stop), errors.Join(nil, save)), full)
	f(errors.Join(oneFullDisk(errors.Join(store, stop)), oneFullDisk(save)), full)
	f(errors.Join(store, errors.Join(stop, left), save), full+"\n"+left.Error())
	f(fmt.Errorf("phase hold: %w and %w", save, left), "the disk is full: phase hold: save run: no space left on device and pid 7 is still there")
	var lost *lostStore
	if !errors.As(oneFullDisk(errors.Join(store, save)), &lost) {
		t.Error("what came first is hidden")
	}
}

// A run whose history can be written no more ends: it could only become Invalid, after
// hours perhaps.
func TestALostHistoryEndsTheRun(t *testing.T) {
	dir := t.TempDir()
	r, err := newRecording(dir, false, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(dir, historyDir)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	go func() {
		r.store.StoreOp(&history.StoreOp{})
		r.archive.Flush()
	}()
	watchHistory(ctx, r, cancel)
	x := &execution{plan: &Plan{}, run: &results.Run{}}
	err = x.reason(ctx, phaseHold, context.Canceled)
	var lost *lostHistory
	if !errors.As(err, &lost) || !errors.Is(err, os.ErrNotExist) || !x.interrupted {
		t.Errorf("it ends because of %v, interrupted %v", err, x.interrupted)
	}
	if v := x.judgePlan(err); v.Outcome != checkers.Invalid || ExitStatus(v.Outcome, err) != ExitHarness {
		t.Errorf("%v, status %d", v, ExitStatus(v.Outcome, err))
	}
	watchHistory(t.Context(), nil, cancel) // of a run that keeps none
}
