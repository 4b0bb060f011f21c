package judge

import (
	"slices"
	"testing"

	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/checkers/cluster"
	"github.com/planecheck/planecheck/checkers/storage/storetest"
)

// What a run puts to the test only if its traffic lasts is claimed then, and
// no other guarantee with it.
func TestClaimsOfLastingTraffic(t *testing.T) {
	dir := newPlane(2, 1500).whole(t)
	const late, other = "API/TooNewHonest", "API/WatchTooNewHonest"
	f := func(what string, requests int64, want checkers.Outcome) {
		t.Helper()
		opt := Options{Claimed: []string{}, ClaimedAfter: map[string]int64{late: 200}, Requests: requests}
		for _, v := range mustJudge(t, dir, opt).Verdicts {
			switch name := Claim(v.Area, v.Guarantee); {
			case name == late && v.Outcome != want:
				t.Errorf("%s: %s is %s, want %s", what, name, v.Outcome, want)
			case name == other && v.Outcome != checkers.NotExercised:
				t.Errorf("%s: %s, which is not claimed, is %s", what, name, v.Outcome)
			}
		}
	}
	f("no traffic", 0, checkers.NotExercised)
	f("too short", 199, checkers.NotExercised)
	f("long enough", 200, checkers.Invalid)
}

// What no checker gives a verdict on is not passed in silence: of a history without
// the streams of the API, a claim about it is Invalid.
func TestClaimsNobodyJudges(t *testing.T) {
	h := storetest.Generate(1, storetest.Config{Ops: 1500})
	claimed := []string{"Order", "API/MostRecent", Claim(checkers.AreaCluster, cluster.NoDoubleBind)}
	var void []string
	for _, v := range mustJudge(t, write(t, h), Options{Claimed: claimed}).Verdicts {
		if v.Outcome == checkers.Invalid {
			void = append(void, Claim(v.Area, v.Guarantee))
		}
	}
	if !slices.Equal(void, claimed[1:]) {
		t.Errorf("Invalid are %v, want %v", void, claimed[1:])
	}
}

// A claim without any evidence is void, whatever it is about: a run that claims a
// guarantee and has nothing to judge it by is Invalid. What it does not claim is
// listed.
func TestVoidClaims(t *testing.T) {
	dir := newPlane(2, 1500).whole(t)
	of := []string{cluster.OneLeader, cluster.NodeFailureHeals, cluster.ReplicasConverge, cluster.EndpointsMatch, cluster.NoOrphans,
		cluster.RolloutBounded, cluster.JobCompletionsExact, cluster.NamespaceEmpties}
	var claims []string
	for _, g := range of {
		claims = append(claims, Claim(checkers.AreaCluster, g))
	}
	outcome := func(claimed []string) map[string]checkers.Outcome {
		t.Helper()
		found := map[string]checkers.Outcome{}
		for _, v := range mustJudge(t, dir, Options{Claimed: claimed}).Verdicts {
			found[Claim(v.Area, v.Guarantee)] = v.Outcome
		}
		return found
	}
	nothing, all := outcome([]string{}), outcome(nil)
	for _, g := range claims {
		if nothing[g] != checkers.NotExercised || all[g] != checkers.Invalid {
			t.Errorf("%s is %s where nothing is claimed, and %s where everything is", g, nothing[g], all[g])
		}
		one := outcome([]string{g})
		for _, other := range claims {
			if want := map[bool]checkers.Outcome{true: checkers.Invalid, false: checkers.NotExercised}[other == g]; one[other] != want {
				t.Errorf("%s is %s where %s is claimed, want %s", other, one[other], g, want)
			}
		}
	}
	if v := outcome([]string{"API/ExpiredHonest"})["API/ExpiredHonest"]; v != checkers.Invalid {
		t.Errorf("of the API it is %s", v)
	}
}
