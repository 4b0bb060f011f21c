package results

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/planecheck/planecheck/checkers/history"
)

// patch is a status PATCH of a kubelet that took d.
func patch(d time.Duration) *history.Request {
	now := history.Now()
	return &history.Request{
		Class: history.ClassKubelet, Identity: "system:node:node-1",
		Verb: "patch", Version: "v1", Resource: "pods", Subresource: "status", Namespace: "a", Name: "p",
		Called: now.Add(-d), Returned: now, Status: 200, RequestBytes: 300, ResponseBytes: 3000,
	}
}

func callFigures(t *testing.T, f APIFigures, c Call) CallFigures {
	t.Helper()
	for _, x := range f.Calls {
		if x.Call == c {
			return x
		}
	}
	t.Fatalf("no figures for %v in %+v", c, f.Calls)
	return CallFigures{}
}

var podStatus = Call{Verb: "patch", Resource: "pods", Subresource: "status", Scope: "resource"}

func TestRecorderKeepsPhasesApart(t *testing.T) {
	r := NewRecorder("fill")
	for i := range 100 {
		r.Request(patch(time.Duration(i+1) * time.Millisecond))
	}
	r.StartPhase("churn")
	r.Request(patch(7 * time.Millisecond))
	r.StartPhase("")

	fill := callFigures(t, r.Phase("fill"), podStatus)
	if fill.Latency.Count != 100 || fill.Windows != 1 || fill.Violations != 0 {
		t.Errorf("fill: %+v, want 100 calls in one good window", fill)
	}
	f := func(name string, got Seconds, want time.Duration) {
		t.Helper()
		if off := got.Duration() - want; off < 0 || off > want/100 {
			t.Errorf("%s = %v, want %v to 1 %% more", name, got, want)
		}
	}
	f("p50", fill.Latency.P50, 50*time.Millisecond)
	f("p99", fill.Latency.P99, 99*time.Millisecond)
	if fill.Latency.Max != Seconds(100*time.Millisecond) {
		t.Errorf("max = %v, want exactly 100ms", fill.Latency.Max)
	}
	if got := callFigures(t, r.Phase("churn"), podStatus).Latency.Count; got != 1 {
		t.Errorf("churn has %d calls, want 1", got)
	}
	if got := r.Total(); len(got) != 1 || got[0].Latency.Count != 101 {
		t.Errorf("total = %+v, want 101 calls", got)
	}
	if diff := cmp.Diff(APIFigures{}, r.Phase("no such phase")); diff != "" {
		t.Error(diff)
	}
}

func TestRecorderCountsByClassAndFate(t *testing.T) {
	r := NewRecorder("fill")
	send := func(change func(*history.Request)) {
		q := patch(time.Millisecond)
		change(q)
		r.Request(q)
	}
	send(func(q *history.Request) {})
	send(func(q *history.Request) { q.Class = history.ClassWorkload })
	send(func(q *history.Request) { q.Status, q.Reason = 409, "Conflict" })
	send(func(q *history.Request) { q.Status, q.Reason = 429, "TooManyRequests" })
	send(func(q *history.Request) { q.Status, q.Reason = 503, "ServiceUnavailable" })
	send(func(q *history.Request) { q.Status, q.Err = 0, "dial tcp 127.0.0.1:1: connect: connection refused" })
	send(func(q *history.Request) { q.Status, q.Err = 0, "context canceled" })
	send(func(q *history.Request) { // a time-out: no answer, but slower than the SLO
		q.Status, q.Err, q.Called = 0, "context deadline exceeded", q.Returned.Add(-10*time.Second)
	})
	f := r.Phase("fill")

	kubelet := f.Requests[0]
	if kubelet.Class != history.ClassKubelet {
		kubelet = f.Requests[1]
	}
	want := RequestFigures{
		Class: history.ClassKubelet, Call: podStatus,
		Requests: 7, Failed: 6, Unavailable: 3, Rejected: 1, BytesSent: 7 * 300, BytesReceived: 7 * 3000,
	}
	latency := kubelet.Latency
	kubelet.Latency = Latency{}
	if diff := cmp.Diff(want, kubelet); diff != "" {
		t.Errorf("kubelet (-want +got):\n%s", diff)
	}
	// The 200, the 409 and the time-out are latencies; rejections and quick
	// failures are not.
	if latency.Count != 3 || latency.Max != Seconds(10*time.Second) {
		t.Errorf("latency = %+v, want 3 with a maximum of 10s", latency)
	}
	wantErrors := []ErrorFigures{
		{"kubelet", "patch", "pods", 0, "canceled", 1},
		{"kubelet", "patch", "pods", 0, "connection refused", 1},
		{"kubelet", "patch", "pods", 0, "timeout", 1},
		{"kubelet", "patch", "pods", 409, "Conflict", 1},
		{"kubelet", "patch", "pods", 429, "TooManyRequests", 1},
		{"kubelet", "patch", "pods", 503, "ServiceUnavailable", 1},
	}
	if diff := cmp.Diff(wantErrors, f.Errors); diff != "" {
		t.Errorf("errors (-want +got):\n%s", diff)
	}
	if requests, failures, _ := r.Totals(); requests != 8 || failures != 4 {
		t.Errorf("totals = %d requests, %d failures, want 8 and 4", requests, failures)
	}
}

