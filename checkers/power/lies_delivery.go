package power

import (
	"slices"
	"time"

	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/storage/watch"
)

func reliableLies() []Lie {
	// Strictly what was committed after the watch began and comes after its first
	// events: up to there it is the subject of Resumable. Something must come after it, or
	// nobody could say that it will not come.
	live := func(r *request, m *history.StoreWatch) bool {
		n := len(r.messages)
		return some(r, m) && m.Events[0].KV.Mod > r.created.Header && n > 2 && r.messages[n-2] != m && m != firstOf(r)
	}
	lie := func(name_ string, fits func(history.StoreEvent) bool, change func(t *teller, r *request, m *history.StoreWatch, i int)) Lie {
		return Lie{Name: name_, Breaks: name(watch.Reliable), Tell: func(t *teller) bool {
			r, m, ok := t.message(func(r *request, m *history.StoreWatch) bool { return live(r, m) && slices.ContainsFunc(m.Events, fits) })
			if ok {
				change(t, r, m, slices.IndexFunc(m.Events, fits))
				t.tidy()
			}
			return ok
		}}
	}
	any := func(history.StoreEvent) bool { return true }
	isPut := func(e history.StoreEvent) bool { return !e.Delete }
	isUpdate := func(e history.StoreEvent) bool { return !e.Delete && e.KV.Create < e.KV.Mod }
	isDelete := func(e history.StoreEvent) bool { return e.Delete }
	return []Lie{
		lie("an event is dropped", any, func(t *teller, _ *request, m *history.StoreWatch, _ int) {
			i := t.rng.IntN(len(m.Events))
			m.Events = slices.Delete(m.Events, i, i+1)
		}),
		lie("an answer is dropped", any, func(_ *teller, _ *request, m *history.StoreWatch, _ int) { m.Events = nil }),
		lie("a key is left out", any, func(t *teller, r *request, m *history.StoreWatch, _ int) {
			key := m.Events[t.rng.IntN(len(m.Events))].KV.Key
			for _, later := range r.messages[r.index(m):] {
				later.Events = slices.DeleteFunc(later.Events, func(e history.StoreEvent) bool { return e.KV.Key == key })
			}
		}),
		lie("changed value", isPut, func(_ *teller, _ *request, m *history.StoreWatch, i int) { m.Events[i].KV.Value++ }),
		lie("wrong version", isPut, func(_ *teller, _ *request, m *history.StoreWatch, i int) { m.Events[i].KV.Version += 2 }),
		lie("wrong lease", isPut, func(_ *teller, _ *request, m *history.StoreWatch, i int) { m.Events[i].KV.Lease++ }),
		lie("the creation of a life before", isUpdate, func(_ *teller, _ *request, m *history.StoreWatch, i int) { m.Events[i].KV.Create = 1 }),
		lie("a deletion is shown as a put", isDelete, func(t *teller, _ *request, m *history.StoreWatch, i int) {
			kv := &m.Events[i].KV
			m.Events[i].Delete, kv.Create, kv.Version, kv.Value = false, kv.Mod, 1, t.rng.Uint64()
		}),
		lie("a put is shown as a deletion", isPut, func(_ *teller, _ *request, m *history.StoreWatch, i int) {
			kv := m.Events[i].KV
			m.Events[i].Delete, m.Events[i].KV = true, history.StoreKV{Key: kv.Key, Mod: kv.Mod}
		}),
		lie("a deletion carries a value", isDelete, func(t *teller, _ *request, m *history.StoreWatch, i int) {
			m.Events[i].KV.Value = t.rng.Uint64()
		}),
	}
}

// firstOf returns the first answer of a watch that has events.
func firstOf(r *request) *history.StoreWatch {
	i := slices.IndexFunc(r.messages, func(m *history.StoreWatch) bool { return len(m.Events) > 0 })
	if i < 0 {
		return nil
	}
	return r.messages[i]
}

func resumableLies() []Lie {
	// A watch from the past: what it shows first was committed before it began.
	past := func(r *request) bool {
		if r.create.Start == 0 || r.create.Start > r.created.Header || r.create.Start == firstRevision+1 {
			return false
		}
		i := slices.IndexFunc(r.messages, func(m *history.StoreWatch) bool { return len(m.Events) > 0 })
		return i >= 0 && r.messages[i].Events[0].KV.Mod <= r.created.Header
	}
	skip := func(name_ string, upTo func(t *teller, r *request, first int64) int64) Lie {
		return Lie{Name: name_, Breaks: name(watch.Resumable),
			Tell: func(t *teller) bool {
				r, ok := t.watch(past)
				if !ok {
					return false
				}
				i := slices.IndexFunc(r.messages, func(m *history.StoreWatch) bool { return len(m.Events) > 0 })
				to := upTo(t, r, r.messages[i].Events[0].KV.Mod)
				for _, m := range r.messages {
					m.Events = slices.DeleteFunc(m.Events, func(e history.StoreEvent) bool { return e.KV.Mod <= to })
				}
				t.tidy()
				return true
			}}
	}
	return []Lie{
		skip("a resumed watch begins now", func(_ *teller, r *request, _ int64) int64 { return r.created.Header }),
		skip("a resumed watch begins one too late", func(_ *teller, _ *request, first int64) int64 { return first }),
		skip("a resumed watch begins k too late", func(t *teller, _ *request, first int64) int64 { return first + t.rng.Int64N(8) }),
	}
}

