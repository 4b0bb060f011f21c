package cluster

import (
	"time"

	"github.com/planecheck/planecheck/checkers/history"
)

// manager is the controller manager that evicts pods, as far as its Lease and
// its evictions show it. Where there is no such Lease it always runs.
type manager struct {
	j    *judge
	next int64 // the last revision of the Lease that was looked at
	now  *history.Version
	seen history.Time // when now was committed
	// since is when it began: a new one starts to count the time that pods
	// tolerate a node anew.
	since  history.Time
	thawed int64 // the last revision with which it renewed a Lease that had run out
	busy   []span
}

// span is a time in which evictions were on their way, or could not be.
type span struct{ from, to history.Time }

func (m *manager) advance(upto int64) {
	k := m.j.table.Kind("coordination.k8s.io", "leases")
	if k == nil {
		return
	}
	for v := k.Next("kube-system", "kube-controller-manager", m.next); v != nil && v.Revision <= upto; v = k.Next(v.Namespace, v.Name, m.next) {
		m.next = v.Revision
		if !v.Unread {
			m.renewed(v)
		}
	}
}

func (m *manager) renewed(v *history.Version) {
	at := m.j.after(v.Revision)
	before := m.now
	was := m.seen
	m.now, m.seen = v, at
	switch {
	case before == nil || holder(before) != holder(v):
		m.since = at
	case at.Sub(was) > runsFor(before): // it was frozen, or could not write
		m.thawed = v.Revision
		m.add(span{was, at})
	}
}

// usual is --leader-elect-lease-duration where nothing is said, as in histories
// that do not have the terms of Leases.
const usual = 15 * time.Second

func runsFor(lease *history.Version) time.Duration {
	if d := lasts(lease); d > 0 {
		return d
	}
	return usual
}

// until is how long of the time up to end it is sure that a manager ran.
func (m *manager) until(end history.Time) history.Time {
	switch {
	case m.now == nil:
		return end
	case holder(m.now) == "":
		return min(end, m.seen)
	}
	return min(end, m.seen.Add(runsFor(m.now)))
}

// worked says that a pod was evicted: its requests are limited, so the next one
// may have to wait for it.
func (m *manager) worked(at history.Time) {
	if at != 0 {
		m.add(span{at, at})
	}
}

// add merges spans that are not farther apart than Heal.
func (m *manager) add(s span) {
	for n := len(m.busy); n > 0 && s.from <= m.busy[n-1].to.Add(m.j.opts.Heal); n = len(m.busy) {
		s.from, s.to = min(s.from, m.busy[n-1].from), max(s.to, m.busy[n-1].to)
		m.busy = m.busy[:n-1]
	}
	m.busy = append(m.busy, s)
}

// deadline is when a pod has to be gone that had to go at a time.
func (m *manager) deadline(due history.Time) history.Time {
	by := due.Add(m.j.opts.Heal)
	for i := len(m.busy) - 1; i >= 0; i-- {
		if m.busy[i].from <= by {
			return max(by, m.busy[i].to.Add(m.j.opts.Heal))
		}
	}
	return by
}
