package versions_test

import (
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/versions"
)

// story makes random versions of three resources, one of them cluster-scoped.
// The names are such that the order of namespace/name is not that of namespace,
// then name: '-' sorts before '/'.
type story struct {
	rnd *rand.Rand
	all []*history.Version
}

func pick[T any](rnd *rand.Rand, list ...T) T { return list[rnd.IntN(len(list))] }

func newStory(seed uint64, revisions int) *story {
	s := &story{rnd: rand.New(rand.NewPCG(seed, 1))}
	for rev := int64(5); rev < int64(5+revisions); rev++ {
		if s.rnd.IntN(10) == 0 {
			continue // of something that the table does not see
		}
		s.all = append(s.all, s.version(rev))
		if s.rnd.IntN(8) == 0 { // the end of a lease: two keys in one revision
			if v := s.version(rev); v.Key != s.all[len(s.all)-1].Key {
				s.all = append(s.all, v)
			}
		}
	}
	return s
}

func (s *story) version(rev int64) *history.Version {
	rnd := s.rnd
	v := &history.Version{Revision: rev, Content: rnd.Uint64()}
	name, namespace := pick(rnd, "a", "a-b", "a.b", "b", "z"), pick(rnd, "n", "n-1", "n0", "m")
	switch rnd.IntN(3) {
	case 0:
		v.Resource, v.Kind, v.Key = "pods", "Pod", "/registry/pods/"+namespace+"/"+name
	case 1:
		v.Group, v.Resource, v.Kind = "coordination.k8s.io", "leases", "Lease"
		v.Key = "/registry/leases/" + namespace + "/" + name
	case 2:
		namespace = ""
		v.Resource, v.Kind, v.Key = "nodes", "Node", "/registry/minions/"+name
	}
	if rnd.IntN(5) == 0 {
		v.Delete, v.Kind, v.Content = true, "", 0
		return v
	}
	if rnd.IntN(20) == 0 {
		v.Unread, v.Kind = true, ""
		return v
	}
	v.Namespace, v.Name = namespace, name
	if before := s.before(v.Key); before != nil && rnd.IntN(3) > 0 {
		return s.changed(before, v)
	}
	v.UID = fmt.Sprintf("uid-%d", rnd.IntN(3))
	v.Created, v.Generation, v.Deleting = int64(rnd.IntN(2)), int64(rnd.IntN(2)), rnd.IntN(4) == 0
	if rnd.IntN(2) == 0 {
		v.Labels = []history.Pair{{Name: "app", Value: pick(rnd, "x", "y", "")}}
		v.Fields = []history.Pair{{Name: "status.phase", Value: pick(rnd, "Running", "Pending")}}
	}
	if rnd.IntN(4) == 0 {
		v.Marks = []history.Pair{{Name: "c1", Value: pick(rnd, "1", "2")}}
		v.Owners = []history.Owner{{Kind: "ReplicaSet", Name: "r", UID: pick(rnd, "1", "2"), Controller: true}}
		v.Finalizers = []string{pick(rnd, "f", "g")}
	}
	return v
}

func (s *story) before(key string) *history.Version {
	for _, v := range slices.Backward(s.all) {
		if v.Key == key && v.Kind != "" {
			return v
		}
	}
	return nil
}

// changed is a version that differs from the one before in one thing at most.
func (s *story) changed(before, next *history.Version) *history.Version {
	v := before.Clone()
	v.Revision, v.Content = next.Revision, next.Content
	switch s.rnd.IntN(11) {
	case 0:
		v.UID += "x"
	case 1:
		v.Created++
	case 2:
		v.Generation++
	case 3:
		v.Deleting = !v.Deleting
	case 4:
		v.Grace++
	case 5:
		v.Finalizers = append(v.Finalizers, "more")
	case 6:
		v.Owners = append(v.Owners, history.Owner{UID: "more"})
	case 7:
		v.Labels = append(v.Labels, history.Pair{Name: "more", Value: "yes"})
	case 8:
		v.Marks = append(v.Marks, history.Pair{Name: "more", Value: "yes"})
	case 9:
		v.Fields = append(v.Fields, history.Pair{Name: "more", Value: "yes"})
	}
	return v
}

