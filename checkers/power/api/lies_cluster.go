package apipower

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/planecheck/planecheck/checkers/history"
)

// clusterLies are in the version table: what the controllers and the scheduler
// left there.
func clusterLies() []Lie {
	return []Lie{
		{Name: "a pod moves to another node for good", Breaks: "NoDoubleBind", Tell: rebound(true, "node-told")},
		{Name: "a pod is on another node for one version", Breaks: "NoDoubleBind", Tell: rebound(false, "node-told")},
		{Name: "a pod loses its node", Breaks: "NoDoubleBind", Tell: rebound(true, "")},

		{Name: "a pod needs more cpu than its node has", Breaks: "NoOvercommit", Tell: bound(greedy("requests.cpu", "allocatable.cpu"))},
		{Name: "a pod needs more memory than its node has", Breaks: "NoOvercommit", Tell: bound(greedy("requests.memory", "allocatable.memory"))},
		{Name: "a node had one pod too few to give", Breaks: "NoOvercommit", Tell: bound(smallNode("allocatable.pods", ""))},
		{Name: "a node had less cpu than its pods need", Breaks: "NoOvercommit", Tell: bound(smallNode("allocatable.cpu", "requests.cpu"))},
		{Name: "a node took a pod though it was cordoned", Breaks: "NoOvercommit", Tell: bound(cordoned)},

		{Name: "a ReplicaSet has a pod too few", Breaks: "ReplicasConverge", Tell: inMaterial(onePodLess)},
		{Name: "a ReplicaSet has a pod too many", Breaks: "ReplicasConverge", Tell: inMaterial(onePodMore)},
		{Name: "a ReplicaSet counts a pod that is not there", Breaks: "ReplicasConverge", Tell: inMaterial(countLie(false, "status.replicas"))},
		{Name: "a Deployment counts a ready pod that is not there", Breaks: "ReplicasConverge", Tell: inMaterial(countLie(true, "status.readyReplicas"))},
		{Name: "a Deployment was scaled and its ReplicaSet was not", Breaks: "ReplicasConverge", Tell: inMaterial(scaled)},

		{Name: "an endpoint is missing", Breaks: "EndpointsMatch", Tell: inMaterial(endpointMissing)},
		{Name: "an endpoint is of no pod", Breaks: "EndpointsMatch", Tell: inMaterial(endpointOfNone)},
		{Name: "an endpoint is ready and its pod is not", Breaks: "EndpointsMatch", Tell: inMaterial(endpointUnready)},
		{Name: "an endpoint is of a pod that was deleted", Breaks: "EndpointsMatch", Tell: inMaterial(endpointDeleted)},

		{Name: "pods outlive their ReplicaSet", Breaks: "NoOrphans", Tell: inMaterial(orphans(func(m *material) *history.Version { return m.set }))},
		{Name: "a ReplicaSet outlives its Deployment", Breaks: "NoOrphans", Tell: inMaterial(orphans(func(m *material) *history.Version { return m.deployment }))},
		{Name: "an EndpointSlice outlives its Service", Breaks: "NoOrphans", Tell: inMaterial(orphans(func(m *material) *history.Version { return m.service }))},
		{Name: "an owner is another object of the same name", Breaks: "NoOrphans", Tell: inMaterial(reborn)},
	}
}

// inMaterial tells a lie in a workload that it adds. The pods of it are none of
// the run's, so their number may be anything.
func inMaterial(lie func(t *teller, m *material)) func(*teller) bool {
	return func(t *teller) bool {
		m := t.build(2 + t.rng.IntN(5))
		if m == nil {
			return false
		}
		lie(t, m)
		return !m.short
	}
}

// podVersions are the versions of one life of a pod.
func (t *teller) podVersions(uid string) []*history.Version {
	var all []*history.Version
	for _, v := range t.versions {
		if v.Resource == "pods" && v.UID == uid {
			all = append(all, v)
		}
	}
	return all
}

func boundTo(v *history.Version) bool {
	return v.Resource == "pods" && !v.Delete && v.Field("spec.nodeName") != ""
}

func rebound(lasting bool, node string) func(*teller) bool {
	return func(t *teller) bool {
		after := func(v *history.Version) []*history.Version {
			return slices.DeleteFunc(t.podVersions(v.UID), func(o *history.Version) bool { return o.Revision <= v.Revision || !boundTo(o) })
		}
		if t.build(2) == nil {
			return false
		}
		v, ok := draw(t, t.versions, func(v *history.Version) bool { return boundTo(v) && len(after(v)) > 0 })
		if !ok {
			return false
		}
		vs := after(v)
		vs = vs[t.rng.IntN(len(vs)):]
		if !lasting {
			vs = vs[:1]
		}
		for _, o := range vs {
			o = t.revise(o)
			setField(o, "spec.nodeName", node)
			o.Content++
		}
		return true
	}
}

