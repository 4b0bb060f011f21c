package watches

import (
	"math"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/versions"
)

// Checker judges the watch guarantees of one API history. Feed it with Call and
// Watch and end with Finish. It is not safe for concurrent use.
//
// Before a call or a message is handed over, the window has to be final up to its
// time, and the version table has to have everything up to the revision that the
// window allows then, and to know the resource if it ever will.
type Checker struct {
	opt         Options
	first, last int64 // the revisions that the table knows: (first, last]

	resources map[resourceName]*resource // nil: it is not known to be stored
	open      map[uint64]*watch
	servers   map[serverName]*server
	latencies map[string]*hdrhistogram.Histogram // by resource
	phases    map[string]*hdrhistogram.Histogram // of all resources, by Options.Phase
	end       history.Time                       // of the last record
	counts    counts
	skipped   map[string]int64 // watches that are not judged, by the reason
	found     map[string]*finding
}

type resourceName struct{ group, resource string }

// counts is what was judged, and what was not.
type counts struct {
	watches, excepted, strangers            int64 // watches, those of Events, messages without a watch
	events, unjudged                        int64
	initial, unfinished, ends               int64
	bookmarks, errors                       int64
	added, modified, deleted, began, ceased int64
	expired, accepted, tooLarge, lagging    int64
	relisted, outrun, untold                int64 // of expired, why they may be; see outlived
	future, owing                           int64 // owing: watches that had to have shown everything at their end
}

// finding is a violated guarantee: its first counter-example and how many there
// were.
type finding struct {
	evidence *evidence
	count    int64
}

// New returns a Checker.
func New(opt Options) *Checker {
	return &Checker{
		opt:       opt.withDefaults(),
		resources: map[resourceName]*resource{},
		open:      map[uint64]*watch{}, servers: map[serverName]*server{},
		latencies: map[string]*hdrhistogram.Histogram{}, phases: map[string]*hdrhistogram.Histogram{}, found: map[string]*finding{},
		skipped: map[string]int64{},
	}
}

// Call takes an attempt; those that are no watches are of no interest. The
// Checker keeps nothing of the record.
func (c *Checker) Call(call *history.APICall) {
	if call == nil || call.Verb != "watch" {
		return
	}
	c.first, c.last = c.opt.Versions.Bounds()
	c.end = max(c.end, call.Returned)
	if call.Status != 200 || call.Error != "" { // the answer may be no stream, and nothing is read of it
		if call.Status != 0 {
			c.refused(call)
		}
		return
	}
	c.counts.watches++
	c.open[call.ID] = c.newWatch(call)
}

// Watch takes the next message of a watch. The messages of one watch must come
// in their order, after the call that opened it. The Checker keeps nothing of
// the record.
func (c *Checker) Watch(m *history.APIWatch) {
	if m == nil {
		return
	}
	c.end = max(c.end, m.At)
	w := c.open[m.Call]
	if w == nil {
		c.counts.strangers++
		return
	}
	c.upToDate(w)
	switch m.Type {
	case history.APIWatchOpen:
		w.opened = m.At
	case "ADDED", "MODIFIED", "DELETED":
		c.counts.events++
		c.event(w, m)
	case "BOOKMARK":
		c.bookmark(w, m)
	case "ERROR":
		c.counts.errors++
		c.failed(w, m)
	case history.APIWatchClosed:
		c.closed(w, m.At, m.Error == history.ClosedByClient)
		delete(c.open, m.Call)
	}
}

// upToDate lets a watch see what has come into the version table.
func (c *Checker) upToDate(w *watch) {
	c.first, c.last = c.opt.Versions.Bounds()
	if w.res != nil {
		w.res.extend()
	}
}

// Broken names the guarantees of which a violation was seen so far.
func (c *Checker) Broken() []string {
	var names []string
	for _, g := range guarantees {
		if c.found[g.name] != nil {
			names = append(names, g.name)
		}
	}
	return names
}

// Strangers counts the messages that came on no open watch: none is judged.
func (c *Checker) Strangers() int64 { return c.counts.strangers }

// Finish judges what is left and returns the verdicts, one per guarantee.
func (c *Checker) Finish() []checkers.Verdict {
	c.first, c.last = c.opt.Versions.Bounds()
	for _, w := range c.stillOpen() {
		c.upToDate(w)
		c.closed(w, c.end, true)
	}
	c.open = map[uint64]*watch{}
	c.judgeExpired()
	return c.verdicts()
}

// fail keeps the first violation of a guarantee and counts all. What a watch
// shows that could not be judged in full proves nothing.
func (c *Checker) fail(w *watch, name string, e *evidence) {
	if w != nil && w.unknown {
		return
	}
	f := c.found[name]
	if f == nil {
		f = &finding{evidence: e}
		c.found[name] = f
	}
	f.count++
}

func (c *Checker) resource(group, name string) *resource {
	key := resourceName{group, name}
	r, known := c.resources[key]
	if !known {
		if k := c.opt.Versions.Known(group, name); k != nil {
			r = newResource(k)
		}
		c.resources[key] = r
	}
	if r != nil {
		r.extend()
	}
	return r
}

// hi is the latest revision that there may have been at a time.
func (c *Checker) hi(at history.Time) int64 {
	if rev := c.opt.Window.Hi(at); rev > 0 {
		return rev
	}
	return math.MaxInt64 // the store's history does not tell
}

// sought returns the selector of a watch and whether it could be read.
func sought(call *history.APICall) (versions.Selector, bool) {
	s, err := versions.ParseSelector(call.LabelSelector, call.FieldSelector)
	return s, err == nil
}
