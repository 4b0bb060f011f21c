package workloads

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/planecheck/planecheck/apiserver/client"
	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/history/wire"
)

// PodWatcherConfig describes the measuring watch.
type PodWatcherConfig struct {
	Client *client.Client // of class observer
	// Hook is told of every event, in order, on the watch's own goroutine; it
	// must not block. nil: nobody is told.
	Hook func(PodEvent)
	// Counted says whether the pods of a namespace count; nil: all do. The
	// hook is told of all pods all the same.
	Counted func(namespace string) bool
	Log     *slog.Logger
}

// PodEvent is something that became of a pod.
type PodEvent struct {
	Type    string // ADDED, MODIFIED or DELETED
	Pod     wire.Pod
	Arrived history.Time
	// Relisted is set when the event was found out from a list after a gap of
	// the watch: it happened at some time before Arrived. A pod that vanished
	// in the gap has only its namespace, name and UID.
	Relisted bool
}

// Counts is what the watch has seen of the pods that count.
type Counts struct {
	// These are levels: the pods that exist now.
	Pods        int64 `json:"pods"`
	Bound       int64 `json:"bound"`       // have a node
	Running     int64 `json:"running"`     // phase Running, Ready, and not being deleted
	Terminating int64 `json:"terminating"` // being deleted
	// Ended are those in a final phase: a pod that its kubelet has evicted stays until
	// its owner goes, or somebody collects it.
	Ended int64 `json:"ended,omitempty"`

	// These only grow.
	Created     int64 `json:"created"`
	EverBound   int64 `json:"everBound"`
	EverRunning int64 `json:"everRunning"` // were Running and Ready once
	EverDeleted int64 `json:"everDeleted"` // their deletion began
	EverLost    int64 `json:"everLost"`    // their deletion began before they were Running
	Deleted     int64 `json:"deleted"`     // are gone

	// The watch itself.
	Resumes int64 `json:"resumes"` // watches after the first, without a gap
	Relists int64 `json:"relists"` // lists after the first
}

// PodWatcher is the measuring watch of all pods. For each pod it keeps its
// name and a few bits.
type PodWatcher struct {
	cfg    PodWatcherConfig
	follow follower
	synced chan struct{} // closed after the first list

	mu      sync.Mutex
	changed chan struct{} // closed at the next event, if someone waits
	pods    map[string]podState
	counts  Counts
	listed  map[string]bool // during a list: the UIDs seen in it
}

type podState struct {
	namespace, name string
	bits            podBits
}

type podBits uint8

const (
	podBound podBits = 1 << iota
	podRunning
	podTerminating
	podWasRunning
	podCounted
	podEnded
)

// NewPodWatcher returns a watcher that Run starts.
func NewPodWatcher(cfg PodWatcherConfig) *PodWatcher {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	w := &PodWatcher{cfg: cfg, synced: make(chan struct{}), pods: map[string]podState{}}
	w.follow = follower{
		client: cfg.Client, resource: podResource, log: cfg.Log,
		begin: w.listBegins, item: w.listItem, done: w.listDone, event: w.event, count: w.restarted,
	}
	return w
}

// Run watches until ctx ends.
func (w *PodWatcher) Run(ctx context.Context) { w.follow.run(ctx) }

// firstListBound is how long the first list of pods may take: of none or few of them, by
// a server that says it is ready.
const firstListBound = 2 * time.Minute

// WaitSynced waits until the first list is done. Its error is a StallError, or that of ctx.
func (w *PodWatcher) WaitSynced(ctx context.Context) error {
	ctx, cancel := bounded(ctx, "the first list of pods", firstListBound)
	defer cancel()
	select {
	case <-w.synced:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("begin to watch pods: %w", context.Cause(ctx))
	}
}

// Counts returns the present counts.
func (w *PodWatcher) Counts() Counts {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.counts
}

