// Package storage judges the storage history of a run: what an etcd-like store
// was asked and what it answered.
//
// Every answer of such a store carries the global revision, so that strict
// serializability needs no search. The revision says where a call stands in the
// one order of everything (package timeline); what is left is to look whether
// its answer is right there, whether the order agrees with real time, and
// whether every revision has a cause. That takes O(n log n) time, and each
// violation is two or three records that a person can read.
//
// One thing needs a search: which of several writes of unknown outcome made a
// revision that no answer and no event explains. Such a window is handed to
// Options.Residual.
//
// The guarantees of watches are judged by the package storage/watch.
package storage

import (
	"cmp"
	"slices"
	"strconv"
	"time"

	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/timeline"
)

// Options of a Checker. The zero value judges etcd from its first revision seen.
type Options struct {
	Contract Contract // default Etcd()
	Floors   Floors
	// Crashes are the members that ended in the course of the history and came back:
	// without any, Durable says nothing. Nil: none did, or nobody knows.
	Crashes []history.Crash
	// Start is the store's revision before the first call of the history; 1 is
	// a new store. Default: inferred from the first records.
	Start int64
	// Initial is the timeline with which the store began, where it was restored
	// from a snapshot; it is used up. What is left of a lease from before is not
	// judged. Default: a new one, from Start on.
	Initial *timeline.Timeline
	// Horizon bounds how late records come: when a record is handed over, no
	// later one returned more than this before it. Default 30 s.
	Horizon time.Duration
	// Batch is the number of calls that are judged at a time; default 32,768.
	Batch int
	// Residual searches the window in which writes of unknown outcome cannot be
	// told apart; package storage/residual has one. It is called at most once,
	// in Finish. Nil: the earliest call is taken, and a violation that may come
	// from that choice is Unknown.
	Residual func(Window) Explanation
}

// Checker judges a history while it is recorded. Calls and messages may be
// handed over in any order within the horizon; the messages of one watch stream
// in their own. It is not safe for concurrent use. Use New.
type Checker struct {
	opts    Options
	builder *timeline.Builder
	t       *timeline.Timeline
	sweep   *timeline.Sweep
	stairs  stairs
	newest  history.Time

	waiting []*history.StoreOp // not judged yet
	sealed  map[int64]*history.StoreOp
	causes  causes
	compact compactions
	leases  leases
	members members
	durable durable
	strays  []stray

	violations map[string]*violation
	invalid    map[string]int // what makes the history unfit to judge
	doubts     []doubt        // revisions that were guessed
	// explanation is what the search of the window in doubt came to.
	explanation Explanation
	counts      counts
	verdicts    []checkers.Verdict
}

// violation is the first counter-example of a guarantee, and the first of those
// that may come from a guess.
type violation struct {
	evidence, doubted *evidence
	count             int // of the certain ones
	doubt             *doubt
	searched          bool // evidence is certain because of a search
}

// counts is the evidence that verdicts rest on.
type counts struct {
	operations, answered, writes, reads, listed int64
	conflicts, local, unknown, refused          int64
	undecided                                   int64 // comparisons by the order of values or of unknown keys
	partial                                     int64 // sorted or filtered lists that may leave out more than the filter does
}

// New returns a Checker.
func New(opts Options) *Checker {
	if opts.Contract.Name == "" {
		opts.Contract = Etcd()
	}
	if opts.Horizon == 0 {
		opts.Horizon = 30 * time.Second
	}
	if opts.Batch == 0 {
		opts.Batch = 1 << 15
	}
	opts.Floors = opts.Floors.withDefaults()
	c := &Checker{
		opts: opts, sealed: map[int64]*history.StoreOp{},
		violations: map[string]*violation{}, invalid: map[string]int{},
	}
	c.causes.init()
	c.leases.init()
	c.members.init()
	c.durable.init()
	c.builder = timeline.NewBuilder(timeline.Options{
		Start: opts.Start, Initial: opts.Initial, Gaps: !opts.Contract.Dense, Uncounted: opts.Contract.Uncounted,
		Sealed: c.onSealed, Conflict: c.onConflict, Hole: c.onHole,
	})
	c.t = c.builder.Timeline()
	return c
}

// Timeline returns the order of everything. It grows as records come in and is
// complete after Finish.
func (c *Checker) Timeline() *timeline.Timeline { return c.t }

// Advance judges what is settled by now, without waiting for a whole batch.
func (c *Checker) Advance() { c.flush(c.newest.Add(-c.opts.Horizon)) }

