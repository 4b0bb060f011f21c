package writes

import (
	"strings"
	"testing"

	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/checkers/history"
)

// namespaceOf and definitionOf are objects without a namespace, on which it depends
// what legal calls may be refused with.
func namespaceOf(rev int64, name string, change ...func(*history.Version)) *history.Version {
	return unnamespaced(rev, "", "namespaces", name, change)
}

func definitionOf(rev int64, name string, change ...func(*history.Version)) *history.Version {
	return unnamespaced(rev, "apiextensions.k8s.io", "customresourcedefinitions", name, change)
}

func unnamespaced(rev int64, group, resource, name string, change []func(*history.Version)) *history.Version {
	v := &history.Version{Revision: rev, Key: "/registry/" + resource + "/" + name, Group: group, Resource: resource, Name: name, UID: name}
	for _, f := range change {
		f(v)
	}
	return v
}

func ofClient(c *history.APICall) {
	c.Class, c.Identity, c.Server, c.Version = history.ClassContract, "client", "kube-apiserver-0/1", "v1"
	if c.Verb == "patch" {
		c.ContentType = "application/merge-patch+json"
	}
	if c.Verb == "list" || c.Verb == "watch" || c.Verb == "deletecollection" {
		c.Name = ""
	}
}

func widget(c *history.APICall) { c.Group, c.Resource = "example.com", "widgets" }

func detailed(kind, name string) func(*history.APICall) {
	return func(c *history.APICall) { c.DetailsKind, c.DetailsName = kind, name }
}

func saying(message string) func(*history.APICall) {
	return func(c *history.APICall) { c.Message = message }
}

func ofClass(class history.Class) func(*history.APICall) {
	return func(c *history.APICall) { c.Class = class }
}

// legalStory has a call refused that the same server carried out for the same client
// before, in a history without faults.
func legalStory(verb string, status int32, reason string, change ...func(*history.APICall)) *story {
	table := vs{namespaceOf(2, "ns"), cm(3, "u"), definitionOf(4, "widgets.example.com")}
	before := ask(verb, 51, 52, ofClient, answered(200, 3, "u"), func(c *history.APICall) { c.ListVersion = 4 })
	call := ask(verb, 54, 56, ofClient, failing(status, reason))
	for _, f := range change {
		f(call)
		before.Group, before.Resource, before.Class = call.Group, call.Resource, call.Class
	}
	s := hand(table, before, call)
	s.calm = 1
	return s
}

func wantHonest(t *testing.T, want bool, s *story) {
	t.Helper()
	if v := s.judge(noFloors)[ErrorHonest]; (v.Outcome == checkers.Pass) != want {
		t.Errorf("%s, want honest: %t; checked %s", v, want, v.Checked)
	}
}

// TestLegalReads has what reads may be refused with, and what not.
func TestLegalReads(t *testing.T) {
	f := func(want bool, verb string, status int32, reason string, change ...func(*history.APICall)) {
		t.Helper()
		wantHonest(t, want, legalStory(verb, status, reason, change...))
	}
	for _, verb := range []string{"get", "list", "watch"} {
		for status, reason := range map[int32]string{400: "BadRequest", 401: "Unauthorized", 403: "Forbidden", 404: "NotFound", 405: "MethodNotAllowed",
			406: "NotAcceptable", 409: "Conflict", 413: "RequestEntityTooLarge", 415: "UnsupportedMediaType", 422: "Invalid"} {
			f(false, verb, status, reason)
			f(false, verb, status, reason, ofClass(history.ClassWorkload))
		}
		f(false, verb, 404, "")
		f(false, verb, 404, "", widget)
		f(true, verb, 410, "Expired") // judged elsewhere
		f(true, verb, 429, "TooManyRequests")
		f(true, verb, 503, "")
		f(true, verb, 403, "Forbidden", ofClass(history.ClassKubelet)) // a node's rights come and go
		f(false, verb, 422, "Invalid", ofClass(history.ClassKubelet))
	}
	f(true, "get", 404, "NotFound", detailed("configmaps", "a"))
	f(false, "get", 404, "NotFound", detailed("secrets", "a"))
	f(false, "get", 404, "NotFound", detailed("namespaces", "ns"))
	f(false, "list", 400, "BadRequest", func(c *history.APICall) { c.FieldSelector = "metadata.name=a" })
	f(true, "list", 400, "BadRequest", func(c *history.APICall) { c.FieldSelector, c.Continue, c.ResourceVersion = "metadata.name=a", 7, "5" })
	f(false, "list", 400, "BadRequest", func(c *history.APICall) { c.FieldSelector, c.Continue, c.ResourceVersion = "metadata.name=a", 7, "0" })
	f(true, "list", 400, "BadRequest", func(c *history.APICall) { c.Resource, c.FieldSelector = "nodes", "spec.whatever=a" })
	f(true, "get", 403, "Forbidden", func(c *history.APICall) { c.Subresource = "scale" })
}

