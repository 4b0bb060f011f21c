package scenarios

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/planecheck/planecheck/apiserver"
	"github.com/planecheck/planecheck/apiserver/storage"
	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/results"
	"github.com/planecheck/planecheck/workloads"
)

// leaseDuration is how long a kubelet's lease lasts (nodeLeaseDurationSeconds
// in the kubelet's configuration).
const leaseDuration = 40 * time.Second

// heartbeatLate is the latency from which on a renewal of a node's lease counts as
// late: that of a mutating call (the official SLO).
const heartbeatLate = time.Second

// measurement hears everything that happens in a run and keeps the figures.
type measurement struct {
	dir       *results.Dir
	started   history.Time
	series    *results.Series
	collector *results.Collector
	log       *slog.Logger

	// availability, evictions, removals and losses are nil in a run without faults.
	availability *results.Availability
	evictions    *evictions
	removals     *removals
	losses       *losses
	contract     *contractCalls // nil without contract traffic

	cluster atomic.Pointer[cluster] // set once it is up
	commits atomic.Int64            // keys written
	// revision is the last that a write is known to have made.
	revision atomic.Int64

	mu     sync.Mutex
	pace   float64 // pods/s; negative: no pacer at work
	phase  string
	totals podTotals
	began  map[string]int64 // the revision at which each phase did
	rates  rateMeter
}

func newMeasurement(dir *results.Dir, plan *Plan, log *slog.Logger) (*measurement, error) {
	m := &measurement{dir: dir, started: history.Now(), log: log, pace: -1, began: map[string]int64{}}
	m.totals = plan.totals("", results.PodCounts{})
	var err error
	if m.series, err = results.CreateSeries(dir.File(results.TimeSeries), m.started); err != nil {
		return nil, err
	}
	sampler := results.NewSampler(m.series, m.values, log)
	sampler.Set(results.HarnessName, os.Getpid())
	m.collector = results.NewCollector(sampler, leaseDuration)
	if plan.Density != nil {
		m.collector.Pods.Own(plan.Density.Owns)
	}
	if plan.World.Controllers > 0 {
		m.collector.WithOperators()
	}
	if plan.Contract != nil {
		m.contract = &contractCalls{}
	}
	if len(plan.Interventions) > 0 {
		m.availability = results.NewAvailability(m.started, heartbeatLate)
		m.evictions = newEvictions()
		m.removals = &removals{users: map[types.UID]string{}}
		m.losses = newLosses()
	}
	return m, nil
}

// hooks are where the measurement listens.
func (m *measurement) hooks() hooks {
	h := hooks{
		observer: m.collector.Recorder,
		commit: func(c history.Commit) {
			m.commits.Add(1)
			m.reached(c.Revision)
			if !ofContract(c.Key) {
				m.collector.Pods.Commit(c)
			}
		},
		podSeen: m.collector.Pods.Saw,
		lease:   m.collector.Leases.Lease,
	}
	if m.contract != nil {
		h.observer = observers{h.observer, m.contract}
	}
	if a := m.availability; a != nil {
		h.observer = observers{h.observer, a, m.removals, m.losses}
		h.lease = func(l history.Lease) {
			m.collector.Leases.Lease(l)
			a.Lease(l)
		}
		pods := h.commit
		h.commit = func(c history.Commit) {
			pods(c)
			m.evictions.commit(c)
		}
	}
	if operators := m.collector.Operators; operators != nil {
		pods := h.commit
		h.commit = func(c history.Commit) {
			pods(c)
			operators.Commit(c)
		}
		h.operatorSaw = func(_, _, version string, at history.Time) { operators.Saw(version, at) }
	}
	return h
}

// attach names the processes to sample, once they run.
func (m *measurement) attach(c *cluster) {
	for _, component := range c.plane.Components() {
		m.collector.Sampler.Set(component.Name, component.PID)
	}
	for _, member := range c.backend.Members() {
		if member.PID != 0 {
			m.collector.Sampler.Set(member.Name, member.PID)
		}
	}
	if a, ok := c.backend.(storage.Accompanied); ok {
		for name, pid := range a.Accompanying() {
			m.collector.Sampler.SetTree(name, pid)
		}
	}
	m.cluster.Store(c)
}

// scrape reads the metrics of all components whose figures are reported. A
// component that cannot be read has no figures; what that means is not decided
// here.
func (m *measurement) scrape(ctx context.Context) map[string]*results.Scrape {
	c := m.cluster.Load()
	if c == nil {
		return nil
	}
	scrapes := map[string]*results.Scrape{}
	for _, component := range c.plane.Components() {
		if component.Kind == apiserver.KubeControllerManager {
			continue
		}
		text, err := c.plane.Metrics(ctx, component.Name)
		if err == nil {
			scrapes[component.Name], err = results.ParseScrape(text)
		}
		if err != nil {
			m.log.Warn("cannot read metrics", "component", component.Name, "err", err)
			delete(scrapes, component.Name)
		}
	}
	return scrapes
}

