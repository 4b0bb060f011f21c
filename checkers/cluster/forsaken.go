package cluster

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/planecheck/planecheck/checkers/history"
)

// forsaken are objects none of whose owners is there, and which nobody deletes:
// because the last one was removed, or because there never was one. The garbage
// collector looks for an owner that it does not know
// (attemptToDeleteItem in k8s.io/kubernetes/pkg/controller/garbagecollector).
type forsaken struct {
	delays
	things map[string]*thing // by uid: what is there, and what others say is their owner
	wrong  map[*dependent]bool
	unread bool // a version of something that may be an owner could not be read
}

// thing is an object, or what others take for one.
type thing struct {
	uid             string
	lives, deleting bool
	as              *dependent // nil: it has no owners, or is being deleted
	owns            []*dependent
	over            int // of these
}

// dependent is an object with owners that nobody deletes, as long as it has these.
type dependent struct {
	now    *history.Version
	owners []*thing
	over   bool
	had    bool  // it has had one of its owners
	due    int64 // since when it has none, 0: it has one
}

func newForsaken(l *lasting) *forsaken {
	return &forsaken{delays: newDelays(l, max(l.j.opts.Collect, l.j.opts.Patience)), things: map[string]*thing{}, wrong: map[*dependent]bool{}}
}

func (s *forsaken) see(e event) {
	was, is := life(e.prev), life(e.now)
	s.unread = s.unread || e.now.Unread
	if was != "" && was == is && e.prev.Deleting == e.now.Deleting && slices.Equal(e.prev.Owners, e.now.Owners) {
		return
	}
	if t := s.things[was]; was != is && t != nil {
		s.release(t, e.rev)
		if !e.now.Unread { // else it may live on
			t.lives = false
			s.lookAll(t, e.rev)
			s.forget(t)
		}
	}
	if is == "" {
		return
	}
	t := s.thing(is)
	t.deleting = e.now.Deleting
	if !t.lives {
		t.lives = true
		s.lookAll(t, e.rev)
	}
	s.release(t, e.rev)
	s.take(t, e)
}

func (s *forsaken) thing(uid string) *thing {
	t := s.things[uid]
	if t == nil {
		t = &thing{uid: uid}
		s.things[uid] = t
	}
	return t
}

// take begins to look after an object.
func (s *forsaken) take(t *thing, e event) {
	if len(e.now.Owners) == 0 || e.now.Deleting {
		return
	}
	t.as = &dependent{now: e.now, owners: make([]*thing, len(e.now.Owners))}
	for i := range e.now.Owners {
		owner := s.thing(e.now.Owners[i].UID)
		owner.owns = append(owner.owns, t.as)
		t.as.owners[i] = owner
	}
	s.look(t.as, e.rev)
}

// release ends that, because the object is removed, marked, or has other owners.
func (s *forsaken) release(t *thing, rev int64) {
	d := t.as
	if d == nil {
		return
	}
	s.settle(d, rev)
	if d.due != 0 {
		s.w.did(d.due, rev)
		delete(s.wrong, d)
	} else if slices.ContainsFunc(d.owners, func(o *thing) bool { return o.deleting }) {
		s.w.busy(rev) // the collector deletes what it owns before it, if it was asked to
	}
	t.as, d.over = nil, true
	for _, o := range d.owners {
		o.over++
		if 2*o.over > len(o.owns) {
			o.owns, o.over = slices.DeleteFunc(o.owns, func(d *dependent) bool { return d.over }), 0
		}
		s.forget(o)
	}
}

// forget keeps nothing of what is not there and owns nothing.
func (s *forsaken) forget(t *thing) {
	if !t.lives && len(t.owns) == 0 {
		delete(s.things, t.uid)
	}
}

func (s *forsaken) lookAll(owner *thing, rev int64) {
	for _, d := range owner.owns { // in the order in which they came
		if !d.over {
			s.look(d, rev)
		}
	}
}

// look begins or ends the time of a dependent.
func (s *forsaken) look(d *dependent, rev int64) {
	lost := !slices.ContainsFunc(d.owners, func(o *thing) bool { return o.lives })
	d.had = d.had || !lost
	switch {
	case lost && d.due == 0:
		d.due = rev
		s.wrong[d] = true
		s.w.begin(rev)
	case !lost && d.due != 0:
		s.settle(d, rev)
		d.due = 0
		delete(s.wrong, d)
	}
}

func (s *forsaken) settle(d *dependent, rev int64) {
	if d.due == 0 {
		return
	}
	if late, tooLong := s.put(d.due, rev); tooLong {
		s.late(d, rev, late)
	}
}

func (s *forsaken) late(d *dependent, rev int64, late time.Duration) {
	if !s.first(s.excuses(d, rev)) {
		return
	}
	e := because("for %s, with nothing before it to do, %s was there without any of its owners", late.Round(time.Millisecond), name(d.now))
	if k := s.l.j.table.Kind(d.now.Group, d.now.Resource); k != nil {
		s.l.j.row(e, k.At(d.now.Namespace, d.now.Name, s.l.j.born(d.now)), "created; uid "+d.now.UID)
	}
	e.rows = append(e.rows, row{s.l.j.after(d.due), d.due, name(d.now), "it had none of its owners from here on"})
	for i := range d.now.Owners {
		o := &d.now.Owners[i]
		e.note(name(d.now), fmt.Sprintf("owner %s %s, uid %s, controller %t", o.Kind, o.Name, o.UID, o.Controller))
	}
	s.f.evidence = e.until(s.l.j, rev)
}

// excuses says that the garbage collector may leave an object.
func (s *forsaken) excuses(d *dependent, rev int64) bool {
	return s.l.leaves(d.now.Namespace, rev) || !d.had && !s.l.j.absent(d.now, s.unread)
}

func (s *forsaken) overdue(rev int64) bool {
	for d := range s.wrong {
		if s.waited(d.due, rev) >= s.patience && !s.excuses(d, rev) {
			return true
		}
	}
	return false
}

func (s *forsaken) finish() {
	for _, d := range slices.SortedFunc(maps.Keys(s.wrong), func(a, b *dependent) int {
		return cmp.Or(cmp.Compare(a.due, b.due), cmp.Compare(a.now.UID, b.now.UID))
	}) {
		if late := s.waited(d.due, s.l.j.last); late >= s.patience {
			s.late(d, s.l.j.last, late)
		}
	}
}
