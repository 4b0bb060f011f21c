package scenarios

import (
	"fmt"
	"maps"

	"golang.org/x/sys/unix"

	"github.com/planecheck/planecheck/results"
)

// raiseFileLimit raises the soft limit of open files to the hard one: with
// connections of their own, 5,000 nodes need 15,000 descriptors.
func raiseFileLimit() error {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("read the limit of open files: %w", err)
	}
	if limit.Cur == limit.Max {
		return nil
	}
	limit.Cur = limit.Max
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("raise the limit of open files to %d: %w", limit.Max, err)
	}
	return nil
}

// Sizes of `planecheck scale` without --nodes and --pods: about four minutes of
// run on 2 CPUs and 24 GiB, and in proportion to the CPUs elsewhere, as long as
// the memory holds it and within the limits that Kubernetes itself supports.
// Start, register and hold take 40 s; what remains is 5,000 pods that are created
// and deleted at the rates that Plan.length rests on. With 8,000 the run
// 20261123T112710Z (planecheck 69ab591) took six minutes.
const (
	nodesPerCPU = 500
	podsPerCPU  = 2_500
	podsPerGiB  = 5_000
	nodesMost   = 5_000
	podsMost    = 150_000
)

func sizeFor(h results.Host) (nodes, pods int) {
	gib := int((h.MemoryBytes + 1<<29) >> 30) // a machine of 24 GiB shows a little less
	nodes = min(nodesPerCPU*h.CPUs, nodesMost)
	pods = min(podsPerCPU*h.CPUs, podsPerGiB*gib, podsMost, nodes*podsPerNode)
	return nodes, pods
}

// harness is the name of this process, which holds the simulation and, by
// default, the members of etcd.
const harness = "harness"

// gcShare is how the machine's memory is divided among the Go runtimes by
// default, and the GOGC that goes with it. The limits sum to three quarters of
// the memory. No recorded run compares GOGC 400 with another; before there was
// planecheck, an API server that was sent pods which were bound already used 39 CPU
// seconds with it and 56 with 100.
//
// The live heaps at 144,000 pods were 5.7 GB in the API server, 1.9 in the controller
// manager and 1.7 in the scheduler (run 20261122T0437, planecheck a3a6d83, see
// docs/performance.md). What each has beyond that goes by the square root of live
// heap times allocation rate, which makes the sum of all marking least: calculated,
// not compared with other shares.
type gcShare struct {
	component string
	percent   int
	share     float64 // of the machine's memory, over all instances
	floor     int64   // bytes; what the component needs to start at all
}

func gcShares() []gcShare {
	const mib = 1 << 20
	return []gcShare{
		{"kube-apiserver", 400, 0.437, 600 * mib},
		{harness, 400, 0.094, 600 * mib},
		{"kube-scheduler", 400, 0.097, 300 * mib},
		{"kube-controller-manager", 400, 0.122, 300 * mib},
	}
}

// GCComponents are the names that --gogc and --gomemlimit know.
func GCComponents() []string {
	var names []string
	for _, s := range gcShares() {
		names = append(names, s.component)
	}
	return names
}

// fillGC completes the settings that the person left open.
func (w *World) fillGC(h results.Host) {
	instances := map[string]int{
		"kube-apiserver": w.APIServers, harness: 1,
		"kube-scheduler": w.Schedulers, "kube-controller-manager": w.ControllerManagers,
	}
	// The caller's map may be a default that several plans share.
	filled := maps.Clone(w.GC)
	if filled == nil {
		filled = map[string]GC{}
	}
	for _, s := range gcShares() {
		g := filled[s.component]
		if g.Percent == 0 {
			g.Percent = s.percent
		}
		if g.MemoryLimit == 0 {
			each := int64(s.share*float64(h.MemoryBytes)) / int64(instances[s.component])
			g.MemoryLimit = max(each, s.floor)
		}
		filled[s.component] = g
	}
	w.GC = filled
}
