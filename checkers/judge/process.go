package judge

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/checkers/cluster"
	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/history/archive"
	"github.com/planecheck/planecheck/checkers/versions"
)

// Process is the judgement of one history on its way, which may still be
// written meanwhile: the store's as it comes, and the API's and the cluster's
// behind it.
type Process struct {
	ctx        context.Context
	cancel     context.CancelCauseFunc
	dir        string
	r          *archive.Reader
	j          *judge
	api        *apiHistory // nil: the history is of the store alone
	epoch      *epoch      // the part of it that is judged; nil: all
	incomplete error
	unfit      error        // why the API's and the cluster's half proves nothing
	ended      history.Time // when there was no more to wait for

	// Of a history that is followed: how its other streams are read, and what
	// ends them.
	beside *archive.FollowOptions
	over   chan struct{}
	// The constants lag, patience and step, but in tests.
	lag, patience time.Duration
	every         int64

	// failed is told of each guarantee once, when it is first seen broken.
	failed func(guarantee string)
	told   []string
}

// Follow begins to judge a history that is still being written. gone is closed
// when its writer is done; nil: it is in another process. failed is called from
// Run, with each guarantee once, as Claim names it, when it is seen broken: of
// the store that is a minute or so after the fact, since a segment is closed
// after half a minute and records are put into order by their times, and of the
// API and the cluster two to five minutes. It is not called once records were
// lost, for what is missing looks like a violation.
func Follow(ctx context.Context, dir string, opt Options, gone <-chan struct{}, failed func(guarantee string)) (*Process, error) {
	return follow(ctx, dir, opt, failed, archive.FollowOptions{Gone: gone})
}

func follow(ctx context.Context, dir string, opt Options, failed func(string), how archive.FollowOptions) (*Process, error) {
	p := newProcess(ctx, dir, opt, nil)
	p.over, p.failed = make(chan struct{}), failed
	beside := how
	beside.Gone, beside.GiveUp = p.over, math.MaxInt64 // they end with the store's
	p.beside = &beside
	how.Idle = p.idle
	var err error
	if p.r, err = archive.Follow(p.ctx, dir, how); err != nil {
		p.cancel(nil)
		return nil, fmt.Errorf("follow the history in %s: %w", dir, err)
	}
	return p, nil
}

func newProcess(ctx context.Context, dir string, opt Options, e *epoch) *Process {
	p := &Process{dir: dir, epoch: e, j: newJudge(opt, e), lag: lag, patience: patience, every: step}
	p.ctx, p.cancel = context.WithCancelCause(ctx)
	return p
}

func (p *Process) lossy() bool {
	for _, s := range p.r.Streams() {
		if s.Lost > 0 {
			return true
		}
	}
	return false
}

// Run judges the history to its end, and of one that is still being written
// waits for that. It fails like Directory.
func (p *Process) Run() error {
	defer p.cancel(nil)
	err := p.readStore()
	if err == nil {
		err = p.readRest()
	}
	if p.api != nil {
		p.api.close()
	}
	if err != nil {
		return fmt.Errorf("judge the history in %s: %w", p.dir, err)
	}
	return nil
}

// readStore judges the storage history, and behind it the others if it is being
// followed.
func (p *Process) readStore() error {
	for rec, err := range archive.ReadStore(p.r) {
		if errors.Is(err, archive.ErrIncomplete) {
			p.incomplete = err
			break
		}
		if err == nil && p.j.read%step == 0 {
			err = context.Cause(p.ctx)
		}
		if err != nil {
			return err
		}
		if !p.epoch.store(rec) {
			continue
		}
		if p.j.add(rec); p.j.read%p.every == 0 {
			p.round()
		}
	}
	if err := p.r.End(); err != nil { // where a segment was damaged, the run goes on
		return err
	}
	p.ended = history.Now()
	if p.incomplete == nil {
		p.incomplete = p.r.Complete()
	}
	p.j.finish(p.epoch != nil)
	return nil
}

// idle judges what can be judged while nothing more is there.
func (p *Process) idle() {
	p.j.calls.Advance()
	p.round()
}

// round judges the watches as far as the calls have been judged, and what was
// answered before by the API, and tells.
func (p *Process) round() {
	p.j.round()
	if err := p.judgeAPI(); err != nil {
		p.cancel(err) // which ends Run
	}
	p.tell()
}

// judgeAPI judges the API history as far as the storage history allows, if that
// is being followed.
func (p *Process) judgeAPI() error {
	if p.beside == nil || !p.hasAPI() {
		return nil
	}
	if p.api == nil {
		p.api = p.newAPI()
		p.api.patience = p.patience
		p.api.readBehind(p.dir, *p.beside)
	}
	// Before the first record nothing is known of what was under way.
	if until := p.j.newest.Add(-p.lag); until >= p.j.oldest {
		return p.api.advance(until)
	}
	return nil
}

func (p *Process) hasAPI() bool {
	return p.r.Has(archive.APICalls.Name) && p.r.Has(archive.Versions.Name)
}

func (p *Process) newAPI() *apiHistory {
	opt := p.j.opt
	opt.Undeclared = p.r.Schema() < declaredSince
	return newAPIHistory(p.ctx, opt, p.j.window, versions.New(), p.epoch)
}

// declaredSince is the schema version that brought history.APICall.Illegal.
const declaredSince = 4

// readRest judges what is left of the API history, when that of the store is
// known to its end.
func (p *Process) readRest() error {
	if err := context.Cause(p.ctx); err != nil {
		return err
	}
	if p.over != nil {
		close(p.over)
	}
	if p.hasAPI() {
		if p.api == nil {
			p.api = p.newAPI()
			p.api.readFrom(p.r)
		}
		if err := p.finishAPI(); err != nil {
			return err
		}
	}
	if p.incomplete == nil {
		p.tell()
	}
	return nil
}

func (p *Process) finishAPI() error {
	last := p.j.done.last
	if err := p.api.finish(last); err != nil {
		return err
	}
	if p.api.doubtful() {
		p.api.close()
		var err error
		if p.api, err = p.api.again(p.r, last); err != nil {
			return err
		}
	}
	if p.incomplete == nil {
		p.incomplete = p.api.missing()
	}
	p.unfit = p.api.unfit(p.j.done.changes)
	return nil
}

// tell reports the guarantees that were found broken since it did so last.
func (p *Process) tell() {
	if p.failed == nil || p.lossy() {
		return
	}
	names := p.j.broken()
	if p.api != nil && p.unfit == nil && (p.api.whole || !p.api.late()) {
		names = append(names, p.api.broken()...)
	}
	for _, name := range names {
		if !slices.Contains(p.told, name) {
			p.told = append(p.told, name)
			p.failed(name)
		}
	}
}

// Finish returns the judgement, after Run. settled and requests are Options.Settled and
// Options.Requests, which are known only at the end of a run.
func (p *Process) Finish(settled []cluster.Moment, requests int64) *Judgement {
	result := &p.j.result
	p.j.opt.Requests = requests
	if p.api != nil {
		p.api.conclude(result, settled)
	}
	result.Verdicts = append(result.Verdicts, p.j.opt.unjudged(result.Verdicts)...)
	for i := range result.Verdicts {
		v := &result.Verdicts[i]
		missing := p.incomplete
		if missing == nil && v.Area != checkers.AreaStore {
			missing = p.unfit
		}
		p.j.settle(v, missing)
	}
	for _, s := range p.r.Streams() {
		result.Lost += s.Lost
	}
	result.Took = history.Since(p.ended)
	return result
}
