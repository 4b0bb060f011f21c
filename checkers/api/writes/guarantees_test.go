package writes

import (
	"strings"
	"testing"

	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/checkers/history"
)

// The hand-made histories: revision r is committed between 10r and 10r+2, so a
// call from 10r-3 to 10r+5 is around it, and one from 10r+4 to 10r+6 finds it.

// hand makes a history of versions of config maps, and of calls.
func hand(versions []*history.Version, calls ...*history.APICall) *story {
	s := &story{calls: calls, versions: versions}
	for _, v := range versions {
		at := history.Time(10 * v.Revision)
		s.ops = append(s.ops, &history.StoreOp{
			Method: history.MethodTxn, Called: at, Returned: at + 2, Header: v.Revision, Succeeded: true,
			Then: []history.StoreAction{{Kind: history.ActionPut, Key: v.Key}}, Results: []history.StoreResult{{}},
		})
	}
	for i, c := range calls {
		c.ID = uint64(i + 1)
	}
	return s
}

// cm is a version of the config map ns/a.
func cm(rev int64, uid string, change ...func(*history.Version)) *history.Version {
	v := &history.Version{
		Revision: rev, Key: "/registry/configmaps/ns/a", Resource: "configmaps", Kind: "ConfigMap",
		Namespace: "ns", Name: "a", UID: uid, Created: 1,
	}
	for _, f := range change {
		f(v)
	}
	return v
}

func deleting(v *history.Version) { v.Deleting = true }
func gone(v *history.Version)     { v.Delete = true }

// waiting is marked for deletion, and held by a finalizer.
func waiting(v *history.Version) { v.Deleting, v.Finalizers = true, []string{"example.com/f"} }

// graceful is marked for deletion, and has some time left.
func graceful(v *history.Version) { v.Deleting, v.Grace = true, 30 }

func holding(content uint64) func(*history.Version) {
	return func(v *history.Version) { v.Content = content }
}

func mark(name, value string) func(*history.Version) {
	return func(v *history.Version) { v.Marks = append(v.Marks, history.Pair{Name: name, Value: value}) }
}

// other is a version of the config map ns/b, which moves the revision.
func other(rev int64) *history.Version {
	return cm(rev, "b", func(v *history.Version) { v.Name, v.Key = "b", "/registry/configmaps/ns/b" })
}

// ask is a call on ns/a.
func ask(verb string, called, returned history.Time, change ...func(*history.APICall)) *history.APICall {
	c := &history.APICall{Verb: verb, Resource: "configmaps", Namespace: "ns", Name: "a", Called: called, Returned: returned}
	for _, f := range change {
		f(c)
	}
	return c
}

func failing(status int32, reason string) func(*history.APICall) {
	return func(c *history.APICall) { c.Status, c.Reason = status, reason }
}

func needing(version, uid string) func(*history.APICall) {
	return func(c *history.APICall) { c.NeedVersion, c.NeedUID = version, uid }
}

// answered is a success with a version.
func answered(status int32, rev int64, uid string) func(*history.APICall) {
	return func(c *history.APICall) {
		c.Status = status
		c.Object = history.APIObject{Namespace: c.Namespace, Name: c.Name, UID: uid, Version: rev}
	}
}

func sets(name, value string) func(*history.APICall) {
	return func(c *history.APICall) {
		c.Declared, c.Sets = true, append(c.Sets, history.Pair{Name: name, Value: value})
	}
}

func dry(c *history.APICall) { c.DryRun = true }

// ending is that the answer shows an object which is marked for deletion.
func ending(c *history.APICall) { c.Object.Deleting = true }

func lease(c *history.APICall) { c.Group, c.Resource = "coordination.k8s.io", "leases" }

func leased(v *history.Version) {
	v.Group, v.Resource, v.Key = "coordination.k8s.io", "leases", "/registry/leases/ns/a"
}

