package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/checkers/power/tally"
)

// What make seeds and make power call leaves the clean runs in a file, and prints
// the table with them.
func TestRun(t *testing.T) {
	dir, clean := t.TempDir(), filepath.Join(t.TempDir(), "clean.json")
	p := tally.Part{Rows: []tally.Row{{Area: checkers.AreaStore, Guarantee: "Order", Caught: 1, Tried: 1}}, Clean: 1, CleanOf: "histories"}
	for _, name := range []string{"power-store.md", "power-api.md", "power-histories.md", "power-etcd.md", "api-lies.md", "broken.md"} {
		if err := p.Save(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	one := t.TempDir()
	text := `{"ended":"2026-11-23T00:00:01Z","versions":{"planecheck":"abc"},"verdict":{"outcome":"Pass"}}`
	if err := os.WriteFile(filepath.Join(one, "run.json"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	says := func(args ...string) string {
		t.Helper()
		var out strings.Builder
		if err := run(args, &out); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	if got := says("-parts", dir, "-seeds", clean); !strings.Contains(got, "| store | Order | 1 / 1 | 2 / 2 | 3 / 3 |") || strings.Contains(got, "make seeds") {
		t.Errorf("without seeds: %s", got)
	}
	if got := says("-parts", dir, "-unproven"); !strings.HasPrefix(got, "Unproven live, for no lie breaks it: Replay, ") || !strings.Contains(got, "SameEnd") {
		t.Errorf("-unproven says %s", got)
	}
	if got := says("-runs", "make seeds", "-save", clean, one, one); got != "" {
		t.Errorf("-save says %q", got)
	}
	got := says("-parts", dir, "-seeds", clean, "-runs", "make power", one)
	for _, want := range []string{"0 over 1 runs of a control plane that passed, 0 of them with faults (make power, 2026-11-23, planecheck abc)", "0 over 2 runs of a control plane that passed, 0 of them with faults (make seeds,"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in %s", want, got)
		}
	}
	if err := os.WriteFile(clean, []byte("{"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"-parts", dir, "-seeds", clean}, {"-parts", t.TempDir()}, {"-save", clean}, {"-parts", dir, t.TempDir()}, {"-nothing"}} {
		if err := run(args, &strings.Builder{}); err == nil {
			t.Errorf("%q passes", args)
		}
	}
}
