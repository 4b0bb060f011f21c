package reads

import (
	"fmt"
	"iter"

	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/versions"
)

// snapshot judges what a list holds: the matching part of the state at its
// revision, from behind the page before, if there is one, up to its end or to
// its last object, if there are more pages. Then it takes note of the token.
func (c *Checker) snapshot(call *history.APICall, k *versions.Kind, before *position) {
	r := call.ListVersion
	if r > c.last || r < c.first || r == c.first && r > 1 {
		c.counts.unbounded++
		c.remember(call, before)
		return
	}
	after := ""
	if before != nil {
		after = before.after
	}
	d := c.compare(call, k, after)
	switch {
	case d == nil:
		c.judge(Snapshot, size(call) > 0)
		c.counts.items += size(call)
		if len(call.Chunks) > 0 {
			c.counts.chunked++
		}
		c.remember(call, before)
	case d.unknown != nil:
		*d.unknown++
		c.remember(call, before)
	case before != nil && c.narrowed(call, k):
		c.counts.narrowed++
		c.remember(call, before)
	default:
		c.judge(Snapshot, true)
		c.fail(Snapshot, c.explain(call, k, before, d))
		if before != nil || call.NextPage != 0 {
			c.judge(Paged, true)
			c.fail(Paged, c.explain(call, k, before, d))
		}
		c.remember(call, before) // later pages are judged by where this one ends
	}
}

// narrowed says that a page is wrong in the way in which a kube-apiserver is known to
// get it wrong: of a list of all namespaces whose field selector leaves one of them, the
// first page is read below the namespace, and the token is a place below it; the next
// is read below the whole resource from the same place (docs/findings/0001). So it has
// nothing at all where the namespace sorts before the name in the token, and else
// begins anew. It is counted and said; whatever else is wrong with such a page is a
// violation.
func (c *Checker) narrowed(call *history.APICall, k *versions.Kind) bool {
	if call.Namespace != "" || !requires(call, "metadata.namespace") {
		return false
	}
	nothing := size(call) == 0 && call.NextPage == 0
	return nothing || c.compare(call, k, "") == nil
}

// difference is the first one between a list and the state.
type difference struct {
	why     string
	want    *history.Version   // what the state has there, nil: no more
	got     *history.APIObject // what the list has there, nil: no more, or a chunk
	unknown *int64             // not nil: the list cannot be judged, and this counts why
}

func differs(format string, args ...any) *difference {
	return &difference{why: fmt.Sprintf(format, args...)}
}

// compare returns the first difference between a list and the state at its
// revision behind the key after, nil if there is none.
func (c *Checker) compare(call *history.APICall, k *versions.Kind, after string) *difference {
	selector, ok := c.selector(call)
	if !ok {
		return &difference{unknown: &c.counts.unselect}
	}
	var unknown *int64
	state := func(yield func(*history.Version) bool) {
		for v := range c.candidates(call, k, selector) {
			if v.Unread {
				unknown = &c.counts.unread
				return
			}
			if after != "" && !behind(v, after) {
				continue
			}
			match, known := selector.Matches(v)
			if !known {
				unknown = &c.counts.unselect
				return
			}
			if match && !yield(v) {
				return
			}
		}
	}
	var d *difference
	if len(call.Chunks) > 0 {
		d = compareChunks(call, state)
	} else {
		d = compareItems(call, state)
	}
	switch {
	case unknown != nil:
		return &difference{unknown: unknown}
	case d != nil && c.older(d):
		return &difference{unknown: &c.counts.unbounded}
	}
	return d
}

// older says that a difference may come of an object that is older than the
// table.
func (c *Checker) older(d *difference) bool {
	return c.first > 1 && (d.got != nil && d.got.Version <= c.first || d.got == nil && d.want == nil)
}

// behind says that a version's key sorts behind another one.
func behind(v *history.Version, key string) bool {
	n := len(v.Namespace)
	switch {
	case n == 0:
		return v.Name > key
	case len(key) <= n:
		return v.Namespace >= key
	case v.Namespace != key[:n]:
		return v.Namespace > key[:n]
	case key[n] != '/':
		return '/' > key[n]
	}
	return v.Name > key[n+1:]
}

