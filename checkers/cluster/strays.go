package cluster

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/history/object"
)

// strays are pods that are a ready endpoint of a Service and should not be, or
// the other way round. Each pod has its own time: others of the Service may come
// and go meanwhile.
type strays struct {
	delays
	fronts map[string]*front // Services by namespace/name, also of slices without one
	byPair map[pair][]*front // by the first label that they ask for
	pods   map[string]int    // by namespace, how many there are
	wrong  map[*backend]bool
}

type pair struct{ namespace, label, value string }

// front is a Service.
type front struct {
	path     string           // namespace/name
	now      *history.Version // nil: it has no endpoints to be judged
	key      pair
	backends map[string]*backend // by the uid of the pod
}

// backend is a pod as an endpoint of one Service.
type backend struct {
	front *front
	uid   string
	want  bool
	pod   *history.Version // while it is wanted
	in    int              // slices that have it as a ready endpoint
	due   int64            // since when these differ, 0: they do not
}

func newStrays(l *lasting) *strays {
	return &strays{delays: newDelays(l, l.j.opts.Patience), fronts: map[string]*front{}, byPair: map[pair][]*front{},
		pods: map[string]int{}, wrong: map[*backend]bool{}}
}

func (s *strays) front(namespace, name string) *front {
	key := namespace + "/" + name
	f := s.fronts[key]
	if f == nil {
		f = &front{path: key, backends: map[string]*backend{}}
		s.fronts[key] = f
	}
	return f
}

// pod takes a change of a pod.
func (s *strays) pod(e event) {
	was, is := life(e.prev), life(e.now)
	if was == "" && is != "" {
		s.pods[e.now.Namespace]++
	} else if was != "" && is == "" {
		s.pods[e.now.Namespace]--
	}
	if was == is && (was == "" || sameBackend(e.prev, e.now)) {
		return
	}
	for _, v := range []*history.Version{e.prev, e.now} {
		if life(v) == "" {
			continue
		}
		for _, l := range v.Labels {
			for _, f := range s.byPair[pair{e.now.Namespace, l.Name, l.Value}] {
				s.want(f, e, v.UID)
			}
		}
	}
}

// sameBackend says that no Service can make a difference between two versions of
// a pod.
func sameBackend(a, b *history.Version) bool {
	return a.Deleting == b.Deleting && terminal(a) == terminal(b) && a.Field(object.FieldReady) == b.Field(object.FieldReady) &&
		a.Field(object.FieldHasIP) == b.Field(object.FieldHasIP) && slices.Equal(a.Labels, b.Labels)
}

// want notes whether a life of a pod is to be an endpoint.
func (s *strays) want(f *front, e event, uid string) {
	want := life(e.now) == uid && s.wanted(f, e.now)
	if !want && f.backends[uid] == nil {
		return
	}
	b := f.backend(uid)
	if b.want, b.pod = want, nil; want {
		b.pod = e.now
	}
	s.compare(b, e.rev, false)
}

func (s *strays) wanted(f *front, pod *history.Version) bool {
	if f.now == nil || !due(f.now, pod) {
		return false
	}
	selector, ok := s.l.j.selector(f.now.Field(object.FieldSelector))
	if !ok {
		return false
	}
	match, known := selector.Matches(pod)
	return match && known
}

func (f *front) backend(uid string) *backend {
	b := f.backends[uid]
	if b == nil {
		b = &backend{front: f, uid: uid}
		f.backends[uid] = b
	}
	return b
}

// service takes a change of a Service.
func (s *strays) service(e event) {
	f := s.front(e.now.Namespace, e.now.Name)
	if same := f.now; same != nil && life(e.now) == same.UID && same.Field(object.FieldSelector) == e.now.Field(object.FieldSelector) &&
		same.Field(object.FieldPublishNotReady) == e.now.Field(object.FieldPublishNotReady) && hasEndpoints(e.now) {
		return
	}
	if f.now != nil {
		s.byPair[f.key] = slices.DeleteFunc(s.byPair[f.key], func(g *front) bool { return g == f })
	}
	s.leave(f, e.rev)
	if f.now = nil; life(e.now) != "" && hasEndpoints(e.now) {
		f.now = e.now
		first, _, _ := strings.Cut(e.now.Field(object.FieldSelector), ",")
		f.key = pair{namespace: e.now.Namespace}
		f.key.label, f.key.value, _ = strings.Cut(first, "=")
		s.byPair[f.key] = append(s.byPair[f.key], f)
	}
	s.choose(f, e.rev)
	s.forget(f)
}

// forget keeps nothing of a Service that is not there and has no endpoints.
func (s *strays) forget(f *front) {
	if f != nil && f.now == nil && len(f.backends) == 0 {
		delete(s.fronts, f.path)
	}
}

// hasEndpoints says that a Service is one whose endpoints are judged.
func hasEndpoints(s *history.Version) bool {
	return s.Field(object.FieldSelector) != "" && s.Field("spec.type") != "ExternalName" && !s.Deleting && !s.Unread
}

// leave judges what is wrong with a Service that is changed or removed.
func (s *strays) leave(f *front, rev int64) {
	for _, b := range sortedBackends(f.backends) {
		if b.due != 0 {
			if late, tooLong := s.put(b.due, rev); tooLong {
				s.late(b, rev, late)
			}
			b.due = 0
			delete(s.wrong, b)
		}
		b.want, b.pod = false, nil
	}
}

