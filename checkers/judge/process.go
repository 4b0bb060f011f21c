package judge

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/history/archive"
)

// Process is the judgement of one history on its way: the store's half first,
// which can be judged while the history is still written, then the API's and
// the cluster's, which need the whole of the store's.
type Process struct {
	dir        string
	r          *archive.Reader
	j          *judge
	incomplete error
	took       time.Duration
}

// Follow begins to judge a history that is still being written. failed is
// called from Store, with each guarantee of the store once, when it is first
// seen broken; nil: nobody wants to know.
func Follow(ctx context.Context, dir string, opt Options, failed func(guarantee string)) (*Process, error) {
	return follow(ctx, dir, opt, failed, archive.FollowOptions{})
}

func follow(ctx context.Context, dir string, opt Options, failed func(string), how archive.FollowOptions) (*Process, error) {
	r, err := archive.Follow(ctx, dir, how)
	if err != nil {
		return nil, fmt.Errorf("follow the history in %s: %w", dir, err)
	}
	p := &Process{dir: dir, r: r, j: newJudge(opt)}
	p.j.failed = failed
	return p, nil
}

// Store judges the storage history to its end, and of one that is still being
// written waits for that. It fails with the cause of the context of Follow when
// that is done, and like Directory.
func (p *Process) Store() error {
	began := history.Now()
	defer func() { p.took += history.Since(began) }()
	for rec, err := range archive.ReadStore(p.r) {
		if errors.Is(err, archive.ErrIncomplete) {
			p.incomplete = err
			break
		}
		if err != nil {
			return fmt.Errorf("judge the history in %s: %w", p.dir, err)
		}
		p.j.add(rec)
	}
	p.incomplete = errors.Join(p.r.Complete(), p.incomplete)
	return nil
}

// Finish judges the rest, after Store. settled is Options.Settled, which is
// known only at the end of a run.
func (p *Process) Finish(settled int64) (*Judgement, error) {
	began := history.Now()
	p.j.opt.Settled = settled
	result := p.j.finish()
	if p.r.Has(archive.APICalls.Name) && p.r.Has(archive.Versions.Name) {
		_, last := p.j.calls.Timeline().Bounds()
		missing, err := judgeAPI(p.r, p.j.opt, p.j.window.Window(), last, result)
		if err != nil {
			return nil, fmt.Errorf("judge the history in %s: %w", p.dir, err)
		}
		p.incomplete = errors.Join(p.incomplete, missing)
	}
	for i := range result.Verdicts {
		p.j.settle(&result.Verdicts[i], p.incomplete)
	}
	for _, s := range p.r.Streams() {
		result.Lost += s.Lost
	}
	result.Took = p.took + history.Since(began)
	return result, nil
}
