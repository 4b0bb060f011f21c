package power

import (
	"slices"

	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/storage/watch"
)

// prevLies change what a watch shows of the version before.
func prevLies() []Lie {
	lie := func(name_ string, fits func(t *teller, e history.StoreEvent) bool, change func(t *teller, e *history.StoreEvent)) Lie {
		return Lie{Name: name_, Breaks: name(watch.PrevKV), Tell: func(t *teller) bool {
			_, m, ok := t.message(func(r *request, m *history.StoreWatch) bool {
				return r.create.PrevKV && slices.ContainsFunc(m.Events, func(e history.StoreEvent) bool { return fits(t, e) })
			})
			if !ok {
				return false
			}
			for i, e := range m.Events {
				if fits(t, e) {
					change(t, &m.Events[i])
					break
				}
			}
			return true
		}}
	}
	has := func(_ *teller, e history.StoreEvent) bool { return e.Prev.Mod != 0 }
	return []Lie{
		{Name: "the previous version is missing", Breaks: name(watch.PrevKV), Tell: func(t *teller) bool {
			// What etcd sends first of a watch from the past may lack it (docs/findings/0007).
			_, m, ok := t.message(func(r *request, m *history.StoreWatch) bool {
				return r.create.PrevKV && m != firstOf(r) && slices.ContainsFunc(m.Events, func(e history.StoreEvent) bool { return has(t, e) })
			})
			if ok {
				m.Events[slices.IndexFunc(m.Events, func(e history.StoreEvent) bool { return has(t, e) })].Prev = history.StoreKV{}
			}
			return ok
		}},
		lie("wrong previous value", has, func(_ *teller, e *history.StoreEvent) { e.Prev.Value++ }),
		lie("the version before the previous one",
			func(t *teller, e history.StoreEvent) bool {
				return e.Prev.Mod > 1 && t.f.states[e.Prev.Mod-1][e.KV.Key].Mod != 0
			},
			func(t *teller, e *history.StoreEvent) { e.Prev = t.f.states[e.Prev.Mod-1][e.KV.Key] }),
		lie("a previous version of a creation",
			func(_ *teller, e history.StoreEvent) bool { return !e.Delete && e.KV.Version == 1 && e.KV.Mod > 2 },
			func(t *teller, e *history.StoreEvent) {
				e.Prev = history.StoreKV{Key: e.KV.Key, Create: e.KV.Mod - 1, Mod: e.KV.Mod - 1, Version: 1, Value: t.rng.Uint64()}
			}),
		lie("the new version as the previous one",
			func(_ *teller, e history.StoreEvent) bool { return e.Prev.Mod != 0 && !e.Delete },
			func(_ *teller, e *history.StoreEvent) { e.Prev = e.KV }),
	}
}

func createLies() []Lie {
	lie := func(name_ string, fits func(history.StoreEvent) bool, change func(t *teller, e *history.StoreEvent)) Lie {
		return Lie{Name: name_, Breaks: name(watch.IsCreate), Tell: func(t *teller) bool {
			_, m, ok := t.message(func(_ *request, m *history.StoreWatch) bool { return slices.ContainsFunc(m.Events, fits) })
			if !ok {
				return false
			}
			change(t, &m.Events[slices.IndexFunc(m.Events, fits)])
			return true
		}}
	}
	created := func(e history.StoreEvent) bool { return !e.Delete && e.KV.Create == e.KV.Mod && e.KV.Mod > 3 }
	updated := func(e history.StoreEvent) bool { return !e.Delete && e.KV.Create < e.KV.Mod }
	return []Lie{
		lie("a creation is shown as an update", created, func(t *teller, e *history.StoreEvent) {
			e.KV.Create -= 1 + t.rng.Int64N(e.KV.Mod-2)
			e.KV.Version = 2
		}),
		lie("an update is shown as a creation", updated, func(_ *teller, e *history.StoreEvent) {
			e.KV.Create, e.KV.Version = e.KV.Mod, 1
		}),
		lie("a creation with a previous life's revision", created, func(_ *teller, e *history.StoreEvent) { e.KV.Create-- }),
	}
}

