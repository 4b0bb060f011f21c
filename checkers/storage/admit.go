package storage

import (
	"slices"
	"strings"

	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/timeline"
)

// compactKey is the key by which API servers agree who compacts
// (k8s.io/apiserver/pkg/storage/etcd3/compact.go).
const compactKey = "compact_rev_key"

// Op takes out of the record of a call what the contract does not promise, so
// that it is not judged. It is to be called before the record is handed to a
// Checker, and may be again.
func (c Contract) Op(op *history.StoreOp) {
	if c.Terse && op.Error.Kind == history.ErrorNone && len(op.Compares) == 1 && op.Compares[0].Key == compactKey {
		untold(op)
	}
	branch := timeline.Branch(op)
	for i := range op.Results {
		r := &op.Results[i]
		if c.Unasked && i < len(branch) && branch[i].Kind != history.ActionRange && !branch[i].PrevKV {
			r.KVs, r.Chunks = nil, nil
		}
		for j := range r.KVs {
			c.version(&r.KVs[j])
		}
	}
}

// untold takes out of the answer of a compaction's transaction what kine leaves
// out (server/compact.go): the answer to the put, and of the key that was read
// the revisions.
func untold(op *history.StoreOp) {
	if op.Succeeded {
		op.Results = make([]history.StoreResult, len(op.Then))
		return
	}
	op.Else, op.Results = nil, nil
}

// Watch does the same for a message of a watch stream.
func (c Contract) Watch(w *history.StoreWatch) {
	if c.Keys != "" && w.Key == "\x00" && w.End == "\xff" {
		w.End = "\x00" // there is nothing of clients beyond
	}
	if c.Keys != "" {
		w.Events = slices.DeleteFunc(w.Events, func(e history.StoreEvent) bool {
			return !strings.HasPrefix(e.KV.Key, c.Keys) && e.KV.Key != compactKey
		})
	}
	for i := range w.Events {
		e := &w.Events[i]
		if e.Delete && c.Uncounted {
			e.KV = history.StoreKV{Key: e.KV.Key, Mod: e.KV.Mod}
		} else if !e.Delete {
			c.version(&e.KV)
		}
		c.version(&e.Prev)
	}
}

func (c Contract) version(kv *history.StoreKV) {
	if c.Uncounted && kv.Mod > 0 {
		kv.Version = timeline.Uncounted
	}
}

// makes says that a revision is the store's own doing.
func (c Contract) makes(changes []timeline.Change) bool {
	return c.Makes != "" && len(changes) == 1 && changes[0].Key == c.Makes && !changes[0].Delete
}

// ownWhole says that a range holds every key of clients, where others are the
// store's own.
func (c Contract) ownWhole(start, end string) bool {
	if c.Keys == "" || start != c.Keys {
		return false
	}
	last := len(c.Keys) - 1
	return end == c.Keys[:last]+string(c.Keys[last]+1)
}
