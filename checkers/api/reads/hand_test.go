package reads

import (
	"strings"
	"testing"

	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/versions"
)

func pod(key, uid, app string) history.Version {
	ns, name, _ := strings.Cut(key, "/")
	v := history.Version{Resource: "pods", Kind: "Pod", Namespace: ns, Name: name, UID: uid}
	if app != "" {
		v.Labels = []history.Pair{{Name: "app", Value: app}}
	}
	return v
}

// hand is the store of the hand-made histories:
//
//	revision  2  a/x created   [10, 20]
//	          3  a/x changed   [30, 40]
//	          4  a/y created   [50, 60]
//	          5  a/x removed   [70, 80]
//	          6  a-b/z created [90, 100]
//	          7  a/y changed   [110, 120]
//
// and a compaction of 4 in [200, 210]. The key of a-b/z is before those of a.
func hand() *store {
	s := newStore()
	s.write(10, 20, pod("a/x", "ux", "one"))
	s.write(30, 40, pod("a/x", "ux", "two"))
	s.write(50, 60, pod("a/y", "uy", "two"))
	s.write(70, 80, pod("a/x", "", ""))
	s.write(90, 100, pod("a-b/z", "uz", "one"))
	s.write(110, 120, pod("a/y", "uy", "two"))
	s.compact(200, 210, 4)
	return s
}

var nextID uint64

func read(verb string, called, returned history.Time, rv string) *history.APICall {
	nextID++
	return &history.APICall{
		ID: nextID, Class: "contract", Server: "s1", Called: called, Returned: returned,
		Verb: verb, Version: "v1", Resource: "pods", ResourceVersion: rv, Status: 200,
	}
}

// getAt is a GET that shows the state of a revision.
func (s *store) getAt(called, returned history.Time, rv, key string, rev int64) *history.APICall {
	c := read("get", called, returned, rv)
	c.Namespace, c.Name, _ = strings.Cut(key, "/")
	if v := s.at("pods", key, rev); v != nil {
		c.Object = versions.Object(v)
	} else {
		c.Status, c.Reason, c.DetailsKind, c.DetailsName = 404, "NotFound", "pods", c.Name
	}
	return c
}

// listAt is a LIST of the state of a revision.
func (s *store) listAt(called, returned history.Time, rv string, rev int64) *history.APICall {
	c := read("list", called, returned, rv)
	c.ListVersion = rev
	pack(c, s.list(c, rev, ""))
	return c
}

func with(c *history.APICall, change func(*history.APICall)) *history.APICall {
	change(c)
	return c
}