// place is what a key says of its object, written down by hand.
func place(key string) (resource, path string) {
	for prefix, resource := range map[string]string{
		"/registry/pods/": "pods", "/registry/leases/": "leases", "/registry/minions/": "nodes",
	} {
		if path, found := strings.CutPrefix(key, prefix); found {
			return resource, path
		}
	}
	return "", ""
}

// whole is a version as the table shows it: also of a removal it has the name.
func whole(v *history.Version) *history.Version {
	c := v.Clone()
	_, path := place(v.Key)
	if namespace, name, found := strings.Cut(path, "/"); found {
		c.Namespace, c.Name = namespace, name
	} else {
		c.Name = path
	}
	return c
}

// state is the naive model: fold everything up to rev.
func (s *story) state(resource string, rev int64) map[string]*history.Version {
	state := map[string]*history.Version{}
	for _, v := range s.all {
		if r, path := place(v.Key); r == resource && v.Revision <= rev {
			state[path] = whole(v)
			if v.Delete {
				delete(state, path)
			}
		}
	}
	return state
}

func table(all []*history.Version) *versions.Table {
	t := versions.New()
	for _, v := range all {
		scratch := v.Clone()
		t.Add(scratch)
		for i := range scratch.Labels { // the table must have copied what it keeps
			scratch.Labels[i].Value = "overwritten"
		}
		for i := range scratch.Fields {
			scratch.Fields[i].Value = "overwritten"
		}
	}
	return t
}

var resources = []struct{ group, resource string }{{"", "pods"}, {"coordination.k8s.io", "leases"}, {"", "nodes"}}

func collect(list iter.Seq[*history.Version]) (all []*history.Version) {
	for v := range list {
		all = append(all, v)
	}
	return all
}

func (s *story) wantList(resource, namespace, label string, rev int64) (want []*history.Version) {
	state := s.state(resource, rev)
	paths := make([]string, 0, len(state))
	for path := range state {
		paths = append(paths, path)
	}
	slices.Sort(paths)
	for _, path := range paths {
		v := state[path]
		app, has := v.Label("app")
		if (namespace == "" || v.Namespace == namespace) && (label == "" || has && app == label) {
			want = append(want, v)
		}
	}
	return want
}

func TestAgainstModel(t *testing.T) {
	for seed := range uint64(12) {
		s := newStory(seed, 60)
		tab := table(s.all)
		first, last := tab.Bounds()
		if first != s.all[0].Revision-1 || last != s.all[len(s.all)-1].Revision {
			t.Fatalf("seed %d: bounds (%d, %d]", seed, first, last)
		}
		x, err := versions.ParseSelector("app=x", "")
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range resources {
			k := tab.Kind(r.group, r.resource)
			if k == nil {
				continue
			}
			for rev := first - 1; rev <= last+1; rev++ {
				for _, ns := range []string{"", "n", "n-1", "absent"} {
					if d := cmp.Diff(s.wantList(r.resource, ns, "", rev), collect(k.List(ns, versions.Selector{}, rev))); d != "" {
						t.Fatalf("seed %d: list of %s in %q at %d: -want +got\n%s", seed, r.resource, ns, rev, d)
					}
				}
				if d := cmp.Diff(s.wantList(r.resource, "", "x", rev), collect(k.List("", x, rev))); d != "" {
					t.Fatalf("seed %d: selected list of %s at %d: -want +got\n%s", seed, r.resource, rev, d)
				}
			}
		}
	}
}

func TestAtAndNextAgainstModel(t *testing.T) {
	for seed := range uint64(12) {
		s := newStory(seed, 60)
		tab := table(s.all)
		_, last := tab.Bounds()
		for _, r := range resources {
			k := tab.Kind(r.group, r.resource)
			if k == nil {
				continue
			}
			for rev := int64(3); rev <= last; rev++ {
				state := s.state(r.resource, rev)
				for _, v := range s.all {
					resource, path := place(v.Key)
					if resource != r.resource {
						continue
					}
					w := whole(v)
					if d := cmp.Diff(state[path], k.At(w.Namespace, w.Name, rev)); d != "" {
						t.Fatalf("seed %d: %s at %d: -want +got\n%s", seed, v.Key, rev, d)
					}
					if d := cmp.Diff(s.next(v.Key, rev), k.Next(w.Namespace, w.Name, rev)); d != "" {
						t.Fatalf("seed %d: %s after %d: -want +got\n%s", seed, v.Key, rev, d)
					}
				}
			}
		}
	}
}

