package results

import (
	"cmp"
	"slices"
	"strings"
	"sync"
	"time"
)

// ServerFigures are what the API servers and schedulers say of a phase, about
// everybody's requests. All latencies are bucketed.
type ServerFigures struct {
	Calls []ServerCall `json:"calls,omitempty"`
	// Codes counts the requests by HTTP status, long-running ones included.
	Codes     map[string]int64 `json:"codes,omitempty"`
	Scheduler []Step           `json:"scheduler,omitempty"`
	// Store is how long the API servers waited for the store, by operation.
	Store    []Step `json:"store,omitempty"`
	Queueing []Step `json:"queueing,omitempty"` // priority and fairness, by level
	Dispatch []Step `json:"dispatch,omitempty"` // of watch events, by resource and stage
	// Rejected counts what priority and fairness turned away, by level and
	// reason; TerminatedWatchers the watches closed because they fell behind,
	// by resource. Gauges are the readings at the end of the phase.
	Rejected           map[string]int64 `json:"rejected,omitempty"`
	TerminatedWatchers map[string]int64 `json:"terminated_watchers,omitempty"`
	WatchEvents        map[string]int64 `json:"watch_cache_events,omitempty"`
	OpenWatches        map[string]int64 `json:"open_watches,omitempty"`
	// ConsistencyChecks counts the servers' own comparisons of their watch
	// caches with the store, by status (success, failure, error) and resource.
	ConsistencyChecks map[string]int64 `json:"consistency_checks,omitempty"`
	// CacheDifferences are the watch caches that one of these found to differ from the
	// store, by server and resource.
	CacheDifferences []CacheDifference `json:"cache_differences,omitempty"`
	// ConsistentReads counts the lists of the most recent state that the servers
	// meant to answer from their watch caches, by "success fallback": "true false"
	// came from the cache, "true true" from the store after all, because the cache
	// had not caught up in time. A server whose store cannot report progress
	// asks the store at once and counts nothing.
	ConsistentReads  map[string]int64 `json:"consistent_reads,omitempty"`
	Inflight         map[string]int64 `json:"inflight,omitempty"`
	PendingPods      map[string]int64 `json:"pending_pods,omitempty"`
	ScheduleAttempts map[string]int64 `json:"schedule_attempts,omitempty"`
}

// ServerCall is one kind of request in the servers' histograms.
type ServerCall struct {
	Call
	// SLI leaves out webhooks and the queueing of priority and fairness, as
	// the SLO does; Full is all of it.
	SLI        Bucketed `json:"sli"`
	Full       Bucketed `json:"full"`
	Threshold  Seconds  `json:"threshold_seconds,omitempty"`
	Windows    int      `json:"windows,omitempty"`
	Violations int      `json:"violations,omitempty"`
	Worst      Window   `json:"worst_window,omitzero"`
}

// Step is a histogram that is shown by a name.
type Step struct {
	Name    string   `json:"name"`
	Latency Bucketed `json:"latency"`
}

// Servers follows the scrapes of a run by phase: one at the beginning of each
// phase, one every MarkInterval within it (Mark), one at its end. A server that is
// missing in one of them stands where it was last seen: it may have died, or not
// have answered in time, and what it did is then counted with the next scrape that
// has it, and never from when its process started.
type Servers struct {
	mu     sync.Mutex
	first  map[string]*Scrape
	last   map[string]*Scrape // the last good one of each server, of earlier phases too
	begun  bool
	began  time.Time
	marks  []mark // the beginnings of windows that have not ended yet, oldest first
	worst  map[Call]*windowTally
	judged []serverWindow
}

// mark is a scrape between two windows; of it only what the SLOs judge is kept.
type mark struct {
	at   Seconds // since the beginning of the phase
	slis map[string]*Scrape
}

// serverWindow is a window that was judged, with the SLOs that it missed.
type serverWindow struct {
	from, to Seconds
	missed   []string
}

type windowTally struct {
	worst          Window
	judged, missed int
}