func TestGet(t *testing.T) {
	s := hand()
	f := func(c *history.APICall, want ...Guarantee) {
		t.Helper()
		s.expect(t, []*history.APICall{c}, want...)
	}
	// What the store had when the GET was called, or came to have before it
	// returned, is right; what is older or later is not.
	f(s.getAt(1, 9, "", "a/x", 1))
	f(s.getAt(25, 28, "", "a/x", 2))
	f(s.getAt(25, 28, "", "a/x", 1), MostRecent)
	f(s.getAt(25, 35, "", "a/x", 3)) // the write of 3 was on its way
	f(s.getAt(25, 28, "", "a/x", 3), MostRecent)
	f(s.getAt(40, 44, "", "a/x", 2)) // 3 was answered at 40, no earlier
	f(s.getAt(41, 44, "", "a/x", 2), MostRecent)
	f(s.getAt(75, 79, "", "a/x", 5)) // being removed: both are right
	f(s.getAt(75, 79, "", "a/x", 4))
	f(s.getAt(81, 85, "", "a/x", 4), MostRecent) // returned after it was removed
	f(s.getAt(65, 69, "", "a/x", 5), MostRecent) // 404 of what is there

	// At N the state is one since N.
	f(s.getAt(150, 160, "3", "a/x", 3))
	f(s.getAt(150, 160, "3", "a/x", 5))
	f(s.getAt(150, 160, "3", "a/x", 2), NotOlderThan)
	f(s.getAt(150, 160, "4", "a/x", 3)) // changed last before N
	f(s.getAt(150, 160, "4", "a/x", 1)) // gone since 5
	f(s.getAt(150, 160, "5", "a/x", 4), NotOlderThan)
	f(s.getAt(65, 69, "3", "a/x", 1), NotOlderThan)

	// At 0 any state is right, but a version that never was is not.
	f(s.getAt(150, 160, "0", "a/x", 2))
	f(s.getAt(150, 160, "0", "a/x", 1))
	f(s.getAt(25, 28, "0", "a/x", 3), Any)
	for rv, g := range map[string]Guarantee{"": MostRecent, "0": Any, "4": NotOlderThan} {
		f(with(s.getAt(65, 69, rv, "a/x", 4), func(c *history.APICall) { c.Object.UID = "other" }), g)
		f(with(s.getAt(65, 69, rv, "a/x", 4), func(c *history.APICall) { c.Object.Content++ }), g)
		f(with(s.getAt(65, 69, rv, "a/x", 4), func(c *history.APICall) { c.Object.Version++ }), g)
		f(with(s.getAt(65, 69, rv, "a/x", 4), func(c *history.APICall) { c.Object.Deleting = true }), g)
		f(with(s.getAt(65, 69, rv, "a/x", 4), func(c *history.APICall) { c.Name = "y" }), g)
	}

	// Not judged: subresources that show other things, another thing missing,
	// Events, resources that may be stored somewhere else.
	f(with(s.getAt(81, 85, "", "a/x", 4), func(c *history.APICall) { c.Subresource = "scale" }))
	f(with(s.getAt(81, 85, "", "a/x", 4), func(c *history.APICall) { c.Subresource = "status" }), MostRecent)
	f(with(s.getAt(65, 69, "", "a/x", 5), func(c *history.APICall) { c.DetailsKind, c.DetailsName = "namespaces", "a" }))
	f(with(s.getAt(81, 85, "", "a/x", 4), func(c *history.APICall) { c.Resource = "events" }))
	f(with(s.getAt(81, 85, "", "a/x", 4), func(c *history.APICall) { c.Resource = "widgets" }))
	f(with(s.getAt(81, 85, "", "a/x", 4), func(c *history.APICall) { c.Status = 500 }))
}

// Of a resource of which nothing was ever stored, there is nothing: what an answer
// shows of it was invented.
func TestNothingStored(t *testing.T) {
	s := hand()
	f := func(group, resource string, c *history.APICall, want ...Guarantee) {
		t.Helper()
		c.Group, c.Resource = group, resource
		if c.DetailsKind != "" {
			c.DetailsKind = resource
		}
		s.expect(t, []*history.APICall{c}, want...)
	}
	none := func(c *history.APICall) *history.APICall { c.Items = nil; return c }
	f("", "secrets", s.getAt(81, 85, "", "a/x", 4), MostRecent)
	f("", "secrets", s.getAt(81, 85, "0", "a/x", 4), Any)
	f("", "secrets", s.getAt(81, 85, "", "a/x", 5))
	f("", "services", s.listAt(150, 160, "", 7), Snapshot)
	f("", "services", none(s.listAt(150, 160, "", 7)))
	f("apps", "deployments", s.listAt(150, 160, "", 7), Snapshot)
	f("apps", "deployments", none(s.listAt(150, 160, "", 6)), MostRecent)

	// Of what others serve nothing is known, nor of what nobody has defined.
	f("", "deployments", s.listAt(150, 160, "", 7))
	f("metrics.k8s.io", "pods", s.listAt(150, 160, "", 7))
	f("example.com", "widgets", s.listAt(150, 160, "", 7))
	definition := history.Version{Group: "apiextensions.k8s.io", Resource: "customresourcedefinitions", Name: "widgets.example.com", UID: "d"}
	s.write(130, 140, definition)
	f("example.com", "widgets", s.listAt(150, 160, "", 8), Snapshot)
	f("example.com", "widgets", none(s.listAt(150, 160, "", 8)))
	f("example.com", "gadgets", s.listAt(150, 160, "", 8))
}

