// Package writes judges what the API servers answered to writes, and the
// identities of objects, over both histories of a run: the answers as clients
// saw them, and the versions that were committed to the store.
//
// An answer that carries a resourceVersion is judged by the versions of the
// object around it. A refusal carries none: it is right if it was true at one
// of the revisions that the store may have been at between the call and the
// return (package window). What is known of a server is its documentation and
// its source: AS stands for k8s.io/apiserver@v0.37.1/pkg in comments.
//
// Objects of resources that the version table does not have, and API events,
// which end by time to live and not by a write, are counted and not judged.
package writes

import (
	"math"

	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/checkers/api/window"
	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/versions"
)

// Options of a Checker. Before a call is handed over, Window has to be final up to
// its return, and Versions has to have everything up to the revision that Window
// allows then, and to know the resource if it ever will.
type Options struct {
	Versions *versions.Table
	Window   *window.Window
	Floors   Floors
	// Calm is the moment from which on no faults were caused, so that a server has
	// no failure of its own to answer an illegal call with. 0: never, or unknown.
	Calm history.Time
	// Struck is the moment until which none were caused either. 0: unknown.
	Struck history.Time
	// From is a revision up to which the versions were made before any of the
	// calls, so that none of them declares what it changed. Default: there is none.
	From int64
	// Undeclared says that the history is from before senders said what is illegal of
	// their requests (history.APICall.Illegal). Default: they do.
	Undeclared bool
}

// Checker judges calls as they are handed over, roughly in the order in which
// they returned. It is not safe for concurrent use. Use New.
type Checker struct {
	table       *versions.Table
	window      *window.Window
	floors      Floors
	from        int64
	undeclared  bool
	calm        history.Time
	struck      history.Time
	first, last int64 // the revisions of the table: (first, last]

	acked    map[target]acked
	claims   map[claim]*history.APICall // acknowledged writes; see claimed
	pending  map[target][]*pending      // writes that may have, or must not have, taken effect
	dryUIDs  map[string]*history.APICall
	removers map[target][]deletion // deletions by name, dry runs too
	sweepers []sweeper             // those of collections
	deeds    map[deed]history.Time // when a server had first done so
	sweep    sweep

	violations map[string]*violation
	judged     map[string]int64 // uses of a guarantee that could be decided
	open       map[string]int64 // uses that could not: the table does not reach there
	refusals   map[string]int64 // those of judged that are refusals
	counts     counts
	kinds      map[string]int64 // illegal calls that were judged, by what is illegal
	verdicts   []checkers.Verdict
}

// violation is the first counter-example of a guarantee.
type violation struct {
	evidence *evidence
	count    int
}

// counts is the evidence that verdicts rest on, beside judged and open.
type counts struct {
	calls, writes, unknown, events, untabled, excepted int64
	generated, elsewhere, admission, bare, unread      int64
	versions, objects, marked, finalized               int64
	repeated, dryRuns, illegal, oddReasons             int64
	// Removals and marks for deletion: those that are judged, and those that others
	// than clients of ours may have made; deletions of collections that were answered
	// with success, and those whose selection is not known; and dry runs of
	// deletions whose effect would not be seen.
	removals, foreign, sweeps, vague, dryUnseen int64
	// Of illegal calls: those that something else was answered to first, and those
	// that are illegal in a way that is not known here.
	before, strange int64
	// Known deviations: answers to a malformed resourceVersion (docs/findings/0002),
	// and refused deletions that take the last finalizer off (docs/findings/0006).
	malformed, collector int64
	// Of legal calls: refusals that were judged, and that nothing recorded tells of;
	// those that were shed, and that failed in the server.
	refused, untold, shed, broken int64
	// Answers of success that were looked at, and calls whose answers client-go read.
	held, opaque int64
}

// New returns a Checker.
func New(opts Options) *Checker {
	return &Checker{
		table: opts.Versions, window: opts.Window, floors: opts.Floors.withDefaults(), from: opts.From,
		undeclared: opts.Undeclared, deeds: map[deed]history.Time{},
		calm: opts.Calm, struck: opts.Struck, kinds: map[string]int64{},
		acked: map[target]acked{}, claims: map[claim]*history.APICall{}, pending: map[target][]*pending{},
		dryUIDs: map[string]*history.APICall{}, removers: map[target][]deletion{},
		sweep:      sweep{next: map[*versions.Kind]int{}, uids: map[string]life{}, guessed: map[int64]bool{}},
		violations: map[string]*violation{}, judged: map[string]int64{}, open: map[string]int64{}, refusals: map[string]int64{},
	}
}

// fail counts a violation; the counter-example is only made for the first.
func (c *Checker) fail(guarantee string, why func() *evidence) {
	if v := c.violations[guarantee]; v != nil {
		v.count++
		return
	}
	c.violations[guarantee] = &violation{evidence: why(), count: 1}
}

// Call takes a call. It keeps copies of what it keeps.
func (c *Checker) Call(call *history.APICall) {
	c.first, c.last = c.table.Bounds()
	if call.Opaque {
		c.counts.opaque++
		c.opaque(call)
		return
	}
	c.counts.calls++
	c.code(call)
	c.content(call)
	c.options(call)
	switch call.Verb {
	case "create", "update", "patch", "delete", "deletecollection":
		c.write(call)
	}
}

// write judges the answer to a write.
func (c *Checker) write(call *history.APICall) {
	if call.Status != 0 {
		c.counts.writes++
	}
	if call.Resource == "events" {
		c.counts.events++
		return
	}
	kind := c.table.Kind(call.Group, call.Resource)
	if kind == nil {
		c.counts.untabled++
		return
	}
	t := target{kind, call.Namespace, call.Name}
	c.noteDeletion(call, t)
	switch {
	case unknown(call):
		c.counts.unknown++
		c.note(call, t, mayHold)
	case call.Status >= 400:
		c.note(call, t, mustNot)
		c.refused(call, t)
	case call.DryRun:
		c.dryRun(call, t)
	case call.Verb == "delete":
		c.deleted(call, t)
	case call.Verb == "deletecollection":
		c.swept(call, t)
	default:
		c.written(call, t)
	}
}

// unknown says that a write may have taken effect, now or later: only answers
// of 4xx to POST, PUT and PATCH are definite failures. A DELETE that failed is
// none either, because it may commit twice.
func unknown(call *history.APICall) bool { return call.Status == 0 || call.Status >= 500 }

// Watch takes a message of a watch: its errors have codes and reasons too.
func (c *Checker) Watch(w *history.APIWatch) {
	if w.Type == "ERROR" {
		c.watchCode(w)
	}
}

// Broken names the guarantees of which a violation was seen so far.
func (c *Checker) Broken() []string {
	var names []string
	for _, g := range guarantees {
		if c.violations[g.name] != nil {
			names = append(names, g.name)
		}
	}
	return names
}

// Finish judges the versions that are left, and returns one verdict per
// guarantee.
func (c *Checker) Finish() []checkers.Verdict {
	if c.verdicts == nil {
		c.Advance(math.MaxInt64)
		c.verdicts = c.judgement()
	}
	return c.verdicts
}
