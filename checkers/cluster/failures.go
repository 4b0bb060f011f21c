package cluster

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/history/object"
	"github.com/planecheck/planecheck/checkers/versions"
)

// evictor is the reason that the taint manager gives in the condition
// DisruptionTarget of a pod that it is about to delete
// (addConditionAndDeletePod in k8s.io/kubernetes/pkg/controller/tainteviction).
// A pod that a rollout, a scale-down or anybody else deletes has none like it.
const evictor = "DeletionByTaintManager"

// host is a node as the taint manager sees it.
type host struct {
	name    string
	now     *history.Version
	unknown bool // it was removed, or could not be read
	failed  int64
	bears   []string // the taints that it had since it failed

	// The spell of taints that evict, the last or the present one. Two that are
	// less than Settle apart are one: the taint manager may not have seen the end
	// of the first.
	tainted     bool
	from, ended int64
	keys        []string

	bare   bool // not Ready, and without a taint so far
	guests map[string]*guest
}

// guest is an active pod on a node.
type guest struct {
	pod     *history.Version
	moved   bool // what it tolerates was changed: an eviction that is planned stays
	bound   int64
	evicted bool
}

// failures looks whether pods leave nodes that failed, and no others.
//
// A node has failed while it is not Ready and has the taint that says so: how
// soon it gets that depends on how many nodes fail at once, and where most of a
// zone fails they may get none (--node-eviction-rate and
// --unhealthy-zone-threshold of the controller manager). That is counted. A pod
// is judged where it belongs to a ReplicaSet; who replaces it is
// ReplicasConverge's.
type failures struct {
	j        *judge
	f        *finding
	nextPod  int
	nextNode int
	hosts    map[string]*host
	manager  *manager

	evictions, bare, untimed, unknown, unread int
}

func newFailures(j *judge) *failures {
	return &failures{
		j: j, f: &finding{what: "pods that had to leave their node or were evicted", floor: j.opts.Floors.Evictions},
		hosts: map[string]*host{}, manager: &manager{j: j},
	}
}

func (f *failures) advance(upto int64) {
	for c := range f.j.pods(f.nextPod, upto) {
		f.nextPod++
		f.nodesTo(c.Now.Revision)
		f.pod(c)
	}
	f.nodesTo(upto)
}

func (f *failures) nodesTo(upto int64) {
	if k := f.j.table.Kind("", "nodes"); k != nil {
		for c := range k.Since(f.nextNode, upto) {
			f.nextNode++
			f.manager.advance(c.Now.Revision)
			f.node(c)
		}
	}
	f.manager.advance(upto)
}

func (f *failures) host(name string) *host {
	h := f.hosts[name]
	if h == nil {
		h = &host{name: name, unknown: true, guests: map[string]*guest{}}
		f.hosts[name] = h
	}
	return h
}

func (f *failures) node(c versions.Change) {
	h := f.host(c.Now.Name)
	known := !c.Now.Delete && !c.Now.Unread
	keys := taints(c.Now)
	fails := known && c.Now.Field(object.FieldReady) == "" &&
		(slices.Contains(keys, object.NotReadyTaint) || slices.Contains(keys, object.UnreachableTaint))
	if h.failed != 0 && (!fails || c.Prev == nil || c.Prev.UID != c.Now.UID) {
		f.settle(h, f.j.before(c.Now.Revision))
		h.failed, h.bears = 0, nil
	}
	if fails && h.failed == 0 {
		h.failed = c.Now.Revision
	}
	if fails {
		h.bears = union(h.bears, keys)
	}
	f.spell(h, c.Now, keys)
	f.lonely(h, c.Now, keys)
	h.now, h.unknown = c.Now, !known
}

func taints(v *history.Version) []string {
	if list := v.Field(object.FieldNoExecute); list != "" {
		return strings.Split(list, ",")
	}
	return nil
}

func union(a, b []string) []string {
	all := append(slices.Clone(a), b...)
	slices.Sort(all)
	return slices.Compact(all)
}

