package scenarios

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/history/object"
	"github.com/planecheck/planecheck/scenarios/faults"
)

const (
	nodeLeases = "/registry/leases/kube-node-lease/"
	nodeKeys   = "/registry/minions/"
	podKeys    = "/registry/pods/"
	// evictionLag is how long after a node was silent, or a fault was healed, its
	// pods may still be evicted for it: what they tolerate, and the time of a
	// controller manager that has other things to do.
	evictionLag = 30 * time.Second
	// byKubelet is the reason of the condition DisruptionTarget of a pod that its
	// kubelet has evicted (PodReasonTerminationByKubelet in k8s.io/api/core/v1).
	byKubelet = "TerminationByKubelet"
	// pressureLag is how far apart an eviction by a kubelet and what its Node says of
	// memory may be. It evicts first, and says so within 10 s (the period of
	// syncNodeStatus in pkg/kubelet/kubelet.go); either write may be late under a fault.
	pressureLag = 30 * time.Second
)

// evictions are the pods that the control plane itself marked for deletion, with
// the condition DisruptionTarget, as it does before an eviction
// (https://kubernetes.io/docs/concepts/workloads/pods/disruptions/#pod-disruption-conditions),
// and what each node did to deserve it: nothing but silence, since a kubelet of
// the simulation never says that its node is not Ready; or, where its own kubelet has
// evicted the pod, memory that the node says is short. That a fault took power
// from a node is none of it: a node that is back before the grace period is over
// keeps its pods. What the load deletes has no such condition; pods of the contract
// traffic are evicted on purpose.
type evictions struct {
	mu sync.Mutex
	// renewed is when the Lease of a node was last written, and silent when it was
	// last seen to have been older than the grace period.
	renewed, silent map[string]history.Time
	// shortages are when a node said that memory is short, one after the other.
	shortages map[string][]shortage
	seen      map[string]bool // pods, by key
	list      []eviction
}

// shortage is from when to when a node said that memory is short; to is 0 while it does.
type shortage struct{ from, to history.Time }

// eviction is one pod.
type eviction struct {
	key, node, reason string
	at                history.Time
	deserved          bool // by the silence of its node
}

func newEvictions() *evictions {
	return &evictions{
		renewed: map[string]history.Time{}, silent: map[string]history.Time{}, seen: map[string]bool{},
		shortages: map[string][]shortage{},
	}
}

// commit takes every committed change of the store.
func (e *evictions) commit(c history.Commit) {
	if node, ok := strings.CutPrefix(c.Key, nodeLeases); ok {
		e.renew(node, c.Returned)
		return
	}
	if node, ok := strings.CutPrefix(c.Key, nodeKeys); ok {
		stored := object.Stored(c.Key, c.Value)
		e.memory(node, !c.Delete && stored.Field(object.FieldMemoryPressure) != "", c.Returned)
		return
	}
	if c.Delete || !strings.HasPrefix(c.Key, podKeys) || ofContract(c.Key) {
		return
	}
	pod := object.Stored(c.Key, c.Value)
	if reason := pod.Field(object.FieldDisruption); reason != "" {
		e.evicted(c.Key, pod.Field("spec.nodeName"), reason, c.Returned)
	}
}

func (e *evictions) renew(node string, at history.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.hush(node, at)
	e.renewed[node] = at
}

// memory notes what a node says of it.
func (e *evictions) memory(node string, short bool, at history.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	list := e.shortages[node]
	lasts := len(list) > 0 && list[len(list)-1].to == 0
	switch {
	case short && !lasts:
		e.shortages[node] = append(list, shortage{from: at})
	case !short && lasts:
		list[len(list)-1].to = at
	}
}

// wasShort says whether a node said that memory is short about when one of its pods was
// evicted. The caller holds the lock.
func (e *evictions) wasShort(v eviction) bool {
	return slices.ContainsFunc(e.shortages[v.node], func(s shortage) bool {
		return s.from.Add(-pressureLag) <= v.at && (s.to == 0 || v.at <= s.to.Add(pressureLag))
	})
}

// hush notes a node that has been silent for longer than the grace period. The
// caller holds the lock.
func (e *evictions) hush(node string, at history.Time) {
	if last, ok := e.renewed[node]; ok && at.Sub(last) > gracePeriod {
		e.silent[node] = at
	}
}

func (e *evictions) evicted(key, node, reason string, at history.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.seen[key] {
		return
	}
	e.seen[key] = true
	e.hush(node, at)
	silent, ok := e.silent[node]
	e.list = append(e.list, eviction{
		key: strings.TrimPrefix(key, podKeys), node: node, reason: reason, at: at,
		deserved: ok && at.Sub(silent) <= evictionLag,
	})
}

// wrong are the evictions that no node has deserved, in [from, to). A kubelet goes by
// its memory, and is never silent to itself.
func (e *evictions) wrong(from, to history.Time) (found []eviction) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, v := range e.list {
		right := v.deserved
		if v.reason == byKubelet {
			right = e.wasShort(v)
		}
		if !right && from <= v.at && v.at < to {
			found = append(found, v)
		}
	}
	return found
}

// byKubelets counts those of kubelets.
func (e *evictions) byKubelets() (n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, v := range e.list {
		if v.reason == byKubelet {
			n++
		}
	}
	return n
}

func (e *evictions) count() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.list)
}

// judgeEvictions judges those of the run.
func (x *execution) judgeEvictions() checkers.Verdict {
	x.acts.mu.Lock()
	defer x.acts.mu.Unlock()
	return x.m.evictions.judge(x.acts.strikes)
}

// judge demands that none is wrong, but for those while, or soon after, a part of
// the control plane was away for longer than the grace period.
func (e *evictions) judge(strikes []*strike) checkers.Verdict {
	v := checkers.Verdict{
		Guarantee: "NoWrongEviction",
		Statement: fmt.Sprintf("no pod was evicted (condition DisruptionTarget) from a node that wrote its Lease at least every %v, "+
			"unless a part of the control plane was away for longer than that; and by its kubelet none but from a node that said "+
			"within %v of it that memory is short", gracePeriod, pressureLag),
	}
	wrong := e.wrong(0, math.MaxInt64)
	var shown []eviction
	for _, w := range wrong {
		if !excused(w, strikes) {
			shown = append(shown, w)
		}
	}
	v.Checked = fmt.Sprintf("%d evictions, %d of them by kubelets; %d from nodes that were silent, or short of memory",
		e.count(), e.byKubelets(), e.count()-len(wrong))
	switch {
	case len(shown) > 0:
		w := shown[0]
		v.Outcome = checkers.Fail
		v.Detail = fmt.Sprintf("%d pods were evicted wrongly, the first %s from %s (%s)", len(shown), w.key, w.node, w.reason)
	case len(wrong) > 0:
		v.Outcome = checkers.NotExercised
		v.Detail = fmt.Sprintf("%d pods were evicted while or after a part of the control plane was away for longer than %v", len(wrong), gracePeriod)
	default:
		v.Outcome = checkers.Pass
	}
	return v
}

// excused says whether a fault lasted so long that nodes had to count as lost. One
// of nodes strikes those that it names, and no others. What a kubelet does, the
// control plane has no part in.
func excused(w eviction, strikes []*strike) bool {
	if w.reason == byKubelet {
		return false
	}
	for _, s := range strikes {
		if s.area != faults.Nodes && s.ended().Sub(s.injected) > gracePeriod && s.injected <= w.at && w.at <= s.ended().Add(evictionLag) {
			return true
		}
	}
	return false
}
