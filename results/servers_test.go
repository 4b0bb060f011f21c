package results

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestQuantile(t *testing.T) {
	inf := math.Inf(1)
	f := func(q float64, bounds, counts []float64, want float64) {
		t.Helper()
		got := (&buckets{bounds: bounds, counts: counts}).quantile(q)
		if math.Abs(got-want) > 1e-9 && !(math.IsNaN(got) && math.IsNaN(want)) {
			t.Errorf("quantile %v of %v %v = %v, want %v", q, bounds, counts, got, want)
		}
	}
	// The examples behave as histogram_quantile of Prometheus does.
	f(0.5, []float64{1, 2, inf}, []float64{10, 20, 20}, 1)
	f(0.75, []float64{1, 2, inf}, []float64{10, 20, 20}, 1.5)
	f(0.25, []float64{1, 2, inf}, []float64{10, 20, 20}, 0.5) // from zero in the first bucket
	f(0.99, []float64{1, 2, inf}, []float64{10, 20, 30}, 2)   // beyond: the last finite bound
	f(0.5, []float64{0, 1, inf}, []float64{10, 10, 10}, 0)    // first bound not above zero
	f(0.5, []float64{1, inf}, []float64{0, 0}, math.NaN())
	f(0.5, []float64{inf}, []float64{10}, math.NaN())
}

func TestAbove(t *testing.T) {
	h := &buckets{bounds: []float64{0.5, 1, 2, math.Inf(1)}, counts: []float64{10, 15, 18, 20}}
	f := func(bound float64, want int64) {
		t.Helper()
		if got := h.above(bound); got != want {
			t.Errorf("above %v: %d, want %d", bound, got, want)
		}
	}
	f(1, 5)
	f(1.5, 5) // between bounds: rather too many
	f(0.1, 20)
	f(2, 2)
}

// callScrape is a server that has answered so many PATCHes of pods/status
// within 50 ms, within 1 s, and at all.
func callScrape(t *testing.T, start, fast, good, all int) *Scrape {
	labels := `group="",resource="pods",scope="resource",subresource="status",verb="PATCH"`
	var b strings.Builder
	for _, family := range []string{sliFamily, fullFamily} {
		fmt.Fprintf(&b, "%s_bucket{%s,le=\"0.05\"} %d\n", family, labels, fast)
		fmt.Fprintf(&b, "%s_bucket{%s,le=\"1\"} %d\n", family, labels, good)
		fmt.Fprintf(&b, "%s_bucket{%s,le=\"2\"} %d\n", family, labels, all)
		fmt.Fprintf(&b, "%s_bucket{%s,le=\"+Inf\"} %d\n", family, labels, all)
		fmt.Fprintf(&b, "%s_sum{%s} %d\n", family, labels, all)
	}
	fmt.Fprintf(&b, "apiserver_request_total{verb=\"PATCH\",code=\"200\"} %d\n", all)
	fmt.Fprintf(&b, "apiserver_longrunning_requests{verb=\"WATCH\",resource=\"pods\"} %d\n", 7)
	fmt.Fprintf(&b, "apiserver_longrunning_requests{verb=\"CONNECT\",resource=\"pods\"} %d\n", 3)
	fmt.Fprintf(&b, "process_start_time_seconds %d\n", start)
	return mustScrape(t, b.String())
}

func TestDeltaSumsServersAndMindsRestarts(t *testing.T) {
	before := map[string]*Scrape{
		"a": callScrape(t, 1, 100, 110, 120),
		"b": callScrape(t, 1, 100, 110, 120),
		"d": callScrape(t, 1, 100, 110, 120), // dies
	}
	after := map[string]*Scrape{
		"a": callScrape(t, 1, 150, 170, 190), // 50, 60, 70 more
		"b": callScrape(t, 9, 105, 115, 125), // restarted: all of it
		"c": callScrape(t, 9, 1, 1, 1),       // new
	}
	d := Delta(before, after)
	k := metricKey{sliFamily, [maxLabels]string{"PATCH", "", "pods", "status", "resource"}}
	want := []float64{156, 176, 196, 196}
	if diff := cmp.Diff(want, d.histograms[k].counts); diff != "" {
		t.Errorf("buckets (-want +got):\n%s", diff)
	}
	f := figuresOf(d)
	if diff := cmp.Diff(map[string]int64{"200": 196}, f.Codes); diff != "" {
		t.Errorf("codes (-want +got):\n%s", diff)
	}
	// A gauge is no difference, and only watches are watches.
	if diff := cmp.Diff(map[string]int64{"pods": 21}, f.OpenWatches); diff != "" {
		t.Errorf("watches (-want +got):\n%s", diff)
	}
	if got := before["a"].histograms[k].counts[0]; got != 100 {
		t.Errorf("Delta changed what it was given: %v", got)
	}
}

