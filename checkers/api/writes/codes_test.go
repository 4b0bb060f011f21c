package writes

import (
	"strconv"
	"testing"

	"k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/internalversion"
	"k8s.io/apimachinery/pkg/apis/meta/internalversion/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

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
		for _, manager := range []string{"", "m"} {
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
	f(true, 400, "OurOwn", get)
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
	single.FieldSelector = "metadata.name=a"
	f(true, 200, "", single)

	f(false, 200, "", history.APICall{Verb: "list", ResourceVersion: "abc"})
	f(true, 400, "BadRequest", history.APICall{Verb: "list", ResourceVersion: "abc"})
	f(false, 200, "", history.APICall{Verb: "watch", ResourceVersion: "abc"})
	f(true, 500, "", history.APICall{Verb: "watch", ResourceVersion: "abc"})
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
