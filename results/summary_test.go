package results

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/checkers/history"
)

var update = flag.Bool("update", false, "write the golden files")

func latencyOf(count int64, p50, p90, p99, most time.Duration) Latency {
	return Latency{count, Seconds(p50), Seconds(p90), Seconds(p99), Seconds(most)}
}

func bucketedOf(count int64, p50, p90, p99 time.Duration) Bucketed {
	return Bucketed{Count: count, Mean: Seconds(p50), P50: Seconds(p50), P90: Seconds(p90), P99: Seconds(p99)}
}

const ms = time.Millisecond

// exampleRun is a run with every figure, good and bad; its numbers are made up.
func exampleRun() *Run {
	fill := Phase{
		Name: "fill", Started: time.Date(2026, 11, 21, 18, 1, 0, 0, time.UTC), Duration: Seconds(700 * time.Second),
		Pace: &Pace{Mode: "auto", Sustained: 231.4, Last: 220, Highest: 260, Raises: 9, Backoffs: 2},
		Pods: PodFigures{
			Counts: PodCounts{Created: 150_000, Bound: 150_000, Running: 150_000, Seen: 150_000, Live: 150_000, LiveRun: 150_000},
			Hops: []HopFigures{
				{"due", "created", latencyOf(150_000, 210*ms, 400*ms, 900*ms, 2*time.Second)},
				{"created", "bound", latencyOf(150_000, 310*ms, 700*ms, 1200*ms, 2500*ms)},
				{"bound", "kubelet saw", latencyOf(150_000, 3*ms, 9*ms, 40*ms, 310*ms)},
				{"created", "seen by a watcher", latencyOf(150_000, 480*ms, 1100*ms, 2300*ms, 4100*ms)},
			},
			Startup: StartupFigures{
				Latency: latencyOf(150_000, 480*ms, 1100*ms, 2300*ms, 4100*ms), Windows: 8,
				Worst: Window{Count: 70_000, Slow: 0, P99: Seconds(2600 * ms)},
			},
			Writes: []WriteFigures{
				{"leases", 5000, 340_000, 0, latencyOf(345_000, 1200*time.Microsecond, 3*ms, 9*ms, 120*ms)},
				{"pods", 150_000, 300_000, 0, latencyOf(450_000, 1500*time.Microsecond, 4*ms, 11*ms, 140*ms)},
			},
		},
		API: APIFigures{
			Requests: []RequestFigures{
				{Class: history.ClassKubelet, Call: Call{"update", "coordination.k8s.io", "leases", "", "resource"}, Requests: 340_000},
				{Class: history.ClassKubelet, Call: podStatus, Requests: 150_010, Unavailable: 3, Rejected: 7},
				{Class: history.ClassWorkload, Call: Call{"create", "apps", "deployments", "", "resource"}, Requests: 1500},
				{Class: history.ClassObserver, Call: Call{"list", "", "pods", "", "cluster"}, Requests: 1},
				{Class: history.ClassContract, Call: Call{"get", "", "pods", "", "resource"}, Requests: 1200, Failed: 204},
			},
			Calls: []CallFigures{
				{Call: podStatus, Threshold: Seconds(time.Second), Windows: 8, Worst: Window{Count: 60_000, Slow: 12, P99: Seconds(410 * ms)}},
				{Call: Call{"list", "", "pods", "", "cluster"}, Threshold: Seconds(30 * time.Second), Windows: 1, Worst: Window{Count: 1, P99: Seconds(1700 * ms)}},
			},
			Watches: []WatchFigures{
				{history.ClassKubelet, "pods", "ADDED", 150_000, 1}, {history.ClassKubelet, "pods", "MODIFIED", 300_000, 1},
				{history.ClassObserver, "nodes", "ADDED", 5000, 1}, {history.ClassKubelet, "pods", "", 12, 0},
				{history.ClassContract, "configmaps", "ADDED", 900, 1},
			},
			Errors: []ErrorFigures{
				{"", "patch", "pods", 429, "TooManyRequests", 7}, {history.ClassKubelet, "patch", "pods", 0, "connection reset", 3},
				{history.ClassContract, "get", "pods", 404, "NotFound", 99},
			},
		},
		Servers: ServerFigures{
			Calls: []ServerCall{
				{
					Call: podStatus, SLI: bucketedOf(150_007, 25*ms, 45*ms, 380*ms), Full: bucketedOf(150_007, 25*ms, 60*ms, 420*ms),
					Threshold: Seconds(time.Second), Windows: 2, Worst: Window{Count: 90_000, Slow: 3, P99: Seconds(390 * ms)},
				},
				{
					Call: Call{"create", "", "pods", "binding", "resource"}, SLI: bucketedOf(150_000, 25*ms, 45*ms, 1200*ms), Full: bucketedOf(150_000, 25*ms, 45*ms, 1200*ms),
					Threshold: Seconds(time.Second), Windows: 2, Violations: 1, Worst: Window{Count: 60_000, Slow: 900, P99: Seconds(1200 * ms)},
				},
				{Call: Call{"list", "", "secrets", "", "cluster"}, Full: bucketedOf(3, 5*ms, 5*ms, 5*ms)}, // too few for the table
			},
			TerminatedWatchers: map[string]int64{"pods": 2}, Rejected: map[string]int64{"node-high queue-full": 7},
			Codes:     map[string]int64{"200": 900_000, "201": 155_000, "500": 3},
			Scheduler: []Step{{"in queue to bound", bucketedOf(150_000, 200*ms, 600*ms, 1100*ms)}, {"algorithm", bucketedOf(150_000, 1*ms, 2*ms, 4*ms)}},
		},
		Leases: LeaseFigures{
			LeaseTotals: LeaseTotals{Renewals: 340_000}, PerSecond: 485.7,
			Lateness:     latencyOf(340_000, 4*ms, 12*ms, 95*ms, 800*ms),
			SentLate:     latencyOf(340_000, 1*ms, 2*ms, 20*ms, 90*ms),
			AnsweredLate: latencyOf(340_000, 3*ms, 10*ms, 80*ms, 790*ms),
		},
		Usage:   map[string]Usage{HarnessName: {CPUSeconds: 400}},
		Profile: &ProfileSplit{Etcd: 250, Ours: 90, GC: 40, Runtime: 20, File: "cpu-fill.pprof"},
	}
	fill.ChurnPerSecond = fill.churn()
	fill.SLOs = EvaluateSLOs(&fill)
	fill.Windows = []SLOWindow{
		{Length: minutes(5), Running: 57_000, Missed: []string{"mutating calls (everybody's, bucketed)"}},
		{Start: minutes(1), Length: minutes(5), Running: 60_300},
		{Start: minutes(2), Length: minutes(5), Running: 59_000},
	}
	// A phase that was cut short, in which next to nothing was measured.
	hold := Phase{Name: "hold", Started: fill.Started.Add(700 * time.Second), Duration: Seconds(3 * time.Second), Incomplete: "interrupted"}
	hold.SLOs = EvaluateSLOs(&hold)

	contract := &Contract{
		Seconds: Seconds(700 * time.Second), Requests: map[string]int64{"get": 1200, "create": 300, "watch": 20},
		Operations: map[string]int64{"get": 1200, "create": 300, "watch": 20}, Late: 3, WatchesOpened: 18, WatchesResumed: 4, WatchEvents: 900,
		Calls: []ContractCall{
			{Call{"create", "", "configmaps", "", "resource"}, ContractCounts{Requests: 300, Illegal: 9, Conflict: 90, Failed: 1}, latencyOf(200, 12*ms, 20*ms, 90*ms, 300*ms)},
			{Call{"get", "", "pods", "", "resource"}, ContractCounts{Requests: 1200, NotFound: 190, Version: 10, Refused: 3, Cut: 1}, latencyOf(996, 4*ms, 8*ms, 30*ms, 80*ms)},
			{Call{"watch", "", "pods", "", "cluster"}, ContractCounts{Requests: 20, Illegal: 2}, latencyOf(18, 2*ms, 4*ms, 6*ms, 6*ms)},
		},
	}
	demand := EstimateRun(Demand{Nodes: 5000, Pods: 150_000, WatchesPerNode: 1, Servers: 1, Members: 3})
	return &Run{
		Schema: Schema, Name: "scale/density", Seed: 42, Profile: "lean", Nodes: 5000,
		Started: fill.Started, Ended: fill.Started.Add(703 * time.Second),
		Versions: map[string]string{"kubernetes": "v1.37.1", "etcd": "3.7.3"},
		Host:     Host{CPUs: 2, CPUModel: "A Model", Kernel: "6.18.44", MemoryBytes: 24 * gib, AvailableBytes: 23 * gib, MaxFDs: 1 << 20, DiskBytes: 100 * gib},
		Estimate: &demand,
		Peak: &Peak{
			MemoryBytes: 11 * gib, MappedBytes: 2 * gib, RSSBytes: 13 * gib, MaxFDs: 900,
			Components: map[string]Usage{
				"kube-apiserver-0": {CPUSeconds: 900, PeakRSS: 8 * gib, PeakOwn: 8 * gib, PeakMapped: 60 * mib, PeakFDs: 600},
				HarnessName:        {CPUSeconds: 400, PeakRSS: 3 * gib, PeakOwn: gib, PeakMapped: 2 * gib, PeakFDs: 900},
			},
		},
		Phases: []Phase{fill, hold}, Contract: contract,
		History: &History{
			Operations: 1_700_000, Messages: 1_900_000, Events: 1_850_000, Revisions: 955_000, Attempts: 493_000, APIMessages: 455_000,
			Versions: 955_000, Bytes: 165_090_000, Judged: Seconds(31 * time.Second),
		},
		Calls: []CallFigures{
			{Call: podStatus, Latency: latencyOf(150_000, 11*ms, 60*ms, 390*ms, 1400*ms), Threshold: Seconds(time.Second)},
			{Call: Call{"list", "", "pods", "", "cluster"}, Latency: latencyOf(1, 1700*ms, 1700*ms, 1700*ms, 1700*ms), Threshold: Seconds(30 * time.Second)},
		},
		Verdict: Verdict{
			Outcome: Fail, Reason: "lease deadlines missed",
			Guarantees: []checkers.Verdict{
				{Guarantee: "EveryPodRunning", Outcome: Pass, Checked: "150,000 pods"},
				{Guarantee: "NoLeaseMissed", Outcome: Fail, Checked: "70,000 renewals", Detail: "2 missed"},
				{Guarantee: "Delivered"},
			},
		},
	}
}

