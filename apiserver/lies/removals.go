package lies

import (
	"net/http"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// removalLies are those about what is deleted. Whether a checker can see one depends
// on the object: what bears no marks, or may be deleted by controllers, is left alone.
func removalLies() []Lie {
	return []Lie{
		{Name: "removed-unasked", Breaks: []string{noLostUpdate}, Every: 30, call: removedUnasked},
		{Name: "collection-too-wide", Breaks: []string{noLostUpdate}, Every: 1, call: collectionTooWide},
		{Name: "collection-not-done", Breaks: []string{noLostUpdate}, Every: 1, call: collectionNotDone},
		{Name: "dry-run-deleted", Breaks: []string{dryRunInert}, Every: 1, call: dryRunDeleted},
	}
}

// lasting says that an object would not be deleted by anybody but those who know its
// marks.
func lasting(m *metav1.ObjectMeta) bool {
	return m != nil && m.DeletionTimestamp == nil && len(m.OwnerReferences) == 0 && len(marks(m)) > 0
}

// removedUnasked deletes an object that somebody reads.
func removedUnasked(l *liar, q *call, next sender) (*answer, error) {
	if q.verb != "get" || !l.turn() {
		return next(q)
	}
	a, err := next(q)
	if err != nil {
		return nil, err
	}
	o, ok := a.object()
	if !ok {
		return a, nil
	}
	if m, ok := o.meta(); !ok || !lasting(m) {
		return a, nil
	}
	remove := q.read(q.name, nil)
	remove.method, remove.verb = http.MethodDelete, "delete"
	if gone, err := next(remove); err == nil && gone.ok() {
		l.tell()
	}
	return a, nil
}

// collectionTooWide deletes more of a collection than was selected: what the selector
// matches without its last requirement.
func collectionTooWide(l *liar, q *call, next sender) (*answer, error) {
	asked := q.query.Get("labelSelector")
	selector, err := labels.Parse(asked)
	if q.verb != "deletecollection" || q.dryRun() || asked == "" || err != nil || !l.turn() {
		return next(q)
	}
	a, err := next(q.with(map[string]string{"labelSelector": asked[:max(strings.LastIndexByte(asked, ','), 0)]}))
	if err != nil {
		return nil, err
	}
	if a.removes(func(m *metav1.ObjectMeta) bool { return lasting(m) && !selector.Matches(labels.Set(m.Labels)) }) {
		l.tell()
	}
	return a, nil
}

// collectionNotDone acknowledges the deletion of a collection that is only tried.
func collectionNotDone(l *liar, q *call, next sender) (*answer, error) {
	if q.verb != "deletecollection" || q.dryRun() || !l.turn() {
		return next(q)
	}
	dry, ok := q.rehearsed()
	if !ok {
		return next(q)
	}
	a, err := next(dry)
	if err != nil || !a.removes(lasting) {
		return next(q)
	}
	l.tell()
	return a, nil
}

// removes says whether the answer to the deletion of a collection shows an object of
// a kind among those that were found.
func (a *answer) removes(kind func(*metav1.ObjectMeta) bool) bool {
	found, ok := a.list()
	if !ok {
		return false
	}
	for _, o := range found.items {
		if m, ok := o.meta(); ok && kind(m) {
			return true
		}
	}
	return false
}

// dryRunDeleted carries out a delete that was only to be tried.
func dryRunDeleted(l *liar, q *call, next sender) (*answer, error) {
	if q.verb != "delete" || !q.dryRun() || !l.turn() {
		return next(q)
	}
	m, _, known := q.current(next, q.name)
	if !known || !lasting(m) {
		return next(q)
	}
	done := q.with(map[string]string{"dryRun": ""})
	if q.deletion().DryRun != nil {
		body, ok := replaceJSON(q.body, nil, "dryRun")
		if !ok {
			return next(q)
		}
		done = done.sending(body)
	}
	a, err := next(done)
	if err == nil && a.ok() {
		l.tell()
	}
	return a, err
}
