package storage

import (
	"cmp"
	"maps"
	"slices"

	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/timeline"
)

// Window is the end of a history from the first revision on that only a write
// of unknown outcome, or the unseen end of a lease, can have made. All before it
// is certain and is given as a state. In the window a search is needed: several
// writes may have made the revision, and what follows depends on which one did.
type Window struct {
	// First is the revision whose author is missing; Last is the highest one
	// that an answer tells of.
	First, Last int64
	// State is the store at First-1. It is valid until the search returns.
	State timeline.View
	// Answered are the acknowledged calls that tell of First or later ones.
	Answered []*history.StoreOp
	// Unknown are the writes of unknown outcome that may have taken effect, in
	// the order of their calls.
	Unknown []Candidate
	// Leases may end by themselves, at the revisions that MayEnd allows.
	Leases []int64
	MayEnd func(lease, rev int64) bool
	// Held returns the keys that hold a lease in State.
	Held func(lease int64) []string
}

// Candidate is a write of unknown outcome with the highest revision that had
// been returned before it was called: it can only have made a later one.
type Candidate struct {
	Op    *history.StoreOp
	After int64
}

// Finding is what the search of a window came to.
type Finding string

// The findings. The zero value is that there was no search.
const (
	// Explained: Explanation tells which writes took effect, and with them every
	// answer is right.
	Explained Finding = "explained"
	// Impossible: with no choice among the writes is every answer right.
	Impossible Finding = "impossible"
	// Undecided: the search was given up.
	Undecided Finding = "undecided"
)

// Explanation says what happened in a window.
type Explanation struct {
	Finding Finding
	Why     string // of Undecided, in a few words
	// Writes and Ends are, of Explained, the write and the lease whose end made
	// a revision.
	Writes map[int64]*history.StoreOp
	Ends   map[int64]int64
}

// search has the window searched that begins with the first revision without a
// known author.
func (c *Checker) search(rev int64, view timeline.View) {
	if c.opts.Residual == nil {
		return
	}
	w := Window{First: rev, Last: rev, State: view, Held: c.builder.Keys, MayEnd: c.mayEnd}
	for _, op := range c.waiting {
		if acknowledged(op) && op.Header >= rev {
			w.Answered = append(w.Answered, op)
			w.Last = max(w.Last, op.Header)
		}
	}
	spent := c.spent(rev)
	for _, r := range c.causes.guesses {
		if !spent[r.op] {
			w.Unknown = append(w.Unknown, Candidate{Op: r.op, After: r.after.rev})
		}
	}
	w.Leases = slices.Sorted(maps.Keys(c.leases.byID))
	c.explanation = c.opts.Residual(w)
}

// mayEnd says whether a lease may have ended by itself at a revision that no
// watch of the whole key space shows.
func (c *Checker) mayEnd(lease, rev int64) bool {
	life := c.leases.byID[lease]
	if life == nil || rev <= c.builder.Passed() {
		return false
	}
	at := c.stairs.first(rev)
	grant, next, sure := life.incarnation(rev)
	return !sure || (grant != nil && (at == 0 || at >= life.deadline(grant, at, next)))
}

// spent returns the writes of unknown outcome that took effect before a
// revision: those that alone can have made one which an event shows. Where two
// can have, neither is spent for sure.
func (c *Checker) spent(rev int64) map[*history.StoreOp]bool {
	claimed := map[int64]bool{}
	for _, op := range c.waiting {
		if timeline.Changed(op) {
			claimed[op.Header] = true // its answer is not judged yet
		}
	}
	spent := map[*history.StoreOp]bool{}
	for _, open := range slices.Sorted(maps.Keys(c.causes.open)) {
		e := c.causes.open[open]
		if open >= rev || claimed[open] || e.lease != 0 {
			continue
		}
		if r, only := c.onlyAuthor(e); only {
			spent[r.op] = true
		}
	}
	return spent
}

// onlyAuthor returns the write that alone can have made a revision.
func (c *Checker) onlyAuthor(e *effect) (author record, only bool) {
	if c.sweep == nil {
		c.sweep = c.t.Sweep()
	}
	list := (&matching{c: c, able: map[int64][]record{}}).authors(e)
	if len(list) != 1 {
		return record{}, false
	}
	return list[0], true
}

// foundAuthor returns what a revision did according to the explanation that was
// found, nil if there is none. op is nil where a lease ended.
func (c *Checker) foundAuthor(rev int64, view timeline.View) (changes []timeline.Change, op *history.StoreOp) {
	if op := c.explanation.Writes[rev]; op != nil {
		return c.guess(op, rev, view), op
	}
	if lease := c.explanation.Ends[rev]; lease != 0 {
		return c.builder.Revocation(lease, rev, view), nil
	}
	return nil, nil
}

// certain says that a violation of a guarantee counts although it touches what
// is in doubt: no choice among the writes makes the answers right.
func (c *Checker) certain(guarantee string) bool {
	if c.explanation.Finding != Impossible {
		return false
	}
	switch guarantee {
	case Order, Replay, Reads, NoPhantom:
		return true
	}
	return false // the search does not look at them
}

// remark is what the search of a window adds to a verdict about it.
func (c *Checker) remark() string {
	switch e := c.explanation; e.Finding {
	case Explained:
		return "\n(a search found an order with which all answers are right; this is beyond them)"
	case Impossible:
		return "\n(a search found that no choice among the writes of unknown outcome makes all answers right)"
	case Undecided:
		return "\n(the search for another choice was given up: " + cmp.Or(e.Why, "no reason given") + ")"
	}
	return ""
}

// twins says that two calls ask for the same, so that it does not matter which
// of them took effect. Calls that only do the same in one state are not twins:
// in a later one they may differ.
func twins(a, b *history.StoreOp) bool {
	return a.Method == b.Method && a.Lease == b.Lease && slices.Equal(a.Compares, b.Compares) &&
		slices.Equal(a.Then, b.Then) && slices.Equal(a.Else, b.Else)
}
