package cluster_test

import (
	"cmp"
	"math"
	"slices"
	"testing"

	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/checkers/cluster"
	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/versions"
)

// inSteps judges a table that is filled from another one meanwhile, and returns
// also what was known to be broken before the end.
func inSteps(opts cluster.Options) (verdicts []checkers.Verdict, broken []string) {
	first, last := opts.Versions.Bounds()
	var all []*history.Version
	for _, k := range opts.Versions.Kinds() {
		for c := range k.Changes(0, math.MaxInt64) {
			all = append(all, c.Now)
		}
	}
	slices.SortStableFunc(all, func(a, b *history.Version) int { return cmp.Compare(a.Revision, b.Revision) })
	opts.Versions = versions.New()
	opts.Versions.Sealed(first)
	settled := opts.Settled
	opts.Settled = nil
	c := cluster.New(opts)
	for _, v := range all {
		opts.Versions.Add(v)
		c.Advance(v.Revision - 1)
	}
	broken = c.Broken()
	opts.Versions.Sealed(last)
	return c.Finish(settled), broken
}

// sameInSteps fails the test where a judgement in steps differs from that of the
// whole table.
func sameInSteps(t *testing.T, opts cluster.Options) {
	t.Helper()
	if opts.Versions.Dropped() > 0 {
		return
	}
	got, _ := inSteps(opts)
	for i, want := range cluster.Judge(opts) {
		if got[i] != want {
			t.Errorf("in steps %+v\nas a whole %+v", got[i], want)
		}
	}
}

// What is about every moment is known to be broken before the end.
func TestBrokenBeforeTheEnd(t *testing.T) {
	got, broken := inSteps(bad().put(pod("q")).options())
	if want := []string{cluster.NoDoubleBind, cluster.OneLeader, cluster.NodeFailureHeals,
		cluster.RolloutBounded, cluster.JobCompletionsExact, cluster.NamespaceEmpties, cluster.NoOrphans}; !slices.Equal(broken, want) {
		t.Errorf("broken before the end: %q, want %q: nothing says which scheduler is to be judged", broken, want)
	}
	for _, v := range got {
		if v.Outcome != checkers.Fail {
			t.Errorf("%s", v)
		}
	}
	named := func(fields ...string) history.Version {
		return pod("q", append(fields, "spec.schedulerName=default-scheduler")...)
	}
	w := newWorld().put(node("n", "allocatable.pods=0")).put(named()).put(named("spec.nodeName=n")).put(pod("r"))
	_, broken = inSteps(w.options())
	if want := []string{cluster.NoOvercommit}; !slices.Equal(broken, want) {
		t.Errorf("broken before the end: %q, want %q", broken, want)
	}
}
