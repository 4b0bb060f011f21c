package residual_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/storage"
	"github.com/planecheck/planecheck/checkers/storage/residual"
	"github.com/planecheck/planecheck/checkers/storage/storetest"
)

// shapes are small histories in which many outcomes are unknown.
var shapes = []storetest.Config{
	{Ops: 25, Clients: 4, Keys: 3, Unknown: 0.3},
	{Ops: 40, Clients: 8, Keys: 2, Unknown: 0.2},
	{Ops: 50, Clients: 5, Keys: 5, Unknown: 0.25},
}

// drawn makes the history of a seed without watches, or with watches that end
// halfway, so that what unknown writes did must be inferred. Some answers are
// forgotten, and two of three histories are told a lie.
func drawn(seed uint64) storetest.History {
	r := rand.New(rand.NewPCG(seed, 1))
	cfg := shapes[seed%uint64(len(shapes))]
	cfg.Prefixes, cfg.Raw, cfg.Leased, cfg.Think = 1, -1, -1, 3*time.Millisecond
	h := storetest.Generate(seed, cfg)
	h.Watches = h.Watches[:int(seed%2)*len(h.Watches)/2]
	var reads, writes []*history.StoreOp
	for _, op := range h.Ops {
		switch {
		case op.Error.Kind != "" || op.Returned == 0 || len(op.Results) != 1:
		case op.Results[0].Count > 0 || op.Method == history.MethodRange:
			reads = append(reads, op)
		case op.Succeeded && op.Then[0].Kind != history.ActionRange:
			writes = append(writes, op)
		}
	}
	for range 3 {
		if len(writes) > 0 {
			op := writes[r.IntN(len(writes))]
			op.Error.Kind, op.Header, op.Results, op.Succeeded = history.ErrorUnknown, 0, nil, false
		}
	}
	if len(reads) > 0 && seed%3 != 0 {
		lie(r, reads[r.IntN(len(reads))])
	}
	return h
}

func lie(r *rand.Rand, op *history.StoreOp) {
	a := &op.Results[0]
	switch {
	case len(a.KVs) == 0 || r.IntN(4) == 0:
		a.Count++
	case r.IntN(3) == 0:
		a.KVs, a.Count = a.KVs[1:], a.Count-1
	case r.IntN(2) == 0:
		a.KVs[0].Mod, a.KVs[0].Version = a.KVs[0].Mod-1, a.KVs[0].Version-1
	default:
		a.KVs[0].Create--
	}
}

// TestNeverContradicted: where windows are searched, and where they are not, the
// checker never says another thing than porcupine on the whole history.
func TestNeverContradicted(t *testing.T) {
	search := residual.Judge(residual.Limits{})
	outcomes, findings, helped := map[string]int{}, map[storage.Finding]int{}, 0
	for seed := range uint64(400) {
		h := drawn(seed)
		want := whole(h)
		j := judge(search, h)
		got := j.outcome()
		findings[j.found.Finding]++
		outcomes[string(got)+", porcupine "+string(want)]++
		alone := judge(nil, h)
		if alone.outcome() == checkers.Unknown && got != checkers.Unknown {
			helped++
		}
		for _, j := range []judged{j, alone} {
			contradicted(t, seed, want, j)
		}
	}
	t.Logf("%v, findings %v, decided by the search %d", outcomes, findings, helped)
	if helped == 0 || findings[storage.Explained] == 0 || findings[storage.Impossible] == 0 {
		t.Error("the search decided nothing")
	}
}

func contradicted(t *testing.T, seed uint64, whole porcupine.CheckResult, j judged) {
	t.Helper()
	got := j.outcome()
	if (whole != porcupine.Ok || got != checkers.Fail) && (whole != porcupine.Illegal || got != checkers.Pass) {
		return
	}
	t.Errorf("seed %d: porcupine says %s of the whole, the checker %s (search: %q)", seed, whole, got, j.found.Finding)
	for _, v := range j.verdicts {
		if v.Outcome != checkers.Pass {
			t.Log(v)
		}
	}
}