// expect judges a story: guarantees that fail are named, all others pass.
func expect(t *testing.T, s *story, broken ...string) {
	t.Helper()
	for name, v := range s.judge(noFloors) {
		want := checkers.Pass
		for _, b := range broken {
			if b == name {
				want = checkers.Fail
			}
		}
		if v.Outcome != want {
			t.Errorf("%s, want %s", v, want)
		}
	}
}

type vs = []*history.Version

func TestConflictHonest(t *testing.T) {
	moved := vs{cm(2, "u"), cm(3, "u")}
	// Another version, at the time or in the middle of the call.
	expect(t, hand(moved, ask("update", 34, 36, failing(409, "Conflict"), needing("2", ""))))
	expect(t, hand(moved, ask("update", 27, 35, failing(409, "Conflict"), needing("2", ""))))
	expect(t, hand(moved, ask("update", 34, 36, failing(409, "Conflict"), needing("", "w"))))
	expect(t, hand(moved, ask("update", 34, 36, failing(409, "Conflict"), needing("3", ""))), ConflictHonest)
	expect(t, hand(moved, ask("patch", 34, 36, failing(409, "Conflict"), needing("3", "u"))), ConflictHonest)
	expect(t, hand(append(moved, other(4)), ask("update", 44, 46, failing(409, "Conflict"), needing("", "u"))), ConflictHonest)
	// Conflicts about other things are not judged.
	expect(t, hand(moved, ask("patch", 34, 36, failing(409, "Conflict"), needing("3", ""), func(c *history.APICall) {
		c.ContentType, c.FieldManager = "application/apply-patch+yaml", "m"
	})))
	expect(t, hand(moved, ask("update", 34, 36, failing(409, "Conflict"), needing("3", ""), func(c *history.APICall) { c.Subresource = "scale" })))
	expect(t, hand(moved, ask("update", 34, 36, failing(409, "Conflict"), needing("3", ""), func(c *history.APICall) { c.DetailsKind = "resourcequotas" })))
	// Of what is absent only a PUT that could create says Conflict.
	expect(t, hand(vs{cm(2, "u"), cm(3, "", gone)}, ask("update", 34, 36, failing(409, "Conflict"), needing("", "u"))), ConflictHonest)
	expect(t, hand(vs{cm(2, "u", leased), cm(3, "", gone, leased)}, ask("update", 34, 36, lease, failing(409, "Conflict"), needing("2", "u"))))
	expect(t, hand(vs{cm(2, "u", leased), cm(3, "", gone, leased)}, ask("update", 34, 36, lease, failing(409, "Conflict"), needing("2", ""))), ConflictHonest)

	// Successes replace what they named, or change nothing, or create.
	expect(t, hand(moved, ask("update", 27, 35, answered(200, 3, "u"), needing("2", "u"))))
	expect(t, hand(moved, ask("update", 34, 36, answered(200, 3, "u"), needing("3", ""))))
	expect(t, hand(moved, ask("update", 34, 36, answered(200, 3, "u"), needing("2", ""))), ConflictHonest) // it was there
	expect(t, hand(vs{cm(2, "u"), cm(3, "u"), cm(4, "u")}, ask("update", 37, 45, answered(200, 4, "u"), needing("2", ""))), ConflictHonest)
	expect(t, hand(moved, ask("patch", 27, 35, answered(200, 3, "u"), needing("", "w"))), ConflictHonest)
	again := vs{cm(2, "u", leased), cm(3, "", gone, leased), cm(4, "w", leased)}
	expect(t, hand(again, ask("update", 37, 45, lease, answered(201, 4, "w"), needing("2", ""))))
	expect(t, hand(again, ask("update", 37, 45, lease, answered(201, 4, "w"), needing("2", "u"))), ConflictHonest)
	expect(t, hand(vs{cm(2, "u"), cm(3, "", gone), cm(4, "w")}, ask("update", 37, 45, answered(200, 4, "w"), needing("2", ""))), ConflictHonest)
	expect(t, hand(moved, ask("update", 34, 36, dry, answered(200, 3, "u"), needing("3", ""))))
	expect(t, hand(moved, ask("update", 34, 36, dry, answered(200, 3, "u"), needing("2", ""))), ConflictHonest)
}

