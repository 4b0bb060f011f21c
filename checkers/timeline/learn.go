package timeline

import "github.com/planecheck/planecheck/checkers/history"

// This file is about histories that begin when the store holds keys already:
// what calls and events tell of them is noted as it comes.

// learn notes keys that were there before the history began.
func (b *Builder) learn(op *history.StoreOp) {
	if b.t.empty {
		return
	}
	branch := Branch(op)
	for i, r := range op.Results {
		if i < len(branch) && branch[i].KeysOnly {
			continue
		}
		for _, kv := range r.KVs {
			if kv.Mod > 0 {
				b.t.Learn(kv.Key, kv)
			}
		}
	}
}

// Adopt takes from the event of a revision what nobody could know of an earlier key.
func Adopt(c *Change, seen []Change) {
	if c.KV.Version != Unknown {
		return
	}
	for i := range seen {
		if seen[i].Key == c.Key && !seen[i].Delete {
			c.KV.Create, c.KV.Version = seen[i].KV.Create, seen[i].KV.Version
		}
	}
}

// learnAbsent notes that a key was not there when a transaction that demanded so
// succeeded.
func (b *Builder) learnAbsent(op *history.StoreOp) {
	if b.t.empty || b.blind || !op.Succeeded {
		return
	}
	for _, c := range op.Compares {
		if c.End != "" || c.Op != "=" || c.Number != 0 || c.Target == history.CompareValue || c.Target == history.CompareLease {
			continue
		}
		if _, known := b.head.Get(c.Key); !known {
			b.t.Learn(c.Key, history.StoreKV{})
		}
	}
}

func (b *Builder) learnFrom(changes []Change) {
	if b.t.empty {
		return
	}
	for i := range changes {
		c := &changes[i]
		if _, known := b.head.Get(c.Key); known {
			continue
		}
		if c.Prev.Mod > 0 {
			b.t.Learn(c.Key, c.Prev)
		} else if !c.Delete && c.KV.Version == 1 && !b.blind {
			b.t.Learn(c.Key, history.StoreKV{})
		}
	}
}

// mustSee says that the next revision waits for its event: while there are keys
// that nobody knows, a write alone does not tell what it deleted.
func (b *Builder) mustSee(final bool) bool {
	return !b.t.empty && !final && len(b.followers) > 0 && b.passed <= b.t.last
}

// unseen completes the effect of a write that no event shows by the keys that it
// says it deleted.
func (b *Builder) unseen(op *history.StoreOp, rev int64, changes []Change) []Change {
	if b.t.empty {
		return changes
	}
	for i, a := range Branch(op) {
		if a.Kind != history.ActionDelete {
			continue
		}
		_, known := b.head.Get(a.Key)
		switch {
		case a.End != "":
			b.blind = true
		case !known && i < len(op.Results) && op.Results[i].Deleted == 1:
			changes = append(changes, Change{Key: a.Key, Delete: true, KV: history.StoreKV{Key: a.Key, Mod: rev}})
		}
	}
	return changes
}

// Known returns changes without the deletions of keys that a view does not know,
// which no replay can predict.
func Known(changes []Change, view View) []Change {
	if view.Complete() {
		return changes
	}
	var known []Change
	for _, c := range changes {
		if _, ok := view.Get(c.Key); ok || !c.Delete {
			known = append(known, c)
		}
	}
	return known
}
