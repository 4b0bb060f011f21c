package cluster

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/history/object"
	"github.com/planecheck/planecheck/checkers/versions"
)

// election is what one Lease says of who leads.
type election struct {
	now *history.Version
	// observed is the first revision of the record that now shows. Whoever waits
	// for the Lease compares the records it reads with their times cut to whole
	// seconds (LeaderElectionRecord in client-go/tools/leaderelection/resourcelock),
	// so that a second renewal in one second is no news to it.
	observed int64
	// taken is the version with which the holder took the Lease, nil: before the
	// history, or there was none.
	taken    *history.Version
	former   map[string]*history.Version // by holder: its last version as one
	released map[string]*history.Version // by holder: the version without one that came after it
}

// leaders looks at the Leases that elect a leader. What a taker needs is the
// rule of tryAcquireOrRenew in k8s.io/client-go/tools/leaderelection: it waits
// for the duration that the record has, from when it saw the record first, and
// then writes on condition that the record is still that. It cannot have seen it
// before the call that committed it, and its own commit comes after the wait, so
// the two are apart by at least the duration.
//
// A leader that acts after another took over is seen as far as it writes to the
// Lease. Who bound a pod, or released a Lease, neither the version table nor the
// storage history tells: two schedulers are the same user and the same field
// manager, and speak to the store with the API server's connection. What they do
// to the pods is NoDoubleBind's and NoOvercommit's, and whether they come to an
// end is LeaderGivesUp's, by the audit logs (package deposed). That somebody else released a
// Lease shows where its holder takes it again: see ephemeral.
type leaders struct {
	j      *judge
	f      *finding
	next   int // the first change of a Lease that is left
	leases map[string]*election

	renewals, releases int
	returned           int // times at which who had released a Lease took it again
	unread             int
	removed, picked    int // changes that are not judged
	untimed            int // takings whose time is not judged
}

func newLeaders(j *judge) *leaders {
	return &leaders{
		j: j, f: &finding{what: "changes of a leader", floor: j.opts.Floors.Leaders}, leases: map[string]*election{},
	}
}

func holder(lease *history.Version) string { return lease.Field("spec.holderIdentity") }

// heartbeats is the namespace of the nodes' Leases: most of all versions.
const heartbeats = "kube-node-lease"

// elects says that a Lease is for the election of a leader: those of nodes and
// of API servers count no transitions.
func elects(lease *history.Version) bool {
	return lease != nil && !lease.Delete && lease.Field(object.FieldTransitions) != ""
}

func (l *leaders) advance(upto int64) {
	k := l.j.table.Kind("coordination.k8s.io", "leases")
	if k == nil {
		return
	}
	for next, c := range k.Outside(heartbeats, l.next, upto) {
		l.next = next
		l.change(c)
	}
}

func (l *leaders) change(c versions.Change) {
	key := c.Now.Key
	e := l.leases[key]
	switch {
	case c.Now.Unread:
		// What it said is not known, so the next one has no predecessor.
		l.unread++
		delete(l.leases, key)
		return
	case !elects(c.Now):
		if e != nil && holder(e.now) != "" {
			l.removed++
		}
		delete(l.leases, key)
		return
	case c.Now.Field(object.FieldStrategy) != "":
		// A controller picks the leader and writes its name into the Lease.
		l.picked++
		delete(l.leases, key)
		return
	case e == nil || e.now.UID != c.Now.UID:
		l.leases[key] = begin(c.Now, c.Prev == nil)
		return
	}
	l.step(e, c.Now)
	e.move(c.Now)
}

func begin(v *history.Version, created bool) *election {
	e := &election{
		now: v, observed: v.Revision, former: map[string]*history.Version{}, released: map[string]*history.Version{},
	}
	if created {
		e.taken = v
	}
	return e
}

// move makes a version the present one.
func (e *election) move(v *history.Version) {
	if !sameRecord(e.now, v) {
		e.observed = v.Revision
	}
	if holder(e.now) != holder(v) {
		e.former[holder(e.now)], e.taken = e.now, v
		if holder(v) == "" {
			e.released[holder(e.now)] = v
		}
	}
	e.now = v
}

func sameRecord(a, b *history.Version) bool {
	for _, field := range []string{"spec.holderIdentity", object.FieldTransitions, object.FieldLeaseDuration} {
		if a.Field(field) != b.Field(field) {
			return false
		}
	}
	return need(a, object.FieldAcquired)/1e6 == need(b, object.FieldAcquired)/1e6 &&
		need(a, object.FieldRenewed)/1e6 == need(b, object.FieldRenewed)/1e6
}

