package results

import "time"

// The costs of this file are fitted to the records in scenarios/testdata/estimates.json,
// of 2 CPUs and 24 GiB, 20 to 5,000 nodes and 100 to 150,000 pods; the test that reads
// them holds each figure by itself. Memory is without mapped files. Of objects of a
// manifest no record tells: perObject and objectChanges are guesses, by what pods cost.

// GC is the setting of a component's garbage collector. The heap grows by
// Percent of what is live before it is collected, but not beyond Limit.
type GC struct {
	Percent int
	Limit   int64 // bytes; 0: none
}

// runtimeBytes is what a process has beside its heap; all that a standby shows which
// has not begun to work.
const runtimeBytes = 20 * mib

// peak is the memory of a process with so much live. Its garbage is the live
// heap times GOGC; the limit counts all that the runtime holds.
func (g GC) peak(live int64) int64 {
	most := runtimeBytes + live*int64(100+g.Percent)/100
	if g.Limit > 0 {
		most = min(most, max(g.Limit, live))
	}
	return most
}

// cost is what one component keeps live at rest and per thing that it carries,
// in bytes.
type cost struct {
	base, perNode, perPod, perWatch, perObject int64
	// perChange is for the first recentChanges only: a watch cache keeps both
	// versions of the objects that changed lately.
	perChange int64
}

const recentChanges = 55_000

// costs are without what the recorder and etcd hold in the harness, see recorded. An
// API server has each pod twice, in its watch cache and in an informer of its own.
var costs = struct{ apiserver, scheduler, controllerManager, harness cost }{
	apiserver:         cost{base: 58 * mib, perNode: 20 * kib, perPod: 30 * kib, perWatch: 16 * kib, perObject: 12 * kib, perChange: 17 * kib},
	scheduler:         cost{base: 7 * mib, perNode: 8 * kib, perPod: 12 * kib},
	controllerManager: cost{base: 18 * mib, perNode: 24 * kib, perPod: 11 * kib, perObject: 6 * kib},
	harness:           cost{base: 6 * mib, perNode: 6 * kib, perPod: 7 * kib, perWatch: kib, perObject: 10 * kib},
}

// informer is what a replica of a simulated controller keeps in the harness: 265
// bytes a pod, by client-go's indexer with 100,000 of what it keeps of one (23 November
// 2026), and room for its client and its queues.
var informer = cost{base: 256 * kib, perPod: 265}

func (c cost) of(d Demand, watches int64) int64 {
	return c.base + c.perNode*int64(d.Nodes) + c.perPod*int64(d.Pods) + c.perObject*int64(d.Objects) + c.perWatch*watches +
		c.perChange*min(d.changes(), recentChanges)
}

const (
	// bootChanges are the roles, flow schemas and the like that API servers and
	// controllers write into an empty store.
	bootChanges = 400
	// nodeChanges are those of a node that registers, and nodeStatusPeriod is how often
	// it writes its status when nothing happens.
	nodeChanges      = 5
	nodeStatusPeriod = 5 * time.Minute
	renewalPeriod    = 10 * time.Second
	// objectChanges are those of an object of a manifest, with its Events and its status.
	objectChanges = 5
	// contractRequests is how many requests of the contract traffic make a revision.
	contractRequests = 3
)

// changes is how many revisions of objects a run makes, renewals of leases left out.
func (d Demand) changes() int64 {
	return bootChanges + int64(d.Pods+d.Replaced)*int64(d.ChangesPerPod) + objectChanges*int64(d.Objects) +
		int64(d.Nodes)*int64(nodeChanges+d.Length/nodeStatusPeriod) + d.requests()/contractRequests
}

// requests is how many the contract traffic sends.
func (d Demand) requests() int64 { return int64(d.ContractRate * d.Length.Seconds()) }

// renewals is how many times nodes renew their leases.
func (d Demand) renewals() int64 { return int64(d.Nodes) * int64(d.Length/renewalPeriod) }

