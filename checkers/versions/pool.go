package versions

import (
	"hash/maphash"
	"slices"
	"strings"

	"github.com/planecheck/planecheck/checkers/history"
)

// maxWord is the length in bytes up to which strings are kept once: longer ones
// are rarely equal, and looking them up would keep them all twice.
const maxWord = 64

// pool keeps equal things once.
type pool struct {
	words  map[string]string
	pairs  lists[history.Pair]
	owners lists[history.Owner]
	names  lists[string]
}

func newPool() pool {
	seed := maphash.MakeSeed()
	return pool{
		words:  map[string]string{},
		pairs:  lists[history.Pair]{seed: seed, kept: map[uint64][][]history.Pair{}},
		owners: lists[history.Owner]{seed: seed, kept: map[uint64][][]history.Owner{}},
		names:  lists[string]{seed: seed, kept: map[uint64][][]string{}},
	}
}

// word returns a copy of s: what the decoder hands out may hold on to more
// memory than its own.
func (p *pool) word(s string) string {
	if len(s) > maxWord {
		return strings.Clone(s)
	}
	kept, found := p.words[s]
	if !found {
		kept = strings.Clone(s)
		p.words[kept] = kept
	}
	return kept
}

func (p *pool) pair(x history.Pair) history.Pair {
	return history.Pair{Name: p.word(x.Name), Value: p.word(x.Value)}
}

func (p *pool) owner(x history.Owner) history.Owner {
	x.Kind, x.Name, x.UID = p.word(x.Kind), p.word(x.Name), p.word(x.UID)
	return x
}

// lists keeps equal lists once.
type lists[T comparable] struct {
	seed maphash.Seed
	kept map[uint64][][]T
}

// keep returns a list equal to x that nobody else changes. The function copy
// copies an element.
func (l *lists[T]) keep(x []T, copy func(T) T) []T {
	if len(x) == 0 {
		return nil
	}
	sum := uint64(len(x))
	for i := range x {
		sum = sum*0x9e3779b97f4a7c15 + maphash.Comparable(l.seed, x[i])
	}
	for _, old := range l.kept[sum] {
		if slices.Equal(old, x) {
			return old
		}
	}
	list := make([]T, len(x))
	for i := range x {
		list[i] = copy(x[i])
	}
	l.kept[sum] = append(l.kept[sum], list)
	return list
}

// body returns what a version keeps beside its revision and content: that of
// the version before it, if nothing else has changed.
func (k *Kind) body(o *object, before, v *history.Version) *history.Version {
	if before != nil && same(before, v) {
		return before
	}
	b := *v
	b.Key, b.Group, b.Resource = o.key, k.name.group, k.name.resource
	b.Namespace, b.Name = cutPath(o.path)
	b.Kind = k.pool.word(v.Kind)
	if before != nil && before.UID == v.UID {
		b.UID = before.UID
	} else {
		b.UID = strings.Clone(v.UID)
	}
	b.Labels, b.Marks = k.pairs(before, v)
	b.Fields = k.pool.pairs.keep(v.Fields, k.pool.pair)
	b.Owners = k.pool.owners.keep(v.Owners, k.pool.owner)
	b.Finalizers = k.pool.names.keep(v.Finalizers, k.pool.word)
	return &b
}

// pairs keeps labels and marks. Both are often an object's own, so they are
// compared with those of the version before first.
func (k *Kind) pairs(before, v *history.Version) (labels, marks []history.Pair) {
	if before != nil && slices.Equal(before.Labels, v.Labels) {
		labels = before.Labels
	} else {
		labels = k.pool.pairs.keep(v.Labels, k.pool.pair)
	}
	if before != nil && slices.Equal(before.Marks, v.Marks) {
		return labels, before.Marks
	}
	for _, m := range v.Marks { // hardly two are equal: they count
		marks = append(marks, history.Pair{Name: k.pool.word(m.Name), Value: strings.Clone(m.Value)})
	}
	return labels, marks
}

// same says whether two versions of an object differ only in revision and
// content.
func same(a, b *history.Version) bool {
	return a.UID == b.UID && a.Generation == b.Generation && a.Created == b.Created &&
		a.Deleting == b.Deleting && a.Grace == b.Grace && a.Unread == b.Unread && a.Kind == b.Kind &&
		slices.Equal(a.Fields, b.Fields) && slices.Equal(a.Marks, b.Marks) && slices.Equal(a.Labels, b.Labels) &&
		slices.Equal(a.Owners, b.Owners) && slices.Equal(a.Finalizers, b.Finalizers)
}
