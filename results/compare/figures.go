package compare

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/results"
)

// Unit is what a figure counts, by which it is printed.
type Unit string

// The units of figures.
const (
	Rate    Unit = "/s"
	Seconds Unit = "s"
	CPU     Unit = "CPU s" // seconds of one CPU
	Bytes   Unit = "B"
	Share   Unit = "share" // from 0 to 1
	Count   Unit = "count"
)

// Figure is one measured value of a trial.
type Figure struct {
	Name  string  `json:"name"`
	Unit  Unit    `json:"unit"`
	Value float64 `json:"value"`
}

// throughput is the name of the figure that variants are ranked by.
const throughput = "pods/s, fill"

// tail is how many values a 99th percentile needs to be one.
const tail = 100

// Take fills in what a run left behind: verdicts, and, if it carried out its
// plan, figures. A run that did not for a reason that is not the control plane's
// could not be done.
func (t *Trial) Take(run *results.Run) {
	t.Outcome = run.Verdict.Outcome
	t.Store, t.Recorded = described(run)
	for _, g := range run.Verdict.Guarantees {
		t.Verdicts = append(t.Verdicts, Verdict{g.Area, g.Guarantee, g.Outcome, oneLine(g.Detail)})
	}
	switch plan := find(run.Verdict.Guarantees, "PlanComplete"); {
	case t.Outcome == "":
		t.Cause = "the run ended before it was judged"
	case plan.Outcome == checkers.Pass:
		t.Figures = figures(run)
	case plan.Outcome != checkers.Fail:
		t.Cause = oneLine(cmp.Or(plan.Detail, run.Verdict.Reason))
	}
}

