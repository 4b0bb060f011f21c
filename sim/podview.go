package sim

import (
	"bytes"
	"math"
)

// podView is the part of a pod that its next status depends on. Everything in
// it points into the encoded pod. Field numbers are those of generated.proto
// in k8s.io/api/core/v1.
type podView struct {
	generation  int64
	annotations [][]byte // encoded entries whose key begins with annotationPrefix
	hostNetwork bool
	restart     []byte          // restartPolicy; empty: Always
	containers  []containerView // sorted by name, as the kubelet reports them
	inits       []containerView // in the order of the spec

	status               []byte // encoded, for what is told of the containers
	phase, hostIP, podIP []byte
	observedGeneration   int64
	startTime            int64 // seconds since 1970; 0: not set
	conditions           []conditionView
}

type containerView struct {
	name     []byte
	raw      []byte // the encoded container, for the fields that are copied
	place    int    // in the spec, among its like
	restarts bool   // an init container that keeps running: a sidecar
}

type conditionView struct {
	typ, status, reason, message []byte
	transition                   int64 // lastTransitionTime, seconds since 1970
	generation                   int64
}

// scan reads an encoded pod. The slices of an earlier scan are used again.
func (v *podView) scan(raw []byte) error {
	*v = podView{containers: v.containers[:0], inits: v.inits[:0], conditions: v.conditions[:0],
		annotations: v.annotations[:0]}
	pod := message{rest: raw}
	for pod.next() {
		ok := true
		switch pod.num {
		case 1:
			ok = v.scanMeta(pod.data)
		case 2:
			ok = v.scanSpec(pod.data)
		case 3:
			ok = v.scanStatus(pod.data)
		}
		if !ok {
			return errMalformed
		}
	}
	if pod.malformed {
		return errMalformed
	}
	return nil
}

func (v *podView) scanMeta(b []byte) bool {
	m := message{rest: b}
	for m.next() {
		switch {
		case m.num == 7:
			v.generation = int64(m.value)
		case m.num == 12 && bytes.HasPrefix(field(m.data, 1), []byte(annotationPrefix)):
			v.annotations = append(v.annotations, m.data)
		}
	}
	return !m.malformed
}

func (v *podView) scanSpec(b []byte) bool {
	m := message{rest: b}
	for m.next() {
		switch m.num {
		case 2:
			v.addContainer(m.data)
		case 3:
			v.restart = m.data
		case 11:
			v.hostNetwork = m.value != 0
		case 20:
			always := string(field(m.data, 24)) == "Always"
			v.inits = append(v.inits, containerView{name: field(m.data, 1), raw: m.data, place: len(v.inits), restarts: always})
		}
	}
	return !m.malformed
}

// addContainer keeps the containers sorted: there are few.
func (v *podView) addContainer(raw []byte) {
	i := len(v.containers)
	c := containerView{name: field(raw, 1), raw: raw, place: i}
	v.containers = append(v.containers, c)
	for ; i > 0 && string(v.containers[i-1].name) > string(c.name); i-- {
		v.containers[i] = v.containers[i-1]
	}
	v.containers[i] = c
}

func (v *podView) scanStatus(b []byte) bool {
	v.status = b
	m := message{rest: b}
	for m.next() {
		switch m.num {
		case 1:
			v.phase = m.data
		case 2:
			v.conditions = append(v.conditions, scanCondition(m.data))
		case 5:
			v.hostIP = m.data
		case 6:
			v.podIP = m.data
		case 7:
			v.startTime = unixSeconds(m.data)
		case 17:
			v.observedGeneration = int64(m.value)
		}
	}
	return !m.malformed
}

func scanCondition(b []byte) conditionView {
	var c conditionView
	m := message{rest: b}
	for m.next() {
		switch m.num {
		case 1:
			c.typ = m.data
		case 2:
			c.status = m.data
		case 4:
			c.transition = unixSeconds(m.data)
		case 5:
			c.reason = m.data
		case 6:
			c.message = m.data
		case 7:
			c.generation = int64(m.value)
		}
	}
	return c
}

// ran says whether containers of the pod were ever reported as running.
func (v *podView) ran() bool { return string(v.phase) != "Pending" && len(v.phase) > 0 }

// terminal says whether the phase is final.
func (v *podView) terminal() bool {
	return string(v.phase) == "Succeeded" || string(v.phase) == "Failed"
}

// neverRestarts says whether containers that ended are left so.
func (v *podView) neverRestarts() bool { return string(v.restart) == "Never" }

// mayEnd says whether containers that exit well are left so: they are those of
// a job.
func (v *podView) mayEnd() bool { return v.neverRestarts() || string(v.restart) == "OnFailure" }

// exited says whether all containers are reported to have ended of themselves,
// while the phase is not final yet (statusExited), and how.
func (v *podView) exited() (well, ok bool) {
	ready := v.condition("Ready")
	if string(v.phase) != "Running" || ready == nil {
		return false, false
	}
	well = string(ready.reason) == "PodCompleted"
	return well, well || string(ready.reason) == "PodFailed"
}

// crashed says whether all containers are reported to have ended of themselves and to
// be started again (statusCrashed, statusBackOff), and what is told of one of them.
func (v *podView) crashed() (told, bool) {
	if string(v.phase) != "Running" || !v.unready() || len(v.containers) == 0 {
		return told{}, false
	}
	was := v.told(v.containers[0].name, false)
	return was, was.ended.known || was.waits
}

// unready says whether the containers are reported as not ready. Of the node lifecycle
// controller, which sets nothing but the status of the condition, that says nothing.
func (v *podView) unready() bool {
	ready := v.condition("Ready")
	return ready != nil && string(ready.status) == "False" && string(ready.reason) == "ContainersNotReady"
}

// settled says whether the pod is reported as it is while its containers run, and are
// ready or not.
func (v *podView) settled(isReady bool) bool {
	is := v.unready()
	if ready := v.condition("Ready"); isReady {
		is = ready != nil && string(ready.status) == "True"
	}
	return is && string(v.phase) == "Running" && v.observedGeneration == v.generation
}

// crashed says of an encoded pod whether its containers are reported to have ended and
// to be started again.
func crashed(raw []byte) bool {
	var v podView
	if v.scan(raw) != nil {
		return false
	}
	_, ok := v.crashed()
	return ok
}

// restartCount reads the highest one of a pod's containers from its encoded
// status.
func restartCount(status []byte) uint16 {
	var highest uint64
	m := message{rest: status}
	for m.next() {
		if m.num == 8 {
			highest = max(highest, varint(m.data, 5))
		}
	}
	return uint16(min(highest, math.MaxUint16-1)) // room for one more
}

// condition returns the condition of that type, or nil.
func (v *podView) condition(typ string) *conditionView {
	for i := range v.conditions {
		if string(v.conditions[i].typ) == typ {
			return &v.conditions[i]
		}
	}
	return nil
}
