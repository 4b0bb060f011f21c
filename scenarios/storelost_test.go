package scenarios

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/planecheck/planecheck/apiserver/storage"
	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/results"
)

// backendThatDies is one of which a death is told.
type backendThatDies struct {
	storage.Backend
	deaths chan error
}

func (b backendThatDies) Died() <-chan error { return b.deaths }

// A store that ends by itself fails the run; one that may have died of the plan's
// own faults, or of a full disk, proves nothing.
func TestAStoreThatDies(t *testing.T) {
	f := func(cause string, plan Plan, want checkers.Outcome) {
		t.Helper()
		backend, err := storage.Open("etcd:members=1", storage.Options{Dir: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		b := backendThatDies{backend, make(chan error, 1)}
		b.deaths <- errors.New(cause)
		x := &execution{plan: &plan, run: &results.Run{}, backend: b}
		ctx, cancel := context.WithCancelCause(t.Context())
		watchStore(ctx, b, cancel)
		// The phase has failed before anybody saw why.
		err = x.reason(ctx, phaseFill, errors.New("connection refused"))
		if err == nil || !strings.Contains(err.Error(), cause) || !x.interrupted {
			t.Errorf("%v, interrupted %v", err, x.interrupted)
		}
		for _, v := range []checkers.Verdict{x.judgeStore(), x.judgePlan(err)} {
			if v.Outcome != want || !strings.Contains(v.Detail, cause) {
				t.Errorf("%s %v: %s, %q; want %s", cause, plan.Interventions, v.Outcome, v.Detail, want)
			}
		}
		if v := x.judgeComponents(); v.Outcome == checkers.Fail {
			t.Errorf("blamed on a component: %q", v.Detail)
		}
	}
	f("kine died: exit status 1: FATAL", Plan{}, checkers.Fail)
	f("kine died: exit status 1: FATAL", Plan{Interventions: []Intervention{{Fault: "member-kill"}}}, checkers.Invalid)
	f("etcd died: write wal: no space left on device", Plan{}, checkers.Invalid)
	f("kine died: FATAL: database or disk is full (13)", Plan{}, checkers.Invalid)
}

func TestAStoreThatLives(t *testing.T) {
	f := func(spec string, want checkers.Outcome) {
		t.Helper()
		b, err := storage.Open(spec, storage.Options{Dir: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		x := &execution{plan: &Plan{}, backend: b}
		if got := x.judgeStore(); got.Outcome != want {
			t.Errorf("%s: %v, want %s", spec, got, want)
		}
	}
	f("etcd", checkers.Pass)
	f("etcd:proxy=on", checkers.Pass)
	f("kine-sqlite", checkers.Pass)
	f("memory", checkers.NotExercised)
	f("memory:proxy=on", checkers.NotExercised)
	if got := (&execution{plan: &Plan{}}).judgeStore(); got.Outcome != checkers.Invalid {
		t.Errorf("no store: %v", got)
	}
}
