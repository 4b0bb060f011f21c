package lies

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/checkers/power/tally"
	checker "github.com/planecheck/planecheck/checkers/storage"
	"github.com/planecheck/planecheck/checkers/storage/watch"
)

// Runs that are made at once: a run mostly waits for the disk and for elections.
const together = 8

// more multiplies the number of seeds.
const more = "PLANECHECK_LIES_SEEDS"

func seeds(t *testing.T) int {
	t.Helper()
	text := os.Getenv(more)
	if text == "" {
		return 1
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("%s=%q: a number of seeds is wanted", more, text)
	}
	return n
}

// all makes the runs and returns their outcomes in order.
func all(t *testing.T, runs []run) []*outcome {
	t.Helper()
	outcomes := make([]*outcome, len(runs))
	next := make(chan int)
	var workers sync.WaitGroup
	dir := t.TempDir()
	for range together {
		workers.Go(func() {
			for i := range next {
				outcomes[i] = runs[i].live(t.Context(), filepath.Join(dir, strconv.Itoa(i)))
			}
		})
	}
	for i := range runs {
		next <- i
	}
	close(next)
	workers.Wait()
	return outcomes
}

// TestCatalogue tells every lie on a live run, and none on some: the checkers
// must see each lie, for what it is, and nothing where none is told.
func TestCatalogue(t *testing.T) {
	runs := cleanRuns(4 * seeds(t))
	for i := range Catalogue() {
		for seed := range seeds(t) {
			l := Catalogue()[i]
			runs = append(runs, run{name: l.Name, seed: uint64(1 + seed), members: l.Members, lie: &l})
		}
	}
	var table strings.Builder
	fmt.Fprintf(&table, "%-28s %5s %6s %6s %6s  %s\n", "lie", "told", "ops", "watch", "caught", "failed guarantees")
	alarms, counts := 0, map[string]*[2]int{}
	for i, o := range all(t, runs) {
		r := runs[i]
		if o.err != nil {
			t.Errorf("%s, seed %d: %v", r.name, r.seed, o.err)
			continue
		}
		caught := "-"
		if r.lie == nil {
			alarms += checkClean(t, r, o)
		} else {
			err := judged(r, o)
			if caught = "yes"; err != nil {
				caught = "NO"
				t.Errorf("%s, seed %d: %v", r.name, r.seed, err)
			}
			count(counts, r, o)
		}
		fmt.Fprintf(&table, "%-28s %5d %6d %6d %6s  %s (%.1fs)\n", r.name, o.told, o.operations, o.messages, caught,
			strings.Join(o.named(checkers.Fail), " "), o.took.Seconds())
	}
	var summary strings.Builder
	fmt.Fprintf(&summary, "| guarantee | runs with a lie that breaks it | caught |\n|---|---|---|\n")
	part := tally.Part{Clean: 4 * seeds(t), CleanOf: "live runs of a store", FalseAlarms: alarms}
	for _, g := range slices.Sorted(maps.Keys(counts)) {
		fmt.Fprintf(&summary, "| %s | %d | %d |\n", g, counts[g][1], counts[g][0])
		part.Rows = append(part.Rows, tally.Row{Area: checkers.AreaStore, Guarantee: g, Caught: counts[g][0], Tried: counts[g][1]})
	}
	fmt.Fprintf(&summary, "\n%d runs with a lie. False alarms: %d in %d runs without one. Unproven, because no lie breaks them: %s.\n",
		len(runs)-4*seeds(t), alarms, 4*seeds(t), strings.Join(unproven(), ", "))
	t.Logf("\n%s\n%s", table.String(), summary.String())
	if path := os.Getenv("PLANECHECK_POWER_TABLE"); path != "" {
		if err := errors.Join(os.WriteFile(path, []byte(summary.String()), 0o644), part.Save(path)); err != nil {
			t.Error(err)
		}
	}
}

// count notes for each guarantee that a lie breaks whether it was caught.
func count(counts map[string]*[2]int, r run, o *outcome) {
	for _, g := range r.lie.Breaks {
		if counts[g] == nil {
			counts[g] = &[2]int{}
		}
		if slices.Contains(o.named(checkers.Fail), g) {
			counts[g][0]++
		}
		counts[g][1]++
	}
}

// cleanRuns are runs without a lie, every fourth of them with three members.
func cleanRuns(n int) []run {
	var runs []run
	for seed := range n {
		r := run{name: "none", seed: uint64(1 + seed)}
		if seed%4 == 0 {
			r.members = 3
		}
		runs = append(runs, r)
	}
	return runs
}

// checkClean wants a Pass of everything that can be judged, and returns the
// number of false alarms.
func checkClean(t *testing.T, r run, o *outcome) int {
	t.Helper()
	alarms := 0
	for _, v := range o.verdicts {
		if v.Outcome == checkers.Fail {
			alarms++
		}
		// Fresh needs a bound, which would make this a test of the machine.
		if v.Outcome != checkers.Pass && v.Guarantee != string(watch.Fresh) {
			t.Errorf("no lie, %d members, seed %d: %s (%s)", r.members, r.seed, v, v.Checked)
		}
	}
	return alarms
}

