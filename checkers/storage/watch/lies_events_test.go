package watch

import (
	"slices"

	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/timeline"
)

func (l *lies) drop() bool {
	r, v, n, e := l.some(func(v *view, n, e int) bool {
		return n+1 < len(v.events) && n > 0 && alone(l.at(v.events[n]), e)
	})
	if r == nil {
		return false
	}
	l.remove(v, n, e)
	return true
}

func (l *lies) dropFirst() bool {
	r, v, n, e := l.some(func(v *view, n, e int) bool {
		r := l.at(v.events[n])
		return n == 0 && e == 0 && len(v.events) > 1 && v.request.Start > 0 && alone(r, 0) &&
			l.compact.before(l.at(v.created).At) <= r.Events[0].KV.Mod
	})
	if r == nil {
		return false
	}
	l.remove(v, n, e)
	return true
}

func (l *lies) dropPart() bool {
	r, v, n, e := l.some(func(v *view, n, e int) bool { return !alone(l.at(v.events[n]), e) })
	if r == nil {
		return false
	}
	l.remove(v, n, e)
	return true
}

func (l *lies) duplicate() bool {
	r, v, n, _ := l.some(func(*view, int, int) bool { return true })
	if r == nil {
		return false
	}
	l.insert(v.events[n], *r)
	return true
}

func (l *lies) replay() bool {
	r, v, n, e := l.some(func(v *view, n, e int) bool { return n > 0 })
	if r == nil {
		return false
	}
	old := l.at(v.events[n-1])
	r.Events = slices.Insert(r.Events, e, old.Events[l.rng.IntN(len(old.Events))])
	return true
}

func (l *lies) swap() bool {
	r, _, _, e := l.some(func(v *view, n, e int) bool {
		r := l.at(v.events[n])
		return e > 0 && r.Events[e].KV.Mod != r.Events[e-1].KV.Mod
	})
	if r == nil {
		return false
	}
	r.Events[e], r.Events[e-1] = r.Events[e-1], r.Events[e]
	return true
}

func (l *lies) swapWithin() bool {
	r, _, _, e := l.some(func(v *view, n, e int) bool {
		r := l.at(v.events[n])
		return e > 0 && r.Events[e].KV.Mod == r.Events[e-1].KV.Mod
	})
	if r == nil {
		return false
	}
	r.Events[e], r.Events[e-1] = r.Events[e-1], r.Events[e]
	return true
}

func (l *lies) lower() bool {
	r, v, n, _ := l.some(func(v *view, n, e int) bool {
		r := l.at(v.events[n])
		return n > 0 && len(r.Events) == 1 && r.Header == r.Events[0].KV.Mod && l.at(v.events[n-1]).Events[0].KV.Mod-1 >= v.request.Start
	})
	if r == nil {
		return false
	}
	to := l.at(v.events[n-1]).Events[0].KV.Mod - 1
	kv := &r.Events[0].KV
	if kv.Create == kv.Mod {
		kv.Create = to
	}
	kv.Mod, r.Header = to, to
	return true
}

func (l *lies) split() bool {
	r, v, n, e := l.some(func(v *view, n, e int) bool {
		r := l.at(v.events[n])
		return e > 0 && r.Events[e].KV.Mod == r.Events[e-1].KV.Mod
	})
	if r == nil {
		return false
	}
	rest, between := *r, *r
	between.Kind, between.Events, between.Header = history.WatchProgress, nil, r.Events[e].KV.Mod
	rest.Events = slices.Clone(r.Events[e:])
	r.Events = r.Events[:e]
	l.insert(v.events[n]+1, rest)
	l.insert(v.events[n]+1, between)
	return true
}

// withPrevious finds an event that carries a previous version.
func (l *lies) withPrevious(accept func(r *history.StoreWatch, e history.StoreEvent) bool) *history.StoreEvent {
	r, _, _, e := l.some(func(v *view, n, e int) bool {
		r := l.at(v.events[n])
		return r.Events[e].Prev.Mod != 0 && accept(r, r.Events[e])
	})
	if r == nil {
		return nil
	}
	return &r.Events[e]
}

func (l *lies) wrongPrev() bool {
	e := l.withPrevious(func(*history.StoreWatch, history.StoreEvent) bool { return true })
	if e != nil {
		e.Prev.Value++
	}
	return e != nil
}

func (l *lies) olderPrev() bool {
	e := l.withPrevious(func(_ *history.StoreWatch, e history.StoreEvent) bool { return e.Prev.Version > 1 })
	if e == nil {
		return false
	}
	for _, change := range l.g.tl.At(e.Prev.Mod) {
		if change.Key == e.KV.Key {
			e.Prev = change.Prev
			return e.Prev.Mod != 0
		}
	}
	return false
}

