package results

import (
	"sync"
	"time"

	"github.com/planecheck/planecheck/checkers/history"
)

// podEvent is one report on a pod; several things may be true of it.
type podEvent struct {
	at, due history.Time
	own     bool // it is one of the density load

	created, bound, running, deleted bool // in the store
	ended                            bool // in a final phase, in the store or seen by the watcher
	saw                              bool // by the simulated kubelet
	seen, gone                       bool // by the measuring watcher
}

// pod is when each step of a pod happened; zero if it has not yet.
type pod struct {
	due, created, bound, saw, running, seen history.Time
	hops                                    uint8 // bit per hop: recorded
	deleted                                 bool
	gone                                    bool // the watcher saw it go
	ended                                   bool // its phase is final
}

type hop int

// The hops of a pod's life, in the order of the summary.
const (
	hopDueCreated hop = iota
	hopCreatedBound
	hopBoundSaw
	hopSawRunning
	hopRunningSeen
	hopStartup
	hopDueSeen
	hopCount
)

var hopNames = [hopCount]struct{ from, to string }{
	{"due", "created"},
	{"created", "bound"},
	{"bound", "kubelet saw"},
	{"kubelet saw", "Running written"},
	{"Running written", "seen by a watcher"},
	{"created", "seen by a watcher"},
	{"due", "seen by a watcher"},
}

// ends returns the two moments of the hop.
func (p *pod) ends(h hop) (from, to history.Time) {
	switch h {
	case hopDueCreated:
		return p.due, p.created
	case hopCreatedBound:
		return p.created, p.bound
	case hopBoundSaw:
		return p.bound, p.saw
	case hopSawRunning:
		return p.saw, p.running
	case hopRunningSeen:
		return p.running, p.seen
	case hopStartup:
		return p.created, p.seen
	default:
		return p.due, p.seen
	}
}

// podShard is a part of all pods. Those that are about to be forgotten wait in
// a queue in the order of time: deleted pods, and pods of which something was
// heard before, or long after, their life in the store.
type podShard struct {
	mu      sync.Mutex
	pods    map[uint64]pod
	leaving []leavingPod
}

type leavingPod struct {
	key uint64
	at  history.Time
}

// apply enters the event and records the hops that it completes.
func (p *PodLife) apply(key uint64, e podEvent) {
	s := &p.shards[key%podShards]
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forget(e.at)
	was, known := s.pods[key]
	if e.created && (was.deleted || was.gone) {
		// A new pod under the name of a deleted one.
		was = pod{}
	}
	now := was
	now.enter(e)
	p.count(was, now, e)
	if e.gone && (now.deleted || !known) {
		delete(s.pods, key)
		return
	}
	if now.over() && !was.over() || !known && !e.created {
		s.leaving = append(s.leaving, leavingPod{key, e.at})
	}
	p.recordHops(&now)
	s.pods[key] = now
}

// enter fills in the times that e tells; the first report counts.
func (p *pod) enter(e podEvent) {
	set := func(t *history.Time, happened bool) {
		if happened && *t == 0 {
			*t = e.at
		}
	}
	if e.created && p.due == 0 {
		p.due = e.due
	}
	set(&p.created, e.created)
	set(&p.bound, e.bound)
	set(&p.running, e.running)
	set(&p.saw, e.saw)
	set(&p.seen, e.seen)
	p.deleted = p.deleted || e.deleted
	// What is seen Running after it went is another pod of the name.
	p.ended = p.ended && !(p.gone && e.seen) || e.ended
	p.gone = (p.gone || e.gone) && !e.seen
}

func (p *pod) over() bool { return p.deleted || p.gone }

// count keeps the totals. Running pods are in the store from the commit of
// Running to that of their end or their deletion, in whichever order these are
// reported. A commit is not reported when its client goes away before it is
// answered; then the watcher tells of it.
func (p *PodLife) count(was, now pod, e podEvent) {
	if e.created {
		p.created.Add(1)
	}
	if was.bound == 0 && now.bound != 0 {
		p.bound.Add(1)
	}
	if was.running == 0 && now.running != 0 {
		p.running.Add(1)
		for !p.current.Load().ran(now.running) {
		}
	}
	if was.seen == 0 && now.seen != 0 {
		p.seen.Add(1)
	}
	if e.deleted && !was.deleted {
		p.deleted.Add(1)
	}
	live := now.liveRunning() - was.liveRunning()
	p.liveRunning.Add(live)
	if e.own {
		p.ownRunning.Add(live)
	}
}

func (p *pod) liveRunning() int64 {
	if (p.running != 0 || p.seen != 0) && !p.over() && !p.ended {
		return 1
	}
	return 0
}

// recordHops records each hop once, in the phase in which it was completed.
func (p *PodLife) recordHops(x *pod) {
	for h := range hopCount {
		bit := uint8(1) << h
		from, to := x.ends(h)
		if x.hops&bit != 0 || from == 0 || to == 0 {
			continue
		}
		x.hops |= bit
		d := to.Sub(from)
		for !p.current.Load().record(h, to, d) {
		}
		if h == hopStartup {
			p.recordRecent(to, d)
		}
	}
}

func (p *PodLife) recordRecent(at history.Time, d time.Duration) {
	p.recentMu.Lock()
	defer p.recentMu.Unlock()
	p.recent.record(at, d)
}

// forget drops the pods whose time has come. A pod that was created after all,
// or created again under the same name, stays.
func (s *podShard) forget(now history.Time) {
	n := 0
	for n < len(s.leaving) && now.Sub(s.leaving[n].at) > podLinger {
		key := s.leaving[n].key
		if x, ok := s.pods[key]; ok && (x.over() || x.created == 0) {
			delete(s.pods, key)
		}
		n++
	}
	if n > 0 {
		s.leaving = append(s.leaving[:0], s.leaving[n:]...)
	}
}