// step judges what follows on a version.
func (l *leaders) step(e *election, v *history.Version) {
	switch {
	case holder(v) == "" && holder(e.now) == "":
	case holder(v) == "":
		l.releases++
		if term(v) != term(e.now) {
			l.violated(e, v, fmt.Sprintf("%s was released with %d transitions, of %d", name(v), term(v), term(e.now)))
		}
	case holder(v) == holder(e.now):
		l.renewals++
		if term(v) != term(e.now) || acquired(v) != acquired(e.now) {
			l.violated(e, v, fmt.Sprintf("%s was renewed by %s, which held it, and is another term", name(v), holder(v)))
		}
	default:
		l.f.judged++
		l.taken(e, v)
	}
}

func term(v *history.Version) int64 { return need(v, object.FieldTransitions) }

func acquired(v *history.Version) string { return v.Field(object.FieldAcquired) }

// taken judges a change of the holder. The first thing that is wrong with it is
// its violation.
func (l *leaders) taken(e *election, v *history.Version) {
	old, free := e.former[holder(v)], e.released[holder(v)]
	waited, early := l.early(e, v)
	if free != nil {
		l.returned++
	}
	switch {
	case old != nil && acquired(old) == acquired(v):
		l.violated(e, v, fmt.Sprintf("%s was written by %s as if it still held it, after %s", name(v), holder(v), lost(e)))
	case early:
		l.violated(e, v, fmt.Sprintf("%s was taken by %s at most %s after the last news of %s, which held it for %s",
			name(v), holder(v), waited, holder(e.now), lasts(e.now)))
	case free != nil && ephemeral(v):
		l.violated(e, v, fmt.Sprintf("%s was released while %s held it, by another: %s is still there and took it again", name(v), holder(v), holder(v)))
	case term(v) != term(e.now)+1:
		l.violated(e, v, fmt.Sprintf("%s was taken by %s, and its transitions went from %d to %d", name(v), holder(v), term(e.now), term(v)))
	case acquired(v) == acquired(e.now):
		l.violated(e, v, fmt.Sprintf("%s was taken by %s, and the time at which it was acquired is the old one", name(v), holder(v)))
	}
}

// ephemeral says that an identity in a Lease is that of one process, which ends
// when it has released the Lease: the identities of schedulers and controller
// managers end in a UUID that each start draws.
func ephemeral(v *history.Version) bool {
	return v.Namespace == "kube-system" && (v.Name == "kube-scheduler" || v.Name == "kube-controller-manager")
}

func lost(e *election) string {
	if holder(e.now) == "" {
		return "it had released it"
	}
	return holder(e.now) + " had taken it"
}

func lasts(v *history.Version) time.Duration {
	return time.Duration(need(v, object.FieldLeaseDuration)) * time.Second
}

// early says that a Lease was taken before its holder's time had run out. A
// commit lies between its call and its return: the earliest of the one and the
// latest of the other are taken.
func (l *leaders) early(e *election, v *history.Version) (waited time.Duration, early bool) {
	if holder(e.now) == "" {
		return 0, false
	}
	seen, written := l.j.before(e.observed), l.j.after(v.Revision)
	if seen == 0 || written == 0 || lasts(e.now) <= 0 {
		l.untimed++
		return 0, false
	}
	waited = written.Sub(seen)
	return waited, waited < lasts(e.now)
}

func (l *leaders) violated(e *election, v *history.Version, why string) {
	proof := because("%s", why)
	if l.f.count == 0 {
		l.j.tenures(proof, e.former[holder(v)], e.released[holder(v)], e.taken, e.now, v)
	}
	l.f.violated(proof)
}

// tenures adds what versions say of who leads, in their order, each once.
func (j *judge) tenures(e *evidence, vs ...*history.Version) {
	vs = slices.DeleteFunc(vs, func(v *history.Version) bool { return v == nil })
	slices.SortFunc(vs, func(a, b *history.Version) int { return cmp.Compare(a.Revision, b.Revision) })
	vs = slices.CompactFunc(vs, func(a, b *history.Version) bool { return a.Revision == b.Revision })
	for _, v := range vs {
		j.row(e, v, fmt.Sprintf("holder %q, %d transitions, acquired %s, renewed %s, lasts %s",
			holder(v), term(v), moment(v, object.FieldAcquired), moment(v, object.FieldRenewed), lasts(v)))
	}
}

func moment(v *history.Version, field string) string {
	n, err := strconv.ParseInt(v.Field(field), 10, 64)
	if err != nil {
		return "never"
	}
	return time.UnixMicro(n).UTC().Format("15:04:05.000000")
}

func (l *leaders) finish() *finding {
	l.f.checked = fmt.Sprintf(", %d renewals, %d releases, of %d Leases; %d times who had released one took it again; "+
		"not judged: %d times at which a Lease was taken, %d removals of one that was held, %d versions with a leader that a controller picks",
		l.renewals, l.releases, len(l.leases), l.returned, l.untimed, l.removed, l.picked)
	if l.unread > 0 {
		l.f.checked += fmt.Sprintf(", %d versions of Leases could not be read", l.unread)
	}
	return l.f
}
