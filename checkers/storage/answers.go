package storage

import (
	"fmt"

	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/timeline"
)

// mismatch is the first difference between an answer and the state it claims.
type mismatch struct {
	text string
	// key, want and got tell what was shown instead of what; key is empty where
	// the difference is in a number.
	key       string
	want, got history.StoreKV
}

func differ(format string, args ...any) *mismatch {
	return &mismatch{text: fmt.Sprintf(format, args...)}
}

func differKV(key string, want, got history.StoreKV) *mismatch {
	return &mismatch{fmt.Sprintf("showed %s, it was %s", Describe(got), Describe(want)), key, want, got}
}

// checkRange compares the answer of a range with a state, as etcdserver/txn/
// range.go makes it: the count is that of all keys that match whatever the limit
// is, a count alone comes without keys and never says that there is more.
func checkRange(a history.StoreAction, r history.StoreResult, view timeline.View) *mismatch {
	if a.CountOnly && len(r.KVs)+len(r.Chunks) > 0 {
		return differ("showed keys, only their count was asked for")
	}
	if m := checkCount(a, r, view); m != nil || a.CountOnly {
		return m
	}
	switch {
	case a.Sorted:
		return checkSubset(a, r, view)
	case !view.Complete():
		return checkKnown(a, r, view)
	case len(r.Chunks) > 0:
		return checkChunks(a, r, view)
	}
	return checkList(a, r, view)
}

func checkCount(a history.StoreAction, r history.StoreResult, view timeline.View) *mismatch {
	count := view.Count(a.Key, a.End)
	if !view.Complete() {
		if a.End != "" && r.Count < count {
			return differ("counted %d keys, there were at least %d", r.Count, count)
		}
		return nil
	}
	if r.Count != count {
		m := differ("counted %d keys, there were %d", r.Count, count)
		if a.End == "" && !a.CountOnly && !a.KeysOnly && len(r.KVs) == 0 {
			m.key = a.Key
			m.want, _ = view.Get(a.Key)
		} else if first := checkFirst(a, r, view); first != nil {
			m.text, m.key, m.want, m.got = m.text+"; "+first.text, first.key, first.want, first.got
		}
		return m
	}
	if more := !a.CountOnly && a.Limit > 0 && count > a.Limit; r.More != more && !a.Sorted {
		return differ("said more: %v, with %d keys and a limit of %d", r.More, count, a.Limit)
	}
	return nil
}

// checkFirst finds the first wrong key of a list whose count is wrong already.
func checkFirst(a history.StoreAction, r history.StoreResult, view timeline.View) *mismatch {
	if a.CountOnly || a.Sorted || len(r.Chunks) > 0 {
		return nil
	}
	return checkList(a, r, view)
}

// limit is how many keys a range may show.
func limit(a history.StoreAction) int64 {
	if a.Limit <= 0 {
		return 1<<63 - 1
	}
	return a.Limit
}

// expect yields what a range is to show.
func expect(a history.StoreAction, view timeline.View, yield func(history.StoreKV) bool) {
	left := limit(a)
	view.List(a.Key, a.End, func(kv history.StoreKV) bool {
		left--
		return yield(kv) && left > 0
	})
}

// sameAs compares a shown key with what it was. With KeysOnly there is no value,
// and no lease either where etcd answers from its index alone
// (storage/mvcc/kvstore_txn.go, FastKeysOnly).
func sameAs(a history.StoreAction, shown, was history.StoreKV) bool {
	if a.KeysOnly {
		was.Value = 0
		if shown.Lease == 0 {
			was.Lease = 0
		}
	}
	return timeline.SameKV(shown, was)
}

func checkList(a history.StoreAction, r history.StoreResult, view timeline.View) *mismatch {
	var m *mismatch
	i := 0
	expect(a, view, func(kv history.StoreKV) bool {
		switch {
		case i >= len(r.KVs):
			m = differKV(kv.Key, kv, history.StoreKV{})
		case r.KVs[i].Key > kv.Key:
			m = differKV(kv.Key, kv, history.StoreKV{})
		case r.KVs[i].Key < kv.Key:
			m = differKV(r.KVs[i].Key, history.StoreKV{}, r.KVs[i])
		case !sameAs(a, r.KVs[i], kv):
			m = differKV(kv.Key, kv, r.KVs[i])
		}
		i++
		return m == nil
	})
	if m == nil && i < len(r.KVs) {
		m = differKV(r.KVs[i].Key, history.StoreKV{}, r.KVs[i])
	}
	return m
}

