package oracle

import (
	"math"
	"slices"
	"strconv"

	"github.com/anishathalye/porcupine"
	"go.etcd.io/etcd/server/v3/storage/mvcc"
	"go.etcd.io/etcd/tests/v3/robustness/model"

	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/storage/storetest"
)

// translation is a history as etcd's validation takes it.
type translation struct {
	calls []porcupine.Operation
	// narrow is the same for porcupine alone, with its model.
	narrow []porcupine.Operation
	model  *etcdModel
	// dropped counts the calls without effect that etcd's model does not know.
	dropped int
	// skipped says why the whole history is beyond it, "" if it is not.
	skipped string
}

// translate leaves out calls that change nothing and that etcd's model does not
// know, which can only hide violations. Of a write that it does not know
// nothing can be left out, and the history is skipped.
func translate(h storetest.History) translation {
	t := translation{model: &etcdModel{names: names(h), narrow: true}}
	if expired(h) {
		t.skipped = "a lease expired with keys"
		return t
	}
	t.calls = append(t.calls, emptyAtStart())
	var last history.Time
	for _, op := range h.Ops {
		last = max(last, op.Called, op.Returned)
		switch call, fit := express(op); {
		case fit == unfit && writes(op) && !op.Error.Definite():
			t.skipped = "a write that etcd's model does not know: " + string(op.Method)
			return t
		case fit == unfit:
			t.dropped++
		case fit == fits:
			call.ClientId = len(t.calls) // etcd's check takes one call of a client at a time
			t.calls = append(t.calls, call)
			t.narrow = append(t.narrow, narrowItem(op))
		}
	}
	t.narrow = finish(t.narrow, last, 0)
	return t
}

// emptyAtStart is the first call of etcd's robustness tests, which their
// validation insists on: it sees that the store is new.
func emptyAtStart() porcupine.Operation {
	return porcupine.Operation{
		Call: 1, Return: 2,
		Input:  model.EtcdRequest{Type: model.Range, Range: &model.RangeRequest{RangeOptions: model.RangeOptions{Start: "\x00", End: allKeys}}},
		Output: model.MaybeEtcdResponse{EtcdResponse: model.EtcdResponse{Range: &model.RangeResponse{KVs: []model.KeyValue{}}, Revision: 1}},
	}
}

// allKeys is after every key of our histories. The model has no "\x00" for it.
const allKeys = "\xff"

type fitness int

const (
	unfit   fitness = iota
	fits            // in etcd's model
	nothing         // a call that means nothing
)

// express puts a call into the words of etcd's model.
func express(op *history.StoreOp) (porcupine.Operation, fitness) {
	honest := op.Error.Kind == history.ErrorCompacted || op.Error.Kind == history.ErrorFutureRev
	if op.Error.Definite() && !(op.Method == history.MethodCompact && honest) || !answered(op) && !writes(op) {
		return porcupine.Operation{}, nothing
	}
	request, ok := request(op)
	if !ok {
		return porcupine.Operation{}, unfit
	}
	response, ok := response(op)
	if !ok {
		return porcupine.Operation{}, unfit
	}
	call := porcupine.Operation{Input: request, Output: response, Call: int64(op.Called), Return: int64(op.Returned)}
	if response.Error != "" {
		call.Return = math.MaxInt64
	}
	return call, fits
}

func request(op *history.StoreOp) (model.EtcdRequest, bool) {
	switch op.Method {
	case history.MethodRange, history.MethodRangeStream:
		a := op.Then[0]
		options, ok := rangeOptions(a)
		if !ok || a.Serializable {
			return model.EtcdRequest{}, false
		}
		return model.EtcdRequest{Type: model.Range, Range: &model.RangeRequest{RangeOptions: options, Revision: a.Revision}}, true
	case history.MethodLeaseGrant:
		id := op.Lease
		if answered(op) {
			id = op.GrantedLease
		}
		return model.EtcdRequest{Type: model.LeaseGrant, LeaseGrant: &model.LeaseGrantRequest{LeaseID: id}}, true
	case history.MethodLeaseRevoke:
		return model.EtcdRequest{Type: model.LeaseRevoke, LeaseRevoke: &model.LeaseRevokeRequest{LeaseID: op.Lease}}, true
	case history.MethodCompact:
		return model.EtcdRequest{Type: model.Compact, Compact: &model.CompactRequest{Revision: op.Revision}}, true
	case history.MethodPut, history.MethodDeleteRange, history.MethodTxn:
		return txnRequest(op)
	}
	return model.EtcdRequest{}, false
}

func txnRequest(op *history.StoreOp) (model.EtcdRequest, bool) {
	txn := &model.TxnRequest{}
	for _, c := range op.Compares {
		cond := model.EtcdCondition{Key: c.Key}
		switch {
		case c.End != "" || c.Op != "=" || !slices.Contains([]history.CompareTarget{history.CompareMod, history.CompareVersion}, c.Target):
			return model.EtcdRequest{}, false
		case c.Target == history.CompareMod:
			cond.ExpectedRevision = c.Number
		default:
			// A version of 0 is that of a missing key, and so is a revision of 0.
			cond.ExpectedVersion = c.Number
		}
		txn.Conditions = append(txn.Conditions, cond)
	}
	var ok1, ok2 bool
	txn.OperationsOnSuccess, ok1 = operations(op.Then)
	txn.OperationsOnFailure, ok2 = operations(op.Else)
	return model.EtcdRequest{Type: model.Txn, Txn: txn}, ok1 && ok2
}

