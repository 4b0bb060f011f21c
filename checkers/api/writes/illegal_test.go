package writes

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/internalversion"
	"k8s.io/apimachinery/pkg/apis/meta/internalversion/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/types"

	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/checkers/history"
)

// listOptions are those of a call, as the API server decodes them.
func listOptions(c *history.APICall) *internalversion.ListOptions {
	o := &internalversion.ListOptions{
		Watch: c.Verb == "watch", ResourceVersion: c.ResourceVersion, ResourceVersionMatch: metav1.ResourceVersionMatch(c.Match),
	}
	if c.Continue != 0 {
		o.Continue = "token"
	}
	if c.InitialEvents != "" {
		b := c.InitialEvents == "true"
		o.SendInitialEvents = &b
	}
	internalversion.SetListOptionsDefaults(o, true)
	return o
}

// TestListOptions compares what is taken for illegal with the validation that
// the API server runs, over all combinations.
func TestListOptions(t *testing.T) {
	legal, refused := 0, 0
	for _, verb := range []string{"list", "watch", "deletecollection"} {
		for _, version := range []string{"", "0", "5", "abc", "-1"} {
			for _, match := range []string{"", "Exact", "NotOlderThan", "Newest"} {
				for _, token := range []uint64{0, 7} {
					for _, initial := range []string{"", "true", "false"} {
						c := &history.APICall{
							Verb: verb, ResourceVersion: version, Match: match, Continue: token, InitialEvents: initial,
						}
						got := judgeOptions(c)
						invalid := len(validation.ValidateListOptions(listOptions(c), true)) > 0
						if invalid != (got != nil && got.status == 422) {
							t.Errorf("%s: %v, apimachinery says invalid: %t", request(c), got, invalid)
						}
						if invalid {
							refused++
						} else {
							legal++
						}
					}
				}
			}
		}
	}
	if legal < 50 || refused < 50 {
		t.Errorf("%d legal and %d refused combinations", legal, refused)
	}
}

// TestPatchOptions does so for the options of patches and deletions.
func TestPatchOptions(t *testing.T) {
	for _, kind := range []types.PatchType{types.JSONPatchType, types.MergePatchType, types.StrategicMergePatchType, types.ApplyYAMLPatchType} {
		for _, manager := range []string{"", "m", strings.Repeat("m", 128), strings.Repeat("m", 129)} {
			for _, force := range []bool{false, true} {
				c := &history.APICall{Verb: "patch", ContentType: string(kind), FieldManager: manager, Force: force}
				o := &metav1.PatchOptions{FieldManager: manager}
				if force {
					o.Force = &force
				}
				got := judgeOptions(c)
				if bad := len(metavalidation.ValidatePatchOptions(o, kind)) > 0; bad != (got != nil && got.status == 422) {
					t.Errorf("%s: %v, apimachinery says invalid: %t", request(c), got, bad)
				}
			}
		}
	}
	for _, p := range []metav1.DeletionPropagation{"", "Foreground", "Background", "Orphan", "Sideways"} {
		o := &metav1.DeleteOptions{}
		if p != "" {
			o.PropagationPolicy = &p
		}
		got := judgeOptions(&history.APICall{Verb: "delete", Propagation: string(p)})
		if bad := len(metavalidation.ValidateDeleteOptions(o)) > 0; bad != (got != nil) {
			t.Errorf("propagation %q: %v, apimachinery says invalid: %t", p, got, bad)
		}
	}
}

func TestAsDocumented(t *testing.T) {
	told := 0
	for _, c := range illegalCalls() {
		if judgeOptions(&c) == nil || c.Namespace == "missing" { // only the table of namespaces tells
			continue
		}
		told++
		if !AsDocumented(&c) {
			t.Errorf("%s answered %d %s is not documented", request(&c), c.Status, c.Reason)
		}
		for _, status := range []int32{0, 200, 403} {
			if c.Status, c.Reason = status, ""; AsDocumented(&c) && !(c.Illegal == history.TooLarge && status >= 400) {
				t.Errorf("%s answered %d is documented", request(&c), c.Status)
			}
		}
	}
	if told < 20 {
		t.Errorf("%d illegal calls", told)
	}
	if AsDocumented(&history.APICall{Verb: "get", Resource: "configmaps", Namespace: "ns", Name: "a", Status: 404, Reason: "NotFound"}) {
		t.Error("a legal call was refused as documented for an illegal one")
	}
}

