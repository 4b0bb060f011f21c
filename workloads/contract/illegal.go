package contract

import (
	"context"
	"net/url"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/planecheck/planecheck/apiserver/client"
	"github.com/planecheck/planecheck/checkers/history"
)

// fault is a request that no server may carry out. Combinations of list and
// watch options have tables of their own.
type fault struct {
	name string
	// status is the HTTP status that is documented for it.
	status int
	make   func(*turn) (client.Request, bool)
}

// faults are made of requests that would be right but for one thing.
var faults = []fault{
	{"force without apply", 422, func(t *turn) (client.Request, bool) {
		return with(t.marking(mergePatch), "force", "true"), true
	}},
	{"apply without a manager", 422, func(t *turn) (client.Request, bool) { return t.bareApply(), true }},
	{"manager of 129 characters", 422, func(t *turn) (client.Request, bool) {
		return with(t.marking(mergePatch), "fieldManager", strings.Repeat("m", 129)), true
	}},
	{"unknown dry run", 422, func(t *turn) (client.Request, bool) {
		return with(t.marking(mergePatch), "dryRun", "Some"), true
	}},
	{"unknown field validation", 422, func(t *turn) (client.Request, bool) {
		return with(t.marking(mergePatch), "fieldValidation", "Perhaps"), true
	}},
	{"patch that is no JSON", 400, func(t *turn) (client.Request, bool) {
		r := t.marking(mergePatch)
		r.Body = []byte(`{"metadata":`)
		return r, true
	}},
	{"patch of an unknown type", 415, func(t *turn) (client.Request, bool) {
		return t.marking("application/x-patch+json"), true
	}},
	{"strategic merge of a custom resource", 415, func(t *turn) (client.Request, bool) {
		if !t.w.custom() {
			return client.Request{}, false
		}
		t.object.kind = kindNamed("widgets")
		return t.marking(strategic), true
	}},
	{"unknown propagation", 422, func(t *turn) (client.Request, bool) {
		return with(t.about("delete"), "propagationPolicy", "Sideways"), true
	}},
	{"propagation told twice", 422, func(t *turn) (client.Request, bool) {
		return with(with(t.about("delete"), "propagationPolicy", "Background"), "orphanDependents", "true"), true
	}},
	{"collection in all namespaces", 405, func(t *turn) (client.Request, bool) {
		r := t.about("deletecollection")
		r.Namespace, r.Name = "", ""
		return with(r, "labelSelector", partLabel+"="+partValue), true
	}},
	{"collection with a match but no version", 422, func(t *turn) (client.Request, bool) {
		r := t.about("deletecollection")
		r.Name = ""
		r = with(r, "labelSelector", partLabel+"="+partValue+","+originLabel+"=generated")
		return with(r, "resourceVersionMatch", exact), true
	}},
	{"update under another name", 400, func(t *turn) (client.Request, bool) {
		r, ok := t.whole("update", t.object.name)
		r.Name += "-other"
		return r, ok
	}},
	{"create with a bad name", 422, func(t *turn) (client.Request, bool) { return t.whole("create", "Not_A_Name") }},
	{"create in a namespace that is not there", 404, func(t *turn) (client.Request, bool) {
		t.object.namespace = "contract-missing"
		return t.whole("create", t.object.name)
	}},
	{"unknown field selector", 400, func(t *turn) (client.Request, bool) { return t.selecting("fieldSelector", "spec.nothing=1"), true }},
	{"label selector that is none", 400, func(t *turn) (client.Request, bool) { return t.selecting("labelSelector", "a in b"), true }},
	{"unknown resource", 404, func(t *turn) (client.Request, bool) {
		r := t.about("get")
		r.Resource.Plural = "gadgets"
		return r, true
	}},
}

// illegal sends one of the faults.
func illegal(ctx context.Context, t *turn) {
	f := pick(t.rng, faults)
	r, ok := f.make(t)
	if !ok {
		return
	}
	if r.Marks == nil {
		r.Marks = &history.Marks{} // a delete, which touches none, or a read
	}
	_, err := t.send(ctx, r)
	t.w.deps.Log.Debug("Sent an illegal request", "fault", f.name, "documented", f.status, "answer", err)
}

func with(r client.Request, name, value string) client.Request {
	if r.Query == nil {
		r.Query = url.Values{}
	}
	r.Query.Set(name, value)
	return r
}

// marking is a patch of the client's mark. It declares it, too: should a
// server carry it out after all, the mark shows who asked for it.
func (t *turn) marking(contentType string) client.Request {
	value := t.value()
	r := t.patch(contentType, fields{"metadata": fields{"annotations": fields{history.MarkPrefix + t.mark: value}}})
	r.Marks = new(sets(t.mark, value))
	return r
}

// bareApply is an apply that names no manager.
func (t *turn) bareApply() client.Request {
	value := t.value()
	r := t.patch(applyPatch, fields{
		"apiVersion": t.object.kind.apiVersion, "kind": t.object.kind.name,
		"metadata": fields{"name": t.object.name, "annotations": fields{history.MarkPrefix + t.applied(): value}},
	})
	r.Marks = new(sets(t.applied(), value))
	return r
}

// whole is a request with a new object of that name in it.
func (t *turn) whole(verb, name string) (client.Request, bool) {
	var o metav1.Object = t.object.kind.fresh(t.object.namespace)
	o.SetName(name)
	t.label(o, "fixed")
	value := t.value()
	set(o, t.mark, value)
	r, ok := t.with(verb, o)
	r.Marks = new(sets(t.mark, value))
	return r, ok
}

func (t *turn) selecting(name, selector string) client.Request {
	r := t.about("list")
	r.Name = ""
	return with(r, name, selector)
}
