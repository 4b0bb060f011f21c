package scenarios

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/results"
)

// ended is the directory of a run that has come to its end, with a time series, and its
// record as the run has it in memory.
func ended(t *testing.T, outcome checkers.Outcome, detail string) (*results.Run, string) {
	t.Helper()
	began := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	run := &results.Run{Name: "scale/density", Seed: 7, Started: began, Ended: began.Add(time.Minute), Phases: []results.Phase{{Name: phaseFill}}}
	run.Verdict = results.Verdict{Outcome: outcome, Reason: detail, Guarantees: []checkers.Verdict{{Guarantee: planComplete, Outcome: outcome, Detail: detail}}}
	d := &results.Dir{Path: t.TempDir()}
	if err := errors.Join(d.Save(run), d.Write(results.TimeSeries, []byte("{\"t\":1}\n"))); err != nil {
		t.Fatal(err)
	}
	return run, d.Path
}

// What a run prints at its end is what its directory gives, also where JSON cannot hold
// what it has in memory: the last lines of a log may be any bytes.
func TestReport(t *testing.T) {
	run, dir := ended(t, checkers.Fail, "kine died; from its log: \xff\xfe")
	printed, err := (&execution{run: run, dir: &results.Dir{Path: dir}}).asSaved(nil)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := (&Runner{Out: &out}).Report(dir + "/"); err != nil {
		t.Fatal(err)
	}
	if want := results.Summary(printed, dir); out.String() != want {
		t.Errorf("the report is\n%s, the run printed\n%s", out.String(), want)
	}
	if !strings.Contains(out.String(), "scale/density: Fail (kine died; from its log: \ufffd\ufffd)\n") {
		t.Errorf("the verdict is missing in\n%s", out.String())
	}
}

// A run whose record could not be written still prints what it measured, never what an
// earlier phase had saved.
func TestSummaryOfARunThatCannotBeSaved(t *testing.T) {
	run, dir := ended(t, checkers.Pass, "")
	newer := *run
	newer.Seed = 8
	full := errors.New("save run: no space left on device")
	got, err := (&execution{run: &newer, dir: &results.Dir{Path: dir}}).asSaved(full)
	if got.Seed != 8 || !errors.Is(err, full) {
		t.Errorf("seed %d, %v; want that in memory, and why", got.Seed, err)
	}
	newer.Seed = 9
	got, err = (&execution{run: &newer, dir: &results.Dir{Path: filepath.Join(dir, "gone")}}).asSaved(nil)
	if got.Seed != 9 || err == nil {
		t.Errorf("seed %d, %v; want that in memory, and why", got.Seed, err)
	}
}

// What is missing in a directory is said after the summary, which it does not change.
func TestReportOfARunWithGaps(t *testing.T) {
	run, dir := ended(t, checkers.Pass, "")
	if err := os.WriteFile(filepath.Join(dir, results.TimeSeries), []byte(`{"t":`), 0o600); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := (&Runner{Out: &out}).Report(dir); err != nil {
		t.Fatal(err)
	}
	want := results.Summary(run, dir) + "  note: series.jsonl ends within a row; no figure here comes from it\n"
	if out.String() != want {
		t.Errorf("got\n%s, want\n%s", out.String(), want)
	}
}

func TestDiff(t *testing.T) {
	_, a := ended(t, checkers.Pass, "")
	_, b := ended(t, checkers.Fail, "it stood still")
	var out strings.Builder
	if err := (&Runner{Out: &out}).Diff(a, b+"/"); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"A  " + a + "\n", "B  " + b + "\n", "planecheck compare", "PlanComplete  Pass  Fail\n  B, PlanComplete: it stood still\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in\n%s", want, out.String())
		}
	}
}

// What holds no run is refused in one line, by every command that reads one.
func TestNoRunDirectory(t *testing.T) {
	_, good := ended(t, checkers.Pass, "")
	f := func(name, content, want string) {
		t.Helper()
		dir := t.TempDir()
		path := filepath.Join(dir, "run.json")
		switch content {
		case "":
		case "/":
			if err := os.Mkdir(path, 0o700); err != nil {
				t.Fatal(err)
			}
		case "file":
			dir = filepath.Join(good, "run.json")
		default:
			if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		var out strings.Builder
		r := &Runner{Out: &out}
		_, check := r.Check(t.Context(), dir)
		for command, err := range map[string]error{
			"report": r.Report(dir), "diff": r.Diff(dir, good), "diff of the second": r.Diff(good, dir),
			"matrix": r.Matrix([]string{dir}, ""), "check": check,
		} {
			if status := ExitStatus(checkers.Pass, err); status != ExitUsage || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%s, %s: %v, status %d; want one line with %q, status %d", command, name, err, status, want, ExitUsage)
			}
		}
		if out.Len() > 0 {
			t.Errorf("%s: something was printed: %s", name, out.String())
		}
	}
	f("an empty directory", "", "is no run directory")
	f("a file", "file", "is no run directory")
	f("a directory in its place", "/", "is a directory")
	f("no JSON", "run", "is not the record of a run")
	f("a part of it", `{"schema":1,"name":"scale/den`, "is not the record of a run")
	f("another schema", `{"schema":2,"name":"scale/density"}`, "has schema 2, this planecheck reads schema 1")
	f("no schema", `{"name":"scale/density"}`, "has schema 0")
	f("a value of another type", `{"schema":1,"name":"scale/density","seed":"x"}`, "cannot unmarshal")
	f("something else", `{"schema":1}`, "does not say what was run")
}
