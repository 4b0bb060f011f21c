package scenarios

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/scenarios/endstate"
)

// A twin has the world of the plan that it is the twin of, flags and leases of its
// faults included, and none of the faults.
func TestTwinPlan(t *testing.T) {
	args, leases := 0, 0
	for _, s := range Registry() {
		if !s.Twin {
			continue
		}
		plain := s
		plain.Interventions = nil
		p, twin, bare := mustPlan(t, s, DefaultOptions()), mustPlan(t, s.twin(), DefaultOptions()), mustPlan(t, plain, DefaultOptions())
		if len(twin.Interventions) > 0 || !twin.Judge.Faultless || twin.Judge.Restores {
			t.Errorf("%s has faults: %v, %+v", twin.Scenario, twin.Interventions, twin.Judge)
		}
		a, err := json.Marshal(p.World)
		if err != nil {
			t.Fatal(err)
		}
		b, err := json.Marshal(twin.World)
		if err != nil {
			t.Fatal(err)
		}
		if string(a) != string(b) {
			t.Errorf("%s differs:\n%s\n%s", twin.Scenario, a, b)
		}
		if !slices.Equal(p.World.APIServerArgs, bare.World.APIServerArgs) {
			args++
		}
		if p.World.LeaderLease != bare.World.LeaderLease {
			leases++
		}
	}
	if args == 0 || leases == 0 {
		t.Errorf("%d plans have flags for their faults, and %d other leases", args, leases)
	}
}

// A run that ends otherwise than its twin fails, however long it is looked at, and
// says by what; one that comes to the same end passes.
func TestSameEnd(t *testing.T) {
	state := func(names ...string) *endstate.State {
		s := &endstate.State{Resources: []string{"configmaps"}}
		for _, name := range names {
			s.Entries = append(s.Entries, endstate.Entry{Resource: "configmaps", Namespace: "shop", Name: name, Content: json.RawMessage(`{"data":{}}`)})
		}
		return s
	}
	other := state("a", "b")
	other.Entries[1].Content = json.RawMessage(`{"data":{"x":"y"}}`)
	f := func(want checkers.Outcome, detail string, looks ...*endstate.State) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) { comesTo(t, &twins{want: state("a", "b")}, want, detail, looks) })
	}
	f(checkers.Pass, "", state("a", "b"))
	f(checkers.Fail, "shop/b", state("a"))
	f(checkers.Fail, "shop/c", state("a", "b", "c"))
	f(checkers.Fail, "shop/b", other)
	f(checkers.Fail, "shop/b", state("a"), nil)
	f(checkers.Pass, "", state("a"), state("a", "b"))
	f(checkers.Invalid, "no answer", nil)
}

// comesTo looks at states, until the time is over with the last, and holds what the
// verdict is then; nil: there is no answer.
func comesTo(t *testing.T, e *twins, want checkers.Outcome, detail string, looks []*endstate.State) {
	t.Helper()
	n := 0
	e.settle(t.Context(), func(ctx context.Context) (*endstate.State, error) {
		if n++; n == len(looks) {
			<-ctx.Done()
		}
		if looks[n-1] == nil {
			return nil, errors.New("no answer")
		}
		return looks[n-1], nil
	})
	if v := e.judge(); v.Outcome != want || !strings.Contains(v.Detail, detail) || n != len(looks) {
		t.Errorf("after %d looks: %s, want %s with %q", n, v, want, detail)
	}
}

// An end that was not looked at for as long as it had may have come to be another one.
func TestSameEndOfARunThatIsCutShort(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	e := &twins{want: &endstate.State{}}
	e.settle(ctx, func(context.Context) (*endstate.State, error) {
		cancel(ErrInterrupted)
		return &endstate.State{Entries: []endstate.Entry{{Resource: "configmaps", Name: "a"}}}, nil
	})
	if v := e.judge(); v.Outcome != checkers.Invalid {
		t.Error(v)
	}
}
