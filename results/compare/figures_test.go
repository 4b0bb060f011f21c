package compare

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/results"
)

func seconds(f float64) results.Seconds { return results.Seconds(f * float64(time.Second)) }

// exampleRun filled 2,000 pods in 10 s with a store in the harness.
func exampleRun() *results.Run {
	return &results.Run{
		Settings: json.RawMessage(`{"recorded": "by hand", "store": {"members": "3", "fsync": "true"}}`),
		Versions: map[string]string{linkedEtcd: "v3.7.3"},
		Phases: []results.Phase{
			{Name: "register", Duration: seconds(2), Usage: map[string]results.Usage{"kube-apiserver-0": {CPUSeconds: 100}}},
			{
				Name: "fill", Duration: seconds(10),
				Pods: results.PodFigures{Counts: results.PodCounts{Created: 2000, Running: 2000}},
				API: results.APIFigures{
					Writes: results.Latency{Count: 5000, P50: seconds(.010), P99: seconds(.2)},
					Reads:  results.Latency{Count: 99, P50: seconds(.005), P99: seconds(.1)}, // too few
				},
				Delivered: &results.Delivery{Count: 500, P50: seconds(.001), P99: seconds(.004)},
				Usage: map[string]results.Usage{
					"kube-apiserver-0": {CPUSeconds: 8}, "kube-apiserver-1": {CPUSeconds: 6}, results.HarnessName: {CPUSeconds: 10},
				},
				Profile: &results.ProfileSplit{Etcd: 3, Ours: 1, Recording: .25, GC: 1},
				Servers: results.ServerFigures{
					ConsistentReads: map[string]int64{"true false": 97, "true true": 2, "false skipped": 1},
					Store:           []results.Step{{Name: "list", Latency: results.Bucketed{Count: 4}}, {Name: "listStream", Latency: results.Bucketed{Count: 3}}, {Name: "get", Latency: results.Bucketed{Count: 9}}},
				},
			},
		},
		Contract: &results.Contract{Operations: map[string]int64{"get": 300, "create": 100}, Late: 6},
		Peak: &results.Peak{DiskBytes: 7 << 20, Components: map[string]results.Usage{
			"kube-apiserver-0": {PeakRSS: 3 << 20}, "kube-apiserver-1": {PeakRSS: 2 << 20}, results.HarnessName: {PeakRSS: 1 << 20},
		}},
		Verdict: results.Verdict{Outcome: checkers.Pass, Guarantees: []checkers.Verdict{{Guarantee: "PlanComplete", Outcome: checkers.Pass}}},
	}
}