func TestListRevision(t *testing.T) {
	s := hand()
	f := func(called, returned history.Time, rv, match string, limit, rev int64, want ...Guarantee) {
		t.Helper()
		c := s.listAt(called, returned, rv, rev)
		c.Match, c.Limit = match, limit
		s.expect(t, []*history.APICall{c}, want...)
	}
	f(65, 69, "", "", 0, 4)
	f(65, 75, "", "", 0, 5)
	f(65, 69, "", "", 0, 3, MostRecent)
	f(65, 69, "", "", 0, 5, MostRecent)
	f(65, 69, "", "", 10, 3, MostRecent)

	f(150, 160, "5", "", 0, 5)
	f(150, 160, "5", "", 0, 7)
	f(150, 160, "5", "", 0, 4, NotOlderThan)
	f(150, 160, "5", "NotOlderThan", 9, 6)
	f(150, 160, "5", "NotOlderThan", 9, 4, NotOlderThan)
	f(65, 69, "3", "", 0, 5, NotOlderThan)

	f(150, 160, "5", "Exact", 0, 5)
	f(150, 160, "5", "Exact", 0, 6, Exact)
	f(150, 160, "5", "Exact", 7, 4, Exact)
	f(150, 160, "5", "", 7, 5)
	f(150, 160, "5", "", 7, 7, Exact) // a limit makes N exact
	f(220, 230, "3", "Exact", 0, 3)   // compacted, but a snapshot of the cache had it

	f(150, 160, "0", "", 0, 2)
	f(150, 160, "0", "NotOlderThan", 3, 7)
	f(65, 69, "0", "", 0, 5, Any)

	// N with a limit is a lower bound where one object is named.
	c := s.listAt(150, 160, "5", 7)
	c.FieldSelector, c.Limit, c.Namespace = "metadata.name=y", 5, "a"
	c.Items = []history.APIObject{versions.Object(s.at("pods", "a/y", 7))}
	s.expect(t, []*history.APICall{c})
	c.Items = nil
	s.expect(t, []*history.APICall{c}, Snapshot)
}

func TestSnapshot(t *testing.T) {
	s := hand()
	f := func(change func(*history.APICall), want ...Guarantee) {
		t.Helper()
		c := s.listAt(150, 160, "", 7) // a-b/z, a/y
		change(c)
		s.expect(t, []*history.APICall{c}, want...)
	}
	older := versions.Object(s.at("pods", "a/y", 4))
	gone := versions.Object(s.at("pods", "a/x", 3))
	f(func(c *history.APICall) {})
	f(func(c *history.APICall) { c.Items = c.Items[:1] }, Snapshot)
	f(func(c *history.APICall) { c.Items = c.Items[1:] }, Snapshot)
	f(func(c *history.APICall) { c.Items = nil }, Snapshot)
	f(func(c *history.APICall) { c.Items[1] = older }, Snapshot)
	f(func(c *history.APICall) { c.Items = []history.APIObject{c.Items[0], gone, c.Items[1]} }, Snapshot)
	f(func(c *history.APICall) { c.Items = append(c.Items, c.Items[1]) }, Snapshot)
	f(func(c *history.APICall) { c.Items[0], c.Items[1] = c.Items[1], c.Items[0] }, Snapshot)
	f(func(c *history.APICall) { c.Items[0].UID = "other" }, Snapshot)
	f(func(c *history.APICall) { c.Items[1].Content++ }, Snapshot)
	f(func(c *history.APICall) { c.Items[1].Deleting = true }, Snapshot)

	f(func(c *history.APICall) { c.Namespace, c.Items = "a", c.Items[1:] })
	f(func(c *history.APICall) { c.Namespace = "a" }, Snapshot)
	f(func(c *history.APICall) { c.LabelSelector, c.Items = "app=two", c.Items[1:] })
	f(func(c *history.APICall) { c.LabelSelector = "app=two" }, Snapshot)
	f(func(c *history.APICall) { c.LabelSelector, c.Items = "app=two", nil }, Snapshot)

	// A field that the table does not know: not judged.
	f(func(c *history.APICall) { c.FieldSelector, c.Items = "status.podIP=1.2.3.4", nil })
	// A raised revision: the state had changed in between.
	c := s.listAt(150, 160, "0", 5)
	c.ListVersion = 7
	s.expect(t, []*history.APICall{c}, Snapshot)
}

