package storage

import (
	"testing"
	"time"

	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/checkers/counterexample"
	"github.com/planecheck/planecheck/checkers/history"
)

// The smallest histories are written with these few words. Times are in
// milliseconds, values are small numbers, and every call has a client of its own.

type call struct{ *history.StoreOp }

func ms(n int) history.Time { return history.Time(time.Second + time.Duration(n)*time.Millisecond) }

func newCall(method history.StoreMethod, then ...history.StoreAction) call {
	return call{&history.StoreOp{Method: method, Then: then, Member: "m1"}}
}

func actPut(key string, value uint64) history.StoreAction {
	return history.StoreAction{Kind: history.ActionPut, Key: key, Value: value}
}

func actDelete(key, end string) history.StoreAction {
	return history.StoreAction{Kind: history.ActionDelete, Key: key, End: end}
}

func actRange(key, end string) history.StoreAction {
	return history.StoreAction{Kind: history.ActionRange, Key: key, End: end}
}

func ifMod(key string, rev int64, then history.StoreAction, els ...history.StoreAction) call {
	c := newCall(history.MethodTxn, then)
	c.Compares = []history.StoreCompare{{Key: key, Target: history.CompareMod, Op: "=", Number: rev}}
	c.Else = els
	return c
}

func create(key string, value uint64) call { return ifMod(key, 0, actPut(key, value)) }
func update(key string, rev int64, value uint64) call {
	return ifMod(key, rev, actPut(key, value), actRange(key, ""))
}
func remove(key string, rev int64) call {
	return ifMod(key, rev, actDelete(key, ""), actRange(key, ""))
}
func get(key string) call       { return newCall(history.MethodRange, actRange(key, "")) }
func list(key, end string) call { return newCall(history.MethodRange, actRange(key, end)) }
func compact(rev int64) call {
	c := newCall(history.MethodCompact)
	c.Revision = rev
	return c
}
func grant(id, ttl int64) call {
	c := newCall(history.MethodLeaseGrant)
	c.Lease, c.TTL, c.GrantedLease, c.GrantedTTL = id, ttl, id, ttl
	return c
}
func revoke(id int64) call {
	c := newCall(history.MethodLeaseRevoke)
	c.Lease = id
	return c
}
func hash(rev int64, sum uint64) call {
	c := newCall(history.MethodHashKV)
	c.Revision, c.Hash, c.CompactRevision = rev, sum, -1
	return c
}

// at sets the times of the call and of its answer.
func (c call) at(called, returned int) call {
	c.Called, c.Returned = ms(called), ms(returned)
	return c
}

func (c call) on(member string) call { c.Member = member; return c }

func (c call) with(change func(*history.StoreAction)) call {
	change(&c.Then[0])
	return c
}

func (c call) pinned(rev int64) call {
	return c.with(func(a *history.StoreAction) { a.Revision = rev })
}
func (c call) limit(n int64) call { return c.with(func(a *history.StoreAction) { a.Limit = n }) }
func (c call) leased(id int64) call {
	return c.with(func(a *history.StoreAction) { a.Lease = id })
}
func (c call) local() call {
	return c.with(func(a *history.StoreAction) { a.Serializable = true })
}

// ok is an answer; without results each action has an empty one.
func (c call) ok(rev int64, results ...history.StoreResult) call {
	c.Header, c.Succeeded, c.Results = rev, true, results
	if results == nil {
		c.Results = make([]history.StoreResult, len(c.Then))
	}
	return c
}

// no is the answer of a transaction whose comparison failed.
func (c call) no(rev int64, results ...history.StoreResult) call {
	c.Header, c.Results = rev, results
	return c
}

func (c call) err(kind history.StoreErrorKind) call { c.Error.Kind = kind; return c }

func kv(key string, create, mod, version int64, value uint64) history.StoreKV {
	return history.StoreKV{Key: key, Create: create, Mod: mod, Version: version, Value: value}
}

func holding(lease int64, v history.StoreKV) history.StoreKV { v.Lease = lease; return v }

func found(kvs ...history.StoreKV) history.StoreResult {
	return history.StoreResult{Count: int64(len(kvs)), KVs: kvs}
}

func deleted(n int64) history.StoreResult { return history.StoreResult{Deleted: n} }

func event(v history.StoreKV) history.StoreEvent { return history.StoreEvent{KV: v} }
func gone(key string, rev int64) history.StoreEvent {
	return history.StoreEvent{Delete: true, KV: history.StoreKV{Key: key, Mod: rev}}
}

// watched is a watch of the whole key space through one member: a message per
// event, the first at the given time and the others a millisecond apart.
func watched(member string, at int, events ...history.StoreEvent) []*history.StoreWatch {
	stream := uint64(len(member)*100) + uint64(member[len(member)-1])
	say := func(t int, w history.StoreWatch) *history.StoreWatch {
		w.Stream, w.Member, w.At = stream, member, ms(t)
		return &w
	}
	ws := []*history.StoreWatch{
		say(0, history.StoreWatch{Kind: history.WatchCreate, Key: "\x00", End: "\x00", Start: 2}),
		say(0, history.StoreWatch{Kind: history.WatchCreated, Header: 1}),
	}
	for i, e := range events {
		ws = append(ws, say(at+i, history.StoreWatch{Kind: history.WatchEvents, Header: e.KV.Mod, Events: []history.StoreEvent{e}}))
	}
	return ws
}

// story is a history with what is to be judged of it.
type story struct {
	calls   []call
	watches []*history.StoreWatch
	opts    Options
}

func tell(calls ...call) story { return story{calls: calls} }

func (s story) seen(watches ...[]*history.StoreWatch) story {
	for _, w := range watches {
		s.watches = append(s.watches, w...)
	}
	return s
}

func (s story) judge() map[string]checkers.Verdict {
	if s.opts.Floors == (Floors{}) {
		s.opts.Floors = noFloors
	}
	if s.opts.Start == 0 {
		s.opts.Start = 1
	}
	c := New(s.opts)
	for i, call := range s.calls {
		call.ID, call.Client = uint64(i+1), uint32(i+1)
		c.StoreOp(call.StoreOp)
	}
	for _, w := range s.watches {
		c.StoreWatch(w)
	}
	verdicts := map[string]checkers.Verdict{}
	for _, v := range c.Finish() {
		verdicts[v.Guarantee] = v
	}
	return verdicts
}

// good wants every guarantee to hold.
func good(t *testing.T, s story) {
	t.Helper()
	for _, v := range s.judge() {
		if v.Outcome != checkers.Pass {
			t.Errorf("false alarm: %s", v)
		}
	}
}

// bad wants a guarantee, and of the others only those that are named, broken.
func bad(t *testing.T, s story, guarantee string, also ...string) {
	t.Helper()
	allowed := map[string]bool{guarantee: true}
	for _, name := range also {
		allowed[name] = true
	}
	for name, v := range s.judge() {
		if name == guarantee && (v.Outcome != checkers.Fail || v.Detail == "") {
			t.Errorf("missed: %s", v)
		}
		if v.Outcome == checkers.Fail && !counterexample.Tabled(v.Detail) {
			t.Errorf("without a table of what happened: %s", v)
		}
		if v.Outcome != checkers.Pass && !allowed[name] {
			t.Errorf("also broken: %s", v)
		}
	}
}
