package writes

import (
	"slices"
	"strings"
	"testing"

	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/checkers/history"
)

// labelled gives ns/a a color, by which collections are selected.
func labelled(color string) func(*history.Version) {
	return func(v *history.Version) { v.Labels = []history.Pair{{Name: "color", Value: color}} }
}

func plain(status int32) func(*history.APICall) {
	return func(c *history.APICall) { c.Status = status }
}

// sweeping deletes the config maps of a color in ns.
func sweeping(called, returned history.Time, color string, change ...func(*history.APICall)) *history.APICall {
	return ask("deletecollection", called, returned, append([]func(*history.APICall){func(c *history.APICall) {
		c.Name, c.LabelSelector, c.Status = "", "color="+color, 200
	}}, change...)...)
}

func owned(v *history.Version) { v.Owners = []history.Owner{{Kind: "ConfigMap", Name: "b", UID: "b"}} }

// is is an object of another resource than ns/a, with its name.
func is(group, resource string) func(*history.Version) {
	return func(v *history.Version) {
		v.Group, v.Resource, v.Kind, v.Key = group, resource, resource, "/registry/"+resource+"/ns/a"
	}
}

func about(group, resource string) func(*history.APICall) {
	return func(c *history.APICall) { c.Group, c.Resource = group, resource }
}

// around is what a cluster-scoped object was at a revision.
func around(rev int64, resource, name string, change ...func(*history.Version)) *history.Version {
	v := &history.Version{Revision: rev, Key: "/registry/" + resource + "/" + name, Resource: resource, Name: name, UID: name}
	for _, f := range change {
		f(v)
	}
	return v
}

func defining(v *history.Version) { v.Group = "apiextensions.k8s.io" }

// TestRemovals is about objects that are gone, or marked for deletion: somebody
// asked for that.
func TestRemovals(t *testing.T) {
	x := mark("x", "1")
	born := func() *history.APICall { return ask("create", 17, 25, answered(201, 2, "u"), sets("x", "1")) }
	life := vs{cm(2, "u", x), cm(3, "", gone), other(4)}
	f := func(broken []string, versions vs, calls ...*history.APICall) {
		t.Helper()
		expect(t, hand(versions, append(calls, born())...), broken...)
	}
	lost := []string{NoLostUpdate}
	f(lost, life)
	f(lost, vs{cm(2, "u", x), cm(3, "u", waiting, x)}) // it need not be gone
	f(nil, vs{cm(2, "u", x), cm(3, "", gone)}, ask("delete", 27, 35, answered(200, 3, "u")))
	f(nil, life, ask("delete", 27, 35, answered(200, 3, "u")))
	f(nil, life, ask("delete", 17, 19))                                                                                    // of unknown outcome
	f(nil, life, ask("delete", 27, 35, failing(504, "Timeout")))                                                           // the same
	f(nil, life, ask("delete", 27, 35, failing(409, "Conflict")))                                                          // it may write twice
	f(lost, life, ask("delete", 27, 35, failing(422, "Invalid")))                                                          // it did nothing
	f(lost, life, ask("delete", 34, 36))                                                                                   // too late
	f(lost, life, ask("delete", 24, 26, failing(409, "Conflict")))                                                         // too early
	f(lost, life, ask("delete", 17, 35, needing("", "w")))                                                                 // of another object
	f(lost, life, ask("delete", 27, 35, needing("7", "")))                                                                 // of another version
	f(lost, vs{cm(2, "u", x), cm(3, "", gone), cm(4, "w"), cm(5, "", gone)}, ask("delete", 27, 55, answered(200, 5, "w"))) // of another life
	f(nil, life, ask("create", 27, 35, func(c *history.APICall) { c.Subresource, c.Status = "eviction", 201 }))
	f(lost, life, ask("patch", 27, 35, answered(200, 2, "u")))       // nothing was marked
	f(lost, life, ask("patch", 27, 35))                              // the same
	f(lost, life, ask("update", 27, 35, answered(200, 2, "u"), dry)) // the same

	// What a finalizer holds is removed by an update alone.
	final := vs{cm(2, "u", x), cm(3, "u", waiting, x), cm(4, "", gone)}
	end := func() *history.APICall { return ask("delete", 27, 35, answered(200, 3, "u"), ending) }
	f(lost, final, end())
	f(lost, final, end(), ask("delete", 37, 45, answered(200, 3, "u")))
	f(nil, final, end(), ask("patch", 37, 45, answered(200, 3, "u"), ending))
	f(nil, final, end(), ask("patch", 37, 45))
	f(lost, final, end(), ask("patch", 37, 45, failing(409, "Conflict")))
	// A DELETE that looked when nothing held it does not look again.
	f(nil, final, end(), ask("delete", 24, 45, answered(200, 3, "u")))
	// What nothing holds waits for its end only.
	f(nil, vs{cm(2, "u", x), cm(3, "u", graceful, x), cm(4, "", gone)}, end())

	// Objects without marks are not ours.
	expect(t, hand(vs{cm(2, "u"), cm(3, "", gone), other(4)}))
}

