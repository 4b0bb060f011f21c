package reads

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/versions"
)

// bounds are the revisions that an answer may show, read off the operations of
// the store one by one, without package window.
func (st *story) bounds(c *history.APICall) (lo, hi int64) {
	for _, op := range st.ops {
		if op.Returned < c.Called {
			lo = max(lo, op.Header)
		}
		if op.Called <= c.Returned {
			hi = max(hi, op.Header)
		}
	}
	return max(lo, 1), max(hi, 1)
}

// lower is the revision from which on an answer must be.
func (st *story) lower(c *history.APICall) (low, hi int64) {
	lo, hi := st.bounds(c)
	if n, err := strconv.ParseInt(c.ResourceVersion, 10, 64); err == nil {
		return n, hi
	}
	return lo, hi
}

func (st *story) objectAt(c *history.APICall, rev int64) *history.Version {
	o := history.APIObject{Namespace: c.Namespace, Name: c.Name}
	return st.at(c.Resource, o.Key(), rev)
}

// never says that an object, or its absence if v is nil, is not the state at
// any revision of [low, hi].
func (st *story) never(c *history.APICall, v *history.Version, low, hi int64) bool {
	for rev := low; rev <= hi; rev++ {
		if now := st.objectAt(c, rev); (now == nil) == (v == nil) && (v == nil || now.Revision == v.Revision) {
			return false
		}
	}
	return true
}

// lie is one way to answer wrongly. tell changes an answer; false: it cannot be
// told of this one, or it might be true.
type lie struct {
	name string
	g    Guarantee
	tell func(st *story, c *history.APICall, rng *rand.Rand) bool
}

type teller = func(st *story, c *history.APICall, rng *rand.Rand) bool

// of tells a lie of answered calls with a verb and a resourceVersion only.
func of(verb, rv string, then teller) teller {
	return func(st *story, c *history.APICall, rng *rand.Rand) bool {
		kind := c.ResourceVersion
		if kind != "" && kind != "0" {
			kind = "N"
		}
		if c.Verb != verb || kind != rv || c.Continue != 0 || c.Status != 200 && c.Status != 404 {
			return false
		}
		return then(st, c, rng)
	}
}

// show1 makes a GET show another state of its object.
func show1(c *history.APICall, v *history.Version) {
	if v == nil {
		c.Object = history.APIObject{}
		c.Status, c.DetailsKind, c.DetailsName = 404, c.Resource, c.Name
		return
	}
	c.Status, c.Object = 200, versions.Object(v)
}

func stale(st *story, c *history.APICall, rng *rand.Rand) bool {
	low, hi := st.lower(c)
	v := st.objectAt(c, max(1, low-1-rng.Int64N(40)))
	if v == nil || st.objectAt(c, low) == nil || !st.never(c, v, low, hi) {
		return false
	}
	show1(c, v)
	return true
}

func resurrected(st *story, c *history.APICall, rng *rand.Rand) bool {
	low, hi := st.lower(c)
	v := st.objectAt(c, max(1, low-1-rng.Int64N(40)))
	if v == nil || st.objectAt(c, low) != nil || !st.never(c, v, low, hi) {
		return false
	}
	show1(c, v)
	return true
}

func denied(st *story, c *history.APICall, _ *rand.Rand) bool {
	low, hi := st.lower(c)
	if !st.never(c, nil, low, hi) {
		return false
	}
	show1(c, nil)
	return true
}

func early(st *story, c *history.APICall, _ *rand.Rand) bool {
	_, hi := st.bounds(c)
	v := st.objectAt(c, st.rev)
	if v == nil || v.Revision <= hi {
		return false
	}
	show1(c, v)
	return true
}

func object(change func(*history.APIObject)) teller {
	return func(_ *story, c *history.APICall, _ *rand.Rand) bool {
		if c.Status != 200 {
			return false
		}
		change(&c.Object)
		return true
	}
}

// moved makes a list one of another revision, whole and true.
func moved(to func(st *story, c *history.APICall, rng *rand.Rand) int64) teller {
	return func(st *story, c *history.APICall, rng *rand.Rand) bool {
		rev := to(st, c, rng)
		if rev < 1 || rev > st.rev || c.Status != 200 {
			return false
		}
		c.ListVersion, c.NextPage = rev, 0
		pack(c, st.store.list(c, rev, ""))
		return true
	}
}