// illegalCalls has a call of each kind that the record shows or its sender
// declares, with the answer that is documented.
func illegalCalls() []history.APICall {
	const merge, apply, smp = "application/merge-patch+json", "application/apply-patch+yaml", "application/strategic-merge-patch+json"
	of := func(verb string, status int32, reason string, change func(*history.APICall)) history.APICall {
		c := history.APICall{Verb: verb, Resource: "configmaps", Namespace: "ns", Status: status, Reason: reason}
		if verb != "list" && verb != "watch" && verb != "deletecollection" {
			c.Name = "a"
		}
		if verb == "patch" {
			c.ContentType = merge
		}
		change(&c)
		return c
	}
	declaring := func(what string) func(*history.APICall) { return func(c *history.APICall) { c.Illegal = what } }
	const bad, inv = "BadRequest", "Invalid"
	return []history.APICall{
		of("patch", 422, inv, func(c *history.APICall) { c.Force = true }),
		of("patch", 422, inv, func(c *history.APICall) { c.ContentType = apply }),
		of("patch", 422, inv, func(c *history.APICall) { c.FieldManager = strings.Repeat("m", 129) }),
		of("update", 422, inv, func(c *history.APICall) { c.FieldManager = strings.Repeat("m", 129) }),
		of("patch", 422, inv, declaring(history.UnknownDryRun)),
		of("patch", 422, inv, declaring(history.UnknownFieldValidation)),
		of("patch", 400, bad, declaring(history.PatchNoJSON)),
		of("patch", 415, "UnsupportedMediaType", func(c *history.APICall) { c.ContentType = "text/plain" }),
		of("patch", 415, "UnsupportedMediaType", func(c *history.APICall) { widget(c); c.ContentType = smp }),
		of("delete", 422, inv, func(c *history.APICall) { c.Propagation = "Sideways" }),
		of("delete", 422, inv, declaring(history.PropagationTwice)),
		of("deletecollection", 405, "MethodNotAllowed", func(c *history.APICall) { c.Namespace = "" }),
		of("deletecollection", 404, "", func(c *history.APICall) { widget(c); c.Namespace, c.Illegal = "", history.CollectionEverywhere }),
		of("deletecollection", 422, inv, func(c *history.APICall) { c.Match = "Exact" }),
		of("update", 400, bad, declaring(history.OtherName)),
		of("create", 422, inv, func(c *history.APICall) { c.Name = "Not_A_Name" }),
		of("create", 422, inv, func(c *history.APICall) { widget(c); c.Name, c.Illegal = "Not_A_Name", history.BadName }),
		of("create", 404, "NotFound", func(c *history.APICall) { c.Namespace = "missing" }),
		of("create", 404, "NotFound", func(c *history.APICall) { c.Namespace, c.Name = "missing", "Not_A_Name" }),
		of("list", 400, bad, func(c *history.APICall) { c.FieldSelector = "spec.nodeName=x" }),
		of("watch", 400, bad, func(c *history.APICall) { c.Resource, c.FieldSelector = "pods", "spec.nothing!=x" }),
		of("list", 400, bad, func(c *history.APICall) {
			widget(c)
			c.FieldSelector, c.Illegal = "spec.nothing=1", history.UnknownFieldSelector
		}),
		of("list", 400, bad, func(c *history.APICall) { c.FieldSelector = "spec.nodeName" }),
		of("list", 400, bad, func(c *history.APICall) { c.LabelSelector = "a in b" }),
		of("watch", 400, bad, func(c *history.APICall) { c.LabelSelector, c.Match = "a in b", "Exact" }), // looked at first
		of("get", 404, "NotFound", func(c *history.APICall) { c.Resource, c.Illegal = "gadgets", history.UnknownResource }),
		of("list", 400, bad, func(c *history.APICall) { c.Continue, c.Illegal = 7, history.MalformedContinue }),
		of("list", 422, inv, func(c *history.APICall) { c.Continue, c.Match, c.Illegal = 7, "Exact", history.MalformedContinue }),
		of("list", 400, bad, func(c *history.APICall) { c.Continue, c.ResourceVersion = 7, "5" }),
		of("list", 400, bad, func(c *history.APICall) { c.ResourceVersion = "abc" }),
		of("get", 400, bad, func(c *history.APICall) { c.ResourceVersion = "abc" }),
		of("watch", 400, bad, func(c *history.APICall) { c.ResourceVersion = "-1" }),
		of("list", 422, inv, func(c *history.APICall) { c.InitialEvents = "true" }),
		of("watch", 422, inv, func(c *history.APICall) { c.InitialEvents = "true" }),
	}
}

