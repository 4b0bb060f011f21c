package faults

import (
	"testing"
	"time"
)

// A storm that hardly compacted was none.
func TestStormResult(t *testing.T) {
	f := func(ok bool, done int, lasted time.Duration) {
		t.Helper()
		if _, err := (&storm{done: done}).result(lasted); (err == nil) != ok {
			t.Errorf("%d compactions in %v: %v", done, lasted, err)
		}
	}
	f(true, 25, 5*time.Second)
	f(true, 12, 5*time.Second)
	f(false, 11, 5*time.Second)
	f(false, 0, 5*time.Second)
	f(true, 0, stormInterval) // healed at once
}
