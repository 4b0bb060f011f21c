package watches

import (
	"cmp"
	"slices"

	"github.com/planecheck/planecheck/checkers/history"
)

// serverName is one resource at one API server instance: it has one watch cache.
type serverName struct{ server, group, resource string }

// server is what a watch cache said of its window.
type server struct {
	accepted []acceptance
	expired  []refusal
}

// acceptance is a watch from a revision that began to deliver.
type acceptance struct {
	call *history.APICall
	rev  int64
}

// refusal is a watch from a revision that was refused.
type refusal struct {
	call *history.APICall
	rev  int64
	at   history.Time
}

func (c *Checker) server(call *history.APICall) *server {
	name := serverName{call.Server, call.Group, call.Resource}
	s := c.servers[name]
	if s == nil {
		s = &server{}
		c.servers[name] = s
	}
	return s
}

// takes notes that a watch shows something, so that its server took it.
func (c *Checker) takes(w *watch, m *history.APIWatch) {
	if w.served {
		return
	}
	w.served = true
	rev := from(w.call)
	if rev == 0 {
		return
	}
	if !wantsState(w.call) {
		c.counts.accepted++
		w.server.accepted = append(w.server.accepted, acceptance{w.call, rev})
		return
	}
	if top := c.hi(m.At); rev > top {
		c.fail(w, TooNewHonest, because("Initial events of revision %d came when the store was at %d at most.", rev, top).watch(w).message(m))
	}
}

// refused judges an answer that is no watch.
func (c *Checker) refused(call *history.APICall) {
	if call.Subresource != "" || call.Resource == "events" {
		return
	}
	if from(call) > c.hi(call.Returned) {
		c.counts.future++
	}
	e := func(format string, args ...any) *evidence { return because(format, args...).call(call) }
	switch {
	case call.Status == 410:
		c.tooOld(brief(call), c.server(call), from(call), call.Returned, e)
	case call.Cause == "ResourceVersionTooLarge":
		c.tooNew(call, call.Returned, e)
	}
}

// failed judges an ERROR event, which ends its watch.
func (c *Checker) failed(w *watch, m *history.APIWatch) {
	if w.res == nil {
		return
	}
	e := func(format string, args ...any) *evidence { return because(format, args...).watch(w).message(m) }
	switch {
	case m.Status == 410 && w.served:
		if at := max(from(w.call), w.last, w.bookmark); at >= c.hi(m.At) {
			c.counts.expired++
			c.fail(w, ExpiredHonest, e("A watch that was at revision %d, the store's latest, ended as too old.", at))
		}
	case m.Status == 410:
		c.tooOld(w.call, w.server, from(w.call), m.At, e)
	case m.Status == 504:
		c.tooNew(w.call, m.At, e)
	}
	w.phase = failed
}

// tooOld judges a 410. A server may say so of each revision that is older than
// what it listed last or than the oldest event that it keeps
// (watch_cache_history.go, GetIntervalLocked): it lists anew whenever its own
// watch of the store breaks for good, and at its start, and keeps no fewer than
// 100 events. Which of these a server has, nobody outside can tell; but no window
// begins after the store's latest revision, or after a revision that no list of the
// store has reached and behind which there were few changes (outlived), a window
// never goes back in the life of a server, and initial events need none
// (watch_cache.go, getAllEventsSinceLocked).
func (c *Checker) tooOld(call *history.APICall, s *server, rev int64, at history.Time, because func(string, ...any) *evidence) {
	if call.ResourceVersion == "" && !wantsState(call) {
		return // it began at the latest revision, and may have been overtaken
	}
	c.counts.expired++
	switch top := c.hi(at); {
	case wantsState(call):
		c.fail(nil, ExpiredHonest, because("A watch that begins with the state was refused as too old."))
	case call.ResourceVersion == "0":
		c.fail(nil, ExpiredHonest, because("A watch from any revision was refused as too old."))
	case rev >= top:
		c.fail(nil, ExpiredHonest, because("A watch from revision %d was refused as too old when the store was at %d at most.", rev, top))
	default:
		if !c.outlived(call, rev, at) {
			c.fail(nil, ExpiredHonest, because("A watch from revision %d was refused as too old: the store was listed at revision %d at the latest, and there were fewer than %d changes behind it.",
				rev, c.listed(call, at), leastEvents))
		}
		s.expired = append(s.expired, refusal{call, rev, at})
	}
}