// choose looks which pods a Service that is new or changed wants.
func (s *strays) choose(f *front, rev int64) {
	if f.now != nil && s.pods[f.now.Namespace] > 0 {
		for pod := range s.l.j.table.Kind("", "pods").List(f.now.Namespace, everything, rev) {
			if s.wanted(f, pod) {
				b := f.backend(pod.UID)
				b.want, b.pod = true, pod
			}
		}
	}
	for _, b := range sortedBackends(f.backends) {
		s.compare(b, rev, false)
	}
}

func sortedBackends(all map[string]*backend) []*backend {
	var list []*backend
	for _, b := range all {
		list = append(list, b)
	}
	slices.SortFunc(list, func(a, b *backend) int { return cmp.Compare(a.uid, b.uid) })
	return list
}

// slice takes a change of an EndpointSlice.
func (s *strays) slice(e event) {
	was, wasOf := s.endpointsOf(e.prev)
	is, isOf := s.endpointsOf(e.now)
	if wasOf == isOf {
		s.move(isOf, was, is, e.rev)
		return
	}
	s.move(wasOf, was, "", e.rev)
	s.move(isOf, "", is, e.rev)
}

// move takes what is different between two sorted lists of endpoints.
func (s *strays) move(f *front, was, is string, rev int64) {
	for was != "" || is != "" {
		a, restA, _ := strings.Cut(was, ",")
		b, restB, _ := strings.Cut(is, ",")
		switch {
		case a == b:
			was, is = restA, restB
		case is == "" || was != "" && a < b:
			s.shift(f, a, -1, rev)
			was = restA
		default:
			s.shift(f, b, +1, rev)
			is = restB
		}
	}
	s.forget(f)
}

// shift counts a ready endpoint in or out.
func (s *strays) shift(f *front, endpoint string, n int, rev int64) {
	if uid, ready := strings.CutSuffix(endpoint, ":true"); ready {
		b := f.backend(uid)
		b.in += n
		s.compare(b, rev, true)
	}
}

// endpointsOf returns the endpoints of a slice with the Service they are of.
func (s *strays) endpointsOf(v *history.Version) (string, *front) {
	if life(v) == "" {
		return "", nil
	}
	if by, _ := v.Label(managedBy); by != sliceController {
		return "", nil
	}
	return v.Field(object.FieldEndpoints), s.front(v.Namespace, v.Field(object.FieldService))
}

// compare begins or ends a time. done says that the controller has changed a
// slice, which is what ends it if it does.
func (s *strays) compare(b *backend, rev int64, done bool) {
	wrong := b.front.now != nil && b.want != (b.in > 0)
	switch {
	case wrong && b.due == 0:
		b.due = rev
		s.wrong[b] = true
		s.w.begin(rev)
	case !wrong && b.due != 0:
		if late, tooLong := s.put(b.due, rev); tooLong {
			s.late(b, rev, late)
		}
		if done {
			s.w.did(b.due, rev)
		}
		b.due = 0
		delete(s.wrong, b)
	}
	if !b.want && b.in <= 0 && b.due == 0 {
		delete(b.front.backends, b.uid)
	}
}

func (s *strays) late(b *backend, rev int64, late time.Duration) {
	if !s.first(s.excuses(b, rev)) {
		return
	}
	service, text := b.front.now, "a ready endpoint that is no ready pod of it"
	if b.want {
		text = "no ready endpoint for a ready pod of it"
	}
	e := because("for %s, with nothing before it to do, the EndpointSlices of %s had %s", late.Round(time.Millisecond), name(service), text)
	s.l.j.row(e, service, "selector "+service.Field(object.FieldSelector))
	who := "a pod"
	if b.pod != nil {
		who = name(b.pod)
	}
	e.rows = append(e.rows, row{s.l.j.after(b.due), b.due, who, fmt.Sprintf("ready %t, slices with it as a ready endpoint: %d; uid %s", b.want, b.in, b.uid)})
	s.f.evidence = e.until(s.l.j, rev)
}

// excuses says that the controller may leave a pod out: of a node that is not
// there (getEndpoints in k8s.io/endpointslice, reconciler.go), or in a namespace that is
// on its way out.
func (s *strays) excuses(b *backend, rev int64) bool {
	if s.l.leaves(b.front.now.Namespace, rev) {
		return true
	}
	if b.pod == nil {
		return false
	}
	nodes := s.l.j.table.Kind("", "nodes")
	return nodes == nil || nodes.At("", node(b.pod), b.due) == nil || nodes.At("", node(b.pod), rev) == nil
}

func (s *strays) overdue(rev int64) bool {
	for b := range s.wrong {
		if s.waited(b.due, rev) >= s.patience && !s.excuses(b, rev) {
			return true
		}
	}
	return false
}

func (s *strays) finish() {
	var all []*backend
	for b := range s.wrong {
		all = append(all, b)
	}
	slices.SortFunc(all, func(a, b *backend) int {
		return cmp.Or(cmp.Compare(a.due, b.due), cmp.Compare(a.front.now.Key, b.front.now.Key), cmp.Compare(a.uid, b.uid))
	})
	for _, b := range all {
		if late := s.waited(b.due, s.l.j.last); late >= s.patience {
			s.late(b, s.l.j.last, late)
		}
	}
}
