// Package deposed judges what leaders did after another had taken their Lease.
// The Lease itself does not tell: a scheduler that stood still and goes on binds
// pods before it looks at the Lease again, and in the store its writes are those
// of an API server. The API servers know who sent what, and write it into their
// audit logs; each instance of a component has a credential of its own for that.
//
// Nobody promises that a deposed leader writes nothing: client-go's election "does
// not guarantee that only one client is acting as a leader (a.k.a. fencing)"
// (k8s.io/client-go/tools/leaderelection). So such writes are a figure. What it
// promises is an end: an acting leader that cannot renew its Lease gives up when
// its renew deadline, less than the Lease's duration, is over.
//
// All times are of one clock, that of the servers' machine: a write counts as sent
// after the takeover if a server received it when the answer to the write with
// which the other took the Lease was complete. One that was on its way to a server
// that stood still is counted too, as nobody can tell it apart.
package deposed

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/checkers/counterexample"
	"github.com/planecheck/planecheck/checkers/history"
)

// LeaderGivesUp is the guarantee's name.
const LeaderGivesUp = "LeaderGivesUp"

const (
	// patience is how many durations of its Lease a leader may go on, from the first
	// request after it was deposed. The renew deadline is two thirds of one; the rest
	// is for the machine.
	patience = 2
	// floor is the least number of writes of known instances: a log that holds less
	// is not that of a cluster at work.
	floor = 100
)

// Options of a judgement.
type Options struct {
	Logs []string // the audit logs of all API servers
	// Prefix begins the group that names the instance of a component:
	// <Prefix>kube-scheduler-0.
	Prefix string
}

// term is one time at which an instance held a Lease.
type term struct {
	instance string
	record   record
	// taken is no later than the write that took the Lease was sent, done no earlier
	// than it was committed.
	taken, done time.Time
}

// fall is what an instance did after one term of another had begun.
type fall struct {
	own, by *term
	first   time.Time // of its requests after it, accepted or not
	writes  []*write  // those that changed something
	acts    []*write  // those of them that changed something else than the Lease
	refused int       // those that would have
}

// bound is how long it may go on after first.
func (f *fall) bound() time.Duration {
	return patience * time.Duration(f.by.record.LeaseDurationSeconds) * time.Second
}

// late are its writes after that. Who still renews the Lease as if it held it goes on
// as well, though there may be nothing to do.
func (f *fall) late() []*write {
	i := slices.IndexFunc(f.writes, func(w *write) bool { return w.received.Sub(f.first) > f.bound() })
	if i < 0 {
		return nil
	}
	return f.writes[i:]
}

// Judge reads the logs of a run that has ended, and returns its verdict. A log
// that is not there makes it Invalid.
func Judge(opt Options) checkers.Verdict {
	v := checkers.Verdict{
		Guarantee: LeaderGivesUp,
		Statement: fmt.Sprintf(`"RenewDeadline is the duration that the acting master will retry refreshing leadership before giving up" `+
			`(client-go/tools/leaderelection): a scheduler or controller manager whose Lease another took writes nothing any more, not even that Lease, `+
			`%d of the Lease's durations after its first request since (Events apart). What it does until then is counted, not judged: the election `+
			`"does not guarantee that only one client is acting as a leader (a.k.a. fencing)"`, patience),
	}
	l, err := read(opt.Logs, opt.Prefix)
	if err != nil {
		v.Outcome, v.Detail = checkers.Invalid, err.Error()
		return v
	}
	known, unknown := l.count()
	falls := l.falls()
	v.Checked = fmt.Sprintf("%d writes of instances (floor %d), %d of which nobody knows whose they are, %d lines that could not be read; %s",
		known, floor, unknown, l.unread, summary(falls))
	i := slices.IndexFunc(falls, func(f *fall) bool { return len(f.late()) > 0 })
	switch {
	case i >= 0:
		v.Outcome, v.Detail = checkers.Fail, falls[i].evidence()
	case known < floor || unknown > known:
		v.Outcome, v.Detail = checkers.Invalid, fmt.Sprintf("%d writes of instances, the floor is %d, and %d of which nobody knows whose they are", known, floor, unknown)
	case len(falls) == 0:
		v.Outcome, v.Detail = checkers.NotExercised, "no leader was deposed"
	default:
		v.Outcome = checkers.Pass
	}
	return v
}

