package versions

import (
	"slices"
	"strings"
)

// order keeps objects in the order of their paths, while more come.
type order struct {
	sorted []*object // as far as fresh is empty
	fresh  []*object // not sorted in yet
}

// add takes an object that is not in it.
func (r *order) add(o *object) { r.fresh = append(r.fresh, o) }

// all returns them. It puts the fresh ones between the others, from the last to the
// first: each of the others is moved once at most, and few are compared.
func (r *order) all() []*object {
	if len(r.fresh) == 0 {
		return r.sorted
	}
	slices.SortFunc(r.fresh, func(a, b *object) int { return strings.Compare(a.path, b.path) })
	end := len(r.sorted) // of those that were not moved yet
	r.sorted = append(r.sorted, r.fresh...)
	for i := len(r.fresh) - 1; i >= 0; i-- {
		at, _ := slices.BinarySearchFunc(r.sorted[:end], r.fresh[i].path, comparePath)
		copy(r.sorted[at+i+1:], r.sorted[at:end])
		r.sorted[at+i] = r.fresh[i]
		end = at
	}
	r.fresh = nil
	return r.sorted
}

func comparePath(o *object, p string) int { return strings.Compare(o.path, p) }
