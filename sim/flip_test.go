package sim

import (
	"crypto/tls"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
)

// flipping is a pod that is ready for an hour, and then not for an hour.
func flipping(p *corev1.Pod) {
	p.Annotations = map[string]string{"planecheck.dev/unready-after": "1h", "planecheck.dev/unready-for": "1h"}
}

// longest is an interval of such a pod at its longest.
const longest = 75 * time.Minute

// startFlipping has one such pod run.
func startFlipping(t *testing.T, profile Profile) (*fakeAPI, *Cluster) {
	f := newFakeAPI(t)
	c := start(t, f, Config{Profile: profile, StopTime: time.Hour})
	f.addPod("web", "node-00000", flipping)
	runs(t, f, c, 0)
	settled(t, f, c)
	return f, c
}

// becomes waits until a pod is ready, or is not, and its kubelet knows that it is told.
func becomes(t *testing.T, f *fakeAPI, c *Cluster, ready bool) {
	t.Helper()
	n := c.nodes[0]
	eventually(t, "the pod has become so", func() bool {
		n.mu.Lock()
		defer n.mu.Unlock()
		return isReady(f.podNamed("web")) == ready && !n.writing
	})
}

func TestReadinessFlips(t *testing.T) { bothProfiles(t, flips) }

func flips(t *testing.T, profile Profile) {
	f, c := startFlipping(t, profile)
	n, sent, first := c.nodes[0], len(f.sent("pods/web")), f.podNamed("web")
	for range 2 {
		n.pass(longest)
		becomes(t, f, c, false)
		p := f.podNamed("web")
		if s := p.Status.ContainerStatuses[0]; s.Ready || !*s.Started || s.State.Running == nil || s.RestartCount != 0 || p.Status.Phase != corev1.PodRunning {
			t.Errorf("a pod that is not ready: %+v", p.Status)
		}
		for _, condition := range p.Status.Conditions {
			want := "True  "
			if condition.Type == corev1.PodReady || condition.Type == corev1.ContainersReady {
				want = "False ContainersNotReady containers with unready status: [app]"
			}
			if got := string(condition.Status) + " " + condition.Reason + " " + condition.Message; got != want {
				t.Errorf("condition %s is %q, want %q", condition.Type, got, want)
			}
		}
		n.pass(longest)
		becomes(t, f, c, true)
	}
	if d := cmp.Diff(first.Status.ContainerStatuses, f.podNamed("web").Status.ContainerStatuses); d != "" {
		t.Errorf("containers after that: %s", d)
	}
	var want []string
	for range 4 {
		want = append(want, "GET", "PATCH")
	}
	if d := cmp.Diff(want, requests(f, "web", sent)); d != "" {
		t.Errorf("requests: %s", d)
	}
	if s := c.Stats(); s.PodsRunning != 1 || s.PodFlips != 4 {
		t.Errorf("%+v", c.Stats())
	}
}

// TestFlipsAndTheNodeController has the pod set to not ready from outside, while it is
// not of itself, and while it is.
func TestFlipsAndTheNodeController(t *testing.T) { bothProfiles(t, flipsAndTheNodeController) }

func flipsAndTheNodeController(t *testing.T, profile Profile) {
	f, c := startFlipping(t, profile)
	c.nodes[0].pass(longest)
	becomes(t, f, c, false)
	told, sent := f.podNamed("web").Status.ContainerStatuses, len(f.sent("pods/web"))
	f.change("web", func(p *corev1.Pod) { p.Labels = map[string]string{"seen": "yes"}; notReady(p) })
	must(t, c.RestartKubelets("node-00000"))
	settled(t, f, c)
	f.addPod("behind", "node-00000") // comes after all that is to be done for the other
	eventually(t, "both pods run", func() bool { return c.Stats().PodsRunning == 2 })
	var want []string
	if profile == Kubelet {
		want = []string{"GET"} // which every new kubelet does
	}
	if d := cmp.Diff(want, requests(f, "web", sent)); d != "" {
		t.Errorf("requests for a pod that is as it should be: %s", d)
	}
	if d := cmp.Diff(told, f.podNamed("web").Status.ContainerStatuses); d != "" {
		t.Errorf("containers: %s", d)
	}
	c.nodes[0].pass(longest)
	becomes(t, f, c, true)
	f.change("web", notReady)
	becomes(t, f, c, true)
}

// TestAFlipIsLostWithItsKubelet restarts the kubelet before it could tell it.
func TestAFlipIsLostWithItsKubelet(t *testing.T) { bothProfiles(t, flipIsLost) }

func flipIsLost(t *testing.T, profile Profile) {
	f, c := startFlipping(t, profile)
	_, letGo := f.setHold("PATCH namespaces/default/pods/web")
	sent := len(f.sent("PATCH", "pods/web"))
	c.nodes[0].pass(longest)
	eventually(t, "the report is under way", func() bool { return len(f.sent("PATCH", "pods/web")) > sent })
	letGo() // that one is lost
	must(t, c.RestartKubelets("node-00000"))
	becomes(t, f, c, false)
	c.nodes[0].pass(longest)
	becomes(t, f, c, true)
}

// TestDeletedWhileNotReady has a pod stop that is not ready: its deletion is observed,
// and nothing more.
func TestDeletedWhileNotReady(t *testing.T) {
	f, c := startFlipping(t, Kubelet)
	c.nodes[0].pass(longest)
	becomes(t, f, c, false)
	f.deletePod("web", 3600)
	eventually(t, "deletion is observed", func() bool { return f.podNamed("web").Status.ObservedGeneration == 2 })
	if d := cmp.Diff(observation, f.lastPatch("observedGeneration")); d != "" {
		t.Error(d)
	}
	n := c.nodes[0]
	n.pass(longest) // too late
	n.mu.Lock()
	defer n.mu.Unlock()
	if p := n.pods.find("uid-of-web"); !p.unready || c.Stats().PodFlips != 1 {
		t.Errorf("a pod that stops becomes ready: %+v, %+v", p, c.Stats())
	}
}