// Begin starts a phase with the scrapes taken at its beginning, by component.
func (s *Servers) Begin(scrapes map[string]*Scrape) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.began, s.marks = time.Now(), nil
	s.first = s.keep(scrapes)
	s.begun = true
	s.worst, s.judged = map[Call]*windowTally{}, nil
	s.marks = []mark{{0, slisOf(s.first)}}
}

// keep completes the scrapes with the last good ones and returns them all.
func (s *Servers) keep(scrapes map[string]*Scrape) map[string]*Scrape {
	all := map[string]*Scrape{}
	for name, old := range s.last {
		all[name] = old.withoutGauges()
	}
	for name, now := range scrapes {
		if now == nil {
			continue
		}
		if all[name] == nil && s.begun && now.start < float64(s.began.UnixMilli())/1000 {
			s.discover(name, now)
		}
		all[name] = now
	}
	s.last = all
	return all
}

// discover has a server that was there before the phase, but could not be read
// until now, count from now on: nobody knows what it had done by then.
func (s *Servers) discover(name string, now *Scrape) {
	s.first[name] = now
	for _, m := range s.marks {
		m.slis[name] = now.slis()
	}
}

func slisOf(scrapes map[string]*Scrape) map[string]*Scrape {
	slis := map[string]*Scrape{}
	for name, s := range scrapes {
		slis[name] = s.slis()
	}
	return slis
}

// Mark ends a step; at is the time since the beginning of the phase. The window of
// sloSteps that ends with it is judged, if the phase has had so many.
func (s *Servers) Mark(at Seconds, scrapes map[string]*Scrape) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.begun {
		return
	}
	now := mark{at, slisOf(s.keep(scrapes))}
	s.marks = append(s.marks, now)
	if int64(len(s.marks)) <= sloSteps {
		return
	}
	s.marks = s.marks[int64(len(s.marks))-1-sloSteps:]
	s.judge(s.marks[0], now)
}

// judge takes the time between two scrapes as one window.
func (s *Servers) judge(from, to mark) {
	window := serverWindow{from: from.at, to: to.at}
	d := Delta(from.slis, to.slis)
	for k, h := range d.histograms {
		call := serverCall(k)
		threshold, ok := Threshold(call)
		if !ok || h.count() < 1 {
			continue
		}
		w := Window{
			Start: from.at, Count: int64(h.count()),
			Slow: h.above(threshold.Seconds()), P99: h.latency().P99,
		}
		if s.worst[call] == nil {
			s.worst[call] = &windowTally{}
		}
		s.worst[call].add(w)
		if w.Violates() {
			window.missed = append(window.missed, sloOf(call).title(SourceServers))
		}
	}
	s.judged = append(s.judged, window)
}

func (t *windowTally) add(w Window) {
	t.judged++
	if w.Violates() {
		t.missed++
	}
	if w.worse(t.worst) {
		t.worst = w
	}
}

// End ends the phase and returns its figures; at is the phase's length. Its last
// window is the phase, or in a long one what has passed since the step that ended
// sloWindow ago: the started step is never a window of its own.
func (s *Servers) End(at Seconds, scrapes map[string]*Scrape) ServerFigures {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.begun {
		return ServerFigures{}
	}
	last := s.keep(scrapes)
	s.judge(s.marks[0], mark{at, slisOf(last)})
	s.begun = false
	f := figuresOf(Delta(s.first, last))
	f.CacheDifferences = cacheDifferences(s.first, last)
	s.first, s.marks = nil, nil
	for i := range f.Calls {
		c := &f.Calls[i]
		if t := s.worst[c.Call]; t != nil {
			c.Windows, c.Violations, c.Worst = t.judged, t.missed, t.worst
		}
	}
	return f
}

// windows are those of the last phase that has ended.
func (s *Servers) windows() []serverWindow {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.judged
}

const (
	sliFamily  = "apiserver_request_sli_duration_seconds"
	fullFamily = "apiserver_request_duration_seconds"
)

// serverCall translates the labels of a server's metric into our words.
func serverCall(k metricKey) Call {
	verb := strings.ToLower(k.labels[0])
	switch verb {
	case "post":
		verb = "create"
	case "put":
		verb = "update"
	}
	return Call{Verb: verb, Group: k.labels[1], Resource: k.labels[2], Subresource: k.labels[3], Scope: k.labels[4]}
}

