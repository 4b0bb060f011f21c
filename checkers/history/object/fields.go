package object

import (
	"strconv"

	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/history/wire"
)

// The names of Version.Fields that are no field selectors. Those of field
// selectors are the API's own: spec.nodeName, status.phase.
const (
	// FieldReady is "True" where the condition Ready of a pod or node is True.
	FieldReady = "ready"
	// FieldHasIP is "True" where a pod has an IP address.
	FieldHasIP = "hasIP"
	// FieldTolerates is "True" where a pod tolerates a cordoned node.
	FieldTolerates = "toleratesUnschedulable"
	// How long a pod stays on a node with one of these taints and the effect
	// NoExecute: seconds, Forever, or NotAtAll.
	FieldStaysNotReady    = "stays.notReady"
	FieldStaysUnreachable = "stays.unreachable"
	// FieldDisruption is the reason of the condition DisruptionTarget of a pod,
	// where that is True: who is about to delete it, and why.
	FieldDisruption = "disruption"
	// FieldNoExecute are the keys of the taints of a node that have the effect
	// NoExecute, sorted, joined by ",".
	FieldNoExecute = "taints.noExecute"
	// FieldMemoryPressure is "True" where the condition MemoryPressure of a node is
	// True: its kubelet says that memory is short.
	FieldMemoryPressure = "memoryPressure"
	// FieldCPU and FieldMemory are what the scheduler takes a pod to need, in
	// millicores and bytes.
	FieldCPU    = "requests.cpu"
	FieldMemory = "requests.memory"
	// The capacity of a node: millicores, bytes, pods.
	FieldAllocatableCPU    = "allocatable.cpu"
	FieldAllocatableMemory = "allocatable.memory"
	FieldAllocatablePods   = "allocatable.pods"
	// FieldSelector is the label selector of a Service, ReplicaSet, Deployment
	// or StatefulSet, in the form of the labelSelector parameter.
	FieldSelector = "selector"
	// FieldClusterIP is the address of a Service, "None" of one without; one that is
	// another name for something outside (type ExternalName) has neither. Histories
	// from before 23 November 2026 leave it out.
	FieldClusterIP = "spec.clusterIP"
	// FieldPublishNotReady is "true" where a Service has
	// spec.publishNotReadyAddresses.
	FieldPublishNotReady = "publishNotReadyAddresses"
	// FieldEndpoints is, of an EndpointSlice, "<uid of the pod>:<true or
	// false>", one per endpoint, sorted, joined by ","; the word says whether
	// it is ready, which no condition at all means too.
	FieldEndpoints = "endpoints"
	// FieldService is the Service of an EndpointSlice.
	FieldService = "service"
	// The terms of a Lease that elects a leader: how often it changed hands,
	// seconds, Unix microseconds. A Lease without transitions has none of them.
	// The strategy is that of the controller that picks the leader, if one does.
	FieldTransitions   = "spec.leaseTransitions"
	FieldLeaseDuration = "spec.leaseDurationSeconds"
	FieldAcquired      = "spec.acquireTime"
	FieldRenewed       = "spec.renewTime"
	FieldStrategy      = "spec.strategy"
	// How many pods more, and how many fewer that are available, a rollout of a
	// Deployment may have than it asks for: numbers, or shares such as "25%". One with
	// the strategy Recreate has neither. Like all below, histories from before 23
	// November 2026, 20:00 UTC, leave them out.
	FieldMaxSurge       = "maxSurge"
	FieldMaxUnavailable = "maxUnavailable"
	// FieldPaused is "true" of a Deployment that is paused.
	FieldPaused = "spec.paused"
	// FieldAvailable is how many available pods the status of a ReplicaSet counts.
	FieldAvailable = "status.availableReplicas"
	// FieldRollout is the number that a Deployment gave to its ReplicaSet: the one
	// whose template is its own has the highest.
	FieldRollout = "rollout"
	// Of a Job: how many pods have to succeed, absent where one is enough to end it;
	// "true" where each of them has an index, and where a policy of its own says when it
	// has succeeded; who else than Kubernetes' own controller looks after it; how many
	// pods have succeeded by its status; and "True" where its condition Complete is.
	FieldCompletions   = "spec.completions"
	FieldIndexed       = "indexed"
	FieldSuccessPolicy = "successPolicy"
	FieldManagedBy     = "spec.managedBy"
	FieldSucceeded     = "status.succeeded"
	FieldComplete      = "complete"
)

