package results

import (
	"bytes"
	"encoding/json"
	"hash/maphash"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/history/wire"
)

const (
	podPrefix = "/registry/pods/"
	podShards = 64
	// podLinger is how long a deleted pod is remembered for events that are
	// still on their way, such as its Running on a slow watch: forgetting the
	// late ones would leave only the fast ones in the figures.
	podLinger = 30 * time.Second
)

// PodLife follows every pod from when it was due until a watcher saw it
// Running, and keeps the distribution of each hop by phase. Times of a commit
// are the moments at which the store's handler returned. Its methods may be
// called concurrently, and the reports on one pod may come in any order: a
// watch event can overtake the report of the commit that caused it.
//
// A pod costs about 130 bytes while it lives. Pods are told apart by a 64-bit
// hash of their name; among a million pods the chance that two are taken for
// one is below 10^-7.
type PodLife struct {
	seed   maphash.Seed
	shards [podShards]podShard
	due    dueTimes
	writes storeWrites
	owns   func(namespace string) bool // nil: none is

	current atomic.Pointer[podPhase]
	mu      sync.Mutex // guards phases
	phases  []*podPhase

	recentMu sync.Mutex
	recent   recent

	created, bound, running, seen, deleted atomic.Int64
	liveRunning, ownRunning                atomic.Int64
	unreadable                             atomic.Int64
}

// PodCounts are totals since the start of the run.
type PodCounts struct {
	Created int64 `json:"created"`
	Bound   int64 `json:"bound"`
	Running int64 `json:"running"`  // pods whose Running was committed
	Seen    int64 `json:"seen"`     // pods that the measuring watcher saw Running
	Deleted int64 `json:"deleted"`  // removed from the store
	Live    int64 `json:"live"`     // Created - Deleted
	LiveRun int64 `json:"live_run"` // pods in the store whose Running was committed, or seen, and that have not ended
	// Unreadable counts writes of pods that were in neither protobuf nor JSON, such
	// as those of a server that encrypts at rest. Hops are then missing.
	Unreadable int64 `json:"unreadable,omitempty"`
}

// Minus returns the difference of two readings of the totals; Live and LiveRun
// stay those of c.
func (c PodCounts) Minus(before PodCounts) PodCounts {
	c.Created -= before.Created
	c.Bound -= before.Bound
	c.Running -= before.Running
	c.Seen -= before.Seen
	c.Deleted -= before.Deleted
	c.Unreadable -= before.Unreadable
	return c
}

// NewPodLife returns a PodLife that is in a phase of the given name.
func NewPodLife(phase string) *PodLife {
	p := &PodLife{seed: maphash.MakeSeed()}
	for i := range p.shards {
		p.shards[i].pods = map[uint64]pod{}
	}
	p.StartPhase(phase)
	return p
}

// Own names the namespaces of the density load, and no others. It is called before anything
// is reported.
func (p *PodLife) Own(owns func(namespace string) bool) { p.owns = owns }

// ownsPod says whether a pod is in one of these namespaces.
func (p *PodLife) ownsPod(namespace string) bool { return p.owns != nil && p.owns(namespace) }

// Scheduled says that the workload meant a number of pods of the Deployment to
// come into being at the time due. They are matched, oldest first, with pods
// named <deployment>-<hash>-<rand>, or with the one pod named like it. pods
// <= 0 stands for all pods until the next call for this Deployment.
func (p *PodLife) Scheduled(namespace, deployment string, pods int, due history.Time) {
	p.due.add(namespace+"/"+deployment, pods, due)
}

// Commit takes every committed change of the store, those of other resources
// for the count of writes.
func (p *PodLife) Commit(c history.Commit) {
	p.writes.add(&c)
	name, ok := strings.CutPrefix(c.Key, podPrefix)
	if !ok {
		return
	}
	namespace, _, _ := strings.Cut(name, "/")
	e := podEvent{at: c.Returned, deleted: c.Delete, own: p.ownsPod(namespace)}
	if c.Create {
		e.created = true
		e.due = p.due.take(name, c.Called)
	}
	if !c.Delete {
		var phase string
		e.bound, phase = p.read(c.Value)
		e.running, e.ended = phase == "Running", ended(phase)
		// A Running pod was bound by an earlier commit, whose report may be
		// still on its way, unless it came into being like that.
		e.bound = e.bound && (!e.running || e.created)
	}
	p.apply(maphash.String(p.seed, name), e)
}

// ended says whether a phase is final.
func ended(phase string) bool { return phase == "Succeeded" || phase == "Failed" }