// spell keeps the time in which a node had taints that evict.
func (f *failures) spell(h *host, v *history.Version, keys []string) {
	switch {
	case len(keys) > 0 && !h.tainted:
		if h.ended == 0 || !f.j.recent(h.ended, v.Revision) {
			h.from, h.keys = v.Revision, nil
		}
		h.tainted = true
	case len(keys) == 0 && h.tainted:
		h.tainted, h.ended = false, v.Revision
	}
	h.keys = union(h.keys, keys)
}

// lonely counts nodes that were not Ready and got no taint.
func (f *failures) lonely(h *host, v *history.Version, keys []string) {
	down := !v.Delete && !v.Unread && v.Field(object.FieldReady) == ""
	wasUp := h.now == nil || h.now.Delete || h.now.Field(object.FieldReady) != ""
	switch {
	case down && wasUp:
		h.bare = true
	case !down && h.bare:
		f.bare++
		h.bare = false
	}
	if len(keys) > 0 {
		h.bare = false
	}
}

func (f *failures) pod(c versions.Change) {
	if c.Prev != nil {
		if h := f.hosts[node(c.Prev)]; h != nil && h.guests[c.Prev.UID] != nil {
			f.stays(c, h)
		}
	}
	switch {
	case c.Now.Unread:
		f.unread++
		return
	case c.Now.Delete || node(c.Now) == "":
		return
	}
	h := f.host(node(c.Now))
	g := h.guests[c.Now.UID]
	if g == nil {
		g = &guest{bound: c.Now.Revision, pod: c.Now}
	}
	g.moved = g.moved || !sameStay(g.pod, c.Now)
	g.pod = c.Now
	if active(c.Now) {
		h.guests[c.Now.UID] = g
	}
	if c.Prev != nil && c.Prev.UID == c.Now.UID && !c.Prev.Unread &&
		c.Now.Field(object.FieldDisruption) == evictor && c.Prev.Field(object.FieldDisruption) != evictor {
		g.evicted = true
		f.evicted(h, g)
	}
}

func sameStay(a, b *history.Version) bool {
	return a.Field(object.FieldStaysNotReady) == b.Field(object.FieldStaysNotReady) &&
		a.Field(object.FieldStaysUnreachable) == b.Field(object.FieldStaysUnreachable)
}

// stays lets a pod leave its node if it does.
func (f *failures) stays(c versions.Change, h *host) {
	g := h.guests[c.Prev.UID]
	same := !c.Now.Delete && !c.Now.Unread && c.Now.UID == c.Prev.UID
	if same && active(c.Now) && node(c.Now) == h.name {
		return
	}
	if h.failed != 0 && !c.Now.Unread {
		f.overdue(h, g, f.j.before(c.Now.Revision))
	}
	delete(h.guests, c.Prev.UID)
}

// evicted judges an eviction by the taint manager.
func (f *failures) evicted(h *host, g *guest) {
	pod := g.pod
	f.f.judged++
	f.evictions++
	f.manager.worked(f.j.after(pod.Revision))
	switch {
	case h.unknown:
		f.unknown++
	case h.from != 0 && f.manager.thawed != 0 && f.j.recent(f.manager.thawed, pod.Revision):
		f.untimed++ // it does what was due before it hears of anything
	case !h.tainted && (h.ended == 0 || !f.j.recent(h.ended, pod.Revision)):
		f.violated(h, pod, fmt.Sprintf("was evicted from node %s, which had no taint that evicts", h.name))
	case !slices.ContainsFunc(h.keys, func(key string) bool { return key != object.NotReadyTaint && key != object.UnreachableTaint }):
		f.early(h, g)
	}
}

// early judges whether a pod was given its time.
func (f *failures) early(h *host, g *guest) {
	pod := g.pod
	least, _, known := bears(pod, h.keys)
	from, at := f.j.before(h.from), f.j.after(pod.Revision)
	switch {
	case !known || g.moved || from == 0 || at == 0:
		f.untimed++
	case least == eternity:
		f.violated(h, pod, fmt.Sprintf("was evicted from node %s, whose taints it tolerates for ever", h.name))
	case at.Sub(from) < least:
		f.violated(h, pod, fmt.Sprintf("was evicted from node %s at most %s after its taint, which it tolerates for %s", h.name, at.Sub(from), least))
	}
}

