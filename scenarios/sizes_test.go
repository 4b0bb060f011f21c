package scenarios

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A size that nobody gives makes the plan that it makes when a person gives it: what a
// scenario derives from a size, it derives from the one that there is going to be.
func TestDefaultSizesMakeTheSamePlans(t *testing.T) {
	encode := func(s Scenario, o Options) (*Plan, string) {
		p := mustPlan(t, s, o)
		b, err := p.encode()
		if err != nil {
			t.Fatal(err)
		}
		return p, string(b)
	}
	for _, small := range []bool{true, false} {
		for _, s := range Registry() {
			o := DefaultOptions()
			o.Small = small
			p, byDefault := encode(s, o)
			o.World.Nodes, o.Pods = p.World.Nodes, p.pods()
			if q, given := encode(s, o); byDefault != given {
				t.Errorf("%s with its default size, small: %v (-given +default):\n%s", s.Name, small, cmp.Diff(q.String(), p.String()))
			}
		}
	}
}

// The churn of two API servers is half of the pods, and none where there are none.
func TestChurnOfTwoAPIServers(t *testing.T) {
	f := func(want int, adjust func(*Options)) {
		t.Helper()
		found, err := Find("scale/two-apiservers")
		if err != nil {
			t.Fatal(err)
		}
		o := DefaultOptions()
		o.Small = true
		adjust(&o)
		p, churned := mustPlan(t, found[0], o), 0
		if p.Density != nil {
			churned = p.Density.Config.ChurnPods
		}
		if churned != want || p.has(phaseChurn) != (want > 0) {
			t.Errorf("of %d pods %d are churned, want %d; phases: %v", p.pods(), churned, want, p.Phases)
		}
	}
	f(smallPods/2, func(*Options) {})
	f(50, func(o *Options) { o.Pods = 100 })
	f(1, func(o *Options) { o.Pods = 1 })
	f(0, func(o *Options) { o.NoPods = true })
	f(0, func(o *Options) { o.Manifest = shop })
}
