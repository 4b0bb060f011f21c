package writes

import (
	"math"
	"slices"
	"strconv"

	"github.com/planecheck/planecheck/checkers/history"
)

func utoa(n uint64) string { return strconv.FormatUint(n, 10) }

// fate is what is known of the effect of a write that names no revision.
type fate int

const (
	mayHold   fate = iota // the outcome is unknown: it may take effect once, at any time after its call
	mustNot               // it was refused
	rehearsed             // it was a dry run
)

// pending is a write with declared marks that names no revision.
type pending struct {
	call *history.APICall
	fate fate
	used bool
}

// note keeps a write with declared marks for sweep.
func (c *Checker) note(call *history.APICall, t target, f fate) {
	if !call.Declared || call.Verb == "delete" || call.Verb == "deletecollection" {
		return
	}
	if call.DryRun {
		f = rehearsed
	}
	if call.GenerateName && call.Object.Name == "" {
		t.name = ""
	}
	c.lateFor(c.window.Lo(call.Called) + 1)
	c.pending[t] = append(c.pending[t], &pending{call: call.Clone(), fate: f})
}

// dryRun judges a dry run that succeeded. The state that it was tried on has to
// fulfil what it asked for, as that of a write has.
func (c *Checker) dryRun(call *history.APICall, t target) {
	if deletes := call.Verb == "delete" || call.Verb == "deletecollection"; deletes && !c.rehearses(call, t) {
		c.counts.dryUnseen++
	} else {
		c.counts.dryRuns++
	}
	c.note(call, t, rehearsed)
	n := needs(call)
	guarantee := ConflictHonest
	if call.Verb == "delete" {
		guarantee = PreconditionHonest
	}
	if n.any() && !n.bad && call.Name != "" && call.Verb != "create" && call.Verb != "deletecollection" &&
		(call.Subresource == "" || call.Subresource == "status") {
		vacant := guarantee == ConflictHonest && n.uid == "" && creates(call)
		c.decide(guarantee, call, t, func(v *history.Version) bool { return n.meets(v) || v == nil && vacant },
			"a dry run succeeded on another object than the one it asked for")
	}
	// The uid of what would have been created is made up for the answer.
	if call.Object.UID != "" && call.Status == 201 && call.Subresource == "" {
		_, used := c.sweep.uids[call.Object.UID]
		c.sweep.late = c.sweep.late || used
		c.dryUIDs[call.Object.UID] = call.Clone()
	}
}

// effect bounds the revisions at which a call may have taken effect.
type effect struct{ after, upto int64 }

func (e effect) at(rev int64) bool { return e.after < rev && rev <= e.upto }

// effect of a call of unknown outcome has no end: the server may go on with it.
func (c *Checker) effect(call *history.APICall) effect {
	e := effect{c.window.Lo(call.Called), math.MaxInt64}
	if !unknown(call) {
		e.upto = c.window.Hi(call.Returned)
	}
	return e
}

// declared judges the marks of an acknowledged write at its revision and keeps
// it as the cause of that revision.
func (c *Checker) declared(call *history.APICall, t target, w span, v, prev *history.Version) {
	if v.Unread || !call.Declared && len(v.Marks) == 0 {
		return
	}
	if call.Declared && !holds(call, v.Marks) {
		if t.finalized(w, v) {
			c.counts.finalized++
			return
		}
		c.fail(NoLostUpdate, func() *evidence {
			return because("what an acknowledged write declared is not there at its revision").
				call(call).version(t.at(v.Revision-1), v.Revision-1).version(v, v.Revision)
		})
	}
	if v.Revision <= c.sweep.to {
		// It changed nothing at a revision that was judged, unless that has no
		// other cause.
		c.sweep.late = c.sweep.late || c.sweep.guessed[v.Revision]
		return
	}
	c.claimed(call, claim{t, v.Revision}, changed(v, prev))
}

// claim is an object at a revision that was the answer to a write.
type claim struct {
	target
	rev int64
}

