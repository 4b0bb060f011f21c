package window

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/planecheck/planecheck/checkers/history"
)

func put(called, returned history.Time, rev int64) *history.StoreOp {
	return &history.StoreOp{
		Method: history.MethodPut, Called: called, Returned: returned, Header: rev,
		Then:    []history.StoreAction{{Kind: history.ActionPut, Key: "k"}},
		Results: []history.StoreResult{{}},
	}
}

func get(called, returned history.Time, rev int64, local bool) *history.StoreOp {
	return &history.StoreOp{
		Method: history.MethodRange, Called: called, Returned: returned, Header: rev,
		Then:    []history.StoreAction{{Kind: history.ActionRange, Key: "k", Serializable: local}},
		Results: []history.StoreResult{{}},
	}
}

func TestWindow(t *testing.T) {
	b := New()
	b.StoreOp(put(10, 20, 2))
	b.StoreOp(put(30, 60, 3))
	b.StoreOp(get(40, 50, 3, false))
	b.StoreOp(get(65, 70, 9, true)) // local: its header is a member's own
	b.StoreOp(&history.StoreOp{Method: history.MethodCompact, Called: 80, Returned: 90, Revision: 2})
	// Revision 4 was made by nobody's call, and 5 by one.
	b.StoreWatch(&history.StoreWatch{Events: []history.StoreEvent{{KV: history.StoreKV{Mod: 4}}}})
	b.StoreOp(put(100, 110, 5))
	w := b.Window()
	for _, c := range []struct {
		at     history.Time
		lo, hi int64
	}{
		{5, 0, 0}, {10, 0, 2}, {20, 0, 2}, {21, 2, 2}, {29, 2, 2},
		{30, 2, 4}, // the write is called, and what follows it may have happened at once
		{50, 2, 4}, {51, 3, 4}, {75, 3, 4}, {100, 3, 5}, {111, 5, 5},
	} {
		if lo, hi := w.Lo(c.at), w.Hi(c.at); lo != c.lo || hi != c.hi {
			t.Errorf("at %d: [%d, %d], want [%d, %d]", c.at, lo, hi, c.lo, c.hi)
		}
	}
	for at, want := range map[history.Time][2]int64{79: {0, 0}, 80: {0, 2}, 90: {0, 2}, 91: {2, 2}} {
		if lo, hi := w.Compacted(at); lo != want[0] || hi != want[1] {
			t.Errorf("compacted at %d: %d, %d, want %v", at, lo, hi, want)
		}
	}
	if called, returned, ok := w.Commit(3); !ok || called != 30 || returned != 60 {
		t.Errorf("revision 3 was committed within [%d, %d], %v", called, returned, ok)
	}
	if _, _, ok := w.Commit(4); ok {
		t.Error("revision 4 has no call")
	}
}

// TestSound runs a store in which every operation takes effect at one moment
// between its call and its return, and asks for the window of every moment.
func TestSound(t *testing.T) {
	for seed := range uint64(50) {
		rng := rand.New(rand.NewPCG(seed, 1))
		b := New()
		at := map[history.Time]int64{} // the revision from a moment on
		rev := int64(1)
		const end = 3000
		for now := history.Time(10); now < end; now += history.Time(1 + rng.IntN(9)) {
			called := max(1, now-history.Time(rng.IntN(60)))
			returned := now + 1 + history.Time(rng.IntN(60))
			switch rng.IntN(5) {
			case 0:
				rev++ // nobody's call
			case 1:
				rev++
				b.StoreOp(&history.StoreOp{Method: history.MethodPut, Called: called, Error: history.StoreError{Kind: history.ErrorUnknown}})
			case 2:
				b.StoreOp(get(called, returned, rev, false))
			default:
				rev++
				b.StoreOp(put(called, returned, rev))
			}
			at[now] = rev
		}
		b.StoreWatch(&history.StoreWatch{Events: []history.StoreEvent{{KV: history.StoreKV{Mod: rev}}}})
		w := b.Window()
		state := int64(1)
		for now := history.Time(1); now < end; now++ {
			if r, ok := at[now]; ok {
				state = r
			}
			if lo, hi := w.Lo(now), w.Hi(now); state > 1 && (lo > state || hi < state) {
				t.Fatalf("seed %d: at %d the store is at %d, the window is [%d, %d]", seed, now, state, lo, hi)
			}
		}
	}
}

// traffic makes calls of up to the length most, in the order in which they
// returned: writes, of which some leave no answer, reads and compactions.
func traffic(rng *rand.Rand, most int64) []*history.StoreOp {
	var ops []*history.StoreOp
	rev := int64(1)
	for at := history.Time(100); at < 9000; at += history.Time(1 + rng.Int64N(40)) {
		before, after := history.Time(rng.Int64N(most/2)), history.Time(1+rng.Int64N(most/2))
		called, returned := at-before, at+after
		switch rng.IntN(12) {
		case 0:
			ops = append(ops, get(called, returned, rev, false))
		case 1:
			ops = append(ops, &history.StoreOp{Method: history.MethodCompact, Called: called, Returned: returned, Revision: rev - 3})
		case 2:
			rev++ // nobody's call, but seen soon
			ops = append(ops, get(at, returned, rev, false))
		default:
			rev++
			ops = append(ops, put(called, returned, rev))
		}
	}
	slices.SortFunc(ops, func(a, b *history.StoreOp) int { return cmp.Compare(a.Returned, b.Returned) })
	return ops
}

