package sim

import (
	"crypto/tls"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/planecheck/planecheck/apiserver/client"
	"github.com/planecheck/planecheck/checkers/history"
)

// heard collects what the Lease hook is told.
type heard struct {
	mu     sync.Mutex
	leases []history.Lease
}

func (h *heard) lease(l history.Lease) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.leases = append(h.leases, l)
}

func (h *heard) all() []history.Lease {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]history.Lease(nil), h.leases...)
}

// timed waits until the node has set the timer of its next renewal.
func timed(t *testing.T, n *node) {
	t.Helper()
	eventually(t, "the turn is over", func() bool {
		n.mu.Lock()
		defer n.mu.Unlock()
		return n.leaseTimer != nil
	})
}

// TestLeaseAcrossACrash has the lease of a node run out while the node is down.
func TestLeaseAcrossACrash(t *testing.T) {
	f := newFakeAPI(t)
	var h heard
	c := start(t, f, Config{Profile: Lean, Hooks: Hooks{Lease: h.lease}})
	n := c.nodes[0]
	timed(t, n)
	must(t, c.Crash("node-00000"))
	if n.lease.renewed != 0 || n.leaseTimer != nil {
		t.Errorf("a dead node owes a renewal: %+v", n.lease)
	}
	lease := len(f.sent("leases"))
	must(t, c.Boot("node-00000"))
	timed(t, n)
	var verbs []string
	for _, line := range f.sent("leases")[lease:] {
		verbs = append(verbs, strings.Fields(line)[0])
	}
	if d := cmp.Diff([]string{"GET", "PUT"}, verbs); d != "" {
		t.Errorf("the first renewal after the boot: %s", d)
	}
	if got := h.all(); len(got) != 0 {
		t.Errorf("there was nothing to renew yet: %+v", got)
	}
	n.stopTimers()
	due, renewed := history.Now(), n.lease.renewed
	n.beat(n.life.ctx, due)
	got := h.all()
	if len(got) != 1 || got[0].Due != due || got[0].Deadline != renewed.Add(leaseDuration) || got[0].Failed {
		t.Errorf("the second one: %+v", got)
	}
	if s := c.Stats(); s.LeaseMissed != 0 || s.LeaseFailed != 0 || s.LeaseRenewals != 1 {
		t.Errorf("%+v", s)
	}
}

// TestLeaseAcrossARestart checks that a kubelet that is new keeps the promise of
// the one before it, and does not wait with it until it has registered.
func TestLeaseAcrossARestart(t *testing.T) {
	f := newFakeAPI(t)
	var h heard
	c := start(t, f, Config{Profile: Lean, Hooks: Hooks{Lease: h.lease}})
	n := c.nodes[0]
	timed(t, n)
	settled(t, f, c)
	renewed, lease := n.lease.renewed, len(f.sent("leases"))
	release, _ := f.setHold("POST nodes")
	defer release()
	must(t, c.RestartKubelets("node-00000"))
	eventually(t, "the lease is renewed", func() bool { return len(h.all()) == 1 })
	if got := h.all()[0]; got.Deadline != renewed.Add(leaseDuration) || got.Failed || got.Due <= renewed {
		t.Errorf("%+v, want the deadline %d", got, renewed.Add(leaseDuration))
	}
	if got := f.sent("leases")[lease:]; len(got) != 2 || !strings.HasPrefix(got[0], "GET") {
		t.Errorf("requests for the lease: %q, want those of a kubelet that does not know it", got)
	}
	release()
	settled(t, f, c)
	if s := c.Stats(); s.LeaseRenewals != 1 || len(f.sent("PUT", "leases")) != 1 {
		t.Errorf("the lease was renewed twice: %+v", s)
	}
}

