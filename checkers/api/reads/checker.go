package reads

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/checkers/api/window"
	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/versions"
)

// Options are what a Checker needs beside the records. When a record is judged,
// Window is final up to its Returned, and Versions has everything up to the
// revision that Window allows then; what a record is about is known to Versions
// by then if it ever will be.
type Options struct {
	Versions *versions.Table
	Window   *window.Window
	Floors   Floors
}

// Checker judges the reads of one history. Use New; it is not safe for
// concurrent use.
type Checker struct {
	opt         Options
	first, last int64 // the revisions that the table knows: (first, last]

	selectors map[selectorText]selection
	tokens    map[token]position
	parked    map[token][]*history.APICall // pages that came before the page with their token
	back      backwards
	nodes     nodes

	counts counts
	found  map[Guarantee]*finding
}

// counts is what was judged, and what was not.
type counts struct {
	judged map[Guarantee]int64 // answers that a guarantee was judged on
	// telling answers are those that had something to be wrong about: objects
	// that had changed or gone before, lists that were not empty.
	telling map[Guarantee]int64
	inert   int64 // answers 404, of those judged, that could not have been wrong

	items, chunked int64 // objects in judged lists; lists that came as chunks
	joined         int64 // pages that were joined to the one before
	cut            int64 // lists that their limit cut
	restarted      int64 // pages behind a token that came with a 410
	refused        int64 // 504 of a revision that the store had not reached for sure
	lagging        int64 // 504 of one that it had: a watch cache lagged
	outlived       int64 // exact lists of a revision surely compacted: a snapshot of the cache
	single         int64 // lists of one named object at N with a limit that were newer

	events    int64 // Kubernetes Events: excepted
	unstored  int64 // resources that are not known to be stored
	unread    int64 // answers or versions that could not be decoded
	unselect  int64 // selectors that read what the table does not have
	unbounded int64 // revisions outside of the table
	strangers int64 // continue tokens that no page of the history has
	narrowed  int64 // wrong pages that are a known deviation; see narrowed
}

// finding is the first violation of a guarantee, and how many there are.
type finding struct {
	count  int64
	detail string
}

// New returns a Checker without records.
func New(opt Options) *Checker {
	opt.Floors = opt.Floors.withDefaults()
	return &Checker{
		opt:       opt,
		selectors: map[selectorText]selection{}, tokens: map[token]position{}, parked: map[token][]*history.APICall{},
		back: newBackwards(), nodes: nodes{pods: map[string]*podList{}},
		counts: counts{judged: map[Guarantee]int64{}, telling: map[Guarantee]int64{}},
		found:  map[Guarantee]*finding{},
	}
}

// Call judges one attempt, if it is a GET or a LIST; roughly in the order of
// Returned. Only a page that comes before the one with its token is kept, as a
// copy.
func (c *Checker) Call(call *history.APICall) {
	if call == nil || c.opt.Versions == nil || c.opt.Window == nil || call.Resource == "" {
		return
	}
	c.first, c.last = c.opt.Versions.Bounds()
	switch call.Verb {
	case "get":
		c.get(call)
	case "list":
		if call.Subresource == "" {
			c.list(call)
		}
	}
}

// Watch does nothing: watches are judged by package watches.
func (c *Checker) Watch(*history.APIWatch) {}

// Broken names the guarantees of which a violation was seen so far.
func (c *Checker) Broken() []string {
	var names []string
	for _, g := range Guarantees() {
		if c.found[g] != nil {
			names = append(names, string(g))
		}
	}
	return names
}

// Finish returns the verdicts. The Checker must not be used any more.
func (c *Checker) Finish() []checkers.Verdict {
	for _, calls := range c.parked {
		c.counts.strangers += int64(len(calls))
	}
	return c.verdicts()
}

// fail counts a violation and keeps the first of each guarantee.
func (c *Checker) fail(g Guarantee, e *evidence) {
	f := c.found[g]
	if f == nil {
		f = &finding{detail: e.String()}
		c.found[g] = f
	}
	f.count++
}

func (c *Checker) judge(g Guarantee, telling bool) {
	c.counts.judged[g]++
	if telling {
		c.counts.telling[g]++
	}
}

// asked is what the parameters of a read ask for.
type asked struct {
	g Guarantee // MostRecent, NotOlderThan, Exact, Any or, of a continued list, Paged
	n int64     // of NotOlderThan and Exact
	// named says that the list is of one named object at N with a limit; see
	// the package comment.
	named bool
}

// ask reads the parameters; ok is false where they are no legal ones, which the
// server has to refuse and which is not judged here.
func ask(call *history.APICall) (a asked, ok bool) {
	list := call.Verb == "list"
	switch {
	case list && call.Continue != 0:
		return asked{g: Paged}, call.Match == ""
	case call.ResourceVersion == "":
		return asked{g: MostRecent}, call.Match == ""
	case call.ResourceVersion == "0":
		return asked{g: Any}, call.Match != "Exact"
	}
	n, err := strconv.ParseInt(call.ResourceVersion, 10, 64)
	if err != nil || n <= 0 {
		return asked{}, false
	}
	a = asked{g: NotOlderThan, n: n}
	switch {
	case !list || call.Match == "NotOlderThan":
	case call.Match == "Exact":
		a.g = Exact
	case call.Match != "":
		return asked{}, false
	case call.Limit > 0:
		a.named = ofOne(call)
		if !a.named {
			a.g = Exact
		}
	}
	return a, true
}

// ofOne says that a list is of one named object: its key can be made only where
// the namespace is known, so without one the list is of the whole resource.
// Lists of cluster-scoped objects by name and with a limit are taken for those
// of the whole resource, too; nothing of ours sends them.
func ofOne(call *history.APICall) bool {
	namespaced := call.Namespace != "" || requires(call, "metadata.namespace")
	return namespaced && requires(call, "metadata.name")
}

// requires says that a field selector asks for one value of a field.
func requires(call *history.APICall, field string) bool {
	for term := range strings.SplitSeq(call.FieldSelector, ",") {
		if rest, ok := strings.CutPrefix(term, field+"="); ok && rest != "" {
			return true
		}
	}
	return false
}

// excepted are Kubernetes Events.
func excepted(call *history.APICall) bool {
	return call.Resource == "events" && (call.Group == "" || call.Group == "events.k8s.io")
}

// stored returns the versions of what a call reads, nil if it is not judged.
func (c *Checker) stored(call *history.APICall) *versions.Kind {
	if excepted(call) {
		c.counts.events++
		return nil
	}
	k := c.opt.Versions.Known(call.Group, call.Resource)
	if k == nil {
		c.counts.unstored++
	}
	return k
}

// fromFuture judges the answer to a read at a revision that the store had not
// reached when it was answered: there can be none.
func (c *Checker) fromFuture(call *history.APICall, a asked) bool {
	hi := c.opt.Window.Hi(call.Returned)
	if a.n <= hi {
		return false
	}
	c.judge(TooNewHonest, true)
	c.fail(TooNewHonest, because("%s was answered %d, though the store can have reached no more than revision %d",
		request(call), call.Status, hi).call(call).newest(c, hi))
	return true
}

const tooLarge = "ResourceVersionTooLarge" // metav1.CauseTypeResourceVersionTooLarge

// tooNew says that an answer is the refusal of a revision that is not there yet.
func tooNew(call *history.APICall) bool {
	return call.Status == http.StatusGatewayTimeout && call.Cause == tooLarge
}