func TestExistsHonest(t *testing.T) {
	life := vs{other(2), cm(3, "u"), cm(4, "", gone), other(5)}
	exists := failing(409, "AlreadyExists")
	expect(t, hand(life, ask("create", 34, 36, exists)))
	expect(t, hand(life, ask("create", 27, 35, exists))) // it came
	expect(t, hand(life, ask("create", 37, 45, exists))) // it went
	expect(t, hand(life, ask("create", 24, 26, exists)), ExistsHonest)
	expect(t, hand(life, ask("create", 44, 46, exists)), ExistsHonest)
	expect(t, hand(life, ask("create", 54, 56, exists, dry)), ExistsHonest)
	expect(t, hand(life, ask("create", 44, 46, exists, func(c *history.APICall) { c.GenerateName = true })))
}

func TestNotFoundHonest(t *testing.T) {
	ns := func(rev int64) *history.Version {
		return &history.Version{Revision: rev, Key: "/registry/namespaces/ns", Resource: "namespaces", Name: "ns", UID: "n"}
	}
	life := vs{ns(2), cm(3, "u"), cm(4, "", gone), other(5)}
	missing := failing(404, "NotFound")
	for _, verb := range []string{"update", "patch", "delete"} {
		expect(t, hand(life, ask(verb, 24, 26, missing)))
		expect(t, hand(life, ask(verb, 27, 35, missing)))
		expect(t, hand(life, ask(verb, 37, 45, missing)))
		expect(t, hand(life, ask(verb, 34, 36, missing)), NotFoundHonest)
		expect(t, hand(life, ask(verb, 34, 36, missing, func(c *history.APICall) {
			c.DetailsKind, c.DetailsName = "widgets", "x" // something else is missing
		})))
	}
	// A lister says the kind, and is not the store; of a kubelet's pod only.
	pods := vs{cm(3, "u", func(v *history.Version) { v.Resource, v.Key = "pods", "/registry/pods/ns/a" }), other(5)}
	kubelet := func(kind string, class history.Class) func(*history.APICall) {
		return func(c *history.APICall) { c.Resource, c.DetailsKind, c.Class = "pods", kind, class }
	}
	expect(t, hand(pods, ask("delete", 34, 36, missing, kubelet("pod", history.ClassKubelet))))
	expect(t, hand(pods, ask("delete", 34, 36, missing, kubelet("pods", history.ClassKubelet))), NotFoundHonest)
	expect(t, hand(pods, ask("delete", 34, 36, missing, kubelet("pod", history.ClassContract))), NotFoundHonest)
	about := func(name string) func(*history.APICall) {
		return func(c *history.APICall) { c.DetailsKind, c.DetailsName = "namespaces", name }
	}
	expect(t, hand(life, ask("create", 34, 36, missing, about("gone"))))
	expect(t, hand(life, ask("create", 34, 36, missing, about("ns"))), NotFoundHonest)
	expect(t, hand(vs{other(2), ns(3)}, ask("create", 27, 35, missing, about("ns"))))
}

