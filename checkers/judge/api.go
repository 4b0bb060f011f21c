package judge

import (
	"context"
	"errors"
	"iter"

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

// apiHistory judges the API history and the version table, which need the whole
// of the storage history first: what an answer may show depends on what was
// committed until it came.
type apiHistory struct {
	ctx      context.Context
	opt      Options
	versions *versions.Table
	window   *window.Window
	result   *Judgement
}

// judgeAPI adds the verdicts on the API and on the cluster to a judgement. last
// is the revision up to which the storage history is whole.
func judgeAPI(ctx context.Context, r *archive.Reader, opt Options, w *window.Window, last int64, result *Judgement) (incomplete, err error) {
	a := &apiHistory{ctx: ctx, opt: opt, versions: versions.New(), window: w, result: result}
	incomplete, err = a.readVersions(r, last)
	if err != nil {
		return nil, err
	}
	missing, err := a.judge(r)
	return errors.Join(incomplete, missing), err
}

func (a *apiHistory) readVersions(r *archive.Reader, last int64) (incomplete, err error) {
	incomplete, err = each(a.ctx, archive.Read(r, archive.Versions), func(v *history.Version) {
		a.result.Versions++
		a.versions.Add(v)
	})
	a.versions.Sealed(last)
	return incomplete, err
}

// judge reads attempts first and watches then: a message of a watch may stand
// on the disk before the attempt that opened it.
func (a *apiHistory) judge(r *archive.Reader) (incomplete, err error) {
	read := reads.New(reads.Options{Versions: a.versions, Window: a.window})
	write := writes.New(writes.Options{Versions: a.versions, Window: a.window})
	watch := watches.New(watches.Options{Versions: a.versions, Window: a.window, Faultless: a.opt.Faultless})
	opaque := map[uint64]bool{}
	incomplete, err = each(a.ctx, archive.Read(r, archive.APICalls), func(c *history.APICall) {
		a.result.Attempts++
		if c.Opaque {
			opaque[c.ID] = true
			return
		}
		read.Call(c)
		write.Call(c)
		watch.Call(c)
	})
	if err != nil {
		return nil, err
	}
	missing, err := each(a.ctx, archive.Read(r, archive.APIWatches), func(w *history.APIWatch) {
		a.result.APIMessages++
		if !opaque[w.Call] {
			watch.Watch(w)
		}
	})
	if err != nil {
		return nil, err
	}
	for _, list := range [][]checkers.Verdict{
		read.Finish(), watch.Finish(), write.Finish(),
		cluster.Judge(cluster.Options{Versions: a.versions, Commit: a.window.Commit, Settled: a.opt.Settled}),
	} {
		a.result.Verdicts = append(a.result.Verdicts, list...)
	}
	a.result.APIDeliveries = apiDeliveries(watch.Deliveries())
	return errors.Join(incomplete, missing), nil
}

// each reads a stream. What is missing of it is told apart from what does not
// read.
func each[T any](ctx context.Context, records iter.Seq2[*T, error], f func(*T)) (incomplete, err error) {
	n := 0
	for record, err := range records {
		if n++; err == nil && n%step == 0 {
			err = context.Cause(ctx)
		}
		switch {
		case errors.Is(err, archive.ErrIncomplete):
			return err, nil
		case err != nil:
			return nil, err
		}
		f(record)
	}
	return nil, nil
}

func apiDeliveries(list []watches.Delivery) []Delivery {
	var all []Delivery
	for _, d := range list {
		all = append(all, Delivery(d))
	}
	return all
}
