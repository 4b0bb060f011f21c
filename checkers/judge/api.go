package judge

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/checkers/api/reads"
	"github.com/planecheck/planecheck/checkers/api/watches"
	"github.com/planecheck/planecheck/checkers/api/window"
	"github.com/planecheck/planecheck/checkers/api/writes"
	"github.com/planecheck/planecheck/checkers/cluster"
	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/history/archive"
	"github.com/planecheck/planecheck/checkers/versions"
)

// lag is how far behind the storage history the API history is judged. What an
// answer may show is bounded by the calls of the store that had begun by then,
// and a call shows its revision only when it has returned: Kubernetes gives no
// request more than a minute, and a record may come late by horizon. An answer
// that was judged before such a call is known would seem to show what nobody had
// asked for.
//
// A call that never returns shows no revision, so there is nothing to wait for.
// A revision that it made all the same is known from what came after it, and may
// have been made as early as the one before it was called for (package window).
const lag = time.Minute + horizon

// patience is how far behind the answers the versions are judged that they may
// have caused: no write is under way for longer, unless its client waits for an
// answer that does not come.
const patience = 2 * time.Minute

// afterFaults is how long an event of the API may take once the faults of a run
// are over, if nothing passes it by: as long as one of the store (Fresh). A run
// goes on for no longer than that when its cluster is whole again, which takes a
// write that comes out of watches of every API server within a second. Without
// faults the bound is that of the watches' checker, because such runs fill a
// cluster as fast as it goes.
const afterFaults = 10 * time.Second

// delivery is watches.Options.Bound.
func (o *Options) delivery() time.Duration {
	if o.Faultless {
		return 0
	}
	return afterFaults
}

const forever = history.Time(math.MaxInt64)

// apiHistory judges the API history and the version table behind the storage
// history: what an answer may show depends on what was committed until it came.
// In each step attempts come first and watches then, because a message of a
// watch may stand on the disk before the attempt that opened it.
type apiHistory struct {
	ctx     context.Context
	opt     Options
	epoch   *epoch // nil: all of the history
	builder *window.Builder
	window  *window.Window
	table   *versions.Table

	rows     *stream[history.Version]
	calls    *stream[history.APICall]
	messages *stream[history.APIWatch]
	read     int64
	until    history.Time // what is judged
	answered history.Time // of the last call that was judged
	patience time.Duration

	reads   *reads.Checker
	writes  *writes.Checker
	watches *watches.Checker
	cluster *cluster.Checker

	// whole says that both histories are known to their ends.
	whole bool
	// stepped says that something was judged before that was so.
	stepped bool
	opaque  map[uint64]bool
	// watching has the watches that are open and those whose messages are held,
	// for which it is not nil.
	watching map[uint64]*held
	held     []*held

	versionCount, attempts, messageCount int64
	verdicts                             []checkers.Verdict

	// backwards counts records whose times cannot be: an answer before its call, a
	// message before the one before it.
	backwards int64
	arrived   map[uint64]history.Time // of the last message of a watch
}

func newAPIHistory(ctx context.Context, opt Options, b *window.Builder, table *versions.Table, e *epoch) *apiHistory {
	a := &apiHistory{
		ctx: ctx, opt: opt, epoch: e, builder: b, window: b.Advance(math.MinInt64), table: table, patience: patience,
		opaque: map[uint64]bool{}, watching: map[uint64]*held{}, arrived: map[uint64]history.Time{},
	}
	a.reads = reads.New(reads.Options{Versions: table, Window: a.window})
	a.writes = writes.New(writes.Options{
		Versions: table, Window: a.window, Calm: opt.calm(), Struck: opt.Struck, From: e.from(), Undeclared: opt.Undeclared,
	})
	a.watches = watches.New(watches.Options{
		Versions: table, Window: a.window, Calm: opt.calm(), Bound: opt.delivery(), Phase: opt.Phase,
	})
	a.cluster = cluster.New(cluster.Options{Versions: table, Commit: a.window.Commit, Calm: opt.calm()})
	return a
}

// readFrom reads the history that a reader has; readBehind one that grows.
func (a *apiHistory) readFrom(r *archive.Reader) {
	a.rows = newStream(kept(archive.Read(r, archive.Versions), a.epoch.version))
	a.calls = newStream(kept(archive.Read(r, archive.APICalls), a.epoch.call))
	a.messages = newStream(kept(archive.Read(r, archive.APIWatches), a.epoch.message))
}

func (a *apiHistory) readBehind(dir string, how archive.FollowOptions) {
	a.rows = newStream(following(a.ctx, dir, archive.Versions, how))
	a.calls = newStream(following(a.ctx, dir, archive.APICalls, how))
	a.messages = newStream(following(a.ctx, dir, archive.APIWatches, how))
}

func (a *apiHistory) close() {
	a.rows.stop()
	a.calls.stop()
	a.messages.stop()
}