func TestConsistentReadsByHowTheyWereServed(t *testing.T) {
	scrape := func(cached, fell int) map[string]*Scrape {
		line := `apiserver_watch_cache_consistent_read_total{fallback="%s",group="%s",resource="%s",success="true"} %d` + "\n"
		return map[string]*Scrape{"a": mustScrape(t, fmt.Sprintf(line+line+line,
			"false", "", "pods", cached, "false", "apps", "deployments", cached, "true", "", "pods", fell))}
	}
	got := figuresOf(Delta(scrape(10, 1), scrape(15, 4))).ConsistentReads
	if diff := cmp.Diff(map[string]int64{"true false": 10, "true true": 3}, got); diff != "" {
		t.Errorf("consistent reads (-want +got):\n%s", diff)
	}
}

func TestDeltaOfServersWithOtherBuckets(t *testing.T) {
	scrape := func(bounds ...string) *Scrape {
		var b strings.Builder
		for i, le := range bounds {
			fmt.Fprintf(&b, "etcd_request_duration_seconds_bucket{operation=\"get\",le=\"%s\"} %d\n", le, 10*(i+1))
		}
		return mustScrape(t, b.String())
	}
	d := Delta(nil, map[string]*Scrape{"a": scrape("1", "2", "+Inf"), "b": scrape("1", "4", "+Inf")})
	k := metricKey{family: "etcd_request_duration_seconds", labels: [maxLabels]string{"get"}}
	want := &buckets{bounds: []float64{1, math.Inf(1)}, counts: []float64{20, 60}}
	if diff := cmp.Diff(want, d.histograms[k], cmp.AllowUnexported(buckets{})); diff != "" {
		t.Errorf("merged (-want +got):\n%s", diff)
	}
}

// server is a scrape of the only API server.
func server(t *testing.T, fast, good, all int) map[string]*Scrape {
	return map[string]*Scrape{"kube-apiserver-0": callScrape(t, 1, fast, good, all)}
}

func minutes(n int) Seconds { return Seconds(n) * Seconds(time.Minute) }

func TestServersJudgeWindows(t *testing.T) {
	one := func(fast, good, all int) map[string]*Scrape { return server(t, fast, good, all) }
	var s Servers
	s.Mark(0, one(1, 1, 1)) // no phase: nobody's window
	s.Begin(one(0, 0, 0))
	for i := 1; i <= 5; i++ {
		s.Mark(minutes(i), one(200*i, 200*i, 200*i))
	}
	for i := 6; i <= 11; i++ {
		slow := 0
		if i >= 7 { // 50 in the seventh minute took more than a second
			slow = 50
		}
		s.Mark(minutes(i), one(200*i-slow, 200*i-slow, 200*i))
	}
	f := s.End(minutes(11)+Seconds(40*time.Second), one(9050, 9050, 9100))
	if len(f.Calls) != 1 {
		t.Fatalf("calls = %+v", f.Calls)
	}
	c := f.Calls[0]
	if c.Call != podStatus || c.Full.Count != 9100 || c.SLI.Count != 9100 {
		t.Errorf("call = %+v", c)
	}
	// It is in the windows that end with the minutes 7 to 11, and in none alone;
	// in the last one, of 5 min 40 s, there are too many others.
	want := Window{Start: minutes(2), Count: 1000, Slow: 50, P99: Seconds(1800 * time.Millisecond)}
	if diff := cmp.Diff(want, c.Worst); diff != "" || c.Windows != 8 || c.Violations != 5 {
		t.Errorf("%d windows, %d violations, worst (-want +got):\n%s", c.Windows, c.Violations, diff)
	}
	if diff := cmp.Diff(ServerFigures{}, s.End(0, nil)); diff != "" {
		t.Errorf("end without a beginning: %s", diff)
	}
}

// Two slow calls in the few seconds after a window are no window of their own.
func TestTheRestOfAPhaseIsNoWindow(t *testing.T) {
	var s Servers
	s.Begin(server(t, 0, 0, 0))
	for i := 1; i <= 5; i++ {
		s.Mark(minutes(i), server(t, 200*i, 200*i, 200*i))
	}
	f := s.End(minutes(5)+Seconds(4*time.Second), server(t, 1003, 1003, 1005))
	if c := f.Calls[0]; c.Violations != 0 || c.Windows != 2 {
		t.Errorf("%d violations in %d windows, the worst of which is %+v", c.Violations, c.Windows, c.Worst)
	}
}

