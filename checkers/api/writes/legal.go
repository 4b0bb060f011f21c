package writes

import (
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/fields"

	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/versions"
)

// This file judges what legal calls are refused with. A read is legal if what its
// record shows is. Of a write the record has no more than its options, so that only
// the contract traffic's are taken for legal: it says of each of its requests what is
// illegal of it. 429 and 5xx say nothing of the request; they are counted.

// grounds says what the refusal of a legal call may rest on.
type grounds int

const (
	groundless grounds = iota // nothing that is documented
	grounded                  // what the object was like while the call ran
	elsewhere                 // another guarantee says so
	untold                    // something that no record tells
)

// deed is something that a server has done: served a resource, or carried out what a
// user asked of it.
type deed struct {
	server, group, version, resource string
	identity, verb, subresource      string // "": whoever asked for whatever
}

func deedOf(call *history.APICall) deed {
	return deed{server: call.Server, group: call.Group, version: call.Version, resource: call.Resource}
}

func deedFor(call *history.APICall) deed {
	d := deedOf(call)
	d.identity, d.verb, d.subresource = call.Identity, call.Verb, call.Subresource
	return d
}

// entitled says whether a user has rights that never change, and are those of an
// administrator. What a node may read depends on its pods, and what an admission
// plugin lets pass of its writes on much else.
func entitled(call *history.APICall) bool {
	switch call.Class {
	case history.ClassContract, history.ClassWorkload, history.ClassObserver:
		return true
	}
	return false
}

// legal takes a call that is legal as far as its record tells.
func (c *Checker) legal(call *history.APICall) {
	switch {
	case call.Error != "" || call.Resource == "":
	case call.Status < 300:
		c.carriedOut(call)
	case call.Status == 429:
		c.counts.shed++
	case call.Status < 500:
		c.refusal(call)
	case call.Cause != "ResourceVersionTooLarge": // which TooNewHonest judges
		c.counts.broken++
	}
}

// carriedOut notes what a server has done.
func (c *Checker) carriedOut(call *history.APICall) {
	if call.Server == "" {
		return
	}
	note := func(d deed) {
		if at, ok := c.deeds[d]; !ok || call.Returned < at {
			c.deeds[d] = call.Returned
		}
	}
	note(deedOf(call))
	if entitled(call) {
		note(deedFor(call))
	}
}

// did says whether a server had done something before a call.
func (c *Checker) did(d deed, call *history.APICall) bool {
	at, ok := c.deeds[d]
	return ok && at <= call.Called
}

// refusal judges an error of 4xx.
func (c *Checker) refusal(call *history.APICall) {
	switch c.groundsOf(call) {
	case untold:
		c.counts.untold++
	case grounded:
		c.counts.refused++
	case groundless:
		c.counts.refused++
		c.fail(ErrorHonest, func() *evidence {
			return because("a legal request was refused, and nothing is documented that it could be answered %d %s for (%s)",
				call.Status, call.Reason, conventions+"#http-status-codes").call(call)
		})
	}
}

func reads(verb string) bool { return verb == "get" || verb == "list" || verb == "watch" }

// told says whether it is known that a call is legal, and what it is about. What
// subresources but status refuse is their own.
func (c *Checker) told(call *history.APICall) bool {
	if call.Subresource != "" && call.Subresource != "status" {
		return false
	}
	if call.Class == history.ClassContract {
		return !c.undeclared
	}
	return reads(call.Verb)
}

// groundsOf goes by the status code. The handlers of AS endpoints/handlers answer 400,
// 405, 406, 413 and 415 for what is wrong with a request, and nothing was.
func (c *Checker) groundsOf(call *history.APICall) grounds {
	switch {
	case call.Status < 400:
		return untold
	case !c.told(call):
		if call.Status == 404 || call.Status == 409 || call.Status == 410 && reads(call.Verb) {
			return elsewhere
		}
		return untold
	}
	switch call.Status {
	case 400:
		if !selectable(call) || singular(call) {
			return untold
		}
	case 401, 403:
		return c.denied(call)
	case 404:
		return c.missing(call)
	case 409:
		return c.clashing(call)
	case 410:
		return c.expired(call)
	case 422:
		return c.unacceptable(call)
	}
	return groundless
}

// selectable says whether the fields that a call selects by are known to be those of
// its resource.
func selectable(call *history.APICall) bool {
	own, known := plainResources[[2]string{call.Group, call.Resource}]
	selector, err := fields.ParseSelector(call.FieldSelector)
	return err == nil && !slices.ContainsFunc(selector.Requirements(), func(r fields.Requirement) bool {
		return r.Field != metadataName && r.Field != metadataNamespace && !(known && slices.Contains(own, r.Field))
	})
}

// singular says whether a list by name has a version and a continue token. Such a
// list of one key would take no notice of the token, but AS storage/selection_predicate.go
// MatchesSingle takes none with a token for one, and ValidateListOptions refuses it.
func singular(call *history.APICall) bool {
	return call.Continue != 0 && call.ResourceVersion != "" && call.ResourceVersion != "0"
}