func figuresOf(d *Scrape) ServerFigures {
	return ServerFigures{
		Calls:              d.calls(),
		Codes:              d.counts("apiserver_request_total", 1),
		Scheduler:          d.schedulerSteps(),
		Store:              d.steps("etcd_request_duration_seconds", ""),
		Queueing:           d.steps("apiserver_flowcontrol_request_wait_duration_seconds", ""),
		Dispatch:           d.steps("apiserver_watch_events_dispatch_duration_seconds", ""),
		Rejected:           d.counts("apiserver_flowcontrol_rejected_requests_total", 0, 1),
		TerminatedWatchers: d.counts("apiserver_terminated_watchers_total", 0),
		WatchEvents:        d.counts("apiserver_watch_cache_events_dispatched_total", 0),
		OpenWatches:        d.watches(),
		ConsistencyChecks:  d.counts(consistencyFamily, 0, 2),
		ConsistentReads:    d.counts("apiserver_watch_cache_consistent_read_total", 0, 1),
		Inflight:           d.counts("apiserver_current_inflight_requests", 0),
		PendingPods:        d.counts("scheduler_pending_pods", 0),
		ScheduleAttempts:   d.counts("scheduler_schedule_attempts_total", 0),
	}
}

// calls returns the requests of each kind. Requests for something that is no
// resource, such as /readyz, have none of these labels and are left out.
func (s *Scrape) calls() []ServerCall {
	calls := map[Call]*ServerCall{}
	for k, h := range s.histograms {
		if k.family != sliFamily && k.family != fullFamily || k.labels[2] == "" || h.count() < 1 {
			continue
		}
		call := serverCall(k)
		c := calls[call]
		if c == nil {
			threshold, _ := Threshold(call)
			c = &ServerCall{Call: call, Threshold: Seconds(threshold)}
			calls[call] = c
		}
		if k.family == sliFamily {
			c.SLI = h.latency()
		} else {
			c.Full = h.latency()
		}
	}
	var all []ServerCall
	for _, call := range sorted(calls, compareCalls) {
		all = append(all, *calls[call])
	}
	return all
}

// counts adds up a family by the values of the labels at these places.
func (s *Scrape) counts(family string, labels ...int) map[string]int64 {
	var counts map[string]int64
	for k, v := range s.values {
		if k.family != family || v == 0 {
			continue
		}
		var words []string
		for _, i := range labels {
			words = append(words, k.labels[i])
		}
		if counts == nil {
			counts = map[string]int64{}
		}
		counts[strings.Join(words, " ")] += int64(v)
	}
	return counts
}

// watches returns the open watches by resource.
func (s *Scrape) watches() map[string]int64 {
	only := newScrape()
	for k, v := range s.values {
		if k.family == "apiserver_longrunning_requests" && k.labels[0] == "WATCH" {
			only.values[k] = v
		}
	}
	return only.counts("apiserver_longrunning_requests", 1)
}

// steps returns the histograms of a family by their labels, behind a prefix.
func (s *Scrape) steps(family, prefix string) []Step {
	var steps []Step
	for k, h := range s.histograms {
		if k.family == family && h.count() >= 1 {
			name := strings.TrimSpace(prefix + " " + strings.TrimSpace(strings.Join(k.labels[:], " ")))
			steps = append(steps, Step{name, h.latency()})
		}
	}
	slices.SortFunc(steps, func(a, b Step) int { return cmp.Compare(a.Name, b.Name) })
	return steps
}

// schedulerSteps splits created → bound as far as the scheduler's histograms
// do: all of it from when the pod entered the queue, and the parts of the last
// attempt.
func (s *Scrape) schedulerSteps() []Step {
	return slices.Concat(
		s.steps("scheduler_pod_scheduling_sli_duration_seconds", "in queue to bound"),
		s.steps("scheduler_scheduling_attempt_duration_seconds", "attempt"),
		s.steps("scheduler_scheduling_algorithm_duration_seconds", "algorithm"),
		s.steps("scheduler_framework_extension_point_duration_seconds", "plugins"),
	)
}
