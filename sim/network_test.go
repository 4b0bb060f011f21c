package sim

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/planecheck/planecheck/checkers/history"
)

// TestCut cuts a node off, has its pods deleted meanwhile, and reconnects it: its
// pods run until it hears of that, and then it ends and deletes them itself.
func TestCut(t *testing.T) {
	for _, profile := range []Profile{Lean, Kubelet} {
		t.Run(string(profile), func(t *testing.T) { cutOff(t, profile) })
	}
}

func cutOff(t *testing.T, profile Profile) {
	f := newFakeAPI(t)
	c := start(t, f, Config{Profile: profile, Nodes: 2})
	settled(t, f, c)
	for _, name := range []string{"stays", "deleted", "gone"} {
		f.addPod(name, "node-00000")
	}
	f.addPod("other", "node-00001")
	eventually(t, "pods are running", func() bool { return c.Stats().PodsRunning == 4 })
	must(t, c.Cut("node-00000"))
	eventually(t, "the watches of the node are gone", func() bool { return f.watching("pods?spec.nodeName=node-00000") == 0 })
	lives, sent := c.nodes[0].lives(), len(f.sent())
	f.deletePod("deleted", 30)
	f.mu.Lock()
	f.gone(f.pods["gone"])
	f.mu.Unlock()
	f.addPod("late", "node-00000")
	f.addPod("late-other", "node-00001")
	eventually(t, "a pod of the other node runs", func() bool { return isReady(f.podNamed("late-other")) })
	c.nodes[0].reportStatus(lives[0].ctx, true)
	for _, line := range f.sent()[sent:] {
		if strings.Contains(line, "node-00000") || strings.Contains(line, "pods/late ") {
			t.Errorf("a node that is cut off sends %s", line)
		}
	}
	if d := cmp.Diff([]string{"uid-of-stays", "uid-of-deleted", "uid-of-gone"}, runningOn(t, c, "node-00000")); d != "" {
		t.Errorf("what runs on a node that is cut off: %s", d)
	}
	if s := c.Stats(); s.NodesDown != 0 {
		t.Errorf("%+v", s)
	}
	for _, l := range lives {
		if l.over() {
			t.Error("a process has ended")
		}
	}

	deleted, compacted := len(f.sent("pods/deleted")), false
	f.setRefuse(func(what string) int { // as a server whose store has been compacted meanwhile
		if compacted || what != "WATCH pods?spec.nodeName=node-00000" {
			return 0
		}
		compacted = true
		return 410
	})
	must(t, c.Reconnect("node-00000"))
	eventually(t, "the pod that was to be deleted is gone", func() bool { return f.podNamed("deleted") == nil })
	eventually(t, "the pod of meanwhile runs", func() bool { return isReady(f.podNamed("late")) })
	want := []string{"PATCH", "DELETE"}
	if profile == Kubelet {
		want = []string{"GET", "PATCH", "GET", "DELETE"}
	}
	got := requests(f, "deleted", deleted)
	if len(got) > len(want) { // the report that the deletion has been seen
		got = got[len(got)-len(want):]
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("requests for the pod that was deleted: %s", d)
	}
	if last := f.lastPatch(`"uid":"uid-of-deleted"`); !strings.Contains(last, "terminated") || strings.Contains(last, "ContainerStatusUnknown") {
		t.Errorf("its final status: %s", last)
	}
	if s := f.podNamed("stays").Status; s.Phase != corev1.PodRunning || s.ContainerStatuses[0].RestartCount != 0 {
		t.Errorf("the pod that stays: %+v", s)
	}
	eventually(t, "what is gone is forgotten", func() bool {
		return cmp.Diff([]string{"uid-of-stays", "uid-of-late"}, runningOn(t, c, "node-00000")) == ""
	})
	if err := c.Cut("node-00009"); err == nil {
		t.Error("a node that there is not was cut off")
	}
}

func runningOn(t *testing.T, c *Cluster, node string) []string {
	t.Helper()
	uids, err := c.Running(node)
	must(t, err)
	return uids
}

// TestCutAbandons cuts a node off while a write of it is under way: it ends at
// once, and the same one comes again when the node is back.
func TestCutAbandons(t *testing.T) {
	f := newFakeAPI(t)
	c := start(t, f, Config{Profile: Lean})
	settled(t, f, c)
	release, letGo := f.setHold("PATCH namespaces/default/pods/web")
	defer release()
	f.addPod("web", "node-00000")
	eventually(t, "the write is under way", func() bool { return len(f.sent("PATCH", "pods/web")) == 1 })
	must(t, c.Cut("node-00000"))
	eventually(t, "the write has failed", func() bool { return c.Stats().WriteErrors > 0 })
	letGo()
	must(t, c.Reconnect("node-00000"))
	eventually(t, "the pod runs", func() bool { return isReady(f.podNamed("web")) })
}

// TestLeaseAcrossACut has the lease of a node run out while the node is cut off.
func TestLeaseAcrossACut(t *testing.T) {
	f := newFakeAPI(t)
	var h heard
	c := start(t, f, Config{Profile: Lean, Hooks: Hooks{Lease: h.lease}})
	n := c.nodes[0]
	timed(t, n)
	n.stopTimers()
	must(t, c.Cut("node-00000"))
	n.lease.renewed -= history.Time(2 * leaseDuration) // as if that had been so long ago
	before := f.leaseOf("node-00000").Spec.RenewTime
	if n.renew(n.life.ctx, &history.Lease{Node: n.name}) {
		t.Error("a node that is cut off has renewed its lease")
	}
	over := make(chan struct{})
	go func() { defer close(over); n.beat(n.life.ctx, history.Now()) }()
	must(t, c.Reconnect("node-00000"))
	<-over
	if !f.leaseOf("node-00000").Spec.RenewTime.After(before.Time) {
		t.Error("the lease was not renewed")
	}
	if got := h.all(); len(got) != 0 {
		t.Errorf("of the renewal after the cut was told: %+v", got)
	}
	n.stopTimers()
	n.beat(n.life.ctx, history.Now())
	if got := h.all(); len(got) != 1 || got[0].Failed {
		t.Errorf("of the next one was told: %+v", got)
	}
	if s := c.Stats(); s.LeaseMissed != 0 || s.LeaseFailed != 0 {
		t.Errorf("%+v", s)
	}
}
