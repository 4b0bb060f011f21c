package apipower

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/planecheck/planecheck/checkers/api/window"
	"github.com/planecheck/planecheck/checkers/history"
)

// event is what a watch owes for one revision.
type event struct {
	kind   string
	object history.APIObject
}

// plain says that a call is a watch that begins with what is after a revision,
// not with the state.
func plain(c *history.APICall) bool {
	_, ok := number(c.ResourceVersion)
	return c.Verb == "watch" && ok && c.InitialEvents != "true"
}

// owed is everything that a watch shows that lives for ever, in order.
func (f *facts) owed(c *history.APICall) []event {
	var all []event
	for _, n := range f.names[kindOf(c)] {
		if c.Namespace != "" && n.namespace != c.Namespace {
			continue
		}
		var prev *history.Version
		for _, v := range f.objects[n] {
			was, is := prev != nil && selects(c, prev), !v.Delete && selects(c, v)
			switch {
			case is && was:
				all = append(all, event{"MODIFIED", show(v)})
			case is:
				all = append(all, event{"ADDED", show(v)})
			case was:
				o := show(prev) // the last content that the watch may see, at the revision of the change
				o.Version = v.Revision
				all = append(all, event{"DELETED", o})
			}
			if prev = v; v.Delete {
				prev = nil
			}
		}
	}
	slices.SortStableFunc(all, func(a, b event) int { return cmp.Compare(a.object.Version, b.object.Version) })
	return all
}

// watchWrong says what is wrong with the messages of a watch, "": nothing.
func (f *facts) watchWrong(w *window.Window, c *history.APICall, ms []*history.APIWatch) string {
	if why := refusalWrong(w, c, ms); why != "" {
		return why
	}
	owed := f.owed(c)
	if plain(c) {
		n, _ := number(c.ResourceVersion)
		return f.follows(w, c, owed, n, ms)
	}
	if !slices.ContainsFunc(ms, func(m *history.APIWatch) bool { return m.InitialEnd }) {
		return "" // nothing says where the initial events end, or that they are all
	}
	why := "the initial events are of no one state"
	for _, k := range splits(ms) {
		for _, rev := range statesThat(owed, ms[:k]) {
			if rev.to < required(w, c) {
				why = "the initial state is older than what was asked for"
				continue
			}
			if rev.from > ended(ms) {
				why = "the initial state is from after the bookmark that ends it"
				continue
			}
			// The latest revision of that state: what is owed after it is the same.
			if bad := endWrong(w, c, ms); bad != "" {
				why = bad
				continue
			}
			if bad := f.follows(w, c, owed, rev.from, ms[k:]); bad != "" {
				why = bad
				continue
			}
			return ""
		}
	}
	return why
}

// begins says that what comes before the end of initial events is a state that
// the watch may begin with, or such a state and changes that follow it.
func (f *facts) begins(w *window.Window, c *history.APICall, ms []*history.APIWatch) bool {
	owed, end := f.owed(c), ended(ms)
	ms = ms[:slices.IndexFunc(ms, func(m *history.APIWatch) bool { return m.InitialEnd })]
	for _, k := range splits(ms) {
		for _, rev := range statesThat(owed, ms[:k]) {
			if rev.to >= required(w, c) && rev.from <= end && f.follows(w, c, owed, rev.from, ms[k:]) == "" {
				return true
			}
		}
	}
	return false
}

// ended is the revision at which the initial events end, 0: they do not.
func ended(ms []*history.APIWatch) int64 {
	for _, m := range ms {
		if m.InitialEnd {
			return m.Object.Version
		}
	}
	return 0
}

// required is the revision that the initial state must have reached.
func required(w *window.Window, c *history.APICall) int64 {
	if n, ok := number(c.ResourceVersion); ok {
		return n
	}
	if c.ResourceVersion == "0" {
		return 0
	}
	return w.Lo(c.Called)
}

// splits are the numbers of messages that may be the initial state: the leading
// ADDED, or fewer. None come after a bookmark.
func splits(ms []*history.APIWatch) []int {
	ks := []int{0}
	for i, m := range ms {
		if m.Type != "ADDED" && m.Type != history.APIWatchOpen {
			break
		}
		ks = append(ks, i+1)
	}
	slices.Reverse(ks)
	return ks
}

