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

func appendContainerStatus(b []byte, c *containerView, v *podView, r *podReport, init bool) []byte {
	s := c.state(v, r, init)
	image := field(c.raw, 2)
	b = append(b, '{')
	if s.created && !r.spare {
		b = appendQuantities(b, `"allocatedResources":`, field(c.raw, 8), 2)
	}
	if s.created {
		b = append(append(append(b, `"containerID":"`...), containerID(r.uid, c.name, s.restarts)...), `",`...)
	}
	b = appendBytes(append(b, `"image":`...), image)
	b = append(b, `,"imageID":"`...)
	if s.created {
		b = appendImageID(b, image)
	}
	b = append(b, `","lastState":{`...)
	if s.last.known {
		b = appendEnding(b, &s.last)
	}
	b = appendBytes(append(b, `},"name":`...), c.name)
	b = append(b, `,"ready":`...)
	b = appendBool(b, s.ready)
	if s.created && !r.spare {
		b = appendResources(b, field(c.raw, 8))
	}
	b = strconv.AppendUint(append(b, `,"restartCount":`...), s.restarts, 10)
	b = appendBool(append(b, `,"started":`...), s.running)
	b = append(appendState(append(b, `,"state":{`...), &s), '}')
	if s.created && !r.spare {
		b = append(b, `,"user":{"linux":{"gid":0,"supplementalGroups":[0],"uid":0}}`...)
	}
	b = appendMounts(b, c.raw)
	return append(b, '}')
}

func appendState(b []byte, s *containerState) []byte {
	switch {
	case s.running:
		return append(appendTime(append(b, `"running":{"startedAt":`...), s.started), '}')
	case s.ended.known:
		return appendEnding(b, &s.ended)
	}
	b = append(b, `"waiting":{`...)
	if s.message != "" {
		b = append(appendString(append(b, `"message":`...), s.message), ',')
	}
	return append(append(append(b, `"reason":"`...), s.waiting...), `"}`...)
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
func containerID(uid string, name []byte, restarts uint64) string {
	b := make([]byte, 0, len("containerd://")+64)
	b = append(b, "containerd://"...)
	of := uid + "/" + string(name)
	if restarts > 0 {
		of += "/" + strconv.FormatUint(restarts, 10)
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
