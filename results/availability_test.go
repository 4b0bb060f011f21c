package results

import (
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/google/go-cmp/cmp"

	"github.com/planecheck/planecheck/checkers/history"
)

// The runs of these tests begin at phaseStart, and their times are those since
// then. Traffic is made by hand, so that every figure can be told in advance.

const lateBeat = 5 * time.Second

func newAvailability() *Availability { return NewAvailability(phaseStart, lateBeat) }

// call is one call of a kubelet; status 0 is one without an answer.
func call(verb string, status int, due, took time.Duration) *history.Request {
	q := &history.Request{
		Class: history.ClassKubelet, Verb: verb, Resource: "pods",
		Called: at(due), Returned: at(due + took), Status: status,
	}
	if status == 0 {
		q.Err = "dial tcp 127.0.0.1:1: connect: connection refused"
	}
	return q
}

// beat is how far apart the calls of load are: not in step with the slots.
const beat = 43 * time.Millisecond

// load is a steady stream of calls of one verb.
func load(a *Availability, verb string, status int, from, to, took time.Duration) {
	for due := from; due < to; due += beat {
		a.Request(call(verb, status, due, took))
	}
}

// both is load of reads and of writes.
func both(a *Availability, status int, from, to, took time.Duration) {
	load(a, "get", status, from, to, took)
	load(a, "update", status, from, to, took)
}

func onlyFault(t *testing.T, a *Availability, end time.Duration) FaultFigures {
	t.Helper()
	f := a.Figures(at(end))
	if f == nil || len(f.Faults) != 1 {
		t.Fatalf("figures = %+v, want one fault", f)
	}
	return f.Faults[0]
}

// near wants a moment that is known to a slot or two.
func near(t *testing.T, name string, got *Seconds, want time.Duration) {
	t.Helper()
	if got == nil {
		t.Errorf("%s did not happen, want %v", name, want)
	} else if off := got.Duration() - want; off < -2*slotLength || off > 2*slotLength {
		t.Errorf("%s = %v, want %v", name, got.Duration(), want)
	}
}

