package bench

import (
	"context"
	"errors"
	"os"
	"testing"

	"github.com/planecheck/planecheck/results"
)

// What the proxy costs is measured: the same operations on both sides, each
// answered, and nothing is left behind.
func TestProxyCost(t *testing.T) {
	dir := t.TempDir()
	direct, through, err := ProxyCost(bounded(t), dir)
	if err != nil {
		t.Fatal(err)
	}
	if direct.Reached != results.ReachedDirectly || through.Reached != results.ReachedThroughProxy || through.Backend != "memory:proxy=on" {
		t.Errorf("%s %s, %s %s", direct.Backend, direct.Reached, through.Backend, through.Reached)
	}
	if len(direct.Measures) != len(proxyLoad) || len(through.Measures) != len(proxyLoad) {
		t.Fatalf("%d and %d measurements", len(direct.Measures), len(through.Measures))
	}
	for i, l := range proxyLoad {
		for _, m := range []results.StoreMeasure{direct.Measures[i], through.Measures[i]} {
			if m.Operation != string(l.operation) || m.Clients != l.clients || m.Answered == 0 || m.CPU <= 0 || m.Latency.P50 <= 0 {
				t.Errorf("%s with %d clients: %+v", l.operation, l.clients, m)
			}
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestProxyCostIsBrokenOff(t *testing.T) {
	ctx, cancel := context.WithCancelCause(bounded(t))
	stop := errors.New("stop")
	cancel(stop)
	if _, _, err := ProxyCost(ctx, t.TempDir()); !errors.Is(err, stop) {
		t.Errorf("error %v", err)
	}
}

func TestFault(t *testing.T) {
	f := func(bad bool, m results.StoreMeasure) {
		t.Helper()
		if err := fault(m); (err != nil) != bad {
			t.Errorf("%+v: %v", m, err)
		}
	}
	f(false, results.StoreMeasure{Answered: 3})
	f(true, results.StoreMeasure{})
	f(true, results.StoreMeasure{Answered: 3, Failed: 1})
	f(true, results.StoreMeasure{Answered: 3, Incomplete: "interrupted"})
}

func TestBehindProxy(t *testing.T) {
	f := func(want bool, spec string) {
		t.Helper()
		if got := BehindProxy(spec); got != want {
			t.Errorf("%s: %v", spec, got)
		}
	}
	f(true, "memory:proxy=on")
	f(true, "etcd:members=1,proxy=on")
	f(true, "kine-sqlite")
	f(true, "etcd-process")
	f(false, "memory")
	f(false, "etcd:proxy=off")
	f(false, "nonsense")
}
