package judge

import (
	"context"
	"fmt"
	"iter"

	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/history/archive"
	"github.com/planecheck/planecheck/checkers/timeline"
)

// This file is about histories in which the store was restored from a snapshot.
// Such a history has two epochs, each of which is judged as one of its own: the
// first to the end of the old store, the second from the state that the snapshot
// held, at the revision after it. Between them stands the guarantee Restored.
//
// Not judged are calls of the API that were under way at the restoration and
// were answered, and what clients carry over: an object that was read before
// and never stored after.

// epoch is one of the two. nil is a history that has no other.
type epoch struct {
	history.Restore
	// first is nil in the first.
	first    *epoch
	timeline *timeline.Timeline // of the first, once it is judged
	restored *restored

	member  string          // one that answered
	streams map[uint64]bool // watch streams of the store that began in it
	watches map[uint64]bool // watches of the API that were asked for in it
	across  map[uint64]bool // calls of the API that were answered in the second
}

func firstEpoch(r history.Restore) *epoch {
	return &epoch{Restore: r, restored: newRestored(r), streams: map[uint64]bool{}, watches: map[uint64]bool{}, across: map[uint64]bool{}}
}

// next is the second epoch, when all of the first is judged.
func (e *epoch) next(t *timeline.Timeline) *epoch {
	e.timeline = t
	return &epoch{Restore: e.Restore, first: e, restored: e.restored}
}

// store says whether a record of the storage history belongs to the epoch.
func (e *epoch) store(rec archive.StoreRecord) bool {
	if e == nil {
		return true
	}
	if e.first != nil {
		return rec.Op != nil && rec.Op.Called > e.At || rec.Watch != nil && !e.first.streams[rec.Watch.Stream]
	}
	if rec.Op != nil {
		e.restored.op(rec.Op)
		if rec.Op.Called <= e.At {
			e.member = rec.Op.Member
		}
		return rec.Op.Called <= e.At
	}
	if rec.Watch.At <= e.At {
		e.streams[rec.Watch.Stream] = true
	}
	e.restored.watch(rec.Watch, e.streams[rec.Watch.Stream])
	return e.streams[rec.Watch.Stream]
}

func (e *epoch) version(v *history.Version) bool {
	switch {
	case e == nil:
		return true
	case e.first == nil:
		return v.Revision <= e.restored.told // all of its storage history is known
	}
	return v.Revision <= e.Kept || v.Revision > e.Bumped
}

// made says whether a version is of a revision that was made in the epoch.
func (e *epoch) made(v *history.Version) bool {
	return e == nil || e.first == nil || v.Revision > e.Bumped
}

// from is the revision after which all writes are known with their calls.
func (e *epoch) from() int64 {
	if e == nil || e.first == nil {
		return 0
	}
	return e.Bumped
}

func (e *epoch) call(c *history.APICall) bool {
	if e == nil {
		return true
	}
	if e.first != nil {
		if c.Called > e.At {
			e.restored.call(c)
		}
		return c.Called > e.At
	}
	if c.Called > e.At {
		return false
	}
	if c.Verb == "watch" {
		e.watches[c.ID] = true
	}
	if c.Returned > e.At && c.Status != 0 {
		e.across[c.ID] = true
		return false
	}
	return true
}

func (e *epoch) message(m *history.APIWatch) bool {
	switch {
	case e == nil:
		return true
	case e.first == nil:
		return m.At <= e.At
	case m.At <= e.At || e.first.watches[m.Call]:
		return false
	}
	e.restored.message(m)
	return true
}

// kept yields the records that belong to an epoch.
func kept[T any](records iter.Seq2[*T, error], belongs func(*T) bool) iter.Seq2[*T, error] {
	return func(yield func(*T, error) bool) {
		for record, err := range records {
			if (err != nil || record == nil || belongs(record)) && !yield(record, err) {
				return
			}
		}
	}
}

