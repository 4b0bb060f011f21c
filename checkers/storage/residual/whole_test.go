package residual_test

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/storage/storetest"
)

// This file judges a whole history by porcupine with the times of the calls, and
// with a model of its own: it shares neither code nor the use of revisions with
// what is tested. It knows puts and deletions of single keys, transactions with
// comparisons, and reads; other calls say only that their revision was there.

// revision is the key space at one revision, with those before.
type revision struct {
	rev    int64
	keys   map[string]history.StoreKV
	before *revision
	over   bool
}

type wholeItem struct {
	op   *history.StoreOp
	over bool
}

// whole says whether some order explains a history, Unknown after 20 s.
func whole(h storetest.History) porcupine.CheckResult {
	var ops []porcupine.Operation
	var last history.Time
	add := func(it wholeItem, from, to history.Time) {
		ops = append(ops, porcupine.Operation{ClientId: len(ops), Input: it, Call: int64(from), Return: int64(to)})
	}
	for _, op := range h.Ops {
		last = max(last, op.Called, op.Returned)
		switch {
		case op.Error.Definite() || op.Method == history.MethodCompact:
			// Refused, or with a header that is made some time after.
		case op.Error.Kind == "" && op.Returned != 0:
			add(wholeItem{op: op}, op.Called, op.Returned)
		case len(op.Then) > 0:
			add(wholeItem{op: op}, op.Called, math.MaxInt64)
		}
	}
	add(wholeItem{over: true}, last+1, math.MaxInt64-1)
	return porcupine.CheckOperationsTimeout(porcupine.Model{
		Init: func() any { return &revision{rev: 1} },
		Step: func(s, in, _ any) (bool, any) {
			next := s.(*revision).step(in.(wholeItem))
			return next != nil, next
		},
		Equal: func(a, b any) bool { return a.(*revision).equal(b.(*revision)) },
		Hash:  func(s any) uint64 { return uint64(s.(*revision).rev) },
	}, ops, 20*time.Second)
}

func (s *revision) equal(o *revision) bool {
	for s != o {
		if s == nil || o == nil || s.rev != o.rev || s.over != o.over || !maps.Equal(s.keys, o.keys) {
			return false
		}
		s, o = s.before, o.before
	}
	return true
}

func (s *revision) step(it wholeItem) *revision {
	switch {
	case it.over:
		n := *s
		n.over = true
		return &n
	case it.op.Returned == 0 || it.op.Error.Kind != "":
		return s.maybe(it.op)
	}
	return s.answered(it.op)
}

// maybe takes the effect of a write of unknown outcome; after the end there is
// none.
func (s *revision) maybe(op *history.StoreOp) *revision {
	if s.over {
		return s
	}
	branch := op.Then
	if !s.holds(op) {
		branch = op.Else
	}
	if n := s.write(branch); n != s {
		return n
	}
	return nil
}

func (s *revision) answered(op *history.StoreOp) *revision {
	switch op.Method {
	case history.MethodRange, history.MethodRangeStream, history.MethodPut, history.MethodDeleteRange, history.MethodTxn:
	default:
		if op.Header > s.rev {
			return nil
		}
		return s
	}
	if len(op.Then) == 1 && op.Then[0].Serializable {
		if op.Header > s.rev || !s.shows(op.Then[0], op.Results[0], op.Header) {
			return nil
		}
		return s
	}
	branch := op.Then
	if op.Method == history.MethodTxn {
		if s.holds(op) != op.Succeeded {
			return nil
		}
		if !op.Succeeded {
			branch = op.Else
		}
	}
	n := s.write(branch)
	if n.rev != op.Header {
		return nil
	}
	for i, a := range branch {
		if a.Kind == history.ActionRange && !n.shows(a, op.Results[i], n.rev) ||
			a.Kind == history.ActionDelete && (op.Results[i].Deleted == 1) != (s.keys[a.Key].Mod != 0) {
			return nil
		}
	}
	return n
}

func (s *revision) holds(op *history.StoreOp) bool {
	for _, c := range op.Compares {
		kv := s.keys[c.Key]
		n := map[history.CompareTarget]int64{history.CompareMod: kv.Mod, history.CompareVersion: kv.Version, history.CompareCreate: kv.Create}[c.Target]
		if c.Op != "=" || n != c.Number {
			return false
		}
	}
	return true
}

func (s *revision) write(branch []history.StoreAction) *revision {
	n := &revision{rev: s.rev + 1, before: s, keys: maps.Clone(s.keys)}
	if n.keys == nil {
		n.keys = map[string]history.StoreKV{}
	}
	changed := false
	for _, a := range branch {
		old, there := n.keys[a.Key]
		switch a.Kind {
		case history.ActionPut:
			kv := history.StoreKV{Key: a.Key, Create: n.rev, Mod: n.rev, Version: old.Version + 1, Value: a.Value}
			if there {
				kv.Create = old.Create
			}
			n.keys[a.Key], changed = kv, true
		case history.ActionDelete:
			delete(n.keys, a.Key)
			changed = changed || there
		}
	}
	if !changed {
		return s
	}
	return n
}

// shows says whether an answer is the state of a revision, or of the one that
// was asked for.
func (s *revision) shows(a history.StoreAction, r history.StoreResult, rev int64) bool {
	if a.Revision > 0 {
		rev = a.Revision
	}
	for s != nil && s.rev > rev {
		s = s.before
	}
	if s == nil || s.rev < rev {
		return s == nil && rev == 1
	}
	var want []string
	for _, key := range slices.Sorted(maps.Keys(s.keys)) {
		if key == a.Key || a.End != "" && key >= a.Key && (a.End == "\x00" || key < a.End) {
			want = append(want, line(s.keys[key], a.KeysOnly))
		}
	}
	if r.Count != int64(len(want)) {
		return false
	}
	if a.Limit > 0 {
		want = want[:min(int64(len(want)), a.Limit)]
	}
	if a.CountOnly {
		want = nil
	}
	var got []string
	for _, kv := range r.KVs {
		got = append(got, line(kv, a.KeysOnly))
	}
	return strings.Join(got, "\n") == strings.Join(want, "\n")
}

func line(kv history.StoreKV, bare bool) string {
	if bare {
		kv.Value = 0
	}
	return fmt.Sprint(kv.Key, kv.Create, kv.Mod, kv.Version, kv.Value)
}
