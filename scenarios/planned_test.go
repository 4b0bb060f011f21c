package scenarios

import (
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/results"
)

// Pods of a manifest, or of anybody else, do not stand in for planned pods that are not
// Running in the store.
func TestPodsOfOthersAreNotPlanned(t *testing.T) {
	f := func(want checkers.Outcome, detail string, namespaces ...string) {
		t.Helper()
		o := DefaultOptions()
		o.World.Nodes, o.Pods, o.PodsPerDeployment, o.Manifest = 10, 2, 1, shop
		plan := mustPlan(t, Registry()[0], o)
		m, err := newMeasurement(&results.Dir{Path: t.TempDir()}, plan, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := m.series.Close(); err != nil {
				t.Error(err)
			}
		})
		commit := m.hooks().commit
		for _, namespace := range namespaces {
			commit(history.Commit{
				Create: true, Key: podKeys + namespace + "/p", Called: 1, Returned: 2,
				Value: []byte(`{"spec":{"nodeName":"n"},"status":{"phase":"Running"}}`),
			})
		}
		x := &execution{plan: plan, run: &results.Run{Phases: []results.Phase{{Name: phaseFill}}}, m: m}
		synctest.Test(t, func(t *testing.T) { x.expectRunning(t.Context(), phaseFill) }) // which waits for what is late
		if v := x.judgePods(); v.Outcome != want || !strings.Contains(v.Detail, detail) {
			t.Errorf("%v: %s", namespaces, v)
		}
	}
	f(checkers.Pass, "", "density-000", "density-001")
	f(checkers.Pass, "", "density-000", "density-001", "shop", "default")
	f(checkers.Fail, "fill: 1 of 2 pods were Running at its end", "density-000")
	f(checkers.Fail, "fill: 1 of 2 pods were Running at its end", "density-000", "shop", "default")
	f(checkers.Fail, "fill: 0 of 2 pods were Running at its end", "density-002", "density-", "contract-0", "default")
}
