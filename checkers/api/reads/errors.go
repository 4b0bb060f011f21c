package reads

import "github.com/planecheck/planecheck/checkers/history"

// expired judges a 410 of a read that has to be done at the revision want, or
// at any from want on.
//
// The watch cache keeps snapshots of its own, which it lets go early: those
// older than its ring of events as soon as that is full (watch_cache.go
// processEvent), all of them when it is filled anew or found inconsistent, and
// those before the compact revision when it polls for that, every 15 seconds
// (compactor.go). None of this shows in an answer: when the cache says Expired,
// the list is asked of the store (delegator.go GetList), so that a 410 comes
// from ErrCompacted of the store alone (etcd3/errors.go interpretListError).
// The other way round, a snapshot answers a revision that the store no longer
// has for as long as the poll has not come by: that is allowed, and counted.
//
// A list without a revision can expire as well: the store reads it in several
// ranges at the revision of the first.
func (c *Checker) expired(call *history.APICall, want int64) {
	c.judge(ExpiredHonest, true)
	if call.Verb == "get" {
		c.fail(ExpiredHonest, because("a GET, which reads one key once, is answered 410").call(call))
		return
	}
	if want == 0 {
		want = c.opt.Window.Lo(call.Called)
	}
	if _, hi := c.opt.Window.Compacted(call.Returned); hi <= want {
		c.fail(ExpiredHonest, because("a list that needs revision %d is answered 410, but at most revision %d had been compacted",
			want, hi).call(call))
	}
}

// refused judges a 504 for a revision that is too large. The store answers so
// if it is behind N (etcd3/store.go validateMinimumResourceVersion), a watch
// cache if it has waited 3 seconds for N in vain, though the store may have had
// N all the time: allowed, and counted. Reads that name no revision fall back
// to the store, which has no reason to refuse.
func (c *Checker) refused(call *history.APICall, a asked) {
	c.judge(TooNewHonest, true)
	switch {
	case a.n == 0:
		c.fail(TooNewHonest, because("%s asks for no revision, and is refused one that is too large", request(call)).call(call))
	case a.n > c.opt.Window.Lo(call.Called):
		c.counts.refused++
	default:
		c.counts.lagging++
	}
}