// TestDeletedBeforeAFlipIsTold has the report of a flip refused until the pod is deleted:
// then it is observed as it was told.
func TestDeletedBeforeAFlipIsTold(t *testing.T) {
	f, c := startFlipping(t, Kubelet)
	sent := len(f.sent("PATCH", "pods/web"))
	f.setRefuse(func(what string) int {
		if strings.Contains(what, "PATCH") && f.pods["web"].DeletionTimestamp == nil {
			return 500
		}
		return 0
	})
	c.nodes[0].pass(longest)
	eventually(t, "the report is refused", func() bool { return len(f.sent("PATCH", "pods/web")) > sent })
	f.deletePod("web", 3600)
	eventually(t, "deletion is observed", func() bool { return f.podNamed("web").Status.ObservedGeneration == 2 })
	if d := cmp.Diff(observation, f.lastPatch("observedGeneration")); d != "" {
		t.Error(d)
	}
}

// TestANewRunIsReady has a pod that is not ready exit, and one go down with its machine.
func TestANewRunIsReady(t *testing.T) { bothProfiles(t, newRunIsReady) }

func newRunIsReady(t *testing.T, profile Profile) {
	f := newFakeAPI(t)
	c := start(t, f, Config{Profile: profile})
	f.addPod("web", "node-00000", flipping, func(p *corev1.Pod) { p.Annotations["planecheck.dev/run-for"] = "100h" })
	runs(t, f, c, 0)
	settled(t, f, c)
	c.nodes[0].pass(longest)
	becomes(t, f, c, false)
	c.nodes[0].pass(100 * time.Hour)
	runs(t, f, c, 1)
	c.nodes[0].pass(longest)
	becomes(t, f, c, false)
	must(t, c.Crash("node-00000"))
	must(t, c.Boot("node-00000"))
	runs(t, f, c, 2)
}

// TestANewRunBeforeAFlipIsAnswered has containers be started again while the report of
// their readiness is under way: its answer says nothing of the new run.
func TestANewRunBeforeAFlipIsAnswered(t *testing.T) { bothProfiles(t, newRunBeforeTheAnswer) }

func newRunBeforeTheAnswer(t *testing.T, profile Profile) {
	f := newFakeAPI(t)
	c := start(t, f, Config{Profile: profile})
	f.addPod("web", "node-00000", flipping, func(p *corev1.Pod) { p.Annotations["planecheck.dev/run-for"] = "100h" })
	runs(t, f, c, 0)
	settled(t, f, c)
	sent := len(f.sent("PATCH", "pods/web"))
	release, _ := f.setHold("PATCH namespaces/default/pods/web")
	defer release()
	c.nodes[0].pass(longest)
	eventually(t, "the report is under way", func() bool { return len(f.sent("PATCH", "pods/web")) > sent })
	c.nodes[0].pass(100 * time.Hour)
	release()
	runs(t, f, c, 1)
}

// TestFlipsOfTheCluster come and go as they are told to.
func TestFlipsOfTheCluster(t *testing.T) { bothProfiles(t, flipsOfTheCluster) }

func flipsOfTheCluster(t *testing.T, profile Profile) {
	f := newFakeAPI(t)
	c := start(t, f, Config{Profile: profile, Unready: Unready{Every: time.Hour, For: time.Hour, Share: 1}})
	n := c.nodes[0]
	f.addPod("web", "node-00000")
	eventually(t, "pod is running", func() bool { return c.Stats().PodsRunning == 1 })
	if armed, _ := n.armed(); armed {
		t.Error("flips that nobody told to begin")
	}
	c.Flip(true)
	c.Flip(true) // they have begun
	n.pass(longest)
	becomes(t, f, c, false)
	n.pass(longest)
	becomes(t, f, c, true)
	n.pass(longest)
	becomes(t, f, c, false)
	c.Flip(false)
	becomes(t, f, c, true)
	if armed, _ := n.armed(); armed {
		t.Error("flips that were told to end")
	}
	c.Flip(true)
	f.addPod("later", "node-00000")
	eventually(t, "both run", func() bool { return c.Stats().PodsRunning == 2 })
	n.pass(longest)
	eventually(t, "the later one flips, too", func() bool { return !isReady(f.podNamed("later")) })
}

// TestFlipsEndBetweenTwoKubelets has the flips end while the one process of a kubelet is
// gone and the next one is not there yet: that tells it.
func TestFlipsEndBetweenTwoKubelets(t *testing.T) { bothProfiles(t, flipsEndInBetween) }

func flipsEndInBetween(t *testing.T, profile Profile) {
	f := newFakeAPI(t)
	var c *Cluster
	var between atomic.Bool
	issue := func(string, []string) (tls.Certificate, error) { // asked for after the end of a process
		if between.Load() {
			c.Flip(false)
		}
		return f.server.TLS.Certificates[0], nil
	}
	c = start(t, f, Config{Profile: profile, OwnConnections: true, Certificate: issue,
		Unready: Unready{Every: time.Hour, For: time.Hour, Share: 1}})
	f.addPod("web", "node-00000")
	eventually(t, "pod is running", func() bool { return c.Stats().PodsRunning == 1 })
	settled(t, f, c)
	c.Flip(true)
	c.nodes[0].pass(longest)
	becomes(t, f, c, false)
	between.Store(true)
	must(t, c.RestartKubelets("node-00000"))
	between.Store(false)
	becomes(t, f, c, true)
	f.change("web", notReady)
	becomes(t, f, c, true)
}
