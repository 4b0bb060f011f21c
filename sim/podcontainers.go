package sim

import (
	"strconv"
	"strings"
)

// appendContainerStatuses appends the statuses of all containers and closes
// the list. Lists of container statuses are replaced as a whole.
func appendContainerStatuses(b []byte, containers []containerView, v *podView, r *podReport, init bool) []byte {
	for i := range containers {
		b = appendContainerStatus(b, &containers[i], v, r, init)
		b = append(b, ',')
	}
	if len(containers) > 0 {
		b = b[:len(b)-1]
	}
	return append(b, `],`...)
}

// containerState is what convertToAPIContainerStatuses and the probe manager
// come to for a container of a pod in the reported state.
type containerState struct {
	waiting  string // the reason
	running  bool
	exitCode int  // of one that has ended
	lost     bool // it ended, but never was seen to run
}

func (c *containerView) state(v *podView, r *podReport, init bool) containerState {
	waiting := "ContainerCreating"
	if len(v.inits) > 0 {
		waiting = "PodInitializing"
	}
	switch {
	case r.status == statusWaiting:
		return containerState{waiting: waiting}
	case r.status == statusRunning:
		return containerState{running: !init || c.restarts}
	case init && !c.restarts && r.rebooted():
		return containerState{} // it runs to its end once more, in no time
	case r.status == statusRestarting:
		return containerState{waiting: waiting}
	case r.status == statusLost:
		return containerState{lost: true, exitCode: 137}
	case v.ran():
		if init && !c.restarts {
			return containerState{}
		}
		return containerState{exitCode: r.exitCode}
	case len(v.inits) > 0:
		// A pod that never got past its first init container: hasPodInitialized
		// in status_manager.go leaves its containers waiting.
		return containerState{waiting: waiting}
	}
	return containerState{lost: true, exitCode: 137}
}

func appendContainerStatus(b []byte, c *containerView, v *podView, r *podReport, init bool) []byte {
	s := c.state(v, r, init)
	created := s.waiting == "" && !s.lost
	image := field(c.raw, 2)
	id := containerID(r.uid, c.name, r.restarts)
	b = append(b, '{')
	if created {
		b = appendQuantities(b, `"allocatedResources":`, field(c.raw, 8), 2)
		b = append(append(append(b, `"containerID":"`...), id...), `",`...)
	}
	b = appendBytes(append(b, `"image":`...), image)
	b = append(b, `,"imageID":"`...)
	if created {
		b = appendImageID(b, image)
	}
	b = append(b, `","lastState":`...)
	if (r.rebooted() || r.restarts > 0) && (!init || c.restarts) {
		b = append(b, wentDown...)
	} else {
		b = append(b, `{}`...)
	}
	b = appendBytes(append(b, `,"name":`...), c.name)
	b = append(b, `,"ready":`...)
	b = appendBool(b, s.running || init && created && s.exitCode == 0 && !c.restarts)
	if created {
		b = appendResources(b, field(c.raw, 8))
	}
	b = strconv.AppendUint(append(b, `,"restartCount":`...), uint64(r.restarts), 10)
	b = appendBool(append(b, `,"started":`...), s.running)
	b = appendState(append(b, `,"state":`...), s, c.started(v, r, init), r.now, id)
	if created {
		b = append(b, `,"user":{"linux":{"gid":0,"supplementalGroups":[0],"uid":0}}`...)
	}
	b = appendMounts(b, c.raw)
	return append(b, '}')
}

// wentDown is the last state of a container that a reboot has cost: it was
// reported to run, and the runtime knows nothing of it
// (convertToAPIContainerStatuses in pkg/kubelet/kubelet_pods.go).
const wentDown = `{"terminated":{"exitCode":137,"finishedAt":null,` +
	`"message":"The container could not be located when the pod was deleted.  The container used to be Running",` +
	`"reason":"ContainerStatusUnknown","startedAt":null}}`

// started is when the container's present run began. That of the first one is
// the pod's.
func (c *containerView) started(v *podView, r *podReport, init bool) int64 {
	started := v.startTime
	if r.restarts > 0 {
		started = v.startedAt(c.name, r.restarts, init)
	}
	if started == 0 {
		started = r.now
	}
	return started
}

