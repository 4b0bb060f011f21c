package results

import (
	"fmt"
	"strings"
	"time"
)

// Demand is what a run is to carry, as far as it decides what the run costs.
type Demand struct {
	Nodes          int
	Pods           int
	Objects        int // of a manifest, beside nodes and pods
	WatchesPerNode int // by the profile of the simulation: lean 1, kubelet 4
	// ChangesPerPod is how many revisions of the store a pod takes from its creation to
	// its deletion, with its Events and its part of what its Deployment takes: lean 4,
	// kubelet 11.
	ChangesPerPod int
	// Replaced is how many pods are replaced on the way, by churn or turnover.
	Replaced int
	// ContractRate is that of the contract traffic, in requests per second; 0: none.
	ContractRate float64
	// Length is how long the run is going to take; 0: shorter than what the store keeps
	// of its past.
	Length         time.Duration
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
	Members   int // of the store; 0: one
	// Volatile says that the store keeps nothing on this machine's disk.
	Volatile bool
	// Proxied says that a proxy in the harness stands before each member.
	Proxied bool
	// StoreLinks and ClientLinks say that faults have links in the harness to act on:
	// between the API servers and the store, and before the API servers.
	StoreLinks, ClientLinks bool
	// GC is by kind of component; "harness" is this process with etcd.
	GC map[string]GC
}

// Estimate is what a run is going to need.
type Estimate struct {
	MemoryBytes map[string]int64 `json:"memory_bytes"` // by component
	FDs         int64            `json:"fds"`          // of the harness, the process with most
	// DiskBytes is what the store has on disk at the end, HistoryBytes the recorded
	// histories, which lie beside it. Logs and series are small beside either.
	DiskBytes    int64 `json:"disk_bytes"`
	HistoryBytes int64 `json:"history_bytes,omitempty"` // older records have none
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

// EstimateRun says what a run with the load is going to need.
func EstimateRun(d Demand) Estimate {
	for _, n := range []*int{&d.Servers, &d.Schedulers, &d.ControllerManagers, &d.Members, &d.ClientsPerNode} {
		*n = max(*n, 1)
	}
	watches := int64(d.Nodes)*int64(d.WatchesPerNode) + int64(d.Informers)
	e := Estimate{MemoryBytes: map[string]int64{}, FDs: d.fds(watches), DiskBytes: d.storeDisk(), HistoryBytes: d.historyDisk()}
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
			live = 0
		}
		e.MemoryBytes[fmt.Sprintf("kube-controller-manager-%d", i)] = d.GC["kube-controller-manager"].peak(live)
	}
	e.MemoryBytes[HarnessName] = d.GC["harness"].peak(costs.harness.of(d, watches) + d.recorded() +
		int64(d.Informers)*informer.of(d, 0))
	return e
}

// String is what the run is going to need, on one line.
func (e *Estimate) String() string {
	return fmt.Sprintf("%s of memory, %d file descriptors, %s of disk",
		bytesText(e.Memory()), e.FDs, bytesText(e.DiskBytes+e.HistoryBytes))
}

// Fits reports what the host lacks for the estimate, nil if nothing. The error
// is one line with all of the estimate, and it names the way out.
func (e *Estimate) Fits(h Host) error {
	var lacks []string
	if e.Memory() > h.AvailableBytes {
		lacks = append(lacks, fmt.Sprintf("memory, of which %s are available", bytesText(h.AvailableBytes)))
	}
	if e.FDs > h.MaxFDs {
		lacks = append(lacks, fmt.Sprintf("file descriptors, of which a process may have %d (ulimit -Hn)", h.MaxFDs))
	}
	if e.DiskBytes+e.HistoryBytes > h.DiskBytes {
		lacks = append(lacks, fmt.Sprintf("disk, of which %s are free", bytesText(h.DiskBytes)))
	}
	if len(lacks) == 0 {
		return nil
	}
	return fmt.Errorf("the run does not fit on this machine: it needs %s; there is too little of %s; take fewer nodes, pods or copies, or --force to try",
		e, strings.Join(lacks, "; and of "))
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
