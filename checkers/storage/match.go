package storage

import (
	"slices"

	"github.com/planecheck/planecheck/checkers/history"
)

// matching gives revisions their authors among the writes of unknown outcome.
// Two writes may do the same in one state and not in another, so that the
// earliest call is not always the right one: the first revision may have to
// leave it to a later one that nothing else explains.
type matching struct {
	c      *Checker
	owners map[*history.StoreOp]*effect
	found  map[int64]record
	able   map[int64][]record // by revision, the writes that do what it did
}

// match returns an author for as many revisions as possible, by augmenting paths
// (H. W. Kuhn, The Hungarian method for the assignment problem, 1955). What the
// search of a window has found comes first, then the earliest calls.
func (c *Checker) match(list []*effect) map[int64]record {
	m := &matching{c, map[*history.StoreOp]*effect{}, map[int64]record{}, map[int64][]record{}}
	for _, e := range list {
		m.searched(e)
	}
	for _, e := range list {
		if _, ok := m.found[e.rev]; !ok {
			m.assign(e, map[*history.StoreOp]bool{})
		}
	}
	return m.found
}

func (m *matching) searched(e *effect) {
	op := m.c.explanation.Writes[e.rev]
	if op == nil {
		return
	}
	i := slices.IndexFunc(m.authors(e), func(r record) bool { return r.op == op })
	if i >= 0 && m.owners[op] == nil {
		m.give(m.authors(e)[i], e)
	}
}

func (m *matching) give(r record, e *effect) {
	m.owners[r.op], m.found[e.rev] = e, r
}

// assign finds an author for a revision: a free one, else one whose revision can
// have another.
func (m *matching) assign(e *effect, tried map[*history.StoreOp]bool) bool {
	for _, r := range m.authors(e) {
		if m.owners[r.op] == nil {
			m.give(r, e)
			return true
		}
	}
	for _, r := range m.authors(e) {
		if tried[r.op] {
			continue
		}
		tried[r.op] = true
		if m.assign(m.owners[r.op], tried) {
			m.give(r, e)
			return true
		}
	}
	return false
}

// authors returns the writes that do exactly what a revision did and were called
// in time, in the order of their calls.
func (m *matching) authors(e *effect) []record {
	if list, ok := m.able[e.rev]; ok {
		return list
	}
	changes := m.c.t.At(e.rev)
	list := []record{}
	for _, r := range m.c.causes.unknown.candidates(changes) {
		if r.after.rev < e.rev && (e.seen == 0 || r.op.Called < e.seen) && m.c.couldBe(r.op, e, changes) {
			list = append(list, r)
		}
	}
	m.able[e.rev] = list
	return list
}
