package sim

import "google.golang.org/protobuf/encoding/protowire"

// ending is how a run of a container has ended: a ContainerStateTerminated.
type ending struct {
	known             bool
	code, signal      int64
	reason, message   string
	started, finished int64 // seconds since 1970; 0: not told
	id                string
}

// told is what the status of a pod says of one of its containers.
type told struct {
	restarts uint64
	running  bool
	started  int64  // of the run that goes on
	waits    bool   // to be started again
	ended    ending // the present run
	last     ending // the run before
}

// lastEnd is that of the last run that has ended.
func (t *told) lastEnd() ending {
	if t.ended.known {
		return t.ended
	}
	return t.last
}

// told reads the status of a container, zero if there is none yet.
func (v *podView) told(name []byte, init bool) (t told) {
	list := protowire.Number(8)
	if init {
		list = 10
	}
	m := message{rest: v.status}
	for m.next() {
		if m.num != list || string(field(m.data, 1)) != string(name) {
			continue
		}
		state := field(m.data, 2)
		running := field(state, 2)
		return told{
			restarts: varint(m.data, 5), running: running != nil, started: unixSeconds(field(running, 1)),
			waits: string(field(field(state, 1), 1)) == crashLoop,
			ended: scanEnding(field(state, 3)), last: scanEnding(field(field(m.data, 3), 3)),
		}
	}
	return told{}
}

func scanEnding(b []byte) (e ending) {
	e.known = b != nil
	m := message{rest: b}
	for m.next() {
		switch m.num {
		case 1:
			e.code = int64(int32(m.value))
		case 2:
			e.signal = int64(int32(m.value))
		case 3:
			e.reason = string(m.data)
		case 4:
			e.message = string(m.data)
		case 5:
			e.started = unixSeconds(m.data)
		case 6:
			e.finished = unixSeconds(m.data)
		case 7:
			e.id = string(m.data)
		}
	}
	return e
}

// wentDown is the last state of a container that a reboot has cost: it was
// reported to run, and the runtime knows nothing of it
// (convertToAPIContainerStatuses in pkg/kubelet/kubelet_pods.go).
var wentDown = ending{known: true, code: 137, reason: "ContainerStatusUnknown",
	message: "The container could not be located when the pod was deleted.  The container used to be Running"}

// neverSeen is the end of a container that nobody saw (TerminatePod in
// pkg/kubelet/status/status_manager.go).
var neverSeen = ending{known: true, code: 137, reason: "ContainerStatusUnknown",
	message: "The container could not be located when the pod was terminated"}

// crashLoop is why containers wait that are to be started again (ErrCrashLoopBackOff in
// pkg/kubelet/container/sync_result.go).
const crashLoop = "CrashLoopBackOff"

// containerState is what convertToAPIContainerStatuses and the probe manager
// come to for a container of a pod in the reported state.
type containerState struct {
	running, ready   bool
	started          int64  // of the run that goes on
	waiting, message string // the reason, and more about it
	ended, last      ending
	restarts         uint64
	created          bool // the runtime knows it
}

func (c *containerView) state(v *podView, r *podReport, init bool) containerState {
	was := v.told(c.name, init)
	if init && !c.restarts {
		return c.once(v, r, &was)
	}
	s := containerState{restarts: uint64(r.restarts), created: true}
	switch r.status {
	case statusWaiting:
		s.wait(v)
	case statusRunning:
		s.running, s.ready = true, !r.unready
		s.started, s.last = c.run(v, r, &was)
	case statusRestarting, statusLost:
		s.rebooted(v, r, &was)
	case statusBackOff:
		s.last, _ = c.end(v, r, &was)
		s.waiting, s.message = crashLoop, c.backingOff(r)
	default:
		if s.ended, s.last = c.end(v, r, &was); !v.ran() {
			s.never(v)
		}
	}
	return s
}

// once is state for an init container that runs to its end: in no time, and anew only
// after a reboot.
func (c *containerView) once(v *podView, r *podReport, was *told) containerState {
	s := containerState{restarts: uint64(r.restarts), created: true}
	switch {
	case r.status == statusWaiting:
		s.wait(v)
		return s
	case r.status == statusTerminated && !v.ran():
		s.never(v)
		return s
	case was.ended.known && !r.lost:
		s.restarts, s.ended = was.restarts, was.ended
	default:
		s.ended = c.exited(r, s.restarts, v.firstStart(r), 0)
	}
	s.ready = s.ended.code == 0
	return s
}