func compareItems(call *history.APICall, state iter.Seq[*history.Version]) *difference {
	i := 0
	for v := range state {
		if i == len(call.Items) {
			return ended(call, v)
		}
		if o := &call.Items[i]; *o != versions.Object(v) {
			return item(call, i, v)
		}
		i++
		if i == len(call.Items) && call.NextPage != 0 {
			return nil
		}
	}
	if i < len(call.Items) {
		return item(call, i, nil)
	}
	return nil
}

// ended judges that a list ends where the state has one more object: it may, if
// there is a next page.
func ended(call *history.APICall, v *history.Version) *difference {
	if call.NextPage != 0 {
		return nil
	}
	d := differs("it ends without %s and offers no next page", keyOf(v))
	d.want = v
	return d
}

// item says what is wrong with item i, where the state has v.
func item(call *history.APICall, i int, v *history.Version) *difference {
	o := &call.Items[i]
	d := &difference{want: v, got: o}
	switch key := o.Key(); {
	case i > 0 && key <= call.Items[i-1].Key():
		d.why = fmt.Sprintf("item %d, %s, is out of order or comes twice", i+1, key)
	case v != nil && key == keyOf(v):
		d.why = fmt.Sprintf("item %d, %s, has %s", i+1, key, unlike(o, v))
	case v != nil && key > keyOf(v):
		d.why = fmt.Sprintf("%s is missing before item %d, %s", keyOf(v), i+1, key)
	default:
		d.why = fmt.Sprintf("item %d, %s, does not belong there", i+1, key)
	}
	return d
}

func compareChunks(call *history.APICall, state iter.Seq[*history.Version]) *difference {
	i, at := 0, int64(0)
	part := make([]history.APIObject, 0, history.MaxListed)
	for v := range state {
		if i == len(call.Chunks) {
			return ended(call, v)
		}
		part = append(part, versions.Object(v))
		if want := &call.Chunks[i]; int64(len(part)) == want.Count {
			if d := chunk(want, at, part); d != nil {
				return d
			}
			at += want.Count
			i, part = i+1, part[:0]
			if i == len(call.Chunks) && call.NextPage != 0 {
				return nil
			}
		}
	}
	if i < len(call.Chunks) {
		return chunk(&call.Chunks[i], at, part)
	}
	return nil
}

// chunk compares a chunk with the objects that should be in it. Only the range
// is known of what differs, so the keys are narrowed down as far as they show.
func chunk(got *history.APIChunk, at int64, want []history.APIObject) *difference {
	where := fmt.Sprintf("items %d to %d, %s to %s,", at+1, at+got.Count, got.First, got.Last)
	switch {
	case len(want) == 0:
		return differs("%s do not belong there: the state ends before", where)
	case int64(len(want)) < got.Count:
		return differs("%s are %d, but the state ends with %d there, %s to %s",
			where, got.Count, len(want), want[0].Key(), want[len(want)-1].Key())
	case got.First != want[0].Key() || got.Last != want[len(want)-1].Key():
		return differs("%s are %s to %s in the state", where, want[0].Key(), want[len(want)-1].Key())
	case got.Digest != history.DigestObjects(want):
		return differs("%s differ from the state: another name, uid, version or content", where)
	}
	return nil
}

// explain makes the counter-example of a list that is no part of the state.
func (c *Checker) explain(call *history.APICall, k *versions.Kind, before *position, d *difference) *evidence {
	e := because("a list is not what the state at its revision %d has: %s", call.ListVersion, d.why)
	if before != nil {
		e.rows = append(e.rows, before.page)
	}
	e.call(call)
	if d.want != nil {
		e.version(c, d.want).version(c, k.Next(d.want.Namespace, d.want.Name, d.want.Revision))
	}
	if d.got == nil {
		return e
	}
	e.note("in the list", show(d.got))
	if d.want == nil || keyOf(d.want) != d.got.Key() {
		if v := k.At(d.got.Namespace, d.got.Name, call.ListVersion); v != nil {
			e.version(c, v)
		} else {
			e.note("in the state", d.got.Key()+" absent")
		}
	}
	return e
}
