package judge

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/planecheck/planecheck/checkers/api/window"
	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/history/archive"
	"github.com/planecheck/planecheck/checkers/storage/storetest"
)

// plane is both histories of a run: those of a simulated store, and what clients
// of correct API servers in front of it may have seen.
type plane struct {
	rng     *rand.Rand
	store   storetest.History
	window  *window.Window
	seen    map[int64]history.Time // when a watch showed a revision
	last    int64
	objects map[string][]*history.Version // by name
	keys    []string                      // of the store, by their first revisions

	versions []*history.Version
	calls    []*history.APICall
	messages []*history.APIWatch
}

const (
	tick   = history.Time(time.Millisecond)
	absent = "leases" // never stored
)

// newPlane lets clients watch, read and write for as long as a store was used.
func newPlane(seed uint64, ops int) *plane {
	p := &plane{
		rng: rand.New(rand.NewPCG(seed, 0x617069)), store: storetest.Generate(seed, storetest.Config{Ops: ops}),
		seen: map[int64]history.Time{}, objects: map[string][]*history.Version{},
	}
	b := window.New()
	for _, op := range p.store.Ops {
		b.StoreOp(op)
	}
	for _, w := range p.store.Watches {
		b.StoreWatch(w)
	}
	p.window = b.Window()
	p.commit()
	for _, v := range p.versions {
		p.write(v)
	}
	begin, end := p.seen[2], p.seen[p.last]
	for range ops / 2 {
		p.read(begin + history.Time(p.rng.Int64N(int64(end-begin))))
	}
	for range 40 {
		from := begin + history.Time(p.rng.Int64N(int64(end-begin)))
		p.watch(from, from+history.Time(p.rng.Int64N(int64(5*time.Second))))
	}
	slices.SortStableFunc(p.calls, func(a, b *history.APICall) int { return cmp.Compare(a.Returned, b.Returned) })
	slices.SortStableFunc(p.messages, func(a, b *history.APIWatch) int { return cmp.Compare(a.At, b.At) })
	p.messages = disorder(p.rng, p.messages)
	p.calls = disorder(p.rng, p.calls)
	for i := len(p.calls) - 60; i >= 0; i-- { // some are recorded after their first messages
		if c := p.calls[i]; c.Verb == "watch" && p.rng.IntN(2) == 0 {
			copy(p.calls[i:], p.calls[i+1:i+60])
			p.calls[i+59] = c
		}
	}
	return p
}

// disorder swaps some neighbours, as concurrent recorders do.
func disorder[T any](rng *rand.Rand, records []T) []T {
	for i := 1; i < len(records); i++ {
		if m, ok := any(records[i]).(*history.APIWatch); ok && m.Call == any(records[i-1]).(*history.APIWatch).Call {
			continue // those of one watch come in order
		}
		if rng.IntN(10) == 0 {
			records[i-1], records[i] = records[i], records[i-1]
		}
	}
	return records
}

// commit makes the version table of what the watches of the store showed.
func (p *plane) commit() {
	events := map[int64]map[string]history.StoreEvent{}
	for _, w := range p.store.Watches {
		for _, e := range w.Events {
			rev := e.KV.Mod
			if events[rev] == nil {
				events[rev], p.seen[rev] = map[string]history.StoreEvent{}, w.At
			}
			events[rev][e.KV.Key] = e
			p.last = max(p.last, rev)
		}
	}
	first := map[string]int64{}
	for rev := int64(2); rev <= p.last; rev++ {
		for key := range events[rev] {
			if strings.Count(key, "/") == 4 && first[key] == 0 {
				first[key] = rev
			}
		}
	}
	for key := range first {
		p.keys = append(p.keys, key)
	}
	slices.SortFunc(p.keys, func(a, b string) int { return cmp.Compare(first[a], first[b]) })
	for rev := int64(2); rev <= p.last; rev++ {
		for _, key := range p.keys {
			if e, ok := events[rev][key]; ok {
				p.version(rev, key, e)
			}
		}
		for _, key := range slices.Sorted(maps.Keys(events[rev])) {
			if first[key] == 0 { // a key of no object has its row all the same
				p.versions = append(p.versions, &history.Version{Revision: rev, Key: key, Delete: events[rev][key].Delete})
			}
		}
	}
}

