package results

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// outage is a run of 40 s in which everything fails from 20.3 s on, is back but
// slow at 25.5 s, half a second after the heal, and as before from 28 s on.
func outage() *Availability {
	a := newAvailability()
	both(a, 200, 0, 20_300*ms, 10*ms)
	w := a.Begin("etcd-stop", "etcd-0", at(20_300*ms))
	both(a, 503, 20_300*ms, 25*time.Second, 20*ms)
	w.Healed(at(25 * time.Second))
	both(a, 503, 25*time.Second, 25_500*ms, 20*ms)
	both(a, 200, 25_500*ms, 28*time.Second, 400*ms)
	both(a, 200, 28*time.Second, 40*time.Second, 10*ms)
	return a
}

func TestFaultDuringWhichEverythingFails(t *testing.T) {
	f := onlyFault(t, outage(), 40*time.Second)
	if f.Injected != Seconds(20_300*ms) || f.Acted != Seconds(4700*ms) || f.Incomplete != "" {
		t.Errorf("injected %v, acted %v, incomplete %q", f.Injected, f.Acted, f.Incomplete)
	}
	for _, s := range []ServiceFigures{f.Reads, f.Writes} {
		if ratio, ok := s.During.Ratio(); !ok || ratio != 0 || s.During.Failed != 110 {
			t.Errorf("during: %+v, want 110 failures and nothing else", s.During)
		}
		if ratio, ok := s.Before.Ratio(); !ok || ratio != 1 || s.Before.Latency.Max != Seconds(10*ms) {
			t.Errorf("before: %+v, want all served within 10ms", s.Before)
		}
		if s.Recovery.Failed != 12 || s.Recovery.Served == 0 || s.Recovery.Latency.Max != Seconds(400*ms) {
			t.Errorf("recovery: %+v, want 12 failures, then slow calls", s.Recovery)
		}
		near(t, "gap", &s.Gap, 5557*ms) // from the second failure: a call from before was answered after the first
		near(t, "first failure", s.FirstFailure, 0)
		near(t, "back", s.Back, 5600*ms) // due at 25.5 s, answered 400 ms later
		near(t, "first success after the heal", s.FirstServed, 900*ms)
	}
	near(t, "recovered", f.Recovered, 3*time.Second)
}

// TestNoCallsIsNotAllServed: nobody read anything.
func TestNoCallsIsNotAllServed(t *testing.T) {
	a := newAvailability()
	load(a, "update", 200, 0, 30*time.Second, 10*ms)
	a.Begin("fault", "", at(10*time.Second)).Healed(at(12 * time.Second))
	f := onlyFault(t, a, 30*time.Second)
	if _, ok := f.Reads.During.Ratio(); ok || f.Reads.Gap != 0 || f.Reads.Back != nil || f.Reads.FirstServed != nil {
		t.Errorf("reads = %+v, want no figures", f.Reads)
	}
	if cells := serviceCells(&f.Reads); cells[0] != "no calls" || cells[2] != missing {
		t.Errorf("reads = %v", cells)
	}
	if cells := serviceCells(&f.Writes); cells[0] != "100.00 %" || cells[4] != missing {
		t.Errorf("writes = %v", cells)
	}
	near(t, "recovered", f.Recovered, 0)

	silent := newAvailability()
	silent.Begin("fault", "", at(10*time.Second)).Healed(at(12 * time.Second))
	f = onlyFault(t, silent, 30*time.Second)
	if f.Recovered != nil || !strings.HasPrefix(f.Incomplete, "no calls") {
		t.Errorf("recovered %v, incomplete %q: a run without calls shows no recovery", f.Recovered, f.Incomplete)
	}
	if newAvailability().Figures(at(time.Second)) != nil {
		t.Error("a run without faults has figures of them")
	}
}

// A server that stands still fails nothing: calls wait, and are served at last.
func TestStandstillWithoutFailure(t *testing.T) {
	a := newAvailability()
	both(a, 200, 0, 10*time.Second, 10*ms)
	w := a.Begin("freeze", "", at(10*time.Second))
	for due := 10 * time.Second; due < 18*time.Second; due += beat {
		a.Request(call("get", 200, due, 18_100*ms-due))
	}
	w.Healed(at(18 * time.Second))
	load(a, "get", 200, 18*time.Second, 30*time.Second, 10*ms)
	f := onlyFault(t, a, 30*time.Second)
	near(t, "gap", &f.Reads.Gap, 8*time.Second)
	if f.Reads.FirstFailure != nil || f.Reads.Back != nil {
		t.Errorf("first failure %v, back %v, want none", f.Reads.FirstFailure, f.Reads.Back)
	}
	near(t, "first success after the heal", f.Reads.FirstServed, 10*ms)
	if got := f.Reads.During.Latency.Max; got != Seconds(8100*ms) {
		t.Errorf("max = %v", got)
	}
}

