package sim

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/planecheck/planecheck/checkers/history/wire"
)

// TestKubeletRestartsUnderPressure: what a kubelet knows of that is lost with it, and
// what the Node says stays.
func TestKubeletRestartsUnderPressure(t *testing.T) {
	f := newFakeAPI(t)
	c := start(t, f, Config{Housekeeping: time.Hour})
	settled(t, f, c)
	n := c.nodes[0]
	f.addPod("runs", "node-00000", bestEffort)
	eventually(t, "pod is running", func() bool { return c.Stats().PodsRunning == 1 })
	must(t, c.PressMemory(0, "node-00000"))
	n.look(0)
	reportsSoon(t, n)
	restart := func() string {
		f.mu.Lock()
		reports := len(f.reports)
		f.mu.Unlock()
		must(t, c.RestartKubelets("node-00000"))
		eventually(t, "the new kubelet reports", func() bool {
			f.mu.Lock()
			defer f.mu.Unlock()
			return len(f.reports) > reports
		})
		settled(t, f, c)
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.reports[reports]
	}
	if report := restart(); strings.Contains(report, "lastTransitionTime") || pressureOf(f, "node-00000") != short {
		t.Errorf("memory is still short, and the new kubelet reports %s", report)
	}
	f.addPod("refused", "node-00000", bestEffort)
	eventually(t, "a pod is refused", func() bool { return c.Stats().PodsEvicted == 1 })
	if phaseOf(f, "runs") != corev1.PodRunning || c.Stats().PodsRunning != 1 {
		t.Errorf("the pod that was there is %s", phaseOf(f, "runs"))
	}

	must(t, c.FreeMemory("node-00000"))
	n.look(0) // which is remembered for five minutes, but for
	if report := restart(); !strings.Contains(report, enough[len("False "):]) || pressureOf(f, "node-00000") != enough {
		t.Errorf("there is memory again, and the new kubelet reports %s", report)
	}
}

