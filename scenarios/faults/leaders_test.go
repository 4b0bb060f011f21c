package faults

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/planecheck/planecheck/apiserver"
	"github.com/planecheck/planecheck/checkers/history"
)

// Who leads is the process that says so since the lease changed hands. One that
// is dead or stands still is nobody, and one that was deposed and has not noticed
// is not taken for its successor.
func TestElected(t *testing.T) {
	first, second := apiserver.Component{Name: "first", PID: 1}, apiserver.Component{Name: "second", PID: 2}
	var (
		holder string
		down   error
		claims []apiserver.Component
		still  = map[int]bool{}
	)
	k := &elected{
		lease:  func(context.Context) (string, error) { return holder, down },
		claims: func(context.Context) []apiserver.Component { return claims },
		acts:   func(pid int) bool { return !still[pid] },
	}
	told := "nothing"
	f := func(when, want string) {
		t.Helper()
		if who, _, ok := k.leader(t.Context()); ok {
			if told = who; who == "" {
				told = "nobody"
			}
		}
		if told != want {
			t.Errorf("%s: %s, want %s", when, told, want)
		}
	}
	down = errors.New("nobody can be asked")
	f("before anybody could say", "nothing")
	down, holder, claims = nil, "a", []apiserver.Component{first}
	f("the first leader", "first")
	down = errors.New("nobody can be asked")
	f("nobody can be asked", "first")
	still[1] = true
	f("it stands still, and nobody can be asked", "nobody")
	down = nil
	f("it stands still and holds the lease", "nobody")
	still[1] = false
	f("it goes on in time", "first")
	still[1] = true
	f("it stands still again", "nobody")
	holder, claims = "b", []apiserver.Component{first}
	f("the lease went to another, and only the first says that it leads", "nobody")
	claims = []apiserver.Component{first, second}
	f("both say that they lead", "second")
	still[1], still[2] = false, true
	f("the second is dead", "nobody")
	holder, claims = "c", []apiserver.Component{{Name: "first", PID: 3}}
	f("a new process of the first leads", "first")
	holder = ""
	f("it gave the lease back", "nobody")
}

// Between the change of hands and when the new leader says so, it leads already:
// that it has to be asked is ours. One that never says so leads nobody.
func TestElectedSince(t *testing.T) {
	holder, claims := "a", []apiserver.Component{{Name: "first", PID: 1}}
	k := &elected{
		lease:  func(context.Context) (string, error) { return holder, nil },
		claims: func(context.Context) []apiserver.Component { return claims },
		acts:   func(int) bool { return true },
	}
	if who, _, ok := k.leader(t.Context()); !ok || who != "first" {
		t.Fatalf("%q, %v", who, ok)
	}
	holder = "b"
	if who, _, ok := k.leader(t.Context()); ok {
		t.Errorf("%q before anybody said so", who)
	}
	changed := history.Now()
	claims = []apiserver.Component{{Name: "second", PID: 2}}
	if who, at, ok := k.leader(t.Context()); !ok || who != "second" || at > changed {
		t.Errorf("%q, %v, %v after the change", who, ok, time.Duration(at-changed))
	}
	holder, claims = "c", nil
	k.leader(t.Context())
	k.since = k.since.Add(-2 * namelessBound) // as if it were long ago
	if who, _, ok := k.leader(t.Context()); !ok || who != "" {
		t.Errorf("%q, %v though it never said so", who, ok)
	}
}