// wait is the state of a container that is to be created.
func (s *containerState) wait(v *podView) {
	s.created, s.waiting = false, "ContainerCreating"
	if len(v.inits) > 0 {
		s.waiting = "PodInitializing"
	}
}

// never is the final state of a container of a pod that never ran. In one that did not
// get past its first init container it is left waiting (hasPodInitialized in
// pkg/kubelet/status/status_manager.go).
func (s *containerState) never(v *podView) {
	s.ended, s.last = ending{}, ending{}
	if s.wait(v); len(v.inits) == 0 {
		s.ended = neverSeen
	}
}

// rebooted is the state of a container that went down with the machine. An end that was
// told before stands, and so does that of the run before: only where there is none the
// kubelet makes one up, and counts one more restart.
func (s *containerState) rebooted(v *podView, r *podReport, was *told) {
	s.last = was.last
	switch {
	case was.ended.known:
		s.ended, s.restarts = was.ended, was.restarts
		return
	case was.last.known:
		s.restarts = was.restarts
	default:
		s.last = wentDown
	}
	if s.wait(v); r.status == statusLost {
		s.ended = neverSeen
	}
}

// run is when the present run began, and how the one before it ended.
func (c *containerView) run(v *podView, r *podReport, was *told) (started int64, last ending) {
	goesOn := was.running && was.restarts == uint64(r.restarts)
	switch {
	case goesOn && was.started != 0:
		return was.started, was.last
	case was.ended.known && !goesOn:
		last = was.ended
	case was.last.known && (goesOn || r.lost || !was.running):
		last = was.last
	case r.lost:
		last = wentDown
	case was.running && !goesOn: // of which nothing was told
		last = c.exited(r, was.restarts, was.started, r.exitCode)
	}
	if r.restarts == 0 {
		return v.firstStart(r), last
	}
	return r.now, last
}

// end is how the present run ended, and the one before it. One that waits for its next
// run shows the present end as the last already, and goes on to.
func (c *containerView) end(v *podView, r *podReport, was *told) (ended, last ending) {
	if was.restarts == uint64(r.restarts) && !was.running && was.lastEnd().known {
		return was.lastEnd(), was.last
	}
	started, last := c.run(v, r, was)
	return c.exited(r, uint64(r.restarts), started, r.exitCode), last
}

// exited is the end of a run that is told now.
func (c *containerView) exited(r *podReport, restarts uint64, started int64, code int) ending {
	reason := "Completed"
	if code != 0 {
		reason = "Error"
	}
	return ending{known: true, code: int64(code), reason: reason, started: started, finished: r.now, id: containerID(r.uid, c.name, restarts)}
}

// firstStart is when the first run of containers began: with the pod.
func (v *podView) firstStart(r *podReport) int64 {
	if v.startTime == 0 || r.restarts > 0 {
		return r.now
	}
	return v.startTime
}

// backingOff is what doBackOff in pkg/kubelet/kuberuntime/kuberuntime_manager.go says.
func (c *containerView) backingOff(r *podReport) string {
	return "back-off " + r.backoff.String() + " restarting failed container=" + string(c.name) +
		" pod=" + r.name + "_" + r.namespace + "(" + r.uid + ")"
}

// appendEnding appends the member terminated of a state.
func appendEnding(b []byte, e *ending) []byte {
	b = append(b, `"terminated":{`...)
	if e.id != "" {
		b = append(appendString(append(b, `"containerID":`...), e.id), ',')
	}
	b = appendInt(append(b, `"exitCode":`...), e.code)
	b = appendTimeOrNull(append(b, `,"finishedAt":`...), e.finished)
	if e.message != "" {
		b = appendString(append(b, `,"message":`...), e.message)
	}
	if e.reason != "" {
		b = appendString(append(b, `,"reason":`...), e.reason)
	}
	if e.signal != 0 {
		b = appendInt(append(b, `,"signal":`...), e.signal)
	}
	return append(appendTimeOrNull(append(b, `,"startedAt":`...), e.started), '}')
}