// TestCrashEndsThePressure takes the machine away, and with it what took its memory.
func TestCrashEndsThePressure(t *testing.T) {
	f := newFakeAPI(t)
	c := start(t, f, Config{Housekeeping: time.Hour})
	settled(t, f, c)
	n := c.nodes[0]
	must(t, c.PressMemory(9, "node-00000"))
	n.look(0)
	reportsSoon(t, n)
	must(t, c.Crash("node-00000"))
	must(t, c.PressMemory(9, "node-00000")) // nobody is there
	f.addPod("web", "node-00000", bestEffort)
	if got := pressureOf(f, "node-00000"); got != short {
		t.Errorf("MemoryPressure of the dead is %s", got)
	}
	must(t, c.Boot("node-00000"))
	eventually(t, "a pod is admitted", func() bool { return c.Stats().PodsRunning == 1 })
	if got := pressureOf(f, "node-00000"); got != enough {
		t.Errorf("MemoryPressure after the boot is %s", got)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if last := f.reports[len(f.reports)-1]; !strings.Contains(last, "bootID") || !strings.Contains(last, "lastTransitionTime") {
		t.Errorf("the first report: %s", last)
	}
}

// evictUntold has a kubelet evict pod web, whose containers are killed, and report that
// in vain until release or letGo.
func evictUntold(t *testing.T, f *fakeAPI, c *Cluster) (release, letGo func()) {
	t.Helper()
	settled(t, f, c)
	eventually(t, "pod is running", func() bool { return c.Stats().PodsRunning == 1 })
	patched := len(f.sent("PATCH", "pods/web"))
	must(t, c.PressMemory(1, "node-00000"))
	release, letGo = f.setHold("PATCH namespaces/default/pods/web")
	c.nodes[0].look(0)
	eventually(t, "the eviction is under way", func() bool { return len(f.sent("PATCH", "pods/web")) > patched })
	return release, letGo
}

// TestKubeletRestartsInAnEviction ends a kubelet that has told nobody: the next one
// finds containers that were killed, and knows not why.
func TestKubeletRestartsInAnEviction(t *testing.T) { bothProfiles(t, restartInAnEviction) }

func restartInAnEviction(t *testing.T, profile Profile) {
	f := newFakeAPI(t)
	c := start(t, f, Config{Profile: profile, Housekeeping: time.Hour})
	f.addPod("web", "node-00000", bestEffort)
	release, letGo := evictUntold(t, f, c)
	defer release()
	if uids, err := c.Running("node-00000"); err != nil || len(uids) != 0 {
		t.Errorf("%q run that were killed, %v", uids, err)
	}
	before := f.podNamed("web")
	letGo() // but the report that is under way
	must(t, c.RestartKubelets("node-00000"))
	eventually(t, "its containers run again", func() bool { return f.container("web").RestartCount == 1 && c.Stats().PodsRunning == 1 })
	p, s := f.podNamed("web"), f.container("web")
	if end := s.LastTerminationState.Terminated; end == nil || end.ExitCode != 137 || end.ContainerID != before.Status.ContainerStatuses[0].ContainerID {
		t.Errorf("the last state is %+v", end)
	}
	if p.Status.Phase != corev1.PodRunning || p.Status.Reason != "" || !isReady(p) || c.Stats().PodsEvicted != 0 {
		t.Errorf("%+v, %+v", p.Status, c.Stats())
	}
	before = f.podNamed("web")
	settled(t, f, c)
	must(t, c.PressMemory(1, "node-00000"))
	c.nodes[0].look(0)
	eventually(t, "it is evicted", func() bool { return c.Stats().PodsEvicted == 1 })
	checkEvicted(t, before, f.podNamed("web"))
}

// TestANewKubeletFindsKilledContainers of a pod that is not to be started again: it has
// failed, and of the eviction nothing is left.
func TestANewKubeletFindsKilledContainers(t *testing.T) { bothProfiles(t, findsKilled) }

func findsKilled(t *testing.T, profile Profile) {
	f := newFakeAPI(t)
	c := start(t, f, Config{Profile: profile, Housekeeping: time.Hour})
	f.addPod("web", "node-00000", bestEffort, ofJob)
	release, letGo := evictUntold(t, f, c)
	defer release()
	must(t, c.RestartKubelets("node-00000")) // whose report is held up, too
	eventually(t, "the new one reports", func() bool { return len(f.sent("PATCH", "pods/web")) > map[Profile]int{Lean: 2, Kubelet: 3}[profile] })
	letGo()
	must(t, c.RestartKubelets("node-00000"))
	eventually(t, "the pod has failed", func() bool { return phaseOf(f, "web") == corev1.PodFailed })
	s := f.podNamed("web").Status
	if end := s.ContainerStatuses[0].State.Terminated; end == nil || end.ExitCode != 137 || s.Reason != "" || s.ContainerStatuses[0].RestartCount != 0 {
		t.Errorf("%+v", s)
	}
	if c.Stats().PodsEvicted != 0 {
		t.Errorf("%+v", c.Stats())
	}
}

// TestDeletedAfterAnUntoldEviction deletes a pod before a new kubelet can say what it has
// found: its containers were killed all the same.
func TestDeletedAfterAnUntoldEviction(t *testing.T) { bothProfiles(t, deletedAfterUntold) }

func deletedAfterUntold(t *testing.T, profile Profile) {
	f := newFakeAPI(t)
	c := start(t, f, Config{Profile: profile, Housekeeping: time.Hour, StopTime: time.Millisecond})
	f.addPod("web", "node-00000", bestEffort)
	release, letGo := evictUntold(t, f, c)
	defer release()
	f.deletePod("web", 30)
	eventually(t, "the kubelet knows", func() bool {
		c.nodes[0].mu.Lock()
		defer c.nodes[0].mu.Unlock()
		return c.nodes[0].pods.find("uid-of-web").state == podStopped
	})
	letGo()
	must(t, c.RestartKubelets("node-00000"))
	eventually(t, "pod is gone", func() bool { return f.podNamed("web") == nil && c.Stats().PodsHeld == 0 })
	last := f.lastPatch(`"uid":"uid-of-web"`)
	if !strings.Contains(last, `"phase":"Failed"`) || !strings.Contains(last, `"exitCode":137`) || strings.Contains(last, "Evicted") {
		t.Errorf("final status: %s", last)
	}
}

// TestFlipsEndInAnEviction ends the flips between the eviction of a pod that is not ready
// because of them and the end of its kubelet, before or after its next turn.
func TestFlipsEndInAnEviction(t *testing.T) { bothProfiles(t, flipsEndInAnEviction) }

func flipsEndInAnEviction(t *testing.T, profile Profile) {
	for _, passed := range []time.Duration{0, longest} {
		f := newFakeAPI(t)
		c := start(t, f, Config{Profile: profile, Housekeeping: time.Hour, Unready: Unready{Every: time.Hour, For: time.Hour, Share: 1}})
		n := c.nodes[0]
		f.addPod("web", "node-00000", bestEffort)
		eventually(t, "pod is running", func() bool { return c.Stats().PodsRunning == 1 })
		c.Flip(true)
		n.pass(longest)
		becomes(t, f, c, false)
		release, letGo := evictUntold(t, f, c)
		n.pass(passed)
		c.Flip(false)
		letGo()
		must(t, c.RestartKubelets("node-00000"))
		eventually(t, "it runs", func() bool { return f.container("web").RestartCount == 1 && isReady(f.podNamed("web")) })
		becomes(t, f, c, true)
		if armed, _ := n.armed(); armed {
			t.Errorf("flips that were told to end, %v after the last one", passed)
		}
		release()
	}
}

// TestForgottenEviction ends a kubelet before the containers of a pod that it evicts are
// killed, and after: what has happened to them is left of it.
func TestForgottenEviction(t *testing.T) {
	for _, test := range []struct {
		takes  time.Duration
		killed bool
		state  podState
	}{{time.Hour, false, podUnknown}, {0, true, podCrashed}} {
		n := newNode(New(Config{StopTime: test.takes}), 0)
		n.life = newLife(t.Context())
		n.life.close() // nothing is written
		n.pods.lists = 1
		p := n.pods.add(&wire.Meta{UID: "u"})
		p.state, p.listed, p.unready = podRunning, 1, true
		n.evict(p)
		if !p.evicted || p.state != podEvicted || p.killed != test.killed || p.unready {
			t.Errorf("they take %v, while they do: %+v", test.takes, p)
		}
		n.endProcess()
		if p.evicted || p.state != test.state || p.killed != test.killed || p.down != test.killed {
			t.Errorf("they take %v, of a new process: %+v", test.takes, p)
		}
	}
}

// TestOneLookAtATime has a new kubelet look at its memory before it has registered, and
// PressMemory before that: of the two looks that follow one is left.
func TestOneLookAtATime(t *testing.T) {
	n := newNode(New(Config{Housekeeping: time.Hour}), 0)
	n.life = newLife(t.Context())
	n.press(1)
	first := n.pressure.timer
	n.beginHousekeeping()
	if first.Stop() {
		t.Error("the look that PressMemory has set is still to come")
	}
	if n.pressure.timer == first || !n.pressure.timer.Stop() {
		t.Error("there is no look to come")
	}
}
