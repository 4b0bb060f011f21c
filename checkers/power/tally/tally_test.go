package tally

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/planecheck/planecheck/checkers"
)

// leave writes the parts of a small proof into a directory, as make power does.
func leave(t *testing.T, dir string) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	store := Part{
		Rows: []Row{
			{Area: checkers.AreaStore, Guarantee: "Ordered", Caught: 9, Tried: 10},
			{Area: checkers.AreaStore, Guarantee: "Fresh", Caught: 10, Tried: 10},
		},
		Disputed:  []string{Dispute("Ordered", "swap", [][]string{{"Reads"}, {"Order", "Reads"}, {"Reads"}}, 5, "the model is blind there")},
		Survivors: []string{Survivor("Fresh", "late", 2, 1, 5, "a finding")},
		Unproven:  []string{"Unproven: Fresh: never told"},
		Clean:     20, CleanOf: "generated histories",
	}
	must(store.Save(filepath.Join(dir, "power-store.md")))
	runs := Part{Rows: []Row{
		{Area: checkers.AreaAPI, Guarantee: "Ordered", Caught: 7, Tried: 7},
		{Area: checkers.AreaCluster, Guarantee: "OneLeader", Caught: 7, Tried: 7},
	}, Clean: 10, CleanOf: "recorded runs", FalseAlarms: 1}
	must(runs.Save(filepath.Join(dir, "power-api.md")))
	must(Part{Rows: []Row{{Area: checkers.AreaStore, Guarantee: "Ordered", Caught: 2, Tried: 3}}, Disputed: []string{Dispute("Unique", "twice", [][]string{{"Unique"}}, 1, "")}, Clean: 3, CleanOf: "histories of recorded runs"}.
		Save(filepath.Join(dir, "power-histories.md")))
	must(Part{Rows: []Row{{Area: checkers.AreaStore, Guarantee: "Ordered", Caught: 8, Tried: 8}}, Clean: 4, CleanOf: "live runs"}.
		Save(filepath.Join(dir, "power-etcd.md")))
	area := func(a string) func(string) string { return func(string) string { return a } }
	lies := filepath.Join(dir, "api-lies.md")
	must(Live(area(checkers.AreaAPI), []string{"Ordered"}, []string{"Unique", "Ordered"}).Append(lies))
	must(Live(area(checkers.AreaAPI), []string{"Ordered", "Unique"}, []string{"Ordered"}).Append(lies))
	must(Live(area(""), []string{"PriorityKept"}, []string{"PriorityKept", "Recovered"}).Append(filepath.Join(dir, "broken.md")))
}

const want = `| area | guarantee | mutants of store histories | mutants of recorded runs | live lies |
|---|---|--:|--:|--:|
| store | Ordered | 9 / 10 | 2 / 3 | 8 / 8 |
| store | Fresh | 10 / 10 |  |  |
| API | Ordered |  | 7 / 7 | 2 / 2 |
| API | Unique |  |  | 0 / 1 |
| cluster | OneLeader |  | 7 / 7 |  |
| run | Recovered |  |  |  |
| run | SameEnd |  |  |  |
| run | PriorityKept |  |  | 1 / 1 |
| all | | 19 / 20 | 16 / 17 | 11 / 12 |

Survivor: Fresh, late: 2 of 5 survived, 1 were caught by another only. Known: a finding.

Survivor: Unique did not fail in 1 of 1 live runs with a lie that breaks it.

Disputed: Ordered, swap: of 5 that the model acquits failed Order and Reads (1), Reads (2), because the model is blind there.

Disputed: Unique, twice: of 1 that the model acquits failed Unique (1), and nothing explains it.

Unproven live, for no lie breaks it: Fresh, OneLeader, Recovered, SameEnd.

Of these failed in a live run that breaks another: Recovered.

Unproven by mutants: Unique, Recovered, SameEnd, PriorityKept.

Unproven: Fresh: never told.

False alarms:

* 0 over 20 generated histories
* 1 over 10 recorded runs
* 0 over 3 histories of recorded runs
* 0 over 4 live runs
* 1 over 1 runs of a control plane that passed, 0 of them with faults (make seeds, 2026-11-23, planecheck bbb); beside them Fail: 1 (Exact: it was not); beside them Invalid: 2 (Resumable: 3 resumed watches, the floor is 20; cut short); below its floor, and so not judged, was in so many of them: Atomic (1), Resumable (1)
`

