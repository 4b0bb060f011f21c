package results

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/planecheck/planecheck/checkers/history"
)

func TestThreshold(t *testing.T) {
	f := func(verb, subresource, scope string, want time.Duration) {
		t.Helper()
		got, ok := Threshold(Call{Verb: verb, Resource: "pods", Subresource: subresource, Scope: scope})
		if got != want || ok != (want != 0) {
			t.Errorf("%s pods/%s, %s: %v, %v, want %v", verb, subresource, scope, got, ok, want)
		}
	}
	f("create", "", "resource", time.Second)
	f("create", "binding", "resource", time.Second)
	f("patch", "status", "resource", time.Second)
	f("apply", "", "resource", time.Second)
	f("delete", "", "resource", time.Second)
	f("deletecollection", "", "namespace", 0) // not a single object
	f("get", "", "resource", time.Second)
	f("list", "", "namespace", 30*time.Second)
	f("list", "", "cluster", 30*time.Second)
	f("list", "", "", 0) // of no resource, such as /readyz
	f("watch", "", "cluster", 0)
	f("get", "log", "resource", 0)
	f("connect", "exec", "resource", 0)
}

// judged is a phase in which the call had these windows, on both sides.
func judged(c Call, windows, violations int, worst Window) *Phase {
	p := &Phase{Duration: Seconds(time.Minute)}
	p.API.Calls = []CallFigures{{Call: c, Windows: windows, Violations: violations, Worst: worst}}
	p.Servers.Calls = []ServerCall{{Call: c, Windows: windows, Violations: violations, Worst: worst}}
	return p
}

func outcomes(p *Phase) map[string]Outcome {
	m := map[string]Outcome{}
	for _, s := range EvaluateSLOs(p) {
		if s.Outcome != "" {
			m[fmt.Sprintf("%s (%s)", s.Name, s.Source)] = s.Outcome
		}
	}
	return m
}

func TestEvaluateCalls(t *testing.T) {
	f := func(c Call, violations int, worst Window, name string, want Outcome) {
		t.Helper()
		got := outcomes(judged(c, 1, violations, worst))
		wantAll := map[string]Outcome{
			name + " (ours, exact)":           want,
			name + " (everybody's, bucketed)": want,
		}
		if diff := cmp.Diff(wantAll, got); diff != "" {
			t.Errorf("%v %+v (-want +got):\n%s", c, worst, diff)
		}
	}
	good := Window{Count: 1000, Slow: 3, P99: Seconds(900 * time.Millisecond)}
	bad := Window{Count: 1000, Slow: 30, P99: Seconds(40 * time.Second)}
	get := Call{Verb: "get", Resource: "pods", Scope: "resource"}
	list := Call{Verb: "list", Resource: "pods", Scope: "cluster"}
	f(podStatus, 0, good, "mutating calls", Pass)
	f(podStatus, 1, bad, "mutating calls", Fail)
	f(get, 0, good, "reads, one object", Pass)
	f(get, 1, bad, "reads, one object", Fail)
	f(list, 0, good, "reads, many objects", Pass)
	f(list, 1, bad, "reads, many objects", Fail)
}

func TestEvaluateNamesTheWorstCall(t *testing.T) {
	p := judged(podStatus, 3, 0, Window{Count: 1000, P99: Seconds(300 * time.Millisecond)})
	worse := Call{Verb: "create", Resource: "pods", Subresource: "binding", Scope: "resource"}
	p.API.Calls = append(p.API.Calls,
		CallFigures{Call: worse, Windows: 2, Worst: Window{Count: 5, Slow: 1, P99: Seconds(2 * time.Second)}},
		CallFigures{Call: Call{Verb: "watch", Resource: "pods", Scope: "cluster"}, Windows: 1, Worst: Window{Count: 9, Slow: 9, P99: Seconds(time.Hour)}})
	s := EvaluateSLOs(p)[0]
	want := SLO{
		Name: "mutating calls", Source: SourceOurs, Outcome: Pass,
		P99: Seconds(2 * time.Second), Threshold: Seconds(time.Second),
		Worst: "create pods/binding", Windows: 3, Note: "1 slow call of 5 is allowed",
	}
	if diff := cmp.Diff(want, s); diff != "" {
		t.Errorf("SLO (-want +got):\n%s", diff)
	}
}

func TestEvaluateStartupAndAvailability(t *testing.T) {
	f := func(p *Phase, want map[string]Outcome) {
		t.Helper()
		if diff := cmp.Diff(want, outcomes(p)); diff != "" {
			t.Errorf("outcomes (-want +got):\n%s", diff)
		}
	}
	p := &Phase{}
	f(p, map[string]Outcome{}) // nothing measured is no pass
	if got := SLOsMet(EvaluateSLOs(p)); got != "" {
		t.Errorf("SLOs of nothing: %q", got)
	}
	p.Pods.Startup = StartupFigures{Windows: 1, Worst: Window{Count: 100, P99: Seconds(4 * time.Second)}}
	f(p, map[string]Outcome{"pod start-up (all pods, exact)": Pass})
	if got := SLOsMet(EvaluateSLOs(p)); got != Pass {
		t.Errorf("SLOs met: %q", got)
	}
	p.Pods.Startup.Violations = 1
	p.API.Requests = []RequestFigures{{Requests: 1000, Unavailable: 5}}
	p.Servers.Codes = map[string]int64{"200": 980, "429": 10, "504": 10}
	f(p, map[string]Outcome{
		"pod start-up (all pods, exact)":           Fail,
		"API availability (ours, exact)":           Pass, // 99.5 % is enough
		"API availability (everybody's, bucketed)": Fail, // 99.0 %
	})
	if got := SLOsMet(EvaluateSLOs(p)); got != Fail {
		t.Errorf("SLOs met: %q", got)
	}
}

