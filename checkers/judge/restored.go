package judge

import (
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/checkers/api/watches"
	"github.com/planecheck/planecheck/checkers/counterexample"
	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/storage"
	"github.com/planecheck/planecheck/checkers/timeline"
)

// Restored is the guarantee of a store that was restored from a snapshot.
const Restored = "Restored"

const restoredStatement = `"the cluster state is exactly that of the snapshot", and with a revision bump "revisions never go backwards": ` +
	`what the store holds after it was restored is what it held at the snapshot's last revision, no revision that anybody had been told of before is given to something else, ` +
	`and a watch from one that is lost is told so instead of going on. https://etcd.io/docs/v3.7/op-guide/recovery/`

// restoredFloor is the least number of keys that were read after the restoration
// before they were written anew.
const restoredFloor = 50

// restored judges the seam between two epochs.
type restored struct {
	history.Restore
	told  int64 // the highest revision before
	lost  int64 // acknowledged writes
	shown map[string]sighting

	asked   map[uint64][]start  // by stream: the starts of watches without an answer
	resumed map[watchName]start // watches that go on behind a revision which is lost
	behind  map[any]bool        // of them and of those of the API: they were told
	calls   map[uint64]start    // as resumed, of the API

	teller shownAt // the call before that was answered at the highest revision
	toldBy int64   // that revision

	violation *seam
	count     int
}

// sighting is a key as a call showed it.
type sighting struct {
	kv history.StoreKV
	by shownAt
}

// start is the beginning of a watch behind a revision that is lost.
type start struct {
	rev int64
	row counterexample.Row
}

type watchName struct {
	stream uint64
	watch  int64
}

func newRestored(r history.Restore) *restored {
	return &restored{
		Restore: r, told: r.Told, shown: map[string]sighting{},
		asked: map[uint64][]start{}, resumed: map[watchName]start{}, calls: map[uint64]start{}, behind: map[any]bool{},
	}
}

// fail counts a violation. The first one is shown, and gets its rows.
func (r *restored) fail(format string, args ...any) *seam {
	if r.count++; r.count > 1 {
		return nil
	}
	r.violation = &seam{why: fmt.Sprintf(format, args...)}
	return r.violation
}

// lostRevision says that the revision was made and is not any more.
func (r *restored) lostRevision(rev int64) bool { return rev > r.Kept && rev <= r.told }

// repeats says that revisions which had been told of are made again.
func (r *restored) repeats() bool { return r.Bumped < r.told }

// op takes a call of the store.
func (r *restored) op(op *history.StoreOp) {
	if op.Error.Kind != history.ErrorNone || op.Returned == 0 {
		return
	}
	if op.Called <= r.At {
		r.told = max(r.told, op.Header)
		if op.Header > r.toldBy {
			r.toldBy, r.teller = op.Header, shownBy(op)
		}
		if op.Header > r.Kept && timeline.Changed(op) {
			r.lost++
		}
		return
	}
	what := fmt.Sprintf("#%d (%s at %s), which was called after the restore,", op.ID, op.Method, op.Member)
	switch {
	case op.Header > 0 && r.lostRevision(op.Header):
		r.fail("%s is answered at revision %d, which had been made before the restore and is lost", what, op.Header).op(op)
	case op.Header > 0 && op.Header < r.Bumped:
		r.fail("%s is answered at revision %d, and the store was restored to go on after %d", what, op.Header, r.Bumped).op(op)
	}
	branch := timeline.Branch(op)
	for i, result := range op.Results {
		for _, kv := range result.KVs {
			r.key(what, kv, op, i < len(branch) && branch[i].KeysOnly)
		}
	}
}

// key takes a key that was shown after the restoration.
func (r *restored) key(what string, kv history.StoreKV, op *history.StoreOp, keysOnly bool) {
	switch {
	case kv.Mod > r.Kept && kv.Mod <= max(r.told, r.Bumped):
		r.fail("%s shows %s of revision %d, of which the snapshot has nothing", what, kv.Key, kv.Mod).
			op(op).key("in the answer", kv)
	case kv.Mod > 0 && kv.Mod <= r.Kept && !keysOnly:
		if _, ok := r.shown[kv.Key]; !ok {
			r.shown[kv.Key] = sighting{kv, shownBy(op)}
		}
	}
}

