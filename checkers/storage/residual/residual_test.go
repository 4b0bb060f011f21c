package residual_test

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/storage"
	"github.com/planecheck/planecheck/checkers/storage/residual"
	"github.com/planecheck/planecheck/checkers/storage/storetest"
)

// noFloors lets small histories pass.
var noFloors = storage.Floors{Operations: -1, Conflicts: -1, Compactions: -1, Leases: -1, Refusals: -1, Crashes: -1, Members: -1, Hashes: -1}

// judged is what the checker says of calls that are made one after another.
type judged struct {
	verdicts map[string]checkers.Verdict
	found    storage.Explanation
}

func judge(search func(storage.Window) storage.Explanation, h storetest.History) judged {
	j := judged{verdicts: map[string]checkers.Verdict{}}
	opts := storage.Options{Floors: noFloors, Start: 1}
	if search != nil {
		opts.Residual = func(w storage.Window) storage.Explanation {
			j.found = search(w)
			return j.found
		}
	}
	c := storage.New(opts)
	h.Feed(c)
	for _, v := range c.Finish() {
		j.verdicts[v.Guarantee] = v
	}
	return j
}

// outcome is the worst of all verdicts.
func (j judged) outcome() checkers.Outcome {
	worst := checkers.Pass
	for _, v := range j.verdicts {
		switch {
		case v.Outcome == checkers.Fail, v.Outcome == checkers.Unknown && worst == checkers.Pass:
			worst = v.Outcome
		}
	}
	return worst
}

// story is a history of calls one after another, a millisecond each. The
// revision 1 is the empty store.
func story(calls ...history.StoreOp) storetest.History {
	var h storetest.History
	for i := range calls {
		op := &calls[i]
		op.ID, op.Client, op.Member = uint64(i+1), uint32(i+1), "m1"
		op.Called = history.Time(time.Hour).Add(time.Duration(2*i) * time.Millisecond)
		op.Returned = op.Called.Add(time.Millisecond)
		h.Ops = append(h.Ops, op)
	}
	return h
}

func lost(op history.StoreOp) history.StoreOp {
	op.Error.Kind = history.ErrorUnknown
	op.Header, op.Results = 0, nil
	return op
}

func put(key string, value uint64, rev int64) history.StoreOp {
	return history.StoreOp{
		Method: history.MethodPut, Header: rev, Succeeded: true, Results: []history.StoreResult{{}},
		Then: []history.StoreAction{{Kind: history.ActionPut, Key: key, Value: value}},
	}
}

func remove(key, end string) history.StoreOp {
	return history.StoreOp{Method: history.MethodDeleteRange, Then: []history.StoreAction{{Kind: history.ActionDelete, Key: key, End: end}}}
}

// count reads how many keys there are, which does not show who put them.
func count(key, end string, n, rev int64) history.StoreOp {
	return history.StoreOp{
		Method: history.MethodRange, Header: rev, Succeeded: true, Results: []history.StoreResult{{Count: n}},
		Then: []history.StoreAction{{Kind: history.ActionRange, Key: key, End: end, CountOnly: true}},
	}
}

// update replaces a version of a key, or says that it was another one.
func update(key string, mod int64, value uint64, rev int64, done bool) history.StoreOp {
	op := put(key, value, rev)
	op.Method, op.Succeeded = history.MethodTxn, done
	op.Compares = []history.StoreCompare{{Key: key, Target: history.CompareMod, Op: "=", Number: mod}}
	if !done {
		op.Results = nil
	}
	return op
}

// grant gives a lease of two seconds.
func grant(id, rev int64) history.StoreOp {
	return history.StoreOp{Method: history.MethodLeaseGrant, Lease: id, TTL: 2, GrantedLease: id, GrantedTTL: 2, Header: rev}
}

func leased(op history.StoreOp, id int64) history.StoreOp {
	op.Then[0].Lease = id
	return op
}

// TestAnotherChoiceIsRight: the earliest call is the wrong guess, and another
// choice explains every answer.
func TestAnotherChoiceIsRight(t *testing.T) {
	for name, h := range map[string]storetest.History{
		"the later of two": story(
			lost(put("a", 1, 0)), lost(put("b", 2, 0)), put("c", 3, 3), count("a", "", 0, 3)),
		"in another order": story(
			lost(put("a", 1, 0)), lost(put("b", 1, 0)), lost(remove("a", "c")), put("d", 1, 5),
			count("a", "c", 1, 5), count("b", "", 1, 5)),
		"one that a conflict tells of": story(
			lost(put("a", 1, 0)), lost(put("b", 2, 0)), put("c", 3, 3), update("a", 0, 4, 4, true)),
		"the same now, another thing later": story(
			lost(put("a", 1, 0)), lost(update("a", 0, 1, 0, true)), put("b", 1, 3), put("b", 2, 5)),
		"no write but the end of a lease": func() storetest.History {
			h := story(grant(7, 1), leased(put("a", 1, 2), 7), lost(put("b", 1, 0)), put("c", 1, 4), count("b", "", 0, 4), count("a", "", 0, 4))
			for _, op := range h.Ops[2:] {
				op.Called, op.Returned = op.Called.Add(3*time.Second), op.Returned.Add(3*time.Second)
			}
			return h
		}(),
	} {
		before, after := judge(nil, h), judge(residual.Judge(residual.Limits{}), h)
		if after.outcome() != checkers.Pass || after.found.Finding != storage.Explained {
			t.Errorf("%s: %s, found %+v", name, after.verdicts, after.found)
		}
		if before.outcome() != checkers.Unknown {
			t.Errorf("%s: the guess of the checker was right: %v", name, before.verdicts)
		}
	}
}

