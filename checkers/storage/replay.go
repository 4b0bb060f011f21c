package storage

import (
	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/timeline"
)

// judge decides everything about one call that its revision decides.
func (c *Checker) judge(r record) {
	op := r.op
	if !acknowledged(op) {
		c.judgeFailed(r)
		return
	}
	c.checkRealTime(r)
	c.checkReadable(r)
	switch op.Method {
	case history.MethodRange, history.MethodRangeStream:
		c.judgeRange(op)
	case history.MethodPut, history.MethodDeleteRange, history.MethodTxn:
		c.judgeTxn(r)
	case history.MethodLeaseRevoke:
		c.claim(r, nil)
	case history.MethodHashKV:
		c.judgeHash(op)
	}
	c.judgeLease(r)
}

// judgeFailed keeps failed writes until it is known what became of them, and
// judges the errors that say something about revisions.
func (c *Checker) judgeFailed(r record) {
	c.judgeError(r)
	c.judgeLease(r)
	if !timeline.MayChange(r.op) {
		return
	}
	if unknown(r.op) {
		c.counts.unknown++
		c.causes.unknown.add(r)
		return
	}
	c.counts.refused++
	c.causes.refused.add(r)
}

// judgeRange compares a read with the state it claims. The header of a
// serializable read is that of the one member that answered, and so is its state
// (etcdserver/v3_server.go, Range): it may be old, but it must be true.
func (c *Checker) judgeRange(op *history.StoreOp) {
	c.counts.reads++
	if timeline.Local(op) {
		c.counts.local++
	}
	a, r := op.Then[0], op.Results[0]
	rev := op.Header
	if a.Revision > 0 {
		rev = a.Revision
	}
	if rev > op.Header {
		return // checkReadable has said so
	}
	if first, _ := c.t.Bounds(); rev < first {
		return // before the history
	}
	c.sweep.MoveTo(rev)
	c.compareRange(op, a, r, c.sweep, rev)
	if c.whole(a) && !a.CountOnly && a.Limit <= 0 && a.Revision <= 0 && !timeline.Local(op) {
		c.members.whole(op)
	}
}

// compareRange judges one range and notes what it says about lost writes.
func (c *Checker) compareRange(op *history.StoreOp, a history.StoreAction, r history.StoreResult, view timeline.View, rev int64) {
	c.counts.listed += int64(len(r.KVs))
	if partial(a, r) {
		c.counts.partial++
	}
	m := checkRange(a, r, view)
	if m == nil {
		c.confirm(op, a, r, rev)
		return
	}
	e := because("#%d %s (state of revision %d)", op.ID, m.text, rev).op(op)
	if m.key != "" {
		e.state(m.want.Mod, onlyKey(c.t.At(m.want.Mod), m.key))
		if m.got.Mod != m.want.Mod {
			e.state(m.got.Mod, onlyKey(c.t.At(m.got.Mod), m.key))
		}
	}
	if m.key != "" && m.got.Version != 0 && !a.KeysOnly {
		c.stray(stray{rev: m.got.Mod, member: op.Member, at: op.Returned, changes: []timeline.Change{{Key: m.key, KV: m.got}}})
	}
	c.fail(Reads, e)
	if c.whole(a) && !timeline.Local(op) && a.Revision <= 0 {
		c.fail(MembersAgree, because("the whole of member %s at revision %d is not what was written: %s", op.Member, rev, m.text).op(op))
	}
	if m.key != "" && !timeline.Local(op) {
		c.lostIn(op, m.key, rev, m.got, e)
	}
}

// lostIn notes that a call did not see the latest change of a key.
func (c *Checker) lostIn(op *history.StoreOp, key string, rev int64, got history.StoreKV, e *evidence) {
	latest, _ := c.t.Latest(key, rev)
	if latest > got.Mod {
		c.durable.contradict(key, latest, rev, op.Returned, e)
	}
}

func onlyKey(changes []timeline.Change, key string) []timeline.Change {
	for i := range changes {
		if changes[i].Key == key {
			return changes[i : i+1]
		}
	}
	return nil
}

// judgeTxn replays a transaction, a put or a deletion: the comparisons on the
// state before it, then its branch action by action. A transaction whose branch
// changed nothing is a read at the revision of its header.
func (c *Checker) judgeTxn(r record) {
	op := r.op
	changed := timeline.Changed(op)
	before := op.Header
	if changed {
		before--
		c.counts.writes++
	} else {
		c.counts.reads++
	}
	if op.Method == history.MethodTxn && !op.Succeeded {
		c.counts.conflicts++
	}
	if first, _ := c.t.Bounds(); before < first {
		return
	}
	c.sweep.MoveTo(before)
	c.checkCompares(op, before)
	x := timeline.Begin(c.sweep, before+1)
	branch := timeline.Branch(op)
	if timeline.Refused(branch, c.sweep) {
		c.fail(Replay, because("#%d kept the value or the lease of a key that was not there in revision %d", op.ID, before).op(op))
	}
	for i, a := range branch {
		c.replayAction(op, x, a, op.Results[i], before)
	}
	if changed {
		c.claim(r, x.Changes())
	}
}