// TestRemovalsOfCollections is about deletions of what a selector matches.
func TestRemovalsOfCollections(t *testing.T) {
	x, red, blue := mark("x", "1"), labelled("red"), labelled("blue")
	born := func() *history.APICall { return ask("create", 17, 25, answered(201, 2, "u"), sets("x", "1")) }
	f := func(broken []string, versions vs, calls ...*history.APICall) {
		t.Helper()
		expect(t, hand(versions, append(calls, born())...), broken...)
	}
	lost := []string{NoLostUpdate}
	life := vs{cm(2, "u", x, red), cm(3, "", gone), other(4)}
	f(nil, life, sweeping(27, 35, "red"))
	f(lost, life, sweeping(27, 35, "blue"))
	f(nil, life, sweeping(17, 19, "red", plain(0)))  // it may begin late
	f(lost, life, sweeping(34, 36, "red", plain(0))) // it began later
	f(lost, life, sweeping(27, 35, "red", failing(422, "Invalid")))
	f(lost, life, sweeping(27, 35, "red", func(c *history.APICall) { c.Namespace = "other" }))
	f(lost, life, sweeping(27, 35, "red", about("coordination.k8s.io", "leases")))
	// It lists, and deletes later what may have changed by then.
	f(nil, vs{cm(2, "u", x, red), cm(3, "u", x, blue), cm(4, "", gone)}, sweeping(27, 45, "red"))
	f(lost, vs{cm(2, "u", x, red), cm(3, "u", x, blue), cm(4, "", gone)}, sweeping(37, 45, "red"))
	f(nil, vs{cm(2, "u", x, blue), cm(3, "u", x, red), cm(4, "", gone)}, sweeping(24, 45, "red"))

	// What it selects all the time is gone then, or waits.
	stays := vs{cm(2, "u", x, red), other(3)}
	f(lost, stays, sweeping(27, 35, "red"))
	f(nil, stays, sweeping(27, 35, "blue"))
	f(nil, stays, sweeping(27, 35, "red", dry))
	f(nil, stays, sweeping(27, 35, "red", plain(500)))
	f(nil, stays, sweeping(27, 35, "red", func(c *history.APICall) { c.Limit = 1 }))
	f(nil, stays, sweeping(14, 35, "red")) // it may have come later
	f(nil, vs{cm(2, "u", x, red), cm(3, "u", x, blue)}, sweeping(24, 35, "red"))
	f(nil, vs{cm(2, "u", x, red), cm(3, "u", x, red, waiting)}, sweeping(27, 35, "red"))
	f(nil, vs{cm(2, "u", x, red, waiting), other(3)}, sweeping(27, 35, "red"))
}

// TestDeletionsTakeEffect says that what a DELETE was answered for is gone, or
// waits for something.
func TestDeletionsTakeEffect(t *testing.T) {
	f := func(broken []string, versions ...*history.Version) {
		t.Helper()
		expect(t, hand(versions, ask("delete", 27, 35, answered(200, 3, "u"))), broken...)
	}
	lost := []string{NoLostUpdate}
	f(nil, cm(2, "u"), cm(3, "u", waiting))
	f(nil, cm(2, "u"), cm(3, "u", graceful))
	f(nil, cm(2, "u", waiting), other(3))
	f(nil, cm(2, "u"), cm(3, "", gone))
	f(lost, cm(2, "u"), cm(3, "u"))
	f(lost, cm(2, "u"), other(3))
	f(lost, cm(2, "u"), cm(3, "u", deleting)) // and stays so
	names := vs{around(2, "namespaces", "a"), around(3, "namespaces", "a", deleting)}
	expect(t, hand(names, ask("delete", 27, 35, about("", "namespaces"), answered(200, 3, "a"), func(c *history.APICall) { c.Namespace = "" })))
}

// byOthers judges a removal of ns/a, which was made with x=1, that nobody asked for.
func byOthers(t *testing.T, judged bool, resource [2]string, versions vs) {
	t.Helper()
	first := versions[slices.IndexFunc(versions, func(v *history.Version) bool { return v.Name == "a" })].Revision
	about := about(resource[0], resource[1])
	at := 10 * history.Time(first)
	v := hand(versions, ask("create", at-3, at+5, about, answered(201, first, "u"), sets("x", "1")),
		ask("create", at-3, at-2, about, sets("x", "1"))).judge(noFloors)[NoLostUpdate]
	want := checkers.Pass
	if judged {
		want = checkers.Fail
	}
	if v.Outcome != want || strings.Contains(v.Checked, "not judged") == judged {
		t.Errorf("%s, want %s; checked %s", v, want, v.Checked)
	}
}