// TestIllegalCalls holds the answers to each kind against other ones that a
// server could be thought to give.
func TestIllegalCalls(t *testing.T) {
	const took = 2
	honest := func(c history.APICall, calm history.Time, status int32, reason, message string) bool {
		c.Called, c.Returned, c.Status, c.Reason, c.Message = 34, 34+took, status, reason, message
		ns := &history.Version{Revision: 2, Key: "/registry/namespaces/ns", Resource: "namespaces", Name: "ns", UID: "n"}
		w := cm(4, "w", func(v *history.Version) {
			v.Group, v.Resource, v.Key = "example.com", "widgets", "/registry/example.com/widgets/ns/a"
		})
		g := cm(5, "g", func(v *history.Version) { v.Resource, v.Key = "gadgets", "/registry/gadgets/ns/a" })
		p := cm(6, "p", func(v *history.Version) { v.Resource, v.Key = "pods", "/registry/pods/ns/a" })
		s := hand(vs{ns, cm(3, "u"), w, g, p}, &c)
		s.calm = calm
		return s.judge(noFloors)[ErrorHonest].Outcome == checkers.Pass
	}
	for _, c := range illegalCalls() {
		is := func(want bool, calm history.Time, status int32, reason, message string) {
			t.Helper()
			if honest(c, calm, status, reason, message) != want {
				t.Errorf("%s %s (%s) answered %d %s %q, calm from %d: honest is %t", c.Verb, request(&c), c.Illegal, status, reason, message, calm, !want)
			}
		}
		is(true, 1, c.Status, c.Reason, "")
		for status, reason := range map[int32]string{200: "", 201: "", 400: "BadRequest", 404: "NotFound", 405: "MethodNotAllowed",
			409: "Conflict", 410: "Expired", 415: "UnsupportedMediaType", 422: "Invalid"} {
			if status != c.Status {
				is(false, 1, status, reason, "")
			}
		}
		// What comes before everything else.
		is(true, 1, 403, "Forbidden", "")
		is(true, 1, 429, "TooManyRequests", "")
		// A failure of the server counts where it cannot have come from elsewhere.
		for status, reason := range map[int32]string{500: "InternalError", 503: "ServiceUnavailable", 504: "Timeout"} {
			is(false, 1, status, reason, "told")
			is(false, 34, status, reason, "told")
			is(true, 35, status, reason, "told") // calm only later
			is(true, 0, status, reason, "told")  // or never
			is(true, 1, status, reason, "etcdserver: leader changed")
		}
	}
}

// A server fails of itself neither before the first fault nor after the last one.
// What it answered while there was one may be its doing.
func TestFailsUnderFaults(t *testing.T) {
	for _, c := range []struct {
		struck, calm history.Time
		want         checkers.Outcome
	}{
		{0, 0, checkers.Pass},
		{24, 0, checkers.Pass}, // it began before the call,
		{26, 0, checkers.Pass}, // or as it was answered
		{27, 0, checkers.Fail},
		{20, 25, checkers.Pass},
		{20, 24, checkers.Fail}, // they were over
		{27, 90, checkers.Fail},
	} {
		s := hand(vs{cm(2, "u")}, ask("patch", 24, 26, failing(500, "InternalError"), func(c *history.APICall) { c.Illegal = history.UnknownDryRun }))
		s.struck, s.calm = c.struck, c.calm
		if v := s.judge(noFloors)[ErrorHonest]; v.Outcome != c.want {
			t.Errorf("faults from %d to %d: %s", c.struck, c.calm, v)
		}
	}
}

// What is too large for the store is refused, with whatever error, and is never made:
// that is judged of an answer of the store, too, which excuses other ones.
func TestTooLarge(t *testing.T) {
	for status, want := range map[int32]checkers.Outcome{
		200: checkers.Fail, 201: checkers.Fail, 202: checkers.Fail, 400: checkers.Pass, 413: checkers.Pass, 500: checkers.Pass, 504: checkers.Pass,
	} {
		for _, calm := range []history.Time{0, 1} {
			s := hand(vs{cm(2, "u")}, ask("create", 24, 26, failing(status, ""), func(c *history.APICall) {
				c.Group, c.Resource, c.Name, c.Illegal = "coordination.k8s.io", "leases", "a-large", history.TooLarge
				c.Message = "etcdserver: request is too large"
			}))
			s.calm = calm
			v := s.judge(noFloors)[ErrorHonest]
			if v.Outcome != want || !strings.Contains(v.Checked, "1 "+history.TooLarge) {
				t.Errorf("answered %d, calm from %d: %s, checked: %s", status, calm, v, v.Checked)
			}
		}
	}
}

