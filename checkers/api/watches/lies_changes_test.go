package watches

import (
	"slices"
	"strconv"

	"github.com/planecheck/planecheck/checkers/history"
)

// retype tells a change of one type as one of another.
func retype(was, told string) func(*world, *tale) bool {
	return changed1(all(was), func(_ *world, _ *tale, m *history.APIWatch) bool { m.Type = told; return true })
}

// drop leaves out a change that a later one passes by.
func drop(fit func(commit) bool, kinds ...string) func(*world, *tale) bool {
	return func(w *world, t *tale) bool {
		i := w.pick(slices.DeleteFunc(t.inner(kinds...), func(i int) bool { return !fit(w.commit(t.messages[i].Object.Version)) }))
		if i < 0 {
			return false
		}
		t.remove(i)
		return true
	}
}

func whatever(commit) bool { return true }

var liesOfChanges = []lie{
	{"two are swapped", Ordered, func(w *world, t *tale) bool {
		list := t.changesOf()
		for n := 1; n < len(list); n++ {
			if list[n] == list[n-1]+1 {
				t.swap(list[n-1], list[n])
				return true
			}
		}
		return false
	}},
	{"one comes last", Ordered, func(w *world, t *tale) bool {
		list := t.changesOf()
		if len(list) < 3 {
			return false
		}
		m := *t.messages[list[0]]
		t.put(list[len(list)-1]+1, m)
		t.remove(list[0])
		return true
	}},
	{"twice in a row", Unique, func(w *world, t *tale) bool {
		i := w.pick(t.changesOf())
		if i < 0 {
			return false
		}
		t.put(i+1, *t.messages[i])
		return true
	}},
	{"again later", Unique, func(w *world, t *tale) bool {
		list := t.changesOf()
		if len(list) < 3 {
			return false
		}
		t.put(list[len(list)-1]+1, *t.messages[list[0]])
		return true
	}},
	{"an initial event twice", Unique, func(w *world, t *tale) bool {
		i := w.pick(t.synthetic(w.rng.IntN(2) == 0))
		if i < 0 {
			return false
		}
		t.put(i+1, *t.messages[i])
		return true
	}},
	{"MODIFIED is ADDED", Transitions, retype("MODIFIED", "ADDED")},
	{"ADDED is MODIFIED", Transitions, retype("ADDED", "MODIFIED")},
	{"DELETED is MODIFIED", Transitions, retype("DELETED", "MODIFIED")},
	{"MODIFIED is DELETED", Transitions, retype("MODIFIED", "DELETED")},
	{"DELETED with the new content", Transitions, changed1(all("DELETED"), func(w *world, _ *tale, m *history.APIWatch) bool {
		now := w.commit(m.Object.Version).now
		if now != nil {
			m.Object.Content = now.Content
		}
		return now != nil
	})},
	{"DELETED with the last resourceVersion", Transitions, changed1(all("DELETED"), func(w *world, t *tale, m *history.APIWatch) bool {
		m.Object.Version = w.commit(m.Object.Version).prev.Revision
		return true
	})},
	{"no DELETED where it ceases to match", Transitions, drop(func(c commit) bool { return c.now != nil }, "DELETED")},
	{"no ADDED where it begins to match", Transitions, drop(func(c commit) bool { return c.prev != nil }, "ADDED")},
	{"a change of what is not selected", Transitions, func(w *world, t *tale) bool {
		i := w.pick(t.inner())
		if i < 0 {
			return false
		}
		for rev := t.messages[i].Object.Version + 1; rev <= w.at(t.messages[i+1].At); rev++ {
			c := w.commit(rev)
			if next := t.messages[i+1]; next.Object.Version <= rev {
				return false
			}
			if c.kind == "pods" && c.now != nil && w.shown(t.q, rev) == nil {
				t.put(i+1, *event("MODIFIED", c.now, rev))
				t.messages[i+1].At = t.messages[i+2].At
				return true
			}
		}
		return false
	}},
	{"one is dropped", Delivered, drop(whatever)},
	{"a deletion is dropped", Delivered, drop(func(c commit) bool { return c.now == nil }, "DELETED")},
	{"three are dropped", Delivered, func(w *world, t *tale) bool {
		for range 3 {
			if !drop(whatever)(w, t) {
				return false
			}
		}
		return true
	}},
	{"the last is dropped, and the watch stays open", Delivered, func(w *world, t *tale) bool {
		list := t.changesOf()
		last := t.messages[len(t.messages)-1]
		if len(list) == 0 || last.Error != history.ClosedByClient {
			return false
		}
		i := list[len(list)-1]
		if last.At-t.messages[i].At < 400*ms {
			return false
		}
		t.remove(i)
		return true
	}},
	{"the content of before", Delivered, changed1(all("MODIFIED"), func(w *world, _ *tale, m *history.APIWatch) bool {
		m.Object.Content = w.commit(m.Object.Version).prev.Content
		return true
	})},
	{"another's uid", Delivered, changed1(all("ADDED", "MODIFIED"), func(_ *world, _ *tale, m *history.APIWatch) bool {
		m.Object.UID = "x"
		return true
	})},
	{"a change from before the start", Delivered, func(w *world, t *tale) bool {
		if wantsState(t.call) || from(t.call) == 0 || from(t.call) > w.rev() || t.messages[1].Type == "ERROR" {
			return false
		}
		for rev := from(t.call); rev > 2; rev-- {
			if m := w.shown(t.q, rev); m != nil && rev <= w.at(t.messages[0].At) {
				t.put(1, *m)
				return true
			}
		}
		return false
	}},
	{"a revision of something else", Delivered, changed1(all("ADDED", "MODIFIED"), func(w *world, _ *tale, m *history.APIWatch) bool {
		m.Object.Version--
		return m.Object.Version > 2 && w.commit(m.Object.Version).kind != "pods"
	})},
}

