package results

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/planecheck/planecheck/checkers"
)

func TestRenderArea(t *testing.T) {
	if got := renderArea(&Run{Verdict: Verdict{Guarantees: []checkers.Verdict{{Guarantee: "PlanComplete"}}}}, checkers.AreaStore); got != "" {
		t.Errorf("without verdicts on the store: %q", got)
	}
	long := strings.Repeat("operations ", 20)
	got := renderArea(&Run{
		Verdict: Verdict{Guarantees: []checkers.Verdict{
			{Area: checkers.AreaStore, Guarantee: "Order", Outcome: checkers.Pass, Checked: long},
			{Area: checkers.AreaAPI, Guarantee: "Paged", Outcome: checkers.Pass, Checked: "pages"},
			{Area: checkers.AreaStore, Guarantee: "LeaseHonest", Outcome: checkers.NotExercised, Checked: "x", Detail: "0 leases"},
		}},
	}, checkers.AreaStore)
	for _, want := range []string{"Pass           Order", "Not exercised  LeaseHonest           0 leases"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is missing in\n%s", want, got)
		}
	}
	for line := range strings.Lines(got) {
		if len(line) > 111 {
			t.Errorf("%d columns: %s", len(line), line)
		}
	}
	if strings.Contains(got, "Paged") {
		t.Errorf("a guarantee of another area:\n%s", got)
	}
	if strings.Count(got, "operations") != 20 {
		t.Errorf("wrapping lost words:\n%s", got)
	}
}

func TestRenderHistory(t *testing.T) {
	if got := renderHistory(&Run{}); got != "" {
		t.Errorf("without a history: %q", got)
	}
	got := renderHistory(&Run{History: &History{Operations: 12345, Attempts: 2, Versions: 1_000, Lost: 7, Bytes: 13_347_000}})
	for _, want := range []string{"12,345", "1,000", "lost                                      7", "(1000 bytes a record)"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is missing in\n%s", want, got)
		}
	}
}

func TestWrap(t *testing.T) {
	f := func(text string, width int, want ...string) {
		t.Helper()
		if got := wrap(text, width); !slices.Equal(got, want) {
			t.Errorf("wrap(%q, %d) = %q, want %q", text, width, got, want)
		}
	}
	f("", 5, "")
	f("a bc d", 4, "a bc", "d")
	f("abcdef g", 3, "abcdef", "g")
}

func TestRenderDeliveries(t *testing.T) {
	if got := renderDeliveries(nil); got != "" {
		t.Errorf("without deliveries: %q", got)
	}
	var d []Delivery
	for i := range int64(30) {
		d = append(d, Delivery{Resource: fmt.Sprintf("resource-%d", i), Count: 1234 + i, P999: Seconds(2e9)})
	}
	got := strings.Split(strings.TrimSpace(renderDeliveries(d)), "\n")
	if len(got) != 1+len(d) || !strings.Contains(got[1], "resource-29  ") || !strings.Contains(got[30], "resource-0  ") {
		t.Errorf("not all resources, or not the busiest first:\n%s", strings.Join(got, "\n"))
	}
	if !strings.Contains(got[30], "1,234") || !strings.Contains(got[30], "2.00s") {
		t.Errorf("got %s", got[30])
	}
}

// A run whose history is good may have failed by what only it knew.
func TestBeside(t *testing.T) {
	judged := []checkers.Verdict{{Area: checkers.AreaStore, Guarantee: "Order", Outcome: checkers.Pass, Checked: "again"}}
	f := func(want checkers.Outcome, recorded ...checkers.Verdict) {
		t.Helper()
		r := &Run{Name: "scale/density", Verdict: Verdict{Guarantees: recorded}}
		beside := r.Beside(judged)
		if got := checkers.Worst(slices.Concat(judged, beside)); got != want {
			t.Errorf("%s, want %s: %+v", got, want, beside)
		}
		text := RenderVerdicts(r, judged, beside, nil)
		if !strings.HasPrefix(text, fmt.Sprintf("scale/density, seed 0: %s\n", want)) {
			t.Errorf("want %s:\n%s", want, text)
		}
		for _, v := range beside {
			_, marked, _ := strings.Cut(text, "\nFrom run.json, not judged again\n")
			if !strings.Contains(marked, v.Guarantee) {
				t.Errorf("%s is not marked as recorded:\n%s", v.Guarantee, text)
			}
		}
	}
	order := checkers.Verdict{Area: checkers.AreaStore, Guarantee: "Order", Outcome: checkers.Fail, Detail: "a false alarm of then"}
	plan := checkers.Verdict{Guarantee: "PlanComplete", Outcome: checkers.Pass}
	f(checkers.Pass, plan, order)
	f(checkers.Pass, plan, checkers.Verdict{Area: checkers.AreaStore, Guarantee: StorageHistory, Outcome: checkers.Invalid, Detail: "interrupted"})
	f(checkers.Fail, plan, order, checkers.Verdict{Guarantee: "NoLeaseMissed", Outcome: checkers.Fail})
	f(checkers.Fail, plan, checkers.Verdict{Area: checkers.AreaStore, Guarantee: "GetAsModel", Outcome: checkers.Fail})
	f(checkers.Pass, plan, checkers.Verdict{Area: checkers.AreaStore, Guarantee: "ListAsModel", Outcome: checkers.Pass})
	f(checkers.Invalid, plan, checkers.Verdict{Guarantee: "Intervened", Outcome: checkers.Invalid})
	f(checkers.Unknown) // nobody knows how the run ended
}

// A violation comes with what was promised, in the words of the documentation.
func TestRenderStatement(t *testing.T) {
	promise := strings.Repeat("every event arrives once ", 8) + "https://example.com/guarantees"
	verdicts := []checkers.Verdict{
		{Area: checkers.AreaStore, Guarantee: "Reliable", Outcome: checkers.Fail, Statement: promise, Detail: "lost"},
		{Guarantee: "Evicted", Outcome: checkers.Fail, Statement: "no pod is evicted", Detail: "one"},
		{Guarantee: "Evicted", Outcome: checkers.Fail, Statement: "no pod is evicted", Detail: "another"},
		{Guarantee: "PlanComplete", Outcome: checkers.Pass, Statement: "every phase ended"},
	}
	for _, text := range []string{
		Render(&Run{Verdict: Verdict{Outcome: Fail, Guarantees: verdicts}}), RenderVerdicts(&Run{}, verdicts, nil, nil), RenderVerdicts(&Run{}, nil, verdicts, nil),
	} {
		flat := strings.Join(strings.Fields(text), " ")
		if !strings.Contains(flat, "lost promised: "+promise) || strings.Count(flat, "no pod is evicted") != 1 || strings.Contains(flat, "every phase ended") {
			t.Errorf("got\n%s", text)
		}
		for line := range strings.Lines(text) {
			if len(line) > 111 {
				t.Errorf("%d columns: %s", len(line), line)
			}
		}
	}
}

func TestRenderContract(t *testing.T) {
	if got := renderContract(&Run{Contract: &Contract{}}); got != "" {
		t.Errorf("without traffic: %q", got)
	}
	got := renderContract(&Run{
		Contract: &Contract{Seconds: Seconds(10e9), Requests: map[string]int64{"get": 120, "list": 30}, WatchesOpened: 7},
		History:  &History{Attempts: 7500},
	})
	for _, want := range []string{"150 requests, 15.0/s", "2.0 %", "7 watches opened"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is missing in %q", want, got)
		}
	}
}