// await waits until ok says so of the counts. It fails when ctx ends, or when
// progress, a figure that ok works towards, has not changed for patience: a StallError.
func (w *PodWatcher) await(ctx context.Context, patience time.Duration, progress func(Counts) int64, ok func(Counts) bool) error {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	last := progress(w.Counts())
	for {
		w.mu.Lock()
		counts := w.counts
		if w.changed == nil {
			w.changed = make(chan struct{})
		}
		changed := w.changed
		w.mu.Unlock()
		if ok(counts) {
			return nil
		}
		if now := progress(counts); now != last {
			last = now
			timer.Reset(patience)
		}
		select {
		case <-changed:
		case <-timer.C:
			return stalled("no progress for %v", patience)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (w *PodWatcher) restarted(relist bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if relist {
		w.counts.Relists++
	} else {
		w.counts.Resumes++
	}
}

func (w *PodWatcher) listBegins() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.listed = make(map[string]bool, len(w.pods))
}

// listItem treats a listed pod as an event, whose type is what the watch would
// have said.
func (w *PodWatcher) listItem(raw []byte, arrived history.Time) error {
	pod, err := wire.ScanPod(raw)
	if err != nil {
		return err
	}
	w.mu.Lock()
	w.listed[pod.UID] = true
	typ := "ADDED"
	if _, known := w.pods[pod.UID]; known {
		typ = "MODIFIED"
	}
	w.mu.Unlock()
	w.handle(PodEvent{Type: typ, Pod: pod, Arrived: arrived, Relisted: true})
	return nil
}

// listDone counts the pods as deleted that are known but were not in the list.
func (w *PodWatcher) listDone(arrived history.Time) {
	w.mu.Lock()
	var gone []PodEvent
	for uid, state := range w.pods {
		if !w.listed[uid] {
			meta := wire.Meta{Namespace: state.namespace, Name: state.name, UID: uid}
			gone = append(gone, PodEvent{Type: "DELETED", Pod: wire.Pod{Meta: meta}, Arrived: arrived, Relisted: true})
		}
	}
	w.listed = nil
	w.mu.Unlock()
	for _, e := range gone {
		w.handle(e)
	}
	select {
	case <-w.synced:
	default:
		close(w.synced)
	}
}

func (w *PodWatcher) event(typ string, raw []byte, arrived history.Time) error {
	pod, err := wire.ScanPod(raw)
	if err != nil {
		return err
	}
	w.handle(PodEvent{Type: typ, Pod: pod, Arrived: arrived})
	return nil
}

func (w *PodWatcher) handle(e PodEvent) {
	w.mu.Lock()
	w.note(e)
	if w.changed != nil {
		close(w.changed)
		w.changed = nil
	}
	w.mu.Unlock()
	if w.cfg.Hook != nil {
		w.cfg.Hook(e)
	}
}

// note brings the counts up to date with one event.
func (w *PodWatcher) note(e PodEvent) {
	old, known := w.pods[e.Pod.UID]
	if e.Type == "DELETED" {
		if known {
			delete(w.pods, e.Pod.UID)
			w.counts.replace(old.bits, old.bits&(podCounted|podWasRunning)|podTerminating, true, false)
		}
		return
	}
	now := podState{namespace: e.Pod.Namespace, name: e.Pod.Name, bits: bitsOf(e.Pod, old.bits)}
	if known {
		now.namespace, now.name = old.namespace, old.name // the strings that are kept anyway
	} else if w.cfg.Counted == nil || w.cfg.Counted(now.namespace) {
		now.bits |= podCounted
	}
	w.pods[e.Pod.UID] = now
	w.counts.replace(old.bits, now.bits, known, true)
}

// bitsOf says how far a pod has come, given what was known of it.
func bitsOf(pod wire.Pod, old podBits) podBits {
	bits := old & (podCounted | podWasRunning)
	if pod.NodeName != "" {
		bits |= podBound
	}
	if pod.Phase == "Succeeded" || pod.Phase == "Failed" {
		bits |= podEnded
	}
	if pod.Deleting {
		bits |= podTerminating
	} else if pod.Phase == "Running" && pod.Ready {
		bits |= podRunning | podWasRunning
	}
	return bits
}

// replace counts a pod as now instead of as old; existed and exists say
// whether the pod was and is there at all.
func (c *Counts) replace(old, now podBits, existed, exists bool) {
	if now&podCounted == 0 {
		return
	}
	level := func(count *int64, bit podBits) {
		if existed && old&bit != 0 {
			*count--
		}
		if exists && now&bit != 0 {
			*count++
		}
	}
	level(&c.Pods, podCounted)
	level(&c.Bound, podBound)
	level(&c.Running, podRunning)
	level(&c.Terminating, podTerminating)
	level(&c.Ended, podEnded)
	first := func(total *int64, bit podBits) {
		if now&bit != 0 && (!existed || old&bit == 0) {
			*total++
		}
	}
	first(&c.Created, podCounted)
	first(&c.EverBound, podBound)
	first(&c.EverRunning, podWasRunning)
	first(&c.EverDeleted, podTerminating)
	if now&podWasRunning == 0 {
		first(&c.EverLost, podTerminating)
	}
	if existed && !exists {
		c.Deleted++
	}
}