func (l *lies) noPrev() bool {
	e := l.withPrevious(func(r *history.StoreWatch, e history.StoreEvent) bool { return l.compact.before(r.At) < e.KV.Mod })
	if e != nil {
		e.Prev = history.StoreKV{}
	}
	return e != nil
}

func (l *lies) outside() bool {
	r, _, _, e := l.some(func(v *view, n, e int) bool { return !timeline.Whole(v.request.Key, v.request.End) })
	if r == nil {
		return false
	}
	stray := r.Events[e]
	stray.KV.Key = "/registry/r99/ns/stray"
	r.Events = slices.Insert(r.Events, e+1, stray)
	return true
}

func (l *lies) early() bool {
	for _, v := range l.views() {
		if v.request.Start == 0 || len(v.events) == 0 {
			continue
		}
		for rev := v.request.Start - 1; rev > 1; rev-- {
			for _, c := range l.g.tl.At(rev) {
				if l.wants(v, c) {
					r := l.at(v.events[0])
					r.Events = slices.Insert(r.Events, 0, history.StoreEvent{Delete: c.Delete, KV: c.KV})
					return true
				}
			}
		}
	}
	return false
}

func (l *lies) unfiltered() bool {
	r, v, _, e := l.some(func(v *view, n, e int) bool { return v.request.NoPut || v.request.NoDelete })
	if r == nil {
		return false
	}
	stray := r.Events[e]
	stray.Delete = v.request.NoDelete
	r.Events = slices.Insert(r.Events, e+1, stray)
	return true
}

func (l *lies) afterCancel() bool {
	for _, v := range l.views() {
		if v.end >= 0 && l.at(v.end).Kind == history.WatchCanceled && len(v.events) > 0 {
			late := *l.at(v.events[len(v.events)-1])
			late.At, late.Fragmented = l.at(v.end).At, false
			l.insert(v.end+1, late)
			return true
		}
	}
	return false
}

func (l *lies) put(creation bool) *history.StoreEvent {
	r, _, _, e := l.some(func(v *view, n, e int) bool {
		ev := l.at(v.events[n]).Events[e]
		return !ev.Delete && (ev.KV.Create == ev.KV.Mod) == creation
	})
	if r == nil {
		return nil
	}
	return &r.Events[e]
}

func (l *lies) asCreate() bool {
	e := l.put(false)
	if e != nil {
		e.KV.Create, e.KV.Version, e.Prev = e.KV.Mod, 1, history.StoreKV{}
	}
	return e != nil
}

func (l *lies) asUpdate() bool {
	e := l.put(true)
	if e != nil {
		e.KV.Create, e.KV.Version = e.KV.Mod-1, 2
	}
	return e != nil
}

func (l *lies) otherValue() bool {
	e := l.put(l.rng.IntN(2) == 0)
	if e != nil {
		e.KV.Value++
	}
	return e != nil
}

func (l *lies) otherType() bool {
	r, _, _, e := l.some(func(v *view, n, e int) bool {
		return l.at(v.events[n]).Events[e].Delete && !v.request.NoPut
	})
	if r == nil {
		return false
	}
	r.Events[e].Delete = false
	return true
}

func (l *lies) ahead() bool {
	for _, v := range l.views() {
		for _, i := range v.progress {
			r := l.at(i)
			if slices.ContainsFunc(l.g.tl.At(r.Header+1), func(c timeline.Change) bool { return l.wants(v, c) }) {
				r.Header++
				return true
			}
		}
	}
	return false
}

func (l *lies) overtaking() bool {
	r, v, n, _ := l.some(func(*view, int, int) bool { return true })
	if r == nil {
		return false
	}
	early := *r
	early.Kind, early.Events, early.Header = history.WatchProgress, nil, r.Events[len(r.Events)-1].KV.Mod
	l.insert(v.events[n], early)
	return true
}

func (l *lies) behind() bool {
	r, v, n, _ := l.some(func(*view, int, int) bool { return true })
	if r == nil {
		return false
	}
	back := *r
	back.Kind, back.Events, back.Header = history.WatchProgress, nil, r.Events[len(r.Events)-1].KV.Mod-1
	l.insert(v.events[n]+1, back)
	return true
}

// aheadOfOne answers for a whole stream before one of its watches is in sync.
func (l *lies) aheadOfOne() bool {
	r, v, n, _ := l.some(func(v *view, n, e int) bool { return len(v.events) > 1 })
	if r == nil {
		return false
	}
	early := *r
	early.Kind, early.Events, early.Watch, early.Header = history.WatchProgress, nil, -1, r.Events[len(r.Events)-1].KV.Mod
	l.insert(v.events[n], early)
	return true
}
