package endstate

import (
	"cmp"
	"slices"
	"strings"
)

// Rule is one thing in which two runs of a plan may rightly differ.
type Rule struct {
	Name   string `json:"name"`
	Reason string `json:"reason"`
}

// Rules returns what a State leaves out, and why.
func Rules() []Rule {
	var list []Rule
	for _, r := range rules() {
		list = append(list, r.Rule)
	}
	return list
}

type rule struct {
	Rule
	of    []string // resources; nil: all
	apply func(*item)
}

// rules are in the order in which they are applied. Those of one kind may look
// at what the general ones have left, so they come after.
func rules() []rule {
	return slices.Concat(ignoredRules(), generalRules(), kindRules(), podRules(), countingRules())
}

// ignored are resources that are not compared, and not even listed.
var ignored = []struct{ resource, reason string }{
	{"events", "they tell of the way, and expire"},
	{"events.events.k8s.io", "the same objects as events"},
	{"leases.coordination.k8s.io", "holders and times of renewal; that leases renew is judged elsewhere"},
	{"leasecandidates.coordination.k8s.io", "who stood for election, and when"},
	{"controllerrevisions.apps", "the history of roll-outs; a controller that was down may skip a template"},
	{"componentstatuses", "not stored: the server probes fixed ports while it is asked"},
	{"ipaddresses.networking.k8s.io", "they are named by the cluster IPs that Services happened to get"},
	{"volumeattachments.storage.k8s.io", "they are named by the node: placement"},
	{"certificatesigningrequests.certificates.k8s.io", "random keys, and how often somebody asked again"},
	{"podcertificaterequests.certificates.k8s.io", "random keys, and how often a kubelet asked again"},
	{"storageversions.internal.apiserver.k8s.io", "kept per identity of an API server"},
	{"pods.metrics.k8s.io", "samples of usage"},
	{"nodes.metrics.k8s.io", "samples of usage"},
}

func isIgnored(resource string) bool {
	for _, i := range ignored {
		if i.resource == resource {
			return true
		}
	}
	return false
}

func ignoredRules() []rule {
	var list []rule
	for _, i := range ignored {
		list = append(list, rule{Rule{"no " + i.resource, i.reason}, []string{i.resource}, drop})
	}
	return list
}

func drop(it *item) { it.dropped = true }

func generalRules() []rule {
	return []rule{
		{Rule{"server metadata", "uid, versions, times and field managers are the server's; of a deletion counts that it is under way"}, nil, serverMetadata},
		{Rule{"status", "it follows from the spec; kept are readiness of workloads and Nodes, the end of Jobs and the phase of volumes"}, nil, summarizeStatus},
		{Rule{"order of sets", "finalizers are a set, in the order in which controllers came"}, nil, sortFinalizers},
		{Rule{"roll-out annotations", "revisions are counted, and a controller that was down may skip a template"}, nil, rollout},
		{Rule{"leader annotations", "who leads is an accident"}, nil, func(it *item) {
			without(it.object, annotations, "control-plane.alpha.kubernetes.io/leader")
		}},
		{Rule{"restart times", "kubectl rollout restart writes the time of day; kept is that there was a restart"}, nil, func(it *item) {
			for _, holder := range []map[string]any{it.object, child(it.object, "spec", "template")} {
				mask(child(holder, annotations...), "kubectl.kubernetes.io/restartedAt")
			}
		}},
		{Rule{"labels of controllers", "hashes, which depend on collisions, uids, and the name of the owner said again"}, nil, controllerLabels},
	}
}

func serverMetadata(it *item) {
	meta := it.meta()
	_, deleting := meta["deletionTimestamp"]
	for _, key := range []string{
		"uid", "resourceVersion", "creationTimestamp", "generation", "managedFields", "selfLink",
		"deletionTimestamp", "deletionGracePeriodSeconds",
	} {
		delete(meta, key)
	}
	if deleting {
		meta["deleting"] = true
	}
}

func sortFinalizers(it *item) {
	for _, holder := range []map[string]any{it.meta(), it.spec()} {
		sortValues(holder, "finalizers", func(v any) string { s, _ := v.(string); return s })
	}
}

// sortValues sorts a list that is a set.
func sortValues(m map[string]any, key string, by func(any) string) {
	if values, ok := m[key].([]any); ok {
		slices.SortStableFunc(values, func(a, b any) int { return cmp.Compare(by(a), by(b)) })
	}
}

func rollout(it *item) {
	without(it.object, annotations,
		"deployment.kubernetes.io/revision",
		"deployment.kubernetes.io/revision-history",
		"deployment.kubernetes.io/desired-replicas",
		"deployment.kubernetes.io/max-replicas",
		"deprecated.daemonset.template.generation")
}

// controllerLabels takes them from the three places where controllers write
// them: the object, its selector and its template.
func controllerLabels(it *item) {
	for _, path := range [][]string{labels, {"spec", "selector", "matchLabels"}, {"spec", "template", "metadata", "labels"}} {
		without(it.object, path,
			"pod-template-hash", "controller-revision-hash", "pod-template-generation",
			"controller-uid", "batch.kubernetes.io/controller-uid",
			"job-name", "batch.kubernetes.io/job-name")
	}
}

// summarizeStatus leaves of the status only what is the point of an end state.
func summarizeStatus(it *item) {
	delete(it.object, "status")
	if summary := summary(it); summary != nil {
		it.object["status"] = summary
	}
}

// workloads are the resources whose pods are to become ready, with the figures
// of their status that say so.
var workloads = map[string][]string{
	"deployments.apps":       {"readyReplicas", "availableReplicas"},
	"replicasets.apps":       {"readyReplicas", "availableReplicas"},
	"statefulsets.apps":      {"readyReplicas", "availableReplicas"},
	"replicationcontrollers": {"readyReplicas", "availableReplicas"},
	"daemonsets.apps":        {"desiredNumberScheduled", "numberReady", "numberAvailable"},
}

func summary(it *item) map[string]any {
	if figures := workloads[it.resource]; figures != nil {
		kept := map[string]any{}
		for _, name := range figures {
			kept[name] = number(it.status, name) // 0 is left out by the server
		}
		return kept
	}
	switch it.resource {
	case "nodes":
		return map[string]any{"ready": condition(it.status, "Ready")}
	case "jobs.batch":
		return map[string]any{"complete": condition(it.status, "Complete"), "failed": condition(it.status, "Failed")}
	case "persistentvolumeclaims", "persistentvolumes":
		return map[string]any{"phase": text(it.status, "phase")}
	}
	return nil
}

// condition returns the status of a condition, "" if it is not there.
func condition(status map[string]any, typ string) string {
	for _, c := range children(status, "conditions") {
		if text(c, "type") == typ {
			return text(c, "status")
		}
	}
	return ""
}

// generatedSuffix is how many characters the server adds to generateName, and
// generatedBase how many of it are kept (k8s.io/apiserver/pkg/storage/names).
const (
	generatedSuffix = 5
	generatedBase   = 63 - generatedSuffix
)

// hasGeneratedName says whether the server has made the name from prefix.
func hasGeneratedName(name, prefix string) bool {
	if len(prefix) > generatedBase {
		prefix = prefix[:generatedBase]
	}
	return prefix != "" && strings.HasPrefix(name, prefix) && len(name) == len(prefix)+generatedSuffix
}
