package judge

import (
	"context"
	"errors"
	"fmt"

	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/history/archive"
)

// Process is the judgement of one history on its way: the store's half first,
// which can be judged while the history is still written, then the API's and
// the cluster's, which need the whole of the store's.
type Process struct {
	ctx        context.Context
	dir        string
	r          *archive.Reader
	j          *judge
	incomplete error
}

// Follow begins to judge a history that is still being written. gone is closed
// when its writer is done; nil: it is in another process. failed is called from
// Store, with each guarantee of the store once, when it is seen broken: that is
// a minute or so after the fact, since a segment is closed after half a minute
// and records are put into order by their times. It is not called once records
// were lost, for what is missing looks like a violation.
func Follow(ctx context.Context, dir string, opt Options, gone <-chan struct{}, failed func(guarantee string)) (*Process, error) {
	return follow(ctx, dir, opt, failed, archive.FollowOptions{Gone: gone})
}

func follow(ctx context.Context, dir string, opt Options, failed func(string), how archive.FollowOptions) (*Process, error) {
	p := &Process{ctx: ctx, dir: dir, j: newJudge(opt)}
	how.Idle = func() {
		p.j.calls.Advance()
		p.j.round()
	}
	var err error
	if p.r, err = archive.Follow(ctx, dir, how); err != nil {
		return nil, fmt.Errorf("follow the history in %s: %w", dir, err)
	}
	p.j.failed = func(guarantee string) {
		if failed != nil && !p.lossy() {
			failed(guarantee)
		}
	}
	return p, nil
}

func (p *Process) lossy() bool {
	for _, s := range p.r.Streams() {
		if s.Lost > 0 {
			return true
		}
	}
	return false
}

// Store judges the storage history to its end, and of one that is still being
// written waits for that. It fails like Directory.
func (p *Process) Store() error {
	for rec, err := range archive.ReadStore(p.r) {
		if errors.Is(err, archive.ErrIncomplete) {
			p.incomplete = err
			break
		}
		if err == nil && p.j.read%step == 0 {
			err = context.Cause(p.ctx)
		}
		if err != nil {
			return fmt.Errorf("judge the history in %s: %w", p.dir, err)
		}
		p.j.add(rec)
	}
	if err := p.r.End(); err != nil { // where a segment was damaged, the run goes on
		return fmt.Errorf("judge the history in %s: %w", p.dir, err)
	}
	if p.incomplete == nil {
		p.incomplete = p.r.Complete()
	}
	p.j.finish()
	if p.incomplete == nil {
		p.j.tell()
	}
	return nil
}

// Finish judges the rest, after Store. settled is Options.Settled, which is
// known only at the end of a run.
func (p *Process) Finish(settled int64) (*Judgement, error) {
	began := history.Now()
	p.j.opt.Settled = settled
	result := &p.j.result
	if p.r.Has(archive.APICalls.Name) && p.r.Has(archive.Versions.Name) {
		_, last := p.j.calls.Timeline().Bounds()
		missing, err := judgeAPI(p.ctx, p.r, p.j.opt, p.j.window.Window(), last, result)
		if err != nil {
			return nil, fmt.Errorf("judge the history in %s: %w", p.dir, err)
		}
		if p.incomplete == nil {
			p.incomplete = missing
		}
	}
	for i := range result.Verdicts {
		p.j.settle(&result.Verdicts[i], p.incomplete)
	}
	for _, s := range p.r.Streams() {
		result.Lost += s.Lost
	}
	result.Took = history.Since(began)
	return result, nil
}
