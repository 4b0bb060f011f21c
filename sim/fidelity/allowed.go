package fidelity

// Allowed returns the differences between a hollow kubelet and a simulated node
// of profile kubelet that are accepted. docs/fidelity.md holds the same table.
func Allowed() []Allowance {
	var all []Allowance
	all = append(all, allowedEncoding()...)
	all = append(all, allowedNode()...)
	all = append(all, allowedWatches()...)
	return append(all, allowedPod()...)
}

func allowedEncoding() []Allowance {
	return []Allowance{
		{Request: "*", Field: "accept", Hollow: "application/vnd.kubernetes.protobuf, */*", Sim: "application/vnd.kubernetes.protobuf*",
			Reason: "client-go adds that it would take anything else; the server answers both in protobuf."},
		{Request: "watch *", Field: "query.timeout", Hollow: "<duration>", Sim: absent,
			Reason: "client-go repeats timeoutSeconds as its own timeout."},
	}
}

func allowedNode() []Allowance {
	const create = "create nodes"
	return []Allowance{
		{Request: "get nodes", Hollow: sent, Sim: absent,
			Reason: "The kubelet looks for its Node before it registers and before its first lease; the simulation has it from the answer to its create."},
		{Request: "* csinodes", Hollow: sent, Sim: absent,
			Reason: "No simulated pod mounts a CSI volume."},
		{Request: "patch nodes/status", Hollow: sent, Sim: absent, Sometimes: true,
			Reason: "The images that pods have brought; those of a simulated node do not change."},
		{Request: "patch nodes/status", Field: "body.status.images*", Sim: absent, Sometimes: true,
			Reason: "The same, together with a heartbeat."},
		{Request: "patch nodes/status", Field: "body.status.conditions[Ready].*", Sim: absent, Sometimes: true,
			Reason: "The kubelet registers NotReady, and is Ready once it has its CSINode; a simulated node registers Ready."},
		{Request: "patch nodes/status", Field: "body.status.conditions[*].*", Hollow: absent, Sometimes: true,
			Reason: "The kubelet leaves out what has not changed: a heartbeat in the same second as the one before."},
		{Request: "create events", Hollow: sent, Sim: absent, Sometimes: true,
			Reason: "kube-proxy's event that it started. Events are not simulated."},
		{Request: create, Field: "body.status.conditions[Ready].*",
			Reason: "As above: NotReady because of the CSINode, against Ready."},
		{Request: create, Field: "body.status.capacity.*", Reason: "The simulated machine is larger."},
		{Request: create, Field: "body.status.allocatable.*", Reason: "The simulated machine is larger."},
		{Request: create, Field: "body.metadata.labels.*", Hollow: absent,
			Reason: "Zone, region and instance type come from a cloud provider."},
		{Request: create, Field: "body.metadata.annotations.volumes.kubernetes.io/controller-managed-attach-detach", Hollow: absent, Sim: "true",
			Reason: "A kubelet's default, which kubemark turns off."},
		{Request: create, Field: "body.spec.providerID", Reason: "Names the provider."},
		{Request: create, Field: "body.status.daemonEndpoints.kubeletEndpoint.Port", Sim: "10250",
			Reason: "A kubelet's default; the hollow one takes a free port."},
		{Request: create, Field: "body.status.declaredFeatures*", Sim: absent,
			Reason: "Tells the scheduler which new kubelet features a pod may ask for."},
		{Request: create, Field: "body.status.nodeInfo.*", Reason: "Another machine, operating system and runtime."},
		{Request: create, Field: "body.status.features.*", Hollow: absent, Reason: "Told by the container runtime; the fake one tells nothing."},
		{Request: create, Field: "body.status.runtimeHandlers*", Hollow: absent, Reason: "Told by the container runtime; the fake one tells nothing."},
		{Request: create, Field: "body.status.images*", Hollow: absent, Reason: "The fake runtime has no image until a pod runs."},
	}
}

func allowedWatches() []Allowance {
	const unsimulated = "Not simulated."
	return []Allowance{
		{Request: "watch csidrivers", Hollow: sent, Sim: absent, Reason: unsimulated},
		{Request: "watch runtimeclasses", Hollow: sent, Sim: absent, Reason: unsimulated},
		{Request: "watch podcertificaterequests *", Hollow: sent, Sim: absent, Reason: unsimulated},
		{Request: "watch servicecidrs", Hollow: sent, Sim: absent, Reason: unsimulated},
		{Request: "watch services spec.clusterIP!=None", Hollow: sent, Sim: absent,
			Reason: "The kubelet's own watch of Services, for the environment variables of containers; the simulation has kube-proxy's."},
	}
}

func allowedPod() []Allowance {
	const (
		status  = "patch pods/status"
		prober  = "Kubemark's fake prober calls a container ready before it runs and after it ended; the simulation does as the kubelet's own prober."
		runtime = "Told by the container runtime; the fake one tells nothing."
	)
	rows := []Allowance{
		{Request: status, Field: "body.status.containerStatuses[*].imageID", Reason: "The fake runtime repeats the name; a real one gives a digest."},
		{Request: status, Field: "body.status.containerStatuses[*].user.*", Hollow: absent, Reason: runtime},
		{Request: status, Field: "body.status.containerStatuses[*].state.terminated.reason", Hollow: absent, Sim: "Completed", Reason: runtime},
		{Request: status, Field: "body.status.containerStatuses[*].ready", Hollow: "true", Sim: "false", Reason: prober},
		{Request: status, Field: "body.status.containerStatuses[*].started", Hollow: absent, Reason: prober},
		{Request: status, Field: "body.status.resources", Hollow: "{}", Sim: absent,
			Reason: "The resources of the whole pod, for a resize in place. Nothing simulated resizes pods."},
		{Request: status, Field: "body.status.conditions[*].lastTransitionTime", Hollow: absent, Sim: "<time>",
			Sometimes: true,
			Reason:    "The kubelet leaves it out when the last transition was in the same second."},
	}
	for _, condition := range []string{"Ready", "ContainersReady"} {
		rows = append(rows,
			Allowance{Request: status, Field: "body.status.conditions[" + condition + "].*", Hollow: absent, Reason: prober},
			Allowance{Request: status, Field: "body.status.conditions[" + condition + "].status", Hollow: "True", Sim: "False", Reason: prober})
	}
	return rows
}
