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

// Sizes of `planecheck scale` without --nodes and --pods: three to four minutes
// on 2 CPUs and 24 GiB, and in proportion to the CPUs elsewhere, as long as
// the memory holds it and within the limits that Kubernetes itself supports.
const (
	nodesPerCPU = 500
	podsPerCPU  = 4_000
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
// the memory. GOGC=400 took a third less CPU of an API server than 100 where
// both were measured. At 144,000 pods the live heaps were 5.7, 1.9 and 1.7 GB; what
// each has beyond that goes by the square root of live heap times allocation
// rate, which makes the sum of all marking least.
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