// TestChunks lists more objects than a record holds.
func TestChunks(t *testing.T) {
	s := newStore()
	var now history.Time
	for i := range 150 {
		now += 10
		s.write(now, now+5, pod("a/p"+string(rune('A'+i/26))+string(rune('a'+i%26)), "u", ""))
	}
	s.write(now+10, now+15, pod("a/pAa", "u", ""))
	f := func(change func([]history.APIObject) []history.APIObject, says string) {
		t.Helper()
		c := s.listAt(now+50, now+60, "", s.rev)
		pack(c, change(s.list(c, s.rev, "")))
		broken, _ := s.judged([]*history.APICall{c})
		if got := broken[Snapshot]; !strings.Contains(got, says) || (says == "") != (got == "") {
			t.Errorf("want %q, got %q", says, got)
		}
	}
	f(func(l []history.APIObject) []history.APIObject { return l }, "")
	f(func(l []history.APIObject) []history.APIObject { l[70].Content++; return l }, "items 65 to 128, a/pCm to a/pEx, differ")
	f(func(l []history.APIObject) []history.APIObject { return append(l[:70], l[71:]...) }, "items 65 to 128, a/pCm to a/pEy, are a/pCm to a/pEx")
	f(func(l []history.APIObject) []history.APIObject { return l[:128] }, "it ends without a/pEy")
	f(func(l []history.APIObject) []history.APIObject { return l[:149] }, "it ends without a/pFt")
	f(func(l []history.APIObject) []history.APIObject { return append(l, l[0]) }, "items 129 to 151, a/pEy to a/pAa, are 23, but the state ends with 22")
}

// pages are two pages of one list of hand, of revision rev.
func (s *store) pages(rev int64) (first, second *history.APICall) {
	first = s.listAt(150, 160, "", rev)
	first.Limit, first.NextPage = 1, sum(rev, first.Items[0].Key())
	second = s.listAt(170, 180, "", rev)
	second.Limit, second.Continue = 1, first.NextPage
	first.Items, second.Items = first.Items[:1], second.Items[1:]
	return first, second
}

func TestPaged(t *testing.T) {
	s := hand()
	f := func(change func(a, b *history.APICall), want ...Guarantee) {
		t.Helper()
		a, b := s.pages(7)
		change(a, b)
		s.expect(t, []*history.APICall{a, b}, want...)
		s.expect(t, []*history.APICall{b, a}, want...) // the records in the other order
	}
	f(func(a, b *history.APICall) {})
	f(func(a, b *history.APICall) { b.Items = a.Items }, Paged, Snapshot)
	f(func(a, b *history.APICall) { b.Items = nil }, Paged, Snapshot)
	f(func(a, b *history.APICall) { b.Items = append(a.Items, b.Items...) }, Paged, Snapshot)
	f(func(a, b *history.APICall) { b.ListVersion = 6 }, Paged)
	f(func(a, b *history.APICall) { b.Items = []history.APIObject{versions.Object(s.at("pods", "a/y", 4))} }, Paged, Snapshot)
	f(func(a, b *history.APICall) { a.Items = nil }, Paged, Snapshot) // the token is behind what was left out
	f(func(a, b *history.APICall) { b.Continue++ })                   // a token of nobody: not judged
	f(func(a, b *history.APICall) { b.LabelSelector = "app=one" })    // not the list that the token is of

	// A list that goes on where it was wrong is judged by where it was.
	s.expectCount(t, Snapshot, 1, func() []*history.APICall {
		a, b := s.pages(7)
		a.Items[0].Content++
		return []*history.APICall{a, b}
	}())
	s.expectCount(t, Snapshot, 2, func() []*history.APICall {
		a, b := s.pages(7)
		a.Items[0].Content++
		b.Items[0].Content++
		return []*history.APICall{a, b}
	}())

	// Equal tokens are of equal places.
	a, b := s.pages(7)
	again, _ := s.pages(7)
	again.ListVersion, again.Items[0] = 6, versions.Object(s.at("pods", "a-b/z", 6))
	again.ResourceVersion = "0"
	s.expect(t, []*history.APICall{a, b, again}, Paged)
}

// TestLimit: no more than was asked for, but of any revision.
func TestLimit(t *testing.T) {
	s := hand()
	f := func(rv, match string, limit int64, want ...Guarantee) {
		t.Helper()
		c := s.listAt(150, 160, rv, 7)
		c.Match, c.Limit = match, limit
		s.expect(t, []*history.APICall{c}, want...)
	}
	for _, at := range []struct{ rv, match string }{{"", ""}, {"7", ""}, {"7", "Exact"}, {"5", "NotOlderThan"}} {
		f(at.rv, at.match, 0)
		f(at.rv, at.match, 2)
		f(at.rv, at.match, 1, Paged)
	}
	f("0", "", 1)
	f("0", "NotOlderThan", 1)

	// The same of what a token continues.
	s.write(120, 130, pod("a/z", "uz", ""))
	for rv, want := range map[string][]Guarantee{"": {Paged}, "0": nil} {
		a, b := s.pages(8) // the second has two objects
		a.ResourceVersion, b.ResourceVersion = rv, rv
		s.expect(t, []*history.APICall{a, b}, want...)
	}

	_, c := s.judged([]*history.APICall{first(s.pages(7))})
	if want := "1 lists that their limit cut"; !strings.Contains(c.checked(Paged), want) {
		t.Errorf("%s: want %s", c.checked(Paged), want)
	}
}

