package mutants

import (
	"fmt"
	"slices"
	"strings"

	"github.com/planecheck/planecheck/checkers/power/tally"
)

// List is what became of many.
type List[T any] []Mutant[T]

// Count is how mutants fared.
type Count struct {
	Caught, ByAnother, Escaped, Acquitted int
}

// Tried is the number of mutants that count.
func (c Count) Tried() int { return c.Caught + c.ByAnother + c.Escaped }

func (l List[T]) count(fits func(Mutant[T]) bool) Count {
	var c Count
	n := map[Fate]*int{Caught: &c.Caught, ByAnother: &c.ByAnother, Escaped: &c.Escaped, Acquitted: &c.Acquitted}
	for _, m := range l {
		if fits(m) {
			*n[m.Fate]++
		}
	}
	return c
}

// Guarantee counts the mutants of one guarantee, of all for "".
func (l List[T]) Guarantee(name string) Count {
	return l.count(func(m Mutant[T]) bool { return name == "" || m.Lie.Breaks == name })
}

// Lie counts the mutants of one lie.
func (l List[T]) Lie(lie Lie[T]) Count {
	return l.count(func(m Mutant[T]) bool { return m.Lie.same(lie) })
}

// Kinds returns the number of different lies of a guarantee that counted at
// least once.
func (l List[T]) Kinds(guarantee string) int {
	var kinds []string
	for _, m := range l {
		if m.Lie.Breaks == guarantee && m.Fate != Acquitted && !slices.Contains(kinds, m.Lie.Name) {
			kinds = append(kinds, m.Lie.Name)
		}
	}
	return len(kinds)
}

// Weak returns those guarantees that did not fail themselves in 99 % of their mutants,
// but for lies that are known to be missed, with the counts.
func (l List[T]) Weak(guarantees []string) (weak []string) {
	for _, g := range guarantees {
		c := l.count(func(m Mutant[T]) bool { return m.Lie.Breaks == g && m.Lie.Missed == "" })
		if 100*c.Caught < 99*c.Tried() {
			weak = append(weak, fmt.Sprintf("%s caught %d of %d", g, c.Caught, c.Tried()))
		}
	}
	return weak
}

// Missed returns the mutants that their guarantee did not catch, but for those of lies
// that are known to be missed.
func (l List[T]) Missed() List[T] {
	return slices.DeleteFunc(slices.Clone(l), func(m Mutant[T]) bool {
		return m.Lie.Missed != "" || m.Fate == Caught || m.Fate == Acquitted
	})
}

// Disputes returns the mutants that the model accepts and a checker fails, where no
// lie says why it may.
func (l List[T]) Disputes() List[T] {
	return slices.DeleteFunc(slices.Clone(l), func(m Mutant[T]) bool { return !m.Disputed() || m.Lie.Lenient != "" })
}

// Table renders how the lies of some guarantees fared in Markdown.
func (l List[T]) Table(guarantees []string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "| guarantee | lies | counted | caught by itself | by another | escaped | acquitted |\n|---|---|---|---|---|---|---|\n")
	row := func(name string, kinds int, c Count) {
		fmt.Fprintf(&b, "| %s | %d | %d | %d | %d | %d | %d |\n", name, kinds, c.Tried(), c.Caught, c.ByAnother, c.Escaped, c.Acquitted)
	}
	kinds := 0
	for _, g := range guarantees {
		kinds += l.Kinds(g)
		row(g, l.Kinds(g), l.Guarantee(g))
	}
	row("all", kinds, l.Guarantee(""))
	return b.String()
}

// Tally is what the README tells of some guarantees and lies; area says which one a
// guarantee is of. What it says of runs without a lie is left empty, and what is
// unproven.
func (l List[T]) Tally(guarantees []string, lies []Lie[T], area func(guarantee string) string) tally.Part {
	var p tally.Part
	for _, g := range guarantees {
		c := l.Guarantee(g)
		p.Rows = append(p.Rows, tally.Row{Area: area(g), Guarantee: g, Caught: c.Caught, Tried: c.Tried()})
	}
	for _, lie := range lies {
		c := l.Lie(lie)
		if c.Escaped+c.ByAnother > 0 {
			p.Survivors = append(p.Survivors, tally.Survivor(lie.Breaks, lie.Name, c.Escaped, c.ByAnother, c.Tried(), lie.Missed))
		}
		if failed := l.disputed(lie); len(failed) > 0 {
			p.Disputed = append(p.Disputed, tally.Dispute(lie.Breaks, lie.Name, failed, c.Acquitted, lie.Lenient))
		}
	}
	return p
}

// disputed returns what failed of each of a lie that the model accepts.
func (l List[T]) disputed(lie Lie[T]) (failed [][]string) {
	for _, m := range l {
		if m.Lie.same(lie) && m.Disputed() {
			failed = append(failed, m.Failed)
		}
	}
	return failed
}

// Acquitted returns a line for each of some lies that the model accepted anywhere.
func (l List[T]) Acquitted(lies []Lie[T]) (lines []string) {
	for _, lie := range lies {
		if c := l.Lie(lie); c.Acquitted > 0 {
			lines = append(lines, tally.Acquitted(lie.Breaks, lie.Name, c.Acquitted))
		}
	}
	return lines
}
