package compare

import (
	"slices"
	"strings"
)

// ranking is the variants that are ranked, the highest median of their throughput
// first, and which of them the test of the table tells apart. Each pair is tested:
// that a is not told apart from b, nor b from c, says nothing of a and c.
type ranking struct {
	names []string
	ahead [][]bool // [i][j]: i and j are told apart, and i is the faster one
}

// renderRanking puts the ranked variants into an order by throughput, and says
// between which of them there is one.
func (c *Comparison) renderRanking() string {
	r, out := c.ranking()
	var b strings.Builder
	if len(r.names) > 1 {
		b.WriteString(r.render(c.withLosses))
	}
	if len(out) > 0 {
		b.WriteString(wrap(append([]string{"not ranked:"}, commas(out)...)))
	}
	return b.String()
}

// ranking tests every pair of the variants that are ranked; out are the others.
func (c *Comparison) ranking() (r *ranking, out []string) {
	values := map[string][]float64{}
	r = &ranking{}
	for _, v := range c.Variants {
		if list := inOrder(c.values(v.Name, throughput)); len(list) > 0 && c.ranked(v.Name) {
			values[v.Name] = list
			r.names = append(r.names, v.Name)
		} else {
			out = append(out, v.Name)
		}
	}
	slices.SortStableFunc(r.names, func(a, b string) int {
		first, _ := medianOf(values[a])
		second, _ := medianOf(values[b])
		return -compareFloats(first, second)
	})
	for i, a := range r.names {
		r.ahead = append(r.ahead, make([]bool, len(r.names)))
		for j, b := range r.names {
			_, significant := differ(values[a], values[b])
			r.ahead[i][j] = significant && exceeds(values[a], values[b])
		}
	}
	return r, out
}

func (r *ranking) apart(i, j int) bool { return r.ahead[i][j] || r.ahead[j][i] }

// render prints "a > b > c" where each is told apart from each, and otherwise the
// order of the medians, with the pairs that are told apart and the groups that are
// not.
func (r *ranking) render(withLosses func(variant string) string) string {
	shown := make([]string, len(r.names))
	for i, name := range r.names {
		shown[i] = withLosses(name)
	}
	if r.isChain() {
		return wrap(append([]string{"by " + throughput + ":", shown[0]}, each("> ", shown[1:])...))
	}
	text := wrap(append([]string{"by " + throughput + ", the highest median first:"}, commas(shown)...))
	apart := []string{"no two"}
	if pairs := r.pairs(); len(pairs) > 0 {
		apart = pairs
	}
	text += wrap(append([]string{"told apart:"}, separated(apart, ";")...))
	if groups := r.groups(); len(groups) > 0 {
		text += wrap(append([]string{"not told apart:"}, separated(groups, ";")...))
	}
	return text
}

// isChain says whether each is told apart from all that follow, and ahead of them.
func (r *ranking) isChain() bool {
	for i := range r.names {
		for j := range i {
			if !r.ahead[j][i] {
				return false
			}
		}
	}
	return true
}

// pairs are "a > b, c": what each variant is told apart from and ahead of.
func (r *ranking) pairs() (list []string) {
	for i, name := range r.names {
		var behind []string
		for j, other := range r.names {
			if r.ahead[i][j] {
				behind = append(behind, other)
			}
		}
		if len(behind) > 0 {
			list = append(list, name+" > "+strings.Join(behind, ", "))
		}
	}
	return list
}

// groups are "a ≈ b ≈ c": the largest sets of which no two are told apart, so that
// every such pair is in one of them, and no other is (the maximal cliques of a
// graph, found as by Bron and Kerbosch).
func (r *ranking) groups() (list []string) {
	var grow func(group, candidates, before []int)
	grow = func(group, candidates, before []int) {
		if len(candidates)+len(before) == 0 && len(group) > 1 {
			var names []string
			for _, i := range group {
				names = append(names, r.names[i])
			}
			list = append(list, strings.Join(names, " ≈ "))
		}
		for n, i := range candidates {
			apart := func(j int) bool { return r.apart(i, j) }
			grow(append(slices.Clip(group), i),
				slices.DeleteFunc(slices.Clone(candidates[n+1:]), apart),
				slices.DeleteFunc(slices.Concat(before, candidates[:n]), apart))
		}
	}
	var all []int
	for i := range r.names {
		all = append(all, i)
	}
	grow(nil, all, nil)
	return list
}

// each puts a sign before every word.
func each(sign string, words []string) (list []string) {
	for _, w := range words {
		list = append(list, sign+w)
	}
	return list
}
