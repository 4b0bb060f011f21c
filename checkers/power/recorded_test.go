package power

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// TestRecorded tells the lies of the catalogue in the storage histories of recorded
// runs: PLANECHECK_POWER_RUNS lists their directories, with colons between them.
func TestRecorded(t *testing.T) {
	dirs := filepath.SplitList(os.Getenv("PLANECHECK_POWER_RUNS"))
	if len(dirs) == 0 {
		t.Skip("PLANECHECK_POWER_RUNS names no recorded runs")
	}
	r, err := RunRecorded(context.Background(), dirs, 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("\n%s", r.Table())
	publish(t, r)
	check(t, r)
	for _, g := range r.Lacking() {
		t.Errorf("%s: no mutant counted in %d recorded runs", g, len(dirs))
	}
}

// A guarantee of which no lie was told, or only such as are none, is named; one that
// recorded runs need not have a place for is not, unless the histories were made to.
func TestLacking(t *testing.T) {
	full := &Report{Recorded: true}
	for _, g := range Guarantees() {
		full.Mutants = append(full.Mutants, Mutant{Lie: Lie{Breaks: g}, Fate: Caught})
	}
	f := func(recorded bool, change func(*Mutant) bool, want ...string) {
		t.Helper()
		r := &Report{Recorded: recorded}
		for _, m := range full.Mutants {
			if change(&m) {
				r.Mutants = append(r.Mutants, m)
			}
		}
		if got := r.Lacking(); !slices.Equal(got, want) {
			t.Errorf("lacking are %q, want %q", got, want)
		}
	}
	without := func(names ...string) func(*Mutant) bool {
		return func(m *Mutant) bool { return !slices.Contains(names, m.Lie.Breaks) }
	}
	equivalent := func(g string) func(*Mutant) bool {
		return func(m *Mutant) bool {
			if m.Lie.Breaks == g {
				m.Fate = Equivalent
			}
			return true
		}
	}
	f(true, without())
	f(true, without("LeaseHonest", "Atomic"), "LeaseHonest")
	f(false, without("LeaseHonest", "Atomic"), "LeaseHonest", "Atomic")
	f(true, equivalent("Durable"), "Durable")
	for g, why := range placeless {
		if !slices.Contains(Guarantees(), g) || why == "" {
			t.Errorf("%s need have no place: %q", g, why)
		}
	}
}

// A teller that is given the facts of a history tells what one tells that learns
// them, and leaves them as they were.
func TestTellerOfFacts(t *testing.T) {
	b := base{name: "1", h: generate(1), bounds: etcdBounds()}
	b.facts = learn(b.h)
	for _, lie := range Catalogue() {
		learned, ok := tell(lie, base{name: "1", h: b.h, bounds: b.bounds}, 3)
		given, also := tell(lie, b, 3)
		learned.Why, given.Why = "", "" // the model may come to another of several keys first
		if ok != also || given.String() != learned.String() {
			t.Errorf("learned: %s\ngiven: %s", learned, given)
		}
	}
}
