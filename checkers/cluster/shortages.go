package cluster

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/planecheck/planecheck/checkers/history"
)

// shortages are the ReplicaSets that have another number of pods than they ask
// for. Any change of the one or the other begins their time anew: a ReplicaSet
// makes and removes pods in batches.
type shortages struct {
	delays
	sets  map[string]*count // by uid, also of those that are not known
	wrong map[string]*count
}

// count is a ReplicaSet and its active pods.
type count struct {
	uid  string
	set  *history.Version // nil: it is not there
	pods int64
	had  bool  // it has had a pod, so nothing forbids them
	due  int64 // since when the number is wrong, or was last changed; 0: it is right
}

func newShortages(l *lasting) *shortages {
	return &shortages{delays: newDelays(l, l.j.opts.Patience), sets: map[string]*count{}, wrong: map[string]*count{}}
}

func (s *shortages) count(uid string) *count {
	c := s.sets[uid]
	if c == nil {
		c = &count{uid: uid}
		s.sets[uid] = c
	}
	return c
}

// pod takes a change of a pod.
func (s *shortages) pod(e event) {
	was, is := replicaOf(e.prev), replicaOf(e.now)
	if was == is {
		return
	}
	if was != "" {
		s.add(was, -1, e.rev)
	}
	if is != "" {
		s.add(is, +1, e.rev)
	}
}

// replicaOf is the uid of the controller, a ReplicaSet or another one, of which a
// version is an active pod.
func replicaOf(pod *history.Version) string {
	if life(pod) == "" || !active(pod) {
		return ""
	}
	if owner := pod.Controller(); owner != nil {
		return owner.UID
	}
	return ""
}

func (s *shortages) add(uid string, n, rev int64) {
	c := s.count(uid)
	missing := c.missing()
	s.end(c, rev)
	if c.due != 0 && missing*n > 0 {
		s.w.did(c.due, rev)
	}
	c.pods += n
	c.had = c.had || n > 0
	s.look(c, rev)
}

// set takes a change of a ReplicaSet.
func (s *shortages) set(e event) {
	uid := life(e.now)
	if old := life(e.prev); old != "" && old != uid {
		c := s.count(old)
		s.end(c, e.rev)
		c.set = nil
		s.look(c, e.rev)
	}
	if uid == "" {
		return
	}
	c := s.count(uid)
	next := e.now
	if next.Deleting {
		next = nil
	}
	if c.set != nil && next != nil && need(c.set, "spec.replicas") == need(next, "spec.replicas") {
		return
	}
	s.end(c, e.rev)
	c.set = next
	s.look(c, e.rev)
}

// missing is how many pods a ReplicaSet lacks, less than none if it has too many.
func (c *count) missing() int64 {
	if c.set == nil {
		return 0
	}
	return need(c.set, "spec.replicas") - c.pods
}

// end judges the time that comes to its end with a change.
func (s *shortages) end(c *count, rev int64) {
	if c.due == 0 {
		return
	}
	if late, tooLong := s.put(c.due, rev); tooLong {
		s.late(c, rev, late)
	}
}

// look begins a time.
func (s *shortages) look(c *count, rev int64) {
	if c.missing() == 0 {
		c.due = 0
		delete(s.wrong, c.uid)
		if c.set == nil && c.pods == 0 {
			delete(s.sets, c.uid)
		}
		return
	}
	c.due = rev
	s.wrong[c.uid] = c
	s.w.begin(rev)
}

func (s *shortages) late(c *count, rev int64, late time.Duration) {
	if !s.first(s.excuses(c, rev)) {
		return
	}
	e := because("for %s, with nothing before it to do, %s had asked for %d replicas and owned %d pods",
		late.Round(time.Millisecond), name(c.set), need(c.set, "spec.replicas"), c.pods)
	s.l.j.row(e, c.set, fmt.Sprintf("spec.replicas %d, generation %d, uid %s", need(c.set, "spec.replicas"), c.set.Generation, c.uid))
	e.rows = append(e.rows, row{s.l.j.after(c.due), c.due, "its pods", "the last change of their number, or of the one that is asked for"})
	s.f.evidence = e.until(s.l.j, rev)
}

// excuses says that a ReplicaSet may rightly have another number of pods: there
// may be a quota, or its pods may be such that they are refused.
func (s *shortages) excuses(c *count, rev int64) bool {
	if s.l.leaves(c.set.Namespace, rev) {
		return true
	}
	return c.missing() > 0 && (!c.had || s.capped(c.set.Namespace, rev))
}

func (s *shortages) capped(namespace string, rev int64) bool {
	quotas := s.l.j.table.Kind("", "resourcequotas")
	if quotas == nil {
		return false
	}
	for range quotas.List(namespace, everything, rev) {
		return true
	}
	return false
}

func (s *shortages) overdue(rev int64) bool {
	for _, c := range s.wrong {
		if s.waited(c.due, rev) >= s.patience && !s.excuses(c, rev) {
			return true
		}
	}
	return false
}

func (s *shortages) finish() {
	for _, c := range slices.SortedFunc(maps.Values(s.wrong), func(a, b *count) int {
		return cmp.Or(cmp.Compare(a.due, b.due), cmp.Compare(a.uid, b.uid))
	}) {
		if late := s.waited(c.due, s.l.j.last); late >= s.patience {
			s.late(c, s.l.j.last, late)
		}
	}
}
