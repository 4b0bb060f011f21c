package power

import (
	"context"
	"errors"
	"os"
	"strconv"
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
		if all := r.Mutants.Guarantee(g); all.Tried() < cfg.Mutants || r.Mutants.Kinds(g) < 3 {
			t.Errorf("%s: only %d mutants of %d kinds counted", g, all.Tried(), r.Mutants.Kinds(g))
		}
	}
}

// check asks of a report what the checkers promise, wherever lies were told.
func check(t *testing.T, r *Report) {
	t.Helper()
	for _, alarm := range append(r.FalseAlarms, r.FalseObjections...) {
		t.Errorf("without a lie: %s", alarm)
	}
	for _, weak := range r.Mutants.Weak(Guarantees()) {
		t.Error(weak)
	}
	for _, m := range r.Mutants.Disputes() {
		t.Errorf("the model accepts what a checker fails: %s", m)
	}
	for _, m := range r.Mutants {
		for _, bare := range m.Bare {
			t.Errorf("without a table of what happened: %s (%s)", bare, m)
		}
	}
	for _, m := range r.Mutants.Missed() {
		t.Log(m)
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
