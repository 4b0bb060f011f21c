package apipower

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/planecheck/planecheck/checkers/api/window"
	"github.com/planecheck/planecheck/checkers/history"
)

// number reads a resourceVersion of a request; ok is false for none and for 0.
func number(s string) (int64, bool) {
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil && n > 0
}

// exact says that a list is of one revision, by what was asked for.
func exact(c *history.APICall) bool {
	_, numbered := number(c.ResourceVersion)
	return numbered && (c.Match == "Exact" || c.Match == "" && c.Limit > 0 && c.Continue == 0)
}

// bounds are the revisions that a read may show: those from lo to hi.
func bounds(w *window.Window, c *history.APICall) (lo, hi int64) {
	hi = w.Hi(c.Returned)
	if n, ok := number(c.ResourceVersion); ok {
		if c.Verb == "list" && exact(c) {
			return n, n
		}
		return n, hi
	}
	if c.ResourceVersion == "0" {
		return 0, hi
	}
	return w.Lo(c.Called), hi
}

// readWrong says what is wrong with an answer to a GET or LIST, "": nothing.
func (f *facts) readWrong(w *window.Window, c *history.APICall) string {
	switch {
	case c.Verb == "get" && c.Subresource == "" && c.Status == 200:
		return f.getWrong(w, c)
	case c.Verb == "get" && c.Subresource == "" && c.Status == 404 && c.Reason == "NotFound":
		lo, hi := bounds(w, c)
		if lo <= hi && f.absentWithin(called(c), lo, hi) {
			return ""
		}
		return fmt.Sprintf("%s was there from revision %d to %d", called(c).key(), lo, hi)
	case c.Verb == "list" && c.Status == 200:
		return f.listWrong(w, c)
	case c.Status == 410 && c.Reason == "Expired":
		return f.expiredWrong(w, c)
	case c.Status == 504 && c.Cause == "ResourceVersionTooLarge":
		return tooNewWrong(c)
	}
	return ""
}

func (f *facts) absentWithin(n name, lo, hi int64) bool {
	if f.at(n, lo) == nil {
		return true
	}
	return slices.ContainsFunc(f.objects[n], func(v *history.Version) bool {
		return v.Delete && v.Revision >= lo && v.Revision <= hi
	})
}

func (f *facts) getWrong(w *window.Window, c *history.APICall) string {
	lo, hi := bounds(w, c)
	if lo > w.Hi(c.Returned) {
		return fmt.Sprintf("revision %d did not exist", lo)
	}
	n := called(c)
	for _, v := range f.objects[n] {
		if !v.Delete && show(v) == c.Object && v.Revision <= hi && f.end(n, v) >= lo {
			return ""
		}
	}
	return fmt.Sprintf("no state from revision %d to %d shows version %d of %s", lo, hi, c.Object.Version, n.key())
}

// listWrong judges a page by the revision that it names and the page before.
func (f *facts) listWrong(w *window.Window, c *history.APICall) string {
	lo, hi := bounds(w, c)
	var after string
	if c.Continue != 0 {
		prev := f.prior(c)
		if prev == nil || prev.Status != 200 {
			return "" // nothing is known of the token
		}
		lo, hi, after = prev.ListVersion, prev.ListVersion, lastKey(prev)
	}
	if c.ListVersion < lo || c.ListVersion > hi || c.ListVersion > w.Hi(c.Returned) {
		return fmt.Sprintf("the list is of revision %d, not between %d and %d", c.ListVersion, lo, hi)
	}
	want := f.page(c, c.ListVersion, after)
	// A token behind which there is nothing is right: the store counts keys, not
	// what a selector matches.
	if c.NextPage == 0 && len(want) > 0 && f.more(c, c.ListVersion, want[len(want)-1].Key()) {
		return "the list ends before its last object"
	}
	if len(c.Chunks) > 0 {
		if !slices.Equal(c.Chunks, history.ChunkObjects(want)) {
			return "the digests differ"
		}
		return ""
	}
	// A page may end before its limit, with a token for the rest; the page behind
	// then shows whether anything is lost.
	if n := len(c.Items); c.NextPage != 0 && n < len(want) {
		want = want[:n]
	}
	if !slices.Equal(c.Items, want) {
		return fmt.Sprintf("the list of revision %d is not what was there", c.ListVersion)
	}
	return ""
}

// honoured says that the limit cut the answer, had nothing to cut, or has to be
// kept: only where resourceVersion 0 was asked for a server may ignore it.
func honoured(c *history.APICall) bool {
	if c.ResourceVersion != "0" {
		return true
	}
	n := int64(len(c.Items))
	for _, chunk := range c.Chunks {
		n += chunk.Count
	}
	return n <= c.Limit
}

func lastKey(c *history.APICall) string {
	if n := len(c.Chunks); n > 0 {
		return c.Chunks[n-1].Last
	}
	if n := len(c.Items); n > 0 {
		return c.Items[n-1].Key()
	}
	return ""
}

// page is what a call shows at a revision, after a key.
func (f *facts) page(c *history.APICall, rev int64, after string) []history.APIObject {
	all := f.state(c, rev)
	i := 0
	for after != "" && i < len(all) && all[i].Key() <= after {
		i++
	}
	all = all[i:]
	if c.Limit > 0 && int64(len(all)) > c.Limit && honoured(c) {
		all = all[:c.Limit]
	}
	return all
}

func (f *facts) more(c *history.APICall, rev int64, after string) bool {
	all := f.state(c, rev)
	return len(all) > 0 && all[len(all)-1].Key() > after
}

// expiredWrong judges a 410: the revision must have been compacted.
func (f *facts) expiredWrong(w *window.Window, c *history.APICall) string {
	_, compacted := w.Compacted(c.Returned)
	n, ok := number(c.ResourceVersion)
	switch {
	case c.Verb == "watch":
		if ok && n <= w.Hi(c.Returned) {
			return "" // the window of a server may be as short as it likes
		}
		return "410 of a watch from no revision of the past"
	case c.Continue != 0:
		if prev := f.prior(c); prev == nil || prev.Status != 200 || prev.ListVersion < compacted {
			return ""
		} else {
			n = prev.ListVersion
		}
	case !ok || !exact(c):
		return "410 of a list of no certain revision"
	}
	if n < compacted {
		return ""
	}
	return fmt.Sprintf("410 of revision %d, but no more than %d was compacted", n, compacted)
}

// tooNewWrong judges a 504: something too large must have been asked for. That
// a cache may lag behind excuses every number, that in a token too.
func tooNewWrong(c *history.APICall) string {
	if _, ok := number(c.ResourceVersion); ok && !plain(c) || c.Continue != 0 {
		return ""
	}
	return "504 of no revision that could be too large"
}
