package results

import (
	"slices"
	"strings"
	"testing"

	"github.com/planecheck/planecheck/checkers"
)

func TestRenderStore(t *testing.T) {
	if got := renderStore(&Run{Verdict: Verdict{Guarantees: []checkers.Verdict{{Guarantee: "PlanComplete"}}}}); got != "" {
		t.Errorf("without verdicts on the store: %q", got)
	}
	long := strings.Repeat("operations ", 20)
	got := renderStore(&Run{
		History: &History{Operations: 12345},
		Verdict: Verdict{Guarantees: []checkers.Verdict{
			{Area: checkers.AreaStore, Guarantee: "Order", Outcome: checkers.Pass, Checked: long},
			{Area: checkers.AreaStore, Guarantee: "LeaseHonest", Outcome: checkers.NotExercised, Checked: "x", Detail: "0 leases"},
		}},
	})
	for _, want := range []string{"Pass           Order", "Not exercised  LeaseHonest           0 leases", "12,345 calls"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is missing in\n%s", want, got)
		}
	}
	for line := range strings.Lines(got) {
		if len(line) > 111 && !strings.Contains(line, "recorded:") {
			t.Errorf("%d columns: %s", len(line), line)
		}
	}
	if strings.Count(got, "operations") != 20 {
		t.Errorf("wrapping lost words:\n%s", got)
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
	if got := renderDeliveries(&Run{History: &History{}}); got != "" {
		t.Errorf("without deliveries: %q", got)
	}
	h := &History{}
	for range mostDeliveries + 3 {
		h.Deliveries = append(h.Deliveries, Delivery{Resource: "pods", Count: 1234, P999: Seconds(2e9)})
	}
	got := renderDeliveries(&Run{History: h})
	if strings.Count(got, "pods") != mostDeliveries || !strings.Contains(got, "1,234") || !strings.Contains(got, "2.00s") {
		t.Errorf("got\n%s", got)
	}
}