// judged says what the verdicts of a run with a lie are worth: nil if the lie
// was told and every guarantee that it breaks failed.
func judged(r run, o *outcome) error {
	if o.told == 0 {
		return errors.New("Invalid: the lie was never told")
	}
	failed := o.named(checkers.Fail)
	for _, g := range r.lie.Breaks {
		if !slices.Contains(failed, g) {
			return fmt.Errorf("told %d times, and %s did not fail; failed: %q", o.told, g, failed)
		}
	}
	return nil
}

// unproven are the guarantees that no lie of the catalogue breaks.
func unproven() []string {
	var names []string
	for _, v := range (&memory{}).judge() {
		breaks := func(l Lie) bool { return slices.Contains(l.Breaks, v.Guarantee) }
		if !slices.ContainsFunc(Catalogue(), breaks) {
			names = append(names, v.Guarantee)
		}
	}
	return names
}

// TestCatalogueIsComplete compares the names in the catalogue with those of the
// checkers, and says which guarantees no lie breaks.
func TestCatalogueIsComplete(t *testing.T) {
	var known []string
	for _, v := range (&memory{}).judge() {
		known = append(known, v.Guarantee)
	}
	names := map[string]bool{}
	for _, l := range Catalogue() {
		if names[l.Name] || l.Name == "" {
			t.Errorf("the name %q is not one lie's own", l.Name)
		}
		names[l.Name] = true
		if len(l.Breaks) == 0 {
			t.Errorf("%s breaks nothing", l.Name)
		}
		for _, g := range l.Breaks {
			if !slices.Contains(known, g) {
				t.Errorf("%s breaks %q, which nobody judges", l.Name, g)
			}
		}
	}
	if got, want := unproven(), []string{string(watch.Fresh)}; !slices.Equal(got, want) {
		t.Errorf("unproven: %q, want %q", got, want)
	}
}

// TestWhatCounts makes sure that a lie which nobody noticed cannot look caught.
func TestWhatCounts(t *testing.T) {
	r := run{lie: &Lie{Name: "example", Breaks: []string{checker.Order, checker.Reads}}}
	f := func(told int, want bool, failed ...string) {
		t.Helper()
		o := &outcome{told: told}
		for _, g := range failed {
			o.verdicts = append(o.verdicts, checkers.Verdict{Guarantee: g, Outcome: checkers.Fail})
		}
		o.verdicts = append(o.verdicts, checkers.Verdict{Guarantee: checker.Replay, Outcome: checkers.Pass})
		if err := judged(r, o); (err == nil) != want {
			t.Errorf("told %d times, failed %q: %v", told, failed, err)
		}
	}
	f(1, true, checker.Order, checker.Reads)
	f(1, true, checker.Order, checker.Replay, checker.Reads)
	f(0, false, checker.Order, checker.Reads)
	f(1, false, checker.Order)
	f(1, false, checker.Durable)
	f(1, false)
}

// TestTruth sends the traffic past somebody who has nothing to tell.
func TestTruth(t *testing.T) {
	r := run{name: "truth", seed: 1, lie: &Lie{Breaks: []string{checker.Order}}}
	o := r.live(t.Context(), t.TempDir())
	if o.err != nil {
		t.Fatal(o.err)
	}
	if failed := o.named(checkers.Fail); o.told != 0 || len(failed) > 0 || judged(r, o) == nil {
		t.Errorf("told %d times, failed %q: %v", o.told, failed, judged(r, o))
	}
}

// TestMemory sends the traffic to the store in memory, which must keep every
// guarantee that etcd keeps.
func TestMemory(t *testing.T) {
	var runs []run
	for seed := range 8 * seeds(t) {
		runs = append(runs, run{name: "memory", seed: uint64(1 + seed), spec: "memory"})
	}
	for i, o := range all(t, runs) {
		if o.err != nil {
			t.Errorf("seed %d: %v", runs[i].seed, o.err)
			continue
		}
		checkClean(t, runs[i], o)
	}
}

// TestRarely counts how often a lie is told that could always be told, and how
// long until it is told first.
func TestRarely(t *testing.T) {
	const chances = 10_000
	f := func(every int) {
		t.Helper()
		l := Lie{every: every}.Begin(rand.New(rand.NewPCG(1, uint64(every))))
		first := -1
		for i := range chances {
			if l.turn() {
				l.tell()
				if first < 0 {
					first = i
				}
			}
		}
		if want := chances / max(every, 1); l.Told() < want*9/10 || l.Told() > want*11/10 {
			t.Errorf("every %d: told %d times of %d", every, l.Told(), chances)
		}
		if first < 0 || first >= max(every, 1) {
			t.Errorf("every %d: first told at opportunity %d", every, first)
		}
	}
	f(0)
	f(1)
	f(2)
	f(10)
	f(50)
}