// contents changes what is in a list.
func contents(change func(st *story, c *history.APICall, items []history.APIObject, rng *rand.Rand) []history.APIObject) teller {
	return func(st *story, c *history.APICall, rng *rand.Rand) bool {
		if c.Verb != "list" || c.Status != 200 || size(c) == 0 {
			return false
		}
		items := c.Items
		if len(c.Chunks) > 0 {
			items = st.store.list(c, c.ListVersion, "")
			if c.Continue != 0 || int64(len(items)) < size(c) {
				return false
			}
			items = items[:size(c)]
		}
		changed := change(st, c, slices.Clone(items), rng)
		if changed == nil || slices.Equal(changed, items) {
			return false
		}
		pack(c, changed)
		return true
	}
}

type items = []history.APIObject

func missing(_ *story, c *history.APICall, l items, rng *rand.Rand) items {
	n := len(l)
	if c.NextPage != 0 {
		n-- // without its last object a page would only be shorter
	}
	if n == 0 {
		return nil
	}
	i := rng.IntN(n)
	return append(l[:i:i], l[i+1:]...)
}

func extra(st *story, c *history.APICall, l items, rng *rand.Rand) items {
	for _, o := range st.store.list(c, max(1, c.ListVersion-rng.Int64N(60)), "") {
		if st.at(c.Resource, o.Key(), c.ListVersion) != nil {
			continue
		}
		i, _ := slices.BinarySearchFunc(l, o.Key(), func(o history.APIObject, key string) int {
			if o.Key() < key {
				return -1
			}
			return 1
		})
		return slices.Insert(l, i, o)
	}
	return nil
}

func outdated(st *story, c *history.APICall, l items, rng *rand.Rand) items {
	o := &l[rng.IntN(len(l))]
	v := st.at(c.Resource, o.Key(), o.Version-1)
	if v == nil {
		return nil
	}
	*o = versions.Object(v)
	return l
}

// torn is the state at one revision up to a key, and at another behind it.
func torn(st *story, c *history.APICall, l items, rng *rand.Rand) items {
	if c.Limit != 0 || c.Continue != 0 {
		return nil
	}
	key := l[rng.IntN(len(l))].Key()
	other := st.store.list(c, max(1, c.ListVersion-1-rng.Int64N(30)), key)
	i := slices.IndexFunc(l, func(o history.APIObject) bool { return o.Key() > key })
	if i < 0 {
		i = len(l)
	}
	return append(l[:i:i], other...)
}

func raised(st *story, c *history.APICall, _ *rand.Rand) bool {
	rev := c.ListVersion + 1
	if c.Status != 200 || c.Limit != 0 || c.ResourceVersion != "0" || rev > st.rev {
		return false
	}
	if slices.Equal(st.store.list(c, rev, ""), st.store.list(c, rev-1, "")) {
		return false
	}
	c.ListVersion = rev
	return true
}

// onPage tells a lie of pages that go on at a revision, given the page before.
func onPage(then func(st *story, c, before *history.APICall, rng *rand.Rand) bool) teller {
	return func(st *story, c *history.APICall, rng *rand.Rand) bool {
		if c.Continue == 0 || c.Status != 200 || len(c.Chunks) > 0 {
			return false
		}
		i := slices.IndexFunc(st.next, func(p page) bool {
			return p.hash == c.Continue && p.revision != 0 && tokenOf(p.call, 0) == tokenOf(c, 0)
		})
		return i >= 0 && then(st, c, st.next[i].call, rng)
	}
}

func status(code int32, change func(st *story, c *history.APICall) bool) teller {
	return func(st *story, c *history.APICall, _ *rand.Rand) bool {
		if c.Status != 200 || !change(st, c) {
			return false
		}
		c.Status, c.Object, c.ListVersion, c.Items, c.Chunks, c.NextPage = code, history.APIObject{}, 0, nil, nil, 0
		if code == 504 {
			c.Cause = tooLarge
		}
		return true
	}
}