// Service is back with the first answer, whichever call it is to.
func TestBackIsTheFirstAnswer(t *testing.T) {
	a := newAvailability()
	a.Begin("fault", "", at(time.Second))
	a.Request(call("get", 0, time.Second, ms))
	a.Request(call("get", 200, 1500*ms, 3*time.Second))
	a.Request(call("get", 200, 2*time.Second, 50*ms))
	a.Request(call("get", 200, 2001*ms, time.Second))
	a.Request(call("get", 200, 2020*ms, time.Second))
	near(t, "back", onlyFault(t, a, 5*time.Second).Reads.Back, 1050*ms)

	// After the heal an answer from before it, in the same slot, is none.
	a = newAvailability()
	a.Begin("fault", "", at(time.Second)).Healed(at(3005 * ms))
	a.Request(call("get", 200, 3001*ms, ms))
	a.Request(call("get", 200, 3400*ms, 50*ms))
	near(t, "first success after the heal", onlyFault(t, a, 5*time.Second).Reads.FirstServed, 445*ms)
}

// Of two servers, the other one goes on: half of the calls fail, for a while.
func TestHalfOfTheCallsFail(t *testing.T) {
	a := newAvailability()
	both(a, 200, 0, 30*time.Second, 10*ms)
	w := a.Begin("apiserver-stop", "", at(10*time.Second))
	load(a, "get", 0, 10_700*ms, 14*time.Second, ms)
	w.Healed(at(14 * time.Second))
	f := onlyFault(t, a, 30*time.Second)
	near(t, "first failure", f.Reads.FirstFailure, 700*ms)
	near(t, "back", f.Reads.Back, beat)
	if f.Reads.Gap > Seconds(2*beat) {
		t.Errorf("gap = %v: calls were served all the time", f.Reads.Gap)
	}
	if ratio, _ := f.Reads.During.Ratio(); ratio < 0.54 || ratio > 0.56 {
		t.Errorf("reads served = %v, want 93 of 170", ratio)
	}
	if ratio, _ := f.Writes.During.Ratio(); ratio != 1 || f.Writes.FirstFailure != nil {
		t.Errorf("writes = %+v, want no failure", f.Writes)
	}
	near(t, "recovered", f.Recovered, 0)
}

// One call in ten seconds leaves gaps in which nobody waited for anything.
func TestSilenceIsNoGap(t *testing.T) {
	a := newAvailability()
	for due := time.Duration(0); due < time.Minute; due += 10 * time.Second {
		a.Request(call("get", 200, due, 3*ms))
	}
	a.Begin("fault", "", at(15*time.Second)).Healed(at(35 * time.Second))
	if gap := onlyFault(t, a, time.Minute).Reads.Gap; gap != 0 {
		t.Errorf("gap = %v", gap)
	}
	// A call that the next one had to make good is waited for.
	a.Request(call("get", 0, 22*time.Second, 3*ms))
	f := onlyFault(t, a, time.Minute).Reads
	near(t, "gap", &f.Gap, 8*time.Second)
}

// A run that ends early must not read as one that recovered, nor as one that
// did not.
func TestWindowCutByTheEndOfTheRun(t *testing.T) {
	f := func(end time.Duration, incomplete string) FaultFigures {
		t.Helper()
		got := onlyFault(t, outage(), end)
		if got.Recovered != nil || got.Incomplete != incomplete {
			t.Errorf("end at %v: recovered %v, incomplete %q, want %q", end, got.Recovered, got.Incomplete, incomplete)
		}
		return got
	}
	cut := f(23*time.Second, "the run ended before it was healed")
	near(t, "acted", &cut.Acted, 2700*ms)
	near(t, "gap", &cut.Reads.Gap, 2657*ms)
	if cut.Reads.Back != nil || cut.Reads.FirstServed != nil || cut.Reads.Recovery.Failed != 0 || cut.Reads.During.Failed != 63 {
		t.Errorf("reads = %+v, want 63 failures and no success", cut.Reads)
	}
	early := f(30*time.Second, "the run ended 5.00s after the heal, before everything was seen to be as good as before")
	near(t, "first success after the heal", early.Reads.FirstServed, 900*ms)

	never := newAvailability()
	w := never.Begin("fault", "", at(20*time.Second)) // never healed
	both(never, 200, 0, 30*time.Second, 10*ms)
	if got := onlyFault(t, never, 30*time.Second); got.Acted != Seconds(10*time.Second) || got.Incomplete == "" {
		t.Errorf("acted %v, incomplete %q", got.Acted, got.Incomplete)
	}
	// Cleaning up heals what is healed.
	w.Healed(at(25 * time.Second))
	w.Healed(at(29 * time.Second))
	if got := onlyFault(t, never, 31*time.Second); got.Acted != Seconds(5*time.Second) {
		t.Errorf("acted %v, want until the first heal", got.Acted)
	}
}