// sameUntil compares what two windows say of times up to one.
func sameUntil(a, b *Window, until history.Time) bool {
	for at := max(0, until-600); at <= until; at += 7 {
		lo, hi := a.Compacted(at)
		otherLo, otherHi := b.Compacted(at)
		if a.Lo(at) != b.Lo(at) || a.Hi(at) != b.Hi(at) || lo != otherLo || hi != otherHi {
			return false
		}
	}
	return true
}

// A window that is filled answers as it does in the end, if it is final no
// sooner than all calls have returned; sooner, it is late where it does not.
func TestAdvance(t *testing.T) {
	const most = 60
	differed := 0
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 3))
		ops := traffic(rng, most)
		whole := New()
		for _, op := range ops {
			whole.StoreOp(op)
		}
		want := whole.Window()
		for _, lag := range []history.Time{5 * most, most / 3} {
			b, same := New(), true
			for i, op := range ops {
				b.StoreOp(op)
				if until := op.Returned - lag; until >= ops[0].Returned && rng.IntN(5) == 0 {
					same = sameUntil(b.Advance(until), want, until) && same
					if i%10 == 0 {
						b.Advance(until - 20) // no step back
					}
				}
			}
			if !same && lag > most {
				t.Errorf("seed %d: a window that was filled answers otherwise", seed)
			}
			if !sameUntil(b.Window(), want, 9000) {
				t.Errorf("seed %d, lag %d: at its end it answers otherwise", seed, lag)
			}
			if !same && !b.Late() || lag > most && b.Late() {
				t.Errorf("seed %d, lag %d: it answered rightly %v, and late is %v", seed, lag, same, b.Late())
			}
			if !same {
				differed++
			}
		}
	}
	if differed == 0 {
		t.Error("too small a lag made no difference")
	}
}

// What bears on times for which the window is final is late.
func TestLate(t *testing.T) {
	compact := func(called history.Time) *history.StoreOp {
		return &history.StoreOp{Method: history.MethodCompact, Called: called, Returned: 90, Revision: 2}
	}
	for _, c := range []struct {
		what string
		op   *history.StoreOp
		want bool
	}{
		{"a compaction of before", compact(40), true}, {"one of after", compact(55), false},
		{"a write of before", put(40, 90, 3), true}, {"one of after", put(55, 90, 3), false},
		{"a read of before that shows nothing new", get(40, 90, 2, false), false},
		{"a read of after that shows what nobody made", get(55, 90, 3, false), true},
	} {
		b := New()
		b.StoreOp(put(10, 20, 2))
		b.Advance(50)
		b.StoreOp(c.op)
		if b.Advance(60); b.Late() != c.want {
			t.Errorf("%s: late %v", c.what, b.Late())
		}
	}
}

// A store that was restored has been at one revision from the beginning, however
// many there were before.
func TestBegin(t *testing.T) {
	b := New()
	b.Begin(100, 1000)
	b.StoreOp(put(110, 120, 1001))
	b.StoreOp(put(130, 140, 1003)) // 1002 was made by nobody's call
	w := b.Window()
	for _, c := range []struct {
		at     history.Time
		lo, hi int64
	}{{101, 1000, 1000}, {109, 1000, 1000}, {110, 1000, 1002}, {121, 1001, 1002}, {130, 1001, 1003}, {141, 1003, 1003}} {
		if lo, hi := w.Lo(c.at), w.Hi(c.at); lo != c.lo || hi != c.hi {
			t.Errorf("at %d: [%d, %d], want [%d, %d]", c.at, lo, hi, c.lo, c.hi)
		}
	}
}

// Most answers show what others showed; they are not kept, and change nothing.
func TestThin(t *testing.T) {
	const last = 20
	b, all := New(), New()
	for rev := int64(2); rev <= last; rev++ {
		at := history.Time(rev * 1000)
		for i := range history.Time(500) {
			// From the latest to the first: each is the first of its revision so far.
			op := get(at+500-i, at+700-i, rev, false)
			b.StoreOp(op)
			all.called = append(all.called, point{op.Called, op.Header})
			all.returned = append(all.returned, point{op.Returned, op.Header})
		}
	}
	if n := max(cap(b.called), cap(b.returned)); n > 1100 {
		t.Errorf("%d points are kept of %d answers with %d revisions", n, len(all.called), last-1)
	}
	all.last = b.last
	thin, whole := b.Window(), all.Window()
	for at := history.Time(0); at < 1000*(last+1); at++ {
		if thin.Lo(at) != whole.Lo(at) || thin.Hi(at) != whole.Hi(at) {
			t.Fatalf("at %d: [%d, %d], want [%d, %d]", at, thin.Lo(at), thin.Hi(at), whole.Lo(at), whole.Hi(at))
		}
	}
}