func filteredLies() []Lie {
	extra := func(name_ string, fits func(r *request, e history.StoreEvent) bool) Lie {
		return Lie{Name: name_, Breaks: name(watch.Filtered), Tell: func(t *teller) bool {
			// Between two events that came together, so that it is in its place.
			var at int
			var found history.StoreEvent
			_, m, ok := t.message(func(r *request, m *history.StoreWatch) bool {
				for i := range m.Events {
					for _, e := range t.f.changes[m.Events[i].KV.Mod] {
						if fits(r, e) {
							return true
						}
					}
				}
				return false
			})
			if !ok {
				return false
			}
			r, _ := t.watch(func(r *request) bool { return r.index(m) >= 0 })
			for i := range m.Events {
				for _, e := range t.f.changes[m.Events[i].KV.Mod] {
					if fits(r, e) {
						at, found = i+1, e
					}
				}
			}
			if !r.create.PrevKV {
				found.Prev = history.StoreKV{}
			}
			m.Events = slices.Insert(m.Events, at, found)
			return true
		}}
	}
	return []Lie{
		extra("an event of another range in the same revision", func(r *request, e history.StoreEvent) bool {
			return !inRange(e.KV.Key, r.create.Key, r.create.End)
		}),
		{Name: "a revision of another range", Breaks: name(watch.Filtered), Tell: func(t *teller) bool {
			return t.insertForeign(func(r *request, e history.StoreEvent) bool { return !inRange(e.KV.Key, r.create.Key, r.create.End) })
		}},
		{Name: "a filter for puts or deletions is ignored", Breaks: name(watch.Filtered), Tell: func(t *teller) bool {
			r, m, ok := t.message(func(r *request, m *history.StoreWatch) bool { return len(m.Events) > 0 && r.create.End != "\x00" })
			if ok {
				remove := m.Events[t.rng.IntN(len(m.Events))].Delete
				r.create.NoDelete, r.create.NoPut = remove, !remove
			}
			return ok
		}},
		{Name: "the end of the range is ignored", Breaks: name(watch.Filtered), Tell: func(t *teller) bool {
			r, ok := t.watch(func(r *request) bool { return r.create.End != "\x00" && len(r.keys()) > 1 })
			if ok {
				r.create.End = r.keys()[len(r.keys())-1]
			}
			return ok
		}},
		{Name: "an event from before the start", Breaks: name(watch.Filtered), Tell: func(t *teller) bool {
			var before history.StoreEvent
			r, ok := t.watch(func(r *request) bool {
				return r.create.Start > 3 && slices.ContainsFunc(r.messages, func(m *history.StoreWatch) bool { return len(m.Events) > 0 })
			})
			if !ok {
				return false
			}
			for rev := int64(2); rev < r.create.Start; rev++ {
				for _, e := range t.f.changes[rev] {
					if r.passes(e) {
						before = e
					}
				}
			}
			i := slices.IndexFunc(r.messages, func(m *history.StoreWatch) bool { return len(m.Events) > 0 })
			if before.KV.Mod == 0 {
				return false
			}
			before.Prev = history.StoreKV{}
			r.messages[i].Events = slices.Insert(r.messages[i].Events, 0, before)
			return true
		}},
	}
}

// keys returns the keys that a watch showed, in order.
func (r *request) keys() []string {
	var keys []string
	for _, m := range r.messages {
		for _, e := range m.Events {
			keys = append(keys, e.KV.Key)
		}
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

// insertForeign puts an event in its place between the events of an answer.
func (t *teller) insertForeign(fits func(*request, history.StoreEvent) bool) bool {
	type place struct {
		m  *history.StoreWatch
		at int
		e  history.StoreEvent
	}
	var places []place
	for _, r := range requests(t.h.Watches) {
		for _, m := range r.messages {
			for i := 0; i+1 < len(m.Events); i++ {
				for rev := m.Events[i].KV.Mod + 1; rev < m.Events[i+1].KV.Mod; rev++ {
					for _, e := range t.f.changes[rev] {
						if fits(r, e) {
							if !r.create.PrevKV {
								e.Prev = history.StoreKV{}
							}
							places = append(places, place{m, i + 1, e})
						}
					}
				}
			}
		}
	}
	p, ok := draw(t, places, func(place) bool { return true })
	if ok {
		p.m.Events = slices.Insert(p.m.Events, p.at, p.e)
	}
	return ok
}

func freshLies() []Lie {
	const late = 15 * time.Second
	return []Lie{
		{Name: "a stream is frozen for a while", Breaks: name(watch.Fresh), Tell: func(t *teller) bool {
			r, m, ok := t.message(some)
			if ok {
				t.delay(r, m, late)
			}
			return ok
		}},
		{Name: "a stream starves and is cut", Breaks: name(watch.Fresh), Tell: func(t *teller) bool {
			r, m, ok := t.message(some)
			if ok {
				t.cutAfter(r, m)
				m.Events = nil
				t.delay(r, r.messages[len(r.messages)-1], late)
				t.tidy()
			}
			return ok
		}},
		{Name: "the last events of a stream come late", Breaks: name(watch.Fresh), Tell: func(t *teller) bool {
			r, ok := t.watch(func(r *request) bool {
				return slices.ContainsFunc(r.messages, func(m *history.StoreWatch) bool { return len(m.Events) > 0 })
			})
			if ok {
				n := len(r.messages) - 1
				for len(r.messages[n].Events) == 0 {
					n--
				}
				t.delay(r, r.messages[n], late)
			}
			return ok
		}},
	}
}

// delay lets a message and all later ones of its stream come later.
func (t *teller) delay(r *request, m *history.StoreWatch, by time.Duration) {
	from := m.At
	for _, w := range t.h.Watches {
		if w.Stream == r.create.Stream && w.At >= from {
			w.At = w.At.Add(by)
		}
	}
	t.tidy()
}