func bookmarkLies() []Lie {
	ahead := func(name_ string, whole bool) Lie {
		return Lie{Name: name_, Breaks: name(watch.Bookmarkable), Tell: func(t *teller) bool {
			r, m, ok := t.message(func(r *request, m *history.StoreWatch) bool {
				return len(m.Events) > 0 && r.index(m) > 0 && !r.messages[r.index(m)-1].Fragmented
			})
			if !ok {
				return false
			}
			id := r.id
			if whole {
				id = -1
			}
			t.insertBefore(m, &history.StoreWatch{
				Stream: m.Stream, Watch: id, Member: m.Member, Kind: history.WatchProgress, At: m.At, Header: m.Events[0].KV.Mod,
			})
			return true
		}}
	}
	return []Lie{
		ahead("progress one ahead", false),
		ahead("progress of the stream one ahead", true),
		{Name: "progress overtakes events", Breaks: name(watch.Bookmarkable), Tell: func(t *teller) bool {
			r, m, ok := t.message(func(r *request, m *history.StoreWatch) bool {
				i := r.index(m)
				return m.Kind == history.WatchProgress && i > 0 && len(r.messages[i-1].Events) > 0
			})
			if ok {
				before := r.messages[r.index(m)-1]
				m.At = before.At
				t.remove(m)
				t.insertBefore(before, m)
			}
			return ok
		}},
		{Name: "progress names the next revision", Breaks: name(watch.Bookmarkable), Tell: func(t *teller) bool {
			_, m, ok := t.message(func(r *request, m *history.StoreWatch) bool {
				return m.Kind == history.WatchProgress && m.Header < t.f.last
			})
			if ok {
				m.Header += 1 + t.rng.Int64N(min(3, t.f.last-m.Header))
			}
			return ok
		}},
		{Name: "progress of a revision that does not exist", Breaks: name(watch.Bookmarkable), Tell: func(t *teller) bool {
			_, m, ok := t.message(func(r *request, m *history.StoreWatch) bool { return m.Kind == history.WatchProgress })
			if ok {
				m.Header = t.f.last + 1 + t.rng.Int64N(3)
			}
			return ok
		}},
	}
}

func cancelLies() []Lie {
	cancel := func(name_ string, revision func(t *teller, r *request, m *history.StoreWatch) int64) Lie {
		return Lie{Name: name_, Breaks: name(watch.CompactedCancel), Tell: func(t *teller) bool {
			r, m, ok := t.message(func(r *request, m *history.StoreWatch) bool { return len(m.Events) > 0 && !m.Fragmented })
			if !ok {
				return false
			}
			rev := revision(t, r, m)
			if rev < 0 {
				return false
			}
			t.cutAfter(r, m)
			reason := ""
			if rev > 0 {
				reason = "required revision has been compacted"
			}
			t.insert(m, &history.StoreWatch{
				Stream: m.Stream, Watch: r.id, Member: m.Member, Kind: history.WatchCanceled, At: m.At,
				Header: m.Header, CompactRevision: rev, Reason: reason,
			})
			return true
		}}
	}
	return []Lie{
		cancel("canceled for a compaction that nobody asked for", func(t *teller, _ *request, m *history.StoreWatch) int64 {
			return m.Events[len(m.Events)-1].KV.Mod + 2 + t.rng.Int64N(5)
		}),
		cancel("canceled for a compaction behind it", func(t *teller, _ *request, m *history.StoreWatch) int64 {
			rev := int64(-1)
			for _, c := range t.h.Ops {
				if c.Method == history.MethodCompact && acked(c) && c.Returned < m.At {
					rev = c.Revision
				}
			}
			return rev
		}),
		cancel("canceled without a reason", func(*teller, *request, *history.StoreWatch) int64 { return 0 }),
		{Name: "the cancel names a later compaction", Breaks: name(watch.CompactedCancel), Tell: func(t *teller) bool {
			_, m, ok := t.message(func(_ *request, m *history.StoreWatch) bool { return m.CompactRevision > 0 })
			if ok {
				m.CompactRevision = min(t.f.last, m.CompactRevision+1+t.rng.Int64N(10))
			}
			return ok
		}},
	}
}

// Catalogue returns all lies, guarantee by guarantee.
func Catalogue() []Lie {
	return slices.Concat(
		orderLies(), replayLies(), readLies(), realTimeLies(), phantomLies(), inertLies(), compactionLies(),
		leaseLies(), durableLies(), memberLies(),
		orderedLies(), uniqueLies(), atomicLies(), reliableLies(), resumableLies(), filteredLies(),
		prevLies(), createLies(), bookmarkLies(), cancelLies(), freshLies(),
	)
}
