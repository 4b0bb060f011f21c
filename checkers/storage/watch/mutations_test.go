package watch

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/checkers/storage/storetest"
)

func newRand(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 7)) }

// mutation is one kind of lie, told in a copy of a valid history.
type mutation struct {
	name   string
	breaks Guarantee
	tell   func(*lies) bool // false: this history gives no occasion
}

var mutations = []mutation{
	{"drop an event", Reliable, (*lies).drop},
	{"drop the first event of a resumed watch", Resumable, (*lies).dropFirst},
	{"drop one event of a transaction", Atomic, (*lies).dropPart},
	{"send an answer twice", Unique, (*lies).duplicate},
	{"send an old event again", Unique, (*lies).replay},
	{"swap two events", Ordered, (*lies).swap},
	{"swap two events of a transaction", Ordered, (*lies).swapWithin},
	{"lower a revision, header and body", Ordered, (*lies).lower},
	{"split a revision, progress between", Atomic, (*lies).split},
	{"another previous value", PrevKV, (*lies).wrongPrev},
	{"the version before the previous one", PrevKV, (*lies).olderPrev},
	{"no previous version", PrevKV, (*lies).noPrev},
	{"an event outside the range", Filtered, (*lies).outside},
	{"an event before the start", Filtered, (*lies).early},
	{"an event of a filtered type", Filtered, (*lies).unfiltered},
	{"an event after the cancel", Filtered, (*lies).afterCancel},
	{"an update shown as a creation", IsCreate, (*lies).asCreate},
	{"a creation shown as an update", IsCreate, (*lies).asUpdate},
	{"another value", Reliable, (*lies).otherValue},
	{"a deletion shown as a put", Reliable, (*lies).otherType},
	{"progress one ahead", Bookmarkable, (*lies).ahead},
	{"progress before the events that it covers", Bookmarkable, (*lies).overtaking},
	{"progress behind an event", Bookmarkable, (*lies).behind},
	{"progress of a stream with one watch behind", Bookmarkable, (*lies).aheadOfOne},
	{"canceled for a compaction that never was", CompactedCancel, (*lies).falseCompaction},
	{"canceled for nothing", CompactedCancel, (*lies).forNothing},
	{"skip what is compacted", CompactedCancel, (*lies).skipCompacted},
	{"created header ahead", Resumable, (*lies).createdAhead},
	{"deliver a minute late", Fresh, (*lies).delay},
	{"withhold the last events", Fresh, (*lies).withhold},
}

// TestMutations tells every kind of lie in many generated histories. Each must
// break the guarantee that it is about.
func TestMutations(t *testing.T) {
	const wanted = 20
	var table strings.Builder
	w := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "LIE\tBREAKS\tTOLD\tCAUGHT\tALSO BROKEN")
	histories := map[uint64]*generated{}
	for k, m := range mutations {
		told, caught := 0, 0
		also := map[Guarantee]int{}
		for seed := uint64(0); seed < seeds(t, 200) && told < wanted; seed++ {
			g := histories[seed]
			if g == nil {
				g = generate(t, seed, storetest.Config{
					Ops: 250, Raw: 0.3, Streams: 8, CompactEvery: time.Duration(100+400*(seed%3)) * time.Millisecond,
					Lag: time.Duration(30+300*(seed%2)) * time.Millisecond,
				})
				histories[seed] = g
			}
			h := g.history.Clone()
			if !m.tell(&lies{rng: newRand(seed<<8 + uint64(k)), g: g, h: &h}) {
				continue
			}
			told++
			_, verdicts := g.check(h)
			broken := outcomes(verdicts, checkers.Fail)
			if slices.Contains(broken, m.breaks) {
				caught++
			} else {
				t.Errorf("seed %d: %s: %s stands, broken are %v", seed, m.name, m.breaks, broken)
			}
			if inv := outcomes(verdicts, checkers.Invalid); len(inv) > 0 {
				t.Errorf("seed %d: %s: the history became invalid: %v", seed, m.name, verdicts)
			}
			for _, g := range broken {
				if g != m.breaks {
					also[g]++
				}
			}
		}
		if told == 0 {
			t.Errorf("%s: no history gives an occasion", m.name)
		}
		fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%v\n", m.name, m.breaks, told, caught, also)
	}
	_ = w.Flush()
	t.Logf("\n%s", table.String())
}
