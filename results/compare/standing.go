package compare

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/planecheck/planecheck/checkers"
)

// standing is how a variant did over all its trials. Only one whose every trial
// that was done has passed is ranked: how fast a store is that loses events does
// not matter, nor one of which it was not seen that it loses none.
func (c *Comparison) standing(variant string) checkers.Outcome {
	var verdicts []checkers.Verdict
	for _, t := range c.of(variant) {
		if t.Cause == "" || t.Outcome == checkers.Fail {
			verdicts = append(verdicts, checkers.Verdict{Outcome: t.Outcome})
		}
	}
	if len(verdicts) == 0 {
		return ""
	}
	return checkers.Worst(verdicts)
}

func (c *Comparison) ranked(variant string) bool { return c.standing(variant) == checkers.Pass }

// storeInHarness says whether the store of a variant lives in the harness: then it
// has its share of the harness's CPU time (collection.cpu), but no process of which
// there would be a memory.
func (c *Comparison) storeInHarness(variant string) bool {
	return slices.ContainsFunc(c.of(variant), func(t Trial) bool {
		return t.has(cpuOf+storeName) && t.has(memoryOf+harnessName) && !t.has(memoryOf+storeName)
	})
}

// has says whether a figure's name begins so.
func (t *Trial) has(name string) bool {
	return slices.ContainsFunc(t.Figures, func(f Figure) bool { return strings.HasPrefix(f.Name, name) })
}

// guarantee is one row of verdicts.
type guarantee struct{ area, name string }

// guarantees are those that a trial has judged, in the order of the first that did.
func (c *Comparison) guarantees() []guarantee {
	var all []guarantee
	for _, t := range c.Trials {
		for _, v := range t.Verdicts {
			if g := (guarantee{v.Area, v.Guarantee}); !slices.Contains(all, g) {
				all = append(all, g)
			}
		}
	}
	return all
}

// where is the area, which is empty where the run itself is judged.
func (g guarantee) where() string { return cmp.Or(g.area, "run") }

func (g guarantee) String() string { return g.where() + " " + g.name }

// exercised says whether any trial put the guarantee to the test.
func (c *Comparison) exercised(g guarantee) bool {
	return slices.ContainsFunc(c.Variants, func(v Variant) bool {
		return !slices.Contains([]string{notExercised, missing}, c.verdict(g, v.Name))
	})
}

// notExercised is printed where no trial put a guarantee to the test.
const notExercised = "not exercised"

// verdict sums up what the trials of a variant came to about a guarantee, the
// worst first: "Pass", "Fail in 1 of 6".
func (c *Comparison) verdict(g guarantee, variant string) string {
	counts := map[checkers.Outcome]int{}
	judged := 0
	for _, t := range c.of(variant) {
		if t.Cause != "" && t.Outcome != checkers.Fail {
			continue
		}
		for _, v := range t.Verdicts {
			if v.Area == g.area && v.Guarantee == g.name {
				counts[v.Outcome]++
				judged++
			}
		}
	}
	for _, o := range []checkers.Outcome{checkers.Fail, checkers.Invalid, checkers.Unknown, checkers.Pass} {
		switch n := counts[o]; {
		case n == 0:
		case n == judged:
			return string(o)
		default:
			return fmt.Sprintf("%s in %d of %d", o, n, judged)
		}
	}
	if judged > 0 {
		return notExercised
	}
	return missing
}

// why names, for a trial that did not pass, the guarantees that are to blame,
// with what was seen of the first.
func (t *Trial) why() string {
	var names []string
	detail := ""
	for _, v := range t.Verdicts {
		if v.Outcome == t.Outcome {
			if len(names) == 0 {
				detail = v.Detail
			}
			names = append(names, v.Guarantee)
		}
	}
	text := strings.Join(names, ", ")
	if detail != "" {
		text += ": " + detail
	}
	return text
}
