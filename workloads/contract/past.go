package contract

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/planecheck/planecheck/apiserver/client"
)

// eventKind are Kubernetes Events. Of all that a kube-apiserver keeps, they alone
// have no watch cache (pkg/kubeapiserver, DefaultWatchCacheSizes): each watch of
// them is one of the store, from the revision that the client asks for.
var eventKind = &kind{
	resource:   client.Resource{Version: "v1", Plural: "events"},
	apiVersion: "v1", name: "Event",
	blank: func() metav1.Object { return &corev1.Event{} },
	fill: func(o metav1.Object) {
		e := o.(*corev1.Event)
		e.InvolvedObject = corev1.ObjectReference{APIVersion: "v1", Kind: "Namespace", Name: e.Namespace, Namespace: e.Namespace}
		e.Reason, e.Type = "Contract", corev1.EventTypeNormal
	},
}

// watchEvents makes an Event and watches those of its namespace from before it, as
// a client does whose watch broke. One in four asks for more than can be had: from
// revision 1, which compactions have taken.
func watchEvents(ctx context.Context, t *turn) {
	before := t.w.board.now()
	t.object = object{kind: eventKind, namespace: t.object.namespace}
	o := eventKind.fresh(t.object.namespace)
	o.SetGenerateName("resumed-")
	t.label(o, "generated")
	r, ok := t.with("create", o)
	if !ok {
		return
	}
	if _, err := t.send(ctx, r); err != nil {
		return
	}
	if t.chance(4) {
		before = "1"
	}
	t.glance(ctx, before, leg{life: 500*time.Millisecond + time.Duration(t.rng.Int64N(int64(time.Second))), events: 1 + t.rng.IntN(4)})
}

// watchOld watches from revision 1, of a kind that was defined later: the watch
// cache of such a kind never held that revision.
func watchOld(ctx context.Context, t *turn) { t.glance(ctx, "1", leg{life: time.Second}) }

// glance watches a namespace for a moment.
func (t *turn) glance(ctx context.Context, version string, l leg) {
	r := t.about("watch")
	r.Due, t.due = t.due, 0
	r.Name = ""
	r.Query.Set("resourceVersion", version)
	var last int64
	t.leg(ctx, r, l, &last)
}