// read returns whether a stored pod has a node, and its phase.
func (p *PodLife) read(value []byte) (bound bool, phase string) {
	if bytes.HasPrefix(value, []byte("{")) {
		return p.readJSON(value)
	}
	_, _, raw, err := wire.Unwrap(value)
	if err != nil {
		p.unreadable.Add(1)
		return false, ""
	}
	pod, err := wire.ScanPod(raw)
	if err != nil {
		p.unreadable.Add(1)
		return false, ""
	}
	return pod.NodeName != "", pod.Phase
}

// readJSON is read of a store that holds JSON (--storage-media-type).
func (p *PodLife) readJSON(value []byte) (bound bool, phase string) {
	var pod struct {
		Spec   struct{ NodeName string }
		Status struct{ Phase string }
	}
	if err := json.Unmarshal(value, &pod); err != nil {
		p.unreadable.Add(1)
		return false, ""
	}
	return pod.Spec.NodeName != "", pod.Status.Phase
}

// Saw says that the pod, bound to a simulated node, arrived at that node.
func (p *PodLife) Saw(namespace, name string, at history.Time) {
	p.apply(p.hash(namespace, name), podEvent{at: at, saw: true})
}

// Watched takes the events of the measuring watcher: kind is the event's type,
// phase the status.phase of the pod.
func (p *PodLife) Watched(kind, namespace, name, phase string, at history.Time) {
	e := podEvent{
		at: at, own: p.ownsPod(namespace),
		seen: phase == "Running" && kind != "DELETED", gone: kind == "DELETED", ended: ended(phase),
	}
	if e.seen || e.gone || e.ended {
		p.apply(p.hash(namespace, name), e)
	}
}

func (p *PodLife) hash(namespace, name string) uint64 {
	var h maphash.Hash
	h.SetSeed(p.seed)
	h.WriteString(namespace)
	h.WriteByte('/')
	h.WriteString(name)
	return h.Sum64()
}

// Counts returns the totals.
func (p *PodLife) Counts() PodCounts {
	c := PodCounts{
		Created: p.created.Load(), Bound: p.bound.Load(), Running: p.running.Load(), Seen: p.seen.Load(),
		Deleted: p.deleted.Load(), LiveRun: p.liveRunning.Load(), Unreadable: p.unreadable.Load(),
	}
	c.Live = c.Created - c.Deleted
	return c
}

// OwnRunning is LiveRun of the namespaces of the density load alone: a manifest's pods, and
// whatever else there is, cannot stand in for those that it plans.
func (p *PodLife) OwnRunning() int64 { return p.ownRunning.Load() }

// RecentStartup is the start-up latency (created to seen Running) of the pods
// that were seen Running in the last five seconds; its Count is 0 when there
// were none, which says nothing good about the ones that wait.
func (p *PodLife) RecentStartup() Latency {
	p.recentMu.Lock()
	defer p.recentMu.Unlock()
	return p.recent.latency(history.Now())
}

// dueTimes holds when the pods of each Deployment were due.
type dueTimes struct {
	mu     sync.Mutex
	queues map[string][]dueBatch // by namespace/deployment
}

type dueBatch struct {
	at   history.Time
	left int // pods; -1: any number
}

// maxDueBatches bounds what is kept for a Deployment that never makes the pods
// it was asked for.
const maxDueBatches = 256

func (d *dueTimes) add(key string, pods int, at history.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.queues == nil {
		d.queues = map[string][]dueBatch{}
	}
	if pods <= 0 {
		pods = -1
	}
	q := d.queues[key]
	if n := len(q); n > 0 && q[n-1].left < 0 {
		q = q[:n-1]
	}
	if len(q) == maxDueBatches {
		q = q[1:]
	}
	d.queues[key] = append(q, dueBatch{at, pods})
}

// take returns when the pod namespace/name was due, or 0. A batch that is due
// only after now is not the pod's.
func (d *dueTimes) take(pod string, now history.Time) history.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.queues) == 0 {
		return 0
	}
	key := ownerKey(pod)
	q := d.queues[key]
	if len(q) == 0 {
		key = pod
		q = d.queues[key]
	}
	if len(q) == 0 || q[0].at > now {
		return 0
	}
	at := q[0].at
	if q[0].left > 0 {
		q[0].left--
	}
	switch {
	case q[0].left != 0:
	case len(q) == 1:
		delete(d.queues, key)
	default:
		d.queues[key] = q[1:]
	}
	return at
}

// ownerKey strips <hash> and <rand> from namespace/<deployment>-<hash>-<rand>.
func ownerKey(pod string) string {
	for range 2 {
		i := strings.LastIndexByte(pod, '-')
		if i < 0 {
			return ""
		}
		pod = pod[:i]
	}
	return pod
}
