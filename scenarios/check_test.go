package scenarios

import (
	"slices"
	"testing"

	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/storage"
	"github.com/planecheck/planecheck/results"
)

// A record that names no member that ended and came back claims nothing of that, and
// one that claims everything still does.
func TestClaimsOfARecord(t *testing.T) {
	f := func(crashes int, claimed, want []string) {
		t.Helper()
		run := &results.Run{Crashes: make([]history.Crash, crashes)}
		if got := claimedOf(run, claimed); !slices.Equal(got, want) || (got == nil) != (want == nil) {
			t.Errorf("%d crashes: %q is claimed of %q, want %q", crashes, got, claimed, want)
		}
	}
	claimed := []string{storage.Order, storage.Durable, storage.Reads}
	f(1, claimed, claimed)
	f(0, claimed, []string{storage.Order, storage.Reads})
	f(0, []string{}, []string{})
	f(0, nil, nil)
}