// golden compares a text with a file of testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name+".txt")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got), or run with -update:\n%s", file, diff)
	}
}

func TestRender(t *testing.T) {
	f := func(name string, r *Run) {
		t.Helper()
		got := Render(r)
		golden(t, name, got)
		checkWidth(t, got)
	}
	f("summary", exampleRun())
	f("summary-empty", &Run{Name: "scale/density", Seed: 7})
	// A run that was interrupted before its first phase had ended.
	f("summary-interrupted", &Run{
		Name: "scale/density", Seed: 7, Verdict: Verdict{Outcome: checkers.Unknown, Reason: "interrupted"},
		Phases: []Phase{{Name: "register", Incomplete: "interrupted"}},
	})
}

func checkWidth(t *testing.T, text string) {
	t.Helper()
	for line := range strings.Lines(text) {
		if n := utf8.RuneCountInString(strings.TrimRight(line, "\n")); n > 110 {
			t.Errorf("line of %d columns: %s", n, line)
		}
	}
}

func TestRenderIsNeverTooWide(t *testing.T) { checkWidth(t, Render(fullRun())) }

// fullRun fills every column to the brim.
func fullRun() *Run {
	r := exampleRun()
	long := Call{"deletecollection", "admissionregistration.k8s.io", "validatingadmissionpolicybindings", "status", "namespace"}
	wide := latencyOf(2_000_000, 999_900*time.Microsecond, 999_900*time.Microsecond, 999_900*time.Microsecond, 3599*time.Second)
	server := bucketedOf(2_000_000, time.Second, time.Second, 60*time.Second)
	server.Beyond = 2_000_000
	r.Calls = append(r.Calls, CallFigures{Call: long, Latency: wide})
	p := &r.Phases[0]
	p.Name = "register"
	p.Duration = Seconds(999 * time.Second)
	p.Pods.Counts.Deleted = 1_500_000
	p.Pods.Writes = append(p.Pods.Writes, WriteFigures{strings.Repeat("w", 80), 1_000_000, 1_000_000, 1_000_000, wide})
	p.Servers.Calls = append(p.Servers.Calls, ServerCall{Call: long, Full: server})
	for _, class := range requestTypes {
		p.API.Requests = append(p.API.Requests, RequestFigures{Class: class, Call: long, Requests: 10_000_000})
	}
	p.API.Errors = append(p.API.Errors, ErrorFigures{history.ClassKubelet, long.Verb, long.Resource, 500, strings.Repeat("e", 99), 10_000_000})
	r.Contract.WatchEvents, r.Contract.WatchesOpened, r.Contract.WatchesResumed = 2_000_000, 200_000, 200_000
	for i := range maxContractRows + 9 {
		call := Call{"deletecollection", "", fmt.Sprint("customresourcedefinitions", i), "status", "namespace"}
		r.Contract.Calls = append(r.Contract.Calls, ContractCall{call, ContractCounts{19_000, 2_400, 2_400, 2_400, 2_400, 2_400, 240, 9}, wide})
	}
	p.Leases.LeaseTotals = LeaseTotals{2_000_000, 10_000, 10_000}
	p.Leases.Lateness, p.Leases.SentLate, p.Leases.AnsweredLate = wide, wide, wide
	for i := range p.SLOs {
		p.SLOs[i].Worst = long.String()
	}
	r.Peak.Components["kube-controller-manager-0"] = Usage{99_999, 99 * gib, 99 * gib, 99 * gib, 99_999, SharedForEach}
	r.Estimate.MemoryBytes["kube-controller-manager-0"] = 1023 * mib
	return r
}

// A row of several processes says so, and how often it has what they share.
func TestRenderTrees(t *testing.T) {
	r := &Run{Peak: &Peak{Components: map[string]Usage{"kine": {}, "mariadb": {Memory: SharedForEach}, "postgres": {Memory: SharedOnce}}}}
	want := `  mariadb with all processes below it: what they share is counted for each (RSS)
  postgres with all processes below it: what they share is counted once (Pss)
`
	if text := renderUsage(r); !strings.Contains(text, want) {
		t.Errorf("no %q in\n%s", want, text)
	}
}

func TestNumber(t *testing.T) {
	f := func(n int64, want string) {
		t.Helper()
		if got := number(n); got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
	f(0, "0")
	f(999, "999")
	f(1000, "1,000")
	f(1234567, "1,234,567")
	f(-1000, "-1,000")
	f(-999, "-999")
}

func TestPercentNeverRoundsUpToAll(t *testing.T) {
	if got := percent(0.999999); got != ">99.99 %" {
		t.Errorf("percent = %q", got)
	}
	if got := percent(1); got != "100.00 %" {
		t.Errorf("percent = %q", got)
	}
}
