package lies

import (
	"net/http"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Elections returns lies that are told about Leases to one process that takes part in the
// election of a leader, by a proxy of its own. By themselves, answers from the
// past do no harm there: whoever writes because of them is refused, as another
// version is there by now, and gives up. That is what fences off a leader which
// does not know that it is none any more.
func Elections() []Lie {
	return []Lie{
		{Name: "lease-as-left", Elections: true, call: leaseAsLeft},
		{Name: "lease-unfenced", Elections: true, Breaks: []string{"OneLeader"}, call: leaseUnfenced},
	}
}

// leaseTries is how often the version of an update is mended: others renew their
// Lease about once a second.
const leaseTries = 5

// lastWrites are the objects as this process wrote them last, by path.
type lastWrites struct {
	mu      sync.Mutex
	objects map[string]object
}

func (w *lastWrites) keep(path string, o object) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.objects == nil {
		w.objects = map[string]object{}
	}
	w.objects[path] = o
}

func (w *lastWrites) last(path string) (object, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	o, ok := w.objects[path]
	return o, ok
}

// lease says whether a call is about one Lease.
func (q *call) lease() bool {
	return q.resource == "leases" && (q.verb == "get" || q.verb == "create" || q.verb == "update")
}

// leaseAsLeft shows a process a Lease as it wrote that last, whoever has written
// it since.
func leaseAsLeft(l *liar, q *call, next sender) (*answer, error) {
	a, err := next(q)
	if err != nil || !q.lease() {
		return a, err
	}
	o, ok := a.object()
	if !ok {
		return a, nil
	}
	if q.verb != "get" {
		l.written.keep(q.collection+"/"+createdName(q), o)
		return a, nil
	}
	mine, ok := l.written.last(q.path)
	if !ok || mine.json != o.json || mine.version() >= o.version() {
		return a, nil
	}
	l.tell()
	return a.holding(mine.body()), nil
}

// leaseUnfenced does that, and carries out the update of any version: the last
// one to write wins.
func leaseUnfenced(l *liar, q *call, next sender) (*answer, error) {
	if q.verb != "update" || !q.lease() {
		return leaseAsLeft(l, q, next)
	}
	fenced, mended := q, false
	for range leaseTries {
		a, err := leaseAsLeft(l, fenced, next)
		if err != nil || !a.conflicts() {
			if mended && err == nil && a.ok() {
				l.tell()
			}
			return a, err
		}
		_, now, known := q.current(next, q.name)
		sent, read := readObject(q.body)
		if !known || !read {
			return a, nil
		}
		if sent, read = sent.at(now.version()); !read {
			return a, nil
		}
		fenced, mended = q.sending(sent.body()), true
	}
	return next(q)
}

// conflicts says whether an answer refuses a write because of its version.
func (a *answer) conflicts() bool {
	s, _, ok := a.statusOf()
	return ok && a.status == http.StatusConflict && s.Reason == metav1.StatusReasonConflict
}
