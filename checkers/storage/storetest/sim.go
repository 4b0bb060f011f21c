package storetest

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/planecheck/planecheck/checkers/history"
)

// sim runs clients, members and watches in virtual time.
type sim struct {
	cfg     Config
	rng     *rand.Rand
	sink    history.StoreSink
	now     history.Time
	queue   timers
	order   uint64
	store   *store
	members []*member
	commits []commit // from revision first on
	first   int64
	streams []*stream
	hung    []*history.StoreOp
	left    int // calls still to make
	busy    int // clients at work
	ids     uint64
	conns   uint32
	flows   uint64
	values  uint64
	leaseID int64
}

type commit struct {
	rev    int64
	events []history.StoreEvent
}

// member is one replica: it applies commits and compactions some time after
// the cluster has agreed on them.
type member struct {
	name    string
	applied int64
	compact int64
	last    history.Time // when the latest commit is applied
}

type timer struct {
	at    history.Time
	order uint64
	run   func()
}

type timers []timer

func (q timers) Len() int { return len(q) }
func (q timers) Less(i, j int) bool {
	return q[i].at < q[j].at || (q[i].at == q[j].at && q[i].order < q[j].order)
}
func (q timers) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *timers) Push(x any)   { *q = append(*q, x.(timer)) }
func (q *timers) Pop() any {
	old := *q
	t := old[len(old)-1]
	old[len(old)-1] = timer{}
	*q = old[:len(old)-1]
	return t
}

func newSim(seed uint64, cfg Config, sink history.StoreSink) *sim {
	s := &sim{
		cfg: cfg, sink: sink, rng: rand.New(rand.NewPCG(seed, 0x706c616e65)),
		now: history.Time(time.Hour), store: newStore(cfg), first: cfg.Start + 1, left: cfg.Ops,
	}
	for i := range cfg.Members {
		s.members = append(s.members, &member{name: fmt.Sprintf("m%d", i+1), applied: cfg.Start, compact: -1})
	}
	return s
}

// after runs a function in the given time.
func (s *sim) after(d time.Duration, run func()) { s.at(s.now.Add(d), run) }

func (s *sim) at(t history.Time, run func()) {
	s.order++
	heap.Push(&s.queue, timer{at: max(t, s.now+1), order: s.order, run: run})
}

// pause draws a duration with the given mean, never zero.
func (s *sim) pause(mean time.Duration) time.Duration {
	return time.Duration(s.rng.ExpFloat64()*float64(mean)) + 1
}

func (s *sim) chance(p float64) bool { return s.rng.Float64() < p }

func (s *sim) run() {
	s.openWatches()
	for range s.cfg.Clients {
		s.busy++
		c := s.newClient()
		s.after(s.pause(s.cfg.Think), func() { s.step(c) })
	}
	if s.cfg.CompactEvery > 0 {
		s.busy++
		c := &compactor{client: s.newClient()}
		s.after(s.pause(s.cfg.CompactEvery), func() { s.compaction(c) })
	}
	s.drain()
	s.closing()
}

// drain runs until nothing is left to happen.
func (s *sim) drain() {
	for len(s.queue) > 0 {
		t := heap.Pop(&s.queue).(timer)
		s.now = max(s.now+1, t.at)
		t.run()
	}
}

// running says that clients are still at work, so that what repeats repeats.
func (s *sim) running() bool { return s.busy > 0 }

// commit ends a transaction: its events get a revision, which every member
// applies in its own time.
func (s *sim) commit() {
	if len(s.store.events) == 0 {
		return
	}
	s.store.rev++
	s.commits = append(s.commits, commit{rev: s.store.rev, events: s.store.events})
	s.store.events = nil
	rev := s.store.rev
	s.replicate(func(m *member) { m.applied = rev })
	if len(s.commits) > 8192 {
		s.forget()
	}
}

// replicate makes every member apply one entry of the log, in order.
func (s *sim) replicate(apply func(*member)) {
	for _, m := range s.members {
		m.last = max(m.last+1, s.now.Add(time.Duration(s.rng.Float64()*float64(s.cfg.Lag))))
		s.at(m.last, func() { apply(m) })
	}
}

// forget drops commits that every watch has seen.
func (s *sim) forget() {
	low := s.store.rev
	for _, st := range s.streams {
		for _, w := range st.watches {
			low = min(low, w.next-8)
		}
	}
	if n := low - s.first; n > 4096 {
		s.commits = append([]commit(nil), s.commits[n:]...)
		s.first = low
	}
}

// value returns the hash of a value that was never put before.
func (s *sim) value() uint64 {
	s.values++
	return history.HashValue(fmt.Appendf(nil, "value %d", s.values))
}

// grant makes a lease and sees to its end.
func (s *sim) grant(id, ttl int64) {
	l := &lease{ttl: ttl, expires: s.now.Add(time.Duration(ttl) * time.Second), keys: map[string]bool{}}
	s.store.leases[id] = l
	s.at(l.expires, func() { s.expire(id, l) })
}

// expire deletes a lease's keys unless it was renewed meanwhile. etcd looks
// every 500 ms (lease/lessor.go, runLoop).
func (s *sim) expire(id int64, l *lease) {
	if s.store.leases[id] != l {
		return
	}
	if s.now < l.expires {
		s.at(l.expires, func() { s.expire(id, l) })
		return
	}
	s.after(time.Duration(s.rng.Int64N(int64(500*time.Millisecond))), func() {
		if s.store.leases[id] != l {
			return
		}
		if s.now < l.expires {
			s.at(l.expires, func() { s.expire(id, l) })
			return
		}
		s.store.revoke(id)
		s.commit()
	})
}

// closing makes the calls that end a history: the hash of every member at one
// revision and everything there is through every member.
func (s *sim) closing() {
	s.now += history.Time(time.Second)
	for _, m := range s.members {
		m.applied, m.compact = s.store.rev, s.store.compact
	}
	rev := s.store.rev
	for _, m := range s.members {
		c := &client{conn: s.connection(), member: m}
		for _, op := range []*history.StoreOp{
			{Method: history.MethodHashKV, Revision: rev},
			{Method: history.MethodRange, Then: []history.StoreAction{{Kind: history.ActionRange, Key: "\x00", End: "\x00"}}},
		} {
			s.open(c, op)
			s.now += 1000
			s.execute(op, m)
			s.now += 1000
			op.Returned = s.now
			s.sink.StoreOp(op)
		}
	}
	s.closeWatches()
	for _, op := range s.hung {
		s.sink.StoreOp(op)
	}
}
