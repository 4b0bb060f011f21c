package known

import (
	"slices"
	"testing"

	"github.com/planecheck/planecheck/checkers/cluster"
	"github.com/planecheck/planecheck/checkers/power"
	apipower "github.com/planecheck/planecheck/checkers/power/api"
)

// Every guarantee that a history shows has lies in a catalogue of mutants, and no
// catalogue lies about what nobody judges. A new guarantee fails here until somebody
// thinks of what would break it.
func TestEveryGuaranteeIsLiedAbout(t *testing.T) {
	f := func(catalogue string, lied, judged []string) {
		t.Helper()
		for _, g := range judged {
			if !slices.Contains(lied, g) {
				t.Errorf("%s: no lie about %s", catalogue, g)
			}
		}
		for _, g := range lied {
			if !slices.Contains(judged, g) {
				t.Errorf("%s: lies about %s, which nobody judges", catalogue, g)
			}
		}
	}
	f("store histories", power.Guarantees(), Store())
	f("recorded runs", apipower.Guarantees(), append(API(), cluster.Guarantees()...))
}

func TestEachOnce(t *testing.T) {
	all := Guarantees()
	for i, r := range all {
		if slices.Contains(all[:i], r) || r.Guarantee == "" || r.Tried != 0 {
			t.Errorf("%+v", r)
		}
	}
}
