// Package timeline keeps the order of everything: which keys of an etcd-like
// store changed at which revision, and what they were before and after.
//
// It is what the checkers judge answers and watches by. Nothing is ever dropped
// from it: a compaction of the store does not concern its history. A change
// takes 48 bytes; names are kept once.
//
// A history may begin at a revision above 1, when the store already holds keys
// that nobody saw being put. Such a key is unknown until its first appearance in
// a change, a previous value or an answer, and whoever asks for it is told so:
// an unknown key can be neither right nor wrong. From revision 1 on, where etcd
// starts (storage/mvcc/kvstore.go, NewStore), everything is known.
package timeline

import (
	"fmt"
	"iter"
	"sort"
	"strings"

	"github.com/planecheck/planecheck/checkers/history"
)

// Unknown is the Create and Version of a key that was put without anybody
// knowing what was there before.
const Unknown = -1

// Uncounted is the Version of every key that is there in a store that does not
// count them: it is as good as any other.
const Uncounted = 1 << 30

// Change is what one revision did to one key.
type Change struct {
	Key    string
	Delete bool
	KV     history.StoreKV // as after; of a deletion only Key and Mod are set
	Prev   history.StoreKV // as before; Version 0: there was none, or it is unknown
}

// Timeline is the changes of all revisions of a history. It is not safe for
// concurrent use. Use New.
type Timeline struct {
	slabs [][]entry
	size  uint32

	names []string
	ids   map[string]uint32
	heads []uint32 // by key: its latest entry plus one, 0: none

	leases   []int64
	leaseIDs map[int64]uint32

	base  int64 // revision before the first change
	last  int64
	empty bool // what is not in initial was not there at base
	// uncounted: the store does not count the versions of a key.
	uncounted bool

	// initial holds what became known of keys as they were at base.
	initial map[uint32]history.StoreKV
	learned []uint32 // the keys of initial, in the order of their discovery
}

// entry is one change. Entries of one key form a list from the latest to the
// first, with jump pointers that make a search logarithmic (Myers, An applicative
// random-access stack, 1983).
type entry struct {
	rev, create int64
	value       uint64
	key         uint32
	version     uint32 // 0: a deletion
	lease       uint32
	prev, jump  uint32 // an index plus one; 0: none
	depth       uint32
}

const (
	slabBits       = 12
	slabSize       = 1 << slabBits
	unknownVersion = ^uint32(0)
)

// New returns an empty timeline that begins after the revision base. A base of
// 1 or less is a new store, of which everything is known.
func New(base int64) *Timeline {
	base = max(base, 1)
	return &Timeline{
		ids: map[string]uint32{}, leases: []int64{0}, leaseIDs: map[int64]uint32{0: 0},
		base: base, last: base, empty: base == 1, initial: map[uint32]history.StoreKV{},
	}
}

// Bounds returns the first and the last revision that the timeline knows: the
// one before its first change and the one that was sealed last.
func (t *Timeline) Bounds() (first, last int64) { return t.base, t.last }

// Complete says that every key is known, because the store was new, or restored
// from what was known.
func (t *Timeline) Complete() bool { return t.empty }

// Len returns the number of changes.
func (t *Timeline) Len() int { return int(t.size) }

// Keys returns the number of different keys.
func (t *Timeline) Keys() int { return len(t.names) }

func (t *Timeline) entry(i uint32) *entry { return &t.slabs[i>>slabBits][i&(slabSize-1)] }

func (t *Timeline) id(key string) uint32 {
	if id, ok := t.ids[key]; ok {
		return id
	}
	// The name may be a part of a larger buffer, which it must not keep alive.
	key = strings.Clone(key)
	id := uint32(len(t.names))
	t.ids[key] = id
	t.names = append(t.names, key)
	t.heads = append(t.heads, 0)
	return id
}

func (t *Timeline) leaseID(lease int64) uint32 {
	id, ok := t.leaseIDs[lease]
	if !ok {
		id = uint32(len(t.leases))
		t.leaseIDs[lease] = id
		t.leases = append(t.leases, lease)
	}
	return id
}

// Append adds the changes of a revision, which must be later than all before.
// Without changes it notes that the revision is known to have none.
func (t *Timeline) Append(rev int64, changes []Change) error {
	if rev <= t.last {
		return fmt.Errorf("append revision %d to a timeline that ends with %d", rev, t.last)
	}
	for i := range changes {
		t.add(rev, &changes[i])
	}
	t.last = rev
	return nil
}

func (t *Timeline) add(rev int64, c *Change) {
	id := t.id(c.Key)
	if t.size&(slabSize-1) == 0 {
		t.slabs = append(t.slabs, make([]entry, slabSize))
	}
	e := t.entry(t.size)
	*e = entry{rev: rev, key: id, prev: t.heads[id]}
	if !c.Delete {
		e.create, e.value, e.lease = c.KV.Create, c.KV.Value, t.leaseID(c.KV.Lease)
		e.version = uint32(c.KV.Version)
		switch {
		case c.KV.Version == Unknown:
			e.version = unknownVersion
		case t.uncounted:
			e.version = Uncounted
		}
	}
	t.link(e)
	t.size++
	t.heads[id] = t.size
}