// The 500 of docs/findings/0002 is counted by name, and no other one is taken for
// it.
func TestMalformedVersionIsCounted(t *testing.T) {
	const known, message = "1 malformed resourceVersions answered 500", `resourceVersion: Invalid value: "abc": strconv.ParseUint: parsing "abc": invalid syntax`
	f := func(outcome checkers.Outcome, counted bool, verb, reason, message string) {
		t.Helper()
		s := hand(vs{cm(2, "u")}, ask(verb, 24, 26, failing(500, reason), func(c *history.APICall) { c.ResourceVersion, c.Message = "abc", message }))
		s.calm = 1
		v := s.judge(noFloors)[ErrorHonest]
		if v.Outcome != outcome || strings.Contains(v.Checked, known) != counted {
			t.Errorf("%s, %s %q: %s, checked: %s", verb, reason, message, v, v.Checked)
		}
	}
	f(checkers.Pass, true, "get", "", message)
	f(checkers.Pass, true, "watch", "", message)
	f(checkers.Fail, false, "list", "", message)
	f(checkers.Fail, false, "get", "InternalError", message)
	f(checkers.Fail, false, "get", "", "boom")
}

// A namespace is missing only where the table has never had it.
func TestMissingNamespace(t *testing.T) {
	ns := func(rev int64, change ...func(*history.Version)) *history.Version {
		v := &history.Version{Revision: rev, Key: "/registry/namespaces/late", Resource: "namespaces", Name: "late", UID: "n"}
		for _, f := range change {
			f(v)
		}
		return v
	}
	f := func(table vs, ok bool, called, returned history.Time) {
		t.Helper()
		c := ask("create", called, returned, failing(409, "AlreadyExists"), func(c *history.APICall) { c.Namespace, c.GenerateName = "late", true })
		s := hand(table, c)
		if got := s.judge(noFloors)[ErrorHonest].Outcome == checkers.Pass; got != ok {
			t.Errorf("called at %d: honest is %t", called, got)
		}
	}
	other := &history.Version{Revision: 2, Key: "/registry/namespaces/ns", Resource: "namespaces", Name: "ns", UID: "m"}
	table := vs{other, ns(4), ns(5, gone), cm(6, "u")}
	f(table, false, 24, 26)
	f(table, true, 37, 45) // it came while the call ran
	f(table, true, 54, 56) // an informer may still have it
	f(vs{cm(2, "u")}, true, 24, 26)
	s := hand(table, ask("create", 24, 26, failing(409, "AlreadyExists"), func(c *history.APICall) { c.Namespace, c.GenerateName = "late", true }))
	s.from = 2 // the store was restored: it may have had it
	if v := s.judge(noFloors)[ErrorHonest]; v.Outcome != checkers.Pass {
		t.Errorf("after a restore: %s", v)
	}
}

// Kinds that are not known here, of a later version, are not judged, and said.
func TestUnknownKind(t *testing.T) {
	v := hand(vs{cm(2, "u")}, ask("patch", 24, 26, answered(200, 2, "u"), func(c *history.APICall) { c.Illegal = "of tomorrow" })).judge(noFloors)[ErrorHonest]
	if v.Outcome != checkers.Pass || !strings.Contains(v.Checked, "1 illegal calls of kinds that are not known here") {
		t.Errorf("%s, checked: %s", v, v.Checked)
	}
}

// TestCutAnswer says that of an answer which was not read to its end the status code is
// judged, and nothing else.
func TestCutAnswer(t *testing.T) {
	want := judgeOptions(&history.APICall{Verb: "watch", ResourceVersion: "5", Match: "Exact"})
	f := func(status int32, reason, err string, documented bool) {
		t.Helper()
		if got := want.answers(&history.APICall{Status: status, Reason: reason, Error: err}); got != documented {
			t.Errorf("%d %q %q: documented %t", status, reason, err, got)
		}
	}
	f(422, "Invalid", "", true)
	f(422, "", "", false)
	f(422, "", "read response: context canceled", true)
	f(403, "", "read response: context canceled", false)
	f(200, "", "the answer is empty", false)
}
