package apipower

import (
	"fmt"
	"time"

	"github.com/planecheck/planecheck/checkers/history"
)

// handover is how a Lease goes from one leader to the next. The zero value is
// the right way.
type handover struct {
	early     bool // before the time of the first one has run out
	uncounted bool // without a transition more
	stale     bool // with the time at which the first one acquired it
	back      bool // the first one renews it afterwards
	restless  bool // the first one counts a transition when it renews
	released  bool // the first one releases it, and the next one counts two transitions
}

func leaderLies() []Lie {
	return []Lie{
		{Name: "a Lease is taken before its time", Breaks: "OneLeader", Tell: inMaterial(hand(handover{early: true}))},
		{Name: "a leader that lost its Lease renews it", Breaks: "OneLeader", Tell: inMaterial(hand(handover{back: true}))},
		{Name: "a Lease is taken and counts no transition", Breaks: "OneLeader", Tell: inMaterial(hand(handover{uncounted: true}))},
		{Name: "a Lease is taken and is not acquired anew", Breaks: "OneLeader", Tell: inMaterial(hand(handover{stale: true}))},
		{Name: "a Lease that its leader renews counts a transition", Breaks: "OneLeader", Tell: inMaterial(hand(handover{restless: true}))},
		{Name: "a Lease that was released counts two transitions", Breaks: "OneLeader", Tell: inMaterial(hand(handover{released: true}))},
	}
}

func hand(h handover) func(*teller, *material) { return func(_ *teller, m *material) { m.elect(h) } }

// leaseLasts is short, for a run may have no more than a minute.
const leaseLasts = 2 * time.Second

// elect adds a Lease that two leaders have one after the other.
func (m *material) elect(h handover) {
	number := func(n int64) string { return fmt.Sprint(n) }
	tenure := func(v *history.Version, holder string, transitions, acquired int64) *history.Version {
		fields := []history.Pair{{Name: "spec.holderIdentity", Value: holder}, {Name: "spec.leaseTransitions", Value: number(transitions)},
			{Name: "spec.leaseDurationSeconds", Value: number(int64(leaseLasts / time.Second))},
			{Name: "spec.acquireTime", Value: number(acquired * 1e6)}, {Name: "spec.renewTime", Value: number(m.next * 1e6)}}
		if v == nil {
			return m.add("leases", "led", nil, nil, "coordination.k8s.io", "Lease", fields...)
		}
		return m.again(v, fields...)
	}
	first := m.next
	old := tenure(nil, "one", 0, first)
	if h.restless {
		old = tenure(old, "one", 1, first)
	}
	old = tenure(old, "one", integer(old, "spec.leaseTransitions"), first)
	terms := integer(old, "spec.leaseTransitions") + 1
	switch {
	case h.released:
		old = tenure(old, "", terms-1, m.next)
		terms++
	case !h.early:
		m.pass(leaseLasts)
	}
	if h.uncounted {
		terms--
	}
	second := m.next
	if h.stale {
		second = first
	}
	next := tenure(tenure(old, "two", terms, second), "two", terms, second)
	if h.back {
		tenure(next, "one", 0, first)
	}
}

// pass lets time pass before the next version.
func (m *material) pass(d time.Duration) {
	since := m.t.moment(m.next - 2)
	for m.next < m.t.last() && m.t.moment(m.next).Sub(since) < d {
		m.next += 2
	}
}

func (t *teller) last() int64 { return t.versions[len(t.versions)-1].Revision }

// moment is when a revision was surely committed, 0: nobody knows.
func (t *teller) moment(rev int64) history.Time {
	_, returned, _ := t.commit(rev)
	return returned
}

// leadersWrong finds two leaders at once, by the model: each version of a Lease
// is in the term of the one before it, or begins the next.
func (t *teller) leadersWrong() string {
	was := map[string]*history.Version{}
	news := map[string]history.Time{}
	for _, v := range t.versions {
		if v.Resource != "leases" {
			continue
		}
		prev := was[v.Key]
		was[v.Key] = v
		if v.Delete || v.Field("spec.leaseTransitions") == "" || v.Field("spec.strategy") != "" {
			was[v.Key] = nil
			continue
		}
		if why := t.termWrong(prev, v, news[v.Key]); prev != nil && why != "" {
			return fmt.Sprintf("%s at %d: %s", v.Key, v.Revision, why)
		}
		// Two records of one second look the same.
		if prev == nil || prev.Field("spec.holderIdentity") != v.Field("spec.holderIdentity") ||
			integer(prev, "spec.renewTime")/1e6 != integer(v, "spec.renewTime")/1e6 {
			news[v.Key], _, _ = t.commit(v.Revision)
		}
	}
	return ""
}

func (t *teller) termWrong(prev, v *history.Version, news history.Time) string {
	if prev == nil || prev.UID != v.UID {
		return ""
	}
	from, to := prev.Field("spec.holderIdentity"), v.Field("spec.holderIdentity")
	grown := integer(v, "spec.leaseTransitions") - integer(prev, "spec.leaseTransitions")
	anew := prev.Field("spec.acquireTime") != v.Field("spec.acquireTime")
	lasts := time.Duration(integer(prev, "spec.leaseDurationSeconds")) * time.Second
	taken := t.moment(v.Revision)
	switch {
	case to == "":
		return complaint(grown != 0, "a release that counts")
	case from == to:
		return complaint(grown != 0 || anew, "a renewal that is another term")
	case from != "" && taken != 0 && news != 0 && taken.Sub(news) < lasts:
		return to + " did not wait"
	}
	return complaint(grown != 1 || !anew, "a term that is not the next")
}

func complaint(is bool, why string) string {
	if is {
		return why
	}
	return ""
}