func appendState(b []byte, s containerState, started, now int64, id string) []byte {
	switch {
	case s.waiting != "":
		return append(append(append(b, `{"waiting":{"reason":"`...), s.waiting...), `"}}`...)
	case s.running:
		return append(appendTime(append(b, `{"running":{"startedAt":`...), started), `}}`...)
	case s.lost:
		// TerminatePod in status_manager.go
		return append(b, `{"terminated":{"exitCode":137,"finishedAt":null,`+
			`"message":"The container could not be located when the pod was terminated",`+
			`"reason":"ContainerStatusUnknown","startedAt":null}}`...)
	}
	b = append(append(append(b, `{"terminated":{"containerID":"`...), id...), `","exitCode":`...)
	b = append(strconv.AppendInt(b, int64(s.exitCode), 10), `,"finishedAt":`...)
	b = appendTime(b, now)
	reason := `,"reason":"Completed","startedAt":`
	if s.exitCode != 0 {
		reason = `,"reason":"Error","startedAt":`
	}
	return append(appendTime(append(b, reason...), started), `}}`...)
}

// appendMounts appends the status of the volume mounts in the order of the
// spec. Recursive read-only mounts are reported as disabled.
func appendMounts(b, container []byte) []byte {
	begin := len(b)
	b = append(b, `,"volumeMounts":[`...)
	open := len(b)
	m := message{rest: container}
	for m.next() {
		if m.num != 9 {
			continue
		}
		b = appendBytes(append(b, `{"mountPath":`...), field(m.data, 3))
		b = appendBytes(append(b, `,"name":`...), field(m.data, 1))
		if flag(m.data, 2) {
			b = append(b, `,"readOnly":true,"recursiveReadOnly":"Disabled"`...)
		}
		b = append(b, `},`...)
	}
	if len(b) == open {
		return b[:begin]
	}
	return append(b[:len(b)-1], ']')
}

func flag(b []byte, num int) bool {
	m := message{rest: b}
	for m.next() {
		if int(m.num) == num {
			return m.value != 0
		}
	}
	return false
}

// appendResources appends the resources of a container as they were asked for.
func appendResources(b, requirements []byte) []byte {
	if requirements == nil {
		return b
	}
	b = append(b, `,"resources":{`...)
	open := len(b)
	b = appendQuantities(b, `"limits":`, requirements, 1)
	b = appendQuantities(b, `"requests":`, requirements, 2)
	if len(b) > open {
		b = b[:len(b)-1]
	}
	return append(b, '}')
}

// appendQuantities appends one map of quantities of a ResourceRequirements and
// a comma, or nothing if the map is empty. The encoded map is sorted and its
// quantities are in canonical form already.
func appendQuantities(b []byte, key string, requirements []byte, num int) []byte {
	begin := len(b)
	b = append(append(b, key...), '{')
	open := len(b)
	m := message{rest: requirements}
	for m.next() {
		if int(m.num) == num {
			b = append(appendBytes(b, field(m.data, 1)), ':')
			b = append(appendBytes(b, field(field(m.data, 2), 1)), ',')
		}
	}
	if len(b) == open {
		return b[:begin]
	}
	return append(b[:len(b)-1], `},`...)
}

// containerID names a container by its pod, its name and how often it was
// started again, so that a later status can name it again and nothing more has
// to be remembered.
func containerID(uid string, name []byte, restarts uint16) string {
	b := make([]byte, 0, len("containerd://")+64)
	b = append(b, "containerd://"...)
	of := uid + "/" + string(name)
	if restarts > 0 {
		of += "/" + strconv.FormatUint(uint64(restarts), 10)
	}
	return string(appendDigest(b, of))
}

// appendImageID appends the reference by digest that a runtime reports for an
// image by tag.
func appendImageID(b, image []byte) []byte {
	s := string(image)
	if !strings.Contains(s, "@") {
		name := s
		if colon := strings.LastIndexByte(s, ':'); colon > strings.LastIndexByte(s, '/') {
			name = s[:colon]
		}
		return appendDigest(append(escape(b, name), "@sha256:"...), s)
	}
	return escape(b, s)
}