func lies() []lie {
	list := []lie{
		{"list stale", MostRecent, of("list", "", moved(func(st *story, c *history.APICall, rng *rand.Rand) int64 {
			lo, _ := st.bounds(c)
			return lo - 1 - rng.Int64N(9)
		}))},
		{"list at N stale", NotOlderThan, of("list", "N", func(st *story, c *history.APICall, rng *rand.Rand) bool {
			n, _ := st.lower(c)
			return (c.Match == "NotOlderThan" || c.Match == "" && c.Limit == 0) &&
				moved(func(*story, *history.APICall, *rand.Rand) int64 { return n - 1 - rng.Int64N(9) })(st, c, rng)
		})},
		{"list at 0 too new", Any, of("list", "0", moved(func(st *story, c *history.APICall, _ *rand.Rand) int64 {
			_, hi := st.bounds(c)
			return hi + 1
		}))},
		{"list too new", MostRecent, of("list", "", moved(func(st *story, c *history.APICall, _ *rand.Rand) int64 {
			_, hi := st.bounds(c)
			return hi + 1
		}))},
		{"missing", Snapshot, contents(missing)},
		{"extra", Snapshot, contents(extra)},
		{"outdated", Snapshot, contents(outdated)},
		{"torn", Snapshot, contents(torn)},
		{"raised", Snapshot, raised},
		{"swapped", Snapshot, contents(func(_ *story, _ *history.APICall, l items, rng *rand.Rand) items {
			i := rng.IntN(len(l))
			l[0], l[i] = l[i], l[0]
			return l
		})},
		{"twice", Snapshot, contents(func(_ *story, _ *history.APICall, l items, rng *rand.Rand) items {
			i := rng.IntN(len(l))
			return slices.Insert(l, i, l[i])
		})},
		{"item's uid", Snapshot, contents(func(_ *story, _ *history.APICall, l items, rng *rand.Rand) items {
			l[rng.IntN(len(l))].UID = "other"
			return l
		})},
		{"item's content", Snapshot, contents(func(_ *story, _ *history.APICall, l items, rng *rand.Rand) items {
			l[rng.IntN(len(l))].Content++
			return l
		})},
		{"page repeated", Paged, onPage(func(_ *story, c, before *history.APICall, _ *rand.Rand) bool {
			c.Items, c.Chunks = before.Items, before.Chunks
			return size(c) > 0
		})},
		{"page of another revision", Paged, onPage(func(_ *story, c, _ *history.APICall, rng *rand.Rand) bool {
			c.ListVersion += 1 - 2*int64(rng.IntN(2))
			return c.ListVersion > 0
		})},
		{"page skips", Paged, onPage(func(_ *story, c, _ *history.APICall, _ *rand.Rand) bool {
			ok := len(c.Items) > 1 || len(c.Items) == 1 && c.NextPage == 0
			if ok {
				c.Items = c.Items[1:]
			}
			return ok
		})},
		{"last page ends early", Paged, onPage(func(_ *story, c, _ *history.APICall, _ *rand.Rand) bool {
			ok := len(c.Items) > 0 && c.NextPage == 0
			if ok {
				c.Items = c.Items[:len(c.Items)-1]
			}
			return ok
		})},
		{"page of another state", Paged, onPage(func(st *story, c, before *history.APICall, rng *rand.Rand) bool {
			if len(before.Items) == 0 || c.NextPage != 0 {
				return false
			}
			l := st.store.list(c, st.rev, before.Items[len(before.Items)-1].Key())
			differ := !slices.Equal(l, c.Items)
			pack(c, l)
			return differ
		})},
		{"GET expired", ExpiredHonest, status(410, func(_ *story, c *history.APICall) bool { return c.Verb == "get" })},
		{"list expired", ExpiredHonest, status(410, func(st *story, c *history.APICall) bool {
			lo, _ := st.bounds(c)
			return c.Verb == "list" && c.Continue == 0 && (c.ResourceVersion == "" || c.ResourceVersion == "0") && lo >= st.gone
		})},
		{"exact list expired", ExpiredHonest, status(410, func(st *story, c *history.APICall) bool {
			return c.Verb == "list" && c.Continue == 0 && c.ListVersion >= st.gone && c.ResourceVersion == strconv.FormatInt(c.ListVersion, 10)
		})},
		{"page expired", ExpiredHonest, status(410, func(st *story, c *history.APICall) bool {
			return c.Continue != 0 && c.ListVersion >= st.gone && onPage(func(*story, *history.APICall, *history.APICall, *rand.Rand) bool { return true })(st, c, nil)
		})},
		{"GET refused", TooNewHonest, status(504, func(_ *story, c *history.APICall) bool {
			return c.Verb == "get" && c.ResourceVersion == ""
		})},
		{"list refused", TooNewHonest, status(504, func(_ *story, c *history.APICall) bool {
			return c.Verb == "list" && c.Continue == 0 && c.ResourceVersion == ""
		})},
		{"read at 0 refused", TooNewHonest, status(504, func(_ *story, c *history.APICall) bool { return c.ResourceVersion == "0" })},
		{"GET at a future N", TooNewHonest, func(st *story, c *history.APICall, _ *rand.Rand) bool {
			_, hi := st.bounds(c)
			c.ResourceVersion = strconv.FormatInt(hi+1, 10)
			return c.Verb == "get" && (c.Status == 200 || c.Status == 404)
		}},
		{"list at a future N", TooNewHonest, func(st *story, c *history.APICall, _ *rand.Rand) bool {
			_, hi := st.bounds(c)
			c.ResourceVersion = strconv.FormatInt(hi+1, 10)
			return c.Verb == "list" && c.Status == 200 && c.Continue == 0
		}},
	}
	for rv, g := range map[string]Guarantee{"": MostRecent, "N": NotOlderThan, "0": Any} {
		list = append(list,
			lie{"GET with another uid", g, of("get", rv, object(func(o *history.APIObject) { o.UID = "other" }))},
			lie{"GET with another content", g, of("get", rv, object(func(o *history.APIObject) { o.Content++ }))},
			lie{"GET with another version", g, of("get", rv, object(func(o *history.APIObject) { o.Version-- }))},
			lie{"GET too early", g, of("get", rv, early)},
		)
		if g != Any {
			list = append(list, lie{"GET stale", g, of("get", rv, stale)},
				lie{"GET of what is gone", g, of("get", rv, resurrected)}, lie{"404 of what is there", g, of("get", rv, denied)})
		}
	}
	for _, by := range []int64{-2, -1, 1, 2} {
		list = append(list, lie{fmt.Sprintf("exact list off by %d", by), Exact, func(st *story, c *history.APICall, rng *rand.Rand) bool {
			a, _ := ask(c)
			return a.g == Exact && moved(func(*story, *history.APICall, *rand.Rand) int64 { return a.n + by })(st, c, rng)
		}})
	}
	return list
}