// bindings are those of the default scheduler.
func (t *teller) bindings() []*history.Version {
	was := map[string]string{}
	var all []*history.Version
	for _, v := range t.versions {
		if v.Resource != "pods" || v.Delete {
			continue
		}
		node, seen := was[v.UID]
		if boundTo(v) && seen && node == "" && v.Field("spec.schedulerName") == "default-scheduler" {
			all = append(all, v)
		}
		was[v.UID] = v.Field("spec.nodeName")
	}
	return all
}

// bound tells a lie about a binding, which it draws.
func bound(lie func(t *teller, v *history.Version) bool) func(*teller) bool {
	return func(t *teller) bool {
		if t.build(3) == nil {
			return false
		}
		all := t.bindings()
		return len(all) > 0 && lie(t, all[t.rng.IntN(len(all))])
	}
}

func integer(v *history.Version, field string) int64 {
	n, _ := strconv.ParseInt(v.Field(field), 10, 64)
	return n
}

// nodeAt is a node as it was at a revision.
func (t *teller) nodeAt(node string, rev int64) *history.Version {
	var found *history.Version
	for _, v := range t.versions {
		if v.Revision <= rev && v.Resource == "nodes" && v.Name == node {
			found = v
		}
	}
	return found
}

// on are the pods of a node at a revision that need what they ask for.
func (t *teller) on(node string, rev int64) []*history.Version {
	last := map[string]*history.Version{}
	for _, v := range t.versions {
		if v.Resource == "pods" && v.Revision <= rev {
			last[v.Key] = v
		}
	}
	var all []*history.Version
	for _, v := range last {
		if phase := v.Field("status.phase"); boundTo(v) && v.Field("spec.nodeName") == node && phase != "Succeeded" && phase != "Failed" {
			all = append(all, v)
		}
	}
	return all
}

func (t *teller) everywhere(fits func(*history.Version) bool, change func(*history.Version)) {
	for _, v := range slices.Clone(t.versions) {
		if !v.Delete && fits(v) {
			v = t.revise(v)
			change(v)
			v.Content++
		}
	}
}

func greedy(request, capacity string) func(*teller, *history.Version) bool {
	return func(t *teller, b *history.Version) bool {
		node := t.nodeAt(b.Field("spec.nodeName"), b.Revision)
		if node == nil {
			return false
		}
		more := integer(node, capacity) + t.upTo(1000)
		t.everywhere(func(v *history.Version) bool { return v.Resource == "pods" && v.UID == b.UID },
			func(v *history.Version) { setField(v, request, fmt.Sprint(more)) })
		return true
	}
}

// smallNode lets a node always have had a bit less than the pods on it need.
func smallNode(capacity, request string) func(*teller, *history.Version) bool {
	return func(t *teller, b *history.Version) bool {
		node := b.Field("spec.nodeName")
		var need int64
		for _, p := range t.on(node, b.Revision) {
			if request == "" {
				need++
			} else {
				need += integer(p, request)
			}
		}
		if need < 2 {
			return false
		}
		t.everywhere(func(v *history.Version) bool { return v.Resource == "nodes" && v.Name == node },
			func(v *history.Version) { setField(v, capacity, fmt.Sprint(need-1)) })
		return true
	}
}

func cordoned(t *teller, b *history.Version) bool {
	if b.Field("toleratesUnschedulable") == "True" {
		return false
	}
	t.everywhere(func(v *history.Version) bool { return v.Resource == "nodes" && v.Name == b.Field("spec.nodeName") },
		func(v *history.Version) { setField(v, "spec.unschedulable", "true") })
	return true
}

// onePodLess leaves the counts and the endpoints right but for what was wanted.
func onePodLess(t *teller, m *material) {
	gone := m.pods[t.rng.IntN(len(m.pods))]
	m.remove(gone)
	m.pods = slices.DeleteFunc(m.pods, func(p *history.Version) bool { return p == gone })
	m.recount()
}

func onePodMore(_ *teller, m *material) {
	m.pods = append(m.pods, m.pod("web-1-extra", m.set, m.set.Labels))
	m.recount()
}

// recount lets everybody count the pods that there are.
func (m *material) recount() {
	n := fmt.Sprint(len(m.pods))
	counts := []history.Pair{{Name: "status.replicas", Value: n}, {Name: "status.readyReplicas", Value: n}}
	m.set = m.again(m.set, counts...)
	m.deployment = m.again(m.deployment, counts...)
	m.slice = m.again(m.slice, history.Pair{Name: "endpoints", Value: endpoints(m.pods)})
}

func countLie(deployment bool, field string) func(*teller, *material) {
	return func(_ *teller, m *material) {
		v := m.set
		if deployment {
			v = m.deployment
		}
		m.again(v, history.Pair{Name: field, Value: fmt.Sprint(len(m.pods) + 1)})
	}
}

func scaled(t *teller, m *material) {
	v := m.deployment.Clone()
	v.Generation++
	n := fmt.Sprint(len(m.pods) + int(t.upTo(3)))
	m.again(v, history.Pair{Name: "spec.replicas", Value: n}, history.Pair{Name: "status.observedGeneration", Value: "2"})
}