// begin lets the judges of the second epoch know with what it begins: the state
// of the snapshot, and that all revisions up to Bumped count as compacted, as if
// somebody had asked for that.
func (e *epoch) begin(j *judge) {
	if e == nil || e.first == nil {
		return
	}
	j.window.Begin(e.At, e.Bumped)
	op := &history.StoreOp{
		Method: history.MethodCompact, Member: e.first.member, Called: e.At, Returned: e.At, Header: e.Bumped, Revision: e.Bumped,
	}
	j.window.StoreOp(op)
	j.calls.StoreOp(op)
	j.watches.AddOp(op)
}

// initial is the timeline with which the store begins, nil: that of a new one.
func (e *epoch) initial() *timeline.Timeline {
	if e == nil || e.first == nil {
		return nil
	}
	return e.first.timeline.Restored(e.Kept, e.Bumped)
}

// epochs judges both epochs of a history.
func epochs(ctx context.Context, dir string, opt Options) (*Judgement, error) {
	before := opt
	before.Settled, before.Calm = nil, 0
	one := firstEpoch(*opt.Restore)
	first, p, err := wholeEpoch(ctx, dir, before, one)
	if err != nil {
		return nil, err
	}
	two := one.next(p.j.done.timeline)
	if one.restored.repeats() {
		// One number stands for two revisions, so the second cannot be told apart.
		first.Verdicts = append(first.Verdicts, p.conclude(two))
		return first, nil
	}
	second, _, err := wholeEpoch(ctx, dir, opt, two)
	if err != nil {
		return nil, err
	}
	j := merge(first, second)
	j.Verdicts = append(j.Verdicts, p.conclude(two))
	return j, nil
}

func wholeEpoch(ctx context.Context, dir string, opt Options, e *epoch) (*Judgement, *Process, error) {
	p := newProcess(ctx, dir, opt, e)
	var err error
	if p.r, err = archive.Open(dir); err != nil {
		return nil, nil, fmt.Errorf("judge the history in %s: %w", dir, err)
	}
	if err := p.Run(); err != nil {
		return nil, nil, err
	}
	return p.Finish(opt.Settled, opt.Requests), p, nil
}

// conclude returns the verdict on the restoration itself.
func (p *Process) conclude(e *epoch) checkers.Verdict {
	v := e.restored.verdict(e.first.timeline, len(e.first.across))
	p.j.settle(&v, p.incomplete)
	return v
}

// merge makes one judgement of those of two epochs. A guarantee has to hold in
// both. The latencies are those of the first, in which most of the load is.
func merge(first, second *Judgement) *Judgement {
	j := *first
	j.Operations += second.Operations
	j.Messages += second.Messages
	j.Events += second.Events
	j.Revisions += second.Revisions
	j.Attempts += second.Attempts
	j.APIMessages += second.APIMessages
	j.Versions += second.Versions
	j.Took += second.Took
	j.Verdicts = nil
	for _, v := range first.Verdicts {
		for _, w := range second.Verdicts {
			if v.Area == w.Area && v.Guarantee == w.Guarantee {
				v = mergeVerdicts(v, w)
			}
		}
		j.Verdicts = append(j.Verdicts, v)
	}
	return &j
}

func mergeVerdicts(before, after checkers.Verdict) checkers.Verdict {
	v := before
	v.Checked = "before the restore: " + before.Checked + "; after it: " + after.Checked
	v.Detail = ""
	if before.Outcome != checkers.NotExercised || after.Outcome != checkers.NotExercised {
		v.Outcome = checkers.Worst([]checkers.Verdict{before, after})
	}
	v.Unfit = v.Outcome == checkers.Invalid && (before.Unfit || after.Unfit)
	for _, part := range []struct {
		when string
		checkers.Verdict
	}{{"before the restore: ", before}, {"after the restore: ", after}} {
		if part.Outcome == v.Outcome && part.Detail != "" && v.Detail == "" {
			v.Detail = part.when + part.Detail
		}
	}
	return v
}