// Broken names the guarantees of which a violation was seen so far that no guess
// can undo. Records that are still to come may show that the history as a whole
// is unfit to judge, but not that these were kept.
func (c *Checker) Broken() []string {
	if len(c.invalid) > 0 {
		return nil
	}
	var names []string
	for _, g := range guarantees {
		if v := c.violations[g.name]; v != nil && v.evidence != nil {
			names = append(names, g.name)
		}
	}
	return names
}

// Lost says that records of the history were lost, which makes every verdict
// Invalid.
func (c *Checker) Lost(records int) {
	if records > 0 {
		c.invalid["lost records"] += records
	}
}

// StoreOp takes a call. It keeps the record for a while.
func (c *Checker) StoreOp(op *history.StoreOp) {
	c.counts.operations++
	if !c.fit(op) {
		return
	}
	c.builder.Op(op)
	c.compact.see(op)
	c.leases.see(op)
	c.members.see(op)
	c.durable.see(op)
	if acknowledged(op) {
		c.counts.answered++
		if op.Header > 0 && (c.opts.Contract.LocalHeaders || !timeline.Local(op)) {
			c.stairs.add(op)
		}
	}
	c.newest = max(c.newest, op.Returned)
	c.waiting = append(c.waiting, op)
	if len(c.waiting)%c.opts.Batch == 0 {
		c.flush(c.newest.Add(-c.opts.Horizon))
	}
}

// StoreWatch takes a message of a watch stream. Only watches of the whole key
// space matter here.
func (c *Checker) StoreWatch(w *history.StoreWatch) {
	c.newest = max(c.newest, w.At)
	c.builder.Watch(w)
}

// fit says whether a call can be judged at all.
func (c *Checker) fit(op *history.StoreOp) bool {
	if op.Method == history.MethodUnknown {
		c.invalid["calls of unknown methods"]++
		return false
	}
	other := func(a history.StoreAction) bool { return a.Kind == history.ActionOther }
	if slices.ContainsFunc(op.Then, other) || slices.ContainsFunc(op.Else, other) {
		c.invalid["transactions within transactions"]++
		return false
	}
	if op.Returned != 0 && op.Returned < op.Called {
		c.invalid["calls that returned before they were made"]++
		return false
	}
	if !wellFormed(op) {
		c.invalid["calls with an incomplete record"]++
		return false
	}
	return true
}

// wellFormed guards the judges against records that no recorder makes.
func wellFormed(op *history.StoreOp) bool {
	switch op.Method {
	case history.MethodRange, history.MethodRangeStream, history.MethodPut, history.MethodDeleteRange:
		if len(op.Then) != 1 || len(op.Compares) > 0 || len(op.Else) > 0 {
			return false
		}
	}
	return !acknowledged(op) || len(op.Results) == len(timeline.Branch(op))
}

func acknowledged(op *history.StoreOp) bool {
	return op.Error.Kind == history.ErrorNone && op.Returned != 0
}

// unknown says that nobody knows what became of a call.
func unknown(op *history.StoreOp) bool {
	return !acknowledged(op) && !op.Error.Definite()
}

// flush judges what is settled up to a moment.
func (c *Checker) flush(until history.Time) {
	c.builder.Advance(until)
	c.stairs.settle(until)
	c.durable.acked.settle(until)
	_, last := c.t.Bounds()
	var ready []record
	kept := c.waiting[:0]
	for _, op := range c.waiting {
		if op.Returned == 0 || op.Returned > until || (acknowledged(op) && op.Header > last) {
			kept = append(kept, op)
			continue
		}
		ready = append(ready, record{op: op, after: c.stairs.before(op.Called)})
	}
	clear(c.waiting[len(kept):])
	c.waiting = kept
	c.judgeAll(ready)
	c.resolve(until, false)
	c.judgeDeaths(until, false)
}

// Finish judges the rest and returns a verdict for each guarantee. Records that
// come later are ignored.
func (c *Checker) Finish() []checkers.Verdict {
	if c.verdicts != nil {
		return c.verdicts
	}
	const end = history.Time(1<<63 - 1)
	c.stairs.settle(end)
	c.durable.acked.settle(end)
	c.prepareHoles()
	c.builder.Finish()
	var ready []record
	for _, op := range c.waiting {
		ready = append(ready, record{op: op, after: c.stairs.before(op.Called)})
	}
	c.waiting = nil
	c.judgeAll(ready)
	c.resolve(end, true)
	c.judgeDeaths(end, true)
	c.finishStrays()
	c.finishCompactions()
	c.finishLeases()
	c.finishDurable()
	if c.stairs.late > 0 {
		c.invalid["answers later than the horizon"] += c.stairs.late
	}
	c.verdicts = c.judgement()
	return c.verdicts
}