// leastEvents is how many events a watch cache keeps that has dropped any
// (watch_cache_history.go, defaultLowerBoundCapacity).
const leastEvents = 100

// outlived says that a revision may be older than what some watch cache held at a
// time: it was compacted, or a list of everything of the kind has reached a later one,
// or so many changes came after the next revision that the events up to that may have
// been dropped. Where that is not known it may be, too.
func (c *Checker) outlived(call *history.APICall, rev int64, at history.Time) bool {
	res := c.resource(call.Group, call.Resource)
	listed := c.listed(call, at)
	if listed == 0 || rev < c.first {
		c.counts.untold++
		return true
	}
	if _, compacted := c.opt.Window.Compacted(at); listed > rev || compacted > rev {
		c.counts.relisted++
		return true
	}
	changes := res.all.after(min(c.hi(at), c.last)) - res.all.after(rev+1)
	if changes >= leastEvents {
		c.counts.outrun++
		return true
	}
	return false
}

// listed is the latest revision as of which anybody had the whole of what a watch is
// about from the store, 0 where nobody is known to. A cache that refuses has it.
func (c *Checker) listed(call *history.APICall, at history.Time) int64 {
	res := c.resource(call.Group, call.Resource)
	if res == nil || res.kind.Prefix() == "" {
		return 0
	}
	return c.opt.Window.Listed(res.kind.Prefix(), at)
}

// judgeExpired looks for watches that a server accepted from a revision no
// later than one that it had refused before.
func (c *Checker) judgeExpired() {
	for _, name := range c.serverNames() {
		s := c.servers[name]
		slices.SortStableFunc(s.accepted, func(a, b acceptance) int { return cmp.Compare(b.call.Called, a.call.Called) })
		slices.SortStableFunc(s.expired, func(a, b refusal) int { return cmp.Compare(b.at, a.at) })
		next := 0
		var oldest *acceptance // of those that were called after the refusal
		for _, r := range s.expired {
			for ; next < len(s.accepted) && s.accepted[next].call.Called > r.at; next++ {
				if oldest == nil || s.accepted[next].rev < oldest.rev {
					oldest = &s.accepted[next]
				}
			}
			if oldest != nil && oldest.rev <= r.rev {
				c.fail(nil, ExpiredHonest, because("A server refused revision %d as too old, and served a watch from revision %d later.", r.rev, oldest.rev).
					add(row{From: r.call.Called, To: r.at, What: callName(r.call), Who: who(r.call), Text: request(r.call) + " -> 410"}).call(oldest.call))
			}
		}
		s.accepted, s.expired = nil, nil
	}
}

func (c *Checker) serverNames() []serverName {
	var names []serverName
	for name := range c.servers {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b serverName) int {
		return cmp.Or(cmp.Compare(a.server, b.server), cmp.Compare(a.group, b.group), cmp.Compare(a.resource, b.resource))
	})
	return names
}

// tooNew judges a "too large resource version". Only initial events wait for a
// revision (cacher.go, waitUntilWatchCacheFreshAndForceAllEvents); a cache that
// lags may say it of a revision that the store has.
func (c *Checker) tooNew(call *history.APICall, at history.Time, because func(string, ...any) *evidence) {
	c.counts.tooLarge++
	switch rev := from(call); {
	case !wantsState(call):
		c.fail(nil, TooNewHonest, because("A watch without initial events was refused as too new."))
	case call.ResourceVersion == "0":
		c.fail(nil, TooNewHonest, because("Initial events of any revision were refused as too new."))
	case rev <= c.opt.Window.Lo(call.Called):
		c.counts.lagging++
	}
}