// TestRenewalCutShort accounts for a renewal that a crash has cut short, just
// before the deadline of its lease and just after.
func TestRenewalCutShort(t *testing.T) {
	f := newFakeAPI(t)
	var h heard
	c := start(t, f, Config{Profile: Lean, Hooks: Hooks{Lease: h.lease}})
	n := c.nodes[0]
	timed(t, n)
	settled(t, f, c)
	must(t, c.Crash("node-00000"))
	end := n.life.now()
	if now := history.Now(); end >= now || n.life.now() != end {
		t.Errorf("the clock of a dead process runs: %d, %d", end, now)
	}
	n.account(history.Lease{Node: n.name, Failed: true, Deadline: end + 1})
	if s := c.Stats(); len(h.all()) != 0 || s.LeaseMissed != 0 || s.LeaseFailed != 0 {
		t.Errorf("what ran out while the node was down is counted: %+v", s)
	}
	n.account(history.Lease{Node: n.name, Failed: true, Deadline: end - 1})
	if s := c.Stats(); len(h.all()) != 1 || s.LeaseMissed != 1 || s.LeaseFailed != 1 {
		t.Errorf("what had run out before the crash is not counted: %+v", s)
	}
}

// attempts counts the requests that have ended, well or not.
type attempts struct{ atomic.Int64 }

func (a *attempts) Request(*history.Request)       { a.Add(1) }
func (a *attempts) WatchEvent(*history.WatchEvent) {}

// observe has an observer told of the requests of clusters that start later.
func (f *fakeAPI) observe(o history.Observer) {
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: f.server.Certificate().Raw})
	layer, err := client.New(client.Config{Servers: []string{f.server.Listener.Addr().String()}, CA: ca, Observer: o})
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(layer.Close)
	f.layer = layer
}

// TestWritesUnderWayAreAbandoned crashes a node in the middle of writes that the
// server takes its time with.
func TestWritesUnderWayAreAbandoned(t *testing.T) {
	for part, begin := range map[string]func(f *fakeAPI, n *node){
		"PATCH namespaces/default/pods/web": func(f *fakeAPI, n *node) { f.addPod("web", "node-00000") },
		"PUT namespaces/kube-node-lease": func(_ *fakeAPI, n *node) {
			n.stopTimers()
			n.life.run(func() { n.beat(n.life.ctx, history.Now()) })
		},
		"PATCH nodes/node-00000/status": func(_ *fakeAPI, n *node) {
			n.stopTimers()
			n.life.run(func() { n.reportStatus(n.life.ctx, false) })
		},
	} {
		t.Run(part, func(t *testing.T) {
			f := newFakeAPI(t)
			var tries attempts
			f.observe(&tries)
			var h heard
			c := start(t, f, Config{Profile: Lean, Hooks: Hooks{Lease: h.lease}})
			timed(t, c.nodes[0])
			settled(t, f, c)
			before := len(f.sent(part))
			release, _ := f.setHold(part)
			begin(f, c.nodes[0])
			eventually(t, "the write is under way", func() bool { return len(f.sent(part)) == before+1 })
			tried := tries.Load()
			must(t, c.Crash("node-00000"))
			release()
			if got := tries.Load() - tried; got != 1 { // an attempt counts when it ends
				t.Errorf("%d attempts ended with the crash, want the one that was under way", got)
			}
			if s := c.Stats(); len(h.all()) != 0 || s.LeaseFailed != 0 {
				t.Errorf("it counts against the control plane: %+v", s)
			}
			must(t, c.Boot("node-00000"))
			f.addPod("later", "node-00000")
			eventually(t, "all is well again", func() bool {
				p := f.podNamed("web")
				return isReady(f.podNamed("later")) && (p == nil || isReady(p))
			})
		})
	}
}

// TestFlapping does everything to all nodes at once, again and again.
func TestFlapping(t *testing.T) {
	f := newFakeAPI(t)
	c := start(t, f, Config{Nodes: 6})
	settled(t, f, c)
	for i, name := range c.Nodes() {
		f.addPod(fmt.Sprint("pod-", i), name)
	}
	var wg sync.WaitGroup
	for i, do := range []func(...string) error{c.Crash, c.Boot, c.RestartKubelets} {
		wg.Go(func() {
			for round := range 15 {
				nodes := c.Nodes()[(i+round)%3 : 3+(i+round)%4]
				if err := do(nodes...); err != nil {
					t.Error(err)
				}
				f.addPod(fmt.Sprint("pod-", i, "-", round), c.Nodes()[round%6])
			}
		})
	}
	wg.Wait()
	must(t, c.Boot(c.Nodes()...))
	const pods = 6 + 3*15
	eventually(t, "all pods run", func() bool { return c.Stats().PodsRunning == pods })
	settled(t, f, c)
	if s := c.Stats(); s.NodesDown != 0 || s.PodsHeld != pods || s.NodesRegistered != 6 || s.PodDeletes != 0 || s.LeaseMissed != 0 {
		t.Errorf("%+v", s)
	}
	for i, n := range c.nodes {
		p := f.podNamed(fmt.Sprint("pod-", i))
		if got := p.Status.ContainerStatuses[0].RestartCount; !isReady(p) || got > int32(n.boots) {
			t.Errorf("%s after %d boots: %+v", p.Name, n.boots, p.Status)
		}
	}
}