const (
	// A member of etcd keeps its last entries in memory, and so does, until they are
	// written, the recorder; of the rest of a run only figures stay.
	recordedRecent     = 10_000
	memoryPerRevision  = 5 * kib
	memoryPerEntry     = 5 * kib // in each member
	memoryPerRequest   = 7 * kib // of contract traffic
	diskPerHistory     = 250     // bytes of history for a revision
	diskPerHistoryCall = 100     // and for a request of contract traffic
)

// recorded is what the recorder and the members of the store keep live in the harness.
// Members in processes of their own are counted here, too.
func (d Demand) recorded() int64 {
	each := memoryPerRevision
	if !d.Volatile {
		each += memoryPerEntry * int64(d.Members)
	}
	return each*min(d.changes()+d.renewals(), recordedRecent) + memoryPerRequest*min(d.requests(), recordedRecent)
}

// historyDisk is what the histories take.
func (d Demand) historyDisk() int64 {
	return diskPerHistory*(d.changes()+d.renewals()) + diskPerHistoryCall*d.requests()
}

const (
	// walFileBytes is the size of a file of etcd's log, which is preallocated, the next
	// one as well; five remain of those that a snapshot has made superfluous
	// (server/storage/wal/wal.go, and DefaultMaxWALs in server/embed/config.go of etcd).
	walFileBytes = 64_000_000
	walFilesMost = 6
	// A revision takes this in a database with its free pages, and three quarters of it in a log.
	databasePerChange  = 34 * kib / 10
	databasePerRenewal = kib
	// historyKept is how long superseded revisions stay at most: an API server compacts
	// every five minutes what is older than that.
	historyKept = 10 * time.Minute
)

// storeDisk is what all members of the store have on disk when most is there. A
// database does not shrink, but what was compacted in it is used again.
func (d Demand) storeDisk() int64 {
	if d.Volatile {
		return 0
	}
	written := databasePerChange*d.changes() + databasePerRenewal*d.renewals()
	database := written
	if d.Length > historyKept { // of the pods of before there is one revision each
		kept := historyKept.Seconds() / d.Length.Seconds()
		database = int64(kept*float64(written) + (1-kept)*float64(databasePerChange*int64(d.Pods)))
	}
	files := min((written*3/4+walFileBytes-1)/walFileBytes, walFilesMost)
	return int64(d.Members) * (database + (files+1)*walFileBytes)
}

// File descriptors of the harness.
const (
	fdsAtRest           = 24
	fdsPerMember        = 22 // its files, and its connections to the others
	fdsPerServer        = 8
	storeConnections    = 72 // of an API server to each member: one a resource
	fdsPerHop           = 2  // both ends of a link or of a proxy
	fdsPerOwnConnection = 3  // its own end, and both that the balancer has of it
	streamsOnConnection = 80
)

func (d Demand) fds(watches int64) int64 {
	members, servers := int64(d.Members), int64(d.Servers)
	n := int64(fdsAtRest) + fdsPerServer*servers
	if !d.Volatile {
		n += fdsPerMember * members
	}
	hops := int64(1)
	for _, hop := range []bool{d.Proxied, d.StoreLinks} {
		if hop {
			hops += fdsPerHop
		}
	}
	return n + storeConnections*members*servers*hops + d.clientFDs(watches)
}

// clientFDs are those of the connections to the API servers. Simulated controllers
// always share theirs, and shared ones pass by the balancer.
func (d Demand) clientFDs(watches int64) int64 {
	if d.OwnConnections {
		return fdsPerOwnConnection * (int64(d.Nodes)*int64(d.ClientsPerNode) + int64(d.Informers)/streamsOnConnection + 1)
	}
	n := watches/streamsOnConnection + 1
	if d.ClientLinks {
		n *= 1 + fdsPerHop
	}
	return n
}