// link sets the jump pointer of a new entry.
func (t *Timeline) link(e *entry) {
	if e.prev == 0 {
		return
	}
	p := t.entry(e.prev - 1)
	e.depth, e.jump = p.depth+1, e.prev
	if p.jump == 0 {
		return
	}
	j := t.entry(p.jump - 1)
	if j.jump != 0 && p.depth-j.depth == j.depth-t.entry(j.jump-1).depth {
		e.jump = j.jump
	}
}

// Learn notes what a key was before the first change. It is ignored where that
// is known already. A kv of Version 0 says that there was none.
func (t *Timeline) Learn(key string, kv history.StoreKV) {
	if t.empty || kv.Mod > t.base {
		return
	}
	id := t.id(key)
	if _, ok := t.initial[id]; ok {
		return
	}
	kv.Key = t.names[id]
	t.initial[id] = kv
	t.learned = append(t.learned, id)
}

// find returns the latest entry of a key up to a revision, plus one.
func (t *Timeline) find(id uint32, rev int64) uint32 {
	i := t.heads[id]
	for i != 0 {
		e := t.entry(i - 1)
		if e.rev <= rev {
			return i
		}
		if e.jump != 0 && t.entry(e.jump-1).rev > rev {
			i = e.jump
		} else {
			i = e.prev
		}
	}
	return 0
}

// Get returns a key at a revision. Version 0 means that there was none. It is
// known unless it existed, or may have existed, before the timeline begins.
func (t *Timeline) Get(key string, rev int64) (kv history.StoreKV, known bool) {
	id, ok := t.ids[key]
	if !ok {
		return history.StoreKV{}, t.empty
	}
	return t.state(id, t.find(id, rev))
}

// state returns what an entry (plus one) leaves of its key.
func (t *Timeline) state(id, at uint32) (kv history.StoreKV, known bool) {
	if at == 0 {
		kv, ok := t.initial[id]
		return kv, ok || t.empty
	}
	return t.kv(t.entry(at - 1)), true
}

func (t *Timeline) kv(e *entry) history.StoreKV {
	if e.version == 0 {
		return history.StoreKV{}
	}
	kv := history.StoreKV{
		Key: t.names[e.key], Create: e.create, Mod: e.rev, Version: int64(e.version),
		Lease: t.leases[e.lease], Value: e.value,
	}
	if e.version == unknownVersion {
		kv.Version = Unknown
	}
	return kv
}

func (t *Timeline) change(i uint32) Change {
	e := t.entry(i)
	c := Change{Key: t.names[e.key], Delete: e.version == 0, KV: t.kv(e)}
	if c.Delete {
		c.KV = history.StoreKV{Key: c.Key, Mod: e.rev}
	}
	c.Prev, _ = t.state(e.key, e.prev)
	return c
}

// search returns the index of the first change at or after a revision.
func (t *Timeline) search(rev int64) uint32 {
	slab := sort.Search(len(t.slabs), func(i int) bool {
		last := min(uint32(i+1)<<slabBits, t.size) - 1
		return t.entry(last).rev >= rev
	})
	if slab == len(t.slabs) {
		return t.size
	}
	from := uint32(slab) << slabBits
	n := min(t.size-from, slabSize)
	return from + uint32(sort.Search(int(n), func(i int) bool { return t.entry(from+uint32(i)).rev >= rev }))
}

// At returns the changes of a revision, in the order in which they were made.
func (t *Timeline) At(rev int64) []Change {
	var changes []Change
	for i := t.search(rev); i < t.size && t.entry(i).rev == rev; i++ {
		changes = append(changes, t.change(i))
	}
	return changes
}

// Next returns the first revision after rev that has changes, 0: none.
func (t *Timeline) Next(rev int64) int64 {
	if i := t.search(rev + 1); i < t.size {
		return t.entry(i).rev
	}
	return 0
}

// Changes yields the changes of all revisions in [from, to] with their
// revisions, in order.
func (t *Timeline) Changes(from, to int64) iter.Seq2[int64, Change] {
	return func(yield func(int64, Change) bool) {
		for i := t.search(from); i < t.size; i++ {
			rev := t.entry(i).rev
			if rev > to || !yield(rev, t.change(i)) {
				return
			}
		}
	}
}

// InRange says whether a key is in the range [start, end) as etcd writes it: an
// end of "" is the one key, of "\x00" everything from start on.
func InRange(key, start, end string) bool {
	switch end {
	case "":
		return key == start
	case "\x00":
		return key >= start
	}
	return key >= start && key < end
}

// Whole says that a range is the whole key space.
func Whole(start, end string) bool {
	return (start == "" || start == "\x00") && end == "\x00"
}

// Latest returns the revision of the latest change of a key up to a revision.
func (t *Timeline) Latest(key string, rev int64) (int64, bool) {
	id, ok := t.ids[key]
	if !ok {
		return 0, false
	}
	at := t.find(id, rev)
	if at == 0 {
		return 0, false
	}
	return t.entry(at - 1).rev, true
}
