package compare

import (
	"math"
	"strings"
	"testing"

	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/results"
)

// rounds makes the trials of a variant with one figure each, all of which pass.
func rounds(variant, name string, values ...float64) (trials []Trial) {
	for i, v := range values {
		trials = append(trials, Trial{
			Round: i + 1, Variant: variant, Outcome: checkers.Pass, Figures: []Figure{{name, Rate, v}},
		})
	}
	return trials
}

func TestMedianAndInterval(t *testing.T) {
	f := func(median float64, want *Interval, values ...float64) {
		t.Helper()
		got, interval := medianOf(values)
		if got != median {
			t.Errorf("median of %v = %v, want %v", values, got, median)
		}
		switch {
		case want == nil && interval == nil:
		case want == nil || interval == nil || *want != *interval:
			t.Errorf("interval of %v = %v, want %v", values, interval, want)
		}
	}
	f(3, nil, 3)
	f(3, nil, 5, 1, 2, 4, 3) // the extremes hold the median in 1 - 2/2^5 = 93.75 % of all cases
	// Six: 1 - 2/2^6 = 96.9 %, so the interval is all there is.
	f(3.5, &Interval{1, 6}, 6, 1, 5, 2, 4, 3)
	// Ten: P(2 ≤ Binomial(10, 1/2) ≤ 8) = 1002/1024 = 97.9 %, and the next narrower
	// one, 912/1024, is too little: second to ninth.
	f(5.5, &Interval{2, 9}, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10)
}

func TestDiffer(t *testing.T) {
	f := func(a, b []float64, wantP float64, want bool) {
		t.Helper()
		p, significant := differ(a, b)
		if math.Abs(p-wantP) > 1e-9 || significant != want {
			t.Errorf("%v and %v: p = %v, significant %v; want %v, %v", a, b, p, significant, wantP, want)
		}
	}
	// Apart altogether: 2 of the C(2n, n) orders are as extreme.
	f([]float64{1, 2, 3, 4}, []float64{5, 6, 7, 8}, 2.0/70, true)
	f([]float64{1, 2, 3}, []float64{5, 6, 7}, 2.0/20, false) // three are too few to show anything
	f([]float64{1, 2, 3, 4, 5, 6}, []float64{1, 2, 3, 4, 5, 6}, 1, false)
	f([]float64{7, 7, 7, 7, 7, 7}, []float64{7, 7, 7, 7, 7, 7}, 1, false)
	// 10 and 11 each exceed five of the others: U = 10. Of the 924 ways to choose six
	// of twelve 111 have a U of 10 or less, and as many one of 26 or more.
	f([]float64{1, 2, 3, 4, 10, 11}, []float64{5, 6, 7, 8, 9, 12}, 222.0/924, false)
}

// A machine that slows down over the day moves both variants: the ratio of
// paired rounds does not see it, that of the medians does.
func TestRatioIsPaired(t *testing.T) {
	first := map[int]float64{1: 100, 2: 50, 3: 200}
	r := compareTo(first, map[int]float64{1: 120, 2: 60, 4: 1000})
	if r.Pairs != 2 || math.Abs(r.Median-1.2) > 1e-9 {
		t.Errorf("ratio %+v, want 1.2 from 2 pairs", r)
	}
	if r := compareTo(map[int]float64{1: 0}, map[int]float64{1: 5}); r == nil || r.Pairs != 0 || ratioText(r) != "- " {
		t.Errorf("ratio to nothing: %+v", r)
	}
	if r := compareTo(map[int]float64{1: 3}, map[int]float64{2: 5}); r != nil {
		t.Errorf("ratio of rounds that do not pair: %+v", r)
	}
}

// A ratio says of how many pairs it is, where it is not of all, and there is none
// of what the row shows as 0 on both sides; that two differ is seen all the same.
func TestRatioSaysOfWhatItIs(t *testing.T) {
	const name = "contract operations begun late"
	f := func(want string, first, other []float64) {
		t.Helper()
		c := comparison(rounds("a", name, first...), rounds("b", name, other...))
		for i := range c.Trials {
			c.Trials[i].Figures[0].Unit = Share
		}
		if got := ratioText(c.metrics()[0].Cells[1].Ratio); got != want {
			t.Errorf("%v to %v: %q, want %q", other, first, got, want)
		}
	}
	f("2.00× ", []float64{.1, .2, .4}, []float64{.2, .4, .8})
	f("2.00× of 2", []float64{0, .2, .4}, []float64{.2, .4, .8})
	f("2.00×* of 4", []float64{0, .01, .01, .01, .01}, []float64{.02, .02, .02, .02, .02})
	f("-", []float64{0, 0, 0, 0, 0, .001}, []float64{.0004, .0004, .0004, 0, 0, 0}) // both medians are shown as 0.0 %
	f("- ", []float64{0, 0, 0}, []float64{.02, .03, .04})
	f("-*", []float64{0, 0, 0, 0}, []float64{.02, .03, .04, .05})
	f("0.00×*", []float64{.02, .03, .04, .05}, []float64{0, 0, 0, 0})
}