func (p *plane) version(rev int64, key string, e history.StoreEvent) {
	name := nameOf(key)
	v := &history.Version{Revision: rev, Delete: e.Delete, Resource: p.resource(key)}
	v.Key = "/registry/" + v.Resource + "/ns/" + name
	if !e.Delete {
		v.Kind, v.Namespace, v.Name = v.Resource, "ns", name
		v.UID, v.Created, v.Generation = fmt.Sprint(v.Name, "-", e.KV.Create), e.KV.Create, 1
		v.Content = uint64(rev) * 0x9e3779b97f4a7c15
		v.Marks = []history.Pair{{Name: "client", Value: fmt.Sprint(rev)}}
		if v.Resource == "pods" {
			v.Fields = []history.Pair{{Name: "spec.nodeName", Value: fmt.Sprint("node-", e.KV.Create%3)}}
		}
	}
	p.objects[name] = append(p.objects[name], v)
	p.versions = append(p.versions, v)
}

// resource makes a resource of its own of the object that came last: clients ask
// for it long before.
func (p *plane) resource(key string) string {
	switch {
	case key == p.keys[len(p.keys)-1]:
		return "widgets"
	case strings.HasPrefix(key, "/registry/r02/"):
		return "pods"
	}
	return "configmaps"
}

func nameOf(key string) string { return key[strings.LastIndexByte(key, '/')+1:] }

// at is the object at a revision, nil if there is none.
func (p *plane) at(name string, rev int64) *history.Version {
	var found *history.Version
	for _, v := range p.objects[name] {
		if v.Revision <= rev {
			found = v
		}
	}
	if found == nil || found.Delete {
		return nil
	}
	return found
}

func shown(v *history.Version, rev int64) history.APIObject {
	return history.APIObject{Namespace: v.Namespace, Name: v.Name, UID: v.UID, Version: rev, Content: v.Content}
}

func (p *plane) call(verb, resource, name string, called, returned history.Time) *history.APICall {
	c := &history.APICall{
		ID: uint64(len(p.calls) + 1), Class: history.ClassContract, Server: "one", Called: called, Returned: returned,
		Verb: verb, Version: "v1", Resource: resource, Namespace: "ns", Name: name, Status: 200,
	}
	p.calls = append(p.calls, c)
	return c
}

// write makes the call that made a version, or removed the object. Nobody got an
// answer to one of unknown outcome.
func (p *plane) write(v *history.Version) {
	called, returned, ok := p.window.Commit(v.Revision)
	c := p.call("update", v.Resource, nameOf(v.Key), called-tick, returned+tick)
	c.Declared, c.Sets = true, v.Marks
	if v.Delete {
		c.Verb = "delete"
	}
	if !ok {
		for rev := v.Revision; !ok && rev > 1; {
			rev--
			called, _, ok = p.window.Commit(rev)
		}
		c.Called, c.Returned, c.Status = called-tick, p.seen[v.Revision]+history.Time(p.rng.Int64N(int64(200*tick))), 0
		return
	}
	if v.Delete {
		return // answered with a Status
	}
	c.Object = shown(v, v.Revision)
	if before := p.at(nameOf(v.Key), v.Revision-1); before != nil && p.rng.IntN(4) == 0 {
		c.NeedVersion = fmt.Sprint(before.Revision)
	}
}

// read makes a GET or a list that is answered right.
func (p *plane) read(at history.Time) {
	returned := at + history.Time(p.rng.Int64N(int64(8*tick)))
	lo, hi := p.window.Lo(at), min(p.window.Hi(returned), p.last)
	rev := lo + p.rng.Int64N(max(hi-lo, 0)+1)
	key := p.keys[p.rng.IntN(len(p.keys))]
	resource := p.resource(key)
	if p.rng.IntN(30) == 0 {
		resource = absent
	}
	verb := []string{"get", "get", "list"}[p.rng.IntN(3)]
	c := p.call(verb, resource, "", at, returned)
	switch p.rng.IntN(4) {
	case 0:
		c.ResourceVersion, rev = "0", max(1, rev-p.rng.Int64N(40))
	case 1:
		c.ResourceVersion = fmt.Sprint(max(1, rev-p.rng.Int64N(20)))
	}
	if verb == "list" {
		c.ListVersion, c.Items = rev, p.list(resource, rev)
		return
	}
	c.Name = nameOf(key)
	if v := p.at(nameOf(key), rev); v != nil && resource != absent {
		c.Object = shown(v, v.Revision)
	} else {
		c.Status, c.Reason, c.DetailsKind, c.DetailsName = 404, "NotFound", resource, c.Name
	}
}

func (p *plane) list(resource string, rev int64) []history.APIObject {
	var items []history.APIObject
	for _, key := range slices.Sorted(slices.Values(p.keys)) {
		if v := p.at(nameOf(key), rev); v != nil && v.Resource == resource {
			items = append(items, shown(v, v.Revision))
		}
	}
	slices.SortFunc(items, func(a, b history.APIObject) int { return strings.Compare(a.Key(), b.Key()) })
	return items
}

