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
// next is sent, or closed.
func writeSlowly(t *testing.T, dir string, h storetest.History, parts int, next <-chan struct{}) {
	w, err := archive.Create(dir, archive.Options{NoSync: true, QueueBytes: 1 << 30})
	if err != nil {
		t.Fatal(err)
	}
	sink, err := archive.NewStoreWriter(w)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for i := range parts {
			part := storetest.History{
				Ops:     h.Ops[len(h.Ops)*i/parts : len(h.Ops)*(i+1)/parts],
				Watches: h.Watches[len(h.Watches)*i/parts : len(h.Watches)*(i+1)/parts],
			}
			part.Feed(sink)
			w.Flush()
			<-next
		}
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	}()
}

// A history that is judged while it is written comes to the verdicts that it
// comes to afterwards.
func TestFollow(t *testing.T) {
	h := storetest.Generate(1, storetest.Config{Ops: 6000})
	dir := filepath.Join(t.TempDir(), "history")
	next := make(chan struct{})
	close(next)
	writeSlowly(t, dir, h, 7, next)
	p, err := follow(t.Context(), dir, Options{}, func(guarantee string) { t.Errorf("%s is broken", guarantee) }, quickly)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Store(); err != nil {
		t.Fatal(err)
	}
	got, err := p.Finish(0)
	if err != nil {
		t.Fatal(err)
	}
	want := mustJudge(t, dir, Options{})
	got.Took, want.Took = 0, 0
	if !reflect.DeepEqual(got, want) {
		t.Errorf("judged while it was written:\n%v\nafterwards:\n%v", got, want)
	}
	if len(outcomes(got, checkers.Pass)) < 5 {
		t.Errorf("passed: %q", outcomes(got, checkers.Pass))
	}
}

// A violation is told while the run goes on, each guarantee once.
func TestFollowTells(t *testing.T) {
	h := storetest.Generate(2, storetest.Config{Ops: 200_000})
	breakEvent(h.Watches)
	dir := filepath.Join(t.TempDir(), "history")
	// The writer waits with the last tenth until something has been told.
	next := make(chan struct{}, 8)
	for range cap(next) {
		next <- struct{}{}
	}
	writeSlowly(t, dir, h, 10, next)
	var told []string
	p, err := follow(t.Context(), dir, Options{}, func(guarantee string) {
		if told = append(told, guarantee); len(told) == 1 {
			close(next)
		}
	}, quickly)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Store(); err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(told, "Reliable") {
		t.Errorf("told %q", told)
	}
	if sorted := slices.Sorted(slices.Values(told)); len(slices.Compact(sorted)) < len(told) {
		t.Errorf("told twice: %q", told)
	}
	j, err := p.Finish(0)
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range told {
		if !slices.Contains(outcomes(j, checkers.Fail), g) {
			t.Errorf("%s was told and did not fail: %q", g, outcomes(j, checkers.Fail))
		}
	}
}

// breakEvent changes the value in the first event of an ordinary watch.
func breakEvent(watches []*history.StoreWatch) {
	i := slices.IndexFunc(watches, func(w *history.StoreWatch) bool { return len(w.Events) == 1 && w.Watch > 0 })
	watches[i].Events[0].KV.Value++
}

func TestFollowCancelled(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "history")
	next := make(chan struct{})
	defer close(next)
	writeSlowly(t, dir, storetest.Generate(3, storetest.Config{Ops: 500}), 3, next)
	cause := errors.New("enough")
	ctx, cancel := context.WithTimeoutCause(t.Context(), 10*time.Millisecond, cause)
	defer cancel()
	p, err := follow(ctx, dir, Options{}, nil, quickly)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Store(); !errors.Is(err, cause) {
		t.Errorf("%v, want the cause of the context", err)
	}
}