func TestChurn(t *testing.T) {
	p := Phase{Name: "fill", Duration: Seconds(10 * time.Second)}
	p.Pods.Counts = PodCounts{Created: 100, Running: 90, Deleted: 50}
	p.API.Requests = []RequestFigures{
		{Class: history.ClassWorkload, Requests: 30},
		{Class: history.ClassKubelet, Requests: 5000},
		{Class: history.ClassController, Requests: 500},
	}
	p.ChurnPerSecond = p.churn()
	if p.ChurnPerSecond != 18 || p.OutsidePrecondition() {
		t.Errorf("churn = %v, outside %v, want 18 and inside", p.ChurnPerSecond, p.OutsidePrecondition())
	}
	// Contract traffic asks as users do.
	p.API.Requests = append(p.API.Requests, RequestFigures{Class: history.ClassContract, Requests: 21})
	if p.ChurnPerSecond = p.churn(); p.ChurnPerSecond != 20.1 || !p.OutsidePrecondition() {
		t.Errorf("churn = %v, outside %v, want 20.1 and outside", p.ChurnPerSecond, p.OutsidePrecondition())
	}
}

// Contract traffic is never unavailable, as the Recorder counts it, so that it would
// hide what the load was not served.
func TestAvailabilityOfTheLoadAlone(t *testing.T) {
	p := Phase{API: APIFigures{Requests: []RequestFigures{
		{Class: history.ClassKubelet, Requests: 100, Unavailable: 1}, {Class: history.ClassContract, Requests: 10_000},
	}}}
	if got := ourAvailability(&p); got != (ratio{good: 99, all: 100}) {
		t.Errorf("%+v, want 99 of 100", got)
	}
}

// The pace that counts is a mean over a whole window of the SLOs in which all held;
// the pacer's best half minute is none.
func TestThroughput(t *testing.T) {
	slos := func(o Outcome) []SLO {
		if o == "" {
			return nil
		}
		return []SLO{{Outcome: o}}
	}
	fill := func(o Outcome, windows ...SLOWindow) Phase {
		p := Phase{Name: "fill", Duration: Seconds(10 * time.Second), SLOs: slos(o), Pace: &Pace{Sustained: 700}, Windows: windows}
		p.Pods.Counts = PodCounts{Created: 100, Running: 90}
		for _, w := range windows {
			p.Duration = max(p.Duration, w.Start+w.Length)
		}
		return p
	}
	window := func(from, length int, running int64, missed ...string) SLOWindow {
		return SLOWindow{Start: minutes(from), Length: minutes(length), Running: running, Missed: missed}
	}
	f := func(what string, want float64, wantWhere, wantReason string, phases ...Phase) {
		t.Helper()
		r := &Run{Phases: append([]Phase{{Name: "register", Duration: Seconds(time.Second)}}, phases...)}
		rate, where, reason := r.Throughput()
		if rate != want || where != wantWhere || reason != wantReason {
			t.Errorf("%s: throughput = %v, %q, %q, want %v, %q, %q", what, rate, where, reason, want, wantWhere, wantReason)
		}
	}
	f("no load", 0, "", "no phase created pods")
	f("a short phase", 30, "mean over fill", "", fill(Pass, window(0, 1, 1800)))
	f("a short phase that missed", 0, "", "fill missed an SLO", fill(Fail, window(0, 1, 1800, "mutating calls")))
	f("the best of its windows that missed nothing", 40, "mean over minutes 2 to 7 of fill", "", fill(Fail,
		window(0, 5, 30*300), window(1, 5, 90*300, "pod start-up"), window(2, 5, 40*300), window(3, 5, 20*300)))
	f("all missed", 0, "", "no window of fill in which pods started met all SLOs",
		fill(Fail, window(0, 5, 900, "a"), window(1, 5, 900, "b"), window(2, 5, 0)))
	f("not judged", 0, "", "fill was not judged", fill("", window(0, 1, 60)))
	churn := fill(Pass, window(0, 1, 1200))
	churn.Name = "churn"
	f("the best phase", 20, "mean over churn", "", fill(Fail, window(0, 1, 1800, "a")), churn)
	slow := fill(Pass, window(0, 1, 600))
	f("the best phase, last", 20, "mean over churn", "", slow, churn)
	f("the best phase, first", 30, "mean over fill", "", fill(Pass, window(0, 1, 1800)), churn)
	cut := func(p Phase) Phase { p.Incomplete = "interrupted"; return p }
	f("cut short within its first window", 0, "", "fill was cut short", cut(fill(Pass, window(0, 1, 1800))))
	f("cut short later", 3, "mean over minutes 0 to 5 of fill", "", cut(fill(Pass, window(0, 5, 900), window(1, 5, 300))))
	// Records from before there were windows.
	f("an older record", 9, "mean over fill", "", fill(Pass))
	f("an older record that missed", 0, "", "fill missed an SLO", fill(Fail))
	f("an older record without a verdict", 0, "", "fill was not judged", fill(""))
}

func TestRunSLOsMet(t *testing.T) {
	f := func(want Outcome, outcomes ...Outcome) {
		t.Helper()
		r := &Run{}
		for _, o := range outcomes {
			r.Phases = append(r.Phases, Phase{SLOs: []SLO{{Outcome: o}}})
		}
		if got := r.SLOsMet(); got != want {
			t.Errorf("%v: %q, want %q", outcomes, got, want)
		}
	}
	f("")
	f("", "", "")
	f(Pass, "", Pass)
	f(Fail, Pass, Fail, Pass)
}
