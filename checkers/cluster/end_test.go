package cluster_test

import (
	"testing"
	"time"

	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/checkers/cluster"
	"github.com/planecheck/planecheck/checkers/history"
)

func set(resource, name, want, ready string) history.Version {
	return counted(resource, name, want, want, ready)
}

// counted is a workload whose status counts that many pods.
func counted(resource, name, want, have, ready string) history.Version {
	return object("apps", resource, "ns", name, "spec.replicas="+want, "status.replicas="+have,
		"status.readyReplicas="+ready, "status.observedGeneration=1")
}

// replica is a ready pod of an owner.
func replica(name, owner string, fields ...string) history.Version {
	return owned(pod(name, append(fields, "status.phase=Running", "ready=True")...), owner)
}

func TestReplicasConverge(t *testing.T) {
	rs := func(want, ready string) *world { return newWorld().put(set("replicasets", "rs", want, ready)) }
	of := "uid-rs"
	rest := time.Minute
	tell(t, cluster.ReplicasConverge, []story{
		{"as many as asked for", rs("2", "2").put(replica("a", of)).put(replica("b", of)).wait(rest), checkers.Pass, []string{"1 workloads"}},
		{"none asked for", rs("0", "0").wait(rest), checkers.Pass, []string{"1 workloads"}},
		{"one missing", rs("2", "1").put(replica("a", of)).wait(rest), checkers.Fail, []string{"asks for 2 replicas and owns 1 pods"}},
		{"one too many", rs("1", "2").put(replica("a", of)).put(replica("b", of)).wait(rest), checkers.Fail, []string{"asks for 1 replicas and owns 2 pods"}},
		{"of another owner", rs("1", "1").put(replica("a", "other")).wait(rest), checkers.Fail, []string{"owns 0 pods"}},
		{"an ended one", rs("1", "0").put(replica("a", of)).put(pod("a", "status.phase=Failed")).wait(rest), checkers.Fail, []string{"owns 0 pods"}},
		{"one on its way out", rs("1", "1").put(replica("a", of)).put(replica("b", of)).put(deleting(pod("b"))).wait(rest), checkers.Pass, []string{"1 workloads"}},
		{"still changing", rs("2", "1").put(replica("a", of)).wait(10 * time.Second), checkers.Pass, []string{"0 workloads", "1 still changing"}},
		{"a pod removed just now", rs("1", "1").put(replica("a", of)).wait(rest).remove(pod("a")).wait(time.Second), checkers.Pass, []string{"1 still changing"}},
		{"a pod removed long ago", rs("1", "0").put(replica("a", of)).wait(rest).remove(pod("a")).wait(rest), checkers.Fail, nil},
		{"scaled just now", rs("1", "1").put(replica("a", of)).wait(rest).put(generation(set("replicasets", "rs", "2", "1"), 2)), checkers.Pass, []string{"1 still changing"}},
		{"a status of too few", rs("1", "0").put(replica("a", of)).wait(rest), checkers.Fail, []string{"0 of its pods are ready, and 1 are"}},
		{"a status of too many", rs("1", "1").put(owned(pod("a"), of)).wait(rest), checkers.Fail, []string{"1 of its pods are ready, and 0 are"}},
		{"a count of too many", newWorld().put(counted("replicasets", "rs", "1", "2", "1")).put(replica("a", of)).wait(rest),
			checkers.Fail, []string{"says that it has 2 pods, and owns 1"}},
		{"a count of none", newWorld().put(counted("replicasets", "rs", "1", "0", "1")).put(replica("a", of)).wait(rest), checkers.Fail, nil},
		{"a status of old", rs("1", "1").put(replica("a", of)).put(generation(set("replicasets", "rs", "1", "1"), 2)).wait(rest), checkers.Fail, []string{"generation 2, and its status at 1"}},
		{"on its way out", rs("2", "0").put(deleting(set("replicasets", "rs", "2", "0"))).wait(rest), checkers.Pass, []string{"0 workloads"}},
		{"under a quota", rs("2", "0").put(object("", "resourcequotas", "ns", "q")).wait(rest), checkers.Pass, []string{"1 waiting"}},
		{"too many under a quota", rs("0", "1").put(object("", "resourcequotas", "ns", "q")).put(replica("a", of)).wait(rest), checkers.Fail, nil},
		{"a deployment", deployment("1").put(replica("a", of)).wait(rest), checkers.Pass, []string{"2 workloads"}},
		{"a deployment that lacks one", deployment("2").put(replica("a", of)).wait(rest), checkers.Fail, []string{"deployments/ns/d asks for 2"}},
		{"a rollout that is stuck", deployment("1").put(replica("a", of)).put(owned(set("replicasets", "new", "1", "0"), "uid-d")).
			put(owned(pod("b"), "uid-new")).wait(rest), checkers.Pass, []string{"1 waiting"}},
		{"a rollout that nothing holds", deployment("1").put(replica("a", of)).put(owned(set("replicasets", "new", "1", "1"), "uid-d")).
			put(replica("b", "uid-new")).wait(rest), checkers.Fail, []string{"owns 2 pods"}},
		{"a stateful set", newWorld().put(set("statefulsets", "rs", "1", "1")).put(replica("a", of)).wait(rest), checkers.Pass, []string{"1 workloads"}},
		{"a stateful set that waits", newWorld().put(set("statefulsets", "rs", "2", "0")).put(owned(pod("a"), of)).wait(rest), checkers.Pass, []string{"1 waiting"}},
		{"a stateful set that does nothing", newWorld().put(set("statefulsets", "rs", "2", "1")).put(replica("a", of)).wait(rest), checkers.Fail, nil},
	})
}

