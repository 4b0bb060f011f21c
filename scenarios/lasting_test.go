package scenarios

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/checkers/api/reads"
	"github.com/planecheck/planecheck/checkers/api/watches"
	"github.com/planecheck/planecheck/checkers/api/window"
	"github.com/planecheck/planecheck/checkers/api/writes"
	"github.com/planecheck/planecheck/checkers/versions"
)

// Contract traffic beside a load claims what it puts to the test if it lasts, all but
// what takes compactions, servers that start anew, and such that wait; at half the rate it would have to last
// twice as long, but then it brings less, so nothing is claimed.
func TestLastingClaims(t *testing.T) {
	claims := func(scenario string, adjust func(*Options)) map[string]int64 {
		t.Helper()
		found, err := Find(scenario)
		if err != nil {
			t.Fatal(err)
		}
		o := DefaultOptions()
		o.World.Nodes, o.Pods = 20, fewPods
		adjust(&o)
		return mustPlan(t, found[0], o).Judge.ClaimedAfter
	}
	rate := func(r float64) func(*Options) { return func(o *Options) { o.Contract = r } }
	plain := claims("scale/density", func(*Options) {})
	var all []string
	for _, v := range judged() {
		all = append(all, "API/"+v.Guarantee)
	}
	never := []string{"API/ExpiredHonest", "API/WatchExpiredHonest", "API/TooNewHonest"}
	byLoad := []string{"API/Ordered", "API/Unique", "API/Delivered", "API/IdentityStable", "API/UIDUnique"}
	for _, g := range all {
		if _, claimed := plain[g]; claimed == (slices.Contains(never, g) || slices.Contains(byLoad, g)) {
			t.Errorf("%s is claimed: %v", g, claimed)
		}
	}
	twice := claims("scale/two-apiservers", rate(2*scaleRate))
	for g, after := range plain {
		if !slices.Contains(all, g) {
			t.Errorf("%s is no guarantee of the API", g)
		}
		if after < 30*scaleRate || after > 30*60*scaleRate {
			t.Errorf("%s is claimed after %d requests", g, after)
		}
		if twice[g] != after {
			t.Errorf("%s is claimed after %d requests, and at twice the rate after %d", g, after, twice[g])
		}
	}
	for what, none := range map[string]map[string]int64{
		"without contract traffic": claims("scale/density", rate(0)),
		"at a slower rate":         claims("scale/density", rate(scaleRate-1)),
		"at a rate of its own":     claims("scale/density", rate(contractRate)),
		"under a fault":            claims("scale/frozen-scheduler", func(*Options) {}),
		"with operations left out": claims("scale/density", func(o *Options) { o.Without = []string{"list"} }),
		"broken":                   claims("broken/no-eviction", func(*Options) {}),
	} {
		if len(none) > 0 {
			t.Errorf("%s: %v", what, none)
		}
	}
}

// judged are the verdicts of the API on no records at all.
func judged() []checkers.Verdict {
	table, none := versions.New(), window.New().Window()
	return slices.Concat(
		reads.New(reads.Options{Versions: table, Window: none}).Finish(),
		watches.New(watches.Options{Versions: table, Window: none}).Finish(),
		writes.New(writes.Options{Versions: table, Window: none}).Finish())
}

// The floors by which it is said how long the traffic has to last are those of the
// checkers.
func TestSharesAreOfFloors(t *testing.T) {
	floor := regexp.MustCompile(`\(floor (\d+)\)`)
	for _, b := range contractBrings {
		var ours, theirs []string
		for _, s := range b.shares {
			ours = append(ours, strconv.FormatInt(s.floor, 10))
		}
		for _, v := range judged() {
			if v.Guarantee == b.guarantee {
				for _, m := range floor.FindAllStringSubmatch(v.Checked, -1) {
					theirs = append(theirs, m[1])
				}
			}
		}
		if !slices.Equal(ours, theirs) {
			t.Errorf("%s: floors %s, the checker has %s", b.guarantee, strings.Join(ours, " "), strings.Join(theirs, " "))
		}
	}
}