func TestAvailabilityTellsFatesApart(t *testing.T) {
	f := func(name string, want CallCounts, change func(*history.Request)) {
		t.Helper()
		a := newAvailability()
		a.Begin("fault", "", at(0))
		q := call("get", 200, time.Second, ms)
		change(q)
		a.Request(q)
		if diff := cmp.Diff(want, onlyFault(t, a, 2*time.Second).Reads.During.CallCounts); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	served, failed := CallCounts{Served: 1}, CallCounts{Failed: 1}
	status := func(code int) func(*history.Request) {
		return func(q *history.Request) { q.Status = code }
	}
	for _, code := range []int{200, 201, 400, 403, 404, 409, 410, 422} {
		f("an answer", served, status(code))
	}
	f("shed", CallCounts{Shed: 1}, status(429))
	f("5xx", failed, status(500))
	f("5xx", failed, status(504))
	f("cut off", failed, status(0))
	f("time-out", failed, func(q *history.Request) { q.Status, q.Err = 0, "context deadline exceeded" })
	f("given up", CallCounts{Canceled: 1}, func(q *history.Request) { q.Status, q.Err = 0, "context canceled" })
	future := func(class history.Class) func(*history.Request) {
		return func(q *history.Request) {
			q.Status, q.Class, q.Answer = 504, class, []byte("...Too large resource version: 1000007, current: 7...")
		}
	}
	f("meant", served, future(history.ClassContract))
	f("not meant", failed, future(history.ClassKubelet))
}

func TestAvailabilityTellsKindsAndClassesApart(t *testing.T) {
	a := newAvailability()
	a.Begin("fault", "", at(0))
	for _, verb := range []string{"get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"} {
		a.Request(call(verb, 200, time.Second, ms))
	}
	q := call("update", 429, time.Second, ms)
	q.Class = history.ClassWorkload
	a.Request(q)
	q.Class = "somebody"
	a.Request(q)
	f := onlyFault(t, a, 2*time.Second)
	got := []CallCounts{f.Reads.During.CallCounts, f.Writes.During.CallCounts, f.Watches.During}
	if diff := cmp.Diff([]CallCounts{{Served: 2}, {Served: 5, Shed: 2}, {Served: 1}}, got); diff != "" {
		t.Errorf("reads, writes, watches (-want +got):\n%s", diff)
	}
	want := map[history.Class]ClassCalls{
		history.ClassKubelet:  {Reads: CallCounts{Served: 2}, Writes: CallCounts{Served: 5}},
		history.ClassWorkload: {Writes: CallCounts{Shed: 1}},
		otherLabel:            {Writes: CallCounts{Shed: 1}},
	}
	if diff := cmp.Diff(want, f.Classes); diff != "" {
		t.Errorf("classes (-want +got):\n%s", diff)
	}
	// Opening a watch is not a latency, and shedding flatters none.
	if r, w := f.Reads.During.Latency.Count, f.Writes.During.Latency.Count; r != 2 || w != 5 {
		t.Errorf("%d latencies of reads and %d of writes, want 2 and 5", r, w)
	}
}

func TestAvailabilityCountsWhereCallsWereDue(t *testing.T) {
	a := newAvailability()
	a.Begin("fault", "", at(3*time.Second)).Healed(at(4 * time.Second))
	q := call("get", 200, 5*time.Second, 100*ms)
	q.Due = at(3200 * ms)
	a.Request(q)
	a.Request(call("get", 200, 3100*ms, 6*time.Second)) // hung, and returned after the heal
	a.Request(call("get", 200, 4*time.Second, ms))
	f := onlyFault(t, a, 6*time.Second).Reads
	if f.During.Served != 2 || f.Recovery.Served != 1 {
		t.Errorf("%d during, %d after, want 2 and 1", f.During.Served, f.Recovery.Served)
	}
	if l := f.During.Latency; l.Max != Seconds(6*time.Second) || l.P50.Duration() < 1900*ms || l.P50.Duration() > 2200*ms {
		t.Errorf("latency = %+v: a late start must count", l)
	}
}

// A fault within a second must not be judged by what was before and after it.
func TestAvailabilityCutsSecondsAtFaults(t *testing.T) {
	a := newAvailability()
	w := a.Begin("fault", "", at(5300*ms))
	w.Healed(at(5600 * ms))
	between := a.Begin("told late", "", at(5400*ms))
	between.Healed(at(5500 * ms))
	both(a, 200, 0, 5300*ms, ms)
	both(a, 503, 5300*ms, 5600*ms, ms)
	both(a, 200, 5600*ms, 20*time.Second, ms)
	all := a.Figures(at(20 * time.Second)).Faults
	if n := all[1].Reads.During.Failed; n != 2 {
		t.Errorf("%d failures in the middle of the fault, want 2", n)
	}
	f := all[0]
	for _, s := range []ServiceFigures{f.Reads, f.Writes} {
		if s.During.Served != 0 || s.During.Failed != 7 || s.Recovery.Failed != 0 || s.Before.Failed != 0 {
			t.Errorf("%+v, want seven failures during the fault and none beside", s)
		}
	}
	if f.Recovered == nil || *f.Recovered != 0 {
		t.Errorf("recovered after %v, want at once", f.Recovered)
	}
}

// What was on its way when the fault struck was lost to the fault.
func TestAvailabilityCallsCaughtInFlight(t *testing.T) {
	a := newAvailability()
	both(a, 200, 0, 6*time.Second, ms)
	a.Begin("cut", "", at(5*time.Second))
	a.Request(call("get", 0, 4900*ms, 100*ms))
	a.Request(call("get", 0, 4900*ms, 90*ms)) // had failed before
	a.Request(call("get", 200, 4900*ms, time.Second))
	f := onlyFault(t, a, 7*time.Second).Reads
	if f.During.Failed != 1 || f.Before.Failed != 1 {
		t.Errorf("%d failed during the fault and %d before, want 1 and 1", f.During.Failed, f.Before.Failed)
	}
	near(t, "first failure", f.FirstFailure, 0)

	// What was lost to a fault is not lost to the next one.
	a = newAvailability()
	a.Begin("first", "", at(5*time.Second)).Healed(at(6 * time.Second))
	a.Begin("second", "", at(7*time.Second)).Healed(at(8 * time.Second))
	a.Begin("third", "", at(8*time.Second))
	a.Request(call("get", 0, 5500*ms, 10*time.Second))
	a.Request(call("get", 0, 6500*ms, 10*time.Second))
	for i, f := range a.Figures(at(20 * time.Second)).Faults {
		if want := []int64{1, 1, 0}[i]; f.Reads.During.Failed != want {
			t.Errorf("%s: %d failed, want %d", f.Fault, f.Reads.During.Failed, want)
		}
	}
}

func TestAvailabilityHeartbeats(t *testing.T) {
	a := newAvailability()
	w := a.Begin("fault", "", at(10*time.Second))
	w.Healed(at(20 * time.Second))
	a.Lease(renewal("early", 3, 0, 40)) // before the fault
	a.Lease(renewal("in time", 10, 0, 5))
	a.Lease(renewal("late", 11, 0, 6))
	a.Lease(renewal("late by us", 12, 6, 1))
	a.Lease(renewal("late, a little by us", 12, 1, 5))
	a.Lease(renewal("just late", 13, 0, 30))
	a.Lease(renewal("after the deadline", 14, 0, 31))
	a.Lease(renewal("failed", 15, 0, 0))
	a.Lease(renewal("caught late", 8, 0, 7))
	a.Lease(renewal("caught failed", 9, 0, 0))
	a.Lease(renewal("in the recovery", 25, 0, 6))
	want := HeartbeatFigures{Renewals: 11, Late: 6, SentLate: 1, Lost: 4}
	if diff := cmp.Diff(want, onlyFault(t, a, 100*time.Second).Heartbeats); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestAvailabilityLeaderless(t *testing.T) {
	a := newAvailability()
	second := func(n int) history.Time { return at(time.Duration(n) * time.Second) }
	a.Leader("etcd", "", second(0))
	a.Leader("etcd", "etcd-0", second(2))
	a.Leader("kube-scheduler", "a", second(3))
	a.Begin("fault", "", second(10)).Healed(second(20))
	a.Leader("etcd", "", second(8))
	a.Leader("etcd", "", second(9)) // still
	a.Leader("etcd", "etcd-1", second(13))
	a.Leader("etcd", "", second(18))
	a.Leader("etcd", "etcd-9", second(17)) // out of order
	a.Leader("etcd", "etcd-1", second(19))
	a.Leader("kube-controller-manager", "", second(29))
	a.Leader("too late", "x", second(200))
	want := map[string]Seconds{
		"etcd": Seconds(4 * time.Second), "kube-scheduler": 0, "kube-controller-manager": Seconds(time.Second),
	}
	if diff := cmp.Diff(want, onlyFault(t, a, 30*time.Second).Leaderless); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestAvailabilityEvictions(t *testing.T) {
	f := func(want string, counts ...int64) {
		t.Helper()
		a := newAvailability()
		w := a.Begin("fault", "", at(0))
		for _, n := range counts {
			w.Evicted(n)
		}
		f := onlyFault(t, a, time.Second)
		if _, lower := faultCells(&f); lower[len(lower)-2] != want {
			t.Errorf("evicted after %v = %s, want %s", counts, lower[len(lower)-2], want)
		}
	}
	f("-") // nobody counted
	f("0", 0)
	f("5", 2, 3)
}

func TestLogHistogram(t *testing.T) {
	var h logHistogram
	var all []time.Duration
	rng := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		d := time.Duration(rng.ExpFloat64() * float64(80*ms))
		h.record(d)
		all = append(all, d)
	}
	slices.Sort(all)
	for _, q := range []int{50, 90, 99} {
		exact := all[len(all)*q/100-1]
		if got := h.quantile(int64(q)).Duration(); got < exact || got > exact+exact/logSteps+logUnit {
			t.Errorf("p%d = %v, exact %v", q, got, exact)
		}
	}
	if h.max != all[len(all)-1] || h.quantile(100).Duration() != h.max {
		t.Errorf("max = %v, p100 %v, want %v", h.max, h.quantile(100), all[len(all)-1])
	}
	for i := range logBuckets - 1 {
		if edge := logEdge(i); logBucket(edge-1) != i || logBucket(edge) != i+1 {
			t.Errorf("bucket %d ends at %v, which is in %d", i, edge, logBucket(edge))
		}
	}
	h.record(-time.Second)
	h.record(time.Hour)
	if h.counts[0] == 0 || h.quantile(100).Duration() != time.Hour {
		t.Error("times out of range are not kept at the ends")
	}
	if got := (&logHistogram{}).latency(); got != (Latency{}) {
		t.Errorf("nothing measured = %+v", got)
	}
}

func TestAvailabilityLosesNothingConcurrently(t *testing.T) {
	a := newAvailability()
	const senders, each = 4, 3000
	var wg sync.WaitGroup
	for range senders {
		wg.Go(func() {
			for i := range each {
				a.Request(call("get", 200, time.Duration(i)*10*ms, ms))
				a.Lease(renewal("a", i/100, 0, 1))
			}
		})
	}
	var inFaults, beats int64
	for i := range 30 {
		w := a.Begin("fault", "", at(time.Duration(i)*time.Second))
		a.Leader("etcd", "", at(time.Duration(i)*time.Second))
		a.Figures(at(time.Minute))
		w.Evicted(1)
		w.Healed(at(time.Duration(i+1) * time.Second))
	}
	wg.Wait()
	for _, f := range a.Figures(at(time.Minute)).Faults {
		inFaults += f.Reads.During.Served
	}
	beats = a.heartbeats(at(0), at(time.Minute)).Renewals
	if inFaults != senders*each || beats != senders*each {
		t.Errorf("%d calls and %d heartbeats, want %d of each", inFaults, beats, senders*each)
	}
}

func TestAvailabilityIsSmall(t *testing.T) {
	if size := unsafe.Sizeof(second{}) + unsafe.Sizeof(secondPart{}); size > 3<<10 {
		t.Errorf("a second takes %d bytes", size)
	}
	a := newAvailability()
	for _, due := range []time.Duration{-time.Second, maxSeconds * time.Second} {
		a.Request(call("get", 200, due, ms))
	}
	a.Lease(renewal("a", -1, 0, 1))
	a.Begin("fault", "", at(-time.Second)).Healed(at(2 * maxSeconds * time.Second))
	if len(a.seconds) > 1 || a.Figures(at(time.Second)).Uncounted != 2 {
		t.Errorf("%d seconds, figures %+v, want two calls out of bounds", len(a.seconds), a.Figures(at(time.Second)))
	}
}

// benchmarkAvailability is the load of the hot path; faults are those of a long
// run, the last of which still acts.
func benchmarkAvailability(b *testing.B, faults, status int) {
	a := NewAvailability(history.Now(), lateBeat)
	for range faults {
		a.Begin("fault", "target", history.Now())
	}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		q := patch(12 * time.Millisecond)
		q.Status = status
		for pb.Next() {
			q.Called = history.Now()
			q.Returned = q.Called.Add(12 * time.Millisecond)
			a.Request(q)
		}
	})
}

func BenchmarkAvailabilityRequest(b *testing.B)       { benchmarkAvailability(b, 1, 200) }
func BenchmarkAvailabilityFailedRequest(b *testing.B) { benchmarkAvailability(b, 30, 503) }

func BenchmarkAvailabilityFigures(b *testing.B) {
	a := newAvailability()
	for i := range 10 {
		from := time.Duration(i) * time.Minute
		both(a, 200, from, from+time.Minute, ms)
		a.Begin("fault", "", at(from+20*time.Second)).Healed(at(from + 30*time.Second))
	}
	b.ReportAllocs()
	for b.Loop() {
		a.Figures(at(10 * time.Minute))
	}
}
