package results

import (
	"fmt"
	"slices"
	"time"

	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/checkers/history"
)

// The official SLOs of SIG Scalability (kubernetes/community,
// sig-scalability/slos/slos.md).
const (
	callThreshold    = time.Second      // mutating calls and reads of one object
	listThreshold    = 30 * time.Second // reads of a namespace or the cluster
	StartupThreshold = 5 * time.Second  // of a stateless pod
	minAvailability  = 0.995            // of API requests (clusterloader2, APIAvailability)
	// maxChurn is the precondition of them all: pod creations and deletions
	// and requests of users, per second.
	maxChurn = 20.0
)

// Threshold returns what the SLO allows for the 99th percentile of the call,
// and whether there is an SLO for it: watches, connections to pods and
// deletions of whole collections have none.
func Threshold(c Call) (time.Duration, bool) {
	switch c.Subresource {
	case "log", "exec", "attach", "portforward", "proxy":
		return 0, false
	}
	switch c.Verb {
	case "create", "update", "patch", "apply", "delete":
		if c.Scope == "resource" {
			return callThreshold, true
		}
	case "get", "list":
		if c.Scope == "resource" {
			return callThreshold, true
		}
		if c.Scope == "namespace" || c.Scope == "cluster" {
			return listThreshold, true
		}
	}
	return 0, false
}

// Outcome is how something was judged. The empty Outcome stands for what was
// not measured.
type Outcome = checkers.Outcome

// The outcomes of an SLO.
const (
	Pass = checkers.Pass
	Fail = checkers.Fail
)

// Source says whose requests an SLO was judged on and how.
type Source string

// The two sources of figures about API calls, and that of pods.
const (
	// SourceOurs: every request of sim and workloads, timed by the client from
	// when it was due, so with the queueing that the SLO leaves out.
	SourceOurs Source = "ours, exact"
	// SourceServers: everybody's requests, from the API servers' histograms.
	SourceServers Source = "everybody's, bucketed"
	// SourcePods: commit times at the store, and the measuring watcher.
	SourcePods Source = "all pods, exact"
)

// SLO is the verdict on one SLO in one phase.
type SLO struct {
	Name    string  `json:"name"`
	Source  Source  `json:"source"`
	Outcome Outcome `json:"outcome"`
	// Latency SLOs: the p99 of the worst window and what it may be.
	P99       Seconds `json:"p99_seconds,omitempty"`
	Threshold Seconds `json:"threshold_seconds,omitempty"`
	// Ratio SLOs: what was reached and what it must be at least.
	Ratio    float64 `json:"ratio,omitempty"`
	MinRatio float64 `json:"min_ratio,omitempty"`

	Worst      string `json:"worst,omitempty"` // the call, e.g. "patch pods/status"
	Windows    int    `json:"windows,omitempty"`
	Violations int    `json:"violations,omitempty"`
	Note       string `json:"note,omitempty"`
}

// EvaluateSLOs judges a phase.
func EvaluateSLOs(p *Phase) []SLO {
	ours, servers := ourVerdicts(p), serverVerdicts(p)
	var all []SLO
	for _, kind := range sloKinds {
		all = append(all,
			judgeCalls(kind, SourceOurs, ours),
			judgeCalls(kind, SourceServers, servers))
	}
	return append(all, judgeStartup(p),
		judgeAvailability(SourceOurs, ourAvailability(p)),
		judgeAvailability(SourceServers, serverAvailability(p)))
}

// sloKind is one of the SLOs on API calls.
type sloKind struct {
	name      string
	threshold time.Duration
	covers    func(Call) bool
}

var sloKinds = []sloKind{
	{"mutating calls", callThreshold, func(c Call) bool { return !isRead(c) }},
	{"reads, one object", callThreshold, func(c Call) bool { return isRead(c) && c.Scope == "resource" }},
	{"reads, many objects", listThreshold, func(c Call) bool { return isRead(c) && c.Scope != "resource" }},
}

// sloOf is the SLO that covers a call which has a Threshold.
func sloOf(c Call) sloKind {
	return sloKinds[slices.IndexFunc(sloKinds, func(k sloKind) bool { return k.covers(c) })]
}

