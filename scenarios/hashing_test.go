package scenarios

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/planecheck/planecheck/apiserver/storage"
	"github.com/planecheck/planecheck/checkers/history"
)

// nowhere is a history that nobody keeps.
type nowhere struct{ ops atomic.Int64 }

func (n *nowhere) StoreOp(*history.StoreOp)       { n.ops.Add(1) }
func (n *nowhere) StoreWatch(*history.StoreWatch) {}

// Members are compared after the first compactions, and then once a minute; not
// while a fault acts, and not for ever where there is nothing to compare.
func TestHashing(t *testing.T) {
	compacted := &history.StoreOp{Method: history.MethodCompact, Called: 1, Returned: 2}
	f := func(what string, fails error, calm func(began time.Time) bool, others []*history.StoreOp, want int) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			began, hashed := time.Now(), 0
			h := &hashing{
				hash: func(ctx context.Context) (int64, error) { hashed++; return 1, fails },
				calm: func() bool { return calm(began) }, compacted: make(chan struct{}, 1), log: slog.New(slog.DiscardHandler),
			}
			history, all := &nowhere{}, others
			if all == nil {
				all = append(all, compacted)
			}
			sink := compactions{history, h.compacted}
			h.start()
			for range 60 { // five minutes
				for _, op := range all {
					sink.StoreOp(op)
				}
				time.Sleep(5 * time.Second)
			}
			h.stop()
			if hashed != want || history.ops.Load() != int64(60*len(all)) {
				t.Errorf("%s: compared %d times, want %d; %d records passed", what, hashed, want, history.ops.Load())
			}
		})
	}
	always := func(time.Time) bool { return true }
	f("compactions every 5 s", nil, always, nil, hashesAtOnce+4)
	f("a fault for 4 minutes", nil, func(began time.Time) bool { return time.Since(began) > 4*time.Minute }, nil, hashesAtOnce)
	f("a member that does not answer", errors.New("unavailable"), always, nil, 60)
	f("no hashes", storage.ErrHashless, always, nil, 1)
	f("no compaction", nil, always, []*history.StoreOp{
		{Method: history.MethodCompact, Called: 1},
		{Method: history.MethodCompact, Called: 1, Returned: 2, Error: history.StoreError{Kind: history.ErrorCompacted}},
		{Method: history.MethodTxn, Called: 1, Returned: 2},
	}, 0)
}