func TestOutagesOfUnknownNodes(t *testing.T) {
	f := newFakeAPI(t)
	c := New(Config{Nodes: 2, Profile: Lean, Layer: f.layer, RegisterPerSecond: 1000})
	clock := func(nodes ...string) error { return c.SetClock(nodes[len(nodes)-1], time.Hour) }
	outages := map[string]func(...string) error{
		"crash nodes": c.Crash, "boot nodes": c.Boot, "restart kubelets": c.RestartKubelets, "set clock": clock,
	}
	check := func(want string, nodes ...string) {
		t.Helper()
		for what, do := range outages {
			if err := do(nodes...); err == nil || err.Error() != what+": "+want {
				t.Errorf("%v, want %s: %s", err, what, want)
			}
		}
	}
	check("the simulated cluster has not started", "node-00000")
	must(t, c.Start(t.Context()))
	t.Cleanup(c.Stop)
	check(`no such nodes: ["node-00002"]`, "node-00001", "node-00002")
	check(`no such nodes: ["web"]`, "web")
	if s := c.Stats(); s.NodesDown != 0 || c.nodes[1].offset() != 0 {
		t.Errorf("something was done nevertheless: %+v", s)
	}
	must(t, c.Boot("node-00001")) // it is up
	if got := c.nodes[1].boots; got != 0 {
		t.Errorf("a node that was up was booted %d times", got)
	}
	c.Stop()
	check("the simulated cluster is stopped", "node-00000")
}

func TestStopWhileNodesAreDown(t *testing.T) {
	f := newFakeAPI(t)
	c := start(t, f, Config{Nodes: 4})
	for i, name := range c.Nodes() {
		f.addPod(fmt.Sprint("pod-", i), name)
	}
	eventually(t, "pods are running", func() bool { return c.Stats().PodsRunning == 4 })
	must(t, c.Crash("node-00000", "node-00001", "node-00002"))
	must(t, c.Boot("node-00001")) // and this one is about to start
	c.Stop()
	eventually(t, "nothing is left running", func() bool { return goroutines() == 0 })
	eventually(t, "the server has no watch left", func() bool { return f.watching("") == 0 })
	for _, n := range c.nodes {
		for _, timer := range []*time.Timer{n.leaseTimer, n.statusTimer} {
			if timer != nil && timer.Stop() {
				t.Errorf("%s still has a timer", n.name)
			}
		}
	}
}

// TestCrashEndsWithTheCluster has a hook block the kubelet that is to die.
func TestCrashEndsWithTheCluster(t *testing.T) {
	f := newFakeAPI(t)
	called, release := make(chan struct{}), make(chan struct{})
	c := start(t, f, Config{Profile: Lean, Hooks: Hooks{PodSeen: func(string, string, history.Time) {
		close(called)
		<-release
	}}})
	f.addPod("web", "node-00000")
	<-called
	ended := make(chan error)
	go func() { ended <- c.Crash("node-00000") }()
	eventually(t, "the node is down", func() bool { return c.Stats().NodesDown == 1 })
	c.cancel() // the first thing that Stop does
	if err := <-ended; !errors.Is(err, errStopped) {
		t.Errorf("%v", err)
	}
	close(release)
}

// TestSetClock looks at every time that a node writes, and that what is due is
// due as ever.
func TestSetClock(t *testing.T) {
	for _, off := range []time.Duration{-time.Hour, time.Hour} {
		t.Run(off.String(), func(t *testing.T) { setClock(t, off) })
	}
}

