package watch

import (
	"math/rand/v2"
	"slices"

	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/storage/storetest"
	"github.com/planecheck/planecheck/checkers/timeline"
)

// lies tells one lie in a history.
type lies struct {
	rng     *rand.Rand
	g       *generated
	h       *storetest.History
	compact compactions
}

// view is the records of one watch, by their place in the history.
type view struct {
	create, created, end int // end is of its canceled or closed
	events, progress     []int
	request              *history.StoreWatch
}

type watchName struct {
	stream uint64
	id     int64
}

// views finds the watches of a history in a random order.
func (l *lies) views() []*view {
	for _, op := range l.h.Ops {
		if op.Method == history.MethodCompact {
			l.compact.add(op)
		}
	}
	var all []*view
	byName := map[watchName]*view{}
	asked := map[uint64][]*view{}
	open := map[uint64][]*view{}
	for i, w := range l.h.Watches {
		name := watchName{w.Stream, w.Watch}
		switch w.Kind {
		case history.WatchCreate:
			v := &view{create: i, end: -1, request: w}
			asked[w.Stream] = append(asked[w.Stream], v)
		case history.WatchCreated:
			v := asked[w.Stream][0]
			asked[w.Stream] = asked[w.Stream][1:]
			v.created = i
			byName[name] = v
			open[w.Stream] = append(open[w.Stream], v)
			all = append(all, v)
		case history.WatchEvents:
			byName[name].events = append(byName[name].events, i)
		case history.WatchProgress:
			for _, v := range open[w.Stream] {
				if w.Watch == -1 || byName[name] == v {
					v.progress = append(v.progress, i)
				}
			}
		case history.WatchCanceled:
			v := byName[name]
			v.end = i
			open[w.Stream] = slices.DeleteFunc(open[w.Stream], func(o *view) bool { return o == v })
		case history.WatchClosed:
			for _, v := range open[w.Stream] {
				if v.end < 0 {
					v.end = i
				}
			}
		}
	}
	l.rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all
}

func (l *lies) at(i int) *history.StoreWatch { return l.h.Watches[i] }

// some finds a random record of events, without fragments, that a test accepts:
// it gets the watch, which of its records this is, and an event's place in it.
func (l *lies) some(accept func(v *view, n, e int) bool) (record *history.StoreWatch, v *view, n, e int) {
	for _, v := range l.views() {
		if v.request.Fragmented {
			continue
		}
		for _, n := range l.rng.Perm(len(v.events)) {
			r := l.at(v.events[n])
			for _, e := range l.rng.Perm(len(r.Events)) {
				if accept(v, n, e) {
					return r, v, n, e
				}
			}
		}
	}
	return nil, nil, 0, 0
}

// alone says that no other event of the record has the revision of event e.
func alone(r *history.StoreWatch, e int) bool {
	n := 0
	for i := range r.Events {
		if r.Events[i].KV.Mod == r.Events[e].KV.Mod {
			n++
		}
	}
	return n == 1
}

func (l *lies) wants(v *view, c timeline.Change) bool {
	r := v.request
	return timeline.InRange(c.Key, r.Key, r.End) && !(c.Delete && r.NoDelete) && !(!c.Delete && r.NoPut)
}

func (l *lies) insert(i int, w history.StoreWatch) {
	l.h.Watches = slices.Insert(l.h.Watches, i, &w)
}

// remove takes an event out of a record, and the record if it was the last one.
func (l *lies) remove(v *view, n, e int) {
	r := l.at(v.events[n])
	r.Events = slices.Delete(r.Events, e, e+1)
	if len(r.Events) == 0 {
		l.h.Watches = slices.Delete(l.h.Watches, v.events[n], v.events[n]+1)
	}
}
