package oracle

import (
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/checkers/storage/storetest"
)

// shapes are what seeds are spread over. The first ones keep to what etcd's
// validation knows, the others do not.
var shapes = []storetest.Config{
	{Ops: 60, Clients: 4, Keys: 3, Prefixes: 1, Raw: -1, Leased: -1},
	{Ops: 120, Clients: 10, Keys: 6, Prefixes: 2, Raw: -1, Leased: -1, Think: 5 * time.Millisecond, CompactEvery: 50 * time.Millisecond},
	{Ops: 40, Clients: 6, Keys: 2, Prefixes: 1, Raw: -1, Unknown: 0.2, Think: 3 * time.Millisecond},
	{Ops: 150, Clients: 8, Keys: 12, Unknown: -1, Refused: 0.1, Raw: -1, Leased: -1},
	{Ops: 100, Clients: 6, Keys: 5, Leased: 0.8, CompactEvery: 100 * time.Millisecond},
	{Ops: 80, Clients: 12, Keys: 4, Raw: 0.5, Local: 0.5, Think: 4 * time.Millisecond},
	{Ops: 20, Clients: 3, Keys: 1, Prefixes: 1, Unknown: 0.3, Raw: 0.3},
	{Ops: 80, Clients: 4, Keys: 8, Raw: -1, Leased: -1, Unknown: 0.06, Refused: 0.1, Members: 1, CompactEvery: 80 * time.Millisecond},
}

// sample is one history with what was done to it.
type sample struct {
	seed uint64
	lie  string // honest if nothing was
	// blind histories have no watches: what unknown writes did must be inferred.
	blind bool
	h     storetest.History
}

// honest is the name of histories without a lie.
const honest = "(none)"

// draw makes the history of a seed: one of three is left as it is, the others
// are told one lie.
func draw(seed uint64) sample {
	shape := shapes[seed%uint64(len(shapes))]
	s := sample{seed: seed, lie: honest, blind: seed%5 == 4}
	if s.blind {
		// Nothing but an event shows when a lease ends.
		shape.Leased = -1
	}
	s.h = storetest.Generate(seed, shape)
	if s.blind {
		s.h.Watches = nil
	}
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

func histories() uint64 {
	if n, err := strconv.ParseUint(os.Getenv("PLANECHECK_ORACLE_HISTORIES"), 10, 32); err == nil {
		return n
	}
	return 600
}

// TestJudgesAgree lets three judges look at the same histories. Disagreements
// must belong to a class that is named here with its reason.
func TestJudgesAgree(t *testing.T) {
	table := &tally{byLie: map[string]map[string]int{}, skipped: map[string]int{}, outcomes: map[string]int{}, classes: map[string]int{}}
	n := histories()
	for seed := range n {
		s := draw(seed)
		ours, broken := byRevision(s.h)
		o := outcome{ours: ours, broken: broken, porcupine: byPorcupine(s.h, deadline)}
		tr := translate(s.h)
		o.skipped = tr.skipped
		if tr.skipped == "" {
			var err error
			if o.validate, err = byValidate(tr, deadline/10); err != nil {
				t.Fatalf("seed %d: %s", seed, err)
			}
			o.narrow = byNarrow(tr, deadline)
		}
		class, explained := o.explain()
		table.add(s, o, class, tr.dropped)
		if !explained {
			t.Errorf("seed %d, lie: %s, blind: %v: revision %s (%s), porcupine %s, validate %s, porcupine as narrow as validate %s\n%s\n%s",
				seed, s.lie, s.blind, o.ours, guarantees(broken), o.porcupine, o.validate, o.narrow, verdicts(broken), show(s.h))
		}
	}
	t.Logf("%d histories\n%s", n, table)
	if share := float64(table.bad) / float64(n); share < 0.3 {
		t.Errorf("only %.0f %% of the histories are bad", 100*share)
	}
	if table.judged < int(n)/3 {
		t.Errorf("etcd's validation judged only %d histories", table.judged)
	}
}

// outcome is what the judges say of one history.
type outcome struct {
	ours      judgement
	broken    []checkers.Verdict
	porcupine judgement
	validate  judgement
	narrow    judgement
	skipped   string // why etcd's validation was not asked
}

// explain names the class of an outcome and says whether it is in order.
func (o outcome) explain() (class string, explained bool) {
	if o.skipped == "" && o.validate == undecided {
		// Each unknown write doubles the states of its model.
		return "etcd's validation did not finish", o.ours == o.porcupine
	}
	if o.skipped == "" && o.validate != o.narrow {
		// The same facts and the same rules: there is no excuse.
		return "validation differs from a model as narrow", false
	}
	if o.porcupine == undecided {
		return "porcupine did not finish", false
	}
	if o.ours == undecided {
		// By design: several unknown writes could have caused a revision that no
		// event shows, and the checker does not search. It says so, and leaves
		// such a window to porcupine.
		return "left to porcupine by the revision checker", ambiguous(o.broken)
	}
	if o.porcupine != o.ours {
		return "porcupine differs", false
	}
	if o.skipped == "" && o.validate != o.porcupine {
		// Its model has no creation revisions, no leases in answers, no more, no
		// counts alone, no serializable reads, no content of old revisions
		// without the log of the members, and no watch. That this is the reason
		// is not assumed: porcupine with as narrow a model, on the same calls,
		// says the same as validation.
		return "beyond the model of etcd's validation", o.porcupine == bad && o.validate == good
	}
	return "agree", true
}

// ambiguous says that the revision checker gives unknown writes as the reason
// for not deciding.
func ambiguous(broken []checkers.Verdict) bool {
	return !slices.ContainsFunc(broken, func(v checkers.Verdict) bool {
		return v.Outcome != checkers.Unknown || !strings.HasPrefix(v.Detail, "writes of unknown outcome")
	})
}
