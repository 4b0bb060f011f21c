package scenarios

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/planecheck/planecheck/apiserver"
	"github.com/planecheck/planecheck/apiserver/storage"
	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/results"
	"github.com/planecheck/planecheck/sim"
)

var death = &apiserver.ComponentError{
	Name: "kube-scheduler-0", State: "exit status 1", Started: true,
	LogFile: "logs/kube-scheduler-0.log", Lines: []string{"E1123 leaderelection lost"},
}

// The death of a component ends the run, and a person reads of it then, before
// anything is torn down.
func TestADeathIsToldAtOnce(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	deaths := make(chan *apiserver.ComponentError, 1)
	deaths <- death
	var out bytes.Buffer
	say := func(cause error) {
		if context.Cause(ctx) == nil {
			t.Error("it was told of before the run was ended: a terminal that takes its time would delay the end")
		}
		fmt.Fprint(&out, cause)
	}
	watchPlane(ctx, deaths, announced(cancel, say))
	if !componentDied(ctx) {
		t.Errorf("the run ends because of %v", context.Cause(ctx))
	}
	for _, want := range []string{"kube-scheduler-0 died", "exit status 1", "logs/kube-scheduler-0.log", "leaderelection lost"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the person read %q, without %q", out.String(), want)
		}
	}
}

// A death that no phase has met fails the run all the same.
func TestADeathBehindTheLastPhase(t *testing.T) {
	f := func(cause error, want checkers.Outcome) {
		t.Helper()
		ctx, cancel := context.WithCancelCause(t.Context())
		defer cancel(nil)
		if cause != nil {
			cancel(cause)
		}
		x := &execution{plan: &Plan{}, run: &results.Run{}}
		err := x.survived(ctx)
		if !errors.Is(err, cause) {
			t.Errorf("it ended because of %v, want %v", err, cause)
		}
		if got := x.judgePlan(err).Outcome; got != want {
			t.Errorf("%v: the plan is judged %s, want %s", cause, got, want)
		}
		if died := x.judgeComponents().Outcome == checkers.Fail; died != (want == checkers.Fail) {
			t.Errorf("%v: a component died: %v", cause, died)
		}
	}
	f(nil, checkers.Pass)
	f(death, checkers.Fail)
	f(ErrInterrupted, checkers.Invalid)
}

// A death fails the run also where it comes before the first phase.
func TestADeathBeforeTheFirstPhase(t *testing.T) {
	x := &execution{plan: &Plan{}, run: &results.Run{}, m: &measurement{}}
	x.cluster = &cluster{plane: &apiserver.ControlPlane{}, layer: deafLayer(t, func() {})}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(death)
	err := x.prepareLoad(ctx)
	for _, v := range []checkers.Verdict{x.judgePlan(err), x.judgeComponents()} {
		if v.Outcome != checkers.Fail || !strings.Contains(v.Detail, death.Name) {
			t.Error(v)
		}
	}
	if x.run.Death == nil {
		t.Error("the record of the run knows of no death")
	}
}

