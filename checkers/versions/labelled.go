package versions

import (
	"iter"

	"github.com/planecheck/planecheck/checkers/history"
)

// maxLabelled is of how many labels of a resource an index is made: the first that
// are asked for. Each costs a look at every version that there is.
const maxLabelled = 16

// labelled are the objects that ever had a label, or were ever not read, so that
// nobody knows. Without it, a list of a few objects among 150,000 pods would cost a
// look at all of them.
type labelled struct {
	known int // versions that were gone through
	order order
	has   map[*object]bool
}

// May yields the state at rev of all objects that a selector may match, and maybe of
// others, in the order of List.
func (k *Kind) May(namespace string, sel Selector, rev int64) iter.Seq[*history.Version] {
	return func(yield func(*history.Version) bool) {
		for _, o := range k.possible(namespace, sel) {
			if v := o.at(rev); v != nil && !yield(v) {
				return
			}
		}
	}
}

func (k *Kind) possible(namespace string, sel Selector) []*object {
	if namespace == "" { // in a namespace there are few
		for _, t := range sel.labels {
			if t.op == opIn && len(t.values) == 1 {
				if l := k.index(history.Pair{Name: t.key, Value: t.values[0]}); l != nil {
					return l.order.all()
				}
			}
		}
	}
	return k.within(namespace)
}

// index returns the objects with a label, nil if there are too many indexes.
func (k *Kind) index(label history.Pair) *labelled {
	l := k.labelled[label]
	if l == nil {
		if len(k.labelled) == maxLabelled {
			return nil
		}
		if k.labelled == nil {
			k.labelled = map[history.Pair]*labelled{}
		}
		l = &labelled{has: map[*object]bool{}}
		k.labelled[label] = l
	}
	for ; l.known < len(k.log); l.known++ {
		l.learn(k.log[l.known], label)
	}
	return l
}

func (l *labelled) learn(p place, label history.Pair) {
	body := p.object.versions[p.index].body
	if body == nil || l.has[p.object] {
		return
	}
	if value, has := body.Label(label.Name); body.Unread || has && value == label.Value {
		l.has[p.object] = true
		l.order.add(p.object)
	}
}
