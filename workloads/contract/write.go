package contract

import (
	"context"
	"strconv"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/planecheck/planecheck/apiserver/client"
	"github.com/planecheck/planecheck/checkers/history"
)

// create creates the object under its fixed name, whether it exists or not.
func create(ctx context.Context, t *turn) {
	if r, marks, ok := t.newFixed(); ok {
		_, _ = t.write(ctx, r, marks)
	}
}

// newFixed makes the request that creates the object, and what it declares.
func (t *turn) newFixed() (client.Request, history.Marks, bool) {
	o := t.object.kind.fresh(t.object.namespace)
	o.SetName(t.object.name)
	t.label(o, "fixed")
	if t.chance(8) {
		o.SetFinalizers([]string{finalizer})
	}
	value := t.value()
	set(o, t.mark, value)
	r, ok := t.with("create", o)
	return r, sets(t.mark, value), ok
}

// with makes a request whose body is o. It is not ok if o cannot be encoded,
// which is logged: it is a fault of ours.
func (t *turn) with(verb string, o metav1.Object) (client.Request, bool) {
	body, err := t.object.kind.encode(o)
	if err != nil {
		t.w.deps.Log.Error("Cannot encode an object", "verb", verb, "object", t.object.key(), "error", err)
		return client.Request{}, false
	}
	r := t.about(verb)
	r.Body, r.ContentType = body, t.object.kind.contentType()
	return r, true
}

// generate creates an object whose name the server makes up.
func generate(ctx context.Context, t *turn) {
	o := t.object.kind.fresh(t.object.namespace)
	o.SetGenerateName("generated-")
	t.label(o, "generated")
	value := t.value()
	set(o, t.mark, value)
	t.object.name, t.object.loose = "", false
	r, ok := t.with("create", o)
	if !ok {
		return
	}
	r.Marks = new(sets(t.mark, value))
	dry := t.chance(10)
	if dry {
		r.Query.Set("dryRun", metav1.DryRunAll)
	}
	resp, err := t.send(ctx, r)
	if err != nil || dry {
		return
	}
	m, err := t.object.kind.meta(resp.Body)
	if err != nil || m.name == "" {
		return
	}
	t.object.name = m.name
	t.remember(resp.Body)
	t.w.board.keepGenerated(t.object)
}

// update is a read-modify-write: of what is there now, or, as often, of what
// this client saw last, which others may have changed since.
func update(ctx context.Context, t *turn) {
	t.other(6)
	o, ok := t.copy(ctx, t.chance(2))
	if !ok {
		return
	}
	value := t.value()
	set(o, t.mark, value)
	t.alter(o, value)
	if r, ok := t.with("update", o); ok {
		_, _ = t.write(ctx, r, sets(t.mark, value))
	}
}

// copy returns a copy of the object that can be changed and sent back.
func (t *turn) copy(ctx context.Context, fresh bool) (metav1.Object, bool) {
	s, ok := t.known(ctx, fresh)
	if !ok {
		return nil, false
	}
	o, err := t.object.kind.decode(s.body)
	if err != nil {
		t.w.deps.Log.Error("Cannot decode an object", "object", t.object.key(), "error", err)
		return nil, false
	}
	return o, true
}

// alter changes more than the mark, so that versions differ in what selectors
// read and in what clients would lose.
func (t *turn) alter(o metav1.Object, value string) {
	if labels := o.GetLabels(); labels != nil && t.chance(2) {
		labels[colorLabel] = pick(t.rng, colors)
		o.SetLabels(labels)
	}
	if t.object.kind.change != nil && t.chance(2) {
		t.object.kind.change(o, value)
	}
}

// increment adds one to the counter that all clients share. Nobody else writes
// it, and always with the resourceVersion that it was read at, so a lost update
// would show as a number written twice.
func increment(ctx context.Context, t *turn) {
	o, ok := t.copy(ctx, true)
	if !ok {
		return
	}
	n := int64(0)
	if s, ok := o.GetAnnotations()[history.MarkPrefix+counterMark]; ok {
		var err error
		if n, err = strconv.ParseInt(s, 10, 64); err != nil {
			t.w.deps.Log.Error("The counter is no number", "object", t.object.key(), "counter", s)
			return
		}
	}
	value, count := t.value(), strconv.FormatInt(n+1, 10)
	set(o, t.mark, value)
	set(o, counterMark, count)
	if r, ok := t.with("update", o); ok {
		_, _ = t.write(ctx, r, history.Marks{Sets: []history.Pair{{Name: t.mark, Value: value}, {Name: counterMark, Value: count}}})
	}
}

// overwrite is an update without a resourceVersion: it takes the place of what
// is there, whatever that is. A Lease that is not there is created by it; a
// Lease or a custom resource that is there refuses it.
func overwrite(ctx context.Context, t *turn) {
	o, ok := t.copy(ctx, false)
	if !ok {
		o = t.object.kind.fresh(t.object.namespace)
		o.SetName(t.object.name)
		t.label(o, "fixed")
	}
	o.SetResourceVersion("")
	if !t.chance(3) {
		o.SetUID("")
	}
	value := t.value()
	removes := t.strip(o, t.mark)
	set(o, t.mark, value)
	t.alter(o, value)
	if r, ok := t.with("update", o); ok {
		marks := sets(t.mark, value)
		marks.Removes = removes
		_, _ = t.write(ctx, r, marks)
	}
}
