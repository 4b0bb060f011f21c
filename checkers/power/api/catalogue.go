package apipower

import "slices"

// Catalogue returns all lies, guarantee by guarantee.
func Catalogue() []Lie {
	return slices.Concat(readLies(), listLies(), refusalLies(), initialLies(), watchLies(), writeLies(), removalLies(), tableLies(), flawLies(), legalLies(), contentLies(), clusterLies(), leaderLies(), failureLies(), lastingLies(),
		rolloutLies(), jobLies(), namespaceLies())
}

// Guarantees returns the guarantees of the catalogue in its order.
func Guarantees() []string {
	var names []string
	for _, lie := range Catalogue() {
		if !slices.Contains(names, lie.Breaks) {
			names = append(names, lie.Breaks)
		}
	}
	return names
}

// half says which checker judges a guarantee: a mutant is shown to that one
// only, because a kill has to come from the guarantee or from an equal.
func half(guarantee string) string {
	for _, h := range []struct {
		name string
		lies []Lie
	}{
		{"reads", slices.Concat(readLies(), listLies())},
		{"watches", slices.Concat(initialLies(), watchLies())},
		{"writes", slices.Concat(writeLies(), removalLies(), tableLies(), flawLies(), legalLies(), contentLies())},
		{"cluster", slices.Concat(clusterLies(), leaderLies(), failureLies(), lastingLies(), rolloutLies(), jobLies(), namespaceLies())},
	} {
		if slices.ContainsFunc(h.lies, func(l Lie) bool { return l.Breaks == guarantee }) {
			return h.name
		}
	}
	return "reads"
}
