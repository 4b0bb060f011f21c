package manifest

import (
	"math"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

// most bounds what is counted: no machine carries more, and sums with it do not
// overflow.
const most = math.MaxInt32

// Pods are pods that a manifest asks for.
type Pods struct {
	Fixed   int `json:"fixed"`             // whatever the number of nodes is
	PerNode int `json:"perNode,omitempty"` // on each node, by DaemonSets
}

// On is how many they are on so many nodes.
func (p Pods) On(nodes int) int { return min(p.Fixed+times(p.PerNode, nodes), most) }

func (p *Pods) add(other Pods) {
	p.Fixed, p.PerNode = min(p.Fixed+other.Fixed, most), min(p.PerNode+other.PerNode, most)
}

// Size is how much all copies of a manifest are, as far as the file tells it: what
// custom resources, CronJobs and autoscalers have made from them is not counted.
type Size struct {
	// Objects are those that are applied, with the namespaces that are made for them
	// and what controllers put into each of these.
	Objects int `json:"objects"`
	// Pods are those that there are at once.
	Pods Pods `json:"pods"`
	// Made are those that there are one after the other: of a Job as many as it has to
	// complete.
	Made Pods `json:"made"`
	// Staying are those of them that certainly need a place on a node each, for as long
	// as the objects are there.
	Staying Pods `json:"staying"`
}

// inNamespace are the objects of a namespace that the controller manager makes: its
// ServiceAccount, and the ConfigMap with the authority of the API servers.
const inNamespace = 2

// Size counts what so many copies ask for. ends says of a template of pods that its
// pods end by themselves, so that others take their places.
func (m *Manifest) Size(copies int, ends func(Annotated) bool) Size {
	var once, each Size
	for _, o := range m.Objects {
		if o.Definition() {
			once.Objects++
			continue
		}
		each.Objects++
		pods := o.pods()
		each.Pods.add(pods)
		each.Made.add(o.made(pods))
		if o.stays(ends) {
			each.Staying.add(pods)
		}
	}
	each.Objects += m.around(copies)
	of := func(p Pods) Pods { return Pods{Fixed: times(p.Fixed, copies), PerNode: times(p.PerNode, copies)} }
	return Size{
		Objects: min(once.Objects+times(each.Objects, copies), most),
		Pods:    of(each.Pods), Made: of(each.Made), Staying: of(each.Staying),
	}
}

// around is how many objects there are for the namespaces of one copy, those left out
// that the manifest brings along. Without a server nobody knows which kinds have none:
// an object that names no namespace is taken for one in default.
func (m *Manifest) around(copies int) int {
	own, made := map[string]bool{}, map[string]bool{}
	for _, o := range m.Objects {
		name := o.GetNamespace()
		switch {
		case o.Definition():
			continue
		case isNamespace(o.GroupVersionKind().GroupKind()):
			name = o.GetName()
			own[name] = true
		case name == "":
			name = defaultNamespace
		}
		made[name] = !shared(name) && (name != defaultNamespace || copies > 1)
	}
	count := 0
	for name, isMade := range made {
		if !isMade {
			continue
		}
		count += inNamespace
		if !own[name] {
			count++
		}
	}
	return count
}

// times multiplies without an overflow.
func times(a, b int) int {
	if a > 0 && b > most/a {
		return most
	}
	return a * b
}

// pods are those that there are at once of an object, by the controllers of Kubernetes.
func (o Object) pods() Pods {
	spec := child(o.Object, "spec")
	switch o.GroupVersionKind().GroupKind() {
	case schema.GroupKind{Kind: "Pod"}:
		return Pods{Fixed: 1}
	case schema.GroupKind{Group: "apps", Kind: "Deployment"}:
		if spec["paused"] == true { // then it makes no ReplicaSet
			return Pods{}
		}
		return Pods{Fixed: number(spec, "replicas", 1)}
	case schema.GroupKind{Group: "apps", Kind: "ReplicaSet"}, schema.GroupKind{Group: "apps", Kind: "StatefulSet"},
		schema.GroupKind{Kind: "ReplicationController"}:
		return Pods{Fixed: number(spec, "replicas", 1)}
	case schema.GroupKind{Group: "apps", Kind: "DaemonSet"}:
		return Pods{PerNode: 1}
	case schema.GroupKind{Group: "batch", Kind: "Job"}:
		return Pods{Fixed: jobPods(spec)}
	}
	return Pods{}
}

// jobController is who makes the pods of a Job unless it names another.
const jobController = "kubernetes.io/job-controller"

// jobPods is how many pods of a Job there are at once.
func jobPods(spec map[string]any) int {
	by, delegated := spec["managedBy"].(string)
	if spec["suspend"] == true || delegated && by != jobController {
		return 0
	}
	parallel := number(spec, "parallelism", 1)
	return min(parallel, number(spec, "completions", parallel))
}

// made are the pods that there are one after the other of an object that has so many at
// once, if none fails.
func (o Object) made(atOnce Pods) Pods {
	if o.GroupVersionKind().GroupKind() == (schema.GroupKind{Group: "batch", Kind: "Job"}) && atOnce.Fixed > 0 {
		return Pods{Fixed: number(child(o.Object, "spec"), "completions", atOnce.Fixed)}
	}
	return atOnce
}

// stays says that the pods of an object certainly need a place each until they are
// deleted. A DaemonSet that chooses its nodes may have no pod at all.
func (o Object) stays(ends func(Annotated) bool) bool {
	template := o.Object
	if o.GetKind() != "Pod" {
		template = child(child(o.Object, "spec"), "template")
	}
	spec := child(template, "spec")
	if o.GetKind() == "DaemonSet" && (spec["nodeSelector"] != nil || spec["affinity"] != nil) {
		return false
	}
	policy, _ := spec["restartPolicy"].(string)
	return !ends(Annotated{Annotations: texts(child(template, "metadata")["annotations"]), Pod: true, RestartPolicy: policy})
}

// number is a field that holds a whole number, from 0 to most; what else it holds is for
// others to complain about.
func number(of map[string]any, field string, otherwise int) int {
	n, ok := of[field].(int64)
	if !ok {
		return otherwise
	}
	return int(min(max(n, 0), most))
}