// judgeAll judges calls in the order of the revisions that they read, so that
// one sweep serves them all.
func (c *Checker) judgeAll(ready []record) {
	if c.sweep == nil {
		c.sweep = c.t.Sweep()
	}
	for i := range ready {
		ready[i].basis = basis(ready[i].op)
	}
	slices.SortFunc(ready, func(a, b record) int {
		return cmp.Or(cmp.Compare(a.basis, b.basis), cmp.Compare(a.op.ID, b.op.ID))
	})
	for _, r := range ready {
		c.judge(r)
	}
}

// basis is the revision that a call read, or began to write on.
func basis(op *history.StoreOp) int64 {
	if timeline.Changed(op) {
		return op.Header - 1
	}
	if len(op.Then) == 1 && op.Then[0].Revision > 0 && op.Method != history.MethodTxn {
		return op.Then[0].Revision
	}
	return op.Header
}

// fail notes a violation. The first one of a guarantee is shown.
func (c *Checker) fail(name string, e *evidence) {
	v := c.violations[name]
	if v == nil {
		v = &violation{}
		c.violations[name] = v
	}
	d := c.doubtOf(name, e)
	if d != nil && c.certain(name) {
		d, v.searched = nil, v.searched || v.evidence == nil
	}
	switch {
	case d != nil && v.doubted == nil:
		v.doubted, v.doubt = e, d
	case d == nil && v.evidence == nil:
		v.evidence, v.count = e, 1
	case d == nil:
		v.count++
	}
}

func (c *Checker) onConflict(conflict timeline.Conflict) {
	rev := conflict.Rev
	switch conflict.Kind {
	case timeline.Duplicate:
		c.fail(Order, because("two acknowledged writes have revision %d", rev).op(conflict.Op).op(conflict.Other))
		c.durable.contest(c, rev, conflict.Op, conflict.Other)
	case timeline.Hole:
		why := because("nobody wrote revision %d", rev)
		if conflict.To > rev {
			why = because("nobody wrote revisions %d to %d", rev, conflict.To)
		}
		why.hole = conflict.To
		c.fail(Order, why.state(rev-1, c.t.At(rev-1)).note("revision "+itoa(uint64(rev)), "no write, no event").
			state(conflict.To+1, c.t.At(conflict.To+1)))
	case timeline.Late:
		c.fail(Order, because("revision %d came after everything had passed over it", rev).op(conflict.Op))
	case timeline.EffectDiffers:
		c.stray(stray{rev: rev, member: conflict.Member, at: conflict.At, changes: conflict.Got, whole: true})
		c.fail(Replay, because("the event of revision %d is not what its write does", rev).op(conflict.Op).
			state(rev, conflict.Want).event(conflict.Member, conflict.At, rev, conflict.Got))
		if !sameKeys(conflict.Want, conflict.Got) {
			c.fail(NoPhantom, because("revision %d changed keys that its write does not name", rev).op(conflict.Op).
				event(conflict.Member, conflict.At, rev, conflict.Got))
		}
	case timeline.MembersDiffer:
		c.stray(stray{rev: rev, member: conflict.Member, at: conflict.At, changes: conflict.Got, whole: true})
		c.fail(MembersAgree, because("member %s shows another revision %d", conflict.Member, rev).
			state(rev, conflict.Want).event(conflict.Member, conflict.At, rev, conflict.Got))
	case timeline.MemberMissed:
		if len(c.builder.Members()) > 1 {
			c.fail(MembersAgree, because("member %s does not show revision %d", conflict.Member, rev).
				state(rev, conflict.Want).event(conflict.Member, conflict.At, rev, nil))
		}
		for _, change := range conflict.Want {
			c.durable.contradict(change.Key, rev, rev, conflict.At,
				because("").event(conflict.Member, conflict.At, rev, nil))
		}
	}
}

func sameKeys(a, b []timeline.Change) bool {
	return slices.EqualFunc(a, b, func(a, b timeline.Change) bool { return a.Key == b.Key })
}

func itoa(n uint64) string { return strconv.FormatUint(n, 10) }