func TestPreconditionHonest(t *testing.T) {
	life := vs{cm(2, "u"), cm(3, "u"), cm(4, "", gone)}
	status := func(uid string) func(*history.APICall) {
		return func(c *history.APICall) { c.Status, c.DetailsUID = 200, uid }
	}
	expect(t, hand(life, ask("delete", 37, 45, status("u"), needing("3", "u"))))
	expect(t, hand(life, ask("delete", 37, 45, status("u"), needing("2", ""))), PreconditionHonest)
	expect(t, hand(life, ask("delete", 37, 45, status("u"), needing("", "w"))), PreconditionHonest)
	expect(t, hand(life, ask("delete", 34, 36, failing(409, "Conflict"), needing("2", ""))))
	expect(t, hand(life, ask("delete", 27, 35, failing(409, "Conflict"), needing("3", ""))))
	expect(t, hand(life, ask("delete", 34, 36, failing(409, "Conflict"), needing("3", "u"))), PreconditionHonest)
	expect(t, hand(life, ask("delete", 34, 36, failing(409, "Conflict"), needing("3", "u"), func(c *history.APICall) {
		c.DetailsKind = "ConfigMap" // of a precondition it is the kind
	})), PreconditionHonest)
	// A DELETE that would take the collector's finalizers off (docs/findings/0006).
	held := func(by ...string) func(*history.Version) { return func(v *history.Version) { v.Finalizers = by } }
	conflict := ask("delete", 34, 36, failing(409, "Conflict"), needing("3", ""))
	expect(t, hand(vs{cm(2, "u"), cm(3, "u", held("orphan"))}, conflict))
	const known = "1 of them although nothing had changed"
	if v := hand(vs{cm(2, "u"), cm(3, "u", held("orphan"))}, conflict).judge(noFloors)[PreconditionHonest]; !strings.Contains(v.Checked, known) {
		t.Errorf("the known deviation is not counted: %s", v.Checked)
	}
	if v := hand(vs{cm(2, "u", held("orphan")), cm(3, "u", held("orphan"))}, ask("delete", 27, 36, failing(409, "Conflict"), needing("3", ""))).
		judge(noFloors)[PreconditionHonest]; v.Outcome != checkers.Pass || strings.Contains(v.Checked, known) {
		t.Errorf("a conflict with what was there before is none: %s", v)
	}
	expect(t, hand(vs{cm(2, "u"), cm(3, "u", held("orphan", "example.com/a"))}, conflict), PreconditionHonest)
	expect(t, hand(vs{cm(2, "u"), cm(3, "u", held("orphan"))}, ask("delete", 34, 36, failing(409, "Conflict"), needing("", "u"))), PreconditionHonest)
	// An answer with the object tells which version was deleted.
	expect(t, hand(life, ask("delete", 24, 45, answered(200, 4, "u"), needing("3", ""))))
	expect(t, hand(life, ask("delete", 24, 45, answered(200, 4, "u"), needing("2", ""))), PreconditionHonest)
	// It commits twice.
	twice := vs{cm(2, "u"), cm(3, "u", deleting), cm(4, "", gone)}
	expect(t, hand(twice, ask("delete", 27, 45, answered(200, 4, "u"), needing("2", "u"))))
	// During the grace it is answered as it is found.
	grace := vs{cm(2, "u", graceful), cm(3, "u", graceful)}
	expect(t, hand(grace, ask("delete", 27, 35, answered(200, 3, "u"), needing("3", "u"))))
}

