package endstate

import (
	"fmt"
	"slices"
	"strings"
)

// podRules make the pods of one template alike.
func podRules() []rule {
	pods := []string{"pods"}
	return []rule{
		{Rule{"placement", "any node that fits is as good; a binding also copies zone and region of the node"}, pods, placement},
		{Rule{"token volumes", "admission mounts the service account's token from a volume with a random name"}, pods, tokenVolume},
		{Rule{"ordinals", "the pods of a StatefulSet, and of an indexed Job, are of one template and differ in a number"}, pods, ordinal},
	}
}

func placement(it *item) {
	delete(it.spec(), "nodeName")
	without(it.object, labels, "topology.kubernetes.io/zone", "topology.kubernetes.io/region")
	if !it.controlledBy("apps", "DaemonSet") {
		return
	}
	// A DaemonSet's controller pins each of its pods to a node, by name.
	required := child(it.spec(), "affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution")
	for _, term := range children(required, "nodeSelectorTerms") {
		for _, field := range children(term, "matchFields") {
			if text(field, "key") == "metadata.name" {
				mask(field, "values")
			}
		}
	}
}

const tokenVolumePrefix = "kube-api-access-"

func tokenVolume(it *item) {
	rename := func(m map[string]any) {
		if hasGeneratedName(text(m, "name"), tokenVolumePrefix) {
			m["name"] = tokenVolumePrefix + "*"
		}
	}
	for _, volume := range children(it.spec(), "volumes") {
		rename(volume)
	}
	for _, kind := range []string{"initContainers", "containers", "ephemeralContainers"} {
		for _, container := range children(it.spec(), kind) {
			for _, mount := range children(container, "volumeMounts") {
				rename(mount)
			}
		}
	}
}

func ordinal(it *item) {
	spec := it.spec()
	switch {
	case it.controlledBy("apps", "StatefulSet"):
		without(it.object, labels, "statefulset.kubernetes.io/pod-name", "apps.kubernetes.io/pod-index")
		if text(spec, "hostname") == it.name {
			delete(spec, "hostname")
		}
		for _, volume := range children(spec, "volumes") {
			claim := child(volume, "persistentVolumeClaim")
			if prefix, own := strings.CutSuffix(text(claim, "claimName"), "-"+it.name); own {
				claim["claimName"] = prefix + "-*"
			}
		}
	case it.controlledBy("batch", "Job"):
		const index = "batch.kubernetes.io/job-completion-index"
		number := text(child(it.object, annotations...), index)
		if number == "" {
			return
		}
		without(it.object, labels, index)
		without(it.object, annotations, index, "batch.kubernetes.io/job-index-failure-count", "batch.kubernetes.io/job-index-ignored-failure-count")
		if text(spec, "hostname") == it.controller().name+"-"+number {
			delete(spec, "hostname")
		}
	}
}

// countingRules are about objects of which only the number matters.
func countingRules() []rule {
	return []rule{
		{Rule{"Jobs of CronJobs", "how many there are depends on the time of day"}, []string{"jobs.batch"}, func(it *item) {
			it.dropped = it.controlledBy("batch", "CronJob")
		}},
		{Rule{"failed Pods of controllers", "a failed Pod is replaced, and lies there until it is collected: it tells of the way"}, []string{"pods"}, func(it *item) {
			it.dropped = it.controller() != nil && text(it.status, "phase") == "Failed"
		}},
		{Rule{"Pods by owner", "counted by phase and readiness under the top of the chain of owners and the template"}, []string{"pods"}, countPod},
		{Rule{"empty ReplicaSets", "old ones are the history of roll-outs, and one that asks for nothing and has nothing is nothing"}, []string{"replicasets.apps"}, func(it *item) {
			it.dropped = it.controller() != nil && number(it.spec(), "replicas") == 0 && number(it.status, "replicas") == 0
		}},
		{Rule{"ReplicaSets by owner", "named by a hash, which depends on collisions"}, []string{"replicasets.apps"}, countReplicaSet},
		{Rule{"EndpointSlices by Service", "names, packing and addresses are accidents; kept is the number of addresses"}, []string{"endpointslices.discovery.k8s.io"}, countSlice},
		{Rule{"addresses of Endpoints", "they are those of Pods; kept is their number"}, []string{"endpoints"}, countEndpoints},
		{Rule{"generated names", "objects that the server has named are counted, under their owner if they have one"}, nil, generatedName},
	}
}

func countPod(it *item) {
	tally := text(it.status, "phase")
	if tally == "" {
		tally = "no phase"
	}
	if tally == "Running" {
		if condition(it.status, "Ready") == "True" {
			tally += ", ready"
		} else {
			tally += ", not ready"
		}
	}
	if it.meta()["deleting"] == true {
		// It is one of the pods of its template still.
		delete(it.meta(), "deleting")
		tally += ", deleting"
	}
	it.counts = map[string]int64{tally: 1}
	it.byOwner = it.controller() != nil
}

func countReplicaSet(it *item) {
	if it.controller() == nil {
		return // somebody has chosen its name
	}
	it.counts = map[string]int64{
		"objects": 1, "replicas": number(it.spec(), "replicas"),
		"ready": number(it.status, "readyReplicas"), "available": number(it.status, "availableReplicas"),
	}
	delete(it.spec(), "replicas")
	delete(it.object, "status")
	it.byOwner = true
}

func countSlice(it *item) {
	const (
		serviceName = "kubernetes.io/service-name"
		managedBy   = "endpointslice.kubernetes.io/managed-by"
	)
	has := child(it.object, labels...)
	service := text(has, serviceName)
	if service == "" {
		return
	}
	it.counts = map[string]int64{}
	ports := portList(it.object)
	for _, endpoint := range children(it.object, "endpoints") {
		addresses, _ := endpoint["addresses"].([]any)
		state := "ready"
		if ready, said := child(endpoint, "conditions")["ready"].(bool); said && !ready {
			state = "not ready"
		}
		it.counts[state+ports] += int64(len(addresses))
	}
	// One empty slice stays with a Service that has no pods, and its ports are
	// those of the last pod, or none.
	it.object = map[string]any{"addressType": it.object["addressType"], "managedBy": text(has, managedBy)}
	it.name, it.generated = "Service/"+service, true
}

// portList names ports, " on " before them; empty if there are none.
func portList(m map[string]any) string {
	var list []string
	for _, port := range children(m, "ports") {
		list = append(list, strings.TrimPrefix(fmt.Sprintf("%s:%d/%s", text(port, "name"), number(port, "port"), text(port, "protocol")), ":"))
	}
	if len(list) == 0 {
		return ""
	}
	slices.Sort(list)
	return " on " + strings.Join(list, ",")
}

func countEndpoints(it *item) {
	it.counts = map[string]int64{}
	for _, subset := range children(it.object, "subsets") {
		ports := portList(subset)
		for key, state := range map[string]string{"addresses": "ready", "notReadyAddresses": "not ready"} {
			if n := len(children(subset, key)); n > 0 {
				it.counts[state+ports] += int64(n)
			}
		}
	}
	delete(it.object, "subsets")
	without(it.object, annotations, "endpoints.kubernetes.io/last-change-trigger-time")
}

func generatedName(it *item) {
	prefix := text(it.meta(), "generateName")
	delete(it.meta(), "generateName")
	if it.generated || it.byOwner || !hasGeneratedName(it.name, prefix) {
		return
	}
	it.name, it.generated = prefix+"*", true
	// The prefix may hold the generated name of the owner.
	it.byOwner = it.controller() != nil
	if it.counts == nil {
		it.counts = map[string]int64{"objects": 1}
	}
}
