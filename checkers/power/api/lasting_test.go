package apipower

import (
	"testing"
	"time"

	"github.com/planecheck/planecheck/checkers/power/mutants"
)

// What the time of a run is too short for is not told, wherever its faults end: there,
// the model would acquit what a checker may fail.
func TestLastingLiesHaveTheirTime(t *testing.T) {
	b := tiny()
	_, end, _ := b.Window.Commit(b.Versions[len(b.Versions)-1].Revision)
	for _, lie := range lastingLies() {
		var told, left int
		for ago := time.Second; ago < 3*tooLong("NoOrphans"); ago += 3 * time.Second {
			b.Calm = end.Add(-ago)
			m, ok := tell(lie, b, nil, uint64(ago))
			switch {
			case !ok:
				left++
			case m.Disputed():
				t.Errorf("faults end %s before the run: %s", ago, m)
			case m.Fate == mutants.Caught:
				told++
			}
		}
		if told == 0 || left == 0 && lie.Name != "the owner of a ConfigMap never was there" {
			t.Errorf("%s: caught %d times, without a place %d times", lie.Name, told, left)
		}
	}
}

// Nor is any other lie about controllers a matter of opinion there.
func TestNoDisputesWhereverCalmBegins(t *testing.T) {
	b := tiny()
	_, end, _ := b.Window.Commit(b.Versions[len(b.Versions)-1].Revision)
	for _, lie := range Catalogue() {
		if half(lie.Breaks) != "cluster" || lie.Lenient != "" {
			continue
		}
		for ago := time.Second; ago < 3*tooLong("NoOrphans"); ago += 4 * time.Second {
			b.Calm = end.Add(-ago)
			if m, ok := tell(lie, b, nil, uint64(ago)); ok && m.Disputed() {
				t.Errorf("faults end %s before the run: %s", ago, m)
			}
		}
	}
}
