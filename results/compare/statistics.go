package compare

import (
	"math"
	"slices"

	"golang.org/x/perf/benchmath"
)

// confidence is that of all intervals.
const confidence = 0.95

// intervalTrials is how many values a median needs to have an interval of that
// confidence: with five, both ends are beyond the values in 6 % of all cases.
const intervalTrials = 6

// Metric is one row of figures, with a cell for each variant.
type Metric struct {
	Name  string `json:"name"`
	Unit  Unit   `json:"unit"`
	Cells []Cell `json:"cells"`
}

// Cell is what one metric came to on one variant. Without Values it was not
// measured, and nothing else counts.
type Cell struct {
	Values []float64 `json:"values,omitempty"` // in the order of the trials
	Median float64   `json:"median,omitempty"`
	// Interval is that of the median; nil: too few trials.
	Interval *Interval `json:"interval,omitempty"`
	// Ratio is that to the first variant, from the rounds in which both were done;
	// nil: there is none, one of the two is not to be ranked, or the two are not of
	// the same thing, or of nothing that the row can show.
	Ratio *Ratio `json:"ratio,omitempty"`
}

// Interval holds the median with a confidence of 95 % or a little more.
type Interval struct {
	Low  float64 `json:"low"`
	High float64 `json:"high"`
}

// Ratio is what a variant's figures are to those of the first.
type Ratio struct {
	Median   float64   `json:"median"` // of the ratios of paired rounds; 0 without Pairs
	Interval *Interval `json:"interval,omitempty"`
	// Pairs are the rounds that gave a ratio, of those in which both variants had
	// their turn. A round gives none where one of them was not done or lacks the
	// figure, or where that of the first is 0.
	Pairs  int `json:"pairs"`
	Rounds int `json:"rounds"`
	// P is the probability of a difference as large as that of the two variants'
	// figures, if there were none (Mann-Whitney U test, two-sided).
	P           float64 `json:"p"`
	Significant bool    `json:"significant"` // P is below 0.05
}

// metrics computes all rows, in the order in which figures first came.
func (c *Comparison) metrics() []Metric {
	var all []Metric
	index := map[string]int{}
	for _, v := range c.Variants { // a trial of the first may lack what others have
		for _, t := range c.of(v.Name) {
			last := -1
			for _, f := range t.Figures {
				i, known := index[f.Name]
				if !known {
					i = last + 1
					all = slices.Insert(all, i, Metric{Name: f.Name, Unit: f.Unit})
					for j := i; j < len(all); j++ {
						index[all[j].Name] = j
					}
				}
				last = i
			}
		}
	}
	for i := range all {
		all[i].Cells = c.cells(all[i].Name, all[i].Unit)
	}
	return all
}

func (c *Comparison) cells(name string, unit Unit) []Cell {
	cells := make([]Cell, len(c.Variants))
	first := c.Variants[0].Name
	for i, v := range c.Variants {
		values := c.values(v.Name, name)
		cells[i] = summarize(values)
		switch {
		case i == 0 || !c.ranked(first) || !c.ranked(v.Name):
		case unit.nothing(cells[0].Median) && unit.nothing(cells[i].Median):
		case name == memoryOf+harnessName && c.storeInHarness(first) != c.storeInHarness(v.Name):
		default:
			cells[i].Ratio = compareTo(c.values(first, name), values)
			if r := cells[i].Ratio; r != nil {
				r.Rounds = c.roundsOf(first, v.Name)
			}
		}
	}
	return cells
}

// roundsOf counts the rounds in which both variants have had their turn.
func (c *Comparison) roundsOf(a, b string) (n int) {
	for _, t := range c.of(a) {
		if slices.ContainsFunc(c.of(b), func(other Trial) bool { return other.Round == t.Round }) {
			n++
		}
	}
	return n
}

// values are the figures of that name, by round.
func (c *Comparison) values(variant, name string) map[int]float64 {
	values := map[int]float64{}
	for _, t := range c.of(variant) {
		for _, f := range t.Figures {
			if f.Name == name {
				values[t.Round] = f.Value
			}
		}
	}
	return values
}

// inOrder are the values in the order of their rounds.
func inOrder(values map[int]float64) []float64 {
	var rounds []int
	for r := range values {
		rounds = append(rounds, r)
	}
	slices.Sort(rounds)
	var list []float64
	for _, r := range rounds {
		list = append(list, values[r])
	}
	return list
}

func summarize(values map[int]float64) Cell {
	list := inOrder(values)
	if len(list) == 0 {
		return Cell{}
	}
	median, interval := medianOf(list)
	return Cell{Values: list, Median: median, Interval: interval}
}

func medianOf(list []float64) (float64, *Interval) {
	s := benchmath.AssumeNothing.Summary(sample(list), confidence)
	if math.IsInf(s.Lo, 0) || math.IsInf(s.Hi, 0) {
		return s.Center, nil
	}
	return s.Center, &Interval{s.Lo, s.Hi}
}

// sample copies the list: benchmath sorts it.
func sample(list []float64) *benchmath.Sample {
	return benchmath.NewSample(slices.Clone(list), &benchmath.DefaultThresholds)
}

// compareTo compares figures with those of the first variant. A difference is
// looked for in all figures; the ratio is from rounds that have both, because a
// machine has its hours. Nothing is a multiple of 0: such rounds give no ratio.
func compareTo(first, values map[int]float64) *Ratio {
	ratios := map[int]float64{}
	both := false
	for round, v := range values {
		f, ok := first[round]
		both = both || ok
		if ok && f != 0 {
			ratios[round] = v / f
		}
	}
	if !both {
		return nil
	}
	r := &Ratio{Pairs: len(ratios)}
	if r.Pairs > 0 {
		r.Median, r.Interval = medianOf(inOrder(ratios))
	}
	r.P, r.Significant = differ(inOrder(first), inOrder(values))
	return r
}

func differ(a, b []float64) (p float64, significant bool) {
	c := benchmath.AssumeNothing.Compare(sample(a), sample(b))
	return c.P, c.P < c.Alpha
}

// exceeds says whether a value of a is larger than one of b more often than it is
// smaller: the direction of the difference that differ tests.
func exceeds(a, b []float64) bool {
	more := 0
	for _, x := range a {
		for _, y := range b {
			more += compareFloats(x, y)
		}
	}
	return more > 0
}
