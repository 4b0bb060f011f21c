package power

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/power/mutants"
	"github.com/planecheck/planecheck/checkers/storage"
	"github.com/planecheck/planecheck/checkers/storage/storetest"
	"github.com/planecheck/planecheck/checkers/storage/watch"
	"github.com/planecheck/planecheck/checkers/timeline"
)

// Config sizes a run.
type Config struct {
	Histories int    // histories that the lies are told in; default 10
	Clean     int    // further histories without a lie; default 10
	Mutants   int    // to tell per guarantee; default 200
	Seed      uint64 // of the first history; the others follow; default 1
}

func (c Config) withDefaults() Config {
	for n, def := range map[*int]int{&c.Histories: 10, &c.Clean: 10, &c.Mutants: 200} {
		if *n == 0 {
			*n = def
		}
	}
	c.Seed = max(1, c.Seed)
	return c
}

// generate makes a history with failures, members that lag, compactions, leases
// that expire and streams that break.
func generate(seed uint64) storetest.History {
	return storetest.Generate(seed, storetest.Config{
		Ops: 300, Think: 150 * time.Millisecond, Leased: 0.6, Raw: 0.2, Unknown: 0.06, Streams: 6,
	})
}

// base is a valid history that lies are told in, and the times that it is judged by.
type base struct {
	name string // the seed of a generated one, the directory of a recorded one
	h    storetest.History
	bounds
	known *accepted // what the model knows of h; nil: it judges each mutant as a whole
}

// judge returns the guarantees that the checkers say are broken, with what they
// say, in the order of their verdicts.
func judge(h storetest.History, b bounds) []checkers.Verdict {
	calls := storage.New(storage.Options{Start: firstRevision, Floors: storage.Floors{
		Operations: -1, Conflicts: -1, Compactions: -1, Leases: -1, Refusals: -1, Crashes: -1, Members: -1, Hashes: -1,
	}})
	commits := map[int64]watch.Interval{}
	watches := watch.NewChecker(calls.Timeline(), watch.Options{
		Commit: func(rev int64) (watch.Interval, bool) { at, ok := commits[rev]; return at, ok },
		Calm:   b.calm, Bound: b.fresh,
		Floors: watch.Floors{Events: -1, Resumed: -1, Compactions: -1, Compacted: -1, Progress: -1, Multi: -1, Previous: -1, Creations: -1},
	})
	h.Feed(sink{calls: calls, watches: watches, commits: commits})
	verdicts := append(calls.Finish(), watches.Finish()...)
	return slices.DeleteFunc(verdicts, func(v checkers.Verdict) bool { return v.Outcome == checkers.Pass })
}

// sink hands records to both checkers, as package judge does.
type sink struct {
	calls   *storage.Checker
	watches *watch.Checker
	commits map[int64]watch.Interval
}

func (s sink) StoreOp(op *history.StoreOp) {
	if op.Returned != 0 && op.Header > 0 && timeline.Changed(op) {
		s.commits[op.Header] = watch.Interval{Called: op.Called, Returned: op.Returned}
	}
	s.calls.StoreOp(op)
	s.watches.AddOp(op)
}

func (s sink) StoreWatch(w *history.StoreWatch) {
	s.calls.StoreWatch(w)
	s.watches.Add(w)
}

// Mutant is one lie told in one history.
type Mutant = mutants.Mutant[*teller]

// Run tells lies of the catalogue in generated histories and looks who catches
// them. It stops with the context's error when that ends.
func Run(ctx context.Context, cfg Config) (*Report, error) {
	cfg = cfg.withDefaults()
	report := &Report{Config: cfg}
	var bases []base
	for i := range cfg.Histories + cfg.Clean {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		seed := cfg.Seed + uint64(i)
		b := base{name: fmt.Sprint(seed), h: generate(seed), bounds: etcdBounds()}
		report.clean(b)
		if i < cfg.Histories {
			bases = append(bases, b)
		}
	}
	lies := map[string][]Lie{}
	for _, lie := range Catalogue() {
		lies[lie.Breaks] = append(lies[lie.Breaks], lie)
	}
	for _, g := range Guarantees() {
		// Lies that find no place are tried again elsewhere, but not for ever.
		told := 0
		for try := 0; told < cfg.Mutants && try < 8*cfg.Mutants+len(lies[g])*cfg.Histories; try++ {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			lie := lies[g][try%len(lies[g])]
			n := try / len(lies[g]) % len(bases)
			if m, ok := tell(lie, bases[n], uint64(try)); ok {
				report.Mutants = append(report.Mutants, m)
				if m.Fate != mutants.Acquitted {
					told++
				}
			}
		}
	}
	return report, nil
}

// tell makes one mutant and finds its fate.
func tell(lie Lie, b base, seed uint64) (Mutant, bool) {
	t := newTeller(b.h, b.known, seed)
	if !lie.Tell(t) {
		return Mutant{}, false
	}
	return mutants.Judged(lie, b.name, seed, judge(t.h, b.bounds), objection(t.h, b.bounds, t.was)), true
}

// Guarantees returns the guarantees of the catalogue in its order.
func Guarantees() []string {
	var names []string
	for _, lie := range Catalogue() {
		if !slices.Contains(names, lie.Breaks) {
			names = append(names, lie.Breaks)
		}
	}
	return names
}

// clean judges a history without a lie, and returns what the model makes of it.
func (r *Report) clean(b base) *facts {
	r.Clean++
	for _, v := range judge(b.h.Clone(), b.bounds) {
		r.FalseAlarms = append(r.FalseAlarms, fmt.Sprintf("history %s: %s", b.name, v))
	}
	f := study(b.h, b.bounds)
	if len(f.bad) > 0 {
		r.FalseObjections = append(r.FalseObjections, fmt.Sprintf("history %s: %s", b.name, strings.Join(f.bad, "; ")))
	}
	return f
}