type span struct{ from, to int64 }

// statesThat are the spans of revisions at which the state was what messages
// show.
func statesThat(owed []event, ms []*history.APIWatch) []span {
	want := map[string]history.APIObject{}
	for _, m := range ms {
		if m.Type != "ADDED" {
			continue
		}
		if _, twice := want[m.Object.Key()]; twice {
			return nil
		}
		want[m.Object.Key()] = m.Object
	}
	var found []span
	live, right := map[string]history.APIObject{}, 0
	for i := 0; i <= len(owed); i++ {
		s := span{to: 1<<62 - 1}
		if i > 0 {
			o := owed[i-1].object
			s.from = o.Version
			if old, ok := live[o.Key()]; ok && old == want[o.Key()] {
				right--
			}
			delete(live, o.Key())
			if owed[i-1].kind != "DELETED" {
				live[o.Key()] = o
				if o == want[o.Key()] {
					right++
				}
			}
		}
		if i < len(owed) {
			s.to = owed[i].object.Version - 1
		}
		if right == len(want) && len(live) == len(want) && s.from <= s.to {
			found = append(found, s)
		}
	}
	return found
}

// endWrong judges the bookmark that ends the initial events, if there is one.
func endWrong(w *window.Window, c *history.APICall, ms []*history.APIWatch) string {
	for _, m := range ms {
		if m.InitialEnd && m.Object.Version < required(w, c) {
			return fmt.Sprintf("the initial events end at revision %d, %d was asked for", m.Object.Version, required(w, c))
		}
	}
	return ""
}

// follows says what is wrong with messages that must be everything owed after
// a revision, in order, up to where they end.
func (f *facts) follows(w *window.Window, c *history.APICall, owed []event, from int64, ms []*history.APIWatch) string {
	for len(owed) > 0 && owed[0].object.Version <= from {
		owed = owed[1:]
	}
	for _, m := range ms {
		switch m.Type {
		case "ADDED", "MODIFIED", "DELETED":
			if len(owed) == 0 || owed[0].kind != m.Type || owed[0].object != m.Object {
				return fmt.Sprintf("%s of %s at %d is not what comes next", m.Type, m.Object.Key(), m.Object.Version)
			}
			owed = owed[1:]
		case "BOOKMARK":
			if len(owed) > 0 && owed[0].object.Version <= m.Object.Version {
				return fmt.Sprintf("the bookmark at %d leads the event at %d", m.Object.Version, owed[0].object.Version)
			}
			if m.Object.Version > w.Hi(m.At) {
				return fmt.Sprintf("the bookmark at %d is of the future", m.Object.Version)
			}
		}
	}
	return f.silent(w, c, owed, ms)
}

// silent says that a watch which its client gave up had not shown what was
// committed long before, in all of that time without faults. One with an error was
// over before.
func (f *facts) silent(w *window.Window, c *history.APICall, owed []event, ms []*history.APIWatch) string {
	if f.calm == 0 || len(owed) == 0 || len(ms) == 0 || slices.ContainsFunc(ms, func(m *history.APIWatch) bool { return m.Type == "ERROR" }) {
		return ""
	}
	end := ms[len(ms)-1]
	_, committed, known := w.Commit(owed[0].object.Version)
	if end.Type != history.APIWatchClosed || end.Error != history.ClosedByClient || !known || end.At.Sub(max(c.Returned, f.calm, committed)) <= delivery {
		return ""
	}
	return fmt.Sprintf("%s at %d did not come in %v", owed[0].object.Key(), owed[0].object.Version, delivery)
}

// refusalWrong judges the errors of a watch, and initial events from a revision
// that does not exist.
func refusalWrong(w *window.Window, c *history.APICall, ms []*history.APIWatch) string {
	n, numbered := number(c.ResourceVersion)
	for _, m := range ms {
		switch {
		case m.Type == "ERROR" && m.Status == 410:
			if numbered && n <= w.Hi(m.At) {
				continue
			}
			return "410 of a watch from no revision of the past"
		case m.Type == "ERROR" && m.Status == 504 && plain(c):
			return "504 of a watch that may begin in the future"
		case m.InitialEnd && numbered && n > w.Hi(m.At):
			return fmt.Sprintf("the initial events of revision %d came before it existed", n)
		}
	}
	return ""
}
