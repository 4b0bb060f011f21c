package results

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/planecheck/planecheck/checkers/history"
)

func TestWindowsOfAPhase(t *testing.T) {
	f := func(length time.Duration, want ...steps) {
		t.Helper()
		if diff := cmp.Diff(want, windowsOf(length), cmp.AllowUnexported(steps{})); diff != "" {
			t.Errorf("%v (-want +got):\n%s", length, diff)
		}
	}
	f(0, steps{0, 0})
	f(30*time.Second, steps{0, 0})
	f(5*time.Minute-1, steps{0, 4})
	f(5*time.Minute, steps{0, 4}, steps{0, 5})
	f(7*time.Minute+time.Second, steps{0, 4}, steps{1, 5}, steps{2, 6}, steps{2, 7})
}

// A phase of eight minutes with one bad minute for each of those who judge: each
// window is blamed for what was in it, and for nothing else.
func TestCollectorJudgesItsWindows(t *testing.T) {
	sampler, _ := newSampler(t)
	c := NewCollector(sampler, 40*time.Second)
	c.Servers.Begin(server(t, 0, 0, 0))
	c.begin("fill", phaseStart)
	const badStartup, badCall, badServer = 0, 1, 2
	fast, slow := 0, 0
	for minute := range 8 {
		call, startup := time.Millisecond, time.Second
		switch fast += 10; minute {
		case badStartup:
			startup = 20 * time.Second
		case badCall:
			call = 3 * time.Second
		case badServer:
			slow = 10
		}
		now := at(time.Duration(minute)*time.Minute + 30*time.Second)
		for range 10 {
			q := patch(0)
			q.Called, q.Returned = now.Add(-call), now
			c.Recorder.Request(q)
		}
		startPods(c, minute, now, startup)
		c.Servers.Mark(minutes(minute+1), server(t, fast, fast, fast+slow))
	}
	p := c.end(at(8*time.Minute+10*time.Second), server(t, fast, fast, fast+slow))

	const startup, ours, theirs = "pod start-up (all pods, exact)", "mutating calls (ours, exact)", "mutating calls (everybody's, bucketed)"
	want := []SLOWindow{
		{Start: 0, Length: minutes(5), Running: 150, Missed: []string{theirs, ours, startup}},
		{Start: minutes(1), Length: minutes(5), Running: 200, Missed: []string{theirs, ours}},
		{Start: minutes(2), Length: minutes(5), Running: 250, Missed: []string{theirs}},
		{Start: minutes(3), Length: minutes(5), Running: 300},
		{Start: minutes(3), Length: minutes(5) + Seconds(10*time.Second), Running: 300},
	}
	if diff := cmp.Diff(want, p.Windows); diff != "" {
		t.Errorf("windows (-want +got):\n%s", diff)
	}
	r := &Run{Phases: []Phase{p}}
	if rate, where, _ := r.Throughput(); rate != 1 || where != "mean over minutes 3 to 8 of fill" {
		t.Errorf("throughput %v, %s", rate, where)
	}
}

// startPods starts ten pods in the first minute, and ten more in each further one.
func startPods(c *Collector, minute int, now history.Time, startup time.Duration) {
	created := now.Add(-startup)
	for i := range 10 * (minute + 1) {
		name := fmt.Sprintf("p%d-%d", minute, i)
		key := podPrefix + "a/" + name
		c.Pods.Commit(history.Commit{Called: created, Returned: created, Key: key, Create: true, Value: podPending})
		c.Pods.Commit(history.Commit{Called: now, Returned: now, Key: key, Value: podRunning})
		c.Pods.Watched("MODIFIED", "a", name, "Running", now)
	}
}

// An outage is judged over the phase, so none of its windows met everything.
func TestWindowsOfAnUnavailablePhase(t *testing.T) {
	sampler, _ := newSampler(t)
	c := NewCollector(sampler, 40*time.Second)
	c.Begin("fill", nil)
	for range 10 {
		q := patch(time.Millisecond)
		q.Status = 500
		c.Recorder.Request(q)
	}
	p := c.End(nil)
	want := []SLOWindow{{Length: p.Duration, Missed: []string{"API availability (ours, exact)"}}}
	if diff := cmp.Diff(want, p.Windows); diff != "" {
		t.Errorf("windows (-want +got):\n%s", diff)
	}
}
