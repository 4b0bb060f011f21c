package power

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"sync"

	apipower "github.com/planecheck/planecheck/checkers/power/api"

	"github.com/planecheck/planecheck/checkers/history/archive"
)

// load reads the storage history of a run, as it was recorded. An incomplete one is
// refused, for nothing could be said of a lie in it.
func load(dir string) (base, error) {
	b := base{name: filepath.Base(dir), bounds: etcdBounds()}
	r, err := archive.Open(filepath.Join(dir, "history"))
	if err == nil {
		err = r.Complete()
	}
	if err == nil {
		b.calm, err = apipower.Calm(dir)
	}
	if err != nil {
		return base{}, fmt.Errorf("load the storage history of %s: %w", dir, err)
	}
	for rec, err := range archive.ReadStore(r) {
		switch {
		case err != nil:
			return base{}, fmt.Errorf("load the storage history of %s: %w", dir, err)
		case rec.Op != nil:
			b.h.Ops = append(b.h.Ops, rec.Op.Clone())
		default:
			b.h.Watches = append(b.h.Watches, rec.Watch.Clone())
		}
	}
	return b, nil
}

// RunRecorded tells each lie of the catalogue a number of times in the storage
// history of each of the runs, and looks who catches it. A mutant costs a second or
// two: the model is quadratic, and a run of 20 nodes has some 20,000 calls of the
// store.
func RunRecorded(ctx context.Context, dirs []string, each int) (*Report, error) {
	reports := make([]*Report, len(dirs))
	failed := make([]error, len(dirs))
	var wg sync.WaitGroup
	turn := make(chan struct{}, runtime.GOMAXPROCS(0))
	for i, dir := range dirs {
		wg.Go(func() {
			turn <- struct{}{}
			defer func() { <-turn }()
			reports[i] = &Report{}
			var b base
			if b, failed[i] = load(dir); failed[i] == nil {
				reports[i].recorded(ctx, b, each)
			}
		})
	}
	wg.Wait()
	all := &Report{Config: Config{Histories: len(dirs), Mutants: each}, Recorded: true}
	for _, r := range reports {
		all.Mutants = append(all.Mutants, r.Mutants...)
		all.Clean += r.Clean
		all.FalseAlarms = append(all.FalseAlarms, r.FalseAlarms...)
		all.FalseObjections = append(all.FalseObjections, r.FalseObjections...)
	}
	return all, errors.Join(errors.Join(failed...), ctx.Err())
}

// recorded tells the lies in one history. A lie may find no place at one seed, or
// none that counts, and find one at the next.
func (r *Report) recorded(ctx context.Context, b base, each int) {
	r.clean(b)
	b.facts = learn(b.h)
	for _, lie := range Catalogue() {
		for told, try := 0, 0; told < each && try < each+2 && ctx.Err() == nil; try++ {
			m, ok := tell(lie, b, uint64(try))
			if ok {
				r.Mutants = append(r.Mutants, m)
			}
			if ok && m.Fate != Equivalent {
				told++
			}
		}
	}
}