// signals are what the pacer steers by, beside the counts of pods.
func (m *measurement) signals() workloads.Signals {
	_, failures, _ := m.collector.Recorder.Totals()
	_, slow := m.collector.Recorder.SlowNow()
	return workloads.Signals{
		StartupP99:       time.Duration(m.collector.Pods.RecentStartup().P99),
		LeaseLatenessP99: time.Duration(m.collector.Leases.Recent().P99),
		Errors:           failures,
		SLOMissed:        slow,
	}
}

// paceChanged keeps every change of the pace in the time series.
func (m *measurement) paceChanged(_ string, change workloads.PaceChange) {
	m.mu.Lock()
	m.pace = change.Rate
	m.mu.Unlock()
	m.series.Event(change.At, "pace", change.Reason, map[string]float64{"pace_pods_per_second": change.Rate})
}

// podEvent takes what the measuring watch sees.
func (m *measurement) podEvent(e workloads.PodEvent) {
	if strings.HasPrefix(e.Pod.Namespace, "contract-") {
		return
	}
	m.collector.Pods.Watched(e.Type, e.Pod.Namespace, e.Pod.Name, e.Pod.Phase, e.Arrived)
}

// values are the columns of the time series beside those of the processes. The
// sampler calls it once a second.
func (m *measurement) values() map[string]float64 {
	counts := m.collector.Pods.Counts()
	m.mu.Lock()
	m.rates.add(history.Now(), counts.Running)
	values := map[string]float64{
		"pods_created": float64(counts.Created), "pods_bound": float64(counts.Bound),
		"pods_running": float64(counts.Running), "pods_deleted": float64(counts.Deleted),
		"running_pods_per_second": m.rates.perSecond(),
	}
	if m.pace >= 0 {
		values["pace_pods_per_second"] = m.pace
	}
	m.mu.Unlock()
	if l := m.collector.Pods.RecentStartup(); l.Count > 0 {
		values["startup_p99_seconds"] = time.Duration(l.P99).Seconds()
	}
	if l := m.collector.Leases.Recent(); l.Count > 0 {
		values["lease_late_p99_seconds"] = time.Duration(l.P99).Seconds()
	}
	if c := m.cluster.Load(); c != nil {
		stats := c.nodes.Stats()
		values["nodes_ready"] = float64(stats.NodesReady)
		values["watches_open"] = float64(stats.WatchesOpen)
		values["lease_renewals"] = float64(stats.LeaseRenewals)
	}
	return values
}

func (m *measurement) setPhase(name string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.phase, m.pace = name, -1
}

// begin notes that the work of a phase begins.
func (m *measurement) begin(phase string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.began[phase] = m.revision.Load()
}

// past says whether a phase has begun, and so many revisions were made since; "":
// since the first of the store.
func (m *measurement) past(phase string, revisions int64) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	from, ok := m.began[phase]
	return (ok || phase == "") && m.revision.Load() >= from+revisions
}

// reached keeps the highest revision: reports may overtake each other.
func (m *measurement) reached(revision int64) {
	for {
		last := m.revision.Load()
		if revision <= last || m.revision.CompareAndSwap(last, revision) {
			return
		}
	}
}

// close ends the time series, and notes in the record of the run what has found no room
// in them.
func (m *measurement) close(run *results.Run) error {
	availability, err := m.writeAvailability()
	if err = errors.Join(err, m.series.Close()); err != nil {
		return fmt.Errorf("close measurement: %w", err)
	}
	for file, rows := range map[string]int64{results.TimeSeries: m.series.LeftOut(), results.AvailabilitySeries: availability} {
		if rows == 0 {
			continue
		}
		if run.LeftOut == nil {
			run.LeftOut = map[string]int64{}
		}
		run.LeftOut[file] = rows
	}
	return nil
}

// writeAvailability writes what was served in each second. A run with faults is
// short, so that all of it is kept until its end. leftOut is how many rows had no room.
func (m *measurement) writeAvailability() (leftOut int64, err error) {
	if m.availability == nil {
		return 0, nil
	}
	series, err := results.CreateSeries(m.dir.File(results.AvailabilitySeries), m.started)
	if err != nil {
		return 0, err
	}
	m.availability.Write(series, history.Now())
	err = series.Close()
	return series.LeftOut(), err
}

// rateWindow is over how many samples, one a second, a rate is averaged.
const rateWindow = 5

// rateMeter turns a counter that is read once a second into a rate.
type rateMeter struct {
	at    [rateWindow + 1]history.Time
	count [rateWindow + 1]int64
	n     int
}

func (r *rateMeter) add(at history.Time, count int64) {
	i := r.n % len(r.at)
	r.at[i], r.count[i] = at, count
	r.n++
}

// perSecond is the rate over the window, or over what there is of it.
func (r *rateMeter) perSecond() float64 {
	if r.n < 2 {
		return 0
	}
	last := (r.n - 1) % len(r.at)
	first := 0
	if r.n > len(r.at) {
		first = r.n % len(r.at)
	}
	if d := r.at[last].Sub(r.at[first]).Seconds(); d > 0 {
		return float64(r.count[last]-r.count[first]) / d
	}
	return 0
}
