package memory

import (
	"bytes"
	"sync"

	"github.com/google/btree"
	"go.etcd.io/etcd/api/v3/mvccpb"
)

// Store is the data of a server. It outlives the servers that it is registered
// with. What it has handed out is never changed any more, so that answers can
// be encoded without the lock.
type Store struct {
	mu   sync.RWMutex
	keys *btree.BTreeG[*record]
	// revision is that of the last change; a new store is at 1.
	revision int64
	// compacted is the oldest revision that can be read; -1: all can.
	compacted int64
	// log holds what changed, log[i] at revision first+i, back to compacted.
	log   []entry
	first int64
	size  int64 // bytes of all keys and values in keys
	lessor
	hub
}

// entry is what changed at one revision, in the order of the request.
type entry struct{ changes []change }

// change is one event in the two forms in which watches want it.
type change struct{ plain, withPrev *mvccpb.Event }

// record is the history of one key, oldest first. A deletion is a version
// without a creation revision, as etcd writes it.
type record struct {
	key      []byte
	versions []*mvccpb.KeyValue
}

// degree is the branching of the tree of keys, etcd's own.
const degree = 32

// New returns an empty store at revision 1.
func New() *Store {
	return &Store{
		keys:     btree.NewG(degree, func(a, b *record) bool { return bytes.Compare(a.key, b.key) < 0 }),
		revision: 1, first: 2, compacted: -1,
		lessor: newLessor(), hub: newHub(),
	}
}

// at returns the key as it was at a revision, nil if it was not there.
func (r *record) at(revision int64) *mvccpb.KeyValue {
	if i := r.index(revision); i >= 0 && r.versions[i].CreateRevision != 0 {
		return r.versions[i]
	}
	return nil
}

// index is that of the last version up to a revision, -1 if there is none. It
// looks from the end because nearly everybody asks for the newest.
func (r *record) index(revision int64) int {
	i := len(r.versions) - 1
	for i >= 0 && r.versions[i].ModRevision > revision {
		i--
	}
	return i
}

// get returns one key as it was at a revision, nil if it was not there.
func (s *Store) get(key []byte, revision int64) *mvccpb.KeyValue {
	if r, ok := s.keys.Get(&record{key: key}); ok {
		return r.at(revision)
	}
	return nil
}

// visit calls f with the keys of a span as they were at a revision, in order.
func (s *Store) visit(keys span, revision int64, f func(*mvccpb.KeyValue)) {
	if keys.point() {
		if kv := s.get(keys.key, revision); kv != nil {
			f(kv)
		}
		return
	}
	s.keys.AscendGreaterOrEqual(&record{key: keys.key}, func(r *record) bool {
		if keys.past(r.key) {
			return false
		}
		if kv := r.at(revision); kv != nil {
			f(kv)
		}
		return true
	})
}

// writer changes keys at one new revision. The lock must be held, and if there
// was a change, end called.
type writer struct {
	*Store
	changes []change
}

// current is the revision that the next step of the transaction reads.
func (w *writer) current() int64 {
	if len(w.changes) > 0 {
		return w.revision + 1
	}
	return w.revision
}

func (w *writer) put(key, value []byte, lease int64) {
	next := w.revision + 1
	kv := &mvccpb.KeyValue{Key: key, Value: value, CreateRevision: next, ModRevision: next, Version: 1, Lease: lease}
	r, ok := w.keys.Get(&record{key: key})
	if !ok {
		r = &record{key: key}
		w.keys.ReplaceOrInsert(r)
	}
	if old := r.at(next); old != nil {
		kv.Key, kv.CreateRevision, kv.Version = old.Key, old.CreateRevision, old.Version+1
		w.detach(old.Lease, key)
	}
	w.attach(lease, key)
	w.append(r, &mvccpb.Event{Type: mvccpb.Event_PUT, Kv: kv})
}

// delete deletes a span and returns how many keys were there.
func (w *writer) delete(keys span) int64 {
	var there []*mvccpb.KeyValue
	w.visit(keys, w.current(), func(kv *mvccpb.KeyValue) { there = append(there, kv) })
	for _, old := range there {
		r, _ := w.keys.Get(&record{key: old.Key})
		w.detach(old.Lease, old.Key)
		gone := &mvccpb.KeyValue{Key: old.Key, ModRevision: w.revision + 1}
		w.append(r, &mvccpb.Event{Type: mvccpb.Event_DELETE, Kv: gone})
	}
	return int64(len(there))
}

func (w *writer) append(r *record, event *mvccpb.Event) {
	c := change{plain: event, withPrev: event}
	// The previous value is that of the revision before, also for the second
	// change of a key in one transaction.
	if prev := r.at(w.revision); prev != nil && event.Kv.CreateRevision != w.revision+1 {
		c.withPrev = &mvccpb.Event{Type: event.Type, Kv: event.Kv, PrevKv: prev}
	}
	r.versions = append(r.versions, event.Kv)
	w.size += weight(event.Kv)
	w.changes = append(w.changes, c)
}

// end makes the changes a revision, if there are any, and lets those know who
// watch.
func (w *writer) end() {
	if len(w.changes) == 0 {
		return
	}
	w.revision++
	w.log = append(w.log, entry{w.changes})
	for _, c := range w.changes {
		w.notify(c.plain.Kv.Key, w.revision)
	}
}

func weight(kv *mvccpb.KeyValue) int64 { return int64(len(kv.Key) + len(kv.Value)) }
