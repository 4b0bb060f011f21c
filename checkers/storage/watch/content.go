package watch

import (
	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/timeline"
)

// content judges what an event says of its change, and when it says it.
func (c *Checker) content(w *watch, e *history.StoreEvent, change *timeline.Change, at history.Time) {
	c.current(w, e, change, at)
	c.previous(w, e, change, at)
	c.timing(w, e, at)
}

// current judges the type and the version that an event shows.
func (c *Checker) current(w *watch, e *history.StoreEvent, change *timeline.Change, at history.Time) {
	created := creation(change)
	switch {
	case change.Delete, change.KV.Create == timeline.Unknown:
	case created:
		c.counts.creations++
	default:
		c.counts.updates++
	}
	rows := func() []row {
		return []row{c.known(w, change), w.row(at, kind(e)+" "+version(e.KV), e.KV.Mod, e.KV.Key)}
	}
	switch {
	case e.Delete != change.Delete:
		c.fail(Reliable, "An event has another type than its change.", rows()...)
	case e.Delete:
		// A tombstone has a key and a revision (mvcc/kvstore_txn.go, delete, and
		// watchable_store.go, kvsToEvents).
		if !c.opt.NoVersions && e.KV != (history.StoreKV{Key: e.KV.Key, Mod: e.KV.Mod}) {
			c.fail(Reliable, "An event of a deletion carries a version, which a deletion does not have.", rows()...)
		}
	case change.KV.Create != timeline.Unknown && (e.KV.Create == e.KV.Mod) != created:
		c.fail(IsCreate, "An event shows an update as a creation, or a creation as an update.", rows()...)
	case !c.same(e.KV, change.KV):
		c.fail(Reliable, "An event shows another version than the one that was committed.", rows()...)
	}
}

// previous judges the previous version that an event carries.
func (c *Checker) previous(w *watch, e *history.StoreEvent, change *timeline.Change, at history.Time) {
	if w.prevKV && !creation(change) {
		c.counts.previous++
	}
	if e.Prev.Mod == 0 {
		// On the client's request to cancel etcd forgets that the watch had
		// asked for previous versions (v3rpc/watch.go, recvLoop), while events
		// of it may still be queued. And it learns that only when the watch is in
		// being (docs/findings/0007): what was sent by then comes first, and is no
		// younger than the created answer.
		early := w.answers <= 1 && change.KV.Mod <= w.header
		if w.prevKV && w.canceling == 0 && change.Prev.Mod != 0 && c.compact.before(at) < change.KV.Mod {
			if early {
				c.counts.early++
				return
			}
			c.fail(PrevKV, "An event lacks the previous version, which had not been compacted.",
				c.known(w, change), w.row(at, kind(e)+", no previous", e.KV.Mod, e.KV.Key))
		}
		return
	}
	if change.Prev.Mod == 0 && !creation(change) {
		return // it is from before the timeline
	}
	if c.opt.NoVersions { // an event is a row there, with one lease
		e.Prev.Lease = change.Prev.Lease
		if e.Prev.Create == 0 {
			e.Prev.Create = change.Prev.Create
		}
	}
	if !c.same(e.Prev, change.Prev) {
		c.fail(PrevKV, "An event carries a previous version that was not the previous one.",
			c.known(w, change), w.row(at, kind(e)+", previous "+version(e.Prev), e.KV.Mod, e.KV.Key))
	}
}

// creation says that a change is known to have created its key.
func creation(change *timeline.Change) bool {
	return !change.Delete && change.KV.Create == change.KV.Mod
}

// same says whether a version that was shown is the one that the timeline
// knows, as far as it knows it.
func (c *Checker) same(shown, known history.StoreKV) bool {
	if c.opt.NoVersions || known.Version == timeline.Unknown {
		shown.Version = known.Version
	}
	if known.Create == timeline.Unknown {
		shown.Create = known.Create
	}
	return shown == known
}

// known is the line of a change as it was committed.
func (c *Checker) known(w *watch, change *timeline.Change) row {
	what := "committed " + version(change.KV)
	if change.Delete {
		what = "committed deletion"
	}
	if change.Prev.Mod != 0 {
		what += ", previous " + version(change.Prev)
	}
	return row{member: w.stream.member, what: what, rev: change.KV.Mod, key: change.Key}
}

// phantom reports an event that no revision explains.
func (c *Checker) phantom(w *watch, e *history.StoreEvent, at history.Time) {
	c.fail(Reliable, "An event came that was never committed.", w.row(at, kind(e)+" "+version(e.KV), e.KV.Mod, e.KV.Key))
}

// timing judges the delivery of an event by its time.
func (c *Checker) timing(w *watch, e *history.StoreEvent, at history.Time) {
	if c.opt.Commit == nil {
		return
	}
	commit, ok := c.opt.Commit(e.KV.Mod)
	if !ok {
		return
	}
	if at < commit.Called {
		c.fail(Ordered, "An event came before anybody had asked for its change.",
			w.row(at, kind(e), e.KV.Mod, e.KV.Key), row{at: commit.Called, what: "called", rev: e.KV.Mod, key: e.KV.Key})
	}
	if c.opt.Observe != nil {
		c.opt.Observe(Delivery{
			Key: e.KV.Key, Revision: e.KV.Mod, Commit: commit, Arrived: at, Replayed: e.KV.Mod <= w.header,
		})
	}
	if !c.timesFresh() || commit.Returned == 0 {
		return
	}
	c.counts.timed++
	if due := c.due(w, commit); at > due {
		c.fail(Fresh, "An event came later than the bound allows.",
			row{at: commit.Returned, what: "committed", rev: e.KV.Mod, key: e.KV.Key},
			w.row(at, kind(e)+", "+at.Sub(due).String()+" late", e.KV.Mod, e.KV.Key))
	}
}

// timesFresh says whether Fresh can be judged.
func (c *Checker) timesFresh() bool { return c.opt.Commit != nil && c.opt.Calm != 0 }

// due is when an event must have arrived.
func (c *Checker) due(w *watch, commit Interval) history.Time {
	return max(commit.Returned, w.created, c.opt.Calm).Add(c.opt.Bound)
}

// overdue judges what a watch had not received when it ended.
func (c *Checker) overdue(w *watch) {
	for pos := w.pos; ; pos++ {
		rev := c.index.rev(w.span, pos)
		if rev == none {
			return
		}
		commit, ok := c.opt.Commit(rev)
		if ok && commit.Called >= w.ended {
			return // and so were all later revisions committed after the end
		}
		if !ok || commit.Returned == 0 || rev < w.next {
			continue
		}
		due := c.due(w, commit)
		if due >= w.ended {
			continue
		}
		for _, change := range c.at(rev) {
			if !w.wants(change.Key, change.Delete) {
				continue
			}
			c.counts.timed++
			c.fail(Fresh, "An event did not come within the bound.",
				w.before(), row{at: commit.Returned, what: "committed, due " + c.since(due), rev: rev, key: change.Key},
				w.row(w.ended, "end of the watch", 0, ""))
			return
		}
	}
}
