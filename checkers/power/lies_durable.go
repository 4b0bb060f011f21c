package power

import (
	"cmp"
	"maps"
	"slices"

	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/storage"
)

// durableLies are aimed at what is left of a lost write: something read later must
// tell of its key that it is gone.
func durableLies() []Lie {
	return []Lie{
		{Name: "the end is lost", Breaks: storage.Durable, Tell: func(t *teller) bool {
			to := t.f.last - 1 - t.rng.Int64N(3)
			// Of the end of a lease and of a call of unknown fate nothing was promised.
			promised := slices.ContainsFunc(t.f.cause[to+1:], func(op *history.StoreOp) bool { return op != nil && wrote(op) })
			for _, op := range t.closing() {
				t.answer(op, to)
			}
			return promised
		}},
		{Name: "a key is lost at the end", Breaks: storage.Durable, Tell: func(t *teller) bool { return t.loseAtEnd(false) }},
		{Name: "a key goes back at the end", Breaks: storage.Durable, Tell: func(t *teller) bool { return t.loseAtEnd(true) }},
		{Name: "an acknowledged write is lost for good", Breaks: storage.Durable, Tell: func(t *teller) bool {
			op, ok := t.op(func(op *history.StoreOp) bool {
				return wrote(op) && slices.ContainsFunc(t.f.changes[op.Header], func(e history.StoreEvent) bool {
					return t.f.states[t.f.last][e.KV.Key].Mod == op.Header
				})
			})
			return ok && t.lose(op.Header)
		}},
		{Name: "an acknowledged write is lost and covered by a later one of the same life", Breaks: storage.Durable,
			Tell: func(t *teller) bool {
				// The key lives to the end, and one version too few shows what it has lost.
				// Behind a deletion nothing would be left of the write but the event that no
				// watch has shown.
				op, ok := t.op(func(op *history.StoreOp) bool {
					return wrote(op) && slices.ContainsFunc(t.f.changes[op.Header], func(e history.StoreEvent) bool {
						end := t.f.states[t.f.last][e.KV.Key]
						return !e.Delete && end.Mod > op.Header && end.Create == e.KV.Create && end.Create < op.Header
					})
				})
				return ok && t.lose(op.Header)
			}},
	}
}

// lose takes away what a revision changed, from all that is told after it.
func (t *teller) lose(rev int64) bool {
	return t.rewrite("", func(r int64, _ state, changes []history.StoreEvent) []history.StoreEvent {
		if r == rev {
			return nil
		}
		return changes
	})
}

// loseAtEnd lets all calls from the last one on that shows the last version of a key
// show none, or the one before. Of a list of more than history.MaxListed keys, such as
// the closing reads of a recorded run, a history keeps digests, which do not tell what
// is gone; so it is one that lists its keys.
func (t *teller) loseAtEnd(earlier bool) bool {
	s := t.f.states[t.f.last]
	shown := t.lastShown()
	keys := slices.DeleteFunc(s.keys("\x00", "\x00"), func(key string) bool {
		cause, now := t.f.cause[s[key].Mod], s[key]
		return shown[key] == 0 || cause == nil || !wrote(cause) || earlier && t.f.states[now.Mod-1][key].Mod == 0
	})
	if len(keys) == 0 {
		return false
	}
	key := keys[t.rng.IntN(len(keys))]
	var before history.StoreKV
	if earlier {
		before = t.f.states[s[key].Mod-1][key]
	}
	return t.unsay(s[key], before, shown[key])
}

// lastShown returns, by key, when the last read of all members' agreement was called
// that lists its last version, the closing reads together.
func (t *teller) lastShown() map[string]history.Time {
	shown := map[string]history.Time{}
	closing := t.closing()
	last := t.f.states[t.f.last]
	note := func(op *history.StoreOp, at history.Time) {
		for _, kv := range op.Results[0].KVs {
			if last[kv.Key].Mod == kv.Mod {
				shown[kv.Key] = max(shown[kv.Key], at)
			}
		}
	}
	for _, op := range t.h.Ops {
		if currentRead(op) && !slices.Contains(closing, op) {
			note(op, op.Called)
		}
	}
	for _, op := range closing {
		note(op, closing[len(closing)-1].Called) // closing returns the latest first
	}
	return shown
}

// unsay lets each call from a moment on answer as if the last write of a key had not
// been: with the version before, or without the key. It fails where a transaction
// would have come to another decision.
func (t *teller) unsay(now, before history.StoreKV, from history.Time) bool {
	without := func(rev int64) state {
		s := maps.Clone(t.f.states[rev])
		if delete(s, now.Key); before.Mod != 0 {
			s[now.Key] = before
		}
		return s
	}
	for _, op := range t.h.Ops {
		if !acked(op) || op.Called < from || op.Header < now.Mod || op.Header > t.f.last {
			continue
		}
		rev := op.Header
		if op.Method == history.MethodHashKV {
			if rev = cmp.Or(op.Revision, op.Header); rev >= now.Mod && rev <= t.f.last {
				op.Hash = hashOf(without(rev))
			}
			continue
		}
		if slices.ContainsFunc(op.Compares, func(c history.StoreCompare) bool { return inRange(now.Key, c.Key, c.End) }) {
			return false
		}
		for i, a := range executed(op) {
			switch {
			case a.Kind != history.ActionRange || !inRange(now.Key, a.Key, a.End) || a.Revision > 0 && a.Revision < now.Mod:
				continue
			case wrote(op):
				return false // what it reads depends on what it has written by then
			}
			_, results, _ := t.f.execute([]history.StoreAction{current(a)}, without(cmp.Or(a.Revision, rev)), 0)
			results[0].Header = op.Results[i].Header
			op.Results[i] = results[0]
		}
	}
	return true
}
