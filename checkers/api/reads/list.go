package reads

import (
	"net/http"

	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/versions"
)

// list judges a LIST: first its revision by its parameters, then what it holds
// by its revision.
func (c *Checker) list(call *history.APICall) {
	a, ok := ask(call)
	if !ok || call.Status != http.StatusOK && call.Status != http.StatusGone && !tooNew(call) {
		return
	}
	k := c.stored(call)
	if k == nil {
		return
	}
	if a.g == Paged {
		c.page(call, k)
		return
	}
	switch {
	case call.Status == http.StatusGone:
		want := int64(0)
		if a.g == Exact {
			want = a.n
		}
		c.expired(call, want)
	case tooNew(call):
		c.refused(call, a)
	case c.fromFuture(call, a):
	case !readable(call):
		c.counts.unread++
	default:
		c.revision(call, a)
		c.limit(call)
		c.snapshot(call, k, nil)
	}
}

// readable says that a list could be read, and its record is well-formed.
func readable(call *history.APICall) bool {
	for i := range call.Chunks {
		if n := call.Chunks[i].Count; n < 1 || n > history.MaxListed {
			return false
		}
	}
	return call.ListVersion > 0
}

// size is the number of objects in a list.
func size(call *history.APICall) int64 {
	if len(call.Chunks) == 0 {
		return int64(len(call.Items))
	}
	var n int64
	for i := range call.Chunks {
		n += call.Chunks[i].Count
	}
	return n
}

// revision judges a list's revision by what was asked for.
func (c *Checker) revision(call *history.APICall, a asked) {
	r, low, hi := call.ListVersion, int64(0), c.opt.Window.Hi(call.Returned)
	c.judge(a.g, size(call) > 0)
	switch a.g {
	case Exact:
		c.exact(call, a)
		return
	case MostRecent:
		low = c.opt.Window.Lo(call.Called)
	case NotOlderThan:
		low = a.n
	}
	c.back.list(call, a.g)
	if a.named && r > a.n {
		c.counts.single++
	}
	switch {
	case r > hi:
		c.fail(a.g, because("a list is of revision %d, when the store can have reached no more than revision %d", r, hi).
			call(call).newest(c, hi))
	case r < low:
		c.fail(a.g, because("a list is of revision %d, but must show what was there %s, or later", r, since(a, low)).
			floor(c, a, low).call(call))
	}
}

func (c *Checker) exact(call *history.APICall, a asked) {
	if call.ListVersion != a.n {
		c.fail(Exact, because("a list at exactly revision %d is of revision %d", a.n, call.ListVersion).call(call))
	}
	if lo, _ := c.opt.Window.Compacted(call.Called); lo > a.n {
		c.counts.outlived++
	}
}

// selectorText is a selector as it was sent.
type selectorText struct{ labels, fields string }

type selection struct {
	selector versions.Selector
	ok       bool
}

// maxSelectors bounds what is kept of parsed selectors: each kubelet has one.
const maxSelectors = 1 << 15

func (c *Checker) selector(call *history.APICall) (versions.Selector, bool) {
	if call.LabelSelector == "" && call.FieldSelector == "" {
		return versions.Selector{}, true
	}
	text := selectorText{call.LabelSelector, call.FieldSelector}
	s, have := c.selectors[text]
	if !have {
		if len(c.selectors) >= maxSelectors {
			clear(c.selectors)
		}
		parsed, err := versions.ParseSelector(text.labels, text.fields)
		s = selection{parsed, err == nil}
		c.selectors[text] = s
	}
	return s.selector, s.ok
}
