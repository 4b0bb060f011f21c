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
	leaderless    Seconds
	late, lost    int64
	evicted       int64
}

// serviceSum is one kind of calls in several runs.
type serviceSum struct {
	during CallCounts
	gap    Seconds
	p99    Seconds
	never  bool // once at least, nothing was served any more
	healed Seconds
}

// FaultsOf sums up what each fault did in several runs to each kind of target, "":
// there was none. Calls,
// heartbeats and pods are added up; times are the longest. What a fault did while
// it met others cannot be told apart from what these did, and counts only where
// it was never alone.
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
	t := table{align: "lrrlr"}
	t.row("fault", "times", "acted", "calls", "served", "p99", "gap", "healed", "no leader", "late", "lost", "evicted")
	for _, name := range sorted(sums, strings.Compare) {
		s := sums[name]
		times := number(int64(s.times))
		if s.alone == 0 {
			times += "*"
		}
		t.row(slices.Concat([]string{name, times, s.acted.String(), "reads"}, s.reads.cells(),
			[]string{longest(s.leaderless), number(s.late), number(s.lost), number(s.evicted)})...)
		t.row(append([]string{"", "", "", "writes"}, s.writes.cells()...)...)
	}
	return t.String() + note("served: of all calls while the fault acted; times are the longest of all runs: acted, p99 and gap as in "+
		"the table of a run, healed: from the heal to the first success, no leader: without one; *: only together with others")
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
	for _, missed := range f.Leaderless {
		s.leaderless = max(s.leaderless, missed)
	}
	s.late += f.Heartbeats.Late
	s.lost += f.Heartbeats.Lost
	if f.Evicted != nil {
		s.evicted += *f.Evicted
	}
}

func (s *serviceSum) add(f *ServiceFigures) {
	s.during.Served += f.During.Served
	s.during.Failed += f.During.Failed
	s.during.Shed += f.During.Shed
	s.gap = max(s.gap, f.Gap)
	s.p99 = max(s.p99, f.During.Latency.P99)
	ratio, asked := f.Recovery.Ratio()
	s.never = s.never || asked && ratio == 0 && f.FirstServed == nil
	if f.FirstServed != nil {
		s.healed = max(s.healed, *f.FirstServed)
	}
}

func (s *serviceSum) cells() []string {
	served, healed := missing, longest(s.healed)
	if ratio, ok := s.during.Ratio(); ok {
		served = percent(ratio)
	}
	if s.never {
		healed = "never"
	}
	gap := s.gap.String()
	if s.gap == 0 {
		gap = "<" + Seconds(slotLength).String()
	}
	return []string{served, longest(s.p99), gap, healed}
}

func longest(s Seconds) string {
	if s == 0 {
		return missing
	}
	return s.String()
}