// So does that of a store with which the run has no more to do than to end.
func TestADeathBehindTheTrafficOfTheStore(t *testing.T) {
	backend, err := storage.Open("etcd:members=1", storage.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	x := &execution{plan: &Plan{Storage: &StoragePlan{Alone: true}}, run: &results.Run{}, dir: &results.Dir{Path: t.TempDir()}}
	x.cluster, x.backend = &cluster{backend: backend}, backend
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(&lostStore{errors.New("kine died")})
	err = x.testStore(ctx)
	for _, v := range []checkers.Verdict{x.judgePlan(err), x.judgeStore()} {
		if v.Outcome != checkers.Fail || !strings.Contains(v.Detail, "kine died") {
			t.Error(v)
		}
	}
}

// The record of a run says how long after a death it began to end; one that nobody died
// in says nothing.
func TestHowLongAfterADeathTheRunEnds(t *testing.T) {
	died := *death
	died.Ended = history.Time(5 * time.Second)
	f := func(cause error, want *results.Death) {
		t.Helper()
		var log bytes.Buffer
		x := &execution{plan: &Plan{}, run: &results.Run{}, log: slog.New(slog.NewTextHandler(&log, nil))}
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(cause)
		if err := x.reason(ctx, phaseHold, errors.New("connection refused")); !errors.Is(err, cause) {
			t.Errorf("it ended because of %v, want %v", err, cause)
		}
		x.tearsDown(died.Ended.Add(30 * time.Millisecond))
		if diff := cmp.Diff(want, x.run.Death); diff != "" {
			t.Error(diff)
		}
		if !strings.Contains(log.String(), "teardown begins") || strings.Contains(log.String(), "after=30.0ms") != (want != nil) {
			t.Errorf("the log says %s", &log)
		}
	}
	f(&died, &results.Death{
		Component: "kube-scheduler-0", State: "exit status 1", Ended: died.Ended, Teardown: results.Seconds(30 * time.Millisecond),
	})
	f(ErrInterrupted, nil)
}

// An interrupted phase is measured to its end; a plane with a death in it is not
// asked for anything, nor waited for.
func TestWhoseMetricsAreReadAtTheEnd(t *testing.T) {
	read := map[string]*results.Scrape{"kube-apiserver-0": nil}
	f := func(what string, cause, duringScrape error, asked, cut bool) {
		t.Helper()
		ctx, cancel := context.WithCancelCause(t.Context())
		if cause != nil {
			cancel(cause)
		}
		wasAsked := false
		got := lastScrape(ctx, func(scraping context.Context) map[string]*results.Scrape {
			wasAsked = true
			if duringScrape != nil {
				cancel(duringScrape)
			}
			if cut {
				<-scraping.Done() // of a server that does not answer
			} else if err := scraping.Err(); err != nil {
				t.Errorf("%s: the scrape was cut short: %v", what, err)
			}
			return read
		})
		if wasAsked != asked || (got != nil) != asked {
			t.Errorf("%s: asked %v, got %v; want %v", what, wasAsked, got, asked)
		}
		cancel(nil)
	}
	f("a phase that ended", nil, nil, true, false)
	f("an interrupted phase", ErrInterrupted, nil, true, false)
	f("a death before", death, nil, false, false)
	f("a death meanwhile", nil, death, true, true)
	f("an interruption meanwhile", nil, ErrInterrupted, true, false)
}

// Ctrl-C is how `up` is meant to end; that something is left running is not. What
// breaks the control plane fails it as it fails a run, and was told before: it is no
// error that would be told again.
func TestEndOfUp(t *testing.T) {
	left := errors.New("stop kube-apiserver-0: pid 7 is still there")
	f := func(ended, stopped error, outcome checkers.Outcome, status int, want ...error) {
		t.Helper()
		gotOutcome, got := endOfUp(ended, stopped)
		if gotOutcome != outcome || (got == nil) != (len(want) == 0) {
			t.Errorf("ended by %v, stopped with %v: %s, %v; want %s", ended, stopped, gotOutcome, got, outcome)
		}
		for _, w := range want {
			if !errors.Is(got, w) {
				t.Errorf("ended by %v, stopped with %v: %v, want %v in it", ended, stopped, got, w)
			}
		}
		if got := ExitStatus(gotOutcome, got); got != status {
			t.Errorf("ended by %v, stopped with %v: status %d, want %d", ended, stopped, got, status)
		}
	}
	f(ErrInterrupted, nil, checkers.Pass, ExitPass)
	f(fmt.Errorf("start control plane: %w", ErrInterrupted), nil, checkers.Pass, ExitPass)
	f(ErrInterrupted, left, checkers.Pass, ExitHarness, left)
	f(death, nil, checkers.Fail, ExitFail)
	f(death, left, checkers.Fail, ExitFail, left)
	f(fmt.Errorf("start control plane: %w", death), nil, checkers.Fail, ExitFail)
	f(&lostStore{errors.New("kine died")}, nil, checkers.Fail, ExitFail)
	f(fmt.Errorf("start simulated cluster: %w after 1m0s", sim.ErrNotReady), nil, checkers.Fail, ExitFail)
	full := &lostStore{syscall.ENOSPC}
	f(full, nil, checkers.Invalid, ExitHarness, full)
	f(left, nil, checkers.Invalid, ExitHarness, left)
}
