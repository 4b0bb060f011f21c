package cluster

import (
	"fmt"
	"math"
	"strconv"

	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/history/object"
	"github.com/planecheck/planecheck/checkers/versions"
)

// load is what the pods of a node add up to.
type load struct {
	cpu, memory, pods int64
	direct            int64 // pods that something else than the scheduler put there
	grown             bool  // a pod of the node asks for other than it was bound with
}

// overcommits sweeps over the bindings. It allows what a correct scheduler
// cannot avoid: bindings that were under way when a node changed or the
// scheduler did.
//
// The scheduler that is judged is Kubernetes' own, or, if that bound nothing, the
// one that bound the most pods. Only one can be: two of them do not know what
// the other is about to do, and whoever binds pods by hand owes nothing. So
// nothing is judged before the first binding by Kubernetes' own, or the end.
type overcommits struct {
	j         *judge
	f         *finding
	nodes     *versions.Kind
	next      int // the first change of a pod that is left
	loads     map[string]*load
	direct    map[string]bool // by uid
	allowed   int             // excesses that are not judged
	directed  int
	scheduler string // the name of the one that is judged
	unread    int

	looked int            // changes of pods that were looked at for schedulers
	binds  map[string]int // by the name of the scheduler
}

func newOvercommits(j *judge) *overcommits {
	return &overcommits{
		j: j, f: &finding{what: "bindings", floor: j.opts.Floors.Bindings},
		loads: map[string]*load{}, direct: map[string]bool{}, binds: map[string]int{},
	}
}

func (o *overcommits) advance(upto int64) {
	o.nodes = o.j.table.Kind("", "nodes")
	if o.findScheduler(upto); o.binds[defaultScheduler] == 0 && upto < math.MaxInt64 {
		return
	}
	for c := range o.j.pods(o.next, upto) {
		o.next++
		o.change(c)
	}
}

func (o *overcommits) finish() *finding {
	o.f.checked = fmt.Sprintf("; not judged: %d pods put on their node by others than %s, %d bindings beyond a limit that others had moved",
		o.directed, o.scheduler, o.allowed)
	if o.unread > 0 {
		o.f.checked += fmt.Sprintf(", %d versions of pods that could not be read", o.unread)
	}
	return o.f
}

// findScheduler looks which scheduler is to be judged.
func (o *overcommits) findScheduler(upto int64) {
	if o.scheduler == defaultScheduler && o.binds[defaultScheduler] > 0 {
		return
	}
	for c := range o.j.pods(o.looked, upto) {
		o.looked++
		if !bindsNow(c) {
			continue
		}
		name := c.Now.Field("spec.schedulerName")
		if o.binds[name]++; name == defaultScheduler {
			o.scheduler = name
			return
		}
		if o.binds[name] > o.binds[o.scheduler] {
			o.scheduler = name
		}
	}
}

// defaultScheduler is corev1.DefaultSchedulerName.
const defaultScheduler = "default-scheduler"

// bindsNow says that a change gives a pod that was there before its node.
func bindsNow(c versions.Change) bool {
	return counts(c.Now) && c.Prev != nil && c.Prev.UID == c.Now.UID && !c.Prev.Unread && node(c.Prev) == ""
}

// counts says whether a pod takes something of its node, as the scheduler sees
// it: until it is removed or has ended.
func counts(v *history.Version) bool {
	return v != nil && !v.Delete && !v.Unread && node(v) != "" && !terminal(v)
}

func (o *overcommits) change(c versions.Change) {
	if c.Now.Unread {
		o.unread++
	}
	same := c.Prev != nil && c.Prev.UID == c.Now.UID
	if counts(c.Prev) {
		o.add(c.Prev, -1)
		if !counts(c.Now) || !same {
			o.leave(c.Prev)
		}
	}
	if !counts(c.Now) {
		return
	}
	binds := bindsNow(c)
	if !same || binds && c.Now.Field("spec.schedulerName") != o.scheduler {
		binds = false
		o.direct[c.Now.UID] = true
		o.directed++
		o.load(node(c.Now)).direct++
	}
	o.add(c.Now, +1)
	switch {
	case binds:
		o.f.judged++
		o.bound(c.Now)
	case same && counts(c.Prev) && (need(c.Prev, object.FieldCPU) != need(c.Now, object.FieldCPU) ||
		need(c.Prev, object.FieldMemory) != need(c.Now, object.FieldMemory)):
		o.load(node(c.Now)).grown = true
	}
}

func (o *overcommits) load(name string) *load {
	l := o.loads[name]
	if l == nil {
		l = &load{}
		o.loads[name] = l
	}
	return l
}

func (o *overcommits) add(pod *history.Version, sign int64) {
	l := o.load(node(pod))
	l.cpu += sign * need(pod, object.FieldCPU)
	l.memory += sign * need(pod, object.FieldMemory)
	l.pods += sign
}

func (o *overcommits) leave(pod *history.Version) {
	if o.direct[pod.UID] {
		delete(o.direct, pod.UID)
		o.load(node(pod)).direct--
	}
}

func need(v *history.Version, field string) int64 {
	n, _ := strconv.ParseInt(v.Field(field), 10, 64) // absent is none
	return n
}