func TestNoLostUpdate(t *testing.T) {
	two := vs{cm(2, "u", mark("x", "1")), cm(3, "u", mark("x", "1"), mark("y", "2"))}
	first := func() *history.APICall { return ask("create", 17, 25, answered(201, 2, "u"), sets("x", "1")) }
	expect(t, hand(two, first(), ask("patch", 27, 35, answered(200, 3, "u"), sets("y", "2"))))
	expect(t, hand(two, first()), NoLostUpdate) // nobody wrote y
	expect(t, hand(two, first(), ask("patch", 27, 35, answered(200, 3, "u"), sets("y", "3"))), NoLostUpdate)
	// The second write lost what the first one set.
	lost := vs{cm(2, "u", mark("x", "1")), cm(3, "u", mark("y", "2"))}
	expect(t, hand(lost, first(), ask("update", 27, 35, answered(200, 3, "u"), sets("y", "2"))), NoLostUpdate)
	expect(t, hand(lost, first(), ask("update", 27, 35, answered(200, 3, "u"), sets("y", "2"), func(c *history.APICall) { c.Removes = []string{"x"} })))
	// An unknown outcome explains one revision, if it was called before; a refusal none.
	expect(t, hand(two, first(), ask("patch", 17, 19, sets("y", "2"))))
	expect(t, hand(two, first(), ask("patch", 27, 35, failing(504, "Timeout"), sets("y", "2"))))
	expect(t, hand(two, first(), ask("patch", 34, 36, sets("y", "2"))), NoLostUpdate)
	expect(t, hand(two, first(), ask("patch", 27, 35, failing(422, "Invalid"), sets("y", "2"))), NoLostUpdate)
	back := append(two[:2:2], cm(4, "u", mark("x", "1"), mark("y", "0")), cm(5, "u", mark("x", "1"), mark("y", "2")))
	expect(t, hand(back, first(), ask("patch", 27, 35, sets("y", "2")), ask("patch", 37, 45, answered(200, 4, "u"), sets("y", "0"))), NoLostUpdate)
	// A write that changes nothing is answered with the current version.
	expect(t, hand(two, first(), ask("patch", 27, 35, answered(200, 3, "u"), sets("y", "2")), ask("patch", 34, 36, answered(200, 3, "u"), sets("x", "1"))))
	expect(t, hand(two, first(), ask("patch", 27, 35, answered(200, 3, "u"), sets("y", "2")), ask("patch", 34, 36, answered(200, 3, "u"), sets("x", "2"))), NoLostUpdate)
	// The PUT that removes the last finalizer is never stored.
	final := vs{cm(2, "u", mark("x", "1")), cm(3, "u", waiting, mark("x", "1")), cm(4, "", gone)}
	end := func() *history.APICall { return ask("delete", 27, 35, answered(200, 3, "u"), ending) }
	expect(t, hand(final, first(), end(), ask("update", 37, 45, answered(200, 3, "u"), ending, sets("y", "9"))))
	raced := vs{final[0], final[1], cm(4, "u", waiting, mark("x", "1"), mark("y", "2")), cm(5, "", gone)}
	patch := func() *history.APICall { return ask("patch", 37, 45, answered(200, 4, "u"), ending, sets("y", "2")) }
	expect(t, hand(raced, first(), end(), patch(), ask("update", 37, 55, answered(200, 3, "u"), ending, sets("z", "9"))))
	expect(t, hand(raced, first(), end(), patch(), ask("update", 37, 45, answered(200, 3, "u"), ending, sets("z", "9")),
		ask("update", 47, 55, answered(200, 4, "u"), ending)), NoLostUpdate)
	expect(t, hand(final[:2], first(), end(), ask("update", 37, 45, answered(200, 3, "u"), ending, sets("y", "9"))), NoLostUpdate)
	// An answer shows what its version holds.
	showing := func(content uint64) func(*history.APICall) {
		return func(c *history.APICall) { c.Object.Content = content }
	}
	held := vs{cm(2, "u", holding(7)), cm(3, "u", holding(8))}
	expect(t, hand(held, ask("patch", 27, 35, answered(200, 3, "u"), showing(8))))
	expect(t, hand(held, ask("patch", 27, 35, answered(200, 3, "u"), showing(7))), NoLostUpdate)
	expect(t, hand(held, ask("patch", 27, 35, answered(200, 3, "u")))) // the answer was not read
	expect(t, hand(vs{cm(2, "u"), cm(3, "u", deleting, holding(8)), cm(4, "", gone)},
		ask("update", 37, 45, answered(200, 3, "u"), showing(9)))) // the last finalizer's removal
	// An acknowledged revision is one of the object.
	expect(t, hand(vs{cm(2, "u"), other(3)}, ask("patch", 27, 35, answered(200, 3, "u"))), NoLostUpdate)
}

