package sim

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// podStatus is the state of its containers that a kubelet reports for a pod.
type podStatus uint8

const (
	statusWaiting    podStatus = iota // accepted, the containers are being created
	statusRunning                     // all containers run and are ready
	statusTerminated                  // all containers have ended
	statusRestarting                  // they went down with the machine, new ones are being created
	statusLost                        // they went down with the machine, and that was the pod's end
	statusExited                      // all containers have ended of themselves, their sandbox is still there
	statusCrashed                     // the same, and they are to be started again
	statusBackOff                     // they wait for that
)

// podReport is a status to be written, besides what the pod itself says.
type podReport struct {
	uid, namespace, name string

	status podStatus
	hostIP string
	podIP  string // empty: it has none yet
	now    int64  // seconds since 1970
	// exitCode is that of every container whose end is not told yet: of the present
	// run, or with statusRunning of the one before.
	exitCode int
	restarts uint16        // of every container
	lost     bool          // the run that was told of went down with the machine
	unready  bool          // statusRunning: the containers are not ready
	backoff  time.Duration // statusBackOff: how long they wait
	// unchanged says that the containers are as they were reported last: the
	// patch has nothing to say about them.
	unchanged bool
	spare     bool   // what the spec of a container says is left out of its status
	evicted   string // why the kubelet has evicted the pod, or not admitted it; "": it did not
}

// The conditions that the kubelet owns, in the order in which it writes them
// (generateAPIPodStatus in pkg/kubelet/kubelet_pods.go).
var ownConditions = [...]string{"PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled"}

// appendPodPatch appends the strategic merge patch that takes the pod's status
// to the reported one. It is the patch that PatchPodStatus (pkg/util/pod)
// computes from the old and the new status, to the byte, but made in one pass
// over the encoded pod; only the statuses of the containers are in it also
// if they stay the same, unless the report calls them unchanged. The tests hold it against strategicpatch.
func appendPodPatch(b []byte, v *podView, r *podReport) []byte {
	b = append(b, `{"metadata":{"uid":`...)
	b = appendString(b, r.uid)
	b = append(b, `},"status":{`...)
	open := len(b)
	b = appendConditions(b, v, r)
	if !r.unchanged {
		b = appendContainerStatuses(append(b, `"containerStatuses":[`...), v.containers, v, r, false)
	}
	if len(v.hostIP) == 0 {
		b = appendAddress(b, "hostIP", "hostIPs", r.hostIP)
	}
	if len(v.inits) > 0 && !r.unchanged {
		b = appendContainerStatuses(append(b, `"initContainerStatuses":[`...), v.inits, v, r, true)
	}
	b = r.appendText(b, v, `"message":`, 3, r.evicted)
	if v.generation != v.observedGeneration {
		b = append(b, `"observedGeneration":`...)
		b = strconv.AppendInt(b, v.generation, 10)
		b = append(b, ',')
	}
	if phase := r.phase(v); phase != string(v.phase) {
		b = append(append(append(b, `"phase":"`...), phase...), `",`...)
	}
	if len(v.podIP) == 0 {
		b = appendAddress(b, "podIP", "podIPs", r.podIP)
	}
	b = r.appendText(b, v, `"reason":`, 4, evictedReason)
	if v.startTime == 0 {
		b = append(appendTime(append(b, `"startTime":`...), r.now), ',')
	}
	if len(b) > open {
		b = b[:len(b)-1] // the last comma
	}
	return append(b, `}}`...)
}

// phase is what getPhase and TerminatePod come to for the reported state. A
// pod that never ran counts as failed.
func (r *podReport) phase(v *podView) string {
	switch {
	case r.status == statusWaiting:
		return "Pending"
	case r.status == statusRunning, r.status == statusRestarting:
		// The kubelet counts containers that wait for their next run as
		// stopped, so the pod does not fall back to Pending.
		return "Running"
	case r.status == statusExited, r.status == statusCrashed, r.status == statusBackOff:
		// mergePodStatus in status_manager.go: a phase is final only once nothing
		// of the pod can run any more. What is started again is not final at all
		// (getPhase).
		return "Running"
	}
	return r.final(v)
}

// final is the phase of a pod that has ended.
func (r *podReport) final(v *podView) string {
	if r.exitCode == 0 && v.ran() && r.status != statusLost {
		return "Succeeded"
	}
	return "Failed"
}

func appendAddress(b []byte, one, many, ip string) []byte {
	if ip == "" {
		return b
	}
	b = append(append(append(b, '"'), one...), `":"`...)
	b = append(append(b, ip...), `","`...)
	b = append(append(b, many...), `":[{"ip":"`...)
	return append(append(b, ip...), `"}],`...)
}

