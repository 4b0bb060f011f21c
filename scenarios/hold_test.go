package scenarios

import (
	"context"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/planecheck/planecheck/apiserver/client"
	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/results"
	"github.com/planecheck/planecheck/sim"
	"github.com/planecheck/planecheck/workloads"
)

// deafLayer is the client layer of an API server that refuses everything, and says of
// each request that it has come.
func deafLayer(t *testing.T, asked func()) *client.Layer {
	t.Helper()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked()
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	server.EnableHTTP2, server.Config.ErrorLog = true, log.New(io.Discard, "", 0)
	server.StartTLS()
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	layer, err := client.New(client.Config{Servers: []string{server.Listener.Addr().String()}, CA: ca})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		layer.Close()
		server.CloseClientConnections()
		server.Close()
	})
	return layer
}

// heldBare is an execution of a plan whose pods nobody has ever seen. said is called
// with each line of its log.
func heldBare(t *testing.T, layer *client.Layer, plan *Plan, said func(line string)) *execution {
	t.Helper()
	lines := slog.New(slog.NewTextHandler(heard(said), nil))
	x := &execution{plan: plan, run: &results.Run{}, log: lines, cluster: &cluster{nodes: sim.New(sim.Config{Nodes: 1})}}
	x.acts.over = make(chan struct{})
	close(x.acts.over)
	var err error
	if x.m, err = newMeasurement(&results.Dir{Path: t.TempDir()}, plan, lines); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := x.m.series.Close(); err != nil {
			t.Error(err)
		}
	})
	admin := layer.Client(client.Identity{User: "admin", Class: history.ClassObserver, Token: "secret"})
	x.density, err = workloads.NewDensity(*plan.Density, workloads.DensityDeps{
		Clients: []*client.Client{admin}, Observer: admin, Pods: workloads.NewPodWatcher(workloads.PodWatcherConfig{Client: admin}), Log: lines,
	})
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// heard calls itself with what is written.
type heard func(string)

func (h heard) Write(b []byte) (int, error) {
	h(string(b))
	return len(b), nil
}

// A run that is cut short while it waits for its pods after the hold has not failed:
// nobody knows whether they would have come.
func TestHoldThatIsCutShort(t *testing.T) {
	f := func(name string, cause error, unready Duration, turnover float64) {
		t.Helper()
		ctx, cancel := context.WithCancelCause(t.Context())
		defer cancel(nil)
		var over atomic.Bool // the time of the hold
		layer := deafLayer(t, func() {
			if over.Load() {
				cancel(cause)
			}
		})
		load := workloads.PlanDensity(workloads.DensityConfig{
			Pods: 20, PodsPerDeployment: 10, Hold: time.Nanosecond, TurnoverRate: turnover, TurnoverMost: time.Minute,
		}, 1)
		plan := &Plan{Phases: []string{phaseHold}, Density: &load, World: World{UnreadyEvery: unready}}
		x := heldBare(t, layer, plan, func(line string) {
			if !strings.Contains(line, "phase ended") {
				return
			}
			if over.Store(true); turnover == 0 { // then nothing is asked of the server
				cancel(cause)
			}
		})
		if _, err := x.hold(ctx); !errors.Is(err, cause) {
			t.Errorf("%s, %v: it ends because of %v", name, cause, err)
		}
		if v := x.judgePods(); v.Outcome != checkers.Invalid {
			t.Errorf("%s, %v: %s", name, cause, v)
		}
	}
	for _, cause := range []error{ErrInterrupted, death} {
		f("unready", cause, seconds(30), 0)
		f("turnover", cause, 0, 100)
	}
}

// Neither has a cluster failed to recover that was not looked at for as long as it had.
func TestRecoveryThatIsCutShort(t *testing.T) {
	load := workloads.PlanDensity(workloads.DensityConfig{Pods: 20}, 1)
	x := heldBare(t, deafLayer(t, func() {}), &Plan{Density: &load}, func(string) {})
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(ErrInterrupted)
	x.recover(ctx)
	if v := x.judgeRecovery(); v.Outcome != checkers.Invalid {
		t.Error(v)
	}
}
