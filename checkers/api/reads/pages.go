package reads

import (
	"net/http"

	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/versions"
)

// token is a continue token with what it was used for. The server puts the
// revision and the place into it but not the resource, so that lists of
// different resources may have equal ones; and it must come back with the
// parameters with which it was given.
type token struct {
	hash                       uint64
	group, resource, namespace string
	labels, fields             string
}

func tokenOf(call *history.APICall, hash uint64) token {
	return token{hash, call.Group, call.Resource, call.Namespace, call.LabelSelector, call.FieldSelector}
}

// position is where the next page of a list begins: right behind the last
// object of the page, as the server makes the token of its key
// (pkg/storage/continue.go PrepareContinueToken).
type position struct {
	revision int64  // 0: the newest, of a token that came with a 410
	after    string // the key of the last object
	page     row    // the page that gave the token
}

// page judges an answer to a continue token, as soon as the page that gave the
// token was seen: records come only nearly in order.
func (c *Checker) page(call *history.APICall, k *versions.Kind) {
	t := tokenOf(call, call.Continue)
	if p, ok := c.tokens[t]; ok {
		c.continued(call, k, &p)
		return
	}
	c.parked[t] = append(c.parked[t], call.Clone())
}

func (c *Checker) continued(call *history.APICall, k *versions.Kind, p *position) {
	switch {
	case call.Status == http.StatusGone:
		c.expired(call, p.revision)
		c.place(call, position{after: p.after, page: callRow(call)})
	case tooNew(call):
		c.refused(call, asked{g: Paged, n: p.revision})
	case !readable(call):
		c.counts.unread++
	default:
		c.judge(Paged, size(call) > 0)
		c.counts.joined++
		if p.revision == 0 {
			c.counts.restarted++
		}
		c.limit(call)
		if c.joins(call, p) {
			c.snapshot(call, k, p)
		}
	}
}

// limit judges that an answer is no longer than was asked for. The API's words leave
// it to a server whether it has limits; a kube-apiserver has them, but where
// resourceVersion=0 was asked for, be it beside a token (computeListLimit in
// k8s.io/apiserver/pkg/storage/cacher/cacher.go).
func (c *Checker) limit(call *history.APICall) {
	switch n := size(call); {
	case call.Limit <= 0 || call.ResourceVersion == "0":
	case n > call.Limit:
		c.fail(Paged, because("a list has %d objects, and no more than %d were asked for", n, call.Limit).call(call))
	case call.NextPage != 0:
		c.counts.cut++
	}
}

// joins judges the revision of a page by that of the pages before. The rest of a
// list that starts anew, like any read of the newest, is not older than the
// store was.
func (c *Checker) joins(call *history.APICall, p *position) bool {
	if p.revision != 0 {
		if lo, _ := c.opt.Window.Compacted(call.Called); lo > p.revision {
			c.counts.outlived++
		}
		if call.ListVersion == p.revision {
			return true
		}
		e := because("a page is of revision %d, those before it are of revision %d", call.ListVersion, p.revision)
		e.rows = append(e.rows, p.page)
		c.fail(Paged, e.call(call))
		return false
	}
	lo, hi := c.opt.Window.Lo(call.Called), c.opt.Window.Hi(call.Returned)
	if lo <= call.ListVersion && call.ListVersion <= hi {
		return true
	}
	e := because("the rest of an expired list is of revision %d, when the newest was one of [%d, %d]", call.ListVersion, lo, hi)
	e.rows = append(e.rows, p.page)
	c.fail(Paged, e.call(call))
	return false
}

// remember takes note of where the next page of a list begins.
func (c *Checker) remember(call *history.APICall, before *position) {
	p := position{revision: call.ListVersion, page: callRow(call)}
	switch {
	case len(call.Chunks) > 0:
		p.after = call.Chunks[len(call.Chunks)-1].Last
	case len(call.Items) > 0:
		p.after = call.Items[len(call.Items)-1].Key()
	case before != nil:
		p.after = before.after
	}
	c.place(call, p)
}

// place gives a position to the token that came with an answer. Equal tokens
// are of one revision and one place, whoever got them.
func (c *Checker) place(call *history.APICall, p position) {
	if call.NextPage == 0 {
		return
	}
	t := tokenOf(call, call.NextPage)
	if other, ok := c.tokens[t]; ok {
		if other.revision != p.revision || other.after != p.after {
			e := because("two pages with the same continue token end at %q of revision %d and at %q of revision %d",
				other.after, other.revision, p.after, p.revision)
			e.rows = append(e.rows, other.page)
			c.judge(Paged, true)
			c.fail(Paged, e.call(call))
		}
		return
	}
	c.tokens[t] = p
	waiting := c.parked[t]
	delete(c.parked, t)
	for _, next := range waiting {
		c.continued(next, c.opt.Versions.Known(next.Group, next.Resource), &p)
	}
}
