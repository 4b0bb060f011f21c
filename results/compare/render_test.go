package compare

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/results"
)

var update = flag.Bool("update", false, "write the golden files")

// example is a comparison of five variants, in n rounds: one is faster, and killed in
// the second round, one loses events, one ends by itself in the second round, one
// does not exist.
func example(n int) *Comparison {
	c := &Comparison{
		Workload: "scale/density", Flags: []string{"--nodes=200", "--pods=2000"}, Rounds: n, Planecheck: "abc1234",
		Started: time.Date(2026, 11, 22, 14, 0, 0, 0, time.UTC), Host: results.Host{CPUs: 2, Kernel: "6.18", MemoryBytes: 24 << 30},
	}
	for _, name := range []string{"etcd", "memory", "lossy", "gone"} {
		c.Variants = append(c.Variants, Variant{Name: name, Flags: []string{"--backend=" + name}})
	}
	c.Variants = append(c.Variants, Variant{Name: "zoo", Flags: []string{"--backend=zoo"}, Refused: `unknown storage backend "zoo"`})
	rate := map[string]float64{"etcd": 150, "memory": 180, "lossy": 400, "gone": 149}
	for round := 1; round <= n; round++ {
		for _, v := range c.Variants[:4] {
			t := Trial{
				Round: round, Variant: v.Name, Outcome: checkers.Pass, Recorded: "by interceptors",
				Store:    "3 members, version " + v.Name + ", synced at checkpoints, journal_mode=WAL, synchronous=NORMAL",
				Verdicts: []Verdict{{"", "PlanComplete", checkers.Pass, ""}, {"", "StoreLived", checkers.Pass, ""}, {"store", "Reliable", checkers.Pass, ""}, {"store", "Atomic", checkers.NotExercised, "0 seen"}},
				Figures: []Figure{
					{throughput, Rate, rate[v.Name] + float64(round)}, {"writes, hold, p50", Seconds, .0031 + float64(round%3)/1e4},
					{"store on disk", Bytes, 900 << 20}, {"consistent lists from cache", Share, .998},
				},
			}
			switch {
			case v.Name == "memory" && round == 2:
				t.Outcome, t.Cause, t.Figures, t.Verdicts = "", "signal: killed", nil, nil
			case v.Name == "memory":
				t.Figures = append(t.Figures[:2:2], t.Figures[3])
			case v.Name == "lossy" && round == 1:
				t.Outcome = checkers.Fail
				t.Verdicts[2] = Verdict{"store", "Reliable", checkers.Fail, "revision 17 never arrived at watch 3"}
			case v.Name == "gone" && round == 2:
				const died = "the store lost a member that nobody stopped: kine died: exit status 1: fatal: database is closed"
				t.Outcome, t.Figures = checkers.Fail, nil
				t.Verdicts = []Verdict{{"", "PlanComplete", checkers.Fail, died}, {"", "StoreLived", checkers.Fail, died}}
			}
			c.Trials = append(c.Trials, t)
		}
	}
	return c
}

func TestRender(t *testing.T) {
	f := func(name string, c *Comparison) {
		t.Helper()
		got := Render(c)
		golden := filepath.Join("testdata", name+".txt")
		if *update {
			if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), got); diff != "" {
			t.Errorf("%s (-want +got), or run with -update:\n%s", golden, diff)
		}
	}
	f("six-rounds", example(6))
	f("two-rounds", example(2))
	begun := example(6)
	begun.Trials = nil
	f("nothing-done", begun)
	failed := example(6)
	failed.Variants = []Variant{failed.Variants[2], failed.Variants[0]}
	failed.Trials = append(failed.of("lossy"), failed.of("etcd")...)
	f("first-failed", failed)
}

