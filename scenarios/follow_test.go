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
	"github.com/planecheck/planecheck/results"
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

// A run whose histories are judged as they come has the figures by phase of any other.
func TestFollowerTellsPhasesApart(t *testing.T) {
	for _, failFast := range []bool{true, false} {
		x, err := newExecution(&Plan{FailFast: failFast}, &results.Dir{Path: t.TempDir()}, &results.Run{})
		if err != nil {
			t.Fatal(err)
		}
		if err := x.failFast(func(err error) { t.Error(err) }); err != nil {
			t.Fatal(err)
		}
		for _, phase := range []string{phaseFill, phaseHold} {
			x.m.collector.Begin(phase, nil)
			if phase == phaseFill {
				recordDelivery(x.recording, history.Now())
			}
			x.run.Phases = append(x.run.Phases, x.m.collector.End(nil))
		}
		x.recording.close()
		verdicts := x.judgeHistory(t.Context())
		if fill := x.run.Phases[0].Delivered; fill == nil || fill.Count != 1 {
			t.Errorf("fail fast is %v: delivered in the fill: %+v; %v", failFast, fill, verdicts)
		}
		if hold := x.run.Phases[1].Delivered; hold != nil {
			t.Errorf("fail fast is %v: delivered in the hold: %+v", failFast, hold)
		}
		if err := errors.Join(x.m.series.Close(), x.logFile.Close()); err != nil {
			t.Error(err)
		}
	}
}

// recordDelivery records the creation of an object, of which a watch tells at once.
func recordDelivery(r *recording, now history.Time) {
	const resource = "configmaps"
	key := "/registry/" + resource + "/ns/a"
	r.store.StoreOp(&history.StoreOp{
		ID: 1, Client: 1, Member: "m", Method: history.MethodPut, Called: now + 1, Returned: now + 2, Header: 2, Succeeded: true,
		Then: []history.StoreAction{{Kind: history.ActionPut, Key: key, Value: 1}}, Results: []history.StoreResult{{}},
	})
	r.api.Version(&history.Version{Revision: 2, Key: key, Resource: resource, Kind: "ConfigMap", Namespace: "ns", Name: "a", UID: "u", Created: 1})
	r.api.APICall(&history.APICall{
		ID: 1, Class: history.ClassContract, Server: "one", Called: now - 1, Returned: now, Verb: "watch", Version: "v1",
		Resource: resource, Namespace: "ns", ResourceVersion: "1", Status: 200,
	})
	for i, typ := range []string{history.APIWatchOpen, "ADDED", history.APIWatchClosed} {
		m := &history.APIWatch{Call: 1, Type: typ, At: now + 2*history.Time(i)}
		if typ == "ADDED" {
			m.Object = history.APIObject{Namespace: "ns", Name: "a", UID: "u", Version: 2}
		}
		r.api.APIWatch(m)
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
