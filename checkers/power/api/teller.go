package apipower

import (
	"math/rand/v2"
	"slices"

	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/power/mutants"
)

// A Lie is one way in which an API server, or what stands behind it, may
// deceive its clients.
type Lie = mutants.Lie[*teller]

// teller is a history in which a lie is told. Its lists are its own, their
// records are those of the base until they are edited.
type teller struct {
	rng      *rand.Rand
	b        *Base
	f        *facts // of the history before the lie
	calls    []*history.APICall
	watches  []*history.APIWatch
	versions []*history.Version

	edited   []*history.APICall // that the lie is in
	streams  []uint64           // watches that the lie is in
	rewrites bool               // versions were changed
	doubled  bool               // revisions were doubled, to have room for new ones
}

func newTeller(b *Base, seed uint64) *teller {
	return &teller{
		rng: rand.New(rand.NewPCG(seed, 0x6c6965)), b: b, f: b.facts,
		calls: slices.Clone(b.Calls), watches: slices.Clone(b.Watches), versions: slices.Clone(b.Versions),
	}
}

// draw draws one of the items that fit.
func draw[T any](t *teller, items []T, fits func(T) bool) (T, bool) {
	var fitting []T
	for _, item := range items {
		if fits(item) {
			fitting = append(fitting, item)
		}
	}
	if len(fitting) == 0 {
		var none T
		return none, false
	}
	return fitting[t.rng.IntN(len(fitting))], true
}

// edit draws a call and replaces it by a copy that may be changed. The order of
// the draw is random, because looking at one place can be dear.
func (t *teller) edit(fits func(*history.APICall) bool) (*history.APICall, bool) {
	for _, i := range t.rng.Perm(len(t.calls)) {
		if c := t.calls[i]; fits(c) {
			t.calls[i] = c.Clone()
			t.edited = append(t.edited, t.calls[i])
			return t.calls[i], true
		}
	}
	return nil, false
}

// revise replaces a version by a copy that may be changed.
func (t *teller) revise(v *history.Version) *history.Version {
	i := slices.IndexFunc(t.versions, func(o *history.Version) bool { return o.Revision == v.Revision && o.Key == v.Key })
	t.versions[i] = v.Clone()
	t.rewrites = true
	return t.versions[i]
}

// reshow lets every answer that showed a version show what it has become. A
// version that was removed is shown as before: the clients were lied to.
func (t *teller) reshow(k kind, old, now *history.Version) {
	for i, c := range t.calls {
		if kindOf(c) != k {
			continue
		}
		same := func(o history.APIObject) bool {
			return o.Version == old.Revision && o.UID == old.UID && o.Name == old.Name
		}
		if !same(c.Object) && !slices.ContainsFunc(c.Items, same) {
			continue
		}
		c = c.Clone()
		if same(c.Object) {
			c.Object = show(now)
		}
		for j := range c.Items {
			if same(c.Items[j]) {
				c.Items[j] = show(now)
			}
		}
		t.calls[i] = c
	}
}

// stream draws a watch and returns its messages, to be changed and handed to
// restream.
func (t *teller) stream(fits func(*history.APICall, []*history.APIWatch) bool) (*history.APICall, []*history.APIWatch, bool) {
	for _, i := range t.rng.Perm(len(t.calls)) {
		c := t.calls[i]
		if c.Verb != "watch" || c.Status != 200 || !judged(c) {
			continue
		}
		if ms := t.f.messages[c.ID]; len(ms) > 0 && fits(c, ms) {
			return c, slices.Clone(ms), true
		}
	}
	return nil, nil, false
}

// restream replaces the messages of a watch. They come at the times at which
// there were messages before, so that nothing seems late or early.
func (t *teller) restream(c *history.APICall, ms []*history.APIWatch) {
	var at history.Time
	for i, m := range ms {
		if at = max(at, m.At); m.At != at {
			ms[i] = copyOf(m)
			ms[i].At = at
		}
	}
	t.watches = slices.DeleteFunc(t.watches, func(m *history.APIWatch) bool { return m.Call == c.ID })
	t.watches = append(t.watches, ms...)
	t.streams = append(t.streams, c.ID)
}

func copyOf(m *history.APIWatch) *history.APIWatch {
	c := *m
	return &c
}

// judged says that the model can judge the reads and watches of a call: API
// events expire, and the answers of lists that a field selector narrows to one
// name or namespace are not what is documented, and where a watch without
// initial events begins that names no revision, nobody knows.
func judged(c *history.APICall) bool {
	_, numbered := number(c.ResourceVersion)
	vague := c.Verb == "watch" && c.InitialEvents == "false" && !numbered
	return c.Resource != "events" && understood(c) && !c.Opaque && !vague
}

// upTo draws a number from 1 to most.
func (t *teller) upTo(most int) int64 { return 1 + t.rng.Int64N(int64(max(1, most))) }
