package workloads

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/planecheck/planecheck/checkers/history"
)

// plant is a control plane for the Pacer's tests: a queue in front of the
// ReplicaSet controller, one in front of the scheduler, and kubelets that take
// a moment. Both controllers share one noisy CPU, and creation takes what it
// wants first, as was measured on a real one: too fast a pace does not only
// fill the queue, it also slows what empties it.
type plant struct {
	rng   *rand.Rand
	batch int
	total int

	capacity func(t float64) float64 // pods/s that the CPU carries, whole path
	stopped  func(t float64) bool    // the scheduler stands still
	lease    func(p *plant) time.Duration
	errors   func(p *plant) int64 // new errors in the last second
	tail     func(p *plant) float64
	hiccups  bool // now and then the machine does something else for a second or two

	t, rate            float64
	released           float64
	created            []float64 // when, by pod
	bound              int
	starting           []pending // bound, not yet Running
	running            int
	noise              float64
	hiccup             float64 // until when
	createCPU, bindCPU float64 // credits not yet used, in CPU seconds
	lateness           time.Duration
	errorCount         int64
	startups           []startup
}

type pending struct{ at, created float64 }
type startup struct{ at, took float64 }

const (
	plantStep  = 0.05 // s
	createCost = 0.4  // of the CPU that a pod costs
	bindCost   = 0.6
)

func newPlant(seed uint64, batch, total int, capacity func(float64) float64) *plant {
	return &plant{
		rng: rand.New(rand.NewPCG(seed, 1)), batch: batch, total: total, capacity: capacity,
		stopped: func(float64) bool { return false },
		lease:   func(*plant) time.Duration { return 10 * time.Millisecond },
		errors:  func(*plant) int64 { return 0 },
		tail:    func(*plant) float64 { return 0 },
	}
}

// run advances the plant by one second at the given pace.
func (p *plant) run(rate float64) Signals {
	p.rate = rate
	for range int(1 / plantStep) {
		p.step()
	}
	p.errorCount += p.errors(p)
	p.lateness = p.lease(p)
	return p.signals()
}

func (p *plant) step() {
	p.t += plantStep
	p.released = min(float64(p.total), p.released+p.rate*plantStep)
	// A noise of ± 25 % that lasts for a second or so.
	p.noise += plantStep * (p.rng.NormFloat64()*1.2 - p.noise)
	cpu := plantStep * p.capacity(p.t) * (1 + min(0.25, max(-0.25, p.noise)))

	if p.hiccups && p.rng.Float64() < 0.05*plantStep {
		p.hiccup = p.t + 1 + p.rng.Float64()
	}
	if p.t < p.hiccup {
		cpu *= 0.1
	}

	// Creation: whole operations, at most three quarters of the CPU.
	asked := min(p.total, (int(p.released)/p.batch+1)*p.batch)
	used := 0.0
	for p.createCPU += 0.75 * cpu; len(p.created) < asked && p.createCPU >= createCost; p.createCPU -= createCost {
		p.created = append(p.created, p.t)
		used += createCost
	}
	p.createCPU = min(p.createCPU, createCost)
	if !p.stopped(p.t) {
		p.bind(max(0, cpu-used))
	}
	p.start()
}

func (p *plant) bind(cpu float64) {
	for p.bindCPU += cpu; p.bound < len(p.created) && p.bindCPU >= bindCost; p.bindCPU -= bindCost {
		delay := 0.25 + 0.5*p.rng.Float64() + p.tail(p)
		p.starting = append(p.starting, pending{at: p.t + delay, created: p.created[p.bound]})
		p.bound++
	}
	p.bindCPU = min(p.bindCPU, bindCost)
}

func (p *plant) start() {
	p.starting = slices.DeleteFunc(p.starting, func(s pending) bool {
		if s.at > p.t {
			return false
		}
		p.running++
		p.startups = append(p.startups, startup{at: p.t, took: p.t - s.created})
		return true
	})
}

func (p *plant) signals() Signals {
	return Signals{
		At:  history.Time(p.t * float64(time.Second)),
		Due: int64(p.released), Created: int64(len(p.created)), Bound: int64(p.bound), Running: int64(p.running),
		StartupP99: p.startupP99(), LeaseLatenessP99: p.lateness, Errors: p.errorCount,
	}
}

// startupP99 is taken over the last 5 s.
func (p *plant) startupP99() time.Duration {
	for len(p.startups) > 0 && p.startups[0].at < p.t-5 {
		p.startups = p.startups[1:]
	}
	if len(p.startups) == 0 {
		return 0
	}
	took := make([]float64, len(p.startups))
	for i, s := range p.startups {
		took[i] = s.took
	}
	slices.Sort(took)
	return time.Duration(took[len(took)*99/100] * float64(time.Second))
}

// second is what the plant and the pacer did in one second.
type second struct {
	sig Signals
	d   Decision
}

// drive lets the rules pace the plant for a number of seconds.
func drive(p *plant, rules []paceRule, seconds int) []second {
	state := NewPaceState(p.batch)
	var log []second
	for range seconds {
		sig := p.run(state.Rate())
		var d Decision
		d, state = decide(state, sig, rules)
		log = append(log, second{sig, d})
	}
	return log
}

// meanRunning is the throughput in [from, to), in seconds of the log.
func meanRunning(log []second, from, to int) float64 {
	return float64(log[to-1].sig.Running-log[from].sig.Running) / log[to-1].sig.At.Sub(log[from].sig.At).Seconds()
}

func dump(log []second) string {
	var b []byte
	for i, s := range log {
		b = fmt.Appendf(b, "%3d rate %6.1f %-8s %s\n", i+1, s.d.Rate, s.d.Rule, s.d.Reason)
	}
	return string(b)
}