// readers read the fields of the kinds that have any, of protobuf objects.
var readers = map[string]func(*history.Version, []byte) error{
	"pods":           readPod,
	"nodes":          readNode,
	"services":       readService,
	"secrets":        func(v *history.Version, raw []byte) error { return readText(v, "type", raw, 3) },
	"namespaces":     func(v *history.Version, raw []byte) error { return readText(v, "status.phase", raw, 3, 1) },
	"replicasets":    readReplicaSet,
	"deployments":    workload{replicas: 2, ready: 7, observed: 1, rolls: true}.read,
	"statefulsets":   workload{replicas: 2, ready: 3, observed: 1}.read,
	"endpointslices": readSlice,
	"leases":         readLease,
	"jobs":           readJob,
}

func readFields(v *history.Version, raw []byte) error {
	if read := readers[v.Resource]; read != nil {
		return read(v, raw)
	}
	return nil
}

func set(v *history.Version, name, value string) {
	if value != "" {
		v.Fields = append(v.Fields, history.Pair{Name: name, Value: value})
	}
}

// readText takes a string at a path of field numbers.
func readText(v *history.Version, name string, b []byte, path ...int32) (err error) {
	for _, number := range path {
		if b, err = text(b, number); err != nil {
			return err
		}
	}
	set(v, name, word(b))
	return nil
}

func readNode(v *history.Version, raw []byte) error {
	var ready bool
	f := wire.Walk(raw)
	for f.Next() {
		switch f.Number() {
		case 2:
			unschedulable, err := first(f.Bytes(), 4)
			f.Nest(err)
			if unschedulable != 0 {
				set(v, "spec.unschedulable", "true")
			}
			f.Nest(readTaints(v, f.Bytes()))
		case 3:
			f.Nest(readNodeStatus(v, f.Bytes(), &ready))
		}
	}
	if ready {
		set(v, FieldReady, "True")
	}
	return f.Err()
}

func readNodeStatus(v *history.Version, b []byte, ready *bool) error {
	f := wire.Walk(b)
	for f.Next() {
		switch f.Number() {
		case 2:
			f.Nest(readAllocatable(v, f.Bytes()))
		case 4:
			f.Nest(readReady(f.Bytes(), ready))
			f.Nest(readPressure(v, f.Bytes()))
		}
	}
	return f.Err()
}

func readPressure(v *history.Version, b []byte) error {
	typ, status, err := entry(b)
	if string(typ) == "MemoryPressure" && string(status) == "True" {
		set(v, FieldMemoryPressure, "True")
	}
	return err
}

func readAllocatable(v *history.Version, b []byte) error {
	name, quantity, err := resource(b)
	if err != nil {
		return err
	}
	switch string(name) {
	case "cpu":
		set(v, FieldAllocatableCPU, strconv.FormatInt(quantity.millis(), 10))
	case "memory":
		set(v, FieldAllocatableMemory, strconv.FormatInt(quantity.value(), 10))
	case "pods":
		set(v, FieldAllocatablePods, strconv.FormatInt(quantity.value(), 10))
	}
	return nil
}

// readReady sets *ready if b is the condition Ready of a pod or node.
func readReady(b []byte, ready *bool) error {
	typ, status, err := entry(b) // both have their type in field 1, their status in field 2
	if string(typ) == "Ready" {
		*ready = string(status) == "True"
	}
	return err
}
