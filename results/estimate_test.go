package results

import (
	"strings"
	"testing"
)

// The runs that the coefficients were fitted to, with the peaks that were
// measured, in MiB without mapped files.
func TestEstimateAgreesWithWhatWasMeasured(t *testing.T) {
	f := func(d Demand, apiserver, scheduler, controllerManager, harness int64) {
		t.Helper()
		d.Servers, d.Members = 1, 3
		d.GC = map[string]GC{
			"kube-apiserver": {400, 9900 * mib}, "kube-scheduler": {300, 1410 * mib},
			"kube-controller-manager": {300, 1410 * mib}, "harness": {200, 4900 * mib},
		}
		e := EstimateRun(d)
		for name, want := range map[string]int64{
			"kube-apiserver-0": apiserver, "kube-scheduler-0": scheduler,
			"kube-controller-manager-0": controllerManager, HarnessName: harness,
		} {
			if got := e.MemoryBytes[name] / mib; got < want*70/100 || got > want*130/100 {
				t.Errorf("%d nodes, %d pods: %s: estimate %d MiB, measured %d: more than 30 %% off", d.Nodes, d.Pods, name, got, want)
			}
		}
	}
	f(Demand{Nodes: 100, Pods: 3000, WatchesPerNode: 4, ChangesPerPod: 8}, 2660, 229, 292, 358)
	f(Demand{Nodes: 1000, Pods: 10_000, WatchesPerNode: 1, ChangesPerPod: 3}, 4200, 555, 610, 410)
	f(Demand{Nodes: 5000, Pods: 20_000, WatchesPerNode: 1, ChangesPerPod: 3}, 9520, 1229, 1229, 759)
}

func TestLimitBoundsTheEstimate(t *testing.T) {
	f := func(want int64, gc GC, live int64) {
		t.Helper()
		if got := gc.peak(live); got != want {
			t.Errorf("%+v.peak(%d) = %d, want %d", gc, live, got, want)
		}
	}
	f(500, GC{Percent: 400}, 100)
	f(300, GC{Percent: 400, Limit: 300}, 100)
	f(400, GC{Percent: 400, Limit: 300}, 400) // a limit below what is live cannot be kept
}

var measured = Demand{Nodes: 5000, Pods: 150_000, WatchesPerNode: 1, Servers: 1, Members: 3}

func TestEstimateGrows(t *testing.T) {
	base := EstimateRun(measured)
	f := func(name string, change func(*Demand), bigger func(e Estimate) bool) {
		t.Helper()
		d := measured
		change(&d)
		if !bigger(EstimateRun(d)) {
			t.Errorf("%s does not raise the estimate", name)
		}
	}
	memory := func(e Estimate) bool { return e.Memory() > base.Memory() }
	f("more nodes", func(d *Demand) { d.Nodes++ }, memory)
	f("more pods", func(d *Demand) { d.Pods++ }, memory)
	f("more watches", func(d *Demand) { d.WatchesPerNode = 4 }, memory)
	f("two servers", func(d *Demand) { d.Servers = 2 }, memory)
	f("five members", func(d *Demand) { d.Members = 5 }, memory)
	f("a second scheduler", func(d *Demand) { d.Schedulers = 2 }, memory)
	f("a second controller manager", func(d *Demand) { d.ControllerManagers = 2 }, memory)
	f("simulated controllers", func(d *Demand) { d.Informers = 2 }, memory)
	f("simulated controllers", func(d *Demand) { d.Informers = 200 }, func(e Estimate) bool { return e.FDs > base.FDs })
	f("own connections", func(d *Demand) { d.OwnConnections = true }, func(e Estimate) bool { return e.FDs >= 15_000 && e.FDs < 17_000 })
	f("own connections of kubelet and kube-proxy", func(d *Demand) { d.OwnConnections, d.ClientsPerNode = true, 2 },
		func(e Estimate) bool { return e.FDs >= 30_000 })
	f("more pods", func(d *Demand) { d.Pods *= 2 }, func(e Estimate) bool { return e.DiskBytes > base.DiskBytes })
	if e := EstimateRun(Demand{Nodes: 1}); len(e.MemoryBytes) != 4 {
		t.Errorf("a demand without servers has components %v, want one of each", e.MemoryBytes)
	}
}

// Each process has a line of its own. A standby costs what it keeps: a scheduler
// fills its caches, a controller manager waits for the lead.
func TestEstimateOfStandbys(t *testing.T) {
	d := measured
	d.Schedulers, d.ControllerManagers = 2, 2
	e := EstimateRun(d)
	if len(e.MemoryBytes) != 6 {
		t.Errorf("components %v, want six", e.MemoryBytes)
	}
	f := func(e Estimate, component string, want int64) {
		t.Helper()
		if got := e.MemoryBytes[component]; got != want || got == 0 {
			t.Errorf("%s: %d, want %d", component, got, want)
		}
	}
	f(e, "kube-scheduler-1", e.MemoryBytes["kube-scheduler-0"])
	f(e, "kube-controller-manager-1", costs.controllerManager.base)
	d.Leaderless = true
	e = EstimateRun(d)
	f(e, "kube-controller-manager-1", e.MemoryBytes["kube-controller-manager-0"])
}

func TestFits(t *testing.T) {
	e := Estimate{MemoryBytes: map[string]int64{"a": 8 * gib, "b": 4 * gib}, FDs: 20_000, DiskBytes: 4 * gib}
	enough := Host{AvailableBytes: 12 * gib, MaxFDs: 20_000, DiskBytes: 4 * gib}
	if err := e.Fits(enough); err != nil {
		t.Errorf("just enough: %v", err)
	}
	f := func(change func(*Host), want ...string) {
		t.Helper()
		h := enough
		change(&h)
		err := e.Fits(h)
		if err == nil {
			t.Errorf("%+v fits", h)
			return
		}
		for _, w := range append(want, "--force") {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("error %q lacks %q", err, w)
			}
		}
		if strings.Contains(err.Error(), "\n") {
			t.Errorf("more than a line: %q", err)
		}
	}
	f(func(h *Host) { h.AvailableBytes-- }, "12 GiB of memory")
	f(func(h *Host) { h.MaxFDs = 4096 }, "20000 file descriptors", "4096", "ulimit")
	f(func(h *Host) { h.DiskBytes = 100 * mib }, "4.0 GiB of disk", "100 MiB")
	f(func(h *Host) { *h = Host{} }, "memory", "descriptors", "disk")
}
