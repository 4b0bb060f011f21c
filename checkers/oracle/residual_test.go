package oracle

import (
	"math/rand/v2"
	"testing"

	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/checkers/storage"
	"github.com/planecheck/planecheck/checkers/storage/residual"
	"github.com/planecheck/planecheck/checkers/storage/storetest"
)

// withResidual asks the revision checker with the search of ambiguous windows,
// and says what that search found.
func withResidual(h storetest.History) (judgement, storage.Finding, []checkers.Verdict) {
	floors := storage.Floors{Operations: -1, Conflicts: -1, Compactions: -1, Leases: -1, Refusals: -1, Crashes: -1, Members: -1, Hashes: -1}
	var found storage.Finding
	search := residual.Judge(residual.Limits{})
	c := storage.New(storage.Options{Start: 1, Floors: floors, Residual: func(w storage.Window) storage.Explanation {
		e := search(w)
		found = e.Finding
		return e
	}})
	h.Feed(c)
	outcome := good
	var broken []checkers.Verdict
	for _, v := range c.Finish() {
		if v.Outcome == checkers.Pass {
			continue
		}
		if broken = append(broken, v); v.Outcome != checkers.Unknown {
			outcome = bad
		} else if outcome == good {
			outcome = undecided
		}
	}
	return outcome, found, broken
}

// blindShapes have no watches and many writes of unknown outcome.
var blindShapes = []storetest.Config{
	{Ops: 30, Clients: 4, Keys: 3, Prefixes: 1, Leased: -1, Unknown: 0.3, Think: 3e6},
	{Ops: 60, Clients: 8, Keys: 2, Prefixes: 1, Leased: -1, Unknown: 0.2, Raw: 0.5, Think: 3e6},
	{Ops: 40, Clients: 5, Keys: 1, Prefixes: 1, Leased: -1, Unknown: 0.3, Raw: 0.3},
	{Ops: 80, Clients: 6, Keys: 6, Leased: -1, Unknown: 0.15, CompactEvery: 1e8},
}

// TestResidualAgreesWithPorcupine: where the revision checker has its ambiguous
// windows searched it never contradicts porcupine on the whole history.
func TestResidualAgreesWithPorcupine(t *testing.T) {
	n := max(histories(), 400)
	outcomes, findings := map[string]int{}, map[storage.Finding]int{}
	left, before := 0, 0
	for seed := range n {
		s := drawBlind(seed)
		want := byPorcupine(s.h, deadline)
		got, found, broken := withResidual(s.h)
		if without, _ := byRevision(s.h); without == undecided {
			before++
		}
		if got == undecided {
			left++
			t.Logf("seed %d, lie %s: left undecided, search %q, porcupine %s\n%s", seed, s.lie, found, want, verdicts(broken))
		}
		outcomes[string(got)+", porcupine "+string(want)]++
		findings[found]++
		if want != undecided && got != undecided && got != want {
			t.Errorf("seed %d, lie %s: revision with residual %s, porcupine %s, search %q\n%s\n%s",
				seed, s.lie, got, want, found, verdicts(broken), show(s.h))
		}
	}
	t.Logf("%d histories: %v, searches %v; undecided %d, %d without the search", n, outcomes, findings, left, before)
	if before == 0 || findings[storage.Explained] == 0 || findings[storage.Impossible] == 0 {
		t.Error("no history needed the search")
	}
}

// drawBlind makes the history of a seed without watches, or with watches that
// end halfway: what unknown writes did then must be inferred. Two of three are
// told a lie.
func drawBlind(seed uint64) sample {
	shape := blindShapes[seed%uint64(len(blindShapes))]
	s := sample{seed: seed, lie: honest, blind: true, h: storetest.Generate(seed, shape)}
	kept := s.h.Watches[:0]
	for i, w := range s.h.Watches {
		if seed%2 == 0 && i < len(s.h.Watches)/2 {
			kept = append(kept, w)
		}
	}
	s.h.Watches = kept
	if seed%3 == 0 {
		return s
	}
	r := rand.New(rand.NewPCG(seed, 0x6c6965))
	for _, i := range r.Perm(len(lies)) {
		c := s.h.Clone()
		if lies[i].tell(r, &c) {
			s.lie, s.h = lies[i].name, c
			break
		}
	}
	return s
}
