package watch

import "github.com/planecheck/planecheck/checkers/history"

// progress judges a message of progress, of one watch or of all of a stream.
func (c *Checker) progress(s *stream, r *history.StoreWatch) {
	if why := c.ahead(r.Header, r.At); why != "" {
		c.fail(Bookmarkable, "Progress names "+why+".", row{
			at: r.At, stream: s.id, watch: number(r.Watch), member: s.member, what: "progress", rev: r.Header,
		})
	}
	if r.Watch == refusedID {
		c.counts.progressAll++
		for _, w := range s.list {
			c.progressOf(w, r, false)
		}
		return
	}
	if w := s.open[r.Watch]; w != nil {
		c.progressOf(w, r, true)
	}
}

// progressOf judges what progress says of a watch; own if it names the watch.
func (c *Checker) progressOf(w *watch, r *history.StoreWatch, own bool) {
	if len(w.parts) > 0 {
		parts := w.parts
		w.parts = nil
		c.answer(w, parts, answer{at: r.At, header: none})
	}
	c.counts.progress++
	here := w.row(r.At, "progress", r.Header, "")
	c.progressPlace(w, r, own, here)
	c.pass(w, r.Header+1, here)
	if w.next == none {
		w.next = max(r.Header+1, w.from)
		w.pos = c.index.find(w.span, w.next)
	} else if r.Header >= w.next {
		w.next = r.Header + 1
	}
	for i := range w.owed {
		d := &w.owed[i]
		if d.rev > r.Header || d.claimed {
			continue
		}
		d.claimed = true
		c.fail(Bookmarkable, "Progress names a revision up to which an event had not been delivered.",
			d.before, c.committed(w, *d), here)
	}
	if r.Header > w.progress {
		w.progress, w.progressAt = r.Header, r.At
	}
}

// progressPlace judges the revision of progress against what came before.
func (c *Checker) progressPlace(w *watch, r *history.StoreWatch, own bool, here row) {
	if r.Header < w.last {
		c.fail(Bookmarkable, "Progress is behind an event that came before it.", w.before(), here)
	}
	if r.Header < w.progress {
		c.fail(Bookmarkable, "Progress is behind earlier progress.", w.row(w.progressAt, "progress", w.progress, ""), here)
	}
	// Before its start a watch has no progress (watchable_store.go,
	// progressIfSync); older servers send the revision just before it, which
	// misleads nobody. Progress of the whole stream may have been decided
	// before the watch was there.
	if own && w.start > 0 && r.Header < w.start-1 {
		c.fail(Bookmarkable, "Progress takes the watch back before its start.",
			w.row(w.created, "created, start "+number(w.start), w.header, ""), here)
	}
}
