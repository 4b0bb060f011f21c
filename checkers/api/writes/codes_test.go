package writes

import (
	"strconv"
	"testing"

	"k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/planecheck/planecheck/checkers/history"
)

// TestCodes compares the table of codes with what apimachinery makes.
func TestCodes(t *testing.T) {
	gr, gk := schema.GroupResource{Resource: "pods"}, schema.GroupKind{Kind: "Pod"}
	//lint:ignore SA1019 a reason that new code should not use is one that servers may give
	gone := errors.NewGone("")
	all := []*errors.StatusError{
		errors.NewBadRequest(""), errors.NewUnauthorized(""), errors.NewForbidden(gr, "a", nil), errors.NewNotFound(gr, "a"),
		errors.NewMethodNotSupported(gr, "get"), errors.NewAlreadyExists(gr, "a"), errors.NewGenerateNameConflict(gr, "a", 1),
		errors.NewConflict(gr, "a", nil), errors.NewApplyConflict(nil, ""), gone, errors.NewResourceExpired(""),
		errors.NewInvalid(gk, "a", nil), errors.NewTooManyRequests("", 1), errors.NewServiceUnavailable(""),
		errors.NewServerTimeout(gr, "get", 1), errors.NewInternalError(strconv.ErrSyntax), errors.NewTimeoutError("", 1),
		errors.NewRequestEntityTooLargeError(""), errors.NewGenericServerResponse(415, "PATCH", gr, "a", "", 0, false),
		errors.NewGenericServerResponse(406, "GET", gr, "a", "", 0, false),
	}
	seen := map[string]bool{"StorageReadError": true} // made by the registry itself, with 500
	for _, err := range all {
		reason := string(err.ErrStatus.Reason)
		seen[reason] = true
		if codes[reason] != err.ErrStatus.Code {
			t.Errorf("%s: %d, apimachinery has %d", reason, codes[reason], err.ErrStatus.Code)
		}
	}
	for reason := range codes {
		if !seen[reason] {
			t.Errorf("%s: not compared", reason)
		}
	}
}

// TestErrorHonest has the rules that no validation function holds.
func TestErrorHonest(t *testing.T) {
	f := func(ok bool, status int32, reason string, c history.APICall) {
		t.Helper()
		c.Status, c.Reason, c.Called, c.Returned = status, reason, 24, 26
		if c.Resource == "" {
			c.Resource = "configmaps"
		}
		s := hand(vs{cm(2, "u")}, &c)
		if ok {
			expect(t, s)
		} else {
			expect(t, s, ErrorHonest)
		}
	}
	get := history.APICall{Verb: "get", Name: "a"}
	f(true, 410, "Expired", get)
	f(true, 410, "Gone", get)
	f(false, 410, "Timeout", get)
	f(false, 410, "", get)
	f(true, 429, "", get) // the limit of requests in flight answers in plain text
	f(true, 503, "", get)
	f(true, 0, "", get)
	f(true, 400, "OurOwn", history.APICall{Verb: "update", Name: "a"})
	f(false, 200, "NotFound", get)

	paged := history.APICall{Verb: "list", Continue: 7, ResourceVersion: "5"}
	f(true, 400, "BadRequest", paged)
	f(false, 422, "Invalid", paged)
	f(false, 200, "", paged)
	f(true, 429, "TooManyRequests", paged)
	f(true, 500, "InternalError", paged)
	f(false, 404, "NotFound", paged)
	f(true, 404, "NotFound", history.APICall{Verb: "list", Continue: 7, ResourceVersion: "5", Resource: "nothings"})
	single := paged
	single.FieldSelector, single.ListVersion = "metadata.name=a", 2
	f(true, 200, "", single)

	f(false, 200, "", history.APICall{Verb: "list", ResourceVersion: "abc"})
	f(true, 400, "BadRequest", history.APICall{Verb: "list", ResourceVersion: "abc"})
	f(false, 200, "", history.APICall{Verb: "watch", ResourceVersion: "abc"})
	f(true, 400, "BadRequest", history.APICall{Verb: "watch", ResourceVersion: "abc"})
	f(false, 200, "", history.APICall{Verb: "get", Name: "a", ResourceVersion: "abc"})
	f(false, 201, "", history.APICall{Verb: "create", Name: "a", NeedVersion: "5", Resource: "nothings"})
	f(false, 200, "", history.APICall{Verb: "patch", Name: "a", ContentType: "text/plain"})
	f(true, 415, "UnsupportedMediaType", history.APICall{Verb: "patch", Name: "a", ContentType: "text/plain"})
	smp := history.APICall{Verb: "patch", Name: "a", Group: "example.com", Resource: "widgets", ContentType: "application/strategic-merge-patch+json"}
	f(false, 200, "", smp)
	f(true, 415, "UnsupportedMediaType", smp)
	smp.Group = "coordination.k8s.io"
	f(true, 200, "", smp)

	s := hand(vs{cm(2, "u")})
	s.watches = []*history.APIWatch{{Call: 1, Type: "ERROR", Status: 410, Reason: "Expired"}, {Call: 1, Type: "ADDED"}}
	expect(t, s)
	s.watches[0].Status = 500
	expect(t, s, ErrorHonest)
}
