package judge

import (
	"context"
	"errors"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/history/archive"
	"github.com/planecheck/planecheck/checkers/storage/storetest"
)

var quickly = archive.FollowOptions{Poll: time.Millisecond}

// writeSlowly writes a history while somebody follows it: in parts, each once
// something was sent to next, or next was closed. The test waits for its end.
func writeSlowly(t *testing.T, h storetest.History, parts int, next <-chan struct{}) (dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "history")
	w, err := archive.Create(dir, archive.Options{NoSync: true, QueueBytes: 1 << 30})
	if err != nil {
		t.Fatal(err)
	}
	sink, err := archive.NewStoreWriter(w)
	if err != nil {
		t.Fatal(err)
	}
	over, done := make(chan struct{}), make(chan struct{})
	t.Cleanup(func() { close(over); <-done })
	go func() {
		defer close(done)
		for i := range parts {
			part := storetest.History{
				Ops:     h.Ops[len(h.Ops)*i/parts : len(h.Ops)*(i+1)/parts],
				Watches: h.Watches[len(h.Watches)*i/parts : len(h.Watches)*(i+1)/parts],
			}
			part.Feed(sink)
			w.Flush()
			select {
			case <-next:
			case <-over:
			}
		}
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	}()
	return dir
}

// judgeAll follows a history to its end.
func judgeAll(t *testing.T, dir string, failed func(string)) *Judgement {
	t.Helper()
	p, err := follow(t.Context(), dir, Options{}, failed, quickly)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Run(); err != nil {
		t.Fatal(err)
	}
	return p.Finish(nil, 0)
}

// A history that is judged while it is written comes to the verdicts that it
// comes to afterwards.
func TestFollow(t *testing.T) {
	next := make(chan struct{})
	close(next)
	dir := writeSlowly(t, storetest.Generate(1, storetest.Config{Ops: 60_000}), 7, next)
	got := judgeAll(t, dir, func(guarantee string) { t.Errorf("%s is broken", guarantee) })
	want := mustJudge(t, dir, Options{})
	got.Took, want.Took = 0, 0
	if !reflect.DeepEqual(got, want) {
		t.Errorf("judged while it was written:\n%v\nafterwards:\n%v", got, want)
	}
	if got.Operations+got.Messages < 2*step || len(outcomes(got, checkers.Pass)) < 5 {
		t.Errorf("%d records, passed: %q", got.Operations+got.Messages, outcomes(got, checkers.Pass))
	}
}

// breakEvent changes the value in the first event of an ordinary watch.
func breakEvent(h storetest.History) {
	i := slices.IndexFunc(h.Watches, func(w *history.StoreWatch) bool { return len(w.Events) == 1 && w.Watch > 0 })
	h.Watches[i].Events[0].KV.Value++
}

// A violation is told while the run goes on, each guarantee once.
func TestFollowTells(t *testing.T) {
	h := storetest.Generate(2, storetest.Config{Ops: 200_000})
	breakEvent(h)
	// The writer waits with the last tenth until something has been told.
	next := make(chan struct{}, 8)
	for range cap(next) {
		next <- struct{}{}
	}
	var told []string
	j := judgeAll(t, writeSlowly(t, h, 10, next), func(guarantee string) {
		if told = append(told, guarantee); len(told) == 1 {
			close(next)
		}
	})
	if !slices.Contains(told, "Reliable") {
		t.Errorf("told %q", told)
	}
	if sorted := slices.Sorted(slices.Values(told)); len(slices.Compact(sorted)) < len(told) {
		t.Errorf("told twice: %q", told)
	}
	for _, g := range told {
		if !slices.Contains(outcomes(j, checkers.Fail), g) {
			t.Errorf("%s was told and did not fail: %q", g, outcomes(j, checkers.Fail))
		}
	}
}

// What is found only when the history is complete is told, too.
func TestFollowTellsTheEnd(t *testing.T) {
	h := storetest.Generate(2, storetest.Config{Ops: 2000})
	breakEvent(h)
	next := make(chan struct{})
	close(next)
	var told []string
	judgeAll(t, writeSlowly(t, h, 2, next), func(guarantee string) { told = append(told, guarantee) })
	if !slices.Contains(told, "Reliable") {
		t.Errorf("told %q", told)
	}
}

// Whoever does not want to wait any longer need not, whether the history is
// waited for or read.
func TestCancelled(t *testing.T) {
	cause := errors.New("enough")
	h := storetest.Generate(3, storetest.Config{Ops: 500})
	ctx, cancel := context.WithTimeoutCause(t.Context(), 10*time.Millisecond, cause)
	defer cancel()
	p, err := follow(ctx, writeSlowly(t, h, 3, nil), Options{}, nil, quickly)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Run(); !errors.Is(err, cause) {
		t.Errorf("%v, want the cause of the context", err)
	}
	if _, err := Directory(ctx, write(t, h), Options{}); !errors.Is(err, cause) {
		t.Errorf("%v, want the cause of the context", err)
	}
}