func TestRenderIsNeverTooWide(t *testing.T) {
	c := example(6)
	for i := range c.Variants {
		name := c.Variants[i].Name
		c.Variants[i].Name = "etcd-process:members=5-" + name
		for j := range c.Trials {
			if c.Trials[j].Variant == name {
				c.Trials[j].Variant = c.Variants[i].Name
			}
		}
	}
	text := Render(c)
	for _, v := range c.Variants {
		if !strings.Contains(text, v.Name) {
			t.Errorf("%s is not in the table", v.Name)
		}
	}
	_, tables, _ := strings.Cut(text, "\nFigures")
	if n := widest(tables); n > width {
		t.Errorf("%d columns:\n%s", n, tables)
	}
}

// Where a share of the median says nothing, the interval is printed.
func TestSpread(t *testing.T) {
	f := func(u Unit, median, low, high float64, want string) {
		t.Helper()
		if got := u.spread(Cell{Median: median, Interval: &Interval{low, high}}); got != want {
			t.Errorf("%s of %v, [%v, %v]: %q, want %q", u, median, low, high, got, want)
		}
	}
	f(Rate, 100, 96, 103, " ±4%")
	f(Rate, 100, 90, 200, " ±100%")
	f(Seconds, .335, .1, 2.34, " [100ms, 2.34s]")
	f(Share, 0, 0, .003, " [0.0 %, 0.3 %]")
	f(Share, .0001, 0, .003, " [0.0 %, 0.3 %]") // shown as 0.0 %
	f(Share, .0001, .00005, .00015, " [0.0 %, 0.0 %]")
	f(Share, 0, 0, 0, " [0.0 %, 0.0 %]")
	f(Count, 0, 0, 7, " [0, 7]")
	if got := Rate.spread(Cell{Median: 100}); got != "" {
		t.Errorf("without an interval: %q", got)
	}
}