// newCondition is what the kubelet says of one of its conditions, or of the one that
// it shares with others.
func (r *podReport) newCondition(typ string, v *podView) (status, reason, message string) {
	ended := "PodFailed"
	if r.final(v) == "Succeeded" {
		ended = "PodCompleted"
	}
	switch typ {
	case disruptionTarget:
		return "True", byKubelet, r.evicted
	case "PodScheduled":
		return "True", "", ""
	case "PodReadyToStartContainers":
		switch {
		case r.status == statusRunning, r.status == statusExited, r.status == statusCrashed, r.status == statusBackOff:
			return "True", "", ""
		case r.status == statusTerminated && v.ran():
			return "False", "PodSandboxNotReady", "pod sandbox is not ready"
		}
		return "False", "PodSandboxNotReady", "no pod sandbox exists"
	case "Initialized":
		if (r.status == statusTerminated || r.status == statusExited) && ended == "PodCompleted" {
			return "True", ended, ""
		}
		if len(v.inits) > 0 && (r.status == statusWaiting || !v.ran() && r.status == statusTerminated) {
			return "False", "ContainersNotInitialized", "containers with incomplete status: " + names(v.inits)
		}
		return "True", "", ""
	}
	// Ready and ContainersReady
	switch {
	case r.status == statusRunning && !r.unready:
		return "True", "", ""
	case r.status == statusTerminated, r.status == statusLost, r.status == statusExited:
		return "False", ended, ""
	}
	return "False", "ContainersNotReady", "containers with unready status: " + v.servers()
}

// names formats a list as fmt does for %s of a []string.
func names(containers []containerView) string {
	all := make([]string, len(containers))
	for i := range containers {
		all[i] = string(containers[i].name)
	}
	return "[" + strings.Join(all, " ") + "]"
}

// servers names the containers on whose readiness that of the pod depends: sidecars,
// then the others, each in the order of the spec (GenerateContainersReadyCondition in
// pkg/kubelet/status/generate.go).
func (v *podView) servers() string {
	var all []containerView
	for _, c := range v.inits {
		if c.restarts {
			all = append(all, c)
		}
	}
	sidecars := len(all)
	all = append(all, v.containers...)
	slices.SortFunc(all[sidecars:], func(a, b containerView) int { return a.place - b.place })
	return names(all)
}

// appendConditions appends the conditions that change, after the order of all
// of them, which a strategic merge patch gives with every change of a list that
// is there already. Conditions of others come first and stay as they are.
func appendConditions(b []byte, v *podView, r *podReport) []byte {
	begin := len(b)
	if len(v.conditions) > 0 {
		b = appendConditionOrder(b, v, r)
	}
	b = append(b, `"conditions":[`...)
	open := len(b)
	if r.evicted != "" {
		b = appendCondition(b, disruptionTarget, v, r)
	}
	for _, typ := range ownConditions {
		b = appendCondition(b, typ, v, r)
	}
	if len(b) == open {
		return b[:begin]
	}
	return append(b[:len(b)-1], `],`...)
}

func appendConditionOrder(b []byte, v *podView, r *podReport) []byte {
	b = appendOthersOrder(b, v)
	if r.evicted != "" && v.condition(disruptionTarget) == nil {
		b = append(b, `{"type":"`+disruptionTarget+`"},`...)
	}
	for _, typ := range ownConditions {
		b = append(append(append(b, `{"type":"`...), typ...), `"},`...)
	}
	return append(b[:len(b)-1], `],`...)
}

// appendOthersOrder begins the order of all conditions, with those of others.
func appendOthersOrder(b []byte, v *podView) []byte {
	b = append(b, `"$setElementOrder/conditions":[`...)
	for i := range v.conditions {
		if typ := v.conditions[i].typ; !isOwnCondition(typ) {
			b = append(appendBytes(append(b, `{"type":`...), typ), `},`...)
		}
	}
	return b
}

func isOwnCondition(typ []byte) bool {
	for _, own := range ownConditions {
		if string(typ) == own {
			return true
		}
	}
	return false
}

// appendCondition appends the members of a condition that change: all of them
// if there is no such condition yet, null for those that go.
func appendCondition(b []byte, typ string, v *podView, r *podReport) []byte {
	status, reason, message := r.newCondition(typ, v)
	old := v.condition(typ)
	begin := len(b)
	b = append(b, '{')
	if old == nil {
		b = append(b, `"lastProbeTime":null,`...)
		old = &conditionView{}
	}
	if string(old.status) != status {
		b = append(appendTime(append(b, `"lastTransitionTime":`...), r.now), ',')
	}
	b = appendChange(b, `"message":`, old.message, message)
	if v.generation != old.generation {
		b = append(strconv.AppendInt(append(b, `"observedGeneration":`...), v.generation, 10), ',')
	}
	b = appendChange(b, `"reason":`, old.reason, reason)
	if string(old.status) != status {
		b = append(append(append(b, `"status":"`...), status...), `",`...)
	}
	if len(b) == begin+1 {
		return b[:begin]
	}
	return append(append(append(b, `"type":"`...), typ...), `"},`...)
}

func appendChange(b []byte, key string, old []byte, value string) []byte {
	switch {
	case string(old) == value:
		return b
	case value == "":
		return append(append(b, key...), `null,`...)
	}
	return append(appendString(append(b, key...), value), ',')
}
