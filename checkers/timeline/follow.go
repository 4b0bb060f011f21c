package timeline

import (
	"cmp"
	"slices"

	"github.com/planecheck/planecheck/checkers/history"
)

// watchKey names one watch of a history.
type watchKey struct {
	stream uint64
	watch  int64
}

func (k watchKey) compare(l watchKey) int {
	return cmp.Or(cmp.Compare(k.stream, l.stream), cmp.Compare(k.watch, l.watch))
}

// follower reads one watch of the whole key space.
type follower struct {
	member  string
	last    int64 // revision it has shown, or its start less one
	passed  int64 // revision up to which it says that it has shown all
	partial []Change
	rev     int64 // of partial
	at      history.Time
}

// void is a stretch of revisions for which a watch showed nothing.
type void struct {
	member   string
	from, to int64
	at       history.Time
}

// Watch takes a message on a watch stream into account.
func (b *Builder) Watch(w *history.StoreWatch) {
	b.messages = append(b.messages, w)
}

func (b *Builder) lowerWatch(w *history.StoreWatch) {
	for i := range w.Events {
		b.lower(w.Events[i].KV.Mod - 1)
	}
	if w.Kind == history.WatchCreated && w.Header > 0 {
		b.lower(w.Header)
	}
}

// read reads the messages up to a moment in the order of their times: of one
// stream they are handed over in order, of several not.
func (b *Builder) read(until history.Time) {
	slices.SortStableFunc(b.messages, func(x, y *history.StoreWatch) int { return cmp.Compare(x.At, y.At) })
	n := 0
	for ; n < len(b.messages) && b.messages[n].At <= until; n++ {
		b.message(b.messages[n])
		b.messages[n] = nil
	}
	b.messages = append(b.messages[:0], b.messages[n:]...)
}

func (b *Builder) message(w *history.StoreWatch) {
	b.highest = max(b.highest, w.Header)
	switch w.Kind {
	case history.WatchCreate:
		b.creates[w.Stream] = append(b.creates[w.Stream], w)
	case history.WatchCreated:
		b.created(w)
	case history.WatchEvents:
		if f := b.followers[watchKey{w.Stream, w.Watch}]; f != nil {
			b.show(f, w)
		}
	case history.WatchProgress:
		b.progress(w)
	case history.WatchCanceled:
		b.leave(watchKey{w.Stream, w.Watch})
	case history.WatchClosed:
		delete(b.creates, w.Stream)
		for key := range b.followers {
			if key.stream == w.Stream {
				b.leave(key)
			}
		}
	}
}

// created begins to follow a watch if it is one of the whole key space. The
// answers of a stream come in the order of its requests.
func (b *Builder) created(w *history.StoreWatch) {
	reqs := b.creates[w.Stream]
	if len(reqs) == 0 {
		return
	}
	req := reqs[0]
	b.creates[w.Stream] = reqs[1:]
	if !Whole(req.Key, req.End) || req.NoPut || req.NoDelete {
		return
	}
	last := req.Start - 1
	if req.Start <= 0 {
		last = w.Header
	}
	b.followers[watchKey{w.Stream, w.Watch}] = &follower{member: w.Member, last: last, passed: last}
	b.members[w.Member] = true
}

// show takes the events of one message. A revision is complete when another one
// begins, or when the watch says so.
func (b *Builder) show(f *follower, w *history.StoreWatch) {
	for i := range w.Events {
		e := &w.Events[i]
		rev := e.KV.Mod
		if rev <= f.last {
			continue // sent twice, which is for the checker of watches to judge
		}
		if rev != f.rev {
			b.complete(f)
			if rev <= f.last {
				continue
			}
			f.rev, f.at = rev, w.At
		}
		c := Change{Key: e.KV.Key, Delete: e.Delete, KV: e.KV, Prev: e.Prev}
		if e.Delete {
			c.KV = history.StoreKV{Key: e.KV.Key, Mod: rev}
		}
		f.partial = append(f.partial, c)
	}
}

// progress notes that a watch, or all of a stream, has shown everything up to a
// revision. If that is a lie and more comes it is taken nevertheless.
func (b *Builder) progress(w *history.StoreWatch) {
	for key, f := range b.followers {
		if key.stream == w.Stream && (w.Watch == -1 || w.Watch == key.watch) {
			b.complete(f)
			f.passed = max(f.passed, w.Header)
			b.passed = max(b.passed, f.passed)
		}
	}
}

func (b *Builder) leave(key watchKey) {
	if f := b.followers[key]; f != nil {
		b.end(f)
		delete(b.followers, key)
	}
}

func (b *Builder) end(f *follower) {
	b.complete(f)
	b.void(f, f.passed)
}

func (b *Builder) void(f *follower, to int64) {
	if from := f.last + 1; from <= to {
		b.voids = append(b.voids, void{f.member, from, to, f.at})
	}
}

// complete takes what a watch has shown of a revision as the whole of it.
func (b *Builder) complete(f *follower) {
	if len(f.partial) == 0 {
		return
	}
	rev, changes := f.rev, f.partial
	b.void(f, rev-1)
	f.partial, f.last = nil, rev
	f.passed = max(f.passed, rev)
	b.passed = max(b.passed, rev)
	if rev <= b.t.base {
		return
	}
	seen := b.events[rev]
	switch {
	case rev <= b.t.last:
		b.compare(f, rev, b.t.At(rev), changes)
	case seen == nil:
		b.events[rev] = &shown{changes: changes, at: f.at, member: f.member}
	default:
		seen.at = min(seen.at, f.at)
		b.compare(f, rev, seen.changes, changes)
	}
}

func (b *Builder) compare(f *follower, rev int64, want, got []Change) {
	if Same(want, got) {
		return
	}
	kind := MembersDiffer
	if len(b.members) < 2 {
		kind = EffectDiffers
	}
	b.conflict(Conflict{Kind: kind, Rev: rev, To: rev, Want: want, Got: got, Member: f.member, At: f.at})
}

// checkVoids looks for changes at revisions that a watch passed over.
func (b *Builder) checkVoids() {
	kept := b.voids[:0]
	for _, v := range b.voids {
		if rev := b.t.Next(v.from - 1); rev != 0 && rev <= v.to {
			b.conflict(Conflict{Kind: MemberMissed, Rev: rev, To: rev, Want: b.t.At(rev), Member: v.member, At: v.at})
		} else if b.t.last < v.to {
			kept = append(kept, v)
		}
	}
	b.voids = kept
}

// Same says that two records of a revision agree: the same keys in the same
// order, with the same content as far as it is known. What was before is not
// compared.
func Same(a, b []Change) bool {
	return slices.EqualFunc(a, b, func(a, b Change) bool {
		return a.Key == b.Key && a.Delete == b.Delete && SameKV(a.KV, b.KV)
	})
}

// SameKV compares two versions of a key as far as they are known.
func SameKV(a, b history.StoreKV) bool {
	if a.Version == Unknown || b.Version == Unknown {
		a.Version, b.Version, a.Create, b.Create = 0, 0, 0, 0
	}
	if a.Version == Uncounted || b.Version == Uncounted {
		a.Version, b.Version = 0, 0
	}
	return a == b
}
