package watch

import (
	"math"
	"slices"
	"sort"

	"github.com/planecheck/planecheck/checkers/timeline"
)

// none is the revision of a position behind the last one.
const none = math.MaxInt64

// span is a range that watches watch: [key, end) in etcd's notation, and the
// revisions that changed something in it, ascending.
type span struct {
	key, end string
	// all says that the range is the whole key space. Its revisions are not
	// listed: all of the timeline's may matter.
	all   bool
	revs  []int64
	shift int   // of position 0 in revs: revisions were put before it
	from  int64 // revs is complete from here on
}

type spanName struct{ key, end string }

// normal brings a range into the form that etcd gives it: the empty key is the
// smallest one.
func normal(key, end string) spanName {
	if key == "" {
		key = "\x00"
	}
	return spanName{key, end}
}

func (s *span) contains(key string) bool { return timeline.InRange(key, s.key, s.end) }

// limit is the first key after the range; ok is false if there is none.
func (s *span) limit() (limit string, ok bool) {
	switch s.end {
	case "":
		return s.key + "\x00", true
	case "\x00":
		return "", false
	}
	return s.end, true
}

// index finds the ranges of a key, and collects for every range the revisions
// that changed it.
type index struct {
	tl    Timeline
	known map[spanName]*span
	spans []*span
	fresh []*span // not yet filled up to done
	done  int64   // every span that is not fresh is complete up to here
}

func newIndex(tl Timeline) *index {
	base, _ := tl.Bounds()
	return &index{tl: tl, known: map[spanName]*span{}, done: base}
}

// span returns the span of a range, of which revisions from the given one on
// are of interest.
func (x *index) span(key, end string, from int64) *span {
	base, _ := x.tl.Bounds()
	from = max(from, base+1)
	name := normal(key, end)
	s := x.known[name]
	if s == nil {
		s = &span{key: name.key, end: name.end, from: from, all: timeline.Whole(name.key, name.end)}
		x.known[name] = s
		x.spans = append(x.spans, s)
		x.fresh = append(x.fresh, s)
	}
	if s.all {
		s.from = base + 1
	} else if from < s.from && slices.Contains(x.fresh, s) {
		s.from = from
	}
	return s
}

// extend completes all spans up to a revision.
func (x *index) extend(to int64) {
	_, last := x.tl.Bounds()
	to = max(min(to, last), x.done)
	if len(x.fresh) > 0 {
		low := x.done + 1
		for _, s := range x.fresh {
			low = min(low, s.from)
		}
		x.scan(x.fresh, low, x.done)
		x.fresh = nil
	}
	x.scan(x.spans, x.done+1, to)
	x.done = to
}

// scan appends to spans the revisions in [from, to] that changed them.
func (x *index) scan(spans []*span, from, to int64) {
	if from > to {
		return
	}
	segments := cut(spans)
	for rev, change := range x.tl.Changes(from, to) {
		for _, s := range segments.of(change.Key) {
			if n := len(s.revs); rev >= s.from && (n == 0 || s.revs[n-1] != rev) {
				s.revs = append(s.revs, rev)
			}
		}
	}
}

// need completes a span down to an earlier revision than it was filled from.
func (x *index) need(s *span, from int64) {
	base, _ := x.tl.Bounds()
	from = max(from, base+1)
	if s.all || from >= s.from {
		return
	}
	var earlier []int64
	for rev, change := range x.tl.Changes(from, min(s.from-1, x.done)) {
		if n := len(earlier); s.contains(change.Key) && (n == 0 || earlier[n-1] != rev) {
			earlier = append(earlier, rev)
		}
	}
	s.revs = append(earlier, s.revs...)
	s.shift += len(earlier)
	s.from = from
}

// find returns the position of the first revision of a span at or after rev.
func (x *index) find(s *span, rev int64) int {
	if s.all {
		return int(max(0, rev-s.from))
	}
	return sort.Search(len(s.revs), func(i int) bool { return s.revs[i] >= rev }) - s.shift
}

// rev returns the revision at a position of a span, none behind the last one.
func (x *index) rev(s *span, pos int) int64 {
	if s.all {
		if rev := s.from + int64(pos); rev <= x.done {
			return rev
		}
		return none
	}
	if i := pos + s.shift; i < len(s.revs) {
		return s.revs[i]
	}
	return none
}

// segments cuts the key space at the bounds of spans, so that one search finds
// all spans of a key.
type segments struct {
	bounds []string
	spans  [][]*span // spans[i] hold the keys in [bounds[i-1], bounds[i])
}

func cut(spans []*span) segments {
	var g segments
	for _, s := range spans {
		if s.all {
			continue
		}
		g.bounds = append(g.bounds, s.key)
		if limit, ok := s.limit(); ok {
			g.bounds = append(g.bounds, limit)
		}
	}
	slices.Sort(g.bounds)
	g.bounds = slices.Compact(g.bounds)
	g.spans = make([][]*span, len(g.bounds)+1)
	for _, s := range spans {
		if s.all {
			continue
		}
		for i := sort.SearchStrings(g.bounds, s.key); i < len(g.bounds) && s.contains(g.bounds[i]); i++ {
			g.spans[i+1] = append(g.spans[i+1], s)
		}
	}
	return g
}

func (g segments) of(key string) []*span {
	return g.spans[sort.Search(len(g.bounds), func(i int) bool { return g.bounds[i] > key })]
}