func TestTake(t *testing.T) {
	var got Trial
	got.Take(exampleRun())
	want := Trial{
		Outcome: checkers.Pass, Store: "3 members, etcd v3.7.3, each commit synced to disk", Recorded: "by hand", Verdicts: []Verdict{{Guarantee: "PlanComplete", Outcome: checkers.Pass}},
		Figures: []Figure{
			{"pods/s, fill", Rate, 200},
			{"writes, fill, p50", Seconds, .010}, {"writes, fill, p99", Seconds, .2},
			{"watch delivery, fill, p50", Seconds, .001}, {"watch delivery, fill, p99", Seconds, .004},
			{"contract operations begun late", Share, .015},
			// 14 s over 2,000 pods; of the harness' 10 s three quarters are the store's,
			// and a quarter of the rest records.
			{"CPU per 1,000 pods, kube-apiserver", CPU, 7}, {"CPU per 1,000 pods, store", CPU, 3.75},
			{"CPU per 1,000 pods, recording", CPU, .3125}, {"CPU per 1,000 pods, harness", CPU, .9375},
			{"peak RSS, kube-apiserver", Bytes, 5 << 20}, {"peak RSS, harness", Bytes, 1 << 20},
			{"store on disk", Bytes, 7 << 20},
			{"consistent lists from cache", Share, .97},
			{"lists asked of the store", Count, 7},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("trial (-want +got):\n%s", diff)
	}
}

// A store with processes of its own is not also looked for in the harness, what
// records it is; and its memory is said to be another sum where it is.
func TestTakeOfAStoreOfItsOwn(t *testing.T) {
	run := exampleRun()
	run.Phases[1].Usage["kine"] = results.Usage{CPUSeconds: 5}
	run.Phases[1].Profile = &results.ProfileSplit{Ours: 4, Recording: 1, GC: 1}
	run.Peak.Components["kine"] = results.Usage{PeakRSS: 1 << 20}
	run.Peak.Components["postgres"] = results.Usage{PeakRSS: 2 << 20, Memory: results.SharedOnce}
	want := map[string]float64{
		"CPU per 1,000 pods, store": 2.5, "CPU per 1,000 pods, recording": 1.25, "CPU per 1,000 pods, harness": 3.75,
		"peak RSS, store": 3 << 20,
	}
	if diff := cmp.Diff(want, taken(run, want)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	run.Peak.Components["postgres"] = results.Usage{PeakRSS: 2 << 20, Memory: results.SharedForEach}
	want = map[string]float64{"peak RSS, store, what is shared many times": 3 << 20}
	if diff := cmp.Diff(want, taken(run, want)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// taken are the figures of a run that have those names.
func taken(run *results.Run, names map[string]float64) map[string]float64 {
	var trial Trial
	trial.Take(run)
	found := map[string]float64{}
	for _, f := range trial.Figures {
		if _, ok := names[f.Name]; ok {
			found[f.Name] = f.Value
		}
	}
	return found
}

// What was not measured is left out, and not 0.
func TestTakeOfAStoreThatIsNotOurs(t *testing.T) {
	run := exampleRun()
	run.Peak.DiskBytes = 0
	run.Phases[1].Profile = &results.ProfileSplit{Ours: 1, GC: 1}
	var got Trial
	got.Take(run)
	for _, f := range got.Figures {
		switch f.Name {
		case "store on disk", "CPU per 1,000 pods, store":
			t.Errorf("%s = %v", f.Name, f.Value)
		case "CPU per 1,000 pods, harness":
			if f.Value != 5 {
				t.Errorf("%s = %v, want all of it", f.Name, f.Value)
			}
		}
	}
}

func TestDescribed(t *testing.T) {
	f := func(store, want string) {
		t.Helper()
		got, recorded := described(&results.Run{
			Settings: json.RawMessage(`{"recorded": "by a proxy", "store": ` + store + `}`),
			Versions: map[string]string{linkedEtcd: "v3.7.3"},
		})
		if got != want || recorded != "by a proxy" {
			t.Errorf("%s: %q, %q, want %q", store, got, recorded, want)
		}
	}
	f(`{"members": "1", "fsync": "false", "proxy": "true"}`, "1 member, etcd v3.7.3, never synced to disk")
	f(`{"members": "1", "driver": "memory", "fsync": "false"}`, "1 member, planecheck's own, nothing on disk")
	f(`{"members": "1", "driver": "sqlite", "version": "v0.17.5", "fsync": "at checkpoints", "synchronous": "NORMAL", "journal_mode": "WAL"}`,
		"1 member, kine v0.17.5 on sqlite, synced at checkpoints, journal_mode=WAL, synchronous=NORMAL")
	f(`{"members": "1", "driver": "postgres", "version": "v0.17.5", "fsync": "on", "synchronous_commit": "on"}`,
		"1 member, kine v0.17.5 on postgres, each commit synced to disk, synchronous_commit=on")
	f(`{"members": "1", "driver": "memory", "version": "v0.17.5", "fsync": "false"}`, "1 member, kine v0.17.5 on memory, nothing on disk")
	f(`{"members": "3", "version": "3.6.1", "prefix": "/x", "endpoints": "a,b,c"}`, "3 members, version 3.6.1, whether commits are synced is not known")
	f(`{}`, "")
}

func TestTakeSaysWhyATrialWasNotDone(t *testing.T) {
	f := func(outcome, plan checkers.Outcome, detail, cause string) {
		t.Helper()
		run := exampleRun()
		run.Verdict = results.Verdict{Outcome: outcome, Guarantees: []checkers.Verdict{{Guarantee: "PlanComplete", Outcome: plan, Detail: detail}}}
		var got Trial
		got.Take(run)
		if got.Cause != cause || (len(got.Figures) > 0) != (plan == checkers.Pass) {
			t.Errorf("%s, plan %s: cause %q, %d figures; want cause %q", outcome, plan, got.Cause, len(got.Figures), cause)
		}
	}
	f(checkers.Pass, checkers.Pass, "", "")
	f(checkers.Fail, checkers.Pass, "", "")
	f(checkers.Invalid, checkers.Pass, "", "")
	f(checkers.Fail, checkers.Fail, "kube-scheduler-0 died", "") // of the control plane's own doing
	f(checkers.Invalid, checkers.Invalid, "the store lost a member:\n no space left", "the store lost a member: no space left")
	f("", "", "", "the run ended before it was judged") // killed
}
