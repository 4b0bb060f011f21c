package apipower

import (
	"fmt"
	"strings"
	"time"

	"github.com/planecheck/planecheck/checkers/history"
)

// outage is a node that fails with a pod on it. The zero value is one in which
// the pod is evicted when its time has come.
type outage struct {
	stays   bool // the pod is not evicted
	late    bool // it is evicted long after its time
	early   bool // it is evicted before it
	healthy bool // the node does not fail at all
	forever bool // the pod tolerates the failure for ever
}

func failureLies() []Lie {
	return []Lie{
		{Name: "a pod stays on a node that failed", Breaks: "NodeFailureHeals", Tell: inMaterial(fails(outage{stays: true})),
			Lenient: "it judges a pod only where one controller manager was there from the taint to the end, and the checker where one had the time, from when it was there"},
		{Name: "a pod is evicted long after its node failed", Breaks: "NodeFailureHeals", Tell: inMaterial(fails(outage{late: true}))},
		{Name: "a pod is evicted before its time", Breaks: "NodeFailureHeals", Tell: inMaterial(fails(outage{early: true}))},
		{Name: "a pod is evicted from a node that did not fail", Breaks: "NodeFailureHeals", Tell: inMaterial(fails(outage{healthy: true}))},
		{Name: "a pod is evicted that tolerates the failure for ever", Breaks: "NodeFailureHeals", Tell: inMaterial(fails(outage{forever: true}))},
	}
}

func fails(o outage) func(*teller, *material) { return func(_ *teller, m *material) { m.fail(o) } }

const (
	// heal is shorter than what a judgement of a run allows the eviction of a
	// pod, so that runs of a minute hold pods that are overdue.
	heal = 20 * time.Second
	// tolerated is how long the pods of failed nodes tolerate it.
	tolerated  = 4 * time.Second
	toldTaint  = "node.kubernetes.io/not-ready"
	toldReason = "DeletionByTaintManager"
)

// fail adds a node with a pod, and lets it fail.
func (m *material) fail(o outage) {
	up := m.put(&history.Version{Key: "/registry/minions/told", Resource: "nodes", Kind: "Node", Name: "told", UID: "told-node", Created: 1,
		Fields: []history.Pair{{Name: "allocatable.pods", Value: "9"}, {Name: "ready", Value: "True"}}, Content: uint64(m.next)})
	stay := fmt.Sprint(int64(tolerated / time.Second))
	if o.forever {
		stay = "forever"
	}
	pod := m.add("pods", "web-1-guest", m.set, m.set.Labels, "", "Pod", history.Pair{Name: "spec.nodeName", Value: "told"},
		history.Pair{Name: "stays.notReady", Value: stay}, history.Pair{Name: "stays.unreachable", Value: stay})
	if !o.healthy {
		m.again(up, history.Pair{Name: "ready", Value: ""}, history.Pair{Name: "taints.noExecute", Value: toldTaint})
	}
	switch {
	case o.stays:
		return
	case o.late:
		m.pass(tolerated + heal + 2*time.Second)
	case !o.early:
		m.pass(tolerated)
	}
	pod = m.again(pod, history.Pair{Name: "disruption", Value: toldReason})
	pod = pod.Clone()
	pod.Deleting = true
	m.remove(m.again(pod))
}

// failuresWrong looks at the pods of the node that was added, by the model.
func (t *teller) failuresWrong() string {
	var tainted, left history.Time
	var pod *history.Version
	for _, v := range t.versions {
		called, returned, known := t.commit(v.Revision)
		switch {
		case v.Resource == "nodes" && v.Name == "told" && v.Field("taints.noExecute") != "":
			tainted = called
		case v.Resource == "pods" && v.Field("spec.nodeName") == "told":
			if pod = v; v.Field("disruption") == "" || left != 0 {
				continue
			}
			stay := time.Duration(integer(v, "stays.notReady")) * time.Second
			switch {
			case tainted == 0:
				return "evicted from a node without a taint"
			case v.Field("stays.notReady") == "forever":
				return "evicted though it tolerates the taint"
			case known && returned.Sub(tainted) < stay:
				return "evicted too early"
			}
			left = called
		case v.Delete && strings.HasSuffix(v.Key, "/web-1-guest") && left == 0:
			left = called
		}
	}
	if pod == nil || tainted == 0 || pod.Field("stays.notReady") == "forever" {
		return ""
	}
	if left == 0 {
		left, _, _ = t.commit(t.last())
	}
	stay := time.Duration(integer(pod, "stays.notReady")) * time.Second
	return complaint(left.Sub(tainted) > stay+heal+time.Second && t.managed(tainted, left), "it stayed too long")
}

// managed says that one controller manager, if the run has any, renewed its
// Lease all of a time: else who should have evicted a pod may not have been
// there, or have begun anew.
func (t *teller) managed(from, to history.Time) bool {
	const usual = 15 * time.Second
	var was *history.Version
	var at history.Time
	for _, v := range t.versions {
		if v.Resource != "leases" || v.Namespace != "kube-system" || v.Name != "kube-controller-manager" {
			continue
		}
		now := t.moment(v.Revision)
		switch {
		case now == 0 || now > to:
			continue
		case was != nil && now > from && (now.Sub(at) > usual || was.Field("spec.holderIdentity") != v.Field("spec.holderIdentity")):
			return false
		case was == nil && now > from:
			return false
		}
		was, at = v, now
	}
	return was == nil || to.Sub(at) <= usual
}