func TestRecoveryIsBounded(t *testing.T) {
	a := newAvailability()
	both(a, 200, 0, 20*time.Second, 10*ms)
	a.Begin("fault", "", at(20*time.Second)).Healed(at(25 * time.Second))
	both(a, 200, 20*time.Second, 160*time.Second, 300*ms)
	both(a, 200, 160*time.Second, 200*time.Second, 10*ms) // too late
	f := onlyFault(t, a, 200*time.Second)
	if f.Recovered != nil || f.Incomplete != "not everything was as good as before within 120s of the heal" {
		t.Errorf("recovered %v, incomplete %q", f.Recovered, f.Incomplete)
	}
	if n := f.Reads.Recovery.Served; n < 2790 || n > 2792 {
		t.Errorf("%d reads in the recovery, want those of 120 s", n)
	}
}

// What was bad before need not be good after, and one good second is none.
func TestRecoveryComparesWithBefore(t *testing.T) {
	f := func(name string, want time.Duration, disturb func(*Availability)) {
		t.Helper()
		a := newAvailability()
		both(a, 200, 0, 40*time.Second, 10*ms)
		a.Leader("etcd", "etcd-0", at(0))
		a.Begin("fault", "", at(20*time.Second)).Healed(at(21 * time.Second))
		disturb(a)
		near(t, name, onlyFault(t, a, 40*time.Second).Recovered, want)
	}
	f("nothing", 0, func(*Availability) {})
	f("a failure", time.Second, func(a *Availability) { a.Request(call("get", 500, 21_500*ms, ms)) })
	f("shed", time.Second, func(a *Availability) { a.Request(call("get", 429, 21_500*ms, ms)) })
	f("a failure as before", 0, func(a *Availability) {
		a.Request(call("get", 500, 12_500*ms, ms))
		a.Request(call("get", 500, 21_500*ms, ms))
	})
	f("a good second between", 4*time.Second, func(a *Availability) {
		a.Request(call("get", 500, 21_500*ms, ms))
		a.Request(call("update", 500, 24_500*ms, ms))
	})
	f("a slow call", 2*time.Second, func(a *Availability) { a.Request(call("get", 200, 22_500*ms, 150*ms)) })
	f("a slow call as before", 0, func(a *Availability) {
		a.Request(call("get", 200, 12_500*ms, 100*ms))
		a.Request(call("get", 200, 22_500*ms, 150*ms))
	})
	f("a late heartbeat", 5*time.Second, func(a *Availability) { a.Lease(renewal("a", 25, 0, 6)) })
	f("no leader", 3*time.Second, func(a *Availability) {
		a.Leader("etcd", "", at(22*time.Second))
		a.Leader("etcd", "etcd-1", at(23_200*ms))
	})
}

func TestOverlappingFaults(t *testing.T) {
	a := newAvailability()
	both(a, 200, 0, 20*time.Second, 10*ms)
	first := a.Begin("stop", "a", at(20*time.Second))
	both(a, 503, 20*time.Second, 30*time.Second, ms)
	second := a.Begin("stop", "b", at(25*time.Second))
	first.Healed(at(30 * time.Second))
	both(a, 200, 30*time.Second, 32*time.Second, 10*ms)
	both(a, 503, 32*time.Second, 35*time.Second, ms)
	second.Healed(at(35 * time.Second))
	both(a, 200, 35*time.Second, 60*time.Second, 10*ms)
	third := a.Begin("stop", "c", at(50*time.Second))
	third.Healed(at(51 * time.Second))

	all := a.Figures(at(60 * time.Second)).Faults
	if len(all) != 3 {
		t.Fatalf("%d faults, want 3", len(all))
	}
	for i, with := range [][]string{{"stop of b"}, {"stop of a"}, nil} {
		if diff := cmp.Diff(with, all[i].With); diff != "" {
			t.Errorf("fault %d, with (-want +got):\n%s", i, diff)
		}
	}
	near(t, "first acted", &all[0].Acted, 10*time.Second)
	near(t, "second acted", &all[1].Acted, 10*time.Second)
	near(t, "first back", all[0].Reads.Back, 10*time.Second)
	near(t, "second back", all[1].Reads.Back, 5*time.Second)
	// The second one found failures, but those are not what is normal.
	near(t, "first recovered", all[0].Recovered, 5*time.Second)
	near(t, "second recovered", all[1].Recovered, 0)
	if all[1].Reads.Before != all[0].Reads.Before || all[1].Reads.Before.Served < 200 || all[1].Reads.During.Failed == 0 || all[1].Reads.During.Served == 0 {
		t.Errorf("second: %+v, want the baseline of the first", all[1].Reads)
	}
	// The third is compared with what was after them.
	if all[2].Reads.Before.Served < 200 || all[2].Reads.Before.Failed != 0 {
		t.Errorf("third: %+v, want ten good seconds before", all[2].Reads.Before)
	}
	// A baseline ends where the recovery before it ended.
	fourth := a.Begin("stop", "d", at(54*time.Second))
	fourth.Healed(at(55 * time.Second))
	if n := a.Figures(at(60 * time.Second)).Faults[3].Reads.Before.Served; n < 65 || n > 75 {
		t.Errorf("fourth: %d reads before, want those of three seconds", n)
	}
}
