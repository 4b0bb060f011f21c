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
		Settings: json.RawMessage(`{"recorded": "by hand"}`),
		Phases: []results.Phase{
			{Name: "register", Duration: seconds(2), Usage: map[string]results.Usage{"kube-apiserver-0": {CPUSeconds: 100}}},
			{
				Name: "fill", Duration: seconds(10),
				Pods: results.PodFigures{Counts: results.PodCounts{Created: 2000, Running: 2000}},
				API: results.APIFigures{
					Writes: results.Latency{Count: 5000, P50: seconds(.010), P99: seconds(.2)},
					Reads:  results.Latency{Count: 99, P50: seconds(.005), P99: seconds(.1)}, // too few
				},
				Usage: map[string]results.Usage{
					"kube-apiserver-0": {CPUSeconds: 8}, "kube-apiserver-1": {CPUSeconds: 6}, results.HarnessName: {CPUSeconds: 10},
				},
				Profile: &results.ProfileSplit{Etcd: 3, Ours: 1, GC: 1},
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
		History: &results.History{APIDeliveries: []results.Delivery{
			{Resource: "nodes", Count: 500, P50: seconds(9), P99: seconds(9)},
			{Resource: "pods", Count: 500, P50: seconds(.001), P99: seconds(.004)},
		}},
		Verdict: results.Verdict{Outcome: checkers.Pass, Guarantees: []checkers.Verdict{{Guarantee: "PlanComplete", Outcome: checkers.Pass}}},
	}
}

func TestTake(t *testing.T) {
	var got Trial
	got.Take(exampleRun())
	want := Trial{
		Outcome: checkers.Pass, Recorded: "by hand", Verdicts: []Verdict{{Guarantee: "PlanComplete", Outcome: checkers.Pass}},
		Figures: []Figure{
			{"pods/s, fill", Rate, 200},
			{"writes, fill, p50", Seconds, .010}, {"writes, fill, p99", Seconds, .2},
			{"contract operations begun late", Share, .015},
			{"watch delivery of pods, p50", Seconds, .001}, {"watch delivery of pods, p99", Seconds, .004},
			// 14 s over 2,000 pods; of the harness' 10 s three quarters are the store's.
			{"CPU per 1,000 pods, kube-apiserver", CPU, 7}, {"CPU per 1,000 pods, store", CPU, 3.75}, {"CPU per 1,000 pods, harness", CPU, 1.25},
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

// A store with processes of its own is not also looked for in the harness.
func TestTakeOfAStoreOfItsOwn(t *testing.T) {
	run := exampleRun()
	run.Phases[1].Usage["etcd-0"] = results.Usage{CPUSeconds: 5}
	var got Trial
	got.Take(run)
	for name, want := range map[string]float64{"CPU per 1,000 pods, store": 2.5, "CPU per 1,000 pods, harness": 5} {
		for _, f := range got.Figures {
			if f.Name == name && f.Value != want {
				t.Errorf("%s = %v, want %v", name, f.Value, want)
			}
		}
	}
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
