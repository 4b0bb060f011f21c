package watches

import (
	"slices"
	"testing"

	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/checkers/history"
)

// lie changes one watch, if it can, so that a guarantee is surely broken.
type lie struct {
	name, guarantee string
	tell            func(w *world, t *tale) bool
}

// changesOf returns the indices of the messages that are changes, of a watch whose
// initial events have a marked end or that has none.
func (t *tale) changesOf(kinds ...string) []int {
	var list []int
	if wantsState(t.call) && !t.call.Bookmarks {
		return nil
	}
	for i := 1 + t.initial; i < len(t.messages); i++ {
		m := t.messages[i]
		if m.Type == "BOOKMARK" || m.Type == history.APIWatchClosed || m.Type == "ERROR" {
			continue
		}
		if len(kinds) == 0 || slices.Contains(kinds, m.Type) {
			list = append(list, i)
		}
	}
	return list
}

// of returns the message of an index, made anew so that it can be changed.
func (t *tale) of(i int) *history.APIWatch {
	m := *t.messages[i]
	t.messages[i] = &m
	return &m
}

func (t *tale) remove(i int) { t.messages = slices.Delete(slices.Clone(t.messages), i, i+1) }

// put adds a message at an index, at the time of the one before it.
func (t *tale) put(i int, m history.APIWatch) {
	m.Call, m.At = t.call.ID, t.messages[i-1].At
	t.messages = slices.Insert(slices.Clone(t.messages), i, &m)
}

// swap exchanges two messages, but not their times.
func (t *tale) swap(i, j int) {
	a, b := *t.messages[i], *t.messages[j]
	a.At, b.At = b.At, a.At
	t.messages[i], t.messages[j] = &b, &a
}

// pick returns a random index, -1 of none.
func (w *world) pick(list []int) int {
	if len(list) == 0 {
		return -1
	}
	return list[w.rng.IntN(len(list))]
}

// inner returns changes that a later change follows.
func (t *tale) inner(kinds ...string) []int {
	all := t.changesOf()
	if len(all) < 2 {
		return nil
	}
	return slices.DeleteFunc(t.changesOf(kinds...), func(i int) bool { return i == all[len(all)-1] })
}

// bookmarks returns the indices of the bookmarks after the initial events.
func (t *tale) bookmarks() []int {
	var list []int
	for i := 1 + t.initial; i < len(t.messages); i++ {
		if t.messages[i].Type == "BOOKMARK" {
			list = append(list, i)
		}
	}
	return list
}

// synthetic returns the indices of the initial objects.
func (t *tale) synthetic(marked bool) []int {
	if !wantsState(t.call) || t.call.Bookmarks != marked {
		return nil
	}
	var list []int
	for i := 1; i <= t.initial; i++ {
		if t.messages[i].Type == "ADDED" {
			list = append(list, i)
		}
	}
	return list
}

func changed1(list func(*tale) []int, change func(*world, *tale, *history.APIWatch) bool) func(*world, *tale) bool {
	return func(w *world, t *tale) bool {
		i := w.pick(list(t))
		return i >= 0 && change(w, t, t.of(i))
	}
}

func all(kinds ...string) func(*tale) []int {
	return func(t *tale) []int { return t.changesOf(kinds...) }
}

var lies = slices.Concat(liesOfState, liesOfBookmarks, liesOfChanges, liesOfRefusal)

func TestLies(t *testing.T) {
	for _, l := range lies {
		t.Run(l.guarantee+"/"+l.name, func(t *testing.T) {
			told := 0
			for seed := uint64(1000); seed < 1200 && told < 20; seed++ {
				w := newWorld(seed)
				w.churn(150)
				tales := w.tales(60)
				w.rng.Shuffle(len(tales), func(i, j int) { tales[i], tales[j] = tales[j], tales[i] })
				i := slices.IndexFunc(tales, func(t *tale) bool { return l.tell(w, t) })
				if i < 0 {
					continue
				}
				told++
				if l.guarantee != ExpiredHonest {
					tales = tales[i : i+1] // that one must do
				}
				v := judgeTales(w, tales)[l.guarantee]
				if v.Outcome != checkers.Fail {
					t.Errorf("seed %d: %s", seed, v)
					for _, m := range tales[0].messages {
						t.Log(MessageRow(m).What, MessageRow(m).Text)
					}
					t.Fatalf("%s", request(tales[0].call))
				}
			}
			if told < 20 {
				t.Errorf("the lie was told %d times", told)
			}
		})
	}
}

