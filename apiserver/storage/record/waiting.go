package record

import (
	"sync"

	"github.com/planecheck/planecheck/checkers/history"
)

// node is one call, on the list of those that wait for their answer. It is one
// allocation together with the parts of its record that nearly every call of
// Kubernetes has one of, see actionBlock and txnBlock.
type node struct {
	op         history.StoreOp
	prev, next *node // guarded by the shard
	listed     bool  // guarded by the shard
}

type actionBlock struct {
	node
	then    [1]history.StoreAction
	results [1]history.StoreResult
}

type txnBlock struct {
	node
	compares  [1]history.StoreCompare
	then, els [1]history.StoreAction
	results   [1]history.StoreResult
}

// waiting holds the calls that wait for their answer, so that Close can record
// them. It is split, because every call of a member goes through it twice.
type waiting struct {
	shards [8]shard
}

type shard struct {
	mu     sync.Mutex
	head   *node
	closed bool
	_      [40]byte // a cache line of its own
}

func (w *waiting) of(n *node) *shard { return &w.shards[n.op.ID%uint64(len(w.shards))] }

// add lists n. It returns false when the history has ended.
func (w *waiting) add(n *node) bool {
	s := w.of(n)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	n.next, n.listed = s.head, true
	if s.head != nil {
		s.head.prev = n
	}
	s.head = n
	return true
}

// take removes n from the list and makes the caller its only owner. It returns
// false when Close was faster: then n belongs to the sink.
func (w *waiting) take(n *node) bool {
	s := w.of(n)
	s.mu.Lock()
	defer s.mu.Unlock()
	if !n.listed {
		return false
	}
	if n.next != nil {
		n.next.prev = n.prev
	}
	if n.prev != nil {
		n.prev.next = n.next
	} else {
		s.head = n.next
	}
	n.prev, n.next, n.listed = nil, nil, false
	return true
}

// close returns what still waits, and lets nothing in any more.
func (w *waiting) close() []*node {
	var left []*node
	for i := range w.shards {
		left = append(left, w.shards[i].close()...)
	}
	return left
}

func (s *shard) close() []*node {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	var left []*node
	for n := s.head; n != nil; {
		left = append(left, n)
		next := n.next
		n.prev, n.next, n.listed = nil, nil, false
		n = next
	}
	s.head = nil
	return left
}
