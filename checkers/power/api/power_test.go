package apipower

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"testing"
)

// TestPower tells lies in recorded runs: PLANECHECK_POWER_RUNS lists their
// directories, with colons between them, and PLANECHECK_POWER says how many
// mutants there are to be of each guarantee. Without it nothing is measured;
// that every lie is told and caught is what TestPipeline shows.
func TestPower(t *testing.T) {
	dirs := filepath.SplitList(os.Getenv("PLANECHECK_POWER_RUNS"))
	if len(dirs) == 0 {
		t.Skip("PLANECHECK_POWER_RUNS names no recorded runs")
	}
	quota := 200
	if v := os.Getenv("PLANECHECK_POWER"); v != "" {
		n, err := strconv.Atoi(v)
		if err != nil || n <= 0 {
			t.Fatalf("PLANECHECK_POWER=%q is no number of mutants", v)
		}
		quota = n
	}
	var bases []*Base
	for _, dir := range dirs {
		b, err := Load(dir)
		if err != nil {
			t.Fatal(err)
		}
		bases = append(bases, b)
	}
	r, err := Run(context.Background(), bases, quota)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("\n%s", r.Table())
	if path := os.Getenv("PLANECHECK_POWER_TABLE"); path != "" {
		if err := errors.Join(os.WriteFile(path, []byte(r.Table()), 0o644), r.Tally().Save(path)); err != nil {
			t.Error(err)
		}
	}
	for _, alarm := range r.FalseAlarms {
		t.Errorf("without a lie: %s", alarm)
	}
	for _, why := range r.FalseObjections {
		t.Errorf("the model objects to a history without a lie: %s", why)
	}
	for _, g := range Guarantees() {
		c := r.Mutants.Guarantee(g)
		if c.Tried() < quota || r.Mutants.Kinds(g) < 3 {
			t.Errorf("%s: only %d mutants of %d kinds counted", g, c.Tried(), r.Mutants.Kinds(g))
		}
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
