package apipower

import (
	"cmp"
	"slices"
	"time"

	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/checkers/api/reads"
	"github.com/planecheck/planecheck/checkers/api/watches"
	"github.com/planecheck/planecheck/checkers/api/writes"
	"github.com/planecheck/planecheck/checkers/cluster"
	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/versions"
)

// collect is shorter than what a judgement of a run allows the garbage
// collector, so that runs of one or two minutes hold owners that are long gone.
const collect = 30 * time.Second

// delivery is how long an event may take that nothing passes by, once there are no
// faults: what a judgement of a run allows after them.
const delivery = 10 * time.Second

// table makes a version table as package judge does.
func table(all []*history.Version) *versions.Table {
	t := versions.New()
	if len(all) > 0 && all[0].Revision <= 4 { // the first revision of a store is 2, and may be doubled
		t.Sealed(1)
	}
	for _, v := range all {
		t.Add(v)
	}
	_, last := t.Bounds()
	t.Sealed(last)
	return t
}

// judge shows a history to one checker, without floors, and returns what that
// says is broken.
func (t *teller) judge(half string, tab *versions.Table) []checkers.Verdict {
	var verdicts []checkers.Verdict
	switch half {
	case "reads":
		c := reads.New(reads.Options{Versions: tab, Window: t.b.Window, Floors: reads.Floors{
			Reads: -1, Recent: -1, Bounded: -1, Exact: -1, Lists: -1, Pages: -1, Expired: -1, TooNew: -1,
		}})
		feed(t.calls, c.Call)
		verdicts = c.Finish()
	case "watches":
		c := watches.New(watches.Options{Versions: tab, Window: t.b.Window, Calm: t.b.Calm, Bound: delivery, Floors: watches.Floors{
			Events: -1, Initial: -1, Ends: -1, Bookmarks: -1, Deleted: -1, Matching: -1, Expired: -1, Future: -1,
		}})
		feed(t.calls, c.Call)
		feed(t.watches, c.Watch)
		verdicts = c.Finish()
	case "writes":
		c := writes.New(writes.Options{Versions: tab, Window: t.b.Window, Calm: t.b.Calm, Undeclared: t.b.Undeclared, Floors: writes.Floors{
			Writes: -1, Versions: -1, Conflicts: -1, Exists: -1, NotFound: -1, Preconditions: -1,
			Marked: -1, Repeated: -1, DryRuns: -1, Errors: -1, Illegal: -1,
		}})
		feed(t.calls, c.Call)
		verdicts = c.Finish()
	case "cluster":
		_, last := tab.Bounds()
		opts := cluster.Options{Versions: tab, Commit: t.b.Window.Commit, Settled: []cluster.Moment{{Revision: last}}, Calm: t.b.Calm, Patience: patience, Collect: collect, Heal: heal,
			Floors: cluster.Floors{Bindings: -1, Workloads: -1, Services: -1, Owned: -1, Leaders: -1, Evictions: -1, Rollouts: -1, Jobs: -1, Removed: -1}}
		if t.doubled {
			opts.Commit = t.commit
		}
		verdicts = cluster.Judge(opts)
	}
	return slices.DeleteFunc(verdicts, func(v checkers.Verdict) bool { return v.Outcome != checkers.Fail })
}

// feed hands over copies of no record: the checkers keep none.
func feed[T any](records []*T, to func(*T)) {
	for _, r := range records {
		to(r)
	}
}

// objection is what the model has against a history with a lie, "": nothing.
func (t *teller) objection(guarantee string) string {
	if half(guarantee) == "cluster" {
		return t.clusterWrong(guarantee)
	}
	f := t.f
	if t.rewrites || len(t.edited) > 0 {
		f = learn(t.calls, t.watches, t.versions)
		f.calm, f.undeclared = t.b.Calm, t.b.Undeclared
	}
	for _, id := range t.streams {
		ms := slices.DeleteFunc(slices.Clone(t.watches), func(m *history.APIWatch) bool { return m.Call != id })
		if why := f.watchWrong(t.b.Window, f.byID[id], ms); why != "" {
			return why
		}
	}
	for _, c := range t.edited {
		// An edited call may have been edited again.
		if why := f.callWrong(t.b.Window, t.calls, f.byID[c.ID]); c.Verb != "watch" && why != "" {
			return why
		}
		if why := flawWrong(t.b.Calm, f.byID[c.ID]); why != "" {
			return why
		}
		if why := cmp.Or(f.legalWrong(t.b.Window, t.calls, f.byID[c.ID]), contentWrong(f.byID[c.ID])); why != "" {
			return why
		}
		// The page behind an edited one may have become the wrong one.
		for _, next := range t.calls {
			if why := ""; c.NextPage != 0 && next.Continue == c.NextPage {
				if why = f.readWrong(t.b.Window, next); why != "" {
					return why
				}
			}
		}
	}
	if t.rewrites {
		// An object that stayed may have been selected by deletions that were left as they are.
		for _, c := range t.calls {
			if c.Verb == "deletecollection" {
				if why := f.collectionWrong(t.b.Window, c); why != "" {
					return why
				}
			}
		}
		return f.tableWrong(t.b.Window, t.calls)
	}
	return ""
}