func (s *story) next(key string, rev int64) *history.Version {
	for _, v := range s.all {
		if v.Key == key && v.Revision > rev {
			w := whole(v)
			if r, _ := place(key); r == "leases" && w.Delete {
				w.Group = "coordination.k8s.io"
			}
			return w
		}
	}
	return nil
}

func TestChangesAgainstModel(t *testing.T) {
	for seed := range uint64(12) {
		s := newStory(seed, 40)
		tab := table(s.all)
		_, last := tab.Bounds()
		for _, r := range resources {
			k := tab.Kind(r.group, r.resource)
			if k == nil {
				continue
			}
			for from := int64(4); from <= last; from += 7 {
				for to := from - 1; to <= last+1; to += 5 {
					var want, got []versions.Change
					for c := range k.Changes(from, to) {
						got = append(got, c)
					}
					for _, v := range s.all {
						if resource, path := place(v.Key); resource == r.resource && v.Revision >= from && v.Revision <= to {
							want = append(want, versions.Change{Now: whole(v), Prev: s.state(resource, v.Revision-1)[path]})
						}
					}
					if d := cmp.Diff(want, got); d != "" {
						t.Fatalf("seed %d: changes of %s in [%d, %d]: -want +got\n%s", seed, r.resource, from, to, d)
					}
				}
			}
		}
	}
}

func TestAddAfterList(t *testing.T) {
	tab := versions.New()
	add := func(rev int64, name string) {
		tab.Add(&history.Version{Revision: rev, Resource: "nodes", Key: "/registry/minions/" + name, Name: name})
	}
	add(2, "m")
	nodes := tab.Kind("", "nodes")
	if n := len(collect(nodes.List("", versions.Selector{}, 9))); n != 1 {
		t.Fatalf("listed %d", n)
	}
	add(3, "a")
	got := collect(nodes.List("", versions.Selector{}, 9))
	if len(got) != 2 || got[0].Name != "a" {
		t.Errorf("listed %v", got)
	}
	for v := range nodes.List("", versions.Selector{}, 9) { // a loop that is left early
		if v.Name != "a" {
			t.Errorf("first is %s", v.Name)
		}
		break
	}
}

func TestBounds(t *testing.T) {
	tab := versions.New()
	tab.Sealed(4)
	tab.Add(&history.Version{Revision: 7, Key: "compact_rev_key"})
	tab.Add(&history.Version{Revision: 6, Resource: "pods", Key: "/registry/pods/a/b", Namespace: "a", Name: "b"})
	tab.Sealed(9)
	if first, last := tab.Bounds(); first != 4 || last != 9 {
		t.Errorf("bounds (%d, %d]", first, last)
	}
	if tab.Dropped() != 1 || tab.Kind("", "pods") != nil || len(tab.Kinds()) != 0 {
		t.Errorf("a version that came too late was taken: dropped %d", tab.Dropped())
	}
}

// TestRemovalFirst gives the table the end of objects whose beginning it has
// not seen.
func TestRemovalFirst(t *testing.T) {
	for key, want := range map[string][4]string{
		"/registry/pods/ns/web-0":             {"", "pods", "ns", "web-0"},
		"/registry/services/specs/ns/web":     {"", "services", "ns", "web"},
		"/registry/minions/node-1":            {"", "nodes", "", "node-1"},
		"/registry/example.com/widgets/ns/w1": {"example.com", "widgets", "ns", "w1"},
		"/registry/clusterroles/view":         {"rbac.authorization.k8s.io", "clusterroles", "", "view"},
	} {
		tab := versions.New()
		tab.Add(&history.Version{Revision: 3, Key: key, Delete: true, Group: want[0], Resource: want[1]})
		got := tab.Kind(want[0], want[1]).Next(want[2], want[3], 0)
		if got == nil || got.Namespace != want[2] || got.Name != want[3] || !got.Delete {
			t.Errorf("%s: found %+v", key, got)
		}
	}
}

