package writes

import (
	"testing"

	"github.com/planecheck/planecheck/checkers"
)

// TestCleanHistories says that no history of a correct server raises an alarm,
// and that each has enough of everything to have found one.
func TestCleanHistories(t *testing.T) {
	floors := Floors{
		Writes: 500, Versions: 300, Conflicts: 50, Exists: 10, NotFound: 10, Preconditions: 10,
		Marked: 100, Repeated: 100, DryRuns: 10, Errors: 50, Illegal: 10,
	}
	for seed := range uint64(80) {
		s := simulate(seed, 1500)
		for _, v := range s.judge(floors) {
			if v.Outcome != checkers.Pass {
				t.Errorf("seed %d: %s\n%s", seed, v, v.Checked)
			}
		}
		if t.Failed() {
			return
		}
	}
}
