package oracle

import (
	"cmp"
	"hash/maphash"
	"slices"
	"sort"

	"github.com/planecheck/planecheck/checkers/history"
)

// pageSize is how many keys are copied by a write.
const pageSize = 32

type page [pageSize]*history.StoreKV

// state is the whole of a store after some calls. States are never changed, a
// call makes a new one, and each knows the one before its last revision, so that
// a read of an old revision can be judged too.
type state struct {
	names   []string // all names of the history, sorted; the same in every state
	rev     int64
	compact int64 // reads below are refused; -1: none was compacted
	leases  []int64
	pages   []*page
	before  *state // at rev-1; nil at the first revision
	hash    uint64 // of everything that ever changed the key space
	ended   bool   // the history is over, what comes now has no witness
}

var seed = maphash.MakeSeed()

// newState is an empty store. As in etcd its revision is 1.
func newState(names []string) *state {
	s := &state{names: names, rev: 1, compact: -1}
	for range (len(names) + pageSize - 1) / pageSize {
		s.pages = append(s.pages, &page{})
	}
	return s
}

// equal is exact but for collisions of a 64-bit hash of all changes.
func (s *state) equal(o *state) bool {
	return s.rev == o.rev && s.hash == o.hash && s.compact == o.compact && s.ended == o.ended && slices.Equal(s.leases, o.leases)
}

func (s *state) sum() uint64 {
	h := s.hash ^ uint64(s.compact)*0x9e3779b97f4a7c15
	for _, id := range s.leases {
		h ^= maphash.Comparable(seed, id)
	}
	return h
}

func (s *state) get(i int) *history.StoreKV { return s.pages[i/pageSize][i%pageSize] }

// find returns the version of a key, nil if there is none.
func (s *state) find(key string) *history.StoreKV {
	if i, ok := slices.BinarySearch(s.names, key); ok {
		return s.get(i)
	}
	return nil
}

func (s *state) hasLease(id int64) bool { return slices.Contains(s.leases, id) }

// each visits the keys of [key, end) in order, with etcd's meaning of the end.
func (s *state) each(key, end string, visit func(i int, kv *history.StoreKV)) {
	i := sort.SearchStrings(s.names, key)
	for ; i < len(s.names); i++ {
		name := s.names[i]
		if end == "" && name != key || end != "" && end != "\x00" && name >= end {
			return
		}
		if kv := s.get(i); kv != nil {
			visit(i, kv)
		}
	}
}

// at returns the state of a revision, nil if it is not there yet.
func (s *state) at(rev int64) *state {
	if rev > s.rev {
		return nil
	}
	for s != nil && s.rev > rev {
		s = s.before
	}
	return s
}

// change is what a revision did to a key; a nil kv is a deletion.
type change struct {
	key string
	kv  *history.StoreKV
}

// draft is a transaction under way.
type draft struct {
	base    *state
	next    *state
	changes []change
}

func begin(s *state) *draft {
	next := *s
	return &draft{base: s, next: &next}
}

// current is the revision that the draft shows: the new one from its first
// change on.
func (d *draft) current() int64 {
	if len(d.changes) > 0 {
		return d.base.rev + 1
	}
	return d.base.rev
}

func (d *draft) set(key string, kv *history.StoreKV) {
	i, ok := slices.BinarySearch(d.next.names, key)
	if !ok {
		return
	}
	if len(d.changes) == 0 {
		d.next.pages = slices.Clone(d.next.pages)
	}
	p := *d.next.pages[i/pageSize]
	p[i%pageSize] = kv
	d.next.pages[i/pageSize] = &p
	d.changes = append(d.changes, change{key, kv})
}

// commit ends the draft. All its changes share one revision.
func (d *draft) commit() *state {
	if len(d.changes) == 0 {
		return d.next
	}
	d.next.rev++
	d.next.before = d.base
	h := d.next.hash
	for _, c := range d.changes {
		kv := history.StoreKV{Mod: d.next.rev}
		if c.kv != nil {
			kv = *c.kv
		}
		h = maphash.Comparable(seed, struct {
			h   uint64
			key string
			kv  history.StoreKV
		}{h, c.key, kv})
	}
	d.next.hash = h
	return d.next
}

// net is what the draft comes to: the last change of each key, by key.
func (d *draft) net() []change {
	last := map[string]change{}
	for _, c := range d.changes {
		last[c.key] = c
	}
	list := make([]change, 0, len(last))
	for _, c := range last {
		list = append(list, c)
	}
	slices.SortFunc(list, func(a, b change) int { return cmp.Compare(a.key, b.key) })
	return list
}

func (d *draft) put(a history.StoreAction) (previous *history.StoreKV) {
	previous = d.next.find(a.Key)
	rev := d.base.rev + 1
	kv := &history.StoreKV{Key: a.Key, Create: rev, Mod: rev, Version: 1, Lease: a.Lease, Value: a.Value}
	if previous != nil {
		kv.Create, kv.Version = previous.Create, previous.Version+1
		if a.IgnoreValue {
			kv.Value = previous.Value
		}
		if a.IgnoreLease {
			kv.Lease = previous.Lease
		}
	}
	d.set(a.Key, kv)
	return previous
}

func (d *draft) remove(key, end string) (previous []history.StoreKV) {
	d.next.each(key, end, func(_ int, kv *history.StoreKV) { previous = append(previous, *kv) })
	for _, kv := range previous {
		d.set(kv.Key, nil)
	}
	return previous
}

// revoke ends a lease with all its keys.
func (d *draft) revoke(id int64) {
	var keys []string
	d.next.each("", "\x00", func(_ int, kv *history.StoreKV) {
		if kv.Lease == id {
			keys = append(keys, kv.Key)
		}
	})
	for _, key := range keys {
		d.set(key, nil)
	}
	d.next.leases = slices.DeleteFunc(slices.Clone(d.next.leases), func(l int64) bool { return l == id })
}

func (d *draft) grant(id int64) {
	d.next.leases = append(slices.Clone(d.next.leases), id)
	slices.Sort(d.next.leases)
}
