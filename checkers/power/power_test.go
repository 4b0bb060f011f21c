package power

import (
	"context"
	"errors"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/planecheck/planecheck/checkers/storage/storetest"
)

// size returns how much to run: PLANECHECK_POWER=full is what is published, a
// number is that many mutants per guarantee.
func size(t *testing.T) Config {
	switch v := os.Getenv("PLANECHECK_POWER"); v {
	case "":
		return Config{Histories: 10, Clean: 10, Mutants: 15}
	case "full":
		return Config{Histories: 20, Clean: 50, Mutants: 240}
	default:
		n, err := strconv.Atoi(v)
		if err != nil || n <= 0 {
			t.Fatalf("PLANECHECK_POWER=%q is neither full nor a number", v)
		}
		return Config{Histories: 10, Clean: 20, Mutants: n}
	}
}

// Of the mutants of each guarantee that guarantee catches at least 99 %, but for the
// lies that the checkers are known to miss, and nothing fails without a lie, nor where
// the model sees none.
func TestPower(t *testing.T) {
	cfg := size(t)
	r, err := Run(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("\n%s", r.Table())
	publish(t, r)
	check(t, r)
	for _, g := range Guarantees() {
		if all := r.Guarantee(g); all.Tried() < cfg.Mutants || r.Kinds(g) < 3 {
			t.Errorf("%s: only %d mutants of %d kinds counted", g, all.Tried(), r.Kinds(g))
		}
	}
}

// check asks of a report what the checkers promise, wherever lies were told.
func check(t *testing.T, r *Report) {
	t.Helper()
	for _, alarm := range append(r.FalseAlarms, r.FalseObjections...) {
		t.Errorf("without a lie: %s", alarm)
	}
	for _, weak := range r.Weak() {
		t.Error(weak)
	}
	for _, m := range r.Disputes() {
		t.Errorf("the model accepts what a checker fails: %s", m)
	}
	for _, m := range r.Mutants {
		for _, bare := range m.Bare {
			t.Errorf("without a table of what happened: %s (%s)", bare, m)
		}
		if m.Lie.Missed == "" && m.Fate != Caught && m.Fate != Equivalent {
			t.Log(m)
		}
	}
}

// publish writes the table to the file that make power asks for, and beside it
// what goes to the README.
func publish(t *testing.T, r *Report) {
	t.Helper()
	path := os.Getenv("PLANECHECK_POWER_TABLE")
	if path == "" {
		return
	}
	if err := errors.Join(os.WriteFile(path, []byte(r.Table()), 0o644), r.Tally().Save(path)); err != nil {
		t.Error(err)
	}
}

// What another guarantee catches is no kill.
func TestWeak(t *testing.T) {
	f := func(want bool, another, missed int) {
		t.Helper()
		lie := Catalogue()[0]
		known := lie
		known.Missed = "an open finding"
		r := &Report{Mutants: slices.Concat(
			slices.Repeat([]Mutant{{Lie: lie, Fate: Caught}}, 100-another), slices.Repeat([]Mutant{{Lie: lie, Fate: ByAnother}}, another),
			slices.Repeat([]Mutant{{Lie: known, Fate: Survived}}, missed),
		)}
		if got := r.Weak(); (len(got) > 0) != want {
			t.Errorf("%d of 100 by another, %d known to be missed: weak are %q", another, missed, got)
		}
	}
	f(false, 1, 0)
	f(true, 2, 0)
	f(false, 1, 20)
}

// A mutant that the model accepts and a checker fails is named, and is a finding unless
// the lie says why the model knows less.
func TestDisputes(t *testing.T) {
	lie := Catalogue()[0]
	r := &Report{Mutants: []Mutant{
		{Lie: lie, Fate: Equivalent}, {Lie: lie, Fate: Equivalent, Failed: []string{"Reads"}}, {Lie: lie, Fate: Caught, Failed: []string{"Order"}},
	}}
	if got := r.Disputes(); len(got) != 1 || !slices.Equal(got[0].Failed, []string{"Reads"}) {
		t.Errorf("disputed are %v", got)
	}
	for _, line := range []string{
		"Acquitted: Order, two writes share a revision: 2 times",
		"Disputed: Order, two writes share a revision: of 2 that the model acquits failed Reads (1), and nothing explains it",
	} {
		if !strings.Contains(r.Table(), "\n"+line+".\n") {
			t.Errorf("no %q in\n%s", line, r.Table())
		}
	}
	r.Mutants[1].Lie.Lenient = "it is blind there"
	if got := r.Disputes(); len(got) != 0 {
		t.Errorf("explained, and yet disputed: %v", got)
	}
}

// Equal runs come to equal reports, so that a survivor can be looked at again.
func TestRunRepeats(t *testing.T) {
	var tables []string
	for range 2 {
		r, err := Run(context.Background(), Config{Histories: 1, Clean: 1, Mutants: 1, Seed: 30})
		if err != nil {
			t.Fatal(err)
		}
		tables = append(tables, r.Table())
	}
	if tables[0] != tables[1] {
		t.Errorf("two runs differ:\n%s\n%s", tables[0], tables[1])
	}
}

func TestRunStops(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Run(ctx, Config{}); !errors.Is(err, context.Canceled) {
		t.Errorf("a canceled run ended with %v", err)
	}
}

// Each guarantee has its kinds of lies, each with a name of its own.
func TestCatalogue(t *testing.T) {
	kinds := map[string]int{}
	names := map[string]bool{}
	for _, lie := range Catalogue() {
		kinds[lie.Breaks]++
		if names[lie.Breaks+lie.Name] {
			t.Errorf("%s, %s: twice in the catalogue", lie.Breaks, lie.Name)
		}
		names[lie.Breaks+lie.Name] = true
	}
	for g, n := range kinds {
		if n < 3 {
			t.Errorf("%s: %d kinds of lies", g, n)
		}
	}
}

// The model accepts what storetest makes, whatever its shape.
func TestModelAccepts(t *testing.T) {
	f := func(seed uint64, cfg storetest.Config) {
		t.Helper()
		for _, why := range objections(storetest.Generate(seed, cfg), etcdBounds()) {
			t.Errorf("seed %d: %s", seed, why)
		}
	}
	f(101, storetest.Config{})
	f(102, storetest.Config{Ops: 500, Raw: 0.9})
	f(103, storetest.Config{Unknown: 0.3})
	f(104, storetest.Config{Members: 1, Clients: 1})
	f(105, storetest.Config{Leased: 1, Think: 300 * time.Millisecond})
	f(106, storetest.Config{CompactEvery: 100 * time.Millisecond, Lag: 200 * time.Millisecond})
	f(107, storetest.Config{Keys: 90, Streams: 12})
}
