package contract

import (
	"context"
	"net/url"
	"strings"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/planecheck/planecheck/apiserver/client"
	"github.com/planecheck/planecheck/checkers/history"
)

// fault is a request that no server may carry out. Combinations of list and
// watch options have tables of their own.
type fault struct {
	// name is told to the checker, which knows the documented answer: package
	// writes below checkers/api.
	name string
	make func(*turn) (client.Request, bool)
}

// faults are made of requests that would be right but for one thing.
var faults = []fault{
	{history.ForceWithoutApply, func(t *turn) (client.Request, bool) {
		return with(t.marking(mergePatch), "force", "true"), true
	}},
	{history.ApplyWithoutManager, func(t *turn) (client.Request, bool) { return t.bareApply(), true }},
	{history.LongManager, func(t *turn) (client.Request, bool) {
		return with(t.marking(mergePatch), "fieldManager", strings.Repeat("m", 129)), true
	}},
	{history.UnknownDryRun, func(t *turn) (client.Request, bool) {
		return with(t.marking(mergePatch), "dryRun", "Some"), true
	}},
	{history.UnknownFieldValidation, func(t *turn) (client.Request, bool) {
		return with(t.marking(mergePatch), "fieldValidation", "Perhaps"), true
	}},
	{history.PatchNoJSON, func(t *turn) (client.Request, bool) {
		r := t.marking(mergePatch)
		r.Body = []byte(`{"metadata":`)
		return r, true
	}},
	{history.UnknownPatch, func(t *turn) (client.Request, bool) {
		return t.marking("application/x-patch+json"), true
	}},
	{history.StrategicCustom, func(t *turn) (client.Request, bool) {
		if !t.w.custom() {
			return client.Request{}, false
		}
		t.object.kind = kindNamed("widgets")
		return t.marking(strategic), true
	}},
	{history.UnknownPropagation, func(t *turn) (client.Request, bool) {
		return with(t.about("delete"), "propagationPolicy", "Sideways"), true
	}},
	{history.PropagationTwice, func(t *turn) (client.Request, bool) {
		return with(with(t.about("delete"), "propagationPolicy", "Background"), "orphanDependents", "true"), true
	}},
	{history.CollectionEverywhere, func(t *turn) (client.Request, bool) {
		r := t.about("deletecollection")
		r.Namespace, r.Name = "", ""
		return with(r, "labelSelector", partLabel+"="+partValue), true
	}},
	{history.CollectionWithoutVersion, func(t *turn) (client.Request, bool) {
		r := t.about("deletecollection")
		r.Name = ""
		r = with(r, "labelSelector", partLabel+"="+partValue+","+originLabel+"=generated")
		return with(r, "resourceVersionMatch", exact), true
	}},
	{history.OtherName, func(t *turn) (client.Request, bool) {
		r, ok := t.whole("update", t.object.name)
		r.Name += "-other"
		return r, ok
	}},
	{history.BadName, func(t *turn) (client.Request, bool) { return t.whole("create", "Not_A_Name") }},
	{history.MissingNamespace, func(t *turn) (client.Request, bool) {
		t.object.namespace = "contract-missing"
		return t.whole("create", t.object.name)
	}},
	{history.UnknownFieldSelector, func(t *turn) (client.Request, bool) { return t.selecting("fieldSelector", "spec.nothing=1"), true }},
	{history.BadLabelSelector, func(t *turn) (client.Request, bool) { return t.selecting("labelSelector", "a in b"), true }},
	{history.UnknownResource, func(t *turn) (client.Request, bool) {
		r := t.about("get")
		r.Resource.Plural = "gadgets"
		return r, true
	}},
}

// illegal sends one of the faults.
func illegal(ctx context.Context, t *turn) { sendFault(ctx, t, pick(t.rng, faults)) }

// tooLarge is the creation of a Lease, whose holder may be as long as one likes
// (k8s.io/kubernetes/pkg/apis/coordination/validation): it is more than the 1.5 MiB
// that etcd takes (https://etcd.io/docs/v3.7/dev-guide/limit/#request-size-limit), and
// less than the 2 MiB that an API server's client of etcd sends at all
// (go.etcd.io/etcd/client/v3/options.go, defaultMaxCallSendMsgSize). etcd says so before
// anybody proposes it, so that it surely has no effect; and says it twice, for an API
// server tries again without managed fields (k8s.io/apiserver/pkg/endpoints/handlers/
// create.go, isTooLargeError). Nobody else uses its name: a write that may have taken effect, as an API server's 500 has it,
// would say less of what is refused to others.
var tooLarge = fault{history.TooLarge, func(t *turn) (client.Request, bool) {
	t.object.kind = kindNamed("leases")
	return t.wholeWith("create", t.object.name+"-large", func(o metav1.Object) {
		o.(*coordinationv1.Lease).Spec.HolderIdentity = new(strings.Repeat("x", largeBytes))
	})
}}

// largeBytes is the length of that holder.
const largeBytes = (3<<20)/2 + 64<<10

// oversized sends it.
func oversized(ctx context.Context, t *turn) { sendFault(ctx, t, tooLarge) }

func sendFault(ctx context.Context, t *turn, f fault) {
	r, ok := f.make(t)
	if !ok {
		return
	}
	if r.Marks == nil {
		r.Marks = &history.Marks{} // a delete, which touches none, or a read
	}
	r.Illegal = f.name
	_, _ = t.send(ctx, r)
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
	return t.wholeWith(verb, name, func(metav1.Object) {})
}

// wholeWith is whole with a change of the object.
func (t *turn) wholeWith(verb, name string, change func(metav1.Object)) (client.Request, bool) {
	o := t.object.kind.fresh(t.object.namespace)
	change(o)
	o.SetName(name)
	t.label(o, "fixed")
	value := t.value()
	set(o, t.mark, value)
	r, ok := t.with(verb, o)
	r.Name, r.Marks = name, new(sets(t.mark, value))
	return r, ok
}

func (t *turn) selecting(name, selector string) client.Request {
	r := t.about("list")
	r.Name = ""
	return with(r, name, selector)
}
