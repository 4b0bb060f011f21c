package contract

import (
	"context"
	"encoding/json"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/planecheck/planecheck/apiserver/client"
	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/history/wire"
)

// fields is a part of an object in JSON.
type fields map[string]any

// patch makes a patch request. What goes in are maps of strings, numbers and
// lists of them, which always have a JSON form.
func (t *turn) patch(contentType string, content any) client.Request {
	r := t.about("patch")
	r.Body, _ = json.Marshal(content)
	r.ContentType = contentType
	return r
}

func patchMerge(ctx context.Context, t *turn)     { t.patchMark(ctx, mergePatch) }
func patchStrategic(ctx context.Context, t *turn) { t.patchMark(ctx, strategic) }

// patchMark sets the client's mark, or, now and then, takes it off. Some
// patches carry the resourceVersion or the uid that the client saw last, which
// makes either a precondition.
func (t *turn) patchMark(ctx context.Context, contentType string) {
	t.other(6)
	value := t.value()
	marks, note := sets(t.mark, value), any(value)
	if t.chance(8) {
		marks, note = history.Marks{Removes: []string{t.mark}}, nil
	}
	meta := fields{"annotations": fields{history.MarkPrefix + t.mark: note}}
	if t.chance(2) {
		meta["labels"] = fields{colorLabel: pick(t.rng, colors)}
	}
	if s, ok := t.memory.last(t.object); ok {
		if t.chance(3) {
			meta["resourceVersion"] = s.version
		}
		if t.chance(4) {
			meta["uid"] = s.uid
		}
	}
	_, _ = t.write(ctx, t.patch(contentType, fields{"metadata": meta}), marks)
}

// patchJSON does the same in RFC 6902. Its precondition is a test.
func patchJSON(ctx context.Context, t *turn) {
	t.other(6)
	path := "/metadata/annotations/" + strings.ReplaceAll(history.MarkPrefix+t.mark, "/", "~1")
	value := t.value()
	marks, steps := sets(t.mark, value), []fields{{"op": "add", "path": path, "value": value}}
	if t.chance(8) {
		marks, steps = history.Marks{Removes: []string{t.mark}}, []fields{{"op": "remove", "path": path}}
	}
	if s, ok := t.memory.last(t.object); ok && t.chance(3) {
		test := fields{"op": "test", "path": "/metadata/resourceVersion", "value": s.version}
		steps = append([]fields{test}, steps...)
	}
	_, _ = t.write(ctx, t.patch(jsonPatch, steps), marks)
}

func apply(ctx context.Context, t *turn)      { t.apply(ctx, false) }
func applyForce(ctx context.Context, t *turn) { t.apply(ctx, true) }

// apply is a server-side apply. Each client is a manager of its own, with a
// mark of its own that it sets in no other way: a manager conflicts with
// whoever set a field otherwise, its own updates among them. What the managers
// compete for is one label. An object that is not there is created, unless the
// patch names a uid.
func (t *turn) apply(ctx context.Context, force bool) {
	value := t.value()
	marks, notes := sets(t.applied(), value), fields{history.MarkPrefix + t.applied(): value}
	if t.chance(8) {
		// What a manager no longer applies is removed.
		marks, notes = history.Marks{Removes: []string{t.applied()}}, fields{}
	}
	labels := fields{partLabel: partValue}
	if t.chance(2) {
		labels[contestedLabel] = value
	}
	meta := fields{"name": t.object.name, "annotations": notes, "labels": labels}
	if s, ok := t.memory.last(t.object); ok && t.chance(4) {
		meta["uid"] = s.uid
	}
	object := fields{"apiVersion": t.object.kind.apiVersion, "kind": t.object.kind.name, "metadata": meta}
	if t.object.kind.pod() {
		object["spec"] = podSpec()
	}
	r := t.patch(applyPatch, object)
	r.Query.Set("fieldManager", "contract-"+t.mark)
	if force {
		r.Query.Set("force", "true")
	}
	_, _ = t.write(ctx, r, marks)
}

// status moves a pod to another phase, through its subresource, so that it
// enters and leaves the selectors on status.phase.
func status(ctx context.Context, t *turn) {
	t.other(6)
	value := t.value()
	r := t.patch(mergePatch, fields{
		"metadata": fields{"annotations": fields{history.MarkPrefix + t.mark: value}},
		"status":   fields{"phase": pick(t.rng, []string{"Pending", "Running", "Running", "Succeeded", "Failed"})},
	})
	r.Subresource = "status"
	_, _ = t.write(ctx, r, sets(t.mark, value))
}

// bind binds a pod to a node that does not exist, so that its next deletion
// takes grace. The marks stay as they are.
func bind(ctx context.Context, t *turn) {
	t.other(2)
	b := corev1.Binding{
		ObjectMeta: metav1.ObjectMeta{Namespace: t.object.namespace, Name: t.object.name},
		Target:     corev1.ObjectReference{Kind: "Node", Name: nodeName},
	}
	raw, err := b.Marshal()
	if err != nil {
		t.w.deps.Log.Error("Cannot encode a binding", "error", err)
		return
	}
	r := t.about("create")
	r.Subresource, r.Body = "binding", wire.Wrap("v1", "Binding", raw)
	_, _ = t.write(ctx, r, history.Marks{})
}

// addFinalizer also sets the client's mark. It is refused for objects that are
// being deleted.
func addFinalizer(ctx context.Context, t *turn) {
	value := t.value()
	r := t.patch(mergePatch, fields{"metadata": fields{
		"annotations": fields{history.MarkPrefix + t.mark: value},
		"finalizers":  []string{finalizer},
	}})
	_, _ = t.write(ctx, r, sets(t.mark, value))
}

// removeFinalizers removes all of them: those of the garbage collector, too,
// for a control plane without a controller-manager has none. Of an object that
// is being deleted this is the end.
func removeFinalizers(ctx context.Context, t *turn) {
	t.other(6)
	r := t.patch(mergePatch, fields{"metadata": fields{"finalizers": nil}})
	_, _ = t.write(ctx, r, history.Marks{})
}