// What a server has not done before, or did under faults, it may refuse.
func TestLegalReadsBeforeOthers(t *testing.T) {
	f := func(want bool, verb string, status int32, reason string, change func(*story)) {
		t.Helper()
		s := legalStory(verb, status, reason)
		change(s)
		wantHonest(t, want, s)
	}
	alone := func(s *story) { s.calls = s.calls[1:] }
	restarted := func(s *story) { s.calls[1].Server = "kube-apiserver-0/2" }
	beside := func(s *story) { s.calls[0].Returned = 55 }
	for _, change := range []func(*story){alone, restarted, beside} {
		f(true, "get", 403, "Forbidden", change)
		f(true, "list", 404, "NotFound", change)
		f(false, "list", 422, "Invalid", change)
	}
	f(true, "get", 403, "Forbidden", func(s *story) { s.calls[1].Identity = "another" })
	f(true, "get", 403, "Forbidden", func(s *story) { s.calm = 55 })
	f(true, "get", 403, "Forbidden", func(s *story) { s.calls[1].Returned = s.calls[1].Called.Add(patience) })
	f(false, "list", 404, "NotFound", func(s *story) { s.calm = 0 })
	f(false, "list", 422, "Invalid", func(s *story) { s.calm = 0 })
	f(true, "list", 422, "Invalid", func(s *story) { s.undeclared = true })
	f(true, "list", 422, "Invalid", func(s *story) { s.calls[1].Error = "unexpected EOF" })
}

// TestLegalWrites has what writes of the contract traffic may be refused with.
func TestLegalWrites(t *testing.T) {
	f := func(want bool, verb string, status int32, reason string, change ...func(*history.APICall)) {
		t.Helper()
		wantHonest(t, want, legalStory(verb, status, reason, change...))
	}
	for _, verb := range []string{"create", "update", "patch", "delete", "deletecollection"} {
		need := needing("3", "")
		if verb == "create" {
			need = needing("", "") // which may have none
		}
		for status, reason := range map[int32]string{400: "BadRequest", 401: "Unauthorized", 403: "Forbidden", 405: "MethodNotAllowed",
			406: "NotAcceptable", 413: "RequestEntityTooLarge", 415: "UnsupportedMediaType", 422: "Invalid"} {
			f(false, verb, status, reason, need)
			f(true, verb, status, reason, need, ofClass(history.ClassWorkload)) // who knows what it sent
		}
		f(verb == "deletecollection", verb, 410, "Expired", need)
		f(true, verb, 404, "NotFound", detailed("namespaces", "ns")) // judged elsewhere
		f(false, verb, 404, "NotFound", detailed("secrets", "b"))
		f(false, verb, 404, "", widget)
		f(true, verb, 403, "Forbidden", need, saying("not yet ready to handle request"))
		f(true, verb, 500, "InternalError")
	}
	f(false, "create", 409, "Conflict")
	f(true, "create", 409, "AlreadyExists")
	f(true, "update", 409, "Conflict")
	f(true, "update", 422, "Invalid") // of whatever life
	f(false, "patch", 422, "Invalid", func(c *history.APICall) { c.ContentType, c.FieldManager = "application/apply-patch+yaml", "m" })
	f(true, "patch", 422, "Invalid", func(c *history.APICall) { c.ContentType = "application/json-patch+json" })
	f(true, "patch", 422, "Invalid", needing("", "another"))
	f(false, "patch", 422, "Invalid", needing("", "u"))
	f(true, "create", 403, "Forbidden", func(c *history.APICall) { c.Resource = "pods" }, saying("error looking up service account ns/default: not found"))
}

