package results

import (
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/planecheck/planecheck/checkers/history"
)

func TestCollectorMovesEverythingTogether(t *testing.T) {
	sampler, proc := newSampler(t)
	sampler.Set(HarnessName, os.Getpid())
	proc.set(os.Getpid(), 100, 1000, 10, 3)
	c := NewCollector(sampler, 40*time.Second)
	if got := c.End(nil); got.Name != "" || len(got.SLOs) != 0 {
		t.Errorf("end without a beginning: %+v", got)
	}

	c.Recorder.Request(patch(time.Millisecond)) // before the phase: in none
	c.Begin("fill", map[string]*Scrape{"kube-apiserver-0": callScrape(t, 1, 10, 10, 10)})
	c.Recorder.Request(patch(time.Millisecond))
	now := history.Now()
	c.Pods.Commit(history.Commit{Called: now, Returned: now, Key: podPrefix + "a/p", Create: true, Value: podPending})
	c.Pods.Commit(history.Commit{Called: now, Returned: now, Key: podPrefix + "a/p", Value: podRunning})
	c.Pods.Watched("MODIFIED", "a", "p", "Running", now.Add(time.Second))
	c.Leases.Lease(history.Lease{Node: "n", Due: now, Sent: now, Answered: now.Add(time.Millisecond), Deadline: now.Add(time.Minute)})
	// A node whose lease ran out and of which nothing is heard.
	c.Leases.Lease(history.Lease{Node: "silent", Due: 1, Sent: 1, Answered: 2, Deadline: 3})
	proc.set(os.Getpid(), 300, 1000, 10, 3)
	c.Mark(map[string]*Scrape{"kube-apiserver-0": callScrape(t, 1, 20, 20, 20)})
	p := c.End(map[string]*Scrape{"kube-apiserver-0": callScrape(t, 1, 20, 20, 30)})

	if p.Name != "fill" || p.Duration <= 0 || p.Started.IsZero() {
		t.Errorf("phase = %q of %v at %v", p.Name, p.Duration, p.Started)
	}
	if got := callFigures(t, p.API, podStatus).Latency.Count; got != 1 {
		t.Errorf("%d requests, want the one of the phase", got)
	}
	if p.Pods.Counts.Running != 1 || p.Pods.Startup.Latency.Count != 1 {
		t.Errorf("pods = %+v", p.Pods)
	}
	if p.Leases.Renewals != 2 || p.Leases.Missed != 1 {
		t.Errorf("leases = %+v, want the silent node to be missed", p.Leases)
	}
	if got := p.Usage[HarnessName].CPUSeconds; got != 4 {
		t.Errorf("CPU = %v s, want 4", got)
	}
	if got := p.Servers.Calls[0]; got.Full.Count != 20 || got.Windows != 1 || got.Violations != 1 {
		t.Errorf("servers = %+v", got)
	}
	if diff := cmp.Diff([]SLOWindow{{Length: p.Duration, Running: 1, Missed: []string{"mutating calls (everybody's, bucketed)"}}}, p.Windows); diff != "" {
		t.Errorf("windows (-want +got):\n%s", diff)
	}
	if p.ChurnPerSecond <= 0 || SLOsMet(p.SLOs) != Fail {
		t.Errorf("churn %v, SLOs %+v", p.ChurnPerSecond, p.SLOs)
	}
	if c.Elapsed() != 0 {
		t.Error("time passes between phases")
	}
	c.begin("hold", p.Begun.Add(time.Hour)) // which goes on
	for at, want := range map[history.Time]string{
		p.Begun - 1: "", p.Begun: "fill", p.Begun.Add(p.Duration.Duration()) - 1: "fill", p.Begun.Add(p.Duration.Duration()): "",
		p.Begun.Add(time.Hour): "hold", p.Begun.Add(2 * time.Hour): "hold",
	} {
		if got := c.PhaseAt(at); got != want {
			t.Errorf("%v after the first phase began it is %q, want %q", at.Sub(p.Begun), got, want)
		}
	}
}