// watch makes a watch, every other one with the state first, that shows each
// change a moment after the store.
func (p *plane) watch(from, to history.Time) {
	resource := []string{"configmaps", "pods", "widgets", absent}[p.rng.IntN(4)]
	c := p.call("watch", resource, "", from, from+tick)
	start, id := p.window.Lo(from), c.ID
	c.Bookmarks, c.ResourceVersion = true, fmt.Sprint(start)
	at := c.Returned
	say := func(kind string, o history.APIObject) *history.APIWatch {
		m := &history.APIWatch{Call: id, Type: kind, At: at, Object: o}
		p.messages = append(p.messages, m)
		return m
	}
	say(history.APIWatchOpen, history.APIObject{})
	if p.rng.IntN(2) == 0 {
		c.ResourceVersion = ""
		for _, o := range p.list(resource, start) {
			say("ADDED", o)
		}
		say("BOOKMARK", history.APIObject{Version: start}).InitialEnd = true
	}
	last := start
	for _, v := range p.versions {
		if v.Revision <= start || v.Resource != resource {
			continue
		}
		if p.seen[v.Revision] >= to {
			break
		}
		at = max(at, p.seen[v.Revision]+history.Time(p.rng.Int64N(int64(20*tick))))
		if v.Revision > last+1 && p.rng.IntN(8) == 0 {
			say("BOOKMARK", history.APIObject{Version: v.Revision - 1})
		}
		last = v.Revision
		switch before := p.at(nameOf(v.Key), v.Revision-1); {
		case v.Delete && before != nil:
			say("DELETED", shown(before, v.Revision))
		case before != nil:
			say("MODIFIED", shown(v, v.Revision))
		case !v.Delete:
			say("ADDED", shown(v, v.Revision))
		}
	}
	at = max(at, to)
	say(history.APIWatchClosed, history.APIObject{}).Error = history.ClosedByClient
}

// put writes a history where it is found, in parts of equal time, each once
// something was sent to next, or next was closed. It returns before the end.
func (p *plane) put(t *testing.T, parts int, next <-chan struct{}) (dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "history")
	w, err := archive.Create(dir, archive.Options{NoSync: true, QueueBytes: 1 << 30})
	if err != nil {
		t.Fatal(err)
	}
	store, err := archive.NewStoreWriter(w)
	if err != nil {
		t.Fatal(err)
	}
	api, err := archive.NewAPIWriter(w)
	if err != nil {
		t.Fatal(err)
	}
	begin, end := p.seen[2], p.seen[p.last]
	over, done := make(chan struct{}), make(chan struct{})
	t.Cleanup(func() { close(over); <-done })
	go func() {
		defer close(done)
		rest := *p
		for i := range parts {
			until := begin + (end-begin)/history.Time(parts)*history.Time(i+1)
			if i == parts-1 {
				until = math.MaxInt64
			}
			rest.feed(store, api, until)
			w.Flush()
			select {
			case <-next:
			case <-over:
			}
		}
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	}()
	return dir
}

// feed writes the records up to a time, and drops them.
func (p *plane) feed(store history.StoreSink, api *archive.APIWriter, until history.Time) {
	late := func(op *history.StoreOp) bool {
		return op.Returned > until || op.Returned == 0 && until < math.MaxInt64
	}
	part := storetest.History{Ops: slices.DeleteFunc(slices.Clone(p.store.Ops), late)}
	p.store.Ops = slices.DeleteFunc(slices.Clone(p.store.Ops), func(op *history.StoreOp) bool { return !late(op) })
	part.Watches, p.store.Watches = cut(p.store.Watches, func(w *history.StoreWatch) bool { return w.At <= until })
	part.Feed(store)
	var calls []*history.APICall
	calls, p.calls = cut(p.calls, func(c *history.APICall) bool { return c.Returned <= until })
	for _, c := range calls {
		api.APICall(c)
	}
	var messages []*history.APIWatch
	messages, p.messages = cut(p.messages, func(m *history.APIWatch) bool { return m.At <= until })
	for _, m := range messages {
		api.APIWatch(m)
	}
	var rows []*history.Version
	rows, p.versions = cut(p.versions, func(v *history.Version) bool { return p.seen[v.Revision] <= until })
	for _, v := range rows {
		api.Version(v)
	}
}

// cut returns the records before the first one that does not belong to them,
// and the rest.
func cut[T any](records []T, belongs func(T) bool) (part, rest []T) {
	for n, r := range records {
		if !belongs(r) {
			return records[:n], records[n:]
		}
	}
	return records, nil
}

// whole writes a history in one go.
func (p *plane) whole(t *testing.T) (dir string) {
	t.Helper()
	next := make(chan struct{})
	close(next)
	dir = p.put(t, 1, next)
	r, err := archive.Follow(t.Context(), dir, quickly)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.End(); err != nil {
		t.Fatal(err)
	}
	return dir
}
