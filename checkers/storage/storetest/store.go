package storetest

import (
	"fmt"
	"slices"
	"sort"

	"github.com/planecheck/planecheck/checkers/history"
)

// store is etcd's key space with all versions since the last compaction. Its
// names are fixed, which keeps ranges simple and quick.
type store struct {
	names    []string // sorted
	index    map[string]int
	versions [][]history.StoreKV // ascending; Version 0 is a deletion
	rev      int64
	compact  int64 // as etcd: -1 before the first one
	leases   map[int64]*lease
	events   []history.StoreEvent // of the transaction being executed
}

type lease struct {
	ttl     int64
	expires history.Time
	keys    map[string]bool
}

const compactKey = "compact_rev_key"

func newStore(cfg Config) *store {
	s := &store{index: map[string]int{}, rev: cfg.Start, compact: -1, leases: map[int64]*lease{}}
	s.names = append(s.names, compactKey)
	for i := range cfg.Keys {
		s.names = append(s.names, keyName(cfg, i))
	}
	slices.Sort(s.names)
	for i, name := range s.names {
		s.index[name] = i
	}
	s.versions = make([][]history.StoreKV, len(s.names))
	if cfg.Start > 1 {
		s.preload(cfg.Start)
	}
	return s
}

func keyName(cfg Config, i int) string {
	return fmt.Sprintf("/registry/r%02d/ns/o%06d", i%cfg.Prefixes, i)
}

func prefixName(i int) string { return fmt.Sprintf("/registry/r%02d/", i) }

// preload puts every other key at some revision that the start allows.
func (s *store) preload(start int64) {
	for i, name := range s.names {
		if i%2 == 0 || name == compactKey {
			continue
		}
		mod := 2 + int64(i)%(start-1)
		s.versions[i] = []history.StoreKV{{
			Key: name, Create: mod, Mod: mod, Version: 1, Value: history.HashValue([]byte(name)),
		}}
	}
}

// span returns the indices of the names in [key, end).
func (s *store) span(key, end string) (int, int) {
	lo := sort.SearchStrings(s.names, key)
	switch end {
	case "":
		if lo < len(s.names) && s.names[lo] == key {
			return lo, lo + 1
		}
		return lo, lo
	case "\x00":
		return lo, len(s.names)
	}
	return lo, max(lo, sort.SearchStrings(s.names, end))
}

// at returns the version of a name at a revision; Version 0: none.
func (s *store) at(i int, rev int64) history.StoreKV {
	versions := s.versions[i]
	for j := len(versions) - 1; j >= 0; j-- {
		if versions[j].Mod <= rev {
			if versions[j].Version == 0 {
				return history.StoreKV{}
			}
			return versions[j]
		}
	}
	return history.StoreKV{}
}

// get returns the present version of a key.
func (s *store) get(key string, rev int64) history.StoreKV {
	if i, ok := s.index[key]; ok {
		return s.at(i, rev)
	}
	return history.StoreKV{}
}

// list answers one range at a revision.
func (s *store) list(a history.StoreAction, rev int64) history.StoreResult {
	lo, hi := s.span(a.Key, a.End)
	var kvs []history.StoreKV
	var count int64
	for i := lo; i < hi; i++ {
		kv := s.at(i, rev)
		if kv.Version == 0 {
			continue
		}
		count++
		if a.CountOnly || (a.Limit > 0 && count > a.Limit) {
			continue
		}
		if a.KeysOnly {
			// etcd reads them from its index, which knows no leases.
			kv.Value, kv.Lease = 0, 0
		}
		kvs = append(kvs, kv)
	}
	r := history.StoreResult{Count: count}
	r.More = !a.CountOnly && a.Limit > 0 && count > a.Limit
	fill(&r, kvs)
	return r
}

// fill keeps a list as a recorder does.
func fill(r *history.StoreResult, kvs []history.StoreKV) {
	if len(kvs) > history.MaxListed {
		r.Chunks = history.Chunks(kvs)
		return
	}
	r.KVs = kvs
}

