package results

import (
	"strings"
	"testing"
)

// measured is the run that most coefficients come from.
var measured = Demand{Nodes: 5000, Pods: 150_000, WatchesPerNode: 1, Servers: 1, Members: 3}

func TestEstimateAgreesWithWhatWasMeasured(t *testing.T) {
	e := EstimateRun(measured)
	f := func(name string, got, want int64) {
		t.Helper()
		if low, high := want*70/100, want*130/100; got < low || got > high {
			t.Errorf("%s: estimate %s, measured %s: more than 30 %% off", name, bytesText(got), bytesText(want))
		}
	}
	f("apiserver", e.MemoryBytes["kube-apiserver-0"], 8_300_000_000)
	// 0.85 GB of simulation, and a heap of 375 MB of etcd.
	f("harness", e.MemoryBytes[HarnessName], 1_225_000_000)
	f("disk", e.DiskBytes, 3_500_000_000)
}

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
	f("own connections", func(d *Demand) { d.OwnConnections = true }, func(e Estimate) bool { return e.FDs >= 15_000 })
	f("more pods", func(d *Demand) { d.Pods *= 2 }, func(e Estimate) bool { return e.DiskBytes > base.DiskBytes })
	if e := EstimateRun(Demand{Nodes: 1}); len(e.MemoryBytes) != 4 {
		t.Errorf("a demand without servers has components %v, want one of each", e.MemoryBytes)
	}
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