var liesOfRefusal = []lie{
	{"the latest is too old", ExpiredHonest, func(w *world, t *tale) bool {
		if wantsState(t.call) || from(t.call) == 0 {
			return false
		}
		t.call.ResourceVersion = strconv.FormatInt(w.at(t.call.Called)+4, 10)
		w.cut(t, 410, "Expired")
		return true
	}},
	{"the state is too old", ExpiredHonest, func(w *world, t *tale) bool {
		if !wantsState(t.call) {
			return false
		}
		w.cut(t, 410, "Expired")
		return true
	}},
	{"what it serves later is too old", ExpiredHonest, func(w *world, t *tale) bool {
		if wantsState(t.call) || from(t.call) == 0 || from(t.call) > w.at(t.call.Called) {
			return false
		}
		served := slices.ContainsFunc(w.told, func(o *tale) bool {
			return o.call.Server == t.call.Server && !wantsState(o.call) && from(o.call) > 0 && from(o.call) <= from(t.call) &&
				o.call.Called > t.call.Returned+ms && len(o.changesOf()) > 0
		})
		if served {
			w.cut(t, 410, "Expired")
		}
		return served
	}},
	{"a plain watch is too new", TooNewHonest, func(w *world, t *tale) bool {
		if wantsState(t.call) || from(t.call) < w.at(t.call.Called) {
			return false
		}
		w.cut(t, 504, "Timeout")
		return true
	}},
	{"any is too new", TooNewHonest, func(w *world, t *tale) bool {
		if !wantsState(t.call) || t.call.ResourceVersion != "0" {
			return false
		}
		w.cut(t, 504, "Timeout")
		return true
	}},
	{"the future is served", TooNewHonest, func(w *world, t *tale) bool {
		if t.initial < 2 || from(t.call) == 0 {
			return false
		}
		t.call.ResourceVersion = strconv.FormatInt(w.rev()+10, 10)
		return true
	}},
}

// cut turns a watch into one that is refused.
func (w *world) cut(t *tale, status int32, reason string) {
	at := t.call.Returned
	t.messages = nil
	w.refuse(t, at, status, reason)
}