// changing is the revision that reads and writes within a transaction see.
func (s *store) current() int64 {
	if len(s.events) > 0 {
		return s.rev + 1
	}
	return s.rev
}

func (s *store) put(a history.StoreAction) history.StoreResult {
	i := s.index[a.Key]
	prev := s.at(i, s.current())
	next := history.StoreKV{Key: a.Key, Create: s.rev + 1, Mod: s.rev + 1, Version: 1, Lease: a.Lease, Value: a.Value}
	if prev.Version != 0 {
		next.Create, next.Version = prev.Create, prev.Version+1
	}
	if a.IgnoreValue {
		next.Value = prev.Value
	}
	if a.IgnoreLease {
		next.Lease = prev.Lease
	}
	s.versions[i] = append(s.versions[i], next)
	s.attach(a.Key, prev.Lease, next.Lease)
	s.events = append(s.events, history.StoreEvent{KV: next, Prev: prev})
	r := history.StoreResult{Header: s.rev + 1}
	if a.PrevKV && prev.Version != 0 {
		r.KVs = []history.StoreKV{prev}
	}
	return r
}

func (s *store) remove(a history.StoreAction) history.StoreResult {
	lo, hi := s.span(a.Key, a.End)
	var r history.StoreResult
	var prevs []history.StoreKV
	at := s.current()
	for i := lo; i < hi; i++ {
		prev := s.at(i, at)
		if prev.Version == 0 {
			continue
		}
		gone := history.StoreKV{Key: prev.Key, Mod: s.rev + 1}
		s.versions[i] = append(s.versions[i], gone)
		s.attach(prev.Key, prev.Lease, 0)
		s.events = append(s.events, history.StoreEvent{Delete: true, KV: gone, Prev: prev})
		prevs = append(prevs, prev)
		r.Deleted++
	}
	r.Header = s.current()
	if a.PrevKV {
		fill(&r, prevs)
	}
	return r
}

func (s *store) attach(key string, old, now int64) {
	if l := s.leases[old]; l != nil {
		delete(l.keys, key)
	}
	if l := s.leases[now]; l != nil {
		l.keys[key] = true
	}
}

// revoke ends a lease and deletes its keys.
func (s *store) revoke(id int64) {
	l := s.leases[id]
	keys := make([]string, 0, len(l.keys))
	for key := range l.keys {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	for _, key := range keys {
		s.remove(history.StoreAction{Key: key})
	}
	delete(s.leases, id)
}

// holds decides one comparison of a transaction.
func (s *store) holds(c history.StoreCompare) bool {
	lo, hi := s.span(c.Key, c.End)
	found := false
	for i := lo; i < hi; i++ {
		kv := s.at(i, s.rev)
		if kv.Version == 0 {
			continue
		}
		found = true
		if !compareOne(c, kv) {
			return false
		}
	}
	if found {
		return true
	}
	return c.Target != history.CompareValue && compareOne(c, history.StoreKV{})
}

func compareOne(c history.StoreCompare, kv history.StoreKV) bool {
	var n int64
	switch c.Target {
	case history.CompareMod:
		n = kv.Mod
	case history.CompareCreate:
		n = kv.Create
	case history.CompareVersion:
		n = kv.Version
	case history.CompareLease:
		n = kv.Lease
	case history.CompareValue:
		n = int64(kv.Value)
	}
	switch c.Op {
	case "=":
		return n == c.Number
	case "!=":
		return n != c.Number
	case "<":
		return n < c.Number
	default:
		return n > c.Number
	}
}

// prune forgets what nobody can read any more.
func (s *store) prune(rev int64) {
	for i, versions := range s.versions {
		keep := 0
		for keep+1 < len(versions) && versions[keep+1].Mod <= rev {
			keep++
		}
		if keep > 0 {
			s.versions[i] = append([]history.StoreKV(nil), versions[keep:]...)
		}
	}
}
