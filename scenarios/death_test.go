package scenarios

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/planecheck/planecheck/apiserver"
	"github.com/planecheck/planecheck/results"
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

// Ctrl-C is how `up` is meant to end; that something is left running is not.
func TestEndOfUp(t *testing.T) {
	left := errors.New("stop kube-apiserver-0: pid 7 is still there")
	f := func(ended, stopped error, want ...error) {
		t.Helper()
		got := endOfUp(ended, stopped)
		if (got == nil) != (len(want) == 0) {
			t.Errorf("ended by %v, stopped with %v: %v", ended, stopped, got)
		}
		for _, w := range want {
			if !errors.Is(got, w) {
				t.Errorf("ended by %v, stopped with %v: %v, want %v in it", ended, stopped, got, w)
			}
		}
	}
	f(ErrInterrupted, nil)
	f(fmt.Errorf("start control plane: %w", ErrInterrupted), nil)
	f(ErrInterrupted, left, left)
	f(death, nil, death)
	f(death, left, death, left)
}
