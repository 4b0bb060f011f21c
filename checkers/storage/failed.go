package storage

import (
	"cmp"
	"slices"

	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/timeline"
)

// writes are failed writes by what they change, so that the author of a change is
// found without a search.
type writes struct {
	byKey   map[string][]record
	byRange map[keyRange][]record // deletions of ranges, of which there are few
	revokes []record              // ends of leases
	// ordered: the lists are in the order of the calls.
	ordered bool
}

// keyRange is a range of keys.
type keyRange struct{ key, end string }

// rangeOf is what a deletion of a range deletes; none: it is another action.
func rangeOf(a history.StoreAction) (of keyRange, ranged bool) {
	return keyRange{a.Key, a.End}, a.Kind == history.ActionDelete && a.End != ""
}

func newWrites() writes {
	return writes{byKey: map[string][]record{}, byRange: map[keyRange][]record{}}
}

func (w *writes) add(r record) {
	w.ordered = false
	filed := map[keyRange]bool{}
	for _, branch := range [][]history.StoreAction{r.op.Then, r.op.Else} {
		for _, a := range branch {
			of, ranged := rangeOf(a)
			if !ranged {
				of.end = ""
			}
			switch {
			case a.Kind == history.ActionRange || filed[of]:
				continue
			case ranged:
				w.byRange[of] = append(w.byRange[of], r)
			default:
				w.byKey[a.Key] = append(w.byKey[a.Key], r)
			}
			filed[of] = true
		}
	}
	if r.op.Method == history.MethodLeaseRevoke {
		w.revokes = append(w.revokes, r)
	}
}

func (w *writes) remove(r record) {
	same := func(o record) bool { return o.op == r.op }
	for _, branch := range [][]history.StoreAction{r.op.Then, r.op.Else} {
		for _, a := range branch {
			if of, ranged := rangeOf(a); ranged {
				w.byRange[of] = slices.DeleteFunc(w.byRange[of], same)
			} else {
				w.byKey[a.Key] = slices.DeleteFunc(w.byKey[a.Key], same)
			}
		}
	}
	w.revokes = slices.DeleteFunc(w.revokes, same)
}

// order sorts the lists once for all that is asked: a key may have been written
// without an answer ten thousand times, and be asked for as often.
func (w *writes) order() {
	if w.ordered {
		return
	}
	w.ordered = true
	slices.SortFunc(w.revokes, byCall)
	for _, list := range w.byKey {
		slices.SortFunc(list, byCall)
	}
	for _, list := range w.byRange {
		slices.SortFunc(list, byCall)
	}
}

func byCall(a, b record) int {
	return cmp.Or(cmp.Compare(a.op.Called, b.op.Called), cmp.Compare(a.op.ID, b.op.ID))
}

// candidates returns the writes that may have made some changes together, in the
// order of their calls. The list is not to be changed.
func (w *writes) candidates(changes []timeline.Change) []record {
	w.order()
	for i := range changes {
		if !changes[i].Delete {
			return w.byKey[changes[i].Key] // only a put of that key puts it
		}
	}
	list := slices.Clone(w.revokes)
	for i := range changes {
		list = append(list, w.byKey[changes[i].Key]...)
	}
	for of, those := range w.byRange {
		if slices.ContainsFunc(changes, func(c timeline.Change) bool { return timeline.InRange(c.Key, of.key, of.end) }) {
			list = append(list, those...)
		}
	}
	slices.SortFunc(list, byCall)
	return slices.CompactFunc(list, func(a, b record) bool { return a.op == b.op })
}

// all returns every write once, in the order of their calls.
func (w *writes) all() []record {
	list := slices.Clone(w.revokes)
	for _, records := range w.byKey {
		list = append(list, records...)
	}
	for _, records := range w.byRange {
		list = append(list, records...)
	}
	slices.SortFunc(list, byCall)
	return slices.CompactFunc(list, func(a, b record) bool { return a.op == b.op })
}