// TestRemovalsByOthers says who else may remove an object: that is counted, and not
// judged.
func TestRemovalsByOthers(t *testing.T) {
	x := mark("x", "1")
	f := func(judged bool, resource [2]string, versions ...*history.Version) {
		t.Helper()
		byOthers(t, judged, resource, versions)
	}
	maps, pods, widgets := [2]string{"", "configmaps"}, [2]string{"", "pods"}, [2]string{"example.com", "widgets"}
	ns := func(rev int64, change ...func(*history.Version)) *history.Version {
		return around(rev, "namespaces", "ns", change...)
	}
	f(true, maps, ns(2), cm(3, "u", x), cm(4, "", gone))
	f(false, maps, ns(2), cm(3, "u", x), ns(4, deleting), cm(5, "", gone))
	f(false, maps, ns(2), cm(3, "u", x), ns(4, gone), cm(5, "", gone))
	f(false, maps, ns(2), cm(3, "u", x, owned), cm(4, "u", x), cm(5, "", gone))

	pod := func(rev int64, change ...func(*history.Version)) *history.Version {
		return cm(rev, "u", append([]func(*history.Version){is("", "pods"), x}, change...)...)
	}
	having := func(name, value string) func(*history.Version) {
		return func(v *history.Version) { v.Fields = []history.Pair{{Name: name, Value: value}} }
	}
	podGone := func(rev int64) *history.Version { return cm(rev, "", gone, is("", "pods")) }
	f(true, pods, pod(2), podGone(3))
	f(true, pods, pod(2, having("status.phase", "Running")), podGone(3))
	f(false, pods, pod(2), pod(3, having("spec.nodeName", "n")), podGone(4))
	f(false, pods, pod(2), pod(3, having("status.phase", "Failed")), podGone(4))

	widget := func(rev int64, change ...func(*history.Version)) *history.Version {
		return cm(rev, "u", append([]func(*history.Version){is("example.com", "widgets"), x}, change...)...)
	}
	definition := func(rev int64, change ...func(*history.Version)) *history.Version {
		return around(rev, "customresourcedefinitions", "widgets.example.com", append(change, defining)...)
	}
	widgetGone := func(rev int64) *history.Version { return cm(rev, "", gone, is("example.com", "widgets")) }
	f(true, widgets, definition(2), widget(3), widgetGone(4))
	f(false, widgets, definition(2), widget(3), definition(4, deleting), widgetGone(5))

	// The garbage collector takes its finalizer off a life that is gone already.
	orphan := func(v *history.Version) { v.Deleting, v.Finalizers = true, []string{"orphan"} }
	again := func(v *history.Version) { v.UID = "w" }
	f(false, maps, cm(2, "u", x, orphan), cm(3, "", gone), cm(4, "u", x, again), cm(5, "", gone))
	f(true, maps, cm(2, "u", x, graceful), cm(3, "", gone), cm(4, "u", x, again), cm(5, "", gone))
}

// TestRehearsals says which dry runs of deletions count: those whose effect would be
// seen.
func TestRehearsals(t *testing.T) {
	pod := func(rev int64, node string) *history.Version {
		return cm(rev, "u", is("", "pods"), mark("x", "1"), func(v *history.Version) { v.Fields = []history.Pair{{Name: "spec.nodeName", Value: node}} })
	}
	rehearsal := func() *history.APICall { return ask("delete", 27, 35, about("", "pods"), dry, plain(200)) }
	born := func() *history.APICall {
		return ask("create", 17, 25, about("", "pods"), answered(201, 2, "u"), sets("x", "1"))
	}
	f := func(want string, outcome checkers.Outcome, versions vs) {
		t.Helper()
		v := hand(versions, born(), rehearsal()).judge(noFloors)[DryRunInert]
		if !strings.Contains(v.Checked, want) || v.Outcome != outcome {
			t.Errorf("%s, want %s; checked %s, want %q", v, outcome, v.Checked, want)
		}
	}
	pods := is("", "pods")
	f("1 dry runs that succeeded", checkers.Pass, vs{pod(2, ""), other(3)})
	f("1 dry runs that succeeded", checkers.Fail, vs{pod(2, ""), cm(3, "", gone, pods)})
	f("0 dry runs that succeeded, 1 dry runs of deletions of", checkers.Pass, vs{pod(2, "n"), cm(3, "", gone, pods)})
	f("0 dry runs that succeeded, 1 dry runs of deletions of", checkers.Pass, vs{cm(2, "u", pods, waiting, mark("x", "1")), other(3)})
}

// TestOpaqueRemoval says that a call of which little is known may be what removed an object.
func TestOpaqueRemoval(t *testing.T) {
	s := hand(vs{cm(2, "u", mark("x", "1")), cm(3, "", gone)}, ask("create", 17, 25, answered(201, 2, "u"), sets("x", "1")))
	s.opaque = []*history.APICall{ask("delete", 27, 35, plain(200), func(c *history.APICall) { c.Opaque = true })}
	expect(t, s)
	s.opaque[0].Name = "b"
	expect(t, s, NoLostUpdate)
}
