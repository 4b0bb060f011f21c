package timeline

import (
	"slices"
	"sort"

	"github.com/planecheck/planecheck/checkers/history"
)

// View is the state of the store at one revision.
type View interface {
	// Get returns a key, Version 0: there is none, and whether that is known.
	Get(key string) (kv history.StoreKV, known bool)
	// List calls yield with the keys of [start, end) in order until it says no.
	List(start, end string, yield func(history.StoreKV) bool)
	// Count returns the number of keys in [start, end).
	Count(start, end string) int64
	// Complete says that List and Count see every key.
	Complete() bool
}

// Sweep is a view that moves. Moving costs as much as there are changes on the
// way, in either direction, so that reads are best made in the order of their
// revisions; a read costs what it returns, whatever the size of the store.
type Sweep struct {
	t       *Timeline
	applied uint32   // changes up to the present position
	states  []uint32 // by key: the entry that holds, plus one
	live    []bool   // by key: it is in the index
	index   index
	learned int
	rev     int64
}

var _ View = (*Sweep)(nil)

// Sweep returns a new view, before the first change.
func (t *Timeline) Sweep() *Sweep {
	return &Sweep{t: t, rev: t.base, index: index{names: &t.names}}
}

// MoveTo moves the view to a revision.
func (s *Sweep) MoveTo(rev int64) {
	s.grow()
	for ; s.applied < s.t.size; s.applied++ {
		e := s.t.entry(s.applied)
		if e.rev > rev {
			break
		}
		s.set(e.key, s.applied+1)
	}
	for ; s.applied > 0; s.applied-- {
		e := s.t.entry(s.applied - 1)
		if e.rev <= rev {
			break
		}
		s.set(e.key, e.prev)
	}
	s.rev = rev
}

// Rev returns the revision of the view.
func (s *Sweep) Rev() int64 { return s.rev }

// grow makes room for new keys and takes in what has been learned of old ones.
func (s *Sweep) grow() {
	if n := len(s.t.names); n > len(s.states) {
		s.states = slices.Grow(s.states, n-len(s.states))[:n]
		s.live = slices.Grow(s.live, n-len(s.live))[:n]
	}
	for ; s.learned < len(s.t.learned); s.learned++ {
		id := s.t.learned[s.learned]
		s.set(id, s.states[id])
	}
}

func (s *Sweep) set(id, at uint32) {
	s.states[id] = at
	alive := false
	if at != 0 {
		alive = s.t.entry(at-1).version != 0
	} else if kv, ok := s.t.initial[id]; ok {
		alive = kv.Version != 0
	}
	if alive == s.live[id] {
		return
	}
	s.live[id] = alive
	if alive {
		s.index.insert(id)
	} else {
		s.index.remove(id)
	}
}

// Get implements View.
func (s *Sweep) Get(key string) (history.StoreKV, bool) {
	id, ok := s.t.ids[key]
	if !ok {
		return history.StoreKV{}, s.t.empty
	}
	s.grow()
	return s.t.state(id, s.states[id])
}

// List implements View.
func (s *Sweep) List(start, end string, yield func(history.StoreKV) bool) {
	s.grow()
	if end == "" {
		if kv, _ := s.Get(start); kv.Version != 0 {
			yield(kv)
		}
		return
	}
	b, i := s.index.position(start)
	for ; b < len(s.index.blocks); b, i = b+1, 0 {
		for _, id := range s.index.blocks[b][i:] {
			if end != "\x00" && s.t.names[id] >= end {
				return
			}
			if kv, _ := s.t.state(id, s.states[id]); !yield(kv) {
				return
			}
		}
	}
}

// Count implements View.
func (s *Sweep) Count(start, end string) int64 {
	s.grow()
	if end == "" {
		if kv, _ := s.Get(start); kv.Version != 0 {
			return 1
		}
		return 0
	}
	return max(0, s.index.before(end)-s.index.rank(start))
}

// Complete implements View.
func (s *Sweep) Complete() bool { return s.t.empty }

// index is a set of keys in the order of their names, in blocks: inserting moves
// at most one block and counting adds up the sizes of blocks.
type index struct {
	names  *[]string
	blocks [][]uint32
}

const blockSize = 512

func (x *index) name(id uint32) string { return (*x.names)[id] }

// position returns where a name is or would be.
func (x *index) position(name string) (block, offset int) {
	block = sort.Search(len(x.blocks), func(i int) bool {
		ids := x.blocks[i]
		return x.name(ids[len(ids)-1]) >= name
	})
	if block == len(x.blocks) {
		return block, 0
	}
	ids := x.blocks[block]
	return block, sort.Search(len(ids), func(i int) bool { return x.name(ids[i]) >= name })
}

// rank returns the number of keys before a name.
func (x *index) rank(name string) int64 {
	block, offset := x.position(name)
	return x.sum(block) + int64(offset)
}

// before returns the number of keys before the end of a range.
func (x *index) before(end string) int64 {
	if end == "\x00" {
		return x.sum(len(x.blocks))
	}
	return x.rank(end)
}

func (x *index) sum(blocks int) int64 {
	var n int64
	for _, ids := range x.blocks[:blocks] {
		n += int64(len(ids))
	}
	return n
}

func (x *index) insert(id uint32) {
	if len(x.blocks) == 0 {
		x.blocks = append(x.blocks, []uint32{id})
		return
	}
	block, offset := x.position(x.name(id))
	if block == len(x.blocks) {
		block--
		offset = len(x.blocks[block])
	}
	ids := slices.Insert(x.blocks[block], offset, id)
	if len(ids) < blockSize {
		x.blocks[block] = ids
		return
	}
	half := len(ids) / 2
	upper := append(make([]uint32, 0, blockSize), ids[half:]...)
	x.blocks[block] = ids[:half]
	x.blocks = slices.Insert(x.blocks, block+1, upper)
}

func (x *index) remove(id uint32) {
	block, offset := x.position(x.name(id))
	ids := slices.Delete(x.blocks[block], offset, offset+1)
	if len(ids) == 0 {
		x.blocks = slices.Delete(x.blocks, block, block+1)
		return
	}
	x.blocks[block] = ids
}
