package archive

import (
	"iter"
	"unsafe"

	"github.com/planecheck/planecheck/checkers/history"
)

// StoreOps is the stream of the operations of the storage history.
var StoreOps = Kind[history.StoreOp]{
	Name: "store-ops",
	Times: func(op *history.StoreOp) (first, last history.Time) {
		return op.Called, max(op.Called, op.Returned)
	},
	Size: sizeOfOp,
}

// StoreWatches is the stream of the watch messages of the storage history.
var StoreWatches = Kind[history.StoreWatch]{
	Name:  "store-watches",
	Times: func(w *history.StoreWatch) (first, last history.Time) { return w.At, w.At },
	Size:  sizeOfWatch,
}

const (
	opSize      = int(unsafe.Sizeof(history.StoreOp{}))
	compareSize = int(unsafe.Sizeof(history.StoreCompare{}))
	actionSize  = int(unsafe.Sizeof(history.StoreAction{}))
	resultSize  = int(unsafe.Sizeof(history.StoreResult{}))
	kvSize      = int(unsafe.Sizeof(history.StoreKV{}))
	chunkSize   = int(unsafe.Sizeof(history.StoreChunk{}))
	watchSize   = int(unsafe.Sizeof(history.StoreWatch{}))
	eventSize   = int(unsafe.Sizeof(history.StoreEvent{}))
)

// The sizes below leave out the strings that many records share (constants of
// package history, names of members) and count the keys of a request and its
// answer each time they occur.

func sizeOfOp(op *history.StoreOp) int {
	n := opSize + len(op.Error.Message) + sizeOfActions(op.Then) + sizeOfActions(op.Else)
	for i := range op.Compares {
		n += compareSize + len(op.Compares[i].Key) + len(op.Compares[i].End)
	}
	for i := range op.Results {
		r := &op.Results[i]
		n += resultSize
		for k := range r.KVs {
			n += kvSize + len(r.KVs[k].Key)
		}
		for k := range r.Chunks {
			n += chunkSize + len(r.Chunks[k].First) + len(r.Chunks[k].Last)
		}
	}
	return n
}

func sizeOfActions(actions []history.StoreAction) int {
	n := 0
	for i := range actions {
		n += actionSize + len(actions[i].Key) + len(actions[i].End)
	}
	return n
}

func sizeOfWatch(w *history.StoreWatch) int {
	n := watchSize + len(w.Key) + len(w.End) + len(w.Reason)
	for i := range w.Events {
		n += eventSize + len(w.Events[i].KV.Key) + len(w.Events[i].Prev.Key)
	}
	return n
}

// StoreWriter is the history.StoreSink that writes to an archive. Its methods
// may be called concurrently and never wait for the disk.
type StoreWriter struct {
	ops     *Stream[history.StoreOp]
	watches *Stream[history.StoreWatch]
}

var _ history.StoreSink = (*StoreWriter)(nil)

// NewStoreWriter adds the two streams of the storage history to w. The records
// are on disk after w.Close.
func NewStoreWriter(w *Writer) (*StoreWriter, error) {
	ops, err := NewStream(w, StoreOps)
	if err != nil {
		return nil, err
	}
	watches, err := NewStream(w, StoreWatches)
	if err != nil {
		return nil, err
	}
	return &StoreWriter{ops, watches}, nil
}

// StoreOp takes an operation.
func (s *StoreWriter) StoreOp(op *history.StoreOp) { s.ops.Append(op) }

// StoreWatch takes a watch message.
func (s *StoreWriter) StoreWatch(w *history.StoreWatch) { s.watches.Append(w) }

// Lost is the number of records of the storage history that were lost so far.
func (s *StoreWriter) Lost() uint64 { return s.ops.Lost() + s.watches.Lost() }

// StoreRecord is an operation or a watch message; the other one is nil.
type StoreRecord struct {
	Op    *history.StoreOp
	Watch *history.StoreWatch
}

// At is the time by which ReadStore merges: an operation's return, or its call
// if it never returned, and the time of a message.
func (r StoreRecord) At() history.Time {
	switch {
	case r.Watch != nil:
		return r.Watch.At
	case r.Op.Returned != 0:
		return r.Op.Returned
	}
	return r.Op.Called
}

// ReadStore yields both streams of the storage history, merged by Merge, with
// the rules of Read.
func ReadStore(r *Reader) iter.Seq2[StoreRecord, error] {
	return Merge(StoreRecord.At,
		convert(Read(r, StoreOps), func(op *history.StoreOp) StoreRecord { return StoreRecord{Op: op} }),
		convert(Read(r, StoreWatches), func(w *history.StoreWatch) StoreRecord { return StoreRecord{Watch: w} }))
}

func convert[A, B any](seq iter.Seq2[A, error], f func(A) B) iter.Seq2[B, error] {
	return func(yield func(B, error) bool) {
		for a, err := range seq {
			if err != nil {
				var none B
				yield(none, err)
				return
			}
			if !yield(f(a), nil) {
				return
			}
		}
	}
}
