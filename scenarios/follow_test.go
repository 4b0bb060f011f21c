package scenarios

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"testing"

	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/history/archive"
	"github.com/planecheck/planecheck/checkers/judge"
	"github.com/planecheck/planecheck/checkers/storage/storetest"
)

// A follower tells of a violation and comes to the verdict that the history as
// a whole comes to.
func TestFollower(t *testing.T) {
	h := storetest.Generate(4, storetest.Config{Ops: 150_000})
	i := slices.IndexFunc(h.Watches, func(w *history.StoreWatch) bool { return len(w.Events) == 1 && w.Watch > 0 })
	h.Watches[i].Events[0].KV.Value++
	dir := filepath.Join(t.TempDir(), historyDir)
	w, err := archive.Create(dir, archive.Options{NoSync: true, QueueBytes: 1 << 30})
	if err != nil {
		t.Fatal(err)
	}
	sink, err := archive.NewStoreWriter(w)
	if err != nil {
		t.Fatal(err)
	}
	seen := make(chan string, 100)
	f, err := startFollower(dir, judge.Options{}, func(guarantee string) { seen <- guarantee })
	if err != nil {
		t.Fatal(err)
	}
	h.Feed(sink)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	j, err := f.finish(t.Context(), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	if checkers.Worst(j.Verdicts) != checkers.Fail || len(seen) == 0 {
		t.Errorf("the run is judged %s, %d guarantees were told of", checkers.Worst(j.Verdicts), len(seen))
	}
}

// A run that a violation has ended is neither interrupted, which would leave out
// the end of its history, nor broken by a component.
func TestFailFastIsNoInterruption(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(&violationSeen{"Reliable"})
	x := &execution{}
	err := x.reason(ctx, phaseFill, ctx.Err())
	var seen *violationSeen
	if !errors.As(err, &seen) || x.interrupted || x.violation != nil {
		t.Errorf("%v, interrupted %v, violation %v", err, x.interrupted, x.violation)
	}
}