// All that was answered with success counts, of contract traffic too, and nothing else.
func TestRecorderTellsReadsFromWrites(t *testing.T) {
	r := NewRecorder("fill")
	send := func(verb string, status int, class history.Class, d time.Duration) {
		q := patch(d)
		q.Verb, q.Status, q.Class = verb, status, class
		if class == history.ClassContract {
			q.Due = q.Called.Add(-time.Hour) // its client was late
		}
		r.Request(q)
	}
	send("get", 200, history.ClassKubelet, time.Millisecond)
	send("list", 200, history.ClassContract, 2*time.Millisecond)
	send("create", 201, history.ClassContract, 3*time.Millisecond)
	send("delete", 200, history.ClassWorkload, 4*time.Millisecond)
	send("watch", 200, history.ClassKubelet, time.Minute)
	send("get", 404, history.ClassContract, time.Minute)
	send("list", 504, history.ClassContract, time.Minute)
	send("update", 409, history.ClassContract, time.Minute)
	send("patch", 0, history.ClassKubelet, time.Minute)
	r.StartPhase("hold")
	f := r.Phase("fill")
	if f.Reads.Count != 2 || f.Reads.Max != Seconds(2*time.Millisecond) || f.Writes.Count != 2 || f.Writes.Max != Seconds(4*time.Millisecond) {
		t.Errorf("reads %+v, writes %+v; want 2 and 2", f.Reads, f.Writes)
	}
	if f := r.Phase("hold"); f.Reads.Count != 0 || f.Writes.Count != 0 {
		t.Errorf("hold has some of the fill: %+v", f)
	}
}

func TestRecorderCountsFromDue(t *testing.T) {
	r := NewRecorder("fill")
	q := patch(time.Millisecond)
	q.Due = q.Called.Add(-2 * time.Second)
	r.Request(q)
	got := callFigures(t, r.Phase("fill"), podStatus).Latency.Max.Duration()
	if got != 2*time.Second+time.Millisecond {
		t.Errorf("latency = %v: a late start must count", got)
	}
}

func TestScopeOf(t *testing.T) {
	f := func(verb, namespace, name, want string) {
		t.Helper()
		if got := scopeOf(&history.Request{Verb: verb, Namespace: namespace, Name: name}); got != want {
			t.Errorf("%s %s/%s: scope %s, want %s", verb, namespace, name, got, want)
		}
	}
	f("create", "a", "", "resource")
	f("get", "a", "p", "resource")
	f("list", "a", "", "namespace")
	f("list", "", "", "cluster")
	f("deletecollection", "a", "", "namespace")
}

func TestRecorderBoundsItsSeries(t *testing.T) {
	r := NewRecorder("fill")
	for i := range maxSeries + 10 {
		q := patch(time.Millisecond)
		q.Resource = fmt.Sprintf("crd%d", i)
		q.Status, q.Reason = 400, fmt.Sprint("reason ", i)
		r.Request(q)
		r.WatchEvent(&history.WatchEvent{Resource: q.Resource, Type: "ADDED"})
	}
	f := r.Phase("fill")
	if len(f.Requests) != maxSeries+1 || len(f.Watches) != maxSeries+1 || len(f.Errors) != maxErrors+1 {
		t.Errorf("%d series, %d watches, %d errors", len(f.Requests), len(f.Watches), len(f.Errors))
	}
	var requests, events, errors int64
	for _, q := range f.Requests {
		requests += q.Requests
	}
	for _, w := range f.Watches {
		events += w.Count
	}
	for _, e := range f.Errors {
		errors += e.Count
	}
	if want := int64(maxSeries + 10); requests != want || events != want || errors != want {
		t.Errorf("%d requests, %d events, %d errors, want %d of each", requests, events, errors, want)
	}
}

func TestRecorderLosesNothingAcrossPhases(t *testing.T) {
	r := NewRecorder("0")
	const senders, each, phases = 4, 2000, 5
	var wg sync.WaitGroup
	for range senders {
		wg.Go(func() {
			for range each {
				r.Request(patch(time.Millisecond))
				r.WatchEvent(&history.WatchEvent{Class: history.ClassKubelet, Resource: "pods", Type: "MODIFIED", Bytes: 10})
			}
		})
	}
	for i := 1; i < phases; i++ {
		r.StartPhase(fmt.Sprint(i))
	}
	wg.Wait()
	var requests, judged, events int64
	for i := range phases {
		f := r.Phase(fmt.Sprint(i))
		for _, q := range f.Requests {
			requests += q.Requests
		}
		for _, c := range f.Calls {
			judged += c.Latency.Count
		}
		for _, w := range f.Watches {
			events += w.Count
		}
	}
	if want := int64(senders * each); requests != want || judged != want || events != want {
		t.Errorf("%d requests, %d latencies, %d events, want %d of each", requests, judged, events, want)
	}
}

func TestSlowNow(t *testing.T) {
	r := NewRecorder("fill")
	for range 50 {
		r.Request(patch(time.Millisecond))
	}
	if c, slow := r.SlowNow(); slow {
		t.Errorf("%v is called slow", c)
	}
	r.Request(patch(2 * time.Second))
	if c, slow := r.SlowNow(); slow {
		t.Errorf("%v is called slow for one call", c)
	}
	r.Request(patch(2 * time.Second))
	if c, slow := r.SlowNow(); !slow || c != podStatus {
		t.Errorf("SlowNow = %v, %v, want patch pods/status", c, slow)
	}
}

func BenchmarkRecorderRequest(b *testing.B) {
	r := NewRecorder("fill")
	// A run has some sixty kinds of requests.
	for i := range 60 {
		q := patch(time.Millisecond)
		q.Resource = fmt.Sprint("resource-", i)
		r.Request(q)
	}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		q := patch(12 * time.Millisecond)
		for pb.Next() {
			r.Request(q)
		}
	})
}

func BenchmarkRecorderWatchEvent(b *testing.B) {
	r := NewRecorder("fill")
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		e := &history.WatchEvent{Class: history.ClassKubelet, Resource: "pods", Type: "MODIFIED", Bytes: 1000}
		for pb.Next() {
			r.WatchEvent(e)
		}
	})
}