// checkChunks compares a long list by the digests that were kept of it.
func checkChunks(a history.StoreAction, r history.StoreResult, view timeline.View) *mismatch {
	var part []history.StoreKV
	var m *mismatch
	next := 0
	flush := func() bool {
		if len(part) == 0 {
			return true
		}
		if next >= len(r.Chunks) {
			m = differ("ended before %s", show(part[0].Key))
			return false
		}
		m = checkChunk(a, r.Chunks[next], part)
		next++
		part = part[:0]
		return m == nil
	}
	exact := true
	expect(a, view, func(kv history.StoreKV) bool {
		exact = exact && kv.Version != timeline.Unknown
		part = append(part, kv)
		return len(part) < history.MaxListed || flush()
	})
	if m == nil && flush() && next < len(r.Chunks) {
		m = differ("went on with %s, where nothing was", show(r.Chunks[next].First))
	}
	if !exact {
		return nil
	}
	return m
}

func checkChunk(a history.StoreAction, chunk history.StoreChunk, was []history.StoreKV) *mismatch {
	for i := range was {
		if was[i].Version == timeline.Uncounted {
			was[i].Version = 0 // as such a store shows it
		}
	}
	if a.KeysOnly {
		for i := range was {
			was[i].Value = 0
		}
		if chunk.Digest == history.Digest(was) {
			return nil
		}
		for i := range was {
			was[i].Lease = 0
		}
	}
	last := was[len(was)-1].Key
	switch {
	case chunk.First != was[0].Key || chunk.Last != last || chunk.Count != int64(len(was)):
		return differ("showed %d keys from %s to %s, there were %d from %s to %s",
			chunk.Count, show(chunk.First), show(chunk.Last), len(was), show(was[0].Key), show(last))
	case chunk.Digest != history.Digest(was):
		return differ("the content of the %d keys from %s to %s is not what it was", chunk.Count, show(chunk.First), show(chunk.Last))
	}
	return nil
}

// partial says that an answer was judged only in part: order and filter of a list in
// another order or filtered by revision are not recorded, so that what it leaves out
// may be for the filter.
func partial(a history.StoreAction, r history.StoreResult) bool {
	return a.Sorted && !a.CountOnly && int64(len(r.KVs)) != r.Count
}

// checkSubset judges a list in another order or filtered by revision, of which
// the filter is not recorded: what it shows must be there, and what it leaves out must
// be what a filter can leave out.
func checkSubset(a history.StoreAction, r history.StoreResult, view timeline.View) *mismatch {
	if int64(len(r.KVs)) > limit(a) {
		return differ("showed %d keys, the limit was %d", len(r.KVs), a.Limit)
	}
	seen := map[string]bool{}
	for _, kv := range r.KVs {
		was, known := view.Get(kv.Key)
		if seen[kv.Key] || !timeline.InRange(kv.Key, a.Key, a.End) {
			return differ("showed %s twice or out of the range", show(kv.Key))
		}
		if seen[kv.Key] = true; known && !sameAs(a, kv, was) {
			return differKV(kv.Key, was, kv)
		}
	}
	if len(r.KVs) == 0 || len(r.Chunks) > 0 || !view.Complete() || a.Limit > 0 && int64(len(r.KVs)) == a.Limit {
		return nil
	}
	return checkBetween(a, r, seen, view)
}

// checkBetween finds a key that a list which no limit has cut leaves out, and no filter
// can: etcd's are bounds of the revisions at which a key was changed and created
// (etcdserver/txn/range.go, filterRangeResults), so one whose both lie between those of
// keys that are shown passes where they pass.
func checkBetween(a history.StoreAction, r history.StoreResult, seen map[string]bool, view timeline.View) *mismatch {
	least, most := r.KVs[0], r.KVs[0]
	for _, kv := range r.KVs {
		least.Mod, most.Mod = min(least.Mod, kv.Mod), max(most.Mod, kv.Mod)
		least.Create, most.Create = min(least.Create, kv.Create), max(most.Create, kv.Create)
	}
	var m *mismatch
	view.List(a.Key, a.End, func(kv history.StoreKV) bool {
		between := least.Mod <= kv.Mod && kv.Mod <= most.Mod && least.Create <= kv.Create && kv.Create <= most.Create
		if between && !seen[kv.Key] && kv.Version != timeline.Unknown {
			m = differKV(kv.Key, kv, history.StoreKV{})
		}
		return m == nil
	})
	return m
}

// checkKnown judges a list of a history that began when keys existed: what is
// known must be right, and what is known to be there must be shown.
func checkKnown(a history.StoreAction, r history.StoreResult, view timeline.View) *mismatch {
	if len(r.Chunks) > 0 {
		return nil
	}
	shown := make(map[string]bool, len(r.KVs))
	last := ""
	for _, kv := range r.KVs {
		shown[kv.Key], last = true, kv.Key
		if was, known := view.Get(kv.Key); known && !sameAs(a, kv, was) {
			return differKV(kv.Key, was, kv)
		}
	}
	var m *mismatch
	view.List(a.Key, a.End, func(kv history.StoreKV) bool {
		if r.More && kv.Key > last {
			return false
		}
		if !shown[kv.Key] {
			m = differKV(kv.Key, kv, history.StoreKV{})
		}
		return m == nil
	})
	return m
}
