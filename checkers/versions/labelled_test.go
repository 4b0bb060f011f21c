package versions_test

import (
	"fmt"
	"iter"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/versions"
)

// selected are those that a selector may match.
func selected(list iter.Seq[*history.Version], sel versions.Selector) (may []*history.Version) {
	for v := range list {
		if match, known := sel.Matches(v); match || !known {
			may = append(may, v)
		}
	}
	return may
}

// TestMay asks for what may be selected while the table is filled, and holds it against
// a look at all objects. Some were never read: they may have any label.
func TestMay(t *testing.T) {
	unread := 0
	for seed := range uint64(12) {
		s, tab := newStory(seed, 90), versions.New()
		rnd := rand.New(rand.NewPCG(seed, 2))
		for _, added := range s.all {
			tab.Add(added)
			if rnd.IntN(4) > 0 {
				continue
			}
			rev := added.Revision - rnd.Int64N(30)
			for _, r := range resources {
				k := tab.Kind(r.group, r.resource)
				if k == nil {
					continue
				}
				for _, labels := range []string{"app=x", "app=y", "app=", "app=x,app=y", "app!=x", "app in (x,y)", "app", "!app", "app=absent"} {
					sel, err := versions.ParseSelector(labels, "")
					if err != nil {
						t.Fatal(err)
					}
					for _, ns := range []string{"", "n", "n-1"} {
						want, got := selected(k.List(ns, versions.Selector{}, rev), sel), selected(k.May(ns, sel, rev), sel)
						if d := cmp.Diff(want, got); d != "" {
							t.Fatalf("seed %d: %s in %q with %s at %d: -want +got\n%s", seed, r.resource, ns, labels, rev, d)
						}
						for _, v := range got {
							if v.Unread {
								unread++
							}
						}
					}
				}
			}
		}
	}
	if unread == 0 {
		t.Error("nothing was unread")
	}
}

// TestMayIsShort: a label that few objects ever had is not looked for in all of them,
// whatever else is asked; of more labels than there are indexes all are looked at.
func TestMayIsShort(t *testing.T) {
	tab := versions.New()
	for i := range 100 {
		name := fmt.Sprintf("n%02d", i)
		v := &history.Version{Revision: int64(2 + i), Resource: "nodes", Key: "/registry/minions/" + name, Name: name}
		if i%20 == 0 {
			v.Labels = []history.Pair{{Name: "part", Value: "few"}, {Name: fmt.Sprintf("l%d", i), Value: "1"}}
		}
		tab.Add(v)
	}
	f := func(labels string, want int) {
		t.Helper()
		sel, err := versions.ParseSelector(labels, "")
		if err != nil {
			t.Fatal(err)
		}
		if n := len(collect(tab.Kind("", "nodes").May("", sel, 500))); n != want {
			t.Errorf("%s: looks at %d objects, want %d", labels, n, want)
		}
	}
	f("part=few", 5)
	f("!x,part=few,l0!=1", 5)
	f("part!=few", 100)
	f("part in (few,many)", 100)
	for i := range 15 {
		f(fmt.Sprintf("k%d=1", i), 0)
	}
	f("l20=1", 100)
	f("part=few", 5)
}