func first(a, _ *history.APICall) *history.APICall { return a }

// TestExpiredPage goes on behind a token that came with a 410.
func TestExpiredPage(t *testing.T) {
	f := func(change func(gone, rest *history.APICall), want ...Guarantee) {
		t.Helper()
		s := hand()
		first := s.listAt(65, 69, "", 4) // a/x, a/y
		first.Limit, first.NextPage = 1, 77
		first.Items = first.Items[:1]
		gone := read("list", 220, 230, "")
		gone.Status, gone.Reason, gone.Continue, gone.NextPage, gone.Limit = 410, "Expired", 77, 78, 1
		s.compact(200, 210, 6)
		rest := s.listAt(240, 250, "", 7)
		rest.Continue, rest.Limit, rest.Items = 78, 1, rest.Items[1:] // a/y, without a-b/z before it
		change(gone, rest)
		s.expect(t, []*history.APICall{first, gone, rest}, want...)
	}
	f(func(gone, rest *history.APICall) {})
	f(func(gone, rest *history.APICall) { rest.ListVersion = 6 }, Paged)
	f(func(gone, rest *history.APICall) { rest.ListVersion = 8 }, Paged)
	f(func(gone, rest *history.APICall) { rest.Items = nil }, Paged, Snapshot)
	f(func(gone, rest *history.APICall) { gone.Called, gone.Returned = 190, 199 }, ExpiredHonest)
	f(func(gone, rest *history.APICall) {
		rest.Status, rest.Cause, rest.NextPage = 504, tooLarge, 0
	}, TooNewHonest)
}

func TestRefusals(t *testing.T) {
	s := hand() // 4 is compacted in [200, 210]
	f := func(c *history.APICall, status int32, match string, want ...Guarantee) {
		t.Helper()
		c.Status, c.Match, c.Object, c.ListVersion, c.Items = status, match, history.APIObject{}, 0, nil
		if status == 504 {
			c.Cause = tooLarge
		}
		s.expect(t, []*history.APICall{c}, want...)
	}
	f(s.listAt(220, 230, "3", 3), 410, "Exact")
	f(s.listAt(195, 201, "3", 3), 410, "Exact") // the compaction had been called
	f(s.listAt(190, 199, "3", 3), 410, "Exact", ExpiredHonest)
	f(s.listAt(220, 230, "4", 4), 410, "Exact", ExpiredHonest) // the compact revision itself can be read
	f(s.listAt(220, 230, "", 3), 410, "", ExpiredHonest)
	f(s.listAt(220, 230, "0", 3), 410, "", ExpiredHonest)
	f(s.listAt(220, 230, "3", 3), 410, "NotOlderThan", ExpiredHonest)
	f(s.getAt(220, 230, "3", "a/x", 3), 410, "", ExpiredHonest)
	f(s.getAt(5, 230, "", "a/x", 3), 410, "", ExpiredHonest) // even if something was compacted meanwhile
	f(s.listAt(5, 230, "", 3), 410, "")                      // read in several ranges, the last after the compaction

	f(s.listAt(150, 160, "8", 3), 504, "")
	f(s.listAt(150, 160, "8", 3), 504, "Exact")
	f(s.getAt(150, 160, "8", "a/x", 3), 504, "")
	f(s.getAt(150, 160, "7", "a/x", 3), 504, "") // a cache that lags
	f(s.getAt(150, 160, "0", "a/x", 3), 504, "", TooNewHonest)
	f(s.getAt(150, 160, "", "a/x", 3), 504, "", TooNewHonest)
	f(s.listAt(150, 160, "", 3), 504, "", TooNewHonest)
	f(s.listAt(150, 160, "0", 3), 504, "", TooNewHonest)

	// An answer at a revision of the future.
	s.expect(t, []*history.APICall{s.getAt(150, 160, "8", "a/y", 7)}, TooNewHonest)
	s.expect(t, []*history.APICall{s.getAt(150, 160, "8", "a/x", 7)}, TooNewHonest)
	s.expect(t, []*history.APICall{s.listAt(150, 160, "8", 7)}, TooNewHonest)
}

