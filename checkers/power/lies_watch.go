package power

import (
	"slices"

	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/storage/watch"
)

func name(g watch.Guarantee) string { return string(g) }

// several says that an answer holds events of more than one revision.
func several(_ *request, m *history.StoreWatch) bool {
	return len(m.Events) > 1 && m.Events[0].KV.Mod != m.Events[len(m.Events)-1].KV.Mod
}

func some(_ *request, m *history.StoreWatch) bool { return len(m.Events) > 0 }

// following returns the next answer with events of a watch that is no fragment.
func following(r *request, m *history.StoreWatch) *history.StoreWatch {
	i := r.index(m)
	if i+1 < len(r.messages) && len(r.messages[i+1].Events) > 0 && !m.Fragmented && !r.messages[i+1].Fragmented {
		return r.messages[i+1]
	}
	return nil
}

func followed(r *request, m *history.StoreWatch) bool {
	return len(m.Events) > 0 && following(r, m) != nil
}

func orderedLies() []Lie {
	return []Lie{
		{Name: "two events are swapped", Breaks: name(watch.Ordered), Tell: func(t *teller) bool {
			_, m, ok := t.message(several)
			for i := 1; ok && i < len(m.Events); i++ {
				if a, b := m.Events[i-1], m.Events[i]; a.KV.Mod != b.KV.Mod {
					m.Events[i-1], m.Events[i] = b, a
					break
				}
			}
			return ok
		}},
		{Name: "two answers are swapped", Breaks: name(watch.Ordered), Tell: func(t *teller) bool {
			r, m, ok := t.message(followed)
			if ok {
				n := following(r, m)
				m.Events, n.Events = n.Events, m.Events
				m.Header = max(m.Header, n.Header)
			}
			return ok
		}},
		{Name: "an event comes an answer later", Breaks: name(watch.Ordered), Tell: func(t *teller) bool {
			r, m, ok := t.message(followed)
			if !ok {
				return false
			}
			n, i := following(r, m), t.rng.IntN(len(m.Events))
			n.Events = append(n.Events, m.Events[i])
			m.Events = slices.Delete(m.Events, i, i+1)
			t.tidy()
			return true
		}},
		{Name: "the events of an answer are reversed", Breaks: name(watch.Ordered), Tell: func(t *teller) bool {
			_, m, ok := t.message(several)
			if ok {
				slices.Reverse(m.Events)
			}
			return ok
		}},
	}
}

func uniqueLies() []Lie {
	return []Lie{
		{Name: "an event comes twice", Breaks: name(watch.Unique), Tell: func(t *teller) bool {
			_, m, ok := t.message(some)
			if ok {
				i := t.rng.IntN(len(m.Events))
				m.Events = slices.Insert(m.Events, i, m.Events[i])
			}
			return ok
		}},
		{Name: "an answer comes twice", Breaks: name(watch.Unique), Tell: func(t *teller) bool {
			_, m, ok := t.message(some)
			if ok {
				again := m.Clone()
				t.insert(m, again)
			}
			return ok
		}},
		{Name: "an old event comes again", Breaks: name(watch.Unique), Tell: func(t *teller) bool {
			r, m, ok := t.message(followed)
			if ok {
				n := following(r, m)
				n.Events = slices.Insert(n.Events, 0, m.Events[t.rng.IntN(len(m.Events))])
			}
			return ok
		}},
		{Name: "the last events come again with the next answer", Breaks: name(watch.Unique), Tell: func(t *teller) bool {
			r, m, ok := t.message(followed)
			if ok {
				n := following(r, m)
				n.Events = append(slices.Clone(m.Events), n.Events...)
			}
			return ok
		}},
	}
}

// inside returns where an answer can be cut within a revision; 0: nowhere.
func inside(m *history.StoreWatch) int {
	for i := 1; i < len(m.Events); i++ {
		if m.Events[i].KV.Mod == m.Events[i-1].KV.Mod {
			return i
		}
	}
	return 0
}

func atomicLies() []Lie {
	multi := func(_ *request, m *history.StoreWatch) bool { return inside(m) > 0 && !m.Fragmented }
	return []Lie{
		{Name: "a transaction is split over two answers", Breaks: name(watch.Atomic), Tell: func(t *teller) bool {
			_, m, ok := t.message(multi)
			if ok {
				i := inside(m)
				rest := m.Clone()
				m.Events, rest.Events = m.Events[:i], rest.Events[i:]
				t.insert(m, rest)
			}
			return ok
		}},
		{Name: "half of a transaction waits for the next answer", Breaks: name(watch.Atomic), Tell: func(t *teller) bool {
			r, m, ok := t.message(func(r *request, m *history.StoreWatch) bool { return multi(r, m) && following(r, m) != nil })
			if ok {
				n, i := following(r, m), inside(m)
				n.Events = append(slices.Clone(m.Events[i:]), n.Events...)
				m.Events = m.Events[:i]
			}
			return ok
		}},
		{Name: "fragments that nobody asked for", Breaks: name(watch.Atomic), Tell: func(t *teller) bool {
			_, m, ok := t.message(func(r *request, m *history.StoreWatch) bool { return multi(r, m) && !r.create.Fragmented })
			if ok {
				i := inside(m)
				rest := m.Clone()
				m.Events, rest.Events = m.Events[:i], rest.Events[i:]
				m.Fragmented = true
				t.insert(m, rest)
			}
			return ok
		}},
		{Name: "the stream ends in the middle of a transaction", Breaks: name(watch.Atomic), Tell: func(t *teller) bool {
			r, m, ok := t.message(multi)
			if ok {
				m.Events = m.Events[:inside(m)]
				t.cutAfter(r, m)
			}
			return ok
		}},
		{Name: "a transaction is told in part", Breaks: name(watch.Atomic),
			Tell: func(t *teller) bool {
				_, m, ok := t.message(multi)
				if ok {
					i := inside(m)
					m.Events = slices.Delete(m.Events, i, i+1)
				}
				return ok
			}},
	}
}

// cutAfter ends a watch's part of the stream behind a message.
func (t *teller) cutAfter(r *request, m *history.StoreWatch) {
	after := slices.Index(t.h.Watches, m)
	for _, later := range r.messages {
		i := slices.Index(t.h.Watches, later)
		if later.Watch == r.id && i > after && later.Kind != history.WatchClosed {
			t.h.Watches = slices.Delete(t.h.Watches, i, i+1)
		}
	}
	// What is said of the whole stream would speak of this watch too.
	t.h.Watches = slices.DeleteFunc(t.h.Watches, func(w *history.StoreWatch) bool {
		return w.Stream == m.Stream && w.Kind == history.WatchProgress && w.Watch == -1 && w.At > m.At
	})
}
