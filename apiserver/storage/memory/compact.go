package memory

import (
	"slices"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
)

// compact forgets what nobody can ask for who reads at revision or later. Its
// caller holds Store.mu.
func (s *Store) compact(revision int64) error {
	switch {
	case revision <= s.compacted:
		return rpctypes.ErrGRPCCompacted
	case revision > s.revision:
		return rpctypes.ErrGRPCFutureRev
	}
	s.each(func(w *watcher) { w.stream.rescue(w, revision) })
	s.compacted = revision
	n := revision - s.first // its index in the log
	if n < 0 {
		return nil
	}
	// Only keys that changed up to revision have something to forget.
	for _, e := range s.log[:n+1] {
		for _, c := range e.changes {
			s.trim(c.plain.Kv.Key, revision)
		}
	}
	s.log, s.first = slices.Clone(s.log[n:]), revision
	// The revision itself stays, but not what was before it.
	changes := slices.Clone(s.log[0].changes)
	for i := range changes {
		changes[i].withPrev = changes[i].plain
	}
	s.log[0].changes = changes
	return nil
}

// trim forgets the versions of a key before that of a revision, and that one
// too if it is a deletion.
func (s *Store) trim(key []byte, revision int64) {
	r, ok := s.keys.Get(&record{key: key})
	if !ok {
		return
	}
	n := r.index(revision)
	if n >= 0 && r.versions[n].CreateRevision == 0 {
		n++
	}
	if n <= 0 {
		return
	}
	for _, kv := range r.versions[:n] {
		s.size -= weight(kv)
	}
	if r.versions = slices.Clone(r.versions[n:]); len(r.versions) == 0 {
		s.keys.Delete(r)
	}
}