func TestBackwards(t *testing.T) {
	s := hand()
	at := func(c *history.APICall, server string) *history.APICall { c.Server = server; return c }
	calls := []*history.APICall{
		s.listAt(150, 160, "0", 7),
		at(s.listAt(161, 165, "0", 6), "s2"), // another server
		s.listAt(166, 170, "0", 5),           // and the first one itself
		s.listAt(155, 171, "0", 4),           // called before the newest had returned: no order
		s.getAt(172, 175, "0", "a/y", 7),
		at(s.getAt(176, 177, "0", "a/y", 4), "s2"),
		s.getAt(178, 179, "0", "a/y", 5),
	}
	broken, c := s.judged(calls)
	if len(broken) > 0 {
		t.Error(broken)
	}
	if b := c.back; b.listsAcross != 1 || b.listsOnOne != 1 || b.objectsAcross != 1 || b.objectsOnOne != 1 {
		t.Errorf("%+v", b)
	}
}

// TestInvalid sees that a history that could not have shown a violation passes
// nothing.
func TestInvalid(t *testing.T) {
	s := hand()
	for _, v := range New(Options{}).Finish() {
		if v.Outcome != checkers.Invalid {
			t.Errorf("without a storage history: %s", v)
		}
	}
	c := New(Options{Versions: s.table, Window: s.window.Window()})
	c.Call(s.listAt(65, 69, "", 4))
	c.Call(s.listAt(65, 69, "", 3))
	for _, v := range c.Finish() {
		want := checkers.Invalid
		if v.Guarantee == string(MostRecent) {
			want = checkers.Fail
		}
		if v.Outcome != want || v.Statement == "" || v.Checked == "" || v.Area != checkers.AreaAPI {
			t.Errorf("%+v", v)
		}
	}
	s.table.Add(&history.Version{Revision: 1, Key: "/late"})
	for _, v := range c.verdicts() {
		if v.Outcome != checkers.Invalid {
			t.Errorf("with versions out of order: %s", v)
		}
	}
}

// TestUnjudged keeps apart what the version table cannot tell.
func TestUnjudged(t *testing.T) {
	s := newStore()
	s.rev, s.states = 99, make([]map[string]*history.Version, 100)
	s.states[99] = map[string]*history.Version{}
	s.write(10, 20, pod("a/x", "ux", "one")) // revision 100: what is older is not known
	s.write(30, 40, pod("a/y", "uy", "one"))
	old := history.APIObject{Namespace: "a", Name: "old", UID: "u", Version: 42}
	get := s.getAt(50, 60, "", "a/x", 100)
	get.Name, get.Object = "old", old
	list := s.listAt(50, 60, "", 101)
	list.Items = append([]history.APIObject{old}, list.Items...)
	before := s.listAt(25, 28, "0", 100)
	before.ListVersion = 98
	_, c := s.judged([]*history.APICall{get, list, before})
	if c.counts.unbounded != 3 || len(c.found) > 0 {
		t.Errorf("%d answers of unknown revisions, found %v", c.counts.unbounded, c.found)
	}
	list.Items = s.listAt(50, 60, "", 101).Items[:1] // what is known must be there
	s.expect(t, []*history.APICall{list}, Snapshot)

	// A value that could not be read makes the lists that may hold it unjudged,
	// and the GETs of it.
	s.rev++
	s.table.Add(&history.Version{Revision: s.rev, Key: "/registry/pods/a/x", Group: "", Resource: "pods", Unread: true})
	get.Name, get.Object = "x", history.APIObject{Namespace: "a", Name: "x", UID: "ux", Version: s.rev, Content: 1}
	get.Returned, list.ListVersion = 70, s.rev
	s.window.StoreOp(&history.StoreOp{
		Method: history.MethodPut, Called: 45, Returned: 65, Header: s.rev,
		Then: []history.StoreAction{{Kind: history.ActionPut}}, Results: []history.StoreResult{{}},
	})
	list.Returned = 70
	if _, c = s.judged([]*history.APICall{get, list}); c.counts.unread != 2 || len(c.found) > 0 {
		t.Errorf("%d unread answers, found %v", c.counts.unread, c.found)
	}
}