// summary is the figure: what deposed leaders wrote, from when to when after the
// takeover, and how much of it was refused.
func summary(falls []*fall) string {
	acts, refused := 0, 0
	var kinds []string
	var first, last time.Duration
	var who string
	for _, f := range falls {
		refused += f.refused
		for _, w := range f.acts {
			after := w.received.Sub(f.by.done).Round(time.Millisecond)
			if acts++; who == "" {
				first, who = after, w.instance
			}
			last = max(last, after)
			kinds = append(kinds, w.kind)
		}
	}
	text := fmt.Sprintf("%d leaders deposed; writes by a deposed leader after the takeover: %d", len(falls), acts)
	if acts > 0 {
		text += fmt.Sprintf(" (%s; the first by %s %v after it, the last of all %v)", tally(kinds), who, first, last)
	}
	return text + fmt.Sprintf(", and %d refused", refused)
}

// tally counts what is the same, most first.
func tally(kinds []string) string {
	counts := map[string]int{}
	for _, k := range kinds {
		counts[k]++
	}
	var text []string
	for _, k := range slices.SortedFunc(maps.Keys(counts), func(a, b string) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b))
	}) {
		text = append(text, fmt.Sprintf("%d %s", counts[k], k))
	}
	return strings.Join(text, ", ")
}

// evidence is the counter-example of a leader that goes on.
func (f *fall) evidence() string {
	late := f.late()
	at := func(t time.Time) history.Time { return history.Time(t.UnixNano()) }
	lease := "Lease " + kind(f.own.instance)
	return counterexample.Render(
		fmt.Sprintf("%s was deposed by %s, and still wrote %v after its first request since: %d writes later than %v",
			f.own.instance, f.by.instance, late[len(late)-1].received.Sub(f.first).Round(time.Millisecond), len(late), f.bound()),
		[]counterexample.Row{
			{From: at(f.own.taken), To: at(f.own.done), What: lease, Who: f.own.instance, Text: f.own.record.String()},
			{From: at(f.by.taken), To: at(f.by.done), What: lease + " in force", Who: f.by.instance, Text: f.by.record.String()},
			{From: at(late[0].received), To: at(late[0].done), What: "write", Who: f.own.instance, Text: late[0].kind + " " + late[0].object},
		})
}

func (l *logs) count() (known, unknown int) {
	for i := range l.writes {
		switch w := &l.writes[i]; {
		case !w.act || !w.accepted():
		case w.instance == "":
			unknown++
		default:
			known++
		}
	}
	return known, unknown
}

// terms are those of each Lease in their order. A term is a holder with the time
// at which it acquired the Lease, so that a renewal is none, not even one by
// a holder that was deposed. That time is the instance's own and comes before its
// write: it holds also where the server that answered did not live to log it.
func (l *logs) terms() map[string][]*term {
	type key struct {
		lease, holder string
		acquired      int64
	}
	seen, all := map[key]bool{}, map[string][]*term{}
	for i := range l.writes {
		w := &l.writes[i]
		if w.record == nil || w.record.HolderIdentity == "" || w.instance == "" || !w.accepted() {
			continue
		}
		k := key{w.lease, w.record.HolderIdentity, w.record.AcquireTime.UnixMicro()}
		if seen[k] {
			continue
		}
		seen[k] = true
		t := &term{instance: w.instance, record: *w.record, taken: w.received, done: w.done}
		if a := w.record.AcquireTime; a.Before(t.taken) {
			t.taken = a
		}
		all[w.lease] = append(all[w.lease], t)
	}
	for _, terms := range all {
		slices.SortStableFunc(terms, func(a, b *term) int { return a.taken.Compare(b.taken) })
	}
	return all
}

// falls are what instances did after they had been deposed, those first that were
// first.
func (l *logs) falls() []*fall {
	var list []*fall
	byOwn := map[*term]*fall{}
	all := l.terms()
	for _, terms := range all {
		for i := 1; i < len(terms); i++ {
			own, by := terms[i-1], terms[i]
			if own.instance != by.instance { // else another process of it leads now
				byOwn[own] = &fall{own: own, by: by}
				list = append(list, byOwn[own])
			}
		}
	}
	slices.SortFunc(list, func(a, b *fall) int { return a.by.done.Compare(b.by.done) })
	for i := range l.writes {
		w := &l.writes[i]
		f := byOwn[lastOwn(all[kind(w.instance)], w)]
		if f == nil || !w.received.After(f.by.done) {
			continue
		}
		if f.first.IsZero() {
			f.first = w.received
		}
		if w.accepted() {
			f.writes = append(f.writes, w)
		}
		switch {
		case w.act && w.accepted():
			f.acts = append(f.acts, w)
		case w.act:
			f.refused++
		}
	}
	return list
}

// lastOwn is the last term of an instance that had begun when it sent a write; nil:
// it never led.
func lastOwn(terms []*term, w *write) *term {
	for _, t := range slices.Backward(terms) {
		if t.instance == w.instance && !t.taken.After(w.received) {
			return t
		}
	}
	return nil
}