// advance judges what was answered up to a time, from which on the storage
// history has no more to say of it. Without the versions that it takes, nothing
// is judged before the next step.
func (a *apiHistory) advance(until history.Time) error {
	if until > a.until {
		a.builder.Advance(until)
		a.until = until
	}
	if filled, err := a.fill(a.window.Hi(until)); err != nil || !filled {
		return err
	}
	a.stepped = a.stepped || !a.whole
	a.releaseAll()
	for {
		c, err := a.calls.peek(a.whole)
		if err = a.check(err); err != nil {
			return err
		}
		if c == nil || c.Returned > until {
			break
		}
		a.answered = max(a.answered, c.Returned)
		a.call(c)
		a.calls.take()
	}
	if a.whole {
		a.releaseEarly()
	}
	for {
		m, err := a.messages.peek(a.whole)
		if err = a.check(err); err != nil {
			return err
		}
		if m == nil || m.At > until {
			break
		}
		a.message(m)
		a.messages.take()
	}
	if !a.whole { // else that is left to Finish
		a.writes.Advance(a.window.Lo(a.answered.Add(-a.patience)))
		a.cluster.Advance(a.window.Lo(until.Add(-a.patience)))
	}
	return nil
}

// check says now and then that the judgement is not wanted any more.
func (a *apiHistory) check(err error) error {
	if a.read++; err == nil && a.read%step == 0 {
		err = context.Cause(a.ctx)
	}
	return err
}

// fill fills the version table up to a revision, or to its end if the history is
// whole, and says whether it has come there.
func (a *apiHistory) fill(rev int64) (bool, error) {
	for {
		v, err := a.rows.peek(a.whole)
		if err = a.check(err); err != nil {
			return false, err
		}
		switch {
		case v == nil:
			return a.whole, nil
		case v.Revision > rev && !a.whole:
			if _, last := a.table.Bounds(); last > 0 {
				a.table.Sealed(rev)
			}
			return true, nil
		}
		if a.epoch.made(v) {
			a.versionCount++
		}
		a.table.Add(v)
		a.rows.take()
	}
}

// finish judges the rest of a history that is whole up to the revision last.
func (a *apiHistory) finish(last int64) error {
	a.whole = true
	if _, err := a.fill(0); err != nil {
		return err
	}
	a.table.Sealed(last)
	if err := a.advance(forever); err != nil {
		return err
	}
	a.verdicts = slices.Concat(a.reads.Finish(), a.watches.Finish(), a.writes.Finish())
	a.cluster.Advance(math.MaxInt64)
	return nil
}

// doubtful says that what was judged in steps has to be judged once more with
// everything known. Where something came later than was thought possible the
// judgement may be wrong. Of what was found broken it is right, but what came
// after it belongs to the counter-example, and there may be an earlier one.
func (a *apiHistory) doubtful() bool {
	return a.stepped && (a.late() || len(a.found()) > 0)
}

// late says that something came that bears on what was judged before.
func (a *apiHistory) late() bool { return a.builder.Late() || a.writes.Late() }

// again judges the whole of a history once more.
func (a *apiHistory) again(r *archive.Reader, last int64) (*apiHistory, error) {
	b := newAPIHistory(a.ctx, a.opt, a.builder, a.table, a.epoch)
	b.readFrom(r)
	b.rows.stop()
	b.rows = &stream[history.Version]{ended: true, stop: func() {}, incomplete: a.rows.incomplete}
	b.versionCount = a.versionCount
	defer b.close()
	return b, b.finish(last)
}

// found names the guarantees that were found broken.
func (a *apiHistory) found() []string {
	var names []string
	for _, name := range slices.Concat(a.reads.Broken(), a.watches.Broken(), a.writes.Broken()) {
		names = append(names, Claim(checkers.AreaAPI, name))
	}
	for _, name := range a.cluster.Broken() {
		names = append(names, Claim(checkers.AreaCluster, name))
	}
	return names
}

// broken names those of them that count: a version table that does not begin
// with the store, or is not in order, proves too little.
func (a *apiHistory) broken() []string {
	if first, _ := a.table.Bounds(); first > 1 || a.table.Dropped() > 0 {
		return nil
	}
	return a.found()
}

// missing says what of the history is missing.
func (a *apiHistory) missing() error {
	return errors.Join(a.rows.incomplete, a.calls.incomplete, a.messages.incomplete)
}

// timed notes the times of what an API server said.
func (a *apiHistory) timed(m *history.APIWatch) {
	if m.At < a.arrived[m.Call] {
		a.backwards++
	}
	a.arrived[m.Call] = m.At
	if m.Type == history.APIWatchClosed {
		delete(a.arrived, m.Call)
	}
}

// unfit says why nothing can be judged by these records although none is known
// to be lost. changes is how many the storage history has: each has a row in the
// version table, which comes from the same watch.
func (a *apiHistory) unfit(changes int) error {
	switch {
	case a.backwards > 0:
		return fmt.Errorf("%d records of the API history have times that run backwards", a.backwards)
	case a.versionCount < int64(changes):
		return fmt.Errorf("the version table has %d rows, and the store made %d changes", a.versionCount, changes)
	case a.missing() == nil && a.watches.Strangers() > 0:
		return fmt.Errorf("%d messages are of no watch in the API history, or came after its end", a.watches.Strangers())
	}
	return nil
}

// conclude adds the verdicts to a judgement.
func (a *apiHistory) conclude(result *Judgement, settled []cluster.Moment) {
	result.Versions, result.Attempts, result.APIMessages = a.versionCount, a.attempts, a.messageCount
	result.Verdicts = append(append(result.Verdicts, a.verdicts...), a.cluster.Finish(settled)...)
	for _, d := range a.watches.Deliveries() {
		result.APIDeliveries = append(result.APIDeliveries, Delivery(d))
	}
	for phase, d := range a.watches.PhaseDeliveries() {
		if result.PhaseDeliveries == nil {
			result.PhaseDeliveries = map[string]Delivery{}
		}
		result.PhaseDeliveries[phase] = Delivery(d)
	}
}
