package watches

import "github.com/planecheck/planecheck/checkers/history"

// bookmark judges a bookmark of either kind.
func (c *Checker) bookmark(w *watch, m *history.APIWatch) {
	if w.res == nil {
		return
	}
	c.takes(w, m)
	c.counts.bookmarks++
	rev := m.Object.Version
	c.placeOf(w, m)
	switch {
	case m.InitialEnd:
		c.endOfInitial(w, m)
	case w.phase == initial:
		if w.wantsEnd && !w.ended {
			c.fail(w, InitialEventsEnd, because("A bookmark came before the one that ends the initial events.").watch(w).message(m))
		}
		c.resolve(w, rev)
	case w.phase == waiting:
		c.walkFrom(w, min(rev, c.hi(w.opened)))
	}
	if w.phase == walking {
		c.claim(w, m)
	}
	if rev > w.bookmark {
		w.bookmark, w.bookmarkAt = rev, m.At
	}
}

// placeOf judges the revision of a bookmark against the store and against what
// came before it.
func (c *Checker) placeOf(w *watch, m *history.APIWatch) {
	rev := m.Object.Version
	if top := c.hi(m.At); rev > top || rev <= 0 {
		c.fail(w, BookmarkNotAhead, because("A bookmark names a revision that nobody had asked for: the store was at %d at most.", top).
			watch(w).message(m))
	}
	switch {
	case rev < w.last:
		c.fail(w, Ordered, because("A bookmark is behind an event that came before it.").watch(w).add(w.before()).message(m))
	case rev < w.bookmark:
		c.fail(w, Ordered, because("A bookmark is behind an earlier one.").watch(w).add(w.bookmarked()).message(m))
	case !wantsState(w.call) && rev < from(w.call):
		c.fail(w, Ordered, because("A bookmark is from before the start of its watch.").watch(w).message(m))
	}
}

// claim judges that all up to a bookmark was delivered.
func (c *Checker) claim(w *watch, m *history.APIWatch) {
	rev := m.Object.Version
	c.pass(w, rev, func() row { return MessageRow(m) })
	for i := len(w.owed) - 1; i >= 0 && !w.owed[i].claimed; i-- { // claims are of all up to a revision
		d := &w.owed[i]
		if d.rev > rev {
			continue
		}
		d.claimed = true
		c.fail(w, BookmarkNotAhead, because("A bookmark names a revision up to which a change had not been delivered.").
			watch(w).change(w.res.step(d.entry)).commit(c, d.rev).message(m))
	}
}