func operations(actions []history.StoreAction) ([]model.EtcdOperation, bool) {
	var list []model.EtcdOperation
	for _, a := range actions {
		var o model.EtcdOperation
		switch a.Kind {
		case history.ActionRange:
			options, ok := rangeOptions(a)
			if !ok || a.Revision != 0 {
				return nil, false
			}
			o = model.EtcdOperation{Type: model.RangeOperation, Range: options}
		case history.ActionPut:
			if a.IgnoreValue || a.IgnoreLease {
				return nil, false
			}
			o = model.EtcdOperation{Type: model.PutOperation, Put: model.PutOptions{Key: a.Key, Value: value(a.Value), LeaseID: a.Lease}}
		case history.ActionDelete:
			if a.End != "" {
				return nil, false
			}
			o = model.EtcdOperation{Type: model.DeleteOperation, Delete: model.DeleteOptions{Key: a.Key}}
		default:
			return nil, false
		}
		list = append(list, o)
	}
	return list, true
}

// rangeOptions: etcd's model does not know counts alone and reads keys alone
// with their values if there is only one.
func rangeOptions(a history.StoreAction) (model.RangeOptions, bool) {
	o := model.RangeOptions{Start: a.Key, End: a.End, Limit: a.Limit, KeysOnly: a.KeysOnly}
	if a.End == "\x00" {
		o.End = allKeys
	}
	return o, !a.CountOnly && !a.Sorted && (!a.KeysOnly || a.End != "")
}

func value(hash uint64) model.ValueOrHash {
	if hash == 0 {
		return model.ValueOrHash{}
	}
	return model.ValueOrHash{Value: strconv.FormatUint(hash, 36)}
}

func response(op *history.StoreOp) (model.MaybeEtcdResponse, bool) {
	if op.Method == history.MethodCompact {
		return compactResponse(op), true
	}
	if !answered(op) {
		return model.MaybeEtcdResponse{Error: "unknown outcome"}, true
	}
	r := model.EtcdResponse{Revision: op.Header}
	ok := true
	switch op.Method {
	case history.MethodRange, history.MethodRangeStream:
		var list model.RangeResponse
		list, ok = rangeResponse(op.Results[0])
		r.Range = &list
	case history.MethodLeaseGrant:
		r.LeaseGrant = &model.LeaseGrantResponse{}
	case history.MethodLeaseRevoke:
		r.LeaseRevoke = &model.LeaseRevokeResponse{}
	default:
		r.Txn, ok = txnResponse(op)
	}
	return model.MaybeEtcdResponse{EtcdResponse: r}, ok
}

func compactResponse(op *history.StoreOp) model.MaybeEtcdResponse {
	r := model.EtcdResponse{Revision: model.RevisionForNonLinearizableResponse, Compact: &model.CompactResponse{}}
	switch {
	case op.Error.Kind == history.ErrorCompacted:
		r = model.EtcdResponse{ClientError: mvcc.ErrCompacted.Error()}
	case op.Error.Kind == history.ErrorFutureRev:
		r = model.EtcdResponse{ClientError: mvcc.ErrFutureRev.Error()}
	case !answered(op):
		return model.MaybeEtcdResponse{Error: "unknown outcome"}
	}
	return model.MaybeEtcdResponse{EtcdResponse: r}
}

func txnResponse(op *history.StoreOp) (*model.TxnResponse, bool) {
	actions := op.Then
	failure := op.Method == history.MethodTxn && !op.Succeeded
	if failure {
		actions = op.Else
	}
	txn := &model.TxnResponse{Failure: failure, Results: make([]model.EtcdOperationResult, len(actions))}
	for i, a := range actions {
		if a.Kind == history.ActionRange {
			list, ok := rangeResponse(op.Results[i])
			if !ok {
				return nil, false
			}
			txn.Results[i].RangeResponse = list
		}
		txn.Results[i].Deleted = op.Results[i].Deleted
	}
	return txn, true
}

// rangeResponse: of a long list only digests are known, of which etcd's model
// can make nothing.
func rangeResponse(r history.StoreResult) (model.RangeResponse, bool) {
	list := model.RangeResponse{KVs: []model.KeyValue{}, Count: r.Count}
	for _, kv := range r.KVs {
		list.KVs = append(list.KVs, model.KeyValue{Key: kv.Key, ValueRevision: model.ValueRevision{
			Value: value(kv.Value), ModRevision: kv.Mod, Version: kv.Version,
		}})
	}
	return list, len(r.Chunks) == 0
}

// narrowItem is a call that etcd's model knows, for ours.
func narrowItem(op *history.StoreOp) porcupine.Operation {
	switch {
	case answered(op):
		return operation(item{kind: itemAnswered, op: op}, op.Called, op.Returned)
	case op.Error.Definite():
		return operation(item{kind: itemRefused, op: op}, op.Called, op.Returned)
	}
	return operation(item{kind: itemMaybe, op: op}, op.Called, never)
}

// expired says that keys went with a lease and no call asked for it: etcd's
// model has no such thing. Its validation cannot know either, but a harness
// that uses it gives leases that outlive the test.
func expired(h storetest.History) bool {
	deleted := map[int64]bool{}
	for _, op := range h.Ops {
		if answered(op) && writes(op) {
			deleted[op.Header] = true
		}
	}
	for _, w := range h.Watches {
		for _, e := range w.Events {
			if e.Delete && e.Prev.Lease != 0 && !deleted[e.KV.Mod] {
				return true
			}
		}
	}
	return false
}