// denied judges 401 and 403. What a server has carried out it may do again for the
// same user: it only learns of rights, and none are taken away. Under faults, such as
// a store that was restored, or before it has them all, it may know less.
func (c *Checker) denied(call *history.APICall) grounds {
	quiet := c.quiet(call) && call.Returned.Sub(call.Called) < patience
	if !quiet || !c.did(deedFor(call), call) || call.Status == 403 && c.forbids(call) {
		return untold
	}
	return groundless
}

// policies are the resources of admissionregistration.k8s.io that forbid things.
var policies = []string{"validatingadmissionpolicies", "mutatingadmissionpolicies", "validatingwebhookconfigurations", "mutatingwebhookconfigurations"}

// forbids says whether an admission plugin may have answered 403 to a write: one that
// waits for its informers, one that a person has configured, and of creates those of
// namespaces, service accounts, quotas and limits, and of definitions that end
// (AS admission/plugin, k8s.io/kubernetes plugin/pkg/admission,
// k8s.io/apiextensions-apiserver pkg/apiserver/customresource_handler.go).
func (c *Checker) forbids(call *history.APICall) bool {
	switch {
	case reads(call.Verb):
		return false
	case strings.Contains(call.Message, "not yet ready to handle request"),
		slices.ContainsFunc(policies, func(r string) bool { return c.table.Kind("admissionregistration.k8s.io", r) != nil }):
		return true
	case !creates(call):
		return false
	}
	namespaces := c.table.Kind("", "namespaces")
	return !c.lasting(namespaces, call.Namespace, call) || custom(call.Group) && !c.defined(call) ||
		call.Resource == "pods" && strings.Contains(call.Message, "service account") ||
		c.table.Kind("", "resourcequotas") != nil || c.table.Kind("", "limitranges") != nil
}

// lasting says whether an object without a namespace is known to have been there ever
// since it was made, and not to have been about to end. A server's own informer may
// still see what was so before.
func (c *Checker) lasting(k *versions.Kind, name string, call *history.APICall) bool {
	if k == nil || c.first > 1 || c.from > 0 {
		return false
	}
	hi, made := c.window.Hi(call.Returned), k.Next("", name, 0)
	for v := made; v != nil && v.Revision <= hi; v = k.Next("", name, v.Revision) {
		if v.Delete || v.Deleting || v.Unread {
			return false
		}
	}
	return made != nil && made.Revision <= hi
}

// defined says so of the definition of a custom resource.
func (c *Checker) defined(call *history.APICall) bool {
	return c.lasting(c.table.Kind("apiextensions.k8s.io", "customresourcedefinitions"), call.Resource+"."+call.Group, call)
}

// missing judges 404. Where it is not about an object, the server does not serve the
// resource; but it has served it, and of what is built in it never ceases to.
func (c *Checker) missing(call *history.APICall) grounds {
	switch {
	case call.Reason == "NotFound" && aboutObject(call):
		return elsewhere
	case !c.did(deedOf(call), call), custom(call.Group) && !c.defined(call):
		return untold
	}
	return groundless
}

// aboutObject says whether a 404 is about the object of the call, or its namespace.
func aboutObject(call *history.APICall) bool {
	switch call.Verb {
	case "get":
		return call.DetailsName == call.Name && call.DetailsKind == call.Resource
	case "list", "watch":
		return false
	}
	return call.DetailsKind == "namespaces" && call.DetailsName != "" || call.Verb != "create" && call.Name != "" && namesTarget(call)
}

// clashing judges 409. A create only clashes with an object of its name; what it
// takes of a quota may, too.
func (c *Checker) clashing(call *history.APICall) grounds {
	if reads(call.Verb) || call.Verb == "create" && call.Reason == "Conflict" && c.table.Kind("", "resourcequotas") == nil {
		return groundless
	}
	return elsewhere
}

// expired judges 410. A deletion of a collection lists it in pages.
func (c *Checker) expired(call *history.APICall) grounds {
	switch {
	case reads(call.Verb):
		return elsewhere
	case call.Verb == "deletecollection":
		return untold
	}
	return groundless
}

// unacceptable judges 422, "invalid data provided as part of the request". What is
// sent without a version may be of an earlier life of the object, and a JSON patch may
// test what is not so. Of other patches the traffic's are invalid where they set
// another uid, or a finalizer of an object that is being deleted
// (k8s.io/apimachinery/pkg/api/validation ValidateObjectMetaAccessorUpdate).
func (c *Checker) unacceptable(call *history.APICall) grounds {
	switch {
	case call.Verb == "update" && call.NeedVersion == "",
		call.Verb == "patch" && (call.ContentType == "" || strings.HasPrefix(call.ContentType, "application/json-patch+")):
		return untold
	case call.Verb != "patch":
		return groundless
	}
	kind := c.table.Kind(call.Group, call.Resource)
	if kind == nil {
		return untold
	}
	t, w, uid := target{kind, call.Namespace, call.Name}, c.span(call), call.NeedUID
	switch {
	case t.sometimes(w, func(v *history.Version) bool {
		return v != nil && (v.Unread || v.Deleting || uid != "" && v.UID != uid)
	}):
		return grounded
	case !w.whole || !c.known(t, w.lo):
		return untold
	}
	return groundless
}