// What a write may be refused with where something ends.
func TestLegalWritesWhereSomethingEnds(t *testing.T) {
	f := func(want bool, more *history.Version, verb string, status int32, reason string, change ...func(*history.APICall)) {
		t.Helper()
		s := legalStory(verb, status, reason, change...)
		s.versions = append(s.versions, more)
		s.ops = hand(s.versions).ops
		for _, c := range s.calls {
			c.Called, c.Returned = c.Called+10, c.Returned+10
		}
		wantHonest(t, want, s)
	}
	f(true, namespaceOf(5, "ns", deleting), "create", 403, "Forbidden")
	f(false, namespaceOf(5, "ns", deleting), "update", 403, "Forbidden", needing("3", ""))
	f(true, cm(5, "u", deleting), "patch", 422, "Invalid")
	f(false, cm(5, "u", deleting), "update", 422, "Invalid", needing("5", ""))
	f(true, definitionOf(5, "widgets.example.com", deleting), "create", 403, "Forbidden", widget)
	f(true, definitionOf(5, "widgets.example.com", gone), "list", 404, "", widget)
	f(false, definitionOf(5, "gadgets.example.com", gone), "list", 404, "", widget)
	quota := cm(5, "q", func(v *history.Version) { v.Resource, v.Key = "resourcequotas", "/registry/resourcequotas/ns/a" })
	f(true, quota, "create", 403, "Forbidden")
	f(true, quota, "create", 409, "Conflict")
	policy := unnamespaced(5, "admissionregistration.k8s.io", "validatingadmissionpolicies", "p", nil)
	f(true, policy, "update", 403, "Forbidden", needing("3", ""))
	f(false, policy, "get", 403, "Forbidden")
}

// What is not judged is counted.
func TestLegalIsCounted(t *testing.T) {
	for what, s := range map[string]*story{
		"1 legal calls answered 429":                 legalStory("get", 429, ""),
		"1 legal calls answered 5xx":                 legalStory("get", 500, "InternalError"),
		"whose reason no record tells, not judged":   legalStory("create", 422, "Invalid", ofClass(history.ClassWorkload)),
		"1 refusals of legal calls that no other gu": legalStory("patch", 422, "Invalid", needing("", "another")),
	} {
		if v := s.judge(noFloors)[ErrorHonest]; !strings.Contains(v.Checked, what) || v.Outcome != checkers.Pass {
			t.Errorf("%s: %s, checked %s", what, v, v.Checked)
		}
	}
	tooLarge := func(c *history.APICall) { c.Cause = "ResourceVersionTooLarge" }
	if v := legalStory("get", 504, "Timeout", tooLarge).judge(noFloors)[ErrorHonest]; strings.Contains(v.Checked, "5xx") {
		t.Errorf("a revision that is too large is judged elsewhere; checked %s", v.Checked)
	}
}

// A watch that was opened ends as too old, or for what the server lacks.
func TestErrorsOfWatches(t *testing.T) {
	for status, reason := range map[int32]string{410: "Expired", 429: "TooManyRequests", 500: "InternalError", 504: "Timeout",
		400: "BadRequest", 401: "Unauthorized", 403: "Forbidden", 404: "NotFound", 409: "Conflict", 422: "Invalid"} {
		s := hand(vs{cm(2, "u")})
		s.watches = []*history.APIWatch{{Call: 1, Type: "ERROR", Status: status, Reason: reason}}
		wantHonest(t, status == 410 || status == 429 || status >= 500, s)
	}
}