func TestIdentityStable(t *testing.T) {
	with := func(generation, created int64) func(*history.Version) {
		return func(v *history.Version) { v.Generation, v.Created = generation, created }
	}
	expect(t, hand(vs{cm(2, "u", with(1, 5)), cm(3, "u", with(2, 5), deleting), cm(4, "", gone), cm(5, "w", with(1, 9))}))
	expect(t, hand(vs{cm(2, "", with(5, 1)), cm(3, "", with(1, 2))})) // no object of the API
	expect(t, hand(vs{cm(2, "u"), cm(3, "w")}), IdentityStable)
	expect(t, hand(vs{cm(2, "u", with(1, 5)), cm(3, "u", with(1, 6))}), IdentityStable)
	expect(t, hand(vs{cm(2, "u", with(2, 5)), cm(3, "u", with(1, 5))}), IdentityStable)
	expect(t, hand(vs{cm(2, "u", deleting), cm(3, "u")}), IdentityStable)
	expect(t, hand(vs{cm(2, "u")}, ask("create", 17, 25, answered(201, 2, "w"))), IdentityStable)
	expect(t, hand(vs{cm(2, "u"), cm(3, "", gone)}, ask("delete", 27, 35, func(c *history.APICall) { c.Status, c.DetailsUID = 200, "w" })), IdentityStable)
}

func TestUIDUnique(t *testing.T) {
	expect(t, hand(vs{cm(2, "u"), cm(3, "", gone), cm(4, "w"), other(5)}))
	expect(t, hand(vs{cm(2, "u"), cm(3, "", gone), cm(4, "u")}), UIDUnique)
	expect(t, hand(vs{cm(2, "b"), other(3)}), UIDUnique)
	expect(t, hand(vs{cm(2, "u"), cm(3, "u", leased)}), UIDUnique)
	// What has no uid is no object of the API.
	expect(t, hand(vs{cm(2, ""), cm(3, "", leased)}))
}

func TestRVMonotonic(t *testing.T) {
	three := vs{cm(2, "u"), cm(3, "u"), cm(4, "u")}
	write := func(called, returned history.Time, rev int64) *history.APICall {
		return ask("patch", called, returned, answered(200, rev, "u"))
	}
	expect(t, hand(three, write(27, 35, 3), write(37, 45, 4)))
	expect(t, hand(three, write(27, 45, 4), write(26, 46, 3))) // at the same time
	expect(t, hand(three, write(34, 36, 3), write(34, 36, 3))) // two that change nothing
	expect(t, hand(three, write(37, 45, 3), write(46, 49, 2)), RVMonotonic)
	expect(t, hand(three, write(44, 46, 3)), RVMonotonic) // it had been replaced
	expect(t, hand(three, write(27, 35, 4)), RVMonotonic) // it was still to come
	expect(t, hand(three, ask("create", 37, 45, answered(201, 3, "u"))), RVMonotonic)
	// Two answers are enough, where the store's calls are not known.
	apart := hand(three, write(37, 45, 3), write(46, 49, 2))
	apart.ops = nil
	expect(t, apart, RVMonotonic)
	expect(t, hand(append(three, other(5)), ask("patch", 57, 59, answered(200, 5, "u"))), RVMonotonic)
}