// title names the SLO as judged on these requests.
func (k sloKind) title(source Source) string { return sloTitle(k.name, source) }

func sloTitle(name string, source Source) string { return name + " (" + string(source) + ")" }

func isRead(c Call) bool { return c.Verb == "get" || c.Verb == "list" }

// callVerdict is what the windows of one call gave.
type callVerdict struct {
	call                Call
	worst               Window
	windows, violations int
}

func ourVerdicts(p *Phase) []callVerdict {
	var all []callVerdict
	for _, c := range p.API.Calls {
		all = append(all, callVerdict{c.Call, c.Worst, c.Windows, c.Violations})
	}
	return all
}

func serverVerdicts(p *Phase) []callVerdict {
	var all []callVerdict
	for _, c := range p.Servers.Calls {
		all = append(all, callVerdict{c.Call, c.Worst, c.Windows, c.Violations})
	}
	return all
}

// judgeCalls finds the worst call that the SLO covers.
func judgeCalls(kind sloKind, source Source, calls []callVerdict) SLO {
	s := SLO{Name: kind.name, Source: source, Threshold: Seconds(kind.threshold)}
	var worst Window
	for _, c := range calls {
		if _, judged := Threshold(c.call); !judged || !kind.covers(c.call) || c.windows == 0 {
			continue
		}
		s.Windows = max(s.Windows, c.windows)
		s.Violations += c.violations
		if c.worst.worse(worst) {
			worst = c.worst
			s.Worst = c.call.String()
		}
	}
	s.judgeWindow(worst)
	return s
}

func (s *SLO) judgeWindow(worst Window) {
	if s.Windows == 0 {
		return
	}
	s.P99 = worst.P99
	s.Outcome = Pass
	switch {
	case s.Violations > 0:
		s.Outcome = Fail
	case s.P99 > s.Threshold && worst.Slow <= slowCallsAllowed:
		s.Note = fmt.Sprintf("%d slow call of %d is allowed", worst.Slow, worst.Count)
	}
}

const startupName = "pod start-up"

func judgeStartup(p *Phase) SLO {
	f := p.Pods.Startup
	s := SLO{
		Name: startupName, Source: SourcePods, Threshold: Seconds(StartupThreshold),
		Windows: f.Windows, Violations: f.Violations,
	}
	s.judgeWindow(f.Worst)
	return s
}

// ratio counts the good ones of all.
type ratio struct{ good, all int64 }

// ourAvailability leaves out contract traffic, which asks for errors: to count it as
// served would make up for requests of the load that were not.
func ourAvailability(p *Phase) ratio {
	var r ratio
	for _, q := range p.API.Requests {
		if q.Class == history.ClassContract {
			continue
		}
		r.all += q.Requests
		r.good += q.Requests - q.Unavailable
	}
	return r
}

func serverAvailability(p *Phase) ratio {
	var r ratio
	for code, n := range p.Servers.Codes {
		r.all += n
		if len(code) != 3 || code[0] != '5' {
			r.good += n
		}
	}
	return r
}

func judgeAvailability(source Source, r ratio) SLO {
	s := SLO{Name: "API availability", Source: source, MinRatio: minAvailability}
	if r.all == 0 {
		return s
	}
	s.Ratio = float64(r.good) / float64(r.all)
	s.Outcome = Pass
	if s.Ratio < minAvailability {
		s.Outcome = Fail
	}
	return s
}

// SLOsMet combines the SLOs of a phase: Fail if one failed, Pass if some were
// measured and none failed, and the empty Outcome if none was measured.
func SLOsMet(slos []SLO) Outcome {
	var all Outcome
	for _, s := range slos {
		switch s.Outcome {
		case Fail:
			return Fail
		case Pass:
			all = Pass
		}
	}
	return all
}

// OutsidePrecondition reports whether the phase had more churn than the SLOs
// promise anything for.
func (p *Phase) OutsidePrecondition() bool {
	return p.ChurnPerSecond > maxChurn
}
