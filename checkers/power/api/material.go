package apipower

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/planecheck/planecheck/checkers/history"
)

// material is a workload that is added to a version table, because a run may
// have none that is at rest or whose owner is gone: a Deployment with its
// ReplicaSet and pods, and a Service with its EndpointSlice.
type material struct {
	t    *teller
	next int64 // an odd revision
	// short says that the run is too short for the lie that is being told.
	short bool

	deployment, set, service, slice *history.Version
	pods                            []*history.Version // as they are at the end
	node                            string
}

const toldNamespace = "told"

// double makes room for one version behind each revision.
func (t *teller) double() {
	for i, v := range t.versions {
		t.versions[i] = v.Clone()
		t.versions[i].Revision *= 2
	}
	t.doubled, t.rewrites = true, true
}

// commit is the time of a doubled revision. One that was added took no time.
func (t *teller) commit(rev int64) (called, returned history.Time, ok bool) {
	called, returned, ok = t.b.Window.Commit(rev / 2)
	if rev%2 == 1 {
		called = returned
	}
	return called, returned, ok
}

// build adds a workload with some pods early in the run, as its controllers
// would leave it. nil: the table has no node.
func (t *teller) build(pods int) *material {
	t.double()
	i := slices.IndexFunc(t.versions, func(v *history.Version) bool { return v.Resource == "nodes" && !v.Delete && v.Field("ready") == "True" })
	if i < 0 {
		return nil
	}
	m := &material{t: t, node: t.versions[i].Name, next: t.versions[min(i+20, len(t.versions)-1)].Revision + 1}
	labels := []history.Pair{{Name: "app", Value: "told"}}
	m.deployment = m.add("deployments", "web", nil, labels, "apps", "Deployment", m.counts(pods, "app=told")...)
	hashed := append(slices.Clone(labels), history.Pair{Name: "pod-template-hash", Value: "1"})
	m.set = m.add("replicasets", "web-1", m.deployment, hashed, "apps", "ReplicaSet", m.counts(pods, "app=told,pod-template-hash=1")...)
	for i := range pods {
		m.pods = append(m.pods, m.pod(fmt.Sprintf("web-1-%d", i), m.set, hashed))
	}
	m.service = m.add("services/specs", "web", nil, nil, "", "Service",
		history.Pair{Name: "selector", Value: "app=told"}, history.Pair{Name: "spec.type", Value: "ClusterIP"})
	m.slice = m.add("endpointslices", "web-x", m.service, []history.Pair{{Name: "kubernetes.io/service-name", Value: "web"},
		{Name: "endpointslice.kubernetes.io/managed-by", Value: "endpointslice-controller.k8s.io"}},
		"discovery.k8s.io", "EndpointSlice", history.Pair{Name: "endpoints", Value: endpoints(m.pods)}, history.Pair{Name: "service", Value: "web"})
	return m
}

func (m *material) counts(n int, selector string) []history.Pair {
	var fields []history.Pair
	for _, name := range []string{"spec.replicas", "status.replicas", "status.readyReplicas"} {
		fields = append(fields, history.Pair{Name: name, Value: fmt.Sprint(n)})
	}
	return append(fields, history.Pair{Name: "status.observedGeneration", Value: "1"}, history.Pair{Name: "selector", Value: selector})
}

// add adds one version of an object to the table.
func (m *material) add(folder, name string, owner *history.Version, labels []history.Pair, group, kind string, fields ...history.Pair) *history.Version {
	resource, _, _ := strings.Cut(folder, "/")
	v := &history.Version{
		Key:   "/registry/" + folder + "/" + toldNamespace + "/" + name,
		Group: group, Resource: resource, Kind: kind, Namespace: toldNamespace, Name: name,
		UID: "told-" + resource + "-" + name, Created: 1, Generation: 1, Labels: labels, Fields: fields, Content: uint64(m.next),
	}
	if owner != nil {
		v.Owners = []history.Owner{{Kind: owner.Kind, Name: owner.Name, UID: owner.UID, Controller: true}}
	}
	return m.put(v)
}

// put gives a version the next free revision.
func (m *material) put(v *history.Version) *history.Version {
	v.Revision = m.next
	m.next += 2
	i, _ := slices.BinarySearchFunc(m.t.versions, v.Revision, func(o *history.Version, rev int64) int { return cmp.Compare(o.Revision, rev) })
	m.t.versions = slices.Insert(m.t.versions, i, v)
	return v
}

// again adds a further version of an object.
func (m *material) again(v *history.Version, fields ...history.Pair) *history.Version {
	w := v.Clone()
	for _, f := range fields {
		setField(w, f.Name, f.Value)
	}
	w.Content++
	return m.put(w)
}

func setField(v *history.Version, name, value string) {
	v.Fields = slices.DeleteFunc(v.Fields, func(p history.Pair) bool { return p.Name == name })
	if value != "" {
		v.Fields = append(v.Fields, history.Pair{Name: name, Value: value})
	}
}

// pod adds a pod that is created, bound and then ready.
func (m *material) pod(name string, owner *history.Version, labels []history.Pair) *history.Version {
	p := m.add("pods", name, owner, labels, "", "Pod",
		history.Pair{Name: "spec.restartPolicy", Value: "Always"}, history.Pair{Name: "spec.serviceAccountName", Value: "default"},
		history.Pair{Name: "spec.schedulerName", Value: "default-scheduler"}, history.Pair{Name: "requests.cpu", Value: "100"},
		history.Pair{Name: "requests.memory", Value: "1000000"}, history.Pair{Name: "status.phase", Value: "Pending"})
	p = m.again(p, history.Pair{Name: "spec.nodeName", Value: m.node})
	return m.again(p, history.Pair{Name: "status.phase", Value: "Running"}, history.Pair{Name: "ready", Value: "True"},
		history.Pair{Name: "hasIP", Value: "True"})
}

// remove removes an object for good.
func (m *material) remove(v *history.Version) {
	m.put(&history.Version{Key: v.Key, Delete: true, Group: v.Group, Resource: v.Resource})
}

func endpoints(pods []*history.Version) string {
	var all []string
	for _, p := range pods {
		all = append(all, p.UID+":"+fmt.Sprint(p.Field("ready") == "True"))
	}
	slices.Sort(all)
	return strings.Join(all, ",")
}