// The table says where the memory of a store without processes is, and compares no
// harness with a store in it to one without.
func TestMemoryOfAStoreInTheHarness(t *testing.T) {
	trial := func(variant string, outcome checkers.Outcome, names ...string) []Trial {
		tr := Trial{Round: 1, Variant: variant, Outcome: outcome}
		for _, n := range names {
			tr.Figures = append(tr.Figures, Figure{n, Bytes, 1 << 30})
		}
		return []Trial{tr}
	}
	inside := []string{"CPU per 1,000 pods, store", "peak RSS, harness"}
	c := comparison(
		trial("etcd", checkers.Pass, inside...), trial("memory", checkers.Pass, inside...), trial("lossy", checkers.Fail, inside...),
		trial("kine", checkers.Pass, "CPU per 1,000 pods, store", "peak RSS, store, what is shared many times", "peak RSS, harness", "store on disk"),
		trial("external", checkers.Pass, "peak RSS, harness"))
	metrics := c.metrics()
	row := func(name string) Metric {
		t.Helper()
		i := slices.IndexFunc(metrics, func(m Metric) bool { return m.Name == name })
		if i < 0 {
			t.Fatalf("no row %q", name)
		}
		return metrics[i]
	}
	store, harness := row("peak RSS, store, what is shared many times"), row("peak RSS, harness")
	var memory, ratios []string
	for i := range c.Variants {
		memory = append(memory, c.cellText(store, i))
		ratios = append(ratios, ratioText(harness.Cells[i].Ratio))
	}
	if diff := cmp.Diff([]string{"in the harness", "in the harness", "(in the harness)", "1.0 GiB", "-"}, memory); diff != "" {
		t.Errorf("memory of the stores (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"-", "1.00× ", "-", "-", "-"}, ratios); diff != "" {
		t.Errorf("ratios of the harnesses (-want +got):\n%s", diff)
	}
	if got := c.cellText(row("store on disk"), 0); got != "-" {
		t.Errorf("disk of a store that has no files: %q", got)
	}
	if got := c.cellText(row("CPU per 1,000 pods, store"), 4); got != "-" {
		t.Errorf("CPU time of a store that has none here: %q", got)
	}
}

func TestRenderProxyCost(t *testing.T) {
	measure := func(operation string, clients int, answered int64, p50, cpu float64) results.StoreMeasure {
		return results.StoreMeasure{
			Operation: operation, Clients: clients, Window: seconds(.8), Answered: answered, CPU: seconds(cpu),
			Latency: results.Latency{Count: answered, P50: seconds(p50)},
		}
	}
	p := &ProxyCost{
		Took:    seconds(6.2),
		Direct:  results.StoreFigures{Measures: []results.StoreMeasure{measure("update", 1, 4000, 2e-4, 1), measure("watch", 8, 80000, 1e-3, 1.6)}},
		Through: results.StoreFigures{Measures: []results.StoreMeasure{measure("update", 1, 2000, 4e-4, .8), measure("watch", 8, 40000, 2.1e-3, 1.6)}},
	}
	want := `  What a proxy adds to a call where it records nothing, measured before round 1, in 6.20s, with our store in
    memory, reached directly and through a proxy, all in one process (in the trials its CPU time is in the row
    recording):
                                   p50   proxy  CPU each  proxy      /s  proxy
    write            1 client    200µs   400µs     250µs  400µs    5000   2500
    event delivered  8 clients  1.00ms  2.10ms      20µs   40µs  100000  50000
`
	if diff := cmp.Diff(want, p.render()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	p.Through.Measures[1].Others = .07
	if text := p.render(); !strings.Contains(text, "others used up to 7 % of the CPUs") {
		t.Errorf("on a busy machine:\n%s", text)
	}
	p = nil
	if text := p.render(); !strings.Contains(text, "was not measured;") {
		t.Errorf("not measured:\n%s", text)
	}
}

func TestShorten(t *testing.T) {
	f := func(s, want string) {
		t.Helper()
		if got := shorten(s); got != want {
			t.Errorf("%d runes become %q", len([]rune(s)), got)
		}
	}
	fits := strings.Repeat("ä", causeWidth)
	f(fits, fits)
	f("died: "+strings.Repeat("ä", causeWidth)+"no space left", "died: "+strings.Repeat("ä", causeWidth*3/4-7)+"…"+strings.Repeat("ä", causeWidth/4-13)+"no space left")
}

// What is saved reads as what was saved.
func TestSaveAndLoad(t *testing.T) {
	dir, err := results.Create(t.TempDir(), "compare")
	if err != nil {
		t.Fatal(err)
	}
	c := example(6)
	c.Proxy = &ProxyCost{Took: seconds(6), Direct: results.StoreFigures{Measures: []results.StoreMeasure{{Operation: "get", Clients: 1, Answered: 9}}}}
	if err := c.Save(dir); err != nil {
		t.Fatal(err)
	}
	got, err := Load(dir.Path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(c, got); diff != "" {
		t.Errorf("loaded (-saved +got):\n%s", diff)
	}
	if len(got.Metrics) != 4 || got.Metrics[0].Cells[1].Ratio == nil {
		t.Errorf("metrics of the saved comparison: %+v", got.Metrics)
	}
	text, err := os.ReadFile(dir.File(textFile))
	if err != nil || string(text) != Render(got) {
		t.Errorf("%v; %s is not what the record renders to:\n%s", err, textFile, text)
	}
	if left, _ := filepath.Glob(dir.File("*.tmp")); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

func TestOutcome(t *testing.T) {
	f := func(want checkers.Outcome, lost int, change func(*Trial)) {
		t.Helper()
		c := comparison(rounds("a", throughput, 1, 2), rounds("b", throughput, 1, 2))
		change(&c.Trials[1])
		if got := c.Outcome(); got != want || len(c.Lost()) != lost {
			t.Errorf("outcome %s, %d lost; want %s, %d", got, len(c.Lost()), want, lost)
		}
	}
	f(checkers.Pass, 0, func(*Trial) {})
	f(checkers.Fail, 0, func(t *Trial) { t.Outcome = checkers.Fail })
	f(checkers.Invalid, 0, func(t *Trial) { t.Outcome = checkers.Invalid })
	f(checkers.Pass, 1, func(t *Trial) { t.Outcome, t.Cause = checkers.Invalid, "killed" })
	f(checkers.Fail, 1, func(t *Trial) { t.Outcome, t.Cause = checkers.Fail, "killed" })
}