func setClock(t *testing.T, off time.Duration) {
	f := newFakeAPI(t)
	var h heard
	c := start(t, f, Config{Nodes: 2, Profile: Lean, Hooks: Hooks{Lease: h.lease}})
	n := c.nodes[0]
	timed(t, n)
	must(t, c.SetClock("node-00000", off))
	isOff := func(what string, at time.Time, want time.Duration) {
		t.Helper()
		if got := time.Until(at); got-want > time.Minute || got-want < -time.Minute {
			t.Errorf("%s is off by %v, want %v", what, got, want)
		}
	}
	n.stopTimers()
	due := history.Now()
	n.beat(n.life.ctx, due)
	n.stopTimers()
	n.reportStatus(n.life.ctx, true)
	for i, name := range c.Nodes() {
		f.addPod(fmt.Sprint("pod-", i), name)
	}
	eventually(t, "pods are running", func() bool { return c.Stats().PodsRunning == 2 })
	for _, condition := range f.nodeNamed("node-00000").Status.Conditions {
		isOff("heartbeat", condition.LastHeartbeatTime.Time, off)
	}
	isOff("lease", f.leaseOf("node-00000").Spec.RenewTime.Time, off)
	pod := f.podNamed("pod-0").Status
	isOff("start of the pod", pod.StartTime.Time, off)
	isOff("start of its container", pod.ContainerStatuses[0].State.Running.StartedAt.Time, off)
	isOff("its condition", pod.Conditions[0].LastTransitionTime.Time, off)
	isOff("start of a pod elsewhere", f.podNamed("pod-1").Status.StartTime.Time, 0)

	now := history.Now()
	if l := h.all()[0]; l.Due != due || l.Sent < due || l.Answered > now || l.Deadline > now.Add(leaseDuration) || n.lease.renewed > now {
		t.Errorf("the account of the renewal has another clock than the run: %+v at %d", l, now)
	}
	n.mu.Lock()
	next := time.Until(n.status.due)
	n.mu.Unlock()
	if next > 8*time.Minute || next < 0 {
		t.Errorf("the next report is due in %v", next)
	}
	must(t, c.SetClock("node-00000", 0))
	n.beat(n.life.ctx, history.Now())
	isOff("lease", f.leaseOf("node-00000").Spec.RenewTime.Time, 0)
}

// TestOwnConnectionsAreCut counts the connections at the server.
func TestOwnConnectionsAreCut(t *testing.T) {
	f := newFakeAPI(t)
	var mu sync.Mutex
	issued := map[string]int{}
	cfg := Config{Nodes: 2, OwnConnections: true, Certificate: func(user string, _ []string) (tls.Certificate, error) {
		mu.Lock()
		defer mu.Unlock()
		if issued[user]++; user == "system:node:node-00000" && issued[user] == 2 {
			return tls.Certificate{}, errors.New("no entropy")
		}
		return f.server.TLS.Certificates[0], nil
	}}
	c := start(t, f, cfg)
	settled(t, f, c)
	open := func() (count int) {
		f.conns.Range(func(any, any) bool { count++; return true })
		return count
	}
	all := open()
	must(t, c.Crash("node-00000"))
	eventually(t, "both connections are cut", func() bool { return open() == all-2 })

	err := c.Boot("node-00000")
	if err == nil || !strings.Contains(err.Error(), "boot nodes: issue client certificate of node-00000: no entropy") {
		t.Errorf("%v", err)
	}
	if got := c.Stats().NodesDown; got != 1 {
		t.Errorf("%d nodes down", got)
	}
	must(t, c.Boot("node-00000"))
	settled(t, f, c)
	if got := open(); got != all {
		t.Errorf("%d connections after the boot, want %d", got, all)
	}
	proxies := issued["system:kube-proxy"]
	must(t, c.RestartKubelets("node-00001"))
	settled(t, f, c)
	f.addPod("web", "node-00001")
	eventually(t, "pod is running", func() bool { return c.Stats().PodsRunning == 1 })
	if got := issued["system:kube-proxy"]; got != proxies || issued["system:node:node-00001"] != 2 {
		t.Errorf("the kube-proxy was restarted, too, or the kubelet was not: %v", issued)
	}
	eventually(t, "the old connection is gone", func() bool { return open() == all })
}
