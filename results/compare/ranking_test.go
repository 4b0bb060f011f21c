package compare

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// shifted are six values with the same spread around each middle.
func shifted(by float64) (values []float64) {
	for i := range 6 {
		values = append(values, 10*float64(i+1)+by)
	}
	return values
}

// The ranking says of every two variants what the test says of them, and what it
// says is not transitive: c is 31 below a, which is seen, and b lies between them, too
// near to both.
func TestRankingTestsEveryPair(t *testing.T) {
	f := func(want string, trials ...[]Trial) {
		t.Helper()
		if diff := cmp.Diff(want, comparison(trials...).renderRanking()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	a, b, c := rounds("a", throughput, shifted(31)...), rounds("b", throughput, shifted(15)...), rounds("c", throughput, shifted(0)...)
	far := rounds("far", throughput, shifted(200)...)
	f("  by pods/s, fill, the highest median first: a, b, c\n  told apart: a > c\n  not told apart: a ≈ b; b ≈ c\n", c, a, b)
	f("  by pods/s, fill, the highest median first: far, a, b, c\n  told apart: far > a, b, c; a > c\n  not told apart: a ≈ b; b ≈ c\n", c, a, far, b)
	f("  by pods/s, fill: far > a > c\n", c, far, a)
	f("  by pods/s, fill, the highest median first: a, b\n  told apart: no two\n  not told apart: a ≈ b\n", a, b)
	two := [][]Trial{rounds("x", throughput, 1, 2), rounds("y", throughput, 10, 20), rounds("z", throughput, 100, 200)} // too few to show anything
	f("  by pods/s, fill, the highest median first: z, y, x\n  told apart: no two\n  not told apart: z ≈ y ≈ x\n", two...)
	f("", a)
}

// That the table has a star, and that two are told apart, is the same.
func TestRankingAgreesWithTheStars(t *testing.T) {
	for by := range 40 {
		c := comparison(rounds("first", throughput, shifted(0)...), rounds("other", throughput, shifted(float64(by))...))
		star := c.metrics()[0].Cells[1].Ratio.Significant
		if r, _ := c.ranking(); r.apart(0, 1) != star {
			t.Errorf("%d apart: a star: %v; told apart: %v", by, star, !star)
		}
	}
}

// Two are in a group together if and only if they are not told apart.
func TestGroups(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		r := &ranking{}
		n := 1 + random.IntN(6)
		for i := range n {
			r.names = append(r.names, fmt.Sprint("v", i))
			r.ahead = append(r.ahead, make([]bool, n))
		}
		alike := map[string]bool{}
		for i := range n {
			for j := range i {
				r.ahead[j][i] = random.IntN(2) == 0
				if !r.ahead[j][i] {
					alike[r.names[j]+" "+r.names[i]] = true
				}
			}
		}
		grouped := map[string]bool{}
		groups := r.groups()
		for i, g := range groups {
			names := strings.Split(g, " ≈ ")
			for j, name := range names {
				for _, other := range names[:j] {
					grouped[other+" "+name] = true
				}
			}
			for j, other := range groups {
				if i != j && within(names, strings.Split(other, " ≈ ")) {
					t.Errorf("%q is a part of %q", g, other)
				}
			}
		}
		if diff := cmp.Diff(alike, grouped); diff != "" {
			t.Fatalf("pairs that are not told apart, and pairs within the groups %q (-want +got):\n%s", groups, diff)
		}
	}
}

// within says whether all of the names are among the others.
func within(names, others []string) bool {
	have := map[string]bool{}
	for _, name := range others {
		have[name] = true
	}
	for _, name := range names {
		if !have[name] {
			return false
		}
	}
	return true
}