// deployment is one that has asked one ReplicaSet for a pod.
func deployment(want string) *world {
	return newWorld().put(set("deployments", "d", want, "1")).put(owned(set("replicasets", "rs", "1", "1"), "uid-d"))
}

func slice(name, endpoints string) history.Version {
	s := object("discovery.k8s.io", "endpointslices", "ns", name, "service=s", "endpoints="+endpoints)
	return labelled(s, "endpointslice.kubernetes.io/managed-by=endpointslice-controller.k8s.io")
}

func TestEndpointsMatch(t *testing.T) {
	service := func(fields ...string) *world {
		return newWorld().put(object("", "services", "ns", "s", append(fields, "selector=app=x,tier=f")...))
	}
	backend := func(name string, fields ...string) history.Version {
		return labelled(pod(name, append(fields, "hasIP=True")...), "app=x", "tier=f")
	}
	up, down := func(name string) history.Version { return backend(name, "ready=True") }, func(name string) history.Version { return backend(name) }
	foreign := slice("e", "uid-b:true")
	foreign.Labels = nil
	rest := time.Minute
	tell(t, cluster.EndpointsMatch, []story{
		{"the ready pods", service().put(up("a")).put(down("b")).put(slice("e", "uid-a:true,uid-b:false")).wait(rest), checkers.Pass, []string{"1 services"}},
		{"in two slices", service().put(up("a")).put(up("b")).put(slice("e", "uid-a:true")).put(slice("f", "uid-b:true")).wait(rest), checkers.Pass, nil},
		{"no pods", service().put(slice("e", "")).wait(rest), checkers.Pass, []string{"1 services"}},
		{"one missing", service().put(up("a")).put(up("b")).put(slice("e", "uid-a:true")).wait(rest), checkers.Fail, []string{"lack 1 ready pods and have 0", "pods/ns/b"}},
		{"no slice", service().put(up("a")).wait(rest), checkers.Fail, []string{"lack 1 ready pods"}},
		{"one marked unready", service().put(up("a")).put(slice("e", "uid-a:false")).wait(rest), checkers.Fail, []string{"lack 1"}},
		{"one marked ready", service().put(down("a")).put(slice("e", "uid-a:true")).wait(rest), checkers.Fail, []string{"have 1 that are not", "pods/ns/a"}},
		{"one that is gone", service().put(up("a")).put(slice("e", "uid-a:true")).remove(pod("a")).wait(rest), checkers.Fail, []string{"have 1 that are not", "is not there"}},
		{"gone just now", service().put(up("a")).put(slice("e", "uid-a:true")).wait(rest).remove(pod("a")), checkers.Pass, []string{"1 still changing"}},
		{"of another life", service().put(withUID(up("a"), "2")).put(slice("e", "uid-a:true")).wait(rest), checkers.Fail, []string{"lack 1 ready pods and have 1"}},
		{"not selected", service().put(labelled(pod("a", "ready=True", "hasIP=True"), "app=x")).put(slice("e", "")).wait(rest), checkers.Pass, nil},
		{"no longer selected", service().put(up("a")).put(labelled(pod("a", "ready=True", "hasIP=True"), "app=x")).put(slice("e", "uid-a:true")).wait(rest), checkers.Fail, nil},
		{"no longer selected just now", service().put(up("a")).put(slice("e", "uid-a:true")).wait(rest).
			put(labelled(pod("a", "ready=True", "hasIP=True"), "app=x")), checkers.Pass, []string{"1 still changing"}},
		{"another namespace", service().put(inOther(up("a"))).put(slice("e", "")).wait(rest), checkers.Pass, nil},
		{"ended", service().put(backend("a", "ready=True", "status.phase=Failed")).put(slice("e", "")).wait(rest), checkers.Pass, nil},
		{"on its way out", service().put(deleting(up("a"))).put(slice("e", "uid-a:false")).wait(rest), checkers.Pass, nil},
		{"without an address", service().put(labelled(pod("a", "ready=True"), "app=x", "tier=f")).put(slice("e", "")).wait(rest), checkers.Pass, nil},
		{"unready ones published", service("publishNotReadyAddresses=true").put(down("a")).put(slice("e", "uid-a:true")).wait(rest), checkers.Pass, nil},
		{"unready ones to be published", service("publishNotReadyAddresses=true").put(down("a")).put(slice("e", "uid-a:false")).wait(rest), checkers.Fail, nil},
		{"a slice of somebody else", service().put(up("a")).put(slice("f", "uid-a:true")).put(foreign).wait(rest), checkers.Pass, nil},
		{"an external name", service("spec.type=ExternalName").put(up("a")).wait(rest), checkers.Pass, []string{"0 services"}},
	})
}

