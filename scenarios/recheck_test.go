package scenarios_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/checkers/power/known"
	"github.com/planecheck/planecheck/checkers/power/tally"
	"github.com/planecheck/planecheck/results"
	"github.com/planecheck/planecheck/scenarios"
)

// expectSameAgain holds that `planecheck check` comes to the verdicts of the run, by as
// much evidence, from its directory alone.
func expectSameAgain(ctx context.Context, run *results.Run, dir string) {
	GinkgoHelper()
	By("judging the history again, from the directory alone")
	var out strings.Builder
	judged, beside, outcome, err := (&scenarios.Runner{Out: &out, Planecheck: "test"}).CheckVerdicts(ctx, dir)
	Expect(err).NotTo(HaveOccurred())
	Expect(out.String()).To(ContainSubstring(" (%d bytes a record), ", run.History.Bytes/run.History.Records()))
	Expect(judged).NotTo(BeEmpty())
	Expect(outcome).To(Equal(run.Verdict.Outcome))
	Expect(unlike(run.Verdict.Guarantees, judged, beside)).To(BeEmpty())
}

// unlike says in what the verdicts of a run differ from those of its history when it is
// judged again, and from those beside it, which no history gives.
func unlike(run, judged, beside []checkers.Verdict) (differ []string) {
	find := func(list []checkers.Verdict, v checkers.Verdict) int {
		return slices.IndexFunc(list, func(w checkers.Verdict) bool { return w.Area == v.Area && w.Guarantee == v.Guarantee })
	}
	tell := func(v checkers.Verdict, format string, args ...any) {
		differ = append(differ, strings.TrimSpace(v.Area+" "+v.Guarantee)+" "+fmt.Sprintf(format, args...))
	}
	for _, v := range run {
		again := slices.Concat(judged, beside)
		switch i := find(again, v); {
		case i < 0:
			tell(v, "is not judged again")
		case again[i].Outcome != v.Outcome || again[i].Checked != v.Checked:
			tell(v, "was %s by %s, and is %s by %s", v.Outcome, v.Checked, again[i].Outcome, again[i].Checked)
		case i >= len(judged) && ofHistory(v):
			tell(v, "is taken from the record, and not judged again")
		}
	}
	for _, v := range judged {
		if find(run, v) < 0 {
			tell(v, "is judged again, and was not before")
		}
	}
	return differ
}

// ofHistory says whether it is the history that gives a verdict.
func ofHistory(v checkers.Verdict) bool {
	return slices.ContainsFunc(known.Guarantees(), func(g tally.Row) bool { return g.Area != "" && g.Area == v.Area && g.Guarantee == v.Guarantee })
}

func TestUnlike(t *testing.T) {
	verdict := func(area, guarantee string, outcome checkers.Outcome, checked string) checkers.Verdict {
		return checkers.Verdict{Area: area, Guarantee: guarantee, Outcome: outcome, Checked: checked}
	}
	complete := verdict("", "PlanComplete", checkers.Pass, "4 of 4 phases")
	shape := verdict(checkers.AreaStore, "CountAsModel", checkers.Pass, "10 answers compared")
	order := verdict(checkers.AreaStore, "Order", checkers.Pass, "1000 operations")
	stored := verdict(checkers.AreaStore, "Ordered", checkers.Pass, "1000 events")
	ordered := verdict(checkers.AreaAPI, "Ordered", checkers.Pass, "2000 changes")
	run := []checkers.Verdict{complete, shape, order, stored, ordered}
	f := func(want string, judged, beside []checkers.Verdict) {
		t.Helper()
		if got := strings.Join(unlike(run, judged, beside), "; "); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	of, only := []checkers.Verdict{order, stored, ordered}, []checkers.Verdict{complete, shape}
	f("", of, only)
	f("API Ordered was Pass by 2000 changes, and is Pass by 1000 events",
		[]checkers.Verdict{order, stored, verdict(checkers.AreaAPI, "Ordered", checkers.Pass, "1000 events")}, only)
	f("store Order was Pass by 1000 operations, and is Not exercised by 1000 operations",
		[]checkers.Verdict{verdict(checkers.AreaStore, "Order", checkers.NotExercised, "1000 operations"), stored, ordered}, only)
	f("store Ordered is taken from the record, and not judged again", []checkers.Verdict{order, ordered}, append(only, stored))
	f("PlanComplete is not judged again", of, only[1:])
	f("cluster NoOrphans is judged again, and was not before",
		append(of, verdict(checkers.AreaCluster, "NoOrphans", checkers.Pass, "")), only)
}
