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

// A guarantee of which no lie was told, or only such as are none, is named.
func TestLacking(t *testing.T) {
	f := func(lacking string, fate Fate, want ...string) {
		t.Helper()
		r := &Report{Recorded: true}
		for _, g := range Guarantees() {
			m := Mutant{Lie: Lie{Breaks: g}, Fate: Caught}
			if g == lacking {
				m.Fate = fate
			}
			if m.Fate != "" {
				r.Mutants = append(r.Mutants, m)
			}
		}
		if got := r.Lacking(); !slices.Equal(got, want) {
			t.Errorf("%s %q: lacking are %q, want %q", lacking, fate, got, want)
		}
	}
	f("", Caught)
	f("LeaseHonest", "", "LeaseHonest")
	f("Atomic", Equivalent, "Atomic")
	f("Durable", Survived)
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
