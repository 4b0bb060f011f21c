package results

import (
	"slices"
	"strings"
)

// faultSum is what one kind of fault did in several runs.
type faultSum struct {
	times         int
	alone         int // of them, while no other fault acted
	acted         Seconds
	reads, writes serviceSum
	leaderless    [led]*Seconds // nil: it was never looked at
	late, lost    int64
	evicted       int64
}

// What there is to lead, in the order of its column.
const (
	ledStore = iota
	ledScheduler
	ledControllerManager
	led
)

// ledOf says which of them a name of FaultFigures.Leaderless is: that of the store
// is as many as there are backends.
func ledOf(name string) int {
	switch name {
	case "kube-scheduler":
		return ledScheduler
	case "kube-controller-manager":
		return ledControllerManager
	}
	return ledStore
}

// serviceSum is one kind of calls in several runs.
type serviceSum struct {
	during CallCounts
	gap    Seconds
	p99    Seconds
	back   untilServed // after a first failure
	healed untilServed
}

// untilServed is the longest time until a first success.
type untilServed struct {
	longest Seconds
	never   bool // once at least, nothing was served any more
}

func (o *untilServed) add(s *Seconds, never bool) {
	o.never = o.never || never
	if s != nil {
		o.longest = max(o.longest, *s)
	}
}

func (o untilServed) String() string {
	if o.never {
		return "never"
	}
	return longest(o.longest)
}

// FaultsOf sums up what each fault did in several runs to each kind of target, "":
// there was none. Calls, heartbeats and pods are added up; times are the longest.
// What a fault did while it met others cannot be told apart from what these did,
// and counts only where it was never alone.
func FaultsOf(runs []*Run) string {
	sums := map[string]*faultSum{}
	for _, alone := range []bool{true, false} {
		for _, run := range runs {
			if run == nil || run.Availability == nil {
				continue
			}
			for i := range run.Availability.Faults {
				if f := &run.Availability.Faults[i]; (len(f.With) == 0) == alone {
					add(sums, f, alone)
				}
			}
		}
	}
	if len(sums) == 0 {
		return ""
	}
	t := table{align: "lrlr"}
	t.row("fault", "times", "calls", "served", "p99", "gap", "back", "healed", "nobody led", "late", "evicted")
	t.row("  target", "acted", "", "", "", "", "", "", "sched/kcm", "lost")
	for _, name := range sorted(sums, strings.Compare) {
		s := sums[name]
		times := number(int64(s.times))
		if s.alone == 0 {
			times += "*"
		}
		store, controllers := s.nobodyLed()
		fault, target, _ := strings.Cut(name, " ")
		t.row(slices.Concat([]string{fault, times, "reads"}, s.reads.cells(), []string{store, number(s.late), number(s.evicted)})...)
		t.row(slices.Concat([]string{"  " + target, s.acted.String(), "writes"}, s.writes.cells(), []string{controllers, number(s.lost)})...)
	}
	return t.String() + note("served: of all calls while the fault acted; times are the longest of all runs: acted, p99, gap and back as in "+
		"the table of a run, healed: from the heal to the first success, nobody led: the store, and below it schedulers/"+
		"controller managers (-: not looked at); *: only together with others")
}

func add(sums map[string]*faultSum, f *FaultFigures, alone bool) {
	name := f.Fault
	if !strings.HasPrefix(f.Target, "kube-") { // it makes no difference which of them
		name = strings.TrimSpace(name + " " + f.Target)
	}
	s := sums[name]
	if s == nil {
		s = &faultSum{}
		sums[name] = s
	}
	if s.times++; !alone && s.alone > 0 {
		return
	}
	if alone {
		s.alone++
	}
	s.acted = max(s.acted, f.Acted)
	s.reads.add(&f.Reads)
	s.writes.add(&f.Writes)
	for name, missed := range f.Leaderless {
		if l := &s.leaderless[ledOf(name)]; *l == nil || **l < missed {
			*l = &missed
		}
	}
	s.late += f.Heartbeats.Late
	s.lost += f.Heartbeats.Lost
	if f.Evicted != nil {
		s.evicted += *f.Evicted
	}
}

// nobodyLed is how long that was so of the store, and of schedulers and controller
// managers; "-": it was not looked at.
func (s *faultSum) nobodyLed() (store, controllers string) {
	var cells [led]string
	for i, missed := range s.leaderless {
		cells[i] = optional(missed)
		if missed != nil && *missed == 0 {
			cells[i] = "0"
		}
	}
	return cells[ledStore], cells[ledScheduler] + "/" + cells[ledControllerManager]
}

func (s *serviceSum) add(f *ServiceFigures) {
	s.during.Served += f.During.Served
	s.during.Failed += f.During.Failed
	s.during.Shed += f.During.Shed
	s.gap = max(s.gap, f.Gap)
	s.p99 = max(s.p99, f.During.Latency.P99)
	ratio, asked := f.Recovery.Ratio()
	s.back.add(f.Back, f.FirstFailure != nil && f.Back == nil)
	s.healed.add(f.FirstServed, asked && ratio == 0 && f.FirstServed == nil)
}

func (s *serviceSum) cells() []string {
	served := missing
	if ratio, ok := s.during.Ratio(); ok {
		served = percent(ratio)
	}
	gap := s.gap.String()
	if s.gap == 0 {
		gap = "<" + Seconds(slotLength).String()
	}
	return []string{served, longest(s.p99), gap, s.back.String(), s.healed.String()}
}

func longest(s Seconds) string {
	if s == 0 {
		return missing
	}
	return s.String()
}
