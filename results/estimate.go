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
	ChangesPerPod  int // writes of a pod's object over its life: lean 3, kubelet 8
	OwnConnections bool
	// ClientsPerNode is how many identities of a node have a connection of their own
	// with OwnConnections: lean 1 (the kubelet), kubelet 2 (and the kube-proxy).
	ClientsPerNode int
	Servers        int // kube-apiservers
	Schedulers     int
	// ControllerManagers is how many there are, of which one leads, or all with
	// Leaderless.
	ControllerManagers int
	Leaderless         bool
	// Informers is how many replicas of simulated controllers watch all pods.
	Informers int
	Members   int // of etcd
	// GC is by kind of component; "harness" is this process with etcd.
	GC map[string]GC
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

// GC is the setting of a component's garbage collector. The heap grows by
// Percent of what is live before it is collected, but not beyond Limit.
type GC struct {
	Percent int
	Limit   int64 // bytes; 0: none
}

// peak is the memory of a process with so much live. Its garbage is the live
// heap times GOGC; the limit counts all that the runtime holds.
func (g GC) peak(live int64) int64 {
	most := live * int64(100+g.Percent) / 100
	if g.Limit > 0 {
		most = min(most, max(g.Limit, live))
	}
	return most
}

// cost is what one component keeps live at rest and per thing that it carries,
// in bytes.
type cost struct {
	base, perNode, perPod, perWatch int64
	// perChange is for the first recentChanges only: a watch cache keeps both
	// versions of the objects that changed lately.
	perChange int64
}

const recentChanges = 55_000

// costs are fitted to runs on 2 CPUs and 24 GiB of 21 November 2026, without
// mapped files and with the live heap taken as the peak divided by 1 + GOGC:
// 100 nodes and 3,000 pods (kubelet), 1,000 and 8,000 (kubelet), 1,000 and
// 10,000 (lean), 5,000 and 20,000 (lean). A pod in a watch cache is some 10 KB.
var costs = struct{ apiserver, scheduler, controllerManager, harness, member cost }{
	apiserver:         cost{base: 60 * mib, perNode: 160 * kib, perPod: 10 * kib, perWatch: 75 * kib, perChange: 17 * kib},
	scheduler:         cost{base: 35 * mib, perNode: 30 * kib, perPod: 5 * kib},
	controllerManager: cost{base: 50 * mib, perNode: 28 * kib, perPod: 5 * kib},
	harness:           cost{base: 60 * mib, perNode: 15 * kib, perPod: 3 * kib / 2, perWatch: 10 * kib},
	member:            cost{base: 10 * mib},
}

// informer is what a replica of a simulated controller keeps in the harness: 265
// bytes a pod, by client-go's indexer with 100,000 of what it keeps of one (23 November
// 2026), and room for its client and its queues.
var informer = cost{base: 256 * kib, perPod: 265}

func (c cost) of(d Demand, watches int64) int64 {
	return c.base + c.perNode*int64(d.Nodes) + c.perPod*int64(d.Pods) + c.perWatch*watches +
		c.perChange*int64(min(d.Pods*d.ChangesPerPod, recentChanges))
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

// File descriptors of the harness. A connection of a simulated node costs three: its
// own end, and both that the balancer has of it.
const (
	fdsAtRest           = 300
	fdsPerConnection    = 3
	streamsOnConnection = 80
	fdsPerServer        = 200 // connections of an apiserver to etcd, both ends and peers
)

// EstimateRun says what a run with the load is going to need.
func EstimateRun(d Demand) Estimate {
	for _, n := range []*int{&d.Servers, &d.Schedulers, &d.ControllerManagers, &d.Members, &d.ClientsPerNode} {
		*n = max(*n, 1)
	}
	watches := int64(d.Nodes)*int64(d.WatchesPerNode) + int64(d.Informers)
	e := Estimate{MemoryBytes: map[string]int64{}}
	for i := range d.Servers {
		// Watches are spread over the servers; each caches all objects.
		live := costs.apiserver.of(d, watches/int64(d.Servers))
		e.MemoryBytes[fmt.Sprintf("kube-apiserver-%d", i)] = d.GC["kube-apiserver"].peak(live)
	}
	for i := range d.Schedulers { // a standby fills its caches as well
		e.MemoryBytes[fmt.Sprintf("kube-scheduler-%d", i)] = d.GC["kube-scheduler"].peak(costs.scheduler.of(d, 0))
	}
	for i := range d.ControllerManagers {
		live := costs.controllerManager.of(d, 0)
		if i > 0 && !d.Leaderless { // it starts its informers when it leads
			live = costs.controllerManager.base
		}
		e.MemoryBytes[fmt.Sprintf("kube-controller-manager-%d", i)] = d.GC["kube-controller-manager"].peak(live)
	}
	e.MemoryBytes[HarnessName] = d.GC["harness"].peak(costs.harness.of(d, watches) +
		int64(d.Members)*costs.member.of(d, 0) + int64(d.Informers)*informer.of(d, 0))
	e.FDs = fdsAtRest + fdsPerConnection*d.connections(watches) + fdsPerServer*int64(d.Servers)
	e.DiskBytes = runDiskBase + int64(d.Members)*
		(memberDiskBase+memberDiskPerPod*int64(d.Pods)+memberDiskPerNode*int64(d.Nodes))
	return e
}

// connections is how many the harness opens to the API servers. Simulated
// controllers always share theirs.
func (d Demand) connections(watches int64) int64 {
	if d.OwnConnections {
		return int64(d.Nodes)*int64(d.ClientsPerNode) + int64(d.Informers)/streamsOnConnection + 1
	}
	return watches/streamsOnConnection + 1
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