// runs writes four runs, of which the latest one comes first in the list and one passed.
func runs(t *testing.T) []string {
	t.Helper()
	write := func(name, text string) string {
		dir := filepath.Join(t.TempDir(), name)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "run.json"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	return []string{
		write("b", `{"ended":"2026-11-23T00:00:01Z","versions":{"planecheck":"bbb"},"plan":{"interventions":[{}]},"verdict":{"outcome":"Fail","guarantees":[
			{"area":"store","guarantee":"Atomic","outcome":"Not exercised"},{"area":"API","guarantee":"Exact","outcome":"Fail","detail":"it was not\nwith a table"},
			{"guarantee":"EveryPodRunning","outcome":"Pass"}]}}`),
		write("a", `{"ended":"2026-11-22T23:59:59Z","versions":{"planecheck":"aaa"},"plan":{},"verdict":{"outcome":"Pass","guarantees":[
			{"area":"store","guarantee":"Atomic","outcome":"Invalid"},{"area":"store","guarantee":"Resumable","outcome":"Unknown"},
			{"area":"API","guarantee":"Exact","outcome":"Pass"},{"guarantee":"FaultsHealed","outcome":"Not exercised"}]}}`),
		write("c", `{"ended":"2026-11-22T23:59:58Z","plan":{"interventions":[{}]},"verdict":{"outcome":"Invalid","guarantees":[
			{"area":"store","guarantee":"Atomic","outcome":"Not exercised"},{"area":"store","guarantee":"Resumable","outcome":"Invalid","detail":"3 resumed watches, the floor is 20"}]}}`),
		write("d", `{"ended":"2026-11-22T23:59:57Z","plan":{},"verdict":{"outcome":"Invalid","reason":"cut short"}}`),
	}
}

func TestTable(t *testing.T) {
	dir := t.TempDir()
	leave(t, dir)
	p, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	c, err := Count("make seeds", runs(t))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "clean.json")
	if err := c.Save(file); err != nil {
		t.Fatal(err)
	}
	if c, err = LoadClean(file); err != nil {
		t.Fatal(err)
	}
	p.Clean = []Clean{c}
	p.Known = []Row{
		{Area: checkers.AreaStore, Guarantee: "Ordered"}, {Guarantee: "Recovered"}, {Guarantee: "SameEnd"},
	}
	if got := p.Table(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// A proof without a survivor says so, and one that is judged in all says that.
func TestWhole(t *testing.T) {
	row := []Row{{Area: checkers.AreaStore, Guarantee: "Order", Caught: 3, Tried: 3}}
	p := &Proof{Store: Part{Rows: row}, Etcd: Part{Rows: row}, Clean: []Clean{{Runs: 1}}}
	for _, text := range []string{"\nSurvivors: none.\n", "; every guarantee was judged in each of them\n"} {
		if !strings.Contains(p.Table(), text) {
			t.Errorf("no %q in\n%s", text, p.Table())
		}
	}
	if strings.Contains(p.Table(), "Unproven") {
		t.Errorf("something is unproven:\n%s", p.Table())
	}
}

// A part that is missing, empty or torn is no proof.
func TestLoadRefuses(t *testing.T) {
	f := func(name, text string, missing bool) {
		t.Helper()
		dir := t.TempDir()
		leave(t, dir)
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if missing {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := Load(dir); err == nil || errors.Is(err, fs.ErrNotExist) != missing {
			t.Errorf("%s with %q: %v", name, text, err)
		}
	}
	f("broken.json", "", true)
	f("broken.json", "", false)
	f("power-api.json", "{}\n", false)
	f("api-lies.json", `{"rows":[{"guarantee":"Ordered","tried":1}]}`+"\n"+`{"rows":`, false)
}

// What did not come to its end has not said that nothing is wrong.
func TestCountRefuses(t *testing.T) {
	f := func(text string) {
		t.Helper()
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "run.json"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if c, err := Count("", append(runs(t), dir)); err == nil {
			t.Errorf("%s counts: %+v", text, c)
		}
	}
	f(`{"ended":"2026-11-23T00:00:01Z","verdict":{}}`)
	f(`{"verdict":{"outcome":"Pass"}}`)
	f(`{"ended":`)
	if _, err := Count("", nil); err == nil {
		t.Error("no runs count")
	}
	if _, err := Count("", []string{t.TempDir()}); err == nil {
		t.Error("a directory without a run counts")
	}
}
