package watch

import (
	"slices"
	"time"

	"github.com/planecheck/planecheck/checkers/history"
)

// end ends a watch with a canceled after its first events.
func (l *lies) end(v *view, compact int64) {
	canceled := *l.at(v.events[0])
	canceled.Kind, canceled.Events, canceled.CompactRevision = history.WatchCanceled, nil, compact
	gone := map[*history.StoreWatch]bool{}
	for _, i := range v.events[1:] {
		gone[l.at(i)] = true
	}
	for _, i := range v.progress {
		if r := l.at(i); r.Watch >= 0 && i > v.events[0] {
			gone[r] = true
		}
	}
	l.insert(v.events[0]+1, canceled)
	l.h.Watches = slices.DeleteFunc(l.h.Watches, func(r *history.StoreWatch) bool { return gone[r] })
}

func (l *lies) falseCompaction() bool {
	r, v, _, _ := l.some(func(v *view, n, e int) bool { return n == 0 })
	if r == nil {
		return false
	}
	l.end(v, max(l.compact.before(r.At), r.Header)+1)
	return true
}

func (l *lies) forNothing() bool {
	r, v, _, _ := l.some(func(v *view, n, e int) bool { return n == 0 })
	if r == nil {
		return false
	}
	l.end(v, 0)
	return true
}

// skipCompacted makes a new watch begin above what was compacted before it.
func (l *lies) skipCompacted() bool {
	r, v, n, e := l.some(func(v *view, n, e int) bool {
		r := l.at(v.events[n])
		return n == 0 && e == 0 && (len(r.Events) > 1 || len(v.events) > 1) && v.request.Start > 0 &&
			l.compact.before(l.at(v.created).At) > r.Events[0].KV.Mod && alone(r, 0)
	})
	if r == nil {
		return false
	}
	l.remove(v, n, e)
	return true
}

func (l *lies) createdAhead() bool {
	views := l.views()
	r := l.at(views[0].created)
	_, last := l.g.tl.Bounds()
	for rev := r.Header + 1; rev <= last; rev++ {
		if commit, ok := l.g.commits[rev]; ok && commit.Called > r.At {
			r.Header = rev
			return true
		}
	}
	r.Header = last + 1
	return true
}

// shift moves all records of a stream from the given one on.
func (l *lies) shift(from int, by time.Duration) {
	stream := l.at(from).Stream
	for _, r := range l.h.Watches[from:] {
		if r.Stream == stream {
			r.At = r.At.Add(by)
		}
	}
	byTime(l.h.Watches)
}

func (l *lies) delay() bool {
	r, v, n, _ := l.some(func(v *view, n, e int) bool {
		_, ok := l.g.commits[l.at(v.events[n]).Events[e].KV.Mod]
		return ok
	})
	if r == nil {
		return false
	}
	l.shift(v.events[n], time.Minute)
	return true
}

// withhold keeps the last events of a watch back until its stream ends, much
// later.
func (l *lies) withhold() bool {
	r, v, n, _ := l.some(func(v *view, n, e int) bool {
		_, ok := l.g.commits[l.at(v.events[n]).Events[e].KV.Mod]
		covered := slices.ContainsFunc(v.progress, func(i int) bool { return i > v.events[n] })
		return ok && n == len(v.events)-1 && !covered && v.end >= 0 && l.at(v.end).Kind == history.WatchClosed
	})
	if r == nil {
		return false
	}
	end := l.at(v.end)
	l.h.Watches = slices.Delete(l.h.Watches, v.events[n], v.events[n]+1)
	l.shift(slices.Index(l.h.Watches, end), time.Minute)
	return true
}
