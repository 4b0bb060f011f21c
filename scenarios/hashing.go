package scenarios

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/planecheck/planecheck/apiserver/storage"
	"github.com/planecheck/planecheck/checkers/history"
)

const (
	// hashesAtOnce is how many compactions at the beginning are each followed by a
	// comparison of the members. A hash is a pause of a tenth of a second for a
	// member with 200,000 keys, see storage.Hash, so later ones come no more often
	// than hashEvery.
	hashesAtOnce = 3
	hashEvery    = time.Minute
	// hashBound bounds one comparison. A member that has not answered by then is
	// not compared, which is no violation.
	hashBound = 10 * time.Second
)

// hashing compares the members of a store in the course of a run, after compactions.
type hashing struct {
	hash func(context.Context) (revision int64, err error)
	// calm says that no fault acts: a member that is down, cut off or slow is left
	// alone.
	calm      func() bool
	compacted chan struct{} // one waits at most
	log       *slog.Logger
	cancel    context.CancelFunc
	done      chan struct{}
}

// compactions tells of each compaction that the store has acknowledged.
type compactions struct {
	history.StoreSink
	compacted chan<- struct{}
}

// StoreOp implements history.StoreSink.
func (c compactions) StoreOp(op *history.StoreOp) {
	if op.Method == history.MethodCompact && op.Returned != 0 && op.Error.Kind == history.ErrorNone {
		select {
		case c.compacted <- struct{}{}:
		default:
		}
	}
	c.StoreSink.StoreOp(op)
}

// start begins to compare the members.
func (h *hashing) start() {
	ctx, cancel := context.WithCancel(context.Background())
	h.cancel, h.done = cancel, make(chan struct{})
	go func() {
		defer close(h.done)
		h.run(ctx)
	}()
}

func (h *hashing) run(ctx context.Context) {
	var last time.Time
	for taken := 0; ; {
		select {
		case <-h.compacted:
		case <-ctx.Done():
			return
		}
		if taken >= hashesAtOnce && time.Since(last) < hashEvery || !h.calm() {
			continue // the next compaction comes
		}
		began := time.Now()
		switch revision, err := h.once(ctx); {
		case errors.Is(err, storage.ErrHashless):
			return
		case err != nil:
			h.log.Info("the members are not compared now", "err", err)
		default:
			taken, last = taken+1, time.Now()
			h.log.Info("the members are hashed", "revision", revision, "took", time.Since(began))
		}
	}
}

func (h *hashing) once(ctx context.Context) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, hashBound)
	defer cancel()
	return h.hash(ctx)
}

// stop returns when nothing is compared any more.
func (h *hashing) stop() {
	if h.cancel != nil {
		h.cancel()
		<-h.done
	}
}
