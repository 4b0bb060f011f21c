package reads

import (
	"testing"

	"github.com/planecheck/planecheck/checkers/history"
)

// TestInert: an answer that could not have been wrong is judged, but brings nobody nearer
// to a floor.
func TestInert(t *testing.T) {
	s := hand()
	f := func(telling, reads int64, rv, key string, called, returned int64, rev int64) {
		t.Helper()
		c := New(Options{Versions: s.table, Window: s.window.Window()})
		call := s.getAt(history.Time(called), history.Time(returned), rv, key, rev)
		c.Call(call)
		g := MostRecent
		if a, _ := ask(call); a.g != "" {
			g = a.g
		}
		if n := c.counts; n.judged[g] != 1 || n.telling[g] != telling || c.reads() != reads {
			t.Errorf("resourceVersion %q of %s in [%d, %d]: judged %d, telling %d, reads %d, want 1, %d, %d",
				rv, key, called, returned, n.judged[g], n.telling[g], c.reads(), telling, reads)
		}
	}
	f(0, 0, "", "a/never", 130, 140, 7) // what never was
	f(0, 0, "", "a/y", 21, 25, 2)       // what came to be afterwards
	f(1, 1, "", "a/x", 81, 85, 5)       // what is gone: it might have been shown still
	f(1, 1, "", "a/y", 45, 55, 3)       // what came to be meanwhile: it might have been missed for too long
	f(0, 0, "0", "a/x", 81, 85, 5)      // any state is right, that before everything, too
	f(0, 0, "2", "a/y", 21, 25, 2)
	f(1, 1, "2", "a/x", 81, 85, 5)
	f(0, 1, "", "a/x", 25, 26, 2) // found, as it always was: its content might be wrong
	f(1, 1, "", "a/x", 45, 46, 3)
}
