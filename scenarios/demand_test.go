package scenarios

import (
	"encoding/json"
	"math"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/planecheck/planecheck/results"
)

// recordedRun is what matters here of a recorded run: what was asked for, on which
// machine, and what was measured.
type recordedRun struct {
	Run        string `json:"run"`
	Planecheck string `json:"planecheck"`
	Scenario   string `json:"scenario"`
	Twin       bool   `json:"twin"` // without the faults of the scenario
	Note       string `json:"note"` // what was not as planned

	CPUs        int   `json:"cpus"`
	MemoryBytes int64 `json:"memory_bytes"`

	Nodes    int      `json:"nodes"`
	Pods     int      `json:"pods"`
	Profile  string   `json:"profile"`
	Backend  string   `json:"backend"`
	Hold     Duration `json:"hold"`
	Contract float64  `json:"contract"` // requests per second
	Drain    bool     `json:"drain"`

	OwnBytes     map[string]int64 `json:"peak_own_bytes"` // by component, without mapped files
	FDs          int64            `json:"max_fds"`
	DiskBytes    int64            `json:"disk_bytes"`
	HistoryBytes int64            `json:"history_bytes"`
}

// plan is what would be run today, with today's settings.
func (r *recordedRun) plan(t *testing.T) *Plan {
	t.Helper()
	found, err := Find(r.Scenario)
	if err != nil {
		t.Fatal(err)
	}
	s, o := found[0], DefaultOptions()
	s.faultless = r.Twin
	o.World.Nodes, o.Pods, o.World.Profile, o.World.Backend = r.Nodes, r.Pods, r.Profile, r.Backend
	o.Hold, o.Contract, o.Drain = r.Hold, r.Contract, r.Drain
	p, err := NewPlan(s, o, results.Host{CPUs: r.CPUs, MemoryBytes: r.MemoryBytes})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// Every figure of the estimate is within 30 % of what recorded runs measured, each by
// itself: errors of one must not hide those of another.
func TestEstimateAgreesWithRecordedRuns(t *testing.T) {
	b, err := os.ReadFile("testdata/estimates.json")
	if err != nil {
		t.Fatal(err)
	}
	var runs []recordedRun
	if err := json.Unmarshal(b, &runs); err != nil {
		t.Fatal(err)
	}
	profiles := map[string]bool{}
	for _, r := range runs {
		profiles[r.Profile] = true
		e := results.EstimateRun(r.plan(t).demand())
		f := func(item string, got, measured int64) {
			t.Helper()
			if math.Abs(float64(got-measured)) > 0.3*float64(measured) {
				t.Errorf("%s (planecheck %s, %d nodes, %d pods, %s): %s: estimate %d, measured %d (%+.0f %%)",
					r.Run, r.Planecheck, r.Nodes, r.Pods, r.Profile, item, got, measured, 100*float64(got-measured)/float64(measured))
			}
		}
		if len(e.MemoryBytes) != len(r.OwnBytes) {
			t.Errorf("%s: components %v, measured %v", r.Run, e.MemoryBytes, r.OwnBytes)
		}
		for name, measured := range r.OwnBytes {
			f(name, e.MemoryBytes[name], measured)
		}
		f("file descriptors", e.FDs, r.FDs)
		f("disk", e.DiskBytes, r.DiskBytes)
		f("histories", e.HistoryBytes, r.HistoryBytes)
	}
	if !profiles["lean"] || !profiles["kubelet"] {
		t.Errorf("runs of the profiles %v, want lean and kubelet", profiles)
	}
}

// The estimate is asked for what stands around the store, and for the load.
func TestDemandOfTheStore(t *testing.T) {
	f := func(want results.Demand, backend, scenario string) {
		t.Helper()
		r := recordedRun{Scenario: scenario, Nodes: 20, Pods: 100, Profile: "kubelet", Backend: backend, Contract: 15, CPUs: 2, MemoryBytes: 24 << 30}
		d := r.plan(t).demand()
		got := results.Demand{Members: d.Members, Volatile: d.Volatile, Proxied: d.Proxied, StoreLinks: d.StoreLinks, ClientLinks: d.ClientLinks, ContractRate: d.ContractRate}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s on %s (-want +got):\n%s", scenario, backend, diff)
		}
	}
	f(results.Demand{Members: 3, ContractRate: 15}, "etcd", "scale/density")
	f(results.Demand{Members: 3, Proxied: true, ContractRate: 15}, "etcd-process", "scale/density")
	f(results.Demand{Members: 1, Volatile: true, ContractRate: 15}, "memory", "scale/density")
	f(results.Demand{Members: 3, StoreLinks: true, ClientLinks: true, ContractRate: 150}, "etcd", "faults/kcm-leader-kill")
	f(results.Demand{Members: 3, ClientLinks: true, ContractRate: 150}, "etcd", "contract/faults")
}

// Pods that are replaced on the way are writes, too, and a turnover goes on until the
// hold is over.
func TestDemandOfReplacedPods(t *testing.T) {
	o := DefaultOptions()
	o.World.Nodes, o.Pods, o.Churn.Pods = 20, 100, 40
	if d := mustPlan(t, Scenario{Name: "t"}, o).demand(); d.Replaced != 40 {
		t.Errorf("a churn of 40 pods replaces %d", d.Replaced)
	}
	o.Churn.Pods, o.Turnover, o.Hold = 0, 5, seconds(10)
	if d := mustPlan(t, Scenario{Name: "t"}, o).demand(); d.Replaced != 5*25 {
		t.Errorf("a turnover of 5 pods/s in a hold of 10 s and what comes after replaces %d, want 125", d.Replaced)
	}
}

// `make scale` is to take about four minutes on the machine of the recorded runs.
func TestSizeOfFourMinutes(t *testing.T) {
	p := mustPlan(t, Scenario{Name: "t"}, DefaultOptions())
	if got := p.length(); got < 210*time.Second || got > 270*time.Second {
		t.Errorf("%d nodes and %d pods are expected to take %v", p.World.Nodes, p.pods(), got)
	}
}

// The length of a run is the sum of its phases.
func TestLengthOfPlans(t *testing.T) {
	f := func(want time.Duration, change func(*Options)) {
		t.Helper()
		o := DefaultOptions()
		o.World.Nodes, o.Pods, o.Rate, o.Hold, o.Drain, o.Contract = 100, 600, "20", seconds(3), false, 0
		change(&o)
		if got := (mustPlan(t, Scenario{Name: "t"}, o).length() - startTime).Round(time.Second); got != want.Round(time.Second) {
			t.Errorf("%v, want %v", got, want)
		}
	}
	f(35*time.Second, func(*Options) {}) // 2 s, 30 s, 3 s
	f(45*time.Second, func(o *Options) { o.World.Nodes = 600 })
	f(65*time.Second, func(o *Options) { o.Pods = 1200 })
	f(40*time.Second, func(o *Options) { o.Churn.Pods, o.Churn.Rate = 50, 10 })
	f(45*time.Second, func(o *Options) { o.Pods, o.Rate = 2080, "auto" })
	f(45*time.Second, func(o *Options) { o.Pods, o.Rate = 2080, "max" })
	f(47*time.Second, func(o *Options) { o.Drain, o.Pods, o.Rate = true, 1092, "auto" })
	f(105*time.Second+2*150_000*time.Second/52, func(o *Options) { o.World.Nodes, o.Pods, o.Rate, o.Hold = 5000, 150_000, "auto", seconds(5) })
	f(27*time.Second, func(o *Options) { o.Pods, o.NoPods, o.Hold = 0, true, seconds(1) }) // heartbeatHold
}