func TestDryRunInert(t *testing.T) {
	one := vs{cm(2, "u", mark("x", "1"))}
	create := func() *history.APICall { return ask("create", 17, 25, answered(201, 2, "u"), sets("x", "1")) }
	next := append(one[:1:1], cm(3, "u", mark("x", "2")))
	rehearse := func() *history.APICall { return ask("patch", 27, 35, dry, answered(200, 2, "u"), sets("x", "2")) }
	expect(t, hand(one, create(), rehearse()))
	expect(t, hand(next, create(), rehearse()), DryRunInert)
	expect(t, hand(next, create(), rehearse(), ask("patch", 27, 35, answered(200, 3, "u"), sets("x", "2"))))
	expect(t, hand(vs{cm(2, "u")}, ask("create", 17, 25, dry, answered(201, 0, "u"))), DryRunInert)
	expect(t, hand(vs{cm(2, "u")}, ask("create", 17, 25, dry, answered(201, 0, "made-up"))))

	ns := &history.Version{Revision: 2, Key: "/registry/namespaces/ns", Resource: "namespaces", Name: "ns", UID: "n"}
	life := vs{ns, cm(3, "u", mark("x", "1")), cm(4, "", gone)}
	born := func() *history.APICall { return ask("create", 27, 35, answered(201, 3, "u"), sets("x", "1")) }
	dryDelete := func() *history.APICall {
		return ask("delete", 37, 45, dry, func(c *history.APICall) { c.Status, c.DetailsUID = 200, "u" })
	}
	all := func(c *history.APICall) { c.Status, c.Name = 200, "" }
	expect(t, hand(life, born(), dryDelete()), DryRunInert)
	expect(t, hand(life, born(), dryDelete(), ask("delete", 37, 45, answered(200, 4, "u"))))
	expect(t, hand(life, born(), dryDelete(), ask("deletecollection", 37, 45, all)))
	expect(t, hand(life, born(), ask("deletecollection", 37, 45, dry, all)), DryRunInert)
	expect(t, hand(life, born()), NoLostUpdate) // nobody at all
	// A PATCH that took the last finalizer off an earlier life (docs/findings/0004).
	lives := vs{ns, cm(3, "u", mark("x", "1"), waiting), cm(4, "", gone),
		cm(5, "w", mark("x", "2")), cm(6, "", gone)}
	remade := func() *history.APICall { return ask("create", 47, 55, answered(201, 5, "w"), sets("x", "2")) }
	dryAgain := func() *history.APICall {
		return ask("delete", 57, 65, dry, func(c *history.APICall) { c.Status, c.DetailsUID = 200, "w" })
	}
	release := func(returned history.Time) *history.APICall {
		return ask("patch", 37, returned, answered(200, 3, "u"), ending)
	}
	expect(t, hand(lives, born(), release(45), release(65), remade(), dryAgain()))
	expect(t, hand(lives, born(), release(45), remade(), dryAgain()), DryRunInert)
	// So may a dry run of such a PATCH.
	expect(t, hand(lives[:3], born(), ask("patch", 37, 45, dry, answered(200, 3, "u"), ending)), DryRunInert)
	// A deletion that was answered explains nothing later.
	again := append(life, cm(5, "w", mark("x", "2")), cm(6, "", gone))
	expect(t, hand(again, born(), ask("delete", 37, 45, answered(200, 4, "u")), ask("create", 47, 55, answered(201, 5, "w"), sets("x", "2")),
		ask("delete", 57, 65, dry, func(c *history.APICall) { c.Status, c.DetailsUID = 200, "w" })), DryRunInert)
}

func TestEvidence(t *testing.T) {
	s := hand(vs{cm(2, "u"), cm(3, "u")}, ask("update", 34, 36, failing(409, "Conflict"), needing("3", "")),
		ask("update", 34, 36, failing(409, "Conflict"), needing("3", "")))
	v := s.judge(noFloors)[ConflictHonest]
	for _, want := range []string{
		"never another one than it asked for", "#1", "update configmaps/ns/a version=3 -> 409 Conflict",
		"revisions 3 to 3", "revision 3", "configmaps/ns/a uid u", "the first of 2 violations",
	} {
		if !strings.Contains(v.Detail, want) {
			t.Errorf("%q is not in\n%s", want, v.Detail)
		}
	}
	if v.Area != checkers.AreaAPI || !strings.Contains(v.Statement, "https://") {
		t.Errorf("area %q, statement %q", v.Area, v.Statement)
	}
}