func TestObject(t *testing.T) {
	v := &history.Version{Revision: 3, Namespace: "a", Name: "b", UID: "u", Content: 9, Deleting: true}
	want := history.APIObject{Namespace: "a", Name: "b", UID: "u", Version: 3, Content: 9, Deleting: true}
	if got := versions.Object(v); got != want {
		t.Errorf("%+v", got)
	}
}

// TestAskedWhileFilled lists at random moments of the filling, and goes through
// the changes piece by piece.
func TestAskedWhileFilled(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	tab := versions.New()
	var names []string
	var since []int64
	for rev := int64(2); rev < 900; rev++ {
		name := fmt.Sprintf("n%03d", rng.IntN(400))
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
		tab.Add(&history.Version{Revision: rev, Resource: "nodes", Key: "/registry/minions/" + name, Name: name})
		nodes := tab.Kind("", "nodes")
		if rng.IntN(20) == 0 {
			var got []string
			for v := range nodes.List("", versions.Selector{}, rev) {
				got = append(got, v.Name)
			}
			if want := slices.Sorted(slices.Values(names)); !slices.Equal(got, want) {
				t.Fatalf("at %d listed %q, want %q", rev, got, want)
			}
		}
		if rng.IntN(10) == 0 {
			for c := range nodes.Since(len(since), rev-3) {
				since = append(since, c.Now.Revision)
			}
		}
	}
	if n := len(since); n < 800 || since[0] != 2 || since[n-1] != int64(n+1) {
		t.Errorf("%d changes, from %d to %d", n, since[0], since[n-1])
	}
}

// TestOutside passes over a namespace in steps, and over none that only begins
// like it.
func TestOutside(t *testing.T) {
	table := versions.New()
	names := [][2]string{{"a", "x"}, {"b", "x"}, {"ab", "x"}, {"", "a"}, {"a", "y"}, {"b", "x"}, {"a", "x"}, {"", "c"}}
	for i, n := range names {
		table.Add(&history.Version{Revision: int64(i + 1), Resource: "leases", Namespace: n[0], Name: n[1], Key: "/registry/leases/" + n[0] + "/" + n[1]})
	}
	var got []int64
	next := 0
	for _, upto := range []int64{1, 3, 3, 7, 8, 9} {
		for n, c := range table.Kind("", "leases").Outside("a", next, upto) {
			next = n
			got = append(got, c.Now.Revision)
		}
	}
	if want := []int64{2, 3, 4, 6, 8}; !slices.Equal(got, want) {
		t.Errorf("%d, want %d", got, want)
	}
	for range table.Kind("", "leases").Outside("a", 0, 9) {
		break
	}
}

// Bodies says what Since says, but for revision and content, which come beside or
// not at all.
func TestBodies(t *testing.T) {
	for seed := range uint64(20) {
		s := newStory(seed, 200)
		tab := table(s.all)
		bare := func(v *history.Version) *history.Version {
			if v == nil {
				return nil
			}
			b := *v
			b.Revision, b.Content = 0, 0
			return &b
		}
		for _, k := range tab.Kinds() {
			for _, n := range []int{0, 1, k.Len() / 2, k.Len()} {
				var want, got []versions.Change
				var at, revs []int64
				for c := range k.Since(n, 1<<62) {
					at = append(at, c.Now.Revision)
					want = append(want, versions.Change{Now: bare(c.Now), Prev: bare(c.Prev)})
				}
				for rev, c := range k.Bodies(n) {
					revs = append(revs, rev)
					got = append(got, versions.Change{Now: bare(c.Now), Prev: bare(c.Prev)})
				}
				if diff := cmp.Diff(want, got); diff != "" || !slices.Equal(at, revs) {
					t.Fatalf("seed %d: behind %d versions, at revisions %v instead of %v (-want +got):\n%s", seed, n, revs, at, diff)
				}
			}
		}
	}
}
