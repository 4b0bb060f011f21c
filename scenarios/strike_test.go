package scenarios

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/scenarios/faults"
	"github.com/planecheck/planecheck/workloads"
)

// A fault of controllers that had nothing to do has shown nothing.
func TestIdleStrike(t *testing.T) {
	f := func(want checkers.Outcome, s strike) {
		t.Helper()
		turning := &workloads.DensityPlan{Turnover: make([]workloads.ChurnOperation, 1)}
		x := &execution{plan: &Plan{Interventions: make([]Intervention, 1), Density: turning}, acts: interventions{done: 1, strikes: []*strike{&s}}}
		if v := x.judgeInterventions(); v.Outcome != want {
			t.Errorf("%+v: %s, want %s", s, v, want)
		}
	}
	f(checkers.Invalid, strike{area: faults.Controllers, recovered: work{bound: 9}})
	f(checkers.Invalid, strike{area: faults.Controllers, until: work{operations: 1, created: 3}})
	f(checkers.Invalid, strike{area: faults.Controllers, before: work{operations: 1}, until: work{operations: 1, underWay: 1}, recovered: work{bound: 1}})
	f(checkers.Pass, strike{area: faults.Controllers, before: work{operations: 1, underWay: 1}, until: work{operations: 1}, recovered: work{bound: 1}})
	f(checkers.Pass, strike{area: faults.Controllers, until: work{operations: 1}, recovered: work{bound: 1}})
	f(checkers.Pass, strike{area: faults.Controllers, until: work{created: 1}, recovered: work{bound: 1}})
	f(checkers.Pass, strike{area: faults.Etcd})
}

// The first fault is the one that began first: two that meet may be noted in any order.
func TestStruck(t *testing.T) {
	if got := struck(nil); got != 0 {
		t.Errorf("no fault began at %d", got)
	}
	if got := struck([]*strike{{injected: 7, healed: 9}, {injected: 5}, {injected: 6, closed: true}}); got != 5 {
		t.Errorf("the first fault began at %d, not 5", got)
	}
}

// What breaks while it should last is seen though it is whole again at the end,
// and a look without an answer decides nothing.
func TestStays(t *testing.T) {
	broken, late := errors.New("a node is not Ready"), fmt.Errorf("list nodes: %w", context.DeadlineExceeded)
	f := func(want error, answers ...error) {
		t.Helper()
		i := -1
		_, _, err := stays(t.Context(), func(context.Context) error {
			i = min(i+1, len(answers)-1)
			return answers[i]
		}, 20*time.Millisecond, time.Millisecond)
		if !errors.Is(err, want) || (err == nil) != (want == nil) {
			t.Errorf("%v: %v, want %v", answers, err, want)
		}
	}
	f(nil, nil)
	f(broken, nil, nil, broken, nil)
	f(nil, nil, late, late, nil)
	f(nil, nil, apierrors.NewTimeoutError("it took too long", 1), nil)
	f(broken, nil, late, broken)
	f(broken, nil, fmt.Errorf("%w: %w", broken, errors.New("it had 2s")))
}

// A lease that is not renewed, or that nobody holds, is missed.
func TestRenewed(t *testing.T) {
	now := time.Now()
	lease := func(age time.Duration, holder string, seconds int32) coordinationv1.Lease {
		at := metav1.NewMicroTime(now.Add(-age))
		return coordinationv1.Lease{Spec: coordinationv1.LeaseSpec{HolderIdentity: &holder, RenewTime: &at, LeaseDurationSeconds: &seconds}}
	}
	f := func(ok bool, l coordinationv1.Lease, since time.Duration) {
		t.Helper()
		if err := renewed([]coordinationv1.Lease{lease(0, "a", 6), l}, now.Add(-since), now); (err == nil) != ok {
			t.Errorf("%+v since %v: %v", l.Spec, since, err)
		}
	}
	f(true, lease(5*time.Second, "a", 6), time.Minute)
	f(false, lease(7*time.Second, "a", 6), time.Minute)
	f(false, lease(5*time.Second, "", 6), time.Minute)
	f(false, lease(5*time.Second, "a", 6), 4*time.Second)
	f(true, lease(gracePeriod, "a", 40), time.Minute)
	f(false, lease(gracePeriod+time.Second, "a", 3600), time.Minute)
	f(false, coordinationv1.Lease{}, time.Minute)
}

// Each of two schedulers, and each API server, has to be heard of.
func TestPlaneLeases(t *testing.T) {
	now := time.Now()
	lease := func(name, identity string) coordinationv1.Lease {
		holder, at, seconds := "me", metav1.NewMicroTime(now), int32(15)
		l := coordinationv1.Lease{Spec: coordinationv1.LeaseSpec{HolderIdentity: &holder, RenewTime: &at, LeaseDurationSeconds: &seconds}}
		l.Name, l.Labels = name, map[string]string{"apiserver.kubernetes.io/identity": identity}
		return l
	}
	all := []coordinationv1.Lease{
		lease("kube-scheduler", ""), lease("kube-controller-manager", ""), lease("apiserver-a", "kube-apiserver"), lease("apiserver-b", "kube-apiserver"),
	}
	x := &execution{plan: &Plan{World: World{Schedulers: 2, ControllerManagers: 2, APIServers: 2}}}
	if err := x.planeLeases(all, now, now); err != nil {
		t.Error(err)
	}
	for i, missing := range all {
		left := append(append([]coordinationv1.Lease{}, all[:i]...), all[i+1:]...)
		if err := x.planeLeases(left, now, now); err == nil {
			t.Errorf("%s is not missed", missing.Name)
		}
	}
	x.plan.World = World{Schedulers: 1, ControllerManagers: 1, APIServers: 1}
	if err := x.planeLeases(all[2:], now, now); err != nil {
		t.Error(err)
	}
}

// A run does not wait for ever for a fault that does not end, and says which one.
func TestAwaitEnds(t *testing.T) {
	x := &execution{acts: interventions{
		over: make(chan struct{}), strikes: []*strike{{name: "etcd-kill of leader"}, {name: "apiserver-freeze of kube-apiserver-0"}},
	}}
	x.acts.close(x.acts.strikes[0])
	err := x.awaitEnds(time.Millisecond)
	if err == nil || !strings.Contains(err.Error(), "apiserver-freeze") || strings.Contains(err.Error(), "etcd-kill") {
		t.Error(err)
	}
	close(x.acts.over)
	if err := x.awaitEnds(time.Minute); err != nil {
		t.Error(err)
	}
}