// watch takes a message of a watch of the store; old: its stream began before
// the restoration.
func (r *restored) watch(w *history.StoreWatch, old bool) {
	if old {
		for i := range w.Events {
			r.told = max(r.told, w.Events[i].KV.Mod)
		}
		return
	}
	id := watchName{w.Stream, w.Watch}
	switch w.Kind {
	case history.WatchCreate:
		r.asked[w.Stream] = append(r.asked[w.Stream], start{rev: w.Start, row: counterexample.Row{
			From: w.At, What: "watch", Who: fmt.Sprintf("stream %d at %s", w.Stream, w.Member), Text: fmt.Sprintf("%s from revision %d", w.Kind, w.Start),
		}})
	case history.WatchCreated:
		if starts := r.asked[w.Stream]; len(starts) > 0 {
			r.asked[w.Stream] = starts[1:]
			if r.lostRevision(starts[0].rev - 1) {
				r.resumed[id] = starts[0]
			}
		}
	case history.WatchCanceled:
		if _, ok := r.resumed[id]; ok && w.CompactRevision > 0 {
			r.behind[id] = true
			delete(r.resumed, id)
		}
	case history.WatchEvents, history.WatchProgress:
		if began, ok := r.resumed[id]; ok {
			r.fail("a watch at %s that had seen everything up to revision %d, which is lost, goes on as if nothing had happened (stream %d, %s at revision %d)",
				w.Member, began.rev-1, w.Stream, w.Kind, w.Header).add(began.row).message(w)
		}
		for i := range w.Events {
			if kv := w.Events[i].KV; kv.Mod > r.Kept && kv.Mod <= max(r.told, r.Bumped) {
				r.fail("a watch at %s shows %s of revision %d after the restore, and that revision had been made before it and is lost (stream %d)",
					w.Member, kv.Key, kv.Mod, w.Stream).message(w).key("an event of it", kv)
			}
		}
	}
}

// call takes a call of the API from after the restoration. One that asks for
// initial events begins anew, whatever its revision.
func (r *restored) call(c *history.APICall) {
	rev, err := strconv.ParseInt(c.ResourceVersion, 10, 64)
	if c.Verb != "watch" || c.InitialEvents == "true" || err != nil || !r.lostRevision(rev) {
		return
	}
	if c.Status == 200 {
		r.calls[c.ID] = start{rev, watches.CallRow(c)}
	} else if c.Status == 410 {
		r.behind[c.ID] = true
	}
}

// message takes a message of a watch of the API from after the restoration.
func (r *restored) message(m *history.APIWatch) {
	began, ok := r.calls[m.Call]
	switch {
	case !ok:
	case m.Type == "ERROR":
		r.behind[m.Call] = true
		delete(r.calls, m.Call)
	case m.Type != history.APIWatchOpen && m.Type != history.APIWatchClosed:
		r.fail("watch #%d of the API, whose client had seen revision %d, which is lost, goes on with %s %s of revision %d as if nothing had happened",
			m.Call, began.rev, m.Type, m.Object.Key(), m.Object.Version).add(began.row, watches.MessageRow(m))
	}
}

// verdict judges what was read of the state of the snapshot, and sums up.
func (r *restored) verdict(before *timeline.Timeline, across int) checkers.Verdict {
	for _, key := range slices.Sorted(maps.Keys(r.shown)) {
		s := r.shown[key]
		if want, known := before.Get(key, r.Kept); known && !timeline.SameKV(want, s.kv) {
			r.fail("#%d shows %s of revision %d after the restore, and at revision %d, of which the snapshot is, it was of revision %d", s.by.id, key, s.kv.Mod, r.Kept, want.Mod).
				key(fmt.Sprintf("revision %d", r.Kept), want).add(s.by.row(storage.Describe(s.kv)))
		}
	}
	v := checkers.Verdict{
		Area: checkers.AreaStore, Guarantee: Restored, Statement: restoredStatement, Outcome: checkers.Pass,
		Checked: fmt.Sprintf("lost by design: %d writes of revisions %d to %d; the store goes on after %d; %d keys read as they were (floor %d), "+
			"%d watches told that they are behind, %d calls of the API under way, which are not judged",
			r.lost, r.Kept+1, r.told, r.Bumped, len(r.shown), restoredFloor, len(r.behind), across),
	}
	switch {
	case r.count > 0:
		v.Outcome, v.Detail = checkers.Fail, counterexample.Render(r.violation.why, slices.Concat(r.before(), r.violation.rows))
		if r.count > 1 {
			v.Detail += fmt.Sprintf("\n(the first of %d violations)", r.count)
		}
		if r.repeats() {
			v.Detail += "\n(revisions repeat, so nothing else is judged of what came after the restore)"
		}
	case r.repeats():
		v.Outcome = checkers.Fail
		v.Detail = counterexample.Render(
			fmt.Sprintf("the store goes on after revision %d, and revision %d had been told of before", r.Bumped, r.told), r.before())
	case r.lost == 0 || len(r.shown) < restoredFloor || len(r.behind) == 0:
		v.Outcome, v.Detail = checkers.Invalid, "too little was lost, read, or asked for to tell"
	}
	return v
}
