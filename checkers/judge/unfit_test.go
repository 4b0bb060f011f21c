package judge

import (
	"slices"
	"testing"

	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/checkers/history"
)

// A history that cannot be judged is Invalid, also where a plan claims nothing of
// what it was to be judged for: a `scale` of few pods claims no guarantee of the API.
func TestUnfitThoughNotClaimed(t *testing.T) {
	f := func(name string, damage func(p *plane), want ...string) {
		t.Helper()
		p := newPlane(2, 1500)
		damage(p)
		j := mustJudge(t, p.whole(t), Options{Claimed: []string{}})
		if got := checkers.Worst(j.Verdicts); got != checkers.Invalid {
			t.Errorf("%s: the run is %s, want Invalid", name, got)
		}
		for _, v := range j.Verdicts {
			if unfit := v.Outcome == checkers.Invalid && v.Unfit; slices.Contains(want, Claim(v.Area, v.Guarantee)) && !unfit {
				t.Errorf("%s: %s %s, unfit %v", name, v.Area, v, v.Unfit)
			}
		}
	}
	f("an unknown method", func(p *plane) {
		like := p.store.Ops[len(p.store.Ops)/2]
		p.store.Ops = append(p.store.Ops, &history.StoreOp{
			ID: 1 << 40, Client: 1 << 20, Member: like.Member, Called: like.Called, Returned: like.Returned,
			Method: history.MethodUnknown, Error: history.StoreError{Message: "/etcdserverpb.Auth/UserAdd"},
		})
	}, "Order", "Replay", "Reads", "LeaseHonest", "MembersAgree")
	f("a call that returned before it was made", func(p *plane) {
		op := p.store.Ops[len(p.store.Ops)/2]
		op.Called = op.Returned + 1
	}, "Order", "DefiniteFailureInert")
	f("an impossible revision on a watch", func(p *plane) {
		i := slices.IndexFunc(p.store.Watches, func(w *history.StoreWatch) bool { return w.Kind == history.WatchProgress })
		p.store.Watches[i].Header = -7
	}, "Ordered", "Fresh")
	f("versions out of order", func(p *plane) {
		i := len(p.versions) / 2
		for p.versions[i].Revision == p.versions[i+1].Revision {
			i++
		}
		p.versions[i], p.versions[i+1] = p.versions[i+1], p.versions[i]
	}, "API/MostRecent", "API/Delivered", "API/NoLostUpdate", "cluster/NoOvercommit", "cluster/NoOrphans")
	f("a version that is missing", func(p *plane) {
		i := len(p.versions) / 2
		p.versions = slices.Delete(p.versions, i, i+1)
	}, "API/MostRecent", "cluster/NoDoubleBind")
}

// One epoch that cannot be judged is enough.
func TestUnfitEpoch(t *testing.T) {
	f := func(before, after checkers.Verdict, want bool) {
		t.Helper()
		if v := mergeVerdicts(before, after); v.Unfit != want {
			t.Errorf("%+v and %+v: %+v", before, after, v)
		}
	}
	unfit, short := checkers.Verdict{Outcome: checkers.Invalid, Unfit: true}, checkers.Verdict{Outcome: checkers.Invalid}
	f(unfit, checkers.Verdict{Outcome: checkers.Pass}, true)
	f(checkers.Verdict{Outcome: checkers.NotExercised}, unfit, true)
	f(short, checkers.Verdict{Outcome: checkers.Pass}, false)
	f(unfit, checkers.Verdict{Outcome: checkers.Fail}, false)
}
