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

// Whoever leads etcd has a majority that follows it, and answers itself.
func TestLeadsMembers(t *testing.T) {
	// Member 1 is "a" and so on; 0: it follows nobody.
	f := func(when, want string, decided bool, silent int, follow map[string]uint64) {
		t.Helper()
		var known []following
		for i, name := range []string{"a", "b", "c", "d", "e"} {
			if of, ok := follow[name]; ok {
				known = append(known, following{name, uint64(i + 1), of})
			}
		}
		if who, ok := leads(known, silent, 3); who != want || ok != decided {
			t.Errorf("%s: %q, %v; want %q, %v", when, who, ok, want, decided)
		}
	}
	f("all follow a", "a", true, 0, map[string]uint64{"a": 1, "b": 1, "c": 1})
	f("b follows a, c has not answered", "a", true, 1, map[string]uint64{"a": 1, "b": 1})
	f("a was cut off and believes in itself, b and c elect", "", true, 0, map[string]uint64{"a": 1, "b": 0, "c": 0})
	f("a was cut off and believes in itself, c leads", "c", true, 0, map[string]uint64{"a": 1, "b": 3, "c": 3})
	f("a was cut off and believes in itself, nobody else can be asked", "", true, 0, map[string]uint64{"a": 1})
	f("a believes in itself, b and c have not answered", "", false, 2, map[string]uint64{"a": 1})
	f("b and c have not noticed that a is gone", "", true, 0, map[string]uint64{"b": 1, "c": 1})
	f("b and c follow a, which has not answered", "", false, 1, map[string]uint64{"b": 1, "c": 1})
	f("b and c elect, a has not answered", "", true, 1, map[string]uint64{"b": 0, "c": 0})
	f("a has given up, b and c have not noticed", "", true, 0, map[string]uint64{"a": 0, "b": 1, "c": 1})
	f("nobody can be asked", "", true, 0, nil)

	if who, _ := leads([]following{{"kine", 0, 0}}, 0, 1); who != "kine" {
		t.Errorf("%q leads where one member numbers none", who)
	}
	if who, _ := leads([]following{{"a", 1, 1}, {"b", 2, 1}}, 0, 4); who != "" {
		t.Errorf("%q leads with half of the members", who)
	}
}