const eternity = time.Duration(1<<63 - 1)

// bears says for how long a pod tolerates taints: the one of them that it
// tolerates the least, and the one that it does the most.
func bears(pod *history.Version, keys []string) (least, most time.Duration, known bool) {
	least = eternity
	for _, key := range keys {
		field := object.FieldStaysNotReady
		if key == object.UnreachableTaint {
			field = object.FieldStaysUnreachable
		} else if key != object.NotReadyTaint {
			continue
		}
		var d time.Duration
		switch pod.Field(field) {
		case "":
			return 0, 0, false // of a history that does not say
		case object.Forever:
			d = eternity
		case object.NotAtAll:
		default:
			d = time.Duration(min(need(pod, field), int64(eternity/time.Second))) * time.Second
		}
		least, most = min(least, d), max(most, d)
	}
	return least, most, len(keys) > 0
}

// settle judges all pods that are on a failed node until it is none any more.
func (f *failures) settle(h *host, end history.Time) {
	guests := slices.SortedFunc(maps.Values(h.guests), func(a, b *guest) int {
		return cmp.Or(cmp.Compare(a.bound, b.bound), cmp.Compare(a.pod.UID, b.pod.UID))
	})
	for _, g := range guests {
		f.overdue(h, g, end)
	}
}

// overdue judges a pod that was on a failed node until some moment.
func (f *failures) overdue(h *host, g *guest, end history.Time) {
	owner := g.pod.Controller()
	if owner == nil || owner.Kind != "ReplicaSet" {
		return
	}
	_, most, known := bears(g.pod, h.bears)
	failed, bound := f.j.after(h.failed), f.j.after(g.bound)
	if known && most == eternity {
		return
	}
	if !known || g.moved || end == 0 || failed == 0 || bound == 0 {
		f.untimed++
		return
	}
	due := max(failed, bound, f.manager.since).Add(most)
	if end = f.manager.until(end); end < due {
		return
	}
	if !g.evicted {
		f.f.judged++
	}
	if deadline := f.manager.deadline(due); end > deadline {
		f.violated(h, g.pod, fmt.Sprintf("was on node %s %s after that had failed, which it tolerates for %s, "+
			"and nothing was evicted for %s", h.name, end.Sub(failed), most, f.j.opts.Heal))
	}
}

func (f *failures) violated(h *host, pod *history.Version, why string) {
	e := because("pod %s/%s %s", pod.Namespace, pod.Name, why)
	nodes := f.j.table.Kind("", "nodes")
	if f.f.count == 0 && nodes != nil {
		for _, rev := range []int64{h.from, h.ended, h.failed} {
			if v := nodes.At("", h.name, rev); v != nil && v.Revision == rev && !slices.ContainsFunc(e.rows, func(r row) bool { return r.rev == rev }) {
				f.j.row(e, v, fmt.Sprintf("Ready %q, taints with NoExecute: %q", v.Field(object.FieldReady), v.Field(object.FieldNoExecute)))
			}
		}
		f.j.row(e, pod, fmt.Sprintf("on %s, DisruptionTarget %q, stays on a node that is not ready: %q, that is unreachable: %q", h.name,
			pod.Field(object.FieldDisruption), pod.Field(object.FieldStaysNotReady), pod.Field(object.FieldStaysUnreachable)))
	}
	f.f.violated(e)
}

func (f *failures) finish() *finding {
	end := f.j.before(f.j.last)
	for _, name := range slices.Sorted(maps.Keys(f.hosts)) {
		h := f.hosts[name]
		if h.failed != 0 {
			f.settle(h, end)
		}
		if h.bare {
			f.bare++
		}
	}
	f.f.checked = fmt.Sprintf(", %d of them evicted; not judged: %d whose times or tolerations are not known, %d evictions from nodes that are not known, "+
		"%d times a node was not Ready and got no taint", f.evictions, f.untimed, f.unknown, f.bare)
	if f.unread > 0 {
		f.f.checked += fmt.Sprintf(", %d versions of pods could not be read", f.unread)
	}
	return f.f
}
