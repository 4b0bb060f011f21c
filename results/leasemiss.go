package results

import (
	"cmp"
	"slices"

	"github.com/planecheck/planecheck/checkers/history"
)

// LeaseMiss is a deadline that passed without a renewal.
type LeaseMiss struct {
	Node     string
	Deadline history.Time
	// Before is the renewal that was extended last; without a Node: nobody told of
	// it, as of the one with which a node begins.
	Before history.Lease
	// Late is the first of which was told after the deadline, answered or failed;
	// without a Node: nobody told of any.
	Late history.Lease
}

// keptMisses is how many of the first misses are kept for their counter-example.
const keptMisses = 3

// Misses returns the first deadlines that passed, in the order in which that was seen.
func (l *Leases) Misses() []LeaseMiss {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.misses)
}

// keep takes note of a miss, if it is one of the first.
func (l *Leases) keep(node string, state *leaseState) {
	if len(l.misses) == keptMisses {
		return
	}
	l.misses = append(l.misses, LeaseMiss{Node: node, Deadline: state.deadline, Before: state.before})
	state.kept = len(l.misses)
}

// explain adds to a miss what its node told of next.
func (l *Leases) explain(state leaseState, r history.Lease) {
	if state.kept == 0 {
		return
	}
	if m := &l.misses[state.kept-1]; m.Late.Node == "" {
		m.Late = r
	}
}

// overdue returns the nodes whose deadlines have passed since this was asked for last,
// the earliest first.
func (l *Leases) overdue(now history.Time) []string {
	var nodes []string
	for node, state := range l.nodes {
		if state.passed(now) {
			nodes = append(nodes, node)
		}
	}
	slices.SortFunc(nodes, func(a, b string) int {
		return cmp.Or(cmp.Compare(l.nodes[a].deadline, l.nodes[b].deadline), cmp.Compare(a, b))
	})
	return nodes
}
