package storage

import (
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/checkers/storage/storetest"
)

// noFloors lets small histories pass.
var noFloors = Floors{Operations: -1, Conflicts: -1, Compactions: -1, Leases: -1, Refusals: -1, Crashes: -1, Members: -1, Hashes: -1}

func judge(h storetest.History, opts Options) []checkers.Verdict {
	c := New(opts)
	h.Feed(c)
	return c.Finish()
}

// configs are the shapes of histories that seeds are spread over.
var configs = []storetest.Config{
	{},
	{Clients: 20, Keys: 6, Think: 5 * time.Millisecond},
	{Start: 40},
	{Unknown: 0.25, Refused: 0.1, Leased: 0.6},
	{Members: 1, Keys: 200, Ops: 900, CompactEvery: 200 * time.Millisecond},
	{Raw: 0.6, Local: 0.5, Lag: 300 * time.Millisecond},
}

// seeds is how many histories TestNoFalseAlarm judges.
func seeds() int {
	if n, err := strconv.Atoi(os.Getenv("PLANECHECK_SEEDS")); err == nil {
		return n
	}
	return 240
}

// TestNoFalseAlarm judges histories that are valid by construction.
func TestNoFalseAlarm(t *testing.T) {
	for seed := range uint64(seeds()) {
		h := storetest.Generate(seed, configs[seed%uint64(len(configs))])
		for _, opts := range []Options{
			{Floors: noFloors},
			{Floors: noFloors, Batch: 32, Horizon: 200 * time.Millisecond},
		} {
			for _, v := range judge(h, opts) {
				if v.Outcome != checkers.Pass {
					t.Errorf("seed %d, batch %d: %s", seed, opts.Batch, v)
				}
			}
		}
		if t.Failed() {
			return
		}
	}
}
