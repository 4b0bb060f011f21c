package results

import "github.com/planecheck/planecheck/checkers/history"

// AvailabilityFigures are what the faults of a run did to those who used the
// API. Moments are exact to 10 ms, quantiles are at most an eighth too high.
type AvailabilityFigures struct {
	// LateAfter is from when on a heartbeat is late.
	LateAfter Seconds        `json:"heartbeat_late_after_seconds"`
	Faults    []FaultFigures `json:"faults"`
	// Uncounted calls returned too late to be counted where they belong.
	Uncounted int64 `json:"uncounted_calls,omitempty"`
}

// FaultFigures are what was measured while a fault acted, and in the recovery
// after it, which ends with the first second from which everything is as good
// as it was before.
type FaultFigures struct {
	Fault  string `json:"fault"`
	Target string `json:"target,omitempty"`
	// Evidence is how it showed from outside that the fault acted, Healed that it
	// was healed; "": it did not show, or there was nothing to heal.
	Evidence string  `json:"evidence,omitempty"`
	Healed   string  `json:"healed_evidence,omitempty"`
	Injected Seconds `json:"injected_seconds"` // since the start of the run
	// Acted is from the injection to the heal, or to the end of the run.
	Acted Seconds `json:"acted_seconds"`
	// Recovered is from the heal to the end of the recovery; nil if everything
	// was not seen to be as good as before, of which Incomplete says why.
	Recovered  *Seconds `json:"recovered_after_seconds,omitempty"`
	Incomplete string   `json:"incomplete,omitempty"`
	// With are the faults that acted, or were recovered from, at the same time:
	// what each did cannot be told apart.
	With []string `json:"with,omitempty"`

	Reads   ServiceFigures `json:"reads"`
	Writes  ServiceFigures `json:"writes"`
	Watches WatchOpenings  `json:"watches"`
	// Classes are the calls of each identity class while the fault acted.
	Classes    map[history.Class]ClassCalls `json:"classes,omitempty"`
	Heartbeats HeartbeatFigures             `json:"heartbeats"`
	// Leaderless is how long nobody led, by what there is to lead: the store (by
	// the name of its backend), kube-scheduler, kube-controller-manager. What was
	// never looked at is not in it.
	Leaderless map[string]Seconds `json:"leaderless_seconds,omitempty"`
	// Evicted are pods that were evicted wrongly, from a node that kept its
	// Lease; nil: nobody counted them.
	Evicted *int64 `json:"pods_evicted,omitempty"`
	// Bound are pods that got a node; nil: nobody counted them.
	Bound *PodsBound `json:"pods_bound,omitempty"`
}

// PodsBound counts pods that the scheduler put on a node while a fault acted, and
// from its heal to the next fault or the end of the recovery.
type PodsBound struct {
	During int64 `json:"during"`
	After  int64 `json:"after"`
}

// ServiceFigures are one kind of calls around a fault.
type ServiceFigures struct {
	Before   CallFates `json:"before"` // in the seconds by which the recovery is judged
	During   CallFates `json:"during"`
	Recovery CallFates `json:"recovery"`
	// Gap is the longest time, until the recovery ends, that calls waited
	// without any being served. Where nobody calls there is no gap.
	Gap Seconds `json:"longest_without_success_seconds"`
	// FirstFailure is from the injection until a call was due that was not
	// served, Back from that moment until a call was served that was due
	// after that one, FirstServed from the heal to the first answer. nil: it
	// did not happen.
	FirstFailure *Seconds `json:"first_failure_after_injection_seconds,omitempty"`
	Back         *Seconds `json:"first_success_after_failure_seconds,omitempty"`
	FirstServed  *Seconds `json:"first_success_after_heal_seconds,omitempty"`
}

// CallFates are what became of calls, and how long they took.
type CallFates struct {
	CallCounts
	// Latency counts from when the call was due; with calls that failed after
	// more than a second, without those that were shed.
	Latency Latency `json:"latency"`
}

// CallCounts counts calls by what became of them.
type CallCounts struct {
	Served   int64 `json:"served"`   // answered as documented: a 404 or a 409 too
	Failed   int64 `json:"failed"`   // 5xx, or no answer
	Shed     int64 `json:"shed"`     // 429
	Canceled int64 `json:"canceled"` // given up by the sender itself; neither good nor bad
}

// Ratio is the share of the calls that was served; ok is false if there were
// none.
func (c CallCounts) Ratio() (ratio float64, ok bool) {
	all := c.Served + c.Failed + c.Shed
	if all == 0 {
		return 0, false
	}
	return float64(c.Served) / float64(all), true
}

func (c *CallCounts) add(f fates) {
	c.Served += int64(f.served)
	c.Failed += int64(f.failed)
	c.Shed += int64(f.shed)
	c.Canceled += int64(f.canceled)
}

// WatchOpenings are the attempts to open a watch.
type WatchOpenings struct {
	During   CallCounts `json:"during"`
	Recovery CallCounts `json:"recovery"`
}

// ClassCalls are the calls of one identity class.
type ClassCalls struct {
	Reads  CallCounts `json:"reads"`
	Writes CallCounts `json:"writes"`
}

// HeartbeatFigures are the heartbeats that were due while a fault acted, or in
// the recovery.
type HeartbeatFigures struct {
	Renewals int64 `json:"renewals"`  // all of them
	Late     int64 `json:"late"`      // before the lease ran out
	SentLate int64 `json:"sent_late"` // of the late ones, those that the simulation sent late
	// Lost ones failed, or came after the lease had run out.
	Lost int64 `json:"lost"`
}

func (h *HeartbeatFigures) add(other HeartbeatFigures) {
	h.Renewals += other.Renewals
	h.Late += other.Late
	h.SentLate += other.SentLate
	h.Lost += other.Lost
}
