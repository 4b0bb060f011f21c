// Package results keeps what a run measured: it takes the records of requests,
// commits, heartbeats and processes while they happen, cuts them down to
// figures by phase, judges those by the official SLOs, and writes and renders
// the run directory.
package results

import (
	"encoding/json"
	"time"

	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/checkers/cluster"
	"github.com/planecheck/planecheck/checkers/history"
)

// Schema is the version of run.json that this package writes and reads. It
// goes up whenever a field changes its meaning.
const Schema = 1

// Run is the content of run.json: everything that is known of a run, except
// histories, logs and time series, which lie beside it.
type Run struct {
	Schema   int               `json:"schema"`
	Name     string            `json:"name"`
	Seed     uint64            `json:"seed"`
	Plan     json.RawMessage   `json:"plan,omitempty"` // of package scenarios, opaque here
	Profile  string            `json:"profile,omitempty"`
	Nodes    int               `json:"nodes,omitempty"`
	Started  time.Time         `json:"started"`
	Ended    time.Time         `json:"ended,omitzero"`
	Versions map[string]string `json:"versions,omitempty"`
	Host     Host              `json:"host"`
	// Settings are arguments and environment of every component, GC settings
	// and the like, as JSON of the runner's choice.
	Settings json.RawMessage `json:"settings,omitempty"`
	Estimate *Estimate       `json:"estimate,omitempty"`
	Peak     *Peak           `json:"peak,omitempty"`
	Phases   []Phase         `json:"phases,omitempty"`
	// Calls are the latencies of what sim and workloads sent, over all phases.
	Calls []CallFigures `json:"calls,omitempty"`
	// Calm is the moment, on the clock of the histories, from which on nothing was
	// done to the cluster any more and it was whole; 0: there was none, or it was so
	// from the beginning.
	Calm int64 `json:"calm,omitempty"`
	// Struck is the moment, on the same clock, at which the first fault began; 0:
	// there was none, or the record is older than this.
	Struck int64 `json:"struck,omitempty"`
	// Crashes are the members of the store that faults ended and that came back with
	// their data. Records from before 23 November 2026 do not say.
	Crashes []history.Crash `json:"crashes,omitempty"`
	// Settled are the moments at which nothing was left to do, in their order.
	Settled []cluster.Moment `json:"settled,omitempty"`
	// SettledRevision is all that older records have of it: the revision of the store
	// at the end of the hold; 0: there was none. Nobody writes it any more; see
	// Moments.
	SettledRevision int64 `json:"settled_revision,omitempty"`
	// Restore is that the store was restored from a snapshot on the way; nil: it
	// was not.
	Restore *history.Restore `json:"restore,omitempty"`
	// History is what was recorded and judged, nil if nothing was.
	History *History `json:"history,omitempty"`
	// Availability is what faults did to the users of the API, nil without any.
	Availability *AvailabilityFigures `json:"availability,omitempty"`
	// Contract is nil without contract traffic.
	Contract *Contract `json:"contract,omitempty"`
	// Death is the end of a component that ended the run; nil: none did.
	Death *Death `json:"death,omitempty"`
	// Lies is how often the lie of a World that lies was told.
	Lies int `json:"lies_told,omitempty"`
	// LeftOut is how many rows a time series, by its file, had no room for.
	LeftOut map[string]int64 `json:"rows_left_out,omitempty"`
	Verdict Verdict          `json:"verdict"`
}

// Death is the end of a component that nobody asked for.
type Death struct {
	Component string `json:"component"`
	State     string `json:"state"` // e.g. "signal: killed"
	// Ended is when the end of its process was noticed, on the clock of the histories.
	Ended history.Time `json:"ended_monotonic_ns"`
	// Teardown is how much later the run began to stop everything else.
	Teardown Seconds `json:"teardown_after_seconds"`
}

// Phase is one phase of a run with all its figures. What was not measured is
// left at its zero value.
type Phase struct {
	Name     string    `json:"name"`
	Started  time.Time `json:"started"`
	Duration Seconds   `json:"duration_seconds"`
	// Begun is Started as a reading of the clock of the histories.
	Begun history.Time `json:"begun_monotonic_ns,omitempty"`
	// Incomplete says why the phase did not end as planned, if it did not.
	Incomplete string `json:"incomplete,omitempty"`
	// ChurnPerSecond is pod creations and deletions and requests of the classes
	// workload and contract, as the precondition of the SLOs counts it. Records from
	// before 23 November 2026 leave contract traffic out.
	ChurnPerSecond float64          `json:"churn_per_second"`
	Pace           *Pace            `json:"pace,omitempty"`
	Pods           PodFigures       `json:"pods"`
	API            APIFigures       `json:"api"`
	Servers        ServerFigures    `json:"servers"`
	Leases         LeaseFigures     `json:"leases"`
	Operators      *OperatorFigures `json:"operators,omitempty"` // nil without simulated controllers
	Usage          map[string]Usage `json:"usage,omitempty"`
	Profile        *ProfileSplit    `json:"profile,omitempty"` // of the harness
	// Delivered is how long the changes of this phase, of all resources, took from
	// their commit until a client of ours had read their events; nil: not judged.
	Delivered *Delivery `json:"delivered,omitempty"`
	SLOs      []SLO     `json:"slos,omitempty"`
	// Windows are those by which the SLOs were judged; older records have none.
	Windows []SLOWindow `json:"slo_windows,omitempty"`
}

