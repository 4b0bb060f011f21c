package contract

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net/url"
	"strconv"
	"time"

	"github.com/planecheck/planecheck/apiserver/client"
)

const (
	watchLifeMean = 8 * time.Second // until a watch is cut, at random
	watchLifeMost = time.Minute
	mostResumes   = 4
)

// leg is what is drawn for one stretch of a watch, from its opening to its
// end.
type leg struct {
	life   time.Duration
	events int           // so many end it, too; 0: they do not
	pause  time.Duration // before it is opened
}

func newLeg(rng *rand.Rand) leg {
	l := leg{life: min(time.Duration(rng.ExpFloat64()*float64(watchLifeMean)), watchLifeMost)}
	if rng.IntN(3) == 0 {
		l.events = 1 + rng.IntN(20)
	}
	switch n := rng.IntN(20); {
	case n < 14:
		l.pause = time.Duration(rng.Int64N(int64(500 * time.Millisecond)))
	case n < 19:
		l.pause = time.Duration(rng.Int64N(int64(5 * time.Second)))
	default: // long enough for a compaction or two
		l.pause = time.Duration(20+rng.Int64N(40)) * time.Second
	}
	return l
}

// watch opens one in twenty watches from a version that is most probably too old:
// among all combinations there are too few of these to say that each minute of
// traffic has some that are refused.
func watch(_ context.Context, t *turn) {
	o := pick(t.rng, legalWatches)
	if t.chance(20) {
		o = watchOptions{version: compacted, bookmarks: t.chance(2)}
	}
	t.watch(o)
}

func watchIllegal(_ context.Context, t *turn) { t.watch(pick(t.rng, illegalWatches)) }

// watch opens a watch and leaves it to itself. One past the bound cuts the
// oldest of the client.
func (t *turn) watch(o watchOptions) {
	r := t.about("watch")
	r.Due, t.due = t.due, 0
	t.scope(&r, true)
	r.Query = t.watchQuery(r.Query, o)
	if t.chance(5) {
		r.Query.Set("timeoutSeconds", strconv.Itoa(1+t.rng.IntN(10)))
	}
	legs := make([]leg, 1+t.rng.IntN(1+mostResumes))
	for i := range legs {
		legs[i] = newLeg(t.rng)
	}
	legs[0].pause = 0
	t.w.watches.start(t.actor, func(ctx context.Context) { t.follow(ctx, r, legs) })
}

// watchQuery adds the options to the selectors.
func (t *turn) watchQuery(q url.Values, o watchOptions) url.Values {
	setIf(q, "resourceVersion", t.resourceVersion(o.version))
	setIf(q, "resourceVersionMatch", o.match)
	setIf(q, "sendInitialEvents", o.initial)
	if o.bookmarks {
		q.Set("allowWatchBookmarks", "true")
	}
	return q
}

// follow keeps a watch through its legs. Each one after the first resumes it
// from the last version that it showed, or was opened at.
func (t *turn) follow(ctx context.Context, r client.Request, legs []leg) {
	last, _ := strconv.ParseInt(r.Query.Get("resourceVersion"), 10, 64) // "" and junk: none
	for i, l := range legs {
		if !sleep(ctx, nil, l.pause) {
			return
		}
		if i > 0 {
			if last <= 0 {
				return // nothing to resume from
			}
			r.Due, r.Query = 0, resumed(r.Query, last)
			t.w.stats.watch(watchResumed)
		}
		if !t.leg(ctx, r, l, &last) {
			return
		}
	}
}

// resumed are the options of a watch that goes on after a version: all but
// those that ask for the initial events.
func resumed(q url.Values, last int64) url.Values {
	next := selectors(q)
	setIf(next, "allowWatchBookmarks", q.Get("allowWatchBookmarks"))
	next.Set("resourceVersion", strconv.FormatInt(last, 10))
	return next
}

// leg opens a watch and reads it until it ends or is cut. It is false if there
// is no use in going on: the watch was refused, or its version is gone.
func (t *turn) leg(ctx context.Context, r client.Request, l leg, last *int64) bool {
	ctx, cancel := context.WithTimeout(ctx, l.life+watchOpening)
	defer cancel()
	w, err := t.client.Watch(ctx, &r)
	t.w.stats.request("watch", err)
	if err != nil {
		return client.Reason(err) == "" && ctx.Err() == nil // the connection was cut
	}
	t.w.stats.watch(watchOpened)
	defer w.Close()
	cut := time.AfterFunc(l.life, func() { _ = w.Close() })
	defer cut.Stop()
	for n := 1; ; n++ {
		event, err := w.Next()
		switch {
		case errors.Is(err, io.EOF):
			t.w.stats.watch(watchEnded)
			return true
		case err != nil:
			t.w.stats.watch(watchCut)
			return true
		case event.Type == "ERROR":
			t.w.stats.failed(event.Err())
			return false
		}
		t.w.stats.event(event.Type)
		if m, err := t.object.kind.meta(event.Object); err == nil {
			t.w.board.version(m.version)
			if v, err := strconv.ParseInt(m.version, 10, 64); err == nil {
				*last = max(*last, v)
			}
		}
		if n == l.events {
			t.w.stats.watch(watchCut)
			return true
		}
	}
}

// watchOpening is for the answer to come: the API server waits some seconds for
// a version that it does not have.
const watchOpening = 10 * time.Second