// claimed notes for cause whether an acknowledged write declares all of what its
// revision changed. Of one that does nothing else is kept: a run has them by the
// hundred thousand, and what is judged after its end is judged with all of them. One
// that does not belongs to the counter-example.
func (c *Checker) claimed(call *history.APICall, at claim, d change) {
	if d.empty() {
		return
	}
	if covers(call, d) {
		c.claims[at] = nil
	} else if by, known := c.claims[at]; !known || by != nil {
		c.claims[at] = call.Clone()
	}
}

// change is the difference between the marks of two versions.
type change struct {
	sets    []history.Pair
	removes []string
}

func (d change) empty() bool { return len(d.sets) == 0 && len(d.removes) == 0 }

// changed is what a version changed in the marks of the one before it, nil: there
// was none.
func changed(now, prev *history.Version) change {
	if prev == nil {
		return difference(nil, now.Marks)
	}
	return difference(prev.Marks, now.Marks)
}

// difference returns what turns the marks of prev into those of now.
func difference(prev, now []history.Pair) change {
	var d change
	for _, p := range now {
		if !slices.Contains(prev, p) {
			d.sets = append(d.sets, p)
		}
	}
	for _, p := range prev {
		if !named(now, p.Name) {
			d.removes = append(d.removes, p.Name)
		}
	}
	return d
}

func named(marks []history.Pair, name string) bool {
	return slices.ContainsFunc(marks, func(p history.Pair) bool { return p.Name == name })
}

// covers says whether a change lies within what a write declares.
func covers(call *history.APICall, d change) bool {
	for _, p := range d.sets {
		if !slices.Contains(call.Sets, p) {
			return false
		}
	}
	for _, name := range d.removes {
		if !slices.Contains(call.Removes, name) {
			return false
		}
	}
	return call.Declared
}

// holds says whether marks are as a write declares.
func holds(call *history.APICall, marks []history.Pair) bool {
	for _, p := range call.Sets {
		if !slices.Contains(marks, p) {
			return false
		}
	}
	for _, name := range call.Removes {
		if named(marks, name) {
			return false
		}
	}
	return true
}

// cause judges a revision that changed marks: one write declares all of it.
func (c *Checker) cause(t target, now, prev *history.Version) {
	d := changed(now, prev)
	if d.empty() {
		return
	}
	c.counts.marked++
	answered, known := c.claims[claim{t, now.Revision}]
	if known && answered == nil {
		return
	}
	c.sweep.guessed[now.Revision] = true
	c.uncaused(t, now, prev, d, answered)
}

// uncaused looks for a write that names no revision as the cause of one. Of
// several of unknown outcome that would do, the earliest is taken: it may take
// effect whenever another one may.
func (c *Checker) uncaused(t target, now, prev *history.Version, d change, answered *history.APICall) {
	lists := [][]*pending{c.pending[t]}
	if prev == nil { // creates whose name nobody was told
		lists = append(lists, c.pending[target{t.kind, t.namespace, ""}])
	}
	var best, wrong *pending
	for _, list := range lists {
		for _, p := range list {
			if p.used || c.window.Lo(p.call.Called) >= now.Revision || !covers(p.call, d) || !holds(p.call, now.Marks) {
				continue
			}
			switch {
			case p.fate != mayHold:
				wrong = p
			case best == nil || p.call.Called < best.call.Called:
				best = p
			}
		}
	}
	if best != nil {
		best.used = true
		return
	}
	guarantee, why := NoLostUpdate, "no write declares what a revision changed"
	switch {
	case wrong != nil && wrong.fate == rehearsed:
		guarantee, why, answered = DryRunInert, "a revision holds what only a dry run set", wrong.call
	case wrong != nil:
		why, answered = "a revision holds what only a refused write set", wrong.call
	case answered != nil:
		why = "a revision changed more than its write declares"
	}
	c.fail(guarantee, func() *evidence {
		e := because("%s", why)
		if answered != nil {
			e.call(answered)
		}
		return e.version(prev, now.Revision-1).version(now, now.Revision)
	})
}
