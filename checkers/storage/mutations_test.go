package storage

import (
	"slices"
	"testing"

	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/storage/storetest"
	"github.com/planecheck/planecheck/checkers/timeline"
)

// A lie changes a valid history so that one guarantee is broken, and says
// whether it found a place for that.
type lie struct {
	name, guarantee string
	tell            func(h *storetest.History) bool
}

// pick returns a call in the middle of a history.
func pick(h *storetest.History, fit func(*history.StoreOp) bool) *history.StoreOp {
	n := len(h.Ops)
	for i := range n {
		if op := h.Ops[(i+n/3)%n]; acknowledged(op) && fit(op) {
			return op
		}
	}
	return nil
}

func singlePut(op *history.StoreOp) bool {
	b := timeline.Branch(op)
	return timeline.Changed(op) && len(b) == 1 && b[0].Kind == history.ActionPut
}

func keysRead(op *history.StoreOp) bool {
	return op.Method == history.MethodRange && len(op.Results) == 1 && len(op.Results[0].KVs) > 0 && !op.Then[0].KeysOnly
}

var lies = []lie{
	{"two writes at one revision", Order, func(h *storetest.History) bool {
		op := pick(h, singlePut)
		before := pick(h, func(o *history.StoreOp) bool { return o != op && singlePut(o) && o.Header < op.Header })
		if before == nil {
			return false
		}
		op.Header, op.Results[0].Header = before.Header, 0
		return true
	}},
	{"a revision that nobody wrote", Order, func(h *storetest.History) bool {
		op := pick(h, singlePut)
		for _, w := range h.Watches {
			w.Events = slices.DeleteFunc(w.Events, func(e history.StoreEvent) bool { return e.KV.Mod == op.Header })
		}
		h.Ops = slices.DeleteFunc(h.Ops, func(o *history.StoreOp) bool { return o == op })
		return true
	}},
	{"a comparison that fails succeeds", Replay, func(h *storetest.History) bool {
		op := pick(h, func(o *history.StoreOp) bool { return singlePut(o) && len(o.Compares) == 1 && o.Compares[0].Number > 0 })
		if op == nil {
			return false
		}
		op.Compares[0].Number--
		return true
	}},
	{"another value is stored", Replay, func(h *storetest.History) bool {
		stored := func(o *history.StoreOp) bool { return singlePut(o) && !timeline.Branch(o)[0].IgnoreValue }
		timeline.Branch(pick(h, stored))[0].Value++
		return true
	}},
	{"one more was deleted", Replay, func(h *storetest.History) bool {
		op := pick(h, func(o *history.StoreOp) bool { return len(o.Results) == 1 && o.Results[0].Deleted > 0 })
		if op == nil {
			return false
		}
		op.Results[0].Deleted++
		return true
	}},
	{"a key is left out", Reads, func(h *storetest.History) bool {
		op := pick(h, keysRead)
		op.Results[0].KVs = op.Results[0].KVs[1:]
		return true
	}},
	{"the count is wrong", Reads, func(h *storetest.History) bool {
		pick(h, keysRead).Results[0].Count++
		return true
	}},
	{"more is wrong", Reads, func(h *storetest.History) bool {
		op := pick(h, keysRead)
		op.Results[0].More = !op.Results[0].More
		return true
	}},
	{"an older version", Reads, func(h *storetest.History) bool {
		op := pick(h, func(o *history.StoreOp) bool { return keysRead(o) && o.Results[0].KVs[0].Version > 1 })
		if op == nil {
			return false
		}
		op.Results[0].KVs[0].Version--
		op.Results[0].KVs[0].Mod--
		return true
	}},
	{"a stale read", RealTime, func(h *storetest.History) bool {
		op := pick(h, func(o *history.StoreOp) bool { return keysRead(o) && !timeline.Local(o) })
		last := h.Ops[len(h.Ops)-1].Called
		if op.Called+1e9 > last {
			return false
		}
		op.Called, op.Returned = last, last+1e6
		return true
	}},
	{"a write by nobody", NoPhantom, func(h *storetest.History) bool {
		op := pick(h, singlePut)
		h.Ops = slices.DeleteFunc(h.Ops, func(o *history.StoreOp) bool { return o == op })
		return true
	}},
	{"a refused write takes effect", DefiniteFailureInert, func(h *storetest.History) bool {
		fail := pick(h, singlePut)
		fail.Error.Kind = history.ErrorTooManyRequests
		fail.Header, fail.Results, fail.Succeeded = 0, nil, false
		return true
	}},
	{"nobody compacted", CompactionHonest, func(h *storetest.History) bool {
		n := len(h.Ops)
		asked := slices.ContainsFunc(h.Ops, func(o *history.StoreOp) bool {
			return o.Error.Kind == history.ErrorCompacted && o.Method != history.MethodCompact
		})
		h.Ops = slices.DeleteFunc(h.Ops, func(o *history.StoreOp) bool { return o.Method == history.MethodCompact })
		return asked && len(h.Ops) < n
	}},
	{"a compacted revision is read", CompactionHonest, func(h *storetest.History) bool {
		for _, done := range h.Ops {
			if done.Method != history.MethodCompact || !acknowledged(done) {
				continue
			}
			for _, op := range h.Ops {
				if op.Called > done.Returned && acknowledged(op) && keysRead(op) && !timeline.Local(op) && op.Then[0].Revision == 0 {
					op.Then[0].Revision = done.Revision - 1
					return true
				}
			}
		}
		return false
	}},
	{"a lease dies early", LeaseHonest, func(h *storetest.History) bool {
		grown := false
		gone := map[int64]bool{}
		for _, op := range h.Ops {
			if op.Method == history.MethodLeaseRevoke || !acknowledged(op) {
				gone[op.Lease] = true
			}
		}
		for _, w := range h.Watches {
			for _, e := range w.Events {
				if e.Delete && e.Prev.Lease >= 0x7000 && !gone[e.Prev.Lease] && expired(h, e) {
					for _, op := range h.Ops {
						if op.Method == history.MethodLeaseGrant && op.GrantedLease == e.Prev.Lease {
							op.TTL, op.GrantedTTL = op.TTL+1000, op.GrantedTTL+1000
							grown = true
						}
					}
				}
			}
		}
		return grown
	}},
	{"a write is lost in the end", Durable, func(h *storetest.History) bool {
		last := h.Ops[len(h.Ops)-1]
		var lost history.StoreKV
		for _, kv := range last.Results[0].KVs {
			if slices.ContainsFunc(h.Ops, func(o *history.StoreOp) bool { return singlePut(o) && o.Header == kv.Mod }) {
				lost = kv
			}
		}
		for _, op := range h.Ops[len(h.Ops)-8:] {
			if op.Method == history.MethodRange && timeline.Whole(op.Then[0].Key, op.Then[0].End) && len(op.Results) == 1 {
				op.Results[0].KVs = slices.DeleteFunc(op.Results[0].KVs, func(v history.StoreKV) bool { return v.Key == lost.Key })
				op.Results[0].Count--
			}
		}
		return lost.Key != ""
	}},
	{"a member has another hash", MembersAgree, func(h *storetest.History) bool {
		var last *history.StoreOp
		for _, op := range h.Ops {
			if op.Method == history.MethodHashKV && acknowledged(op) {
				last = op
			}
		}
		last.Hash++
		return true
	}},
	{"a member misses a revision", MembersAgree, func(h *storetest.History) bool {
		rev := pick(h, singlePut).Header
		whole := map[uint64]bool{}
		for _, w := range h.Watches {
			if w.Kind == history.WatchCreate && timeline.Whole(w.Key, w.End) {
				whole[w.Stream] = true
			}
			if whole[w.Stream] && w.Member == "m2" {
				n := len(w.Events)
				w.Events = slices.DeleteFunc(w.Events, func(e history.StoreEvent) bool { return e.KV.Mod == rev })
				if len(w.Events) < n {
					return true
				}
			}
		}
		return false
	}},
}

// expired says that no call deleted the key of an event.
func expired(h *storetest.History, e history.StoreEvent) bool {
	return !slices.ContainsFunc(h.Ops, func(o *history.StoreOp) bool { return timeline.Changed(o) && o.Header == e.KV.Mod })
}

// TestLies tells each lie in many histories. It must always be caught by the
// guarantee that it breaks.
func TestLies(t *testing.T) {
	for _, l := range lies {
		told := 0
		for seed := range uint64(30) {
			// Without unknown writes no lie has an innocent explanation.
			h := storetest.Generate(1000+seed, storetest.Config{Unknown: -1, Leased: 0.5}).Clone()
			if !l.tell(&h) {
				continue
			}
			told++
			for _, v := range judge(h, Options{Floors: noFloors}) {
				if v.Guarantee == l.guarantee && v.Outcome != checkers.Fail {
					t.Errorf("%s: seed %d survives as %s", l.name, seed, v)
				}
			}
		}
		if told < 10 {
			t.Errorf("%s: told in %d of 30 histories only", l.name, told)
		}
	}
}