// TestEveryChoiceIsWrong: the violation is certain, and says why.
func TestEveryChoiceIsWrong(t *testing.T) {
	for name, c := range map[string]struct {
		guarantee string
		h         storetest.History
	}{
		"none of two": {storage.Reads, story(
			lost(put("a", 1, 0)), lost(put("b", 2, 0)), put("c", 3, 3), count("a", "", 0, 3), count("b", "", 0, 3))},
		"both of two": {storage.Reads, story(
			lost(put("a", 1, 0)), lost(put("b", 2, 0)), put("c", 3, 3), count("a", "", 1, 3), count("b", "", 1, 3))},
		"a conflict and a read that exclude each other": {storage.Reads, story(
			lost(put("a", 1, 0)), lost(put("b", 2, 0)), put("c", 3, 3), count("a", "", 0, 3), update("a", 0, 4, 3, false))},
		"more revisions than writes": {storage.Order, story(
			lost(put("a", 1, 0)), lost(put("b", 2, 0)), put("c", 3, 5))},
		"called too late": {storage.Reads, story(
			lost(put("a", 1, 0)), lost(put("c", 1, 0)), put("d", 3, 3), lost(put("x", 2, 0)), count("a", "d", 0, 3))},
	} {
		before, after := judge(nil, c.h).verdicts[c.guarantee], judge(residual.Judge(residual.Limits{}), c.h)
		v := after.verdicts[c.guarantee]
		if v.Outcome != checkers.Fail || !strings.Contains(v.Detail, "no choice among the writes of unknown outcome") {
			t.Errorf("%s: %s, found %+v", name, v, after.found)
		}
		if before.Outcome != checkers.Unknown {
			t.Errorf("%s: certain without a search: %s", name, before)
		}
	}
}

// explosive has as many choices as there are orders of 24 things, none of which
// is right; the last answer tells.
func explosive() storetest.History {
	var calls []history.StoreOp
	for i := range 24 {
		calls = append(calls, lost(put(fmt.Sprintf("k%02d", i), 1, 0)))
	}
	return story(append(calls, put("z", 1, 14), count("k", "l", 13, 14))...)
}

// TestGivenUp: without its bounds this search would outlive the test.
func TestGivenUp(t *testing.T) {
	for why, limits := range map[string]residual.Limits{
		"beyond the deadline of 50ms":             {Deadline: 50 * time.Millisecond, Work: math.MaxInt64},
		"more than 5000 calls to execute":         {Deadline: time.Hour, Work: 5000},
		"24 writes of unknown outcome and leases": {Deadline: time.Hour, Candidates: 20},
	} {
		j := judge(residual.Judge(limits), explosive())
		v := j.verdicts[storage.Reads]
		if v.Outcome != checkers.Unknown || !strings.Contains(v.Detail, "the search for another choice was given up: "+why) {
			t.Errorf("%s: %s, found %+v", why, v, j.found)
		}
	}
	wide := judge(residual.Judge(residual.Limits{Keys: 1}), story(put("a", 1, 2), put("b", 1, 3),
		lost(remove("a", "c")), lost(put("d", 1, 0)), put("e", 1, 5), count("d", "", 0, 5), count("a", "", 1, 5)))
	if v := wide.verdicts[storage.Reads]; v.Outcome != checkers.Unknown || !strings.Contains(v.Detail, "more than 1 keys") {
		t.Errorf("a wide deletion: %s", v)
	}
}

// TestSearchIsNotTrusted: a choice that explains nothing does not make a history
// good, and "impossible" alone does not make one bad.
func TestSearchIsNotTrusted(t *testing.T) {
	h := story(lost(put("a", 1, 0)), lost(put("b", 2, 0)), put("c", 3, 3), count("a", "", 0, 3))
	wrong := judge(func(w storage.Window) storage.Explanation {
		return storage.Explanation{Finding: storage.Explained, Writes: map[int64]*history.StoreOp{2: w.Unknown[0].Op}}
	}, h)
	if wrong.verdicts[storage.Reads].Outcome != checkers.Unknown {
		t.Errorf("a wrong explanation: %s", wrong.verdicts[storage.Reads])
	}
	fine := story(lost(put("a", 1, 0)), lost(put("b", 2, 0)), put("c", 3, 3), count("a", "", 1, 3))
	never := func(storage.Window) storage.Explanation { return storage.Explanation{Finding: storage.Impossible} }
	if j := judge(never, fine); j.outcome() != checkers.Pass {
		t.Errorf("impossible without a violation: %v", j.verdicts)
	}
}