func find(verdicts []checkers.Verdict, guarantee string) checkers.Verdict {
	i := slices.IndexFunc(verdicts, func(v checkers.Verdict) bool { return v.Guarantee == guarantee })
	if i < 0 {
		return checkers.Verdict{}
	}
	return verdicts[i]
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

// figures takes what is compared out of the record of a run, in the order of
// the table.
func figures(run *results.Run) []Figure {
	f := &collection{}
	for i := range run.Phases {
		p := &run.Phases[i]
		if s := p.Duration.Duration().Seconds(); s > 0 && p.Pods.Counts.Created > 0 && p.Pods.Counts.Running > 0 {
			f.add("pods/s, "+p.Name, Rate, float64(p.Pods.Counts.Running)/s)
		}
	}
	for i := range run.Phases {
		p := &run.Phases[i]
		f.latency("writes, "+p.Name, p.API.Writes)
		f.latency("reads, "+p.Name, p.API.Reads)
		if d := p.Delivered; d != nil {
			f.latency("watch delivery, "+p.Name, results.Latency{Count: d.Count, P50: d.P50, P99: d.P99})
		}
	}
	f.contract(run.Contract)
	f.cpu(run)
	f.memory(run)
	f.store(run)
	return f.all
}

type collection struct{ all []Figure }

func (f *collection) add(name string, unit Unit, value float64) {
	f.all = append(f.all, Figure{name, unit, value})
}

// latency adds the median of a distribution, and its 99th percentile where
// there are enough values for one.
func (f *collection) latency(name string, l results.Latency) {
	if l.Count < tail {
		return
	}
	f.add(name+", p50", Seconds, l.P50.Duration().Seconds())
	f.add(name+", p99", Seconds, l.P99.Duration().Seconds())
}

// contract adds how much of the contract traffic had to wait for its turn: with
// much of it the latencies beside it are those of a queue.
func (f *collection) contract(c *results.Contract) {
	if c == nil {
		return
	}
	begun := int64(0)
	for _, n := range c.Operations {
		begun += n
	}
	if begun > 0 {
		f.add("contract operations begun late", Share, float64(c.Late)/float64(begun))
	}
}

// storeName is the row of a store's processes, or of its part of the harness.
const storeName = "store"

// The rows of components are named by what they say of them, and by the component.
const (
	cpuOf    = "CPU per 1,000 pods, "
	memoryOf = "peak RSS, "
)

// recordingName is the row of what records the store, which is of the harness.
const recordingName = "recording"

// cpu adds what it cost to start a thousand pods, by component, in the phases
// that created them. The harness is divided by its CPU profile: what records the
// store is apart, and the store, too, where it lives there.
func (f *collection) cpu(run *results.Run) {
	var pods int64
	seconds := map[string]float64{}
	for i := range run.Phases {
		p := &run.Phases[i]
		if p.Pods.Counts.Created == 0 {
			continue
		}
		pods += p.Pods.Counts.Running
		apart := false
		for name, u := range p.Usage {
			seconds[component(name)] += u.CPUSeconds
			apart = apart || component(name) == storeName
		}
		harness := p.Usage[results.HarnessName].CPUSeconds
		move := func(to string, share float64) {
			seconds[to] += harness * share
			seconds[harnessName] -= harness * share
		}
		// A profile without a part of the store's is of a harness that has none.
		if p.Profile != nil && p.Profile.Etcd > 0 && !apart {
			move(storeName, 1-p.Profile.OursShare())
		}
		if p.Profile != nil && p.Profile.Recording > 0 {
			move(recordingName, p.Profile.RecordingShare())
		}
	}
	if pods == 0 {
		return
	}
	for _, name := range components(seconds) {
		f.add(cpuOf+name, CPU, seconds[name]*1000/float64(pods))
	}
}

// memory adds the most that each component had resident: of a server with processes
// below it all of them, with what they share once. Where that could not be told, the
// figure is another one. The store that lives in the harness cannot be told from it.
func (f *collection) memory(run *results.Run) {
	if run.Peak == nil {
		return
	}
	rss := map[string]int64{}
	often := map[string]string{}
	for name, u := range run.Peak.Components {
		rss[component(name)] += u.PeakRSS
		if u.Memory == results.SharedForEach {
			often[component(name)] = ", what is shared many times"
		}
	}
	for _, name := range components(rss) {
		f.add(memoryOf+name+often[name], Bytes, float64(rss[name]))
	}
}

const harnessName = "harness"

// component is the row of a process: instances of a kind are added up, and what
// is neither Kubernetes nor the harness serves the store.
func component(process string) string {
	if process == results.HarnessName {
		return harnessName
	}
	for _, kind := range kubernetes() {
		if strings.HasPrefix(process, kind) {
			return kind
		}
	}
	return storeName
}

func kubernetes() []string {
	return []string{"kube-apiserver", "kube-scheduler", "kube-controller-manager"}
}

// components are the rows that have a value, in the order of the table.
func components[V any](values map[string]V) []string {
	order := append(kubernetes(), storeName, recordingName, harnessName)
	names := slices.Collect(maps.Keys(values))
	slices.SortFunc(names, func(a, b string) int { return slices.Index(order, a) - slices.Index(order, b) })
	return names
}

// store adds what was asked of the store, and what it left on the disk: nothing is
// there of one that has no files, or whose files are not ours to measure.
func (f *collection) store(run *results.Run) {
	if run.Peak != nil && run.Peak.DiskBytes > 0 {
		f.add("store on disk", Bytes, float64(run.Peak.DiskBytes))
	}
	var consistent, cached, lists int64
	for i := range run.Phases {
		s := &run.Phases[i].Servers
		for how, n := range s.ConsistentReads {
			consistent += n
			if how == "true false" { // success without a fallback
				cached += n
			}
		}
		for _, step := range s.Store {
			if strings.HasPrefix(step.Name, "list") {
				lists += step.Latency.Count
			}
		}
	}
	if consistent > 0 {
		f.add("consistent lists from cache", Share, float64(cached)/float64(consistent))
	}
	f.add("lists asked of the store", Count, float64(lists))
}

// nothing says whether the table shows a value as it shows 0.
func (u Unit) nothing(v float64) bool { return u.format(v) == u.format(0) }

// format prints a value in its unit.
func (u Unit) format(v float64) string {
	switch u {
	case Seconds:
		return results.Seconds(v * 1e9).String()
	case Bytes:
		return results.BytesText(int64(v))
	case Share:
		return fmt.Sprintf("%.1f %%", 100*v)
	case Count:
		return fmt.Sprintf("%.0f", v)
	default:
		return results.Digits3(v)
	}
}

// String says in a line how the trial ended: "Pass, 168 pods/s"; how fast one was
// that did not pass does not matter.
func (t *Trial) String() string {
	switch {
	case t.Cause != "":
		return "not done: " + shorten(t.Cause)
	case t.Outcome != checkers.Pass:
		return string(t.Outcome) + ": " + shorten(t.why())
	}
	text := string(t.Outcome)
	for _, f := range t.Figures {
		if f.Name == throughput {
			text += ", " + f.Unit.format(f.Value) + " pods/s"
		}
	}
	return text
}