func (c *Checker) checkCompares(op *history.StoreOp, before int64) {
	if op.Method != history.MethodTxn || len(op.Compares) == 0 {
		return
	}
	holds, decided := timeline.Holds(op.Compares, c.sweep)
	if !decided {
		c.counts.undecided++
		return
	}
	if holds == op.Succeeded {
		c.confirmCompared(op, before)
		return
	}
	verb := map[bool]string{true: "succeeded, but its comparison does not hold", false: "failed, but its comparison holds"}[op.Succeeded]
	e := because("#%d %s in revision %d", op.ID, verb, before).op(op)
	for _, cmp := range op.Compares {
		kv, _ := c.sweep.Get(cmp.Key)
		if cmp.End == "" && kv.Version != 0 {
			e.state(kv.Mod, onlyKey(c.t.At(kv.Mod), cmp.Key))
		} else if rev, ok := c.t.Latest(cmp.Key, before); ok && cmp.End == "" {
			e.state(rev, onlyKey(c.t.At(rev), cmp.Key))
		}
		if op.Succeeded && cmp.End == "" && cmp.Target == history.CompareMod && cmp.Op == "=" {
			c.lostIn(op, cmp.Key, before, history.StoreKV{Mod: cmp.Number}, e)
		}
	}
	c.fail(Replay, e)
}

// replayAction judges the answer to one action and applies it. The inner header
// is the revision so far: of a put the new one, of the others the new one if
// something has changed by then (etcdserver/txn/txn.go, executeTxn).
func (c *Checker) replayAction(op *history.StoreOp, x *timeline.Txn, a history.StoreAction, r history.StoreResult, before int64) {
	switch a.Kind {
	case history.ActionRange:
		c.replayRange(op, x, a, r, before)
		return
	case history.ActionPut:
		prev, known := x.Put(a)
		var prevs []history.StoreKV
		if prev.Version != 0 {
			prevs = append(prevs, prev)
		}
		if known {
			c.checkPrevious(op, a, r, prevs, before)
		}
	case history.ActionDelete:
		prevs := x.Delete(a.Key, a.End)
		_, known := x.Get(a.Key)
		if n := int64(len(prevs)); (x.Complete() || (a.End == "" && known)) && r.Deleted != n {
			e := because("#%d said that it deleted %d keys, there were %d in revision %d", op.ID, r.Deleted, n, before).op(op)
			if rev, ok := c.t.Latest(a.Key, before); ok && a.End == "" {
				e.state(rev, onlyKey(c.t.At(rev), a.Key))
				c.lostIn(op, a.Key, before, history.StoreKV{}, e)
			}
			c.fail(Replay, e)
			return
		}
		if x.Complete() {
			c.checkPrevious(op, a, r, prevs, before)
		}
	}
	c.checkInner(op, x, r, before)
}

func (c *Checker) checkInner(op *history.StoreOp, x *timeline.Txn, r history.StoreResult, before int64) {
	want := before
	if len(x.Changes()) > 0 {
		want++
	}
	if r.Header != 0 && r.Header != want && x.Complete() {
		c.fail(Replay, because("a part of #%d says revision %d, it was %d", op.ID, r.Header, want).op(op))
	}
}

// checkPrevious compares the previous versions that a write returned.
func (c *Checker) checkPrevious(op *history.StoreOp, a history.StoreAction, r history.StoreResult, prevs []history.StoreKV, before int64) {
	if !a.PrevKV {
		prevs = nil
	}
	same := len(r.KVs) == len(prevs)
	if len(r.Chunks) > 0 {
		same = true
		for i, chunk := range history.Chunks(prevs) {
			same = same && i < len(r.Chunks) && chunk == r.Chunks[i]
		}
		same = same && len(r.Chunks) == len(history.Chunks(prevs))
	}
	for i := 0; same && i < len(r.KVs); i++ {
		same = timeline.SameKV(r.KVs[i], prevs[i])
	}
	if same {
		return
	}
	e := because("#%d returned other previous values than there were in revision %d", op.ID, before).op(op)
	for i, kv := range prevs[:min(len(prevs), 3)] {
		if i >= len(r.KVs) || !timeline.SameKV(kv, r.KVs[i]) {
			e.state(kv.Mod, onlyKey(c.t.At(kv.Mod), kv.Key))
		}
	}
	if a.End == "" && len(prevs) == 1 {
		var got history.StoreKV
		if len(r.KVs) > 0 {
			got = r.KVs[0]
		}
		c.lostIn(op, a.Key, before, got, e)
	}
	c.fail(Replay, e)
}

// replayRange judges a range within a transaction, which sees what the
// transaction has written so far, or an older revision if it asked for one.
func (c *Checker) replayRange(op *history.StoreOp, x *timeline.Txn, a history.StoreAction, r history.StoreResult, before int64) {
	c.checkInner(op, x, r, before)
	if a.Revision <= 0 || a.Revision == before+1 {
		c.compareRange(op, a, r, x, before)
		return
	}
	if first, _ := c.t.Bounds(); a.Revision > before || a.Revision < first {
		return
	}
	c.sweep.MoveTo(a.Revision)
	c.compareRange(op, a, r, c.sweep, a.Revision)
	c.sweep.MoveTo(before)
}
