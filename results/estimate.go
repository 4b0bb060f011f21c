package results

import (
	"errors"
	"fmt"
	"strings"
)

// Demand is what a run is to carry, as far as it decides what the run costs.
type Demand struct {
	Nodes          int
	Pods           int
	WatchesPerNode int // by the profile of the simulation: lean 1, kubelet 4
	OwnConnections bool
	Servers        int // kube-apiservers
	Members        int // of etcd
}

// Estimate is what a run is going to need.
type Estimate struct {
	MemoryBytes map[string]int64 `json:"memory_bytes"` // by component
	FDs         int64            `json:"fds"`          // of the harness, the process with most
	DiskBytes   int64            `json:"disk_bytes"`
}

// Memory is the sum over all components.
func (e *Estimate) Memory() int64 {
	var sum int64
	for _, b := range e.MemoryBytes {
		sum += b
	}
	return sum
}

const (
	kib = int64(1) << 10
	mib = int64(1) << 20
	gib = int64(1) << 30
)

// cost is what one component costs at rest and per thing that it carries.
type cost struct {
	base, perNode, perPod, perWatch int64
}

// costs are memory without mapped files, in bytes. The sources are runs on 2
// cores and 24 GiB (shared/facts/measured.md): with 5,000 nodes, 150,000 pods,
// 5,000 watches and three members the apiserver peaked at 8.3 GB, of which
// 290 MB at rest and 65-80 KB a watch; etcd's heap at 375 MB; the simulation
// at 170 KB a node with its watch. Scheduler and controller-manager keep every
// pod and node decoded, which is a third of what the apiserver keeps.
var costs = struct {
	apiserver, scheduler, controllerManager, simulation, member cost
	results                                                     cost
}{
	apiserver:         cost{base: 290 * mib, perNode: 20 * kib, perPod: 49 * kib, perWatch: 75 * kib},
	scheduler:         cost{base: 80 * mib, perNode: 40 * kib, perPod: 10 * kib},
	controllerManager: cost{base: 80 * mib, perNode: 20 * kib, perPod: 15 * kib},
	simulation:        cost{base: 60 * mib, perNode: 70 * kib, perPod: 1 * kib, perWatch: 60 * kib},
	member:            cost{base: 40 * mib, perNode: kib / 2, perPod: kib / 2},
	// The figures of this package: a pod is some 130 bytes, and the
	// histograms of some hundred series take 20 MB.
	results: cost{base: 40 * mib, perPod: kib / 7},
}

func (c cost) of(d Demand, watches int64) int64 {
	return c.base + c.perNode*int64(d.Nodes) + c.perPod*int64(d.Pods) + c.perWatch*watches
}

// Disk per member of etcd: two write-ahead logs that are preallocated, and 7 KB
// a pod and 4 KB a node of database with its history between compactions (3.5
// GB for three members, 150,000 pods); and what a run writes beside it.
const (
	memberDiskBase    = 192 * mib
	memberDiskPerPod  = 7 * kib
	memberDiskPerNode = 4 * kib
	runDiskBase       = 128 * mib
)

// File descriptors of the harness. A connection of a simulated node costs
// three: its own end, and both ends of the balancer's two halves.
const (
	fdsAtRest           = 300
	fdsPerConnection    = 3
	streamsOnConnection = 80
	fdsPerServer        = 200 // connections of an apiserver to etcd, both ends and peers
)

// EstimateRun says what a run with the load is going to need.
func EstimateRun(d Demand) Estimate {
	d.Servers, d.Members = max(d.Servers, 1), max(d.Members, 1)
	watches := int64(d.Nodes) * int64(d.WatchesPerNode)
	e := Estimate{MemoryBytes: map[string]int64{}}
	for i := range d.Servers {
		// Watches are spread over the servers; each caches all objects.
		e.MemoryBytes[fmt.Sprintf("kube-apiserver-%d", i)] = costs.apiserver.of(d, watches/int64(d.Servers))
	}
	e.MemoryBytes["kube-scheduler-0"] = costs.scheduler.of(d, 0)
	e.MemoryBytes["kube-controller-manager-0"] = costs.controllerManager.of(d, 0)
	e.MemoryBytes[HarnessName] = costs.simulation.of(d, watches) + costs.results.of(d, 0) +
		int64(d.Members)*costs.member.of(d, 0)

	connections := watches/streamsOnConnection + 1
	if d.OwnConnections {
		connections = int64(d.Nodes)
	}
	e.FDs = fdsAtRest + fdsPerConnection*connections + fdsPerServer*int64(d.Servers)
	e.DiskBytes = runDiskBase + int64(d.Members)*
		(memberDiskBase+memberDiskPerPod*int64(d.Pods)+memberDiskPerNode*int64(d.Nodes))
	return e
}

// Fits reports what the host lacks for the estimate, nil if nothing. The error
// is one line that names the way out.
func (e *Estimate) Fits(h Host) error {
	var lacks []string
	if need := e.Memory(); need > h.AvailableBytes {
		lacks = append(lacks, fmt.Sprintf("%s of memory, %s are available", bytesText(need), bytesText(h.AvailableBytes)))
	}
	if e.FDs > h.MaxFDs {
		lacks = append(lacks, fmt.Sprintf("%d file descriptors, the hard limit is %d (ulimit -Hn)", e.FDs, h.MaxFDs))
	}
	if e.DiskBytes > h.DiskBytes {
		lacks = append(lacks, fmt.Sprintf("%s of disk, %s are free", bytesText(e.DiskBytes), bytesText(h.DiskBytes)))
	}
	if len(lacks) == 0 {
		return nil
	}
	return errors.New("the run does not fit on this machine: it needs " + strings.Join(lacks, "; and ") +
		"; take fewer nodes or pods, or --force to try")
}

// bytesText prints bytes with the unit that suits them.
func bytesText(n int64) string {
	switch {
	case n >= 10*gib:
		return fmt.Sprintf("%.0f GiB", float64(n)/float64(gib))
	case n >= gib:
		return fmt.Sprintf("%.1f GiB", float64(n)/float64(gib))
	default:
		return fmt.Sprintf("%d MiB", (n+mib/2)/mib)
	}
}