// A round that one of the two lost is one of which there is no pair; one that has
// not come yet is none at all.
func TestLostRoundsAreNoPairs(t *testing.T) {
	c := comparison(rounds("a", throughput, 1, 2, 3, 4), rounds("b", throughput, 2, 4, 6))
	c.Trials[5].Cause, c.Trials[5].Figures = "killed", nil
	if r := c.metrics()[0].Cells[1].Ratio; r.Pairs != 2 || r.Rounds != 3 || ratioText(r) != "2.00× of 2" {
		t.Errorf("%+v, %q", r, ratioText(r))
	}
}

func comparison(trials ...[]Trial) *Comparison {
	c := &Comparison{Workload: "scale/density", Rounds: 6}
	for _, some := range trials {
		c.Variants = append(c.Variants, Variant{Name: some[0].Variant})
		c.Trials = append(c.Trials, some...)
	}
	return c
}

// One trial in which the store ended by itself is enough: it is failed, and not lost.
func TestAStoreThatDiesIsNotRanked(t *testing.T) {
	c := comparison(rounds("a", throughput, 1, 2, 3), rounds("b", throughput, 2, 3, 4))
	run := exampleRun()
	run.Verdict = results.Verdict{Outcome: checkers.Fail, Guarantees: []checkers.Verdict{
		{Guarantee: "PlanComplete", Outcome: checkers.Fail}, {Guarantee: "StoreLived", Outcome: checkers.Fail},
	}}
	died := Trial{Round: 2, Variant: "b"}
	died.Take(run)
	c.Trials[4] = died
	if c.standing("b") != checkers.Fail || c.ranked("b") || len(c.Lost()) > 0 || c.Outcome() != checkers.Fail {
		t.Errorf("standing %s, %d lost, outcome %s", c.standing("b"), len(c.Lost()), c.Outcome())
	}
	if text := c.renderRanking(); strings.Contains(text, "by pods/s") || !strings.Contains(text, "not ranked: b") {
		t.Errorf("ranking: %s", text)
	}
}

// A variant of which one trial did not pass keeps its figures but has no ratio,
// nor has anything to a first one that did not pass.
func TestOnlyPassIsRanked(t *testing.T) {
	f := func(who string, outcome checkers.Outcome, cause string, want ...bool) {
		t.Helper()
		c := comparison(
			rounds("a", throughput, 1, 2, 3, 4, 5, 6), rounds("b", throughput, 2, 3, 4, 5, 6, 7), rounds("c", throughput, 3, 4, 5, 6, 7, 8))
		for i := range c.Trials {
			if tr := &c.Trials[i]; tr.Variant == who && tr.Round == 3 {
				tr.Outcome, tr.Cause = outcome, cause
				if cause != "" {
					tr.Figures = nil
				}
			}
		}
		for i, m := 0, c.metrics()[0]; i < 3; i++ {
			if got := m.Cells[i].Ratio != nil; got != want[i] {
				t.Errorf("%s of %s: %s has a ratio: %v, want %v", outcome, who, c.Variants[i].Name, got, want[i])
			}
			if len(m.Cells[i].Values) < 5 {
				t.Errorf("%s of %s: %s lost its figures: %v", outcome, who, c.Variants[i].Name, m.Cells[i].Values)
			}
		}
	}
	f("nobody", "", "", false, true, true)
	f("b", checkers.Fail, "", false, false, true)
	f("b", checkers.Invalid, "", false, false, true)
	f("b", checkers.Unknown, "", false, false, true)
	f("a", checkers.Fail, "", false, false, false)
	f("b", checkers.Invalid, "the disk was full", false, true, true)
	f("b", checkers.Fail, "the disk was full", false, false, true) // broken is broken
}

func TestMetricsKeepTheOrderOfFigures(t *testing.T) {
	with := func(variant string, names ...string) []Trial {
		tr := Trial{Round: 1, Variant: variant, Outcome: checkers.Pass}
		for _, n := range names {
			tr.Figures = append(tr.Figures, Figure{n, CPU, 1})
		}
		return []Trial{tr}
	}
	var got []string
	for _, m := range comparison(with("a", "pods", "apiserver", "harness"), with("b", "pods", "apiserver", "store", "harness")).metrics() {
		got = append(got, m.Name)
	}
	want := []string{"pods", "apiserver", "store", "harness"}
	if len(got) != 4 || got[0] != want[0] || got[1] != want[1] || got[2] != want[2] || got[3] != want[3] {
		t.Errorf("rows %q, want %q", got, want)
	}
}