// Pace sums up what the pacer did in a phase; each change is an event in the
// time series.
type Pace struct {
	Mode string `json:"mode"` // auto, max, or pods per second
	// Sustained is the fastest start of pods that was kept for half a minute in
	// which the pacer saw nothing wrong: start-up and our own calls, over the last
	// five seconds each, were within their SLOs. No SLO is judged like that, so the
	// phase may have missed some all the same. 0: there was no such half minute.
	Sustained float64 `json:"sustained_pods_per_second"`
	Last      float64 `json:"last_pods_per_second"`
	Highest   float64 `json:"highest_pods_per_second"`
	Raises    int     `json:"raises"`
	Backoffs  int     `json:"backoffs"`
}

// History sums up the histories of a run and their judgement.
type History struct {
	Operations int64 `json:"operations"` // calls of the store
	Messages   int64 `json:"messages"`   // of its watches
	Events     int64 `json:"events"`     // in these
	Revisions  int64 `json:"revisions"`
	// Attempts of the simulation and the workloads at the API, and messages on
	// their watches.
	Attempts    int64   `json:"attempts"`
	APIMessages int64   `json:"api_messages"`
	Versions    int64   `json:"versions"` // rows of the version table
	Lost        uint64  `json:"lost"`     // records that could not be kept
	Bytes       int64   `json:"bytes"`
	Judged      Seconds `json:"judged_seconds"` // how long that took
	// Deliveries are the times from a commit until the store handed the event
	// to a watch, by resource.
	Deliveries []Delivery `json:"deliveries,omitempty"`
	// APIDeliveries are those from the commit until a client of ours had read
	// the event on its watch.
	APIDeliveries []Delivery `json:"api_deliveries,omitempty"`
}

// Records is the number of all records.
func (h *History) Records() int64 {
	return h.Operations + h.Messages + h.Attempts + h.APIMessages + h.Versions
}

// Delivery is the distribution of one resource's delivery times.
type Delivery struct {
	Resource string  `json:"resource,omitempty"` // "": of all
	Count    int64   `json:"count"`
	P50      Seconds `json:"p50_seconds"`
	P99      Seconds `json:"p99_seconds"`
	P999     Seconds `json:"p999_seconds"`
	Max      Seconds `json:"max_seconds"`
}

// StorageHistory is the verdict of a run in place of all those on its history, where
// that was not judged.
const StorageHistory = "StorageHistory"

// Verdict is the judgement of a run.
type Verdict struct {
	// Outcome is empty while the run goes on, and Unknown if it was cut short.
	Outcome    Outcome            `json:"outcome,omitempty"`
	Reason     string             `json:"reason,omitempty"`
	Guarantees []checkers.Verdict `json:"guarantees,omitempty"`
}

// Moments are those at which nothing was left to do, also of older records.
func (r *Run) Moments() []cluster.Moment {
	if len(r.Settled) == 0 && r.SettledRevision > 0 {
		return []cluster.Moment{{Revision: r.SettledRevision}}
	}
	return r.Settled
}

// SLOsMet combines the SLOs of all phases.
func (r *Run) SLOsMet() Outcome {
	var all []SLO
	for _, p := range r.Phases {
		all = append(all, p.SLOs...)
	}
	return SLOsMet(all)
}

// perSecond is n over the length of the phase; ok is false if it has none.
func (p *Phase) perSecond(n int64) (rate float64, ok bool) {
	s := p.Duration.Duration().Seconds()
	if s <= 0 {
		return 0, false
	}
	return float64(n) / s, true
}

// churn computes ChurnPerSecond. The official wording counts "pod spec
// creations, updates and deletions" and "user originated requests"; pods are
// only created and deleted here, never updated in their spec. Users are the
// workload and contract traffic: nodes and controllers are part of the cluster.
func (p *Phase) churn() float64 {
	n := p.Pods.Counts.Created + p.Pods.Counts.Deleted
	for _, q := range p.API.Requests {
		if q.Class == history.ClassWorkload || q.Class == history.ClassContract {
			n += q.Requests
		}
	}
	rate, _ := p.perSecond(n)
	return rate
}

// Throughput is the figure that counts: the most pods per second that were started,
// as the mean over a whole window of the SLOs (a phase, or five minutes of it), while
// every official SLO held in that window; where says which it was. If there is none,
// reason says what stood in the way. What the pacer reached for half a minute is
// Pace.Sustained.
func (r *Run) Throughput() (podsPerSecond float64, where, reason string) {
	reason = "no phase created pods"
	for i := range r.Phases {
		p := &r.Phases[i]
		if p.Pods.Counts.Running == 0 || p.Pods.Counts.Created == 0 || p.Duration <= 0 {
			continue
		}
		best, why := p.met()
		switch rate := best.podsPerSecond(); {
		case rate > podsPerSecond:
			podsPerSecond, where, reason = rate, best.text(p), ""
		case podsPerSecond == 0:
			reason = why
		}
	}
	return podsPerSecond, where, reason
}