// A server that one scrape could not read goes on from where it was, whether that
// was at the beginning of the phase, within it, or at its end.
func TestAServerThatIsMissingInAScrape(t *testing.T) {
	f := func(what string, want int64, violations int, scrapes ...map[string]*Scrape) {
		t.Helper()
		var s Servers
		// A phase before, with 100 slow calls, that nobody asks about any more.
		s.Begin(server(t, 0, 0, 0))
		s.End(minutes(1), server(t, 1000, 1000, 1100))
		s.Begin(scrapes[0])
		for i, scrape := range scrapes[1 : len(scrapes)-1] {
			s.Mark(minutes(i+1), scrape)
		}
		figures := s.End(minutes(len(scrapes)-1), scrapes[len(scrapes)-1])
		var c ServerCall
		if len(figures.Calls) > 0 {
			c = figures.Calls[0]
		}
		if c.SLI.Count != want || c.Violations != violations || figures.Codes["200"] != want {
			t.Errorf("%s: %d calls, %d violations, codes %v; want %d calls, %d violations",
				what, c.SLI.Count, c.Violations, figures.Codes, want, violations)
		}
	}
	before, half, all := server(t, 1000, 1000, 1100), server(t, 1500, 1500, 1600), server(t, 2000, 2000, 2100)
	f("in none", 1000, 0, before, half, all)
	f("at the beginning", 1000, 0, nil, half, all)
	f("within", 1000, 0, before, nil, all)
	f("at the end", 500, 0, before, half, nil)
	f("always", 0, 0, nil, nil, nil)
	f("in one that could read others", 1000, 0, map[string]*Scrape{"kube-scheduler-0": newScrape()}, half, all)
	f("as it was started again", 700, 1, before, nil, map[string]*Scrape{"kube-apiserver-0": callScrape(t, 2, 600, 600, 700)})

	// One that was never read before, though it was there, begins with its first scrape.
	var s Servers
	s.Begin(nil)
	s.Mark(minutes(1), before)
	if c := s.End(minutes(2), all).Calls[0]; c.SLI.Count != 1000 || c.Violations != 0 {
		t.Errorf("read for the first time in the phase: %d calls, %d violations", c.SLI.Count, c.Violations)
	}
	// One that was started in the phase counts from its start.
	s = Servers{}
	s.Begin(nil)
	young := callScrape(t, int(time.Now().Add(time.Hour).Unix()), 50, 50, 50)
	if c := s.End(minutes(2), map[string]*Scrape{"kube-apiserver-0": young}).Calls[0]; c.SLI.Count != 50 {
		t.Errorf("started in the phase: %d calls", c.SLI.Count)
	}
}

// What a server had open when it was last read is not open any more when it is gone.
func TestGaugesOfAServerThatIsGone(t *testing.T) {
	var s Servers
	s.Begin(server(t, 0, 0, 0))
	s.Mark(minutes(1), server(t, 5, 5, 5))
	if f := s.End(minutes(2), nil); f.OpenWatches != nil || f.Codes["200"] != 5 {
		t.Errorf("open watches %v, codes %v", f.OpenWatches, f.Codes)
	}
}

func TestSchedulerSteps(t *testing.T) {
	text := ""
	add := func(name, labels string, n int) {
		comma := ""
		if labels != "" {
			comma = ","
		}
		text += fmt.Sprintf("%s_bucket{%s%sle=\"0.1\"} %d\n%s_bucket{%s%sle=\"+Inf\"} %d\n", name, labels, comma, n, name, labels, comma, n)
	}
	add("scheduler_pod_scheduling_sli_duration_seconds", `attempts="1"`, 7)
	add("scheduler_pod_scheduling_sli_duration_seconds", `attempts="2"`, 3)
	add("scheduler_scheduling_attempt_duration_seconds", `result="scheduled"`, 10)
	add("scheduler_scheduling_algorithm_duration_seconds", "", 10)
	add("scheduler_framework_extension_point_duration_seconds", `extension_point="Bind"`, 10)
	got := figuresOf(Delta(nil, map[string]*Scrape{"s": mustScrape(t, text)})).Scheduler
	var names []string
	for _, s := range got {
		names = append(names, fmt.Sprint(s.Name, " ", s.Latency.Count))
	}
	want := []string{"in queue to bound 10", "attempt scheduled 10", "algorithm 10", "plugins Bind 10"}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("steps (-want +got):\n%s", diff)
	}
}

func TestServerCallSpeaksOurWords(t *testing.T) {
	f := func(verb, want string) {
		t.Helper()
		k := metricKey{sliFamily, [maxLabels]string{verb, "apps", "deployments", "", "resource"}}
		if got := serverCall(k); got != (Call{want, "apps", "deployments", "", "resource"}) {
			t.Errorf("%s: %+v", verb, got)
		}
	}
	f("POST", "create")
	f("PUT", "update")
	f("PATCH", "patch")
	f("LIST", "list")
}
