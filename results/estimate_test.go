package results

import (
	"strings"
	"testing"
	"time"
)

func TestLimitBoundsTheEstimate(t *testing.T) {
	f := func(want int64, gc GC, live int64) {
		t.Helper()
		if got := gc.peak(live); got != want {
			t.Errorf("%+v.peak(%d) = %d, want %d", gc, live, got, want)
		}
	}
	f(runtimeBytes+500*mib, GC{Percent: 400}, 100*mib)
	f(300*mib, GC{Percent: 400, Limit: 300 * mib}, 100*mib)
	f(400*mib, GC{Percent: 400, Limit: 300 * mib}, 400*mib) // a limit below what is live cannot be kept
}

var measured = Demand{Nodes: 5000, Pods: 150_000, WatchesPerNode: 1, ChangesPerPod: 4, Servers: 1, Members: 3}

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
	f("objects of a manifest", func(d *Demand) { d.Objects = 1000 }, memory)
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
	f("links to the store", func(d *Demand) { d.StoreLinks = true }, func(e Estimate) bool { return e.FDs == base.FDs+2*3*storeConnections })
	f("links to the API servers", func(d *Demand) { d.ClientLinks = true }, func(e Estimate) bool { return e.FDs == base.FDs+2*(5000/80+1) })
	f("proxies", func(d *Demand) { d.Proxied = true }, func(e Estimate) bool { return e.FDs == base.FDs+2*3*storeConnections })
	f("contract traffic", func(d *Demand) { d.ContractRate, d.Length = 150, time.Minute }, memory)
	disk := func(e Estimate) bool { return e.DiskBytes > base.DiskBytes && e.HistoryBytes > base.HistoryBytes }
	f("more pods", func(d *Demand) { d.Pods *= 2 }, disk)
	f("objects of a manifest", func(d *Demand) { d.Objects = 1000 }, disk)
	f("replaced pods", func(d *Demand) { d.Replaced = 1000 }, disk)
	f("renewals", func(d *Demand) { d.Length = time.Minute }, disk)
	if e := EstimateRun(Demand{Nodes: 1}); len(e.MemoryBytes) != 4 {
		t.Errorf("a demand without servers has components %v, want one of each", e.MemoryBytes)
	}
}

// Of a long run the histories are kept whole, while the store is compacted, and purges
// its logs.
func TestEstimateOfLongRuns(t *testing.T) {
	d := measured
	d.Length = time.Hour
	hour := EstimateRun(d)
	d.Length *= 2
	two := EstimateRun(d)
	if more := two.HistoryBytes - hour.HistoryBytes; more < diskPerHistory*5000*360 {
		t.Errorf("an hour more of renewals adds %d bytes of history", more)
	}
	if two.DiskBytes > hour.DiskBytes {
		t.Errorf("the store takes %d bytes after an hour and %d after two", hour.DiskBytes, two.DiskBytes)
	}
	d.Length = historyKept
	if kept := EstimateRun(d); hour.DiskBytes >= kept.DiskBytes {
		t.Errorf("the store takes %d bytes if all is kept and %d if what is superseded is not", kept.DiskBytes, hour.DiskBytes)
	}
}

// A store without files takes neither disk nor the memory of a log.
func TestEstimateOfVolatileStores(t *testing.T) {
	d := measured
	d.Members = 1
	kept := EstimateRun(d)
	d.Volatile = true
	if e := EstimateRun(d); e.DiskBytes != 0 || e.HistoryBytes != kept.HistoryBytes || e.Memory() >= kept.Memory() || e.FDs >= kept.FDs {
		t.Errorf("%+v, and of a member of etcd %+v", e, kept)
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
	f(e, "kube-controller-manager-1", runtimeBytes)
	d.Leaderless = true
	e = EstimateRun(d)
	f(e, "kube-controller-manager-1", e.MemoryBytes["kube-controller-manager-0"])
}

func TestFits(t *testing.T) {
	e := Estimate{MemoryBytes: map[string]int64{"a": 8 * gib, "b": 4 * gib}, FDs: 20_000, DiskBytes: 3 * gib, HistoryBytes: gib}
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
		// All of the estimate is told, whatever is lacking.
		for _, w := range append(want, "12 GiB of memory", "20000 file descriptors", "4.0 GiB of disk", "--force") {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("error %q lacks %q", err, w)
			}
		}
		if strings.Contains(err.Error(), "\n") {
			t.Errorf("more than a line: %q", err)
		}
	}
	const tooLittle = "too little of "
	f(func(h *Host) { h.AvailableBytes -= 2 * gib }, tooLittle+"memory, of which 10 GiB are available; take")
	f(func(h *Host) { h.MaxFDs = 4096 }, tooLittle+"file descriptors, of which a process may have 4096 (ulimit -Hn); take")
	f(func(h *Host) { h.DiskBytes = 100 * mib }, tooLittle+"disk, of which 100 MiB are free; take")
	f(func(h *Host) { *h = Host{} }, tooLittle+"memory, ", "; and of file descriptors, ", "; and of disk, ")
}