func inOther(v history.Version) history.Version {
	v.Namespace, v.Key = "other", "/registry/pods/other/"+v.Name
	return v
}

func TestNoOrphans(t *testing.T) {
	owner, other := object("", "configmaps", "ns", "o"), object("", "configmaps", "ns", "o2")
	item := func(uids ...string) history.Version { return owned(object("", "secrets", "ns", "d"), uids...) }
	of := func(v history.Version) history.Version { v.Kind = "Owner"; return v } // as owned says
	late := 5 * time.Minute
	event := owned(object("", "events", "ns", "e"), "uid-o")
	tell(t, cluster.NoOrphans, []story{
		{"a living owner", newWorld().put(owner).put(item("uid-o")).wait(late), checkers.Pass, []string{"1 objects"}},
		{"an owner removed long ago", newWorld().put(owner).put(item("uid-o")).remove(owner).wait(late), checkers.Fail, []string{"secrets/ns/d", "revision 4", "uid uid-o"}},
		{"an owner removed just now", newWorld().put(owner).put(item("uid-o")).remove(owner).wait(time.Minute), checkers.Pass, []string{"1 of owners deleted later"}},
		{"collected", newWorld().put(owner).put(item("uid-o")).remove(owner).remove(item()).wait(late), checkers.Pass, []string{"0 objects"}},
		{"being collected", newWorld().put(owner).put(item("uid-o")).remove(owner).put(deleting(item("uid-o"))).wait(late), checkers.Pass, nil},
		{"an owner of the same name", newWorld().put(owner).put(item("uid-o")).remove(owner).put(withUID(owner, "2")).wait(late), checkers.Fail, nil},
		{"one owner of two", newWorld().put(owner).put(other).put(item("uid-o", "uid-o2")).remove(owner).wait(late), checkers.Pass, nil},
		{"both owners of two", newWorld().put(owner).put(other).put(item("uid-o", "uid-o2")).remove(owner).remove(other).wait(late), checkers.Fail, nil},
		{"the second of two just now", newWorld().put(owner).put(other).put(item("uid-o", "uid-o2")).remove(owner).wait(late).remove(other), checkers.Pass, []string{"1 of owners deleted later"}},
		{"an owner never seen, of a kind that there is not", newWorld().put(item("uid-x")).wait(late), checkers.Pass, []string{"1 objects"}},
		{"an owner never seen", newWorld().put(of(owner)).put(item("uid-x")).wait(late), checkers.Fail, []string{"secrets/ns/d", "uid uid-x", "not in the history"}},
		{"an owner not seen just now", newWorld().put(of(owner)).put(item("uid-x")).wait(time.Minute), checkers.Pass, []string{"1 of owners deleted later"}},
		{"an owner never seen beside one that is gone", newWorld().put(of(owner)).put(item("uid-o", "uid-x")).remove(owner).wait(late), checkers.Fail, []string{"uid uid-x"}},
		{"created just now for an owner long gone", newWorld().put(owner).remove(owner).wait(late).put(item("uid-o")), checkers.Pass, []string{"1 of owners deleted later"}},
		{"changed just now", newWorld().put(owner).put(item("uid-o")).remove(owner).wait(late).put(item("uid-o")), checkers.Fail, nil},
		{"an event", newWorld().put(owner).put(event).remove(owner).wait(late), checkers.Pass, []string{"0 objects"}},
	})
}