// TestLies tells every lie of some answers in stories that are true otherwise.
// Each must be caught as a breach of the guarantee that it breaks.
func TestLies(t *testing.T) {
	told, kinds := map[string]int{}, map[Guarantee]map[string]bool{}
	for seed := range uint64(16) {
		st := tell(1000+seed, 350)
		for _, l := range lies() {
			rng := rand.New(rand.NewPCG(seed, sum(l.name)))
			for try, i := range rng.Perm(len(st.calls)) {
				c := st.calls[i].Clone()
				if !l.tell(st, c, rng) {
					continue
				}
				calls := slices.Clone(st.calls)
				calls[i] = c
				if broken, _ := st.judged(calls); broken[l.g] == "" {
					t.Errorf("seed %d: %q of #%d (%d) is not seen to break %s: %s -> %s",
						seed, l.name, c.ID, try, l.g, request(c), answer(c))
				}
				told[string(l.g)+": "+l.name]++
				break
			}
		}
	}
	for _, l := range lies() {
		if n := told[string(l.g)+": "+l.name]; n < 3 {
			t.Errorf("%s: %q was told %d times only", l.g, l.name, n)
		}
		if kinds[l.g] == nil {
			kinds[l.g] = map[string]bool{}
		}
		kinds[l.g][l.name] = true
	}
	all := 0
	for _, n := range told {
		all += n
	}
	for _, g := range Guarantees() {
		if len(kinds[g]) < 3 {
			t.Errorf("%s: %d kinds of lies only", g, len(kinds[g]))
		}
	}
	t.Logf("%d lies of %d kinds", all, len(told))
}
