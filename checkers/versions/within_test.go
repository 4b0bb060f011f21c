package versions_test

import (
	"cmp"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/planecheck/planecheck/checkers/versions"
)

// Within says of one namespace what Changes says of all, object by object.
func TestWithin(t *testing.T) {
	for seed := range uint64(20) {
		tab := table(newStory(seed, 200).all)
		for _, k := range tab.Kinds() {
			for _, namespace := range []string{"n", "n-1", "m", "none"} {
				for _, r := range [][2]int64{{0, 1000}, {50, 120}, {60, 60}, {120, 50}} {
					var want []versions.Change
					for c := range k.Changes(r[0], r[1]) {
						if c.Now.Namespace == namespace {
							want = append(want, c)
						}
					}
					slices.SortStableFunc(want, func(a, b versions.Change) int { return cmp.Compare(a.Now.Name, b.Now.Name) })
					got := slices.Collect(k.Within(namespace, r[0], r[1]))
					if d := gocmp.Diff(want, got); d != "" {
						t.Fatalf("seed %d, %s in %v: -want +got\n%s", seed, namespace, r, d)
					}
				}
			}
			for range k.Within("n", 0, 1000) {
				break
			}
		}
	}
}