var liesOfState = []lie{
	{"an object is missing", InitialState, func(w *world, t *tale) bool {
		list := t.synthetic(false)
		var newest int64
		for _, i := range list {
			newest = max(newest, t.messages[i].Object.Version)
		}
		list = slices.DeleteFunc(list, func(i int) bool { return t.messages[i].Object.Version == newest })
		i := w.pick(list)
		if i < 0 || t.initial+1 >= len(t.messages) || t.messages[t.initial+1].Type != "MODIFIED" ||
			t.messages[t.initial+1].Object.Name == t.messages[i].Object.Name {
			return false
		}
		t.remove(i)
		return true
	}},
	{"an object is an old version", InitialState, func(w *world, t *tale) bool {
		if t.call.ResourceVersion != "" {
			return false
		}
		i := w.pick(t.synthetic(w.rng.IntN(2) == 0))
		if i < 0 {
			return false
		}
		m := t.of(i)
		c := w.commit(m.Object.Version)
		if c.prev == nil || m.Object.Version > w.window().Lo(t.call.Called) || !t.q.picks(c.prev) {
			return false
		}
		m.Object = event("ADDED", c.prev, c.prev.Revision).Object
		return true
	}},
	{"the content is another's", InitialState, changed1(func(t *tale) []int { return t.synthetic(true) },
		func(_ *world, _ *tale, m *history.APIWatch) bool { m.Object.Content++; return true })},
	{"the uid is another's", InitialState, changed1(func(t *tale) []int { return t.synthetic(false) },
		func(_ *world, _ *tale, m *history.APIWatch) bool { m.Object.UID = "x"; return true })},
	{"an object that is not selected", InitialState, func(w *world, t *tale) bool {
		if len(t.synthetic(true)) == 0 {
			return false
		}
		for _, v := range w.state(query{}, t.rev) {
			if !t.q.picks(v) {
				t.put(1, *event("ADDED", v, v.Revision))
				return true
			}
		}
		return false
	}},
	{"too early", InitialEventsEnd, func(w *world, t *tale) bool {
		if len(t.synthetic(true)) == 0 {
			return false
		}
		t.swap(t.initial, t.initial-1)
		return true
	}},
	{"one revision ahead", InitialEventsEnd, func(w *world, t *tale) bool {
		if len(t.changesOf()) == 0 || t.initial == 0 {
			return false
		}
		t.of(t.initial).Object.Version = t.messages[t.changesOf()[0]].Object.Version
		return true
	}},
	{"an object is missing", InitialEventsEnd, func(w *world, t *tale) bool {
		i := w.pick(t.synthetic(true))
		if i < 0 {
			return false
		}
		t.remove(i)
		return true
	}},
	{"it never comes", InitialEventsEnd, func(w *world, t *tale) bool {
		if t.initial == 0 || len(t.changesOf("MODIFIED", "DELETED")) == 0 {
			return false
		}
		t.remove(t.initial)
		return true
	}},
	{"it comes twice", InitialEventsEnd, func(w *world, t *tale) bool {
		if t.initial == 0 || !t.call.Bookmarks {
			return false
		}
		t.put(t.initial+1, *t.messages[t.initial])
		return true
	}},
	{"older than what was asked for", InitialEventsEnd, func(w *world, t *tale) bool {
		if t.initial == 0 || !t.call.Bookmarks || from(t.call) == 0 {
			return false
		}
		t.of(t.initial).Object.Version = from(t.call) - 1
		return true
	}},
}

var liesOfBookmarks = []lie{
	{"ahead of the next change", BookmarkNotAhead, func(w *world, t *tale) bool {
		for _, i := range t.bookmarks() {
			for _, j := range t.changesOf() {
				if j > i && t.messages[j].Object.Version > t.messages[i].Object.Version {
					t.of(i).Object.Version = t.messages[j].Object.Version
					return true
				}
			}
		}
		return false
	}},
	{"the change comes after it", BookmarkNotAhead, func(w *world, t *tale) bool {
		for _, i := range t.bookmarks() {
			if slices.Contains(t.changesOf(), i-1) {
				t.swap(i, i-1)
				return true
			}
		}
		return false
	}},
	{"ahead of the store", BookmarkNotAhead, changed1((*tale).bookmarks, func(w *world, _ *tale, m *history.APIWatch) bool {
		m.Object.Version = w.at(m.At) + 2
		return true
	})},
	{"what it claims never comes", BookmarkNotAhead, func(w *world, t *tale) bool {
		for _, i := range t.bookmarks() {
			if slices.Contains(t.changesOf(), i-1) {
				t.remove(i - 1)
				return true
			}
		}
		return false
	}},
	{"a bookmark goes back", Ordered, func(w *world, t *tale) bool {
		for _, i := range t.bookmarks() {
			if slices.Contains(t.changesOf(), i-1) {
				t.of(i).Object.Version = t.messages[i-1].Object.Version - 1
				return true
			}
		}
		return false
	}},
}