// bound judges the revision that bound a pod.
func (o *overcommits) bound(pod *history.Version) {
	why := o.wrong(pod)
	switch {
	case why == "":
	case o.excused(pod):
		o.allowed++
	default:
		o.f.violated(o.evidence(pod, why))
	}
}

// wrong says what is wrong with a binding. Like the scheduler it looks only at
// resources that the pod asks for (fitsRequest in
// k8s.io/kubernetes/pkg/scheduler/framework/plugins/noderesources).
func (o *overcommits) wrong(pod *history.Version) string {
	n := o.node(node(pod), pod.Revision)
	if n == nil {
		return "does not exist"
	}
	if n.Unread {
		return ""
	}
	if n.Field("spec.unschedulable") == "true" && pod.Field(object.FieldTolerates) == "" {
		return "is cordoned"
	}
	l := o.load(node(pod))
	over := func(asked, used, limit int64, what string) string {
		if asked > 0 && used > limit {
			return fmt.Sprintf("has %d %s allocatable, and its pods ask for %d", limit, what, used)
		}
		return ""
	}
	for _, text := range []string{
		over(1, l.pods, need(n, object.FieldAllocatablePods), "pods"),
		over(need(pod, object.FieldCPU), l.cpu, need(n, object.FieldAllocatableCPU), "millicores"),
		over(need(pod, object.FieldMemory), l.memory, need(n, object.FieldAllocatableMemory), "bytes of memory"),
	} {
		if text != "" {
			return text
		}
	}
	return ""
}

func (o *overcommits) node(name string, rev int64) *history.Version {
	if o.nodes == nil {
		return nil
	}
	return o.nodes.At("", name, rev)
}

// excused says that a binding may break a limit although the scheduler did
// right by what it could know.
func (o *overcommits) excused(pod *history.Version) bool {
	l := o.load(node(pod))
	return l.direct > 0 || l.grown || o.nodeMoved(pod) || o.schedulerMoved(pod)
}

// nodeMoved says that the node was changed for the worse shortly before: it
// held the pod at some moment of the last Settle. An allocatable that ever
// shrank excuses for good, because pods that were there stay.
func (o *overcommits) nodeMoved(pod *history.Version) bool {
	if o.nodes == nil {
		return false
	}
	var prev *history.Version
	moved := false
	for v := o.nodes.Next("", node(pod), 0); v != nil && v.Revision <= pod.Revision; v = o.nodes.Next("", v.Name, v.Revision) {
		gone := v.Delete || v.Field("spec.unschedulable") == "true" && prev != nil && prev.Field("spec.unschedulable") == ""
		if prev != nil && gone && o.j.recent(v.Revision, pod.Revision) {
			moved = true
		}
		if prev != nil && !v.Delete && shrank(prev, v) {
			moved = true
		}
		if !v.Delete {
			prev = v
		}
	}
	return moved
}

func shrank(a, b *history.Version) bool {
	for _, field := range []string{object.FieldAllocatableCPU, object.FieldAllocatableMemory, object.FieldAllocatablePods} {
		if need(b, field) < need(a, field) {
			return true
		}
	}
	return false
}

// recent says that a change was, or may have been, less than Settle before a
// revision.
func (j *judge) recent(change, rev int64) bool {
	a, b := j.after(change), j.before(rev)
	return a == 0 || b == 0 || b.Sub(a) < j.opts.Settle
}

// schedulerMoved says that another scheduler took over shortly before: a
// binding of the old one may have been under way.
func (o *overcommits) schedulerMoved(pod *history.Version) bool {
	leases := o.j.table.Kind("coordination.k8s.io", "leases")
	if leases == nil {
		return false
	}
	now := leases.At("kube-system", "kube-scheduler", pod.Revision)
	if now == nil {
		return false
	}
	holder, taken := now.Field("spec.holderIdentity"), int64(0)
	before := false
	for v := leases.Next("kube-system", "kube-scheduler", 0); v != nil && v.Revision <= pod.Revision; v = leases.Next(v.Namespace, v.Name, v.Revision) {
		if h := v.Field("spec.holderIdentity"); h != holder {
			before, taken = true, 0
		} else if taken == 0 {
			taken = v.Revision
		}
	}
	return before && o.j.recent(taken, pod.Revision)
}

func (o *overcommits) evidence(pod *history.Version, why string) *evidence {
	e := because("pod %s/%s was bound to node %s, which %s", pod.Namespace, pod.Name, node(pod), why)
	l := o.load(node(pod))
	if n := o.node(node(pod), pod.Revision); n != nil {
		o.j.row(e, n, fmt.Sprintf("allocatable: %d millicores, %d bytes, %d pods; unschedulable: %q",
			need(n, object.FieldAllocatableCPU), need(n, object.FieldAllocatableMemory), need(n, object.FieldAllocatablePods),
			n.Field("spec.unschedulable")))
	}
	o.j.row(e, pod, fmt.Sprintf("bound; asks for %d millicores, %d bytes", need(pod, object.FieldCPU), need(pod, object.FieldMemory)))
	return e.note("sum on "+node(pod), fmt.Sprintf("%d millicores, %d bytes, %d pods that have not ended", l.cpu, l.memory, l.pods))
}