func endpointMissing(t *teller, m *material) {
	i := t.rng.IntN(len(m.pods))
	m.again(m.slice, history.Pair{Name: "endpoints", Value: endpoints(slices.Delete(slices.Clone(m.pods), i, i+1))})
}

func endpointOfNone(_ *teller, m *material) {
	m.again(m.slice, history.Pair{Name: "endpoints", Value: endpoints(m.pods) + ",zz-none:true"})
}

func endpointUnready(t *teller, m *material) {
	i := t.rng.IntN(len(m.pods))
	m.pods[i] = m.again(m.pods[i], history.Pair{Name: "ready", Value: ""})
	n := fmt.Sprint(len(m.pods) - 1)
	m.again(m.set, history.Pair{Name: "status.readyReplicas", Value: n})
	m.again(m.deployment, history.Pair{Name: "status.readyReplicas", Value: n})
}

// endpointDeleted replaces a pod by another one and leaves the slice as it was.
func endpointDeleted(t *teller, m *material) {
	i := t.rng.IntN(len(m.pods))
	m.remove(m.pods[i])
	m.pods[i] = m.pod("web-1-new", m.set, m.set.Labels)
}

func orphans(owner func(*material) *history.Version) func(*teller, *material) {
	return func(_ *teller, m *material) { m.remove(owner(m)) }
}

// reborn replaces an owner by one of the same name, which does not know its pods.
func reborn(_ *teller, m *material) {
	m.remove(m.set)
	v := m.set.Clone()
	v.UID += "-again"
	for _, f := range []string{"status.replicas", "status.readyReplicas", "spec.replicas"} {
		setField(v, f, "0")
	}
	m.put(v)
}

// clusterWrong says what the table breaks of a guarantee, by the model.
func (t *teller) clusterWrong(guarantee string) string {
	switch guarantee {
	case "NoDoubleBind":
		was := map[string]string{}
		for _, v := range t.versions {
			if v.Resource != "pods" || v.Delete {
				continue
			}
			if node := was[v.UID]; node != "" && node != v.Field("spec.nodeName") {
				return fmt.Sprintf("%s left %s at %d", v.Name, node, v.Revision)
			}
			was[v.UID] = v.Field("spec.nodeName")
		}
	case "NoOvercommit":
		for _, b := range t.bindings() {
			if why := t.fits(b); why != "" {
				return why
			}
		}
	case "OneLeader":
		return t.leadersWrong()
	case "NodeFailureHeals":
		return t.failuresWrong()
	case "RolloutBounded":
		return t.rolloutsWrong()
	case "JobCompletionsExact":
		return t.jobsWrong()
	case "NamespaceEmpties":
		return t.namespacesWrong()
	default:
		if why := t.restWrong(guarantee, t.last()); why != "" {
			return why
		}
		return t.lastingWrong(guarantee)
	}
	return ""
}

func (t *teller) fits(b *history.Version) string {
	node := t.nodeAt(b.Field("spec.nodeName"), b.Revision)
	if node == nil {
		return ""
	}
	if node.Field("spec.unschedulable") == "true" {
		return node.Name + " was cordoned"
	}
	var cpu, memory int64
	pods := t.on(node.Name, b.Revision)
	for _, p := range pods {
		cpu += integer(p, "requests.cpu")
		memory += integer(p, "requests.memory")
	}
	if int64(len(pods)) > integer(node, "allocatable.pods") || cpu > integer(node, "allocatable.cpu") || memory > integer(node, "allocatable.memory") {
		return fmt.Sprintf("%s was full at %d", node.Name, b.Revision)
	}
	return ""
}

// restWrong looks at the added workload as it is at a revision.
func (t *teller) restWrong(guarantee string, upto int64) string {
	last, uids := map[string]*history.Version{}, map[string]bool{}
	for _, v := range t.versions {
		if v.Revision <= upto && strings.Contains(v.Key, "/"+toldNamespace+"/") {
			last[v.Key] = v
		}
	}
	var pods []*history.Version
	for _, v := range last {
		if uids[v.UID] = !v.Delete; v.Resource == "pods" && !v.Delete {
			pods = append(pods, v)
		}
	}
	for _, v := range last {
		if v.Delete {
			continue
		}
		owned := slices.ContainsFunc(v.Owners, func(o history.Owner) bool { return !uids[o.UID] })
		n := int64(len(pods))
		ready := n - int64(strings.Count(endpoints(pods), ":false"))
		replicas := strings.HasSuffix(v.Resource, "sets") || v.Resource == "deployments"
		counts := integer(v, "spec.replicas") != n || integer(v, "status.replicas") != n || integer(v, "status.readyReplicas") != ready
		switch {
		case guarantee == "NoOrphans" && owned:
			return v.Name + " has lost its owner"
		case guarantee == "ReplicasConverge" && replicas && counts:
			return fmt.Sprintf("%s wants or counts others than %d pods", v.Name, n)
		case guarantee == "EndpointsMatch" && v.Resource == "endpointslices" && v.Field("endpoints") != endpoints(pods):
			return "the endpoints are not the pods"
		}
	}
	return ""
}
