package sim

import (
	"slices"

	"github.com/planecheck/planecheck/checkers/history/wire"
)

// podState is where a pod is in its life, as its kubelet knows it.
type podState uint8

const (
	podUnknown  podState = iota // not seen yet
	podStarting                 // to be reported Running
	podRunning                  // reported Running, Ready or not, and acknowledged
	podStopping                 // being deleted: its containers are stopping
	podStopped                  // its containers have ended: to be reported, then deleted
	podEnded                    // in a terminal phase, and not being deleted
	podExited                   // its containers have ended of themselves: to be reported
	podEvicted                  // its kubelet stops its containers for want of memory: to be reported
	podCrashed                  // its containers have ended, but not because it is deleted, and are to be started again
)

// podAction is what a kubelet has to do next about a pod.
type podAction uint8

const (
	doNothing podAction = iota
	doStart             // report that it runs
	doRestart           // its containers were lost: report that it runs again
	doConfirm           // its kubelet is new: see whether what is reported still holds
	doRepair            // report so again: somebody else has changed it
	doStop              // stop the containers: doObserve at once, doFinish when they have ended
	doObserve           // report that the deletion has been seen
	doFinish            // report that they have ended, and delete it
	doRemove            // just delete it: its status is final
	doEnd               // report that its containers have ended of themselves
	doReject            // report that it is not admitted
	doLook              // read it, and find that nothing may be said yet
	doEvict             // report that it was evicted
	doCrash             // the same as doEnd of containers that are to be started again
	doBackOff           // report that containers wait to be started again
	doFlip              // report that containers have become ready, or are not any more
)

// pod is all that a kubelet remembers of one pod.
type pod struct {
	uid, namespace, name string

	version uint64 // of the pod after our last write; 0: none yet
	listed  uint16 // the last list (see podTable.lists) that had it; 0: none of this kubelet's
	// restarts is how often its containers were started again; all of them go
	// down together.
	restarts uint16
	slot     uint8 // of its IP address; 0: none
	state    podState
	lost     bool // what its status says is running went down with the machine
	evicted  bool // by its kubelet
	down     bool // its containers have ended, but not because it is deleted
	killed   bool // by its kubelet, which evicted it; else of themselves
	unsaid   bool // its containers run again, and no status of theirs says so
	unready  bool // its containers are not ready of themselves
	worth
}

// see takes note of the pod as a watch brings it, and decides what is to be
// done about it.
func (p *pod) see(e *wire.Pod, version uint64) podAction {
	terminal := e.Phase == "Succeeded" || e.Phase == "Failed"
	switch p.state {
	case podStopping, podStopped:
		return doNothing
	case podEnded:
		if !e.Deleting {
			return doNothing
		}
		p.state = podStopped
		return doRemove
	}
	switch {
	case e.Deleting && terminal:
		p.state = podStopped
		return doRemove
	case e.Deleting && (p.lost || p.state == podExited || p.state == podCrashed || p.state == podEvicted):
		p.state = podStopped // there is nothing to stop, or no more than for two seconds
		return doFinish
	case e.Deleting:
		p.state = podStopping
		return doStop
	case terminal: // by somebody else, such as the garbage collector of pods
		p.state = podEnded
	case p.state == podUnknown && p.lost:
		p.state = podStarting
		return doRestart
	case p.state == podUnknown && e.Phase == "Running" && e.Ready && !p.unsaid:
		p.state = podRunning // by us in an earlier life
	case p.state == podUnknown:
		p.state = podStarting
		return doStart
	case p.state == podRunning && e.Ready == p.unready && version > p.version:
		// The node lifecycle controller sets pods to not Ready when it takes
		// their node for dead. The status manager puts that right
		// (needsReconcile), and nobody else would. A pod that is not ready of
		// itself is as it should be.
		return doRepair
	}
	return doNothing
}

// wants says whether an action that was decided on earlier is still due.
func (p *pod) wants(a podAction) bool {
	switch a {
	case doStart, doRestart, doReject:
		return p.state == podStarting
	case doRepair, doConfirm, doFlip:
		return p.state == podRunning
	case doObserve:
		return p.state == podStopping || p.state == podStopped
	case doFinish, doRemove:
		return p.state == podStopped
	case doEnd:
		return p.state == podExited
	case doLook, doEvict:
		return p.state == podEvicted
	case doCrash, doBackOff:
		return p.state == podCrashed
	}
	return false
}

// podTable holds the pods of one node: so few that a slice is the smallest and
// a search through it quick.
type podTable struct {
	pods  []pod
	slots [4]uint64 // which slots of the node's network are taken
	lists uint16    // lists begun by this kubelet
}

func (t *podTable) find(uid string) *pod {
	for i := range t.pods {
		if t.pods[i].uid == uid {
			return &t.pods[i]
		}
	}
	return nil
}

// add returns a new entry. It is valid until the next add or remove.
func (t *podTable) add(m *wire.Meta) *pod {
	t.pods = append(t.pods, pod{uid: m.UID, namespace: m.Namespace, name: m.Name})
	return &t.pods[len(t.pods)-1]
}

// remove forgets the pod and returns the state that it was in; ok is false if it
// was not there.
func (t *podTable) remove(uid string) (state podState, ok bool) {
	i := slices.IndexFunc(t.pods, func(p pod) bool { return p.uid == uid })
	if i < 0 {
		return podUnknown, false
	}
	state = t.pods[i].state
	t.release(t.pods[i].slot)
	last := len(t.pods) - 1
	t.pods[i] = t.pods[last]
	t.pods[last] = pod{}
	t.pods = t.pods[:last]
	return state, true
}

// take gives out the lowest free slot, or 0 if all are taken.
func (t *podTable) take() uint8 {
	for slot := uint8(1); slot <= lastSlot; slot++ {
		if t.slots[slot/64]&(1<<(slot%64)) == 0 {
			t.hold(slot)
			return slot
		}
	}
	return 0
}

func (t *podTable) hold(slot uint8) { t.slots[slot/64] |= 1 << (slot % 64) }

func (t *podTable) release(slot uint8) { t.slots[slot/64] &^= 1 << (slot % 64) }
