package cluster

// The guarantees that this package judges.
const (
	NoDoubleBind        = "NoDoubleBind"
	NoOvercommit        = "NoOvercommit"
	ReplicasConverge    = "ReplicasConverge"
	EndpointsMatch      = "EndpointsMatch"
	NoOrphans           = "NoOrphans"
	OneLeader           = "OneLeader"
	NodeFailureHeals    = "NodeFailureHeals"
	RolloutBounded      = "RolloutBounded"
	JobCompletionsExact = "JobCompletionsExact"
	NamespaceEmpties    = "NamespaceEmpties"
)

const docs = "https://kubernetes.io/docs/concepts/"

// Guarantees returns all of them in the order of their verdicts.
func Guarantees() []string {
	var names []string
	for _, g := range guarantees {
		names = append(names, g.name)
	}
	return names
}

// guarantee is a name with what it promises. The quoted words are those of the
// documentation.
type guarantee struct {
	name, statement string
	floor           int64 // its default
	// settled judges a guarantee at a moment at which the cluster had settled; it is
	// judged at all others as well, see lasting. nil: it makes no difference.
	settled func(*judge) *finding
}

var guarantees = []guarantee{
	{NoDoubleBind, `"Pods are only scheduled once in their lifetime": the node of a pod, once set, never changes. ` +
		docs + "workloads/pods/pod-lifecycle/", 100, nil},
	{NoOvercommit, `"the scheduler ensures that, for each resource type, the sum of the resource requests of the scheduled containers ` +
		`is less than the capacity of the node": at every revision that binds a pod, the requests of cpu and memory and the number of pods ` +
		`on its node stay within allocatable; the node exists and is not cordoned. ` +
		docs + "configuration/manage-resources-containers/#how-pods-with-resource-requests-are-scheduled", 100, nil},
	{ReplicasConverge, `"A ReplicaSet's purpose is to maintain a stable set of replica Pods running at any given time": ` +
		`once all has settled, each ReplicaSet, Deployment and StatefulSet owns as many pods as its spec asks for, and its status counts those that are ready; ` +
		`and at no time does a ReplicaSet own another number for longer than the stated time while nothing of it changes. ` +
		docs + "workloads/controllers/replicaset/", 1, (*judge).replicas},
	{EndpointsMatch, `"The control plane automatically creates EndpointSlices for any Kubernetes Service that has a selector specified": ` +
		`once all has settled, they hold exactly the ready pods that it selects; and no pod is an endpoint otherwise than it should for longer than the stated time. ` + docs + "services-networking/endpoint-slices/", 1, (*judge).endpoints},
	{NoOrphans, `"Kubernetes checks for and deletes objects that no longer have owner references": ` +
		`nothing is left, once all has settled or before, of which every owner is gone for longer than the stated time, or never was. ` +
		docs + "architecture/garbage-collection/#cascading-deletion", 100, (*judge).orphans},
	{OneLeader, `"Kubernetes also uses Leases to ensure only one instance of a component is running at any given time": ` +
		`whoever takes a Lease that elects a leader takes it when it was released, or no earlier than its duration after the last renewal of the one before; ` +
		`it counts one transition more and is acquired anew, and none that lost it renews it. ` +
		docs + "architecture/leases/#leader-election", 1, nil},
	{NodeFailureHeals, `"Pods that tolerate the taint with a specified tolerationSeconds remain bound for the specified amount of time. ` +
		`After that time elapses, the node lifecycle controller evicts the Pods from the node": a pod of a ReplicaSet is not on a node that is not Ready, ` +
		`and has the taint that says so, longer than it tolerates that and the stated time; and the taint manager evicts pods from tainted nodes only, and none before its time. ` +
		docs + "scheduling-eviction/taint-and-toleration/#taint-based-evictions", 1, nil},
	{RolloutBounded, `"Max Unavailable is an optional field that specifies the maximum number of Pods that can be unavailable during the update process", ` +
		`"Max Surge is an optional field that specifies the maximum number of Pods that can be created over the desired number of Pods": ` +
		`at no step of a rolling update do the ReplicaSets of a Deployment ask for more pods than its replicas and maxSurge, as far as its controller can have seen them, ` +
		`and none is made to give up available pods unless as many are available as its replicas without maxUnavailable. ` +
		docs + "workloads/controllers/deployment/#rolling-update-deployment", 10, nil},
	{JobCompletionsExact, `"As pods successfully complete, the Job tracks the successful completions. When a specified number of successful completions is reached, ` +
		`the task (ie, Job) is complete": a Job never counts more pods than have succeeded, one that is Complete counts as many as its completions, ` +
		`an indexed one exactly those, and it gets no pod for longer than the stated time after that. ` +
		docs + "workloads/controllers/job/", 1, nil},
	{NamespaceEmpties, `"Deleting a namespace deletes everything under the namespace", and none is removed before: ` +
		`what was in it when it was deleted is gone at the revision that removes it, and nothing is made in it for longer than the stated time after its deletion. ` +
		docs + "overview/working-with-objects/namespaces/", 1, nil},
}
