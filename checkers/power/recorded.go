package power

import (
	"context"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"sync"

	apipower "github.com/planecheck/planecheck/checkers/power/api"

	"github.com/planecheck/planecheck/checkers/history/archive"
	"github.com/planecheck/planecheck/checkers/power/mutants"
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

// RunRecorded tells lies in the storage histories of runs until some mutants of each
// guarantee count, spread over its lies and the histories, and looks who catches them.
// What one history has no place for, the next ones make up for as far as they can. It
// stops with the context's error when that ends.
//
// A run of 20 nodes has some 20,000 calls of the store. The model, which is quadratic,
// judges each history once as a whole, and of a mutant what the lie has touched.
func RunRecorded(ctx context.Context, dirs []string, quota int) (*Report, error) {
	all := &Report{Config: Config{Histories: len(dirs), Mutants: quota}, Recorded: true}
	left := map[string]int{}
	for _, g := range Guarantees() {
		left[g] = quota
	}
	for i, dir := range dirs {
		b, err := load(dir)
		if err != nil {
			return nil, err
		}
		b.known = accept(all.clean(b))
		for _, m := range recorded(ctx, b, i, func(g string) int {
			return (left[g] + len(dirs) - i - 1) / (len(dirs) - i)
		}) {
			all.Mutants = append(all.Mutants, m)
			if m.Fate != mutants.Acquitted {
				left[m.Lie.Breaks]--
			}
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// recorded tells lies in one history until quota of them count of each guarantee, as
// many at a time as there are processors. first is the lie to begin with, so that small
// quotas reach them all.
func recorded(ctx context.Context, b base, first int, quota func(guarantee string) int) (all []Mutant) {
	lies := map[string][]Lie{}
	for _, lie := range Catalogue() {
		lies[lie.Breaks] = append(lies[lie.Breaks], lie)
	}
	told := make([][]Mutant, len(Guarantees()))
	var wg sync.WaitGroup
	turn := make(chan struct{}, runtime.GOMAXPROCS(0))
	for i, g := range Guarantees() {
		n := quota(g)
		wg.Go(func() {
			turn <- struct{}{}
			defer func() { <-turn }()
			told[i] = toldIn(ctx, b, lies[g], first, n)
		})
	}
	wg.Wait()
	return slices.Concat(told...)
}

// toldIn tells some lies in one history, in turn, until quota of them count. One that
// finds no place, or none that counts, is tried a few times at others.
func toldIn(ctx context.Context, b base, lies []Lie, first, quota int) (all []Mutant) {
	nowhere := map[string]int{}
	for told, try := 0, 0; told < quota && try < (quota+4)*len(lies) && ctx.Err() == nil; try++ {
		lie := lies[(try+first)%len(lies)]
		if nowhere[lie.Name] >= 4 {
			continue
		}
		m, ok := tell(lie, b, uint64(try))
		if ok {
			all = append(all, m)
		}
		if ok && m.Fate != mutants.Acquitted {
			told++
		} else {
			nowhere[lie.Name]++
		}
	}
	return all
}
