package apipower

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"

	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/checkers/power/mutants"
	"github.com/planecheck/planecheck/checkers/versions"
)

// Mutant is one lie told in one history.
type Mutant = mutants.Mutant[*teller]

// Run tells lies in histories until some mutants of each guarantee count,
// spread evenly over its lies and the histories, and looks who catches them. It
// stops with the context's error when that ends.
func Run(ctx context.Context, bases []*Base, total int) (*Report, error) {
	if len(bases) == 0 {
		return nil, errors.New("measure the power of the checkers: no histories")
	}
	reports := make([]*Report, len(bases))
	var wg sync.WaitGroup
	turn := make(chan struct{}, runtime.GOMAXPROCS(0))
	for i, b := range bases {
		// The quota of one history; what does not divide goes to the first ones.
		quota := total / len(bases)
		if i < total%len(bases) {
			quota++
		}
		reports[i] = &Report{}
		wg.Go(func() {
			turn <- struct{}{}
			defer func() { <-turn }()
			reports[i].base(ctx, b, quota, i)
		})
	}
	wg.Wait()
	all := &Report{Bases: len(bases), Quota: total}
	for _, r := range reports {
		all.Mutants = append(all.Mutants, r.Mutants...)
		all.FalseAlarms = append(all.FalseAlarms, r.FalseAlarms...)
		all.FalseObjections = append(all.FalseObjections, r.FalseObjections...)
	}
	return all, ctx.Err()
}

// base tells the lies of one history. first is the lie to begin with, so that
// small quotas reach them all.
func (r *Report) base(ctx context.Context, b *Base, quota, first int) {
	tab := table(b.Versions) // of the history before lies, shared by most mutants
	r.clean(b, tab)
	lies := map[string][]Lie{}
	for _, lie := range Catalogue() {
		lies[lie.Breaks] = append(lies[lie.Breaks], lie)
	}
	for _, g := range Guarantees() {
		nowhere := map[string]int{} // lies that found no place, or never count
		for told, try := 0, 0; told < quota && try < 4*quota+8*len(lies[g]) && ctx.Err() == nil; try++ {
			lie := lies[g][(try+first)%len(lies[g])]
			if nowhere[lie.Name] >= 8 {
				continue
			}
			m, ok := tell(lie, b, tab, uint64(try))
			if ok {
				r.Mutants = append(r.Mutants, m)
			}
			if ok && m.Fate != mutants.Acquitted {
				told++
			} else {
				nowhere[lie.Name]++
			}
		}
	}
}

// tell makes one mutant and finds its fate.
func tell(lie Lie, b *Base, tab *versions.Table, seed uint64) (Mutant, bool) {
	t := newTeller(b, seed)
	if !lie.Tell(t) {
		return Mutant{}, false
	}
	if t.rewrites {
		tab = table(t.versions)
	}
	return mutants.Judged(lie, b.Name, seed, t.judge(half(lie.Breaks), tab), t.objection(lie.Breaks)), true
}

// clean judges a history without a lie, and one with nothing but a workload,
// a change of leaders, a node that fails, a rollout, a Job and a namespace that is
// deleted added, and lets the model judge every record of it.
func (r *Report) clean(b *Base, tab *versions.Table) {
	alarm := func(what string, verdicts []checkers.Verdict) {
		for _, v := range verdicts {
			r.FalseAlarms = append(r.FalseAlarms, fmt.Sprintf("%s%s: %s", b.Name, what, v))
		}
	}
	t := newTeller(b, 0)
	for _, h := range []string{"reads", "watches", "writes", "cluster"} {
		alarm("", t.judge(h, tab))
	}
	with := newTeller(b, 0)
	if m := with.build(3); m != nil {
		m.elect(handover{})
		m.fail(outage{})
		m.roll(rollout{})
		m.run(errand{})
		m.empty(eviction{})
		alarm(" with a workload", with.judge("cluster", table(with.versions)))
		for _, g := range []string{"NoDoubleBind", "ReplicasConverge", "EndpointsMatch", "NoOrphans", "OneLeader", "NodeFailureHeals",
			"RolloutBounded", "JobCompletionsExact", "NamespaceEmpties"} {
			r.object(b, with.clusterWrong(g))
		}
	}
	for _, c := range b.Calls {
		if judged(c) {
			r.object(b, b.facts.callWrong(b.Window, b.Calls, c))
		}
		r.object(b, flawWrong(b.Calm, c))
		r.object(b, b.facts.legalWrong(b.Window, b.Calls, c))
		r.object(b, contentWrong(c))
		if c.Verb == "watch" && c.Status == 200 && judged(c) && len(b.facts.names[kindOf(c)]) > 0 {
			r.object(b, b.facts.watchWrong(b.Window, c, b.facts.messages[c.ID]))
		}
	}
	r.object(b, b.facts.tableWrong(b.Window, b.Calls))
}

func (r *Report) object(b *Base, why string) {
	if why != "" {
		r.FalseObjections = append(r.FalseObjections, b.Name+": "+why)
	}
}
