package sim

import (
	"time"

	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/history/wire"
)

// podSink is the sink of a kubelet's watch of the pods that are bound to it.
type podSink struct{ n *node }

func (s *podSink) begin() {
	s.n.mu.Lock()
	defer s.n.mu.Unlock()
	s.n.pods.lists++
}

// end drops the pods that the list no longer had.
func (s *podSink) end() {
	n := s.n
	n.mu.Lock()
	defer n.mu.Unlock()
	for i := len(n.pods.pods) - 1; i >= 0; i-- {
		if p := &n.pods.pods[i]; p.listed != n.pods.lists {
			n.forget(p.uid)
		}
	}
}

func (s *podSink) event(typ string, raw []byte, version uint64, arrived history.Time) {
	seen, err := wire.ScanPod(raw)
	if err != nil {
		s.n.cluster.cfg.Log.Error("pod on a watch cannot be read", "node", s.n.name, "error", err)
		return
	}
	if typ == "DELETED" {
		s.n.mu.Lock()
		defer s.n.mu.Unlock()
		s.n.forget(seen.UID)
		return
	}
	if isNew, ran := s.n.upsert(&seen, raw, version); isNew && !ran {
		if hook := s.n.cluster.cfg.Hooks.PodSeen; hook != nil {
			hook(seen.Namespace, seen.Name, arrived)
		}
	}
}

// forget is called with n.mu held.
func (n *node) forget(uid string) {
	state, ok := n.pods.remove(uid)
	if !ok {
		return
	}
	n.cluster.stats.podsHeld.Add(-1)
	n.courses.drop(uid)
	if state == podRunning {
		n.cluster.stats.podsRunning.Add(-1)
	}
}

// upsert takes note of a pod and sets about what is to be done. It returns
// whether the pod is new to this machine since it was turned on, and whether it
// ran there before.
func (n *node) upsert(seen *wire.Pod, raw []byte, version uint64) (isNew, ran bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	p := n.pods.find(seen.UID)
	if p == nil {
		isNew = true
		p = n.pods.add(&seen.Meta)
		n.cluster.stats.podsHeld.Add(1)
		n.adopt(p, seen, raw)
		p.worth = weigh(n.cluster.cfg.Seed, p.uid, raw)
	}
	unconfirmed := !isNew && p.listed == 0
	p.listed = n.pods.lists
	was := p.state
	action := p.see(seen, version)
	if action == doStart && n.refuses(p, seen, raw) {
		action = doReject
	}
	n.countRunning(was, p.state)
	if was == podUnknown && p.state == podRunning {
		n.resume(p.uid, raw)
	}
	if was != podEnded && p.state == podEnded {
		n.ended(p) // our own report may come by the watch before its answer
	}
	switch action {
	case doNothing:
		n.confirm(p, seen, raw, isNew, unconfirmed)
	case doStop:
		n.stop(seen, raw, version)
	case doStart, doRestart, doReject:
		n.accept(podJob{action: action, uid: seen.UID, raw: clone(raw), version: version})
	default:
		n.enqueue(podJob{action: action, uid: seen.UID, raw: clone(raw), version: version})
	}
	return isNew, n.boots > 0 && seen.Phase != "Pending"
}

// confirm is what a kubelet does about a pod that it finds as it should be. A new
// process looks whether that is told; and it knows of no back-off, so that it starts
// containers at once that have ended, unless they are to be left so (computePodActions
// in pkg/kubelet/kuberuntime/kuberuntime_manager.go). It is called with n.mu held.
func (n *node) confirm(p *pod, seen *wire.Pod, raw []byte, isNew, unconfirmed bool) {
	if p.state == podCrashed && p.killed && string(field(field(raw, 2), 3)) == "Never" {
		p.state = podExited
	}
	switch {
	case unconfirmed && p.state == podExited:
		n.enqueue(podJob{action: doEnd, uid: p.uid})
	case unconfirmed && p.state == podRunning && (n.cluster.behaviour.readBeforeWrite || seen.Ready == p.unready):
		n.enqueue(podJob{action: doConfirm, uid: p.uid})
	case (isNew || unconfirmed) && p.state == podCrashed:
		n.enqueue(podJob{action: doCrash, uid: p.uid})
	}
}

// accept sets about a start. It is called with n.mu held.
func (n *node) accept(job podJob) {
	wait := n.cluster.behaviour.acceptAfter
	if wait == 0 {
		n.enqueue(job)
		return
	}
	wait = time.Duration((0.5 + n.rng.Float64()) * float64(wait))
	n.life.after(wait, func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.enqueue(job)
	})
}

// adopt takes over a pod as its status has it: its address, if that is one of
// ours, and how often it was started again. Without a crash of the machine it is
// one that runs; after a crash it is not, whatever its status says. It is
// started once more then, unless it is being deleted: the kubelet counts no
// restart that will not come (convertToAPIContainerStatuses in
// pkg/kubelet/kubelet_pods.go).
func (n *node) adopt(p *pod, seen *wire.Pod, raw []byte) {
	status := field(raw, 3)
	if ip := field(status, 6); ip != nil && seen.Phase != "Succeeded" && seen.Phase != "Failed" {
		if p.slot = podSlot(n.index, string(ip)); p.slot != 0 {
			n.pods.hold(p.slot)
		}
	}
	if seen.Phase != "Running" {
		return
	}
	p.restarts = restartCount(status)
	if p.lost = n.boots > 0; p.lost && !seen.Deleting {
		p.restarts++
	}
	if p.down = !p.lost && crashed(raw); p.down {
		p.state = podCrashed // before an earlier process ended
	}
}

func (n *node) countRunning(was, is podState) {
	switch {
	case was != podRunning && is == podRunning:
		n.cluster.stats.podsRunning.Add(1)
	case was == podRunning && is != podRunning:
		n.cluster.stats.podsRunning.Add(-1)
	}
}

// stop lets the containers of a pod take their time to exit, within its grace
// period, and reports meanwhile that they are told to. It is called with n.mu
// held.
func (n *node) stop(seen *wire.Pod, raw []byte, version uint64) {
	job := podJob{action: doFinish, uid: seen.UID, raw: clone(raw), version: version}
	if n.cluster.behaviour.observeDeletion {
		observe := job
		observe.action = doObserve
		n.enqueue(observe)
	}
	wait := n.cluster.cfg.StopTime
	if grace := time.Duration(seen.GraceSeconds) * time.Second; wait > grace {
		wait, job.killed = grace, true
	}
	if wait <= 0 {
		n.stopped(job)
		return
	}
	n.life.after(wait, func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.stopped(job)
	})
}

// stopped is called with n.mu held.
func (n *node) stopped(job podJob) {
	if p := n.pods.find(job.uid); p != nil {
		p.state = podStopped
		n.enqueue(job)
	}
}

func clone(b []byte) []byte { return append(make([]byte, 0, len(b)), b...) }
