package faults

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"syscall"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/planecheck/planecheck/apiserver"
	"github.com/planecheck/planecheck/checkers/deposed"
	"github.com/planecheck/planecheck/checkers/history"
)

// oneLeader is put to the test by all that make another one lead.
const oneLeader = "cluster/OneLeader"

// noDoubleBind is put to the test by all that strike a scheduler at work.
const noDoubleBind = "cluster/NoDoubleBind"

func controllerFaults() []Fault {
	schedulers := func(s Shape) []string { return atLeast(2, s.Schedulers, apiserver.KubeScheduler) }
	managers := func(s Shape) []string { return atLeast(2, s.ControllerManagers, apiserver.KubeControllerManager) }
	return []Fault{
		{
			Name: "scheduler-freeze", Area: Controllers, For: 10 * time.Second, Tests: []string{noDoubleBind},
			Does:    "a scheduler stands still (SIGSTOP) and goes on",
			targets: func(s Shape) []string { return instances(apiserver.KubeScheduler, 1, s.Schedulers) }, inject: freeze,
		},
		{
			Name: "kcm-freeze", Area: Controllers, For: 10 * time.Second,
			Does:    "a controller manager stands still (SIGSTOP) and goes on",
			targets: func(s Shape) []string { return instances(apiserver.KubeControllerManager, 1, s.ControllerManagers) }, inject: freeze,
		},
		{
			Name: "scheduler-leader-kill", Area: Controllers, For: 2 * time.Second, Tests: []string{oneLeader, noDoubleBind},
			Does:    "the leading scheduler is killed (SIGKILL); another takes over; it is started anew",
			targets: schedulers, inject: killLeading,
		},
		{
			Name: "kcm-leader-kill", Area: Controllers, For: 2 * time.Second, Tests: []string{oneLeader},
			Does:    "the leading controller manager is killed (SIGKILL); another takes over; it is started anew",
			targets: managers, inject: killLeading,
		},
		{
			Name: "leaders-kill", Area: Controllers, For: 2 * time.Second, Tests: []string{oneLeader, noDoubleBind},
			Does:    "the leading scheduler and the leading controller manager are killed (SIGKILL) at once; others take over; both are started anew",
			targets: func(s Shape) []string { return atLeast(2, min(s.Schedulers, s.ControllerManagers), all) }, inject: killLeaders,
		},
		{
			Name: "scheduler-leader-freeze", Area: Controllers, For: 2 * time.Second, Tests: []string{oneLeader, noDoubleBind}, Thaws: true,
			Does:    "the leading scheduler stands still (SIGSTOP) until another has taken over; thawed, it gives up, and what it writes until then is counted",
			targets: schedulers, inject: freezeLeading,
		},
		{
			Name: "kcm-leader-freeze", Area: Controllers, For: 2 * time.Second, Tests: []string{oneLeader}, Thaws: true,
			Does:    "the leading controller manager stands still (SIGSTOP) until another has taken over; thawed, it gives up, and what it writes until then is counted",
			targets: managers, inject: freezeLeading,
		},
		{
			Name: "two-schedulers", Area: Controllers, Breaks: []string{"NoOvercommit"},
			Does:    "two schedulers without leader election begin at once to fill nodes that have room for one pod each",
			targets: schedulers, inject: race,
		},
		{
			Name: "leader-unfenced", Area: Controllers, For: 2 * time.Second, Breaks: []string{"OneLeader", deposed.LeaderGivesUp}, Thaws: true,
			Does: "the leading controller manager stands still (SIGSTOP) until another has taken over; thawed, it reads its old lease, " +
				"and a version that is long gone does not stop it from renewing that",
			targets: managers, inject: freezeUnfenced,
		},
		{
			Name: "controllers-gone", Area: Controllers, For: 45 * time.Second,
			Breaks:  []string{"ReplicasConverge", "EndpointsMatch", "NoOrphans"},
			Does:    "all controller managers end for good; a pod of a Service, and the owner of an object, are deleted",
			targets: managers, inject: endManagers,
		},
		{
			Name: "controllers-overruled", Area: Controllers, For: 5 * time.Second,
			Breaks:  []string{"RolloutBounded", "JobCompletionsExact", "NamespaceEmpties"},
			Does:    "a client does what no controller would: a ReplicaSet asks for too many pods, a Job counts one that there is not, a namespace is finalized that is not empty",
			targets: managers, inject: overrule,
		},
	}
}

// leading waits until a component of a kind leads, as it may have lost the lead
// just now.
func leading(ctx context.Context, e *Env, kind string) (leads apiserver.Component, err error) {
	err = await(ctx, "a leading "+kind, func(ctx context.Context) (err error) {
		leads, err = whoLeads(ctx, e, kind)
		return err
	})
	return leads, err
}

// whoLeads finds which component of a kind leads: the one that says so itself
// (leader_election_master_status, k8s.io/component-base/metrics/prometheus/clientgo/leaderelection).
// The Lease does not tell, because all have the name of this host.
func whoLeads(ctx context.Context, e *Env, kind string) (apiserver.Component, error) {
	leaders, err := allLeading(ctx, e, kind)
	if len(leaders) == 0 {
		return apiserver.Component{}, errors.Join(err, fmt.Errorf("no %s says that it leads", kind))
	}
	return component(e.Plane, leaders[0])
}

// allLeading are the names of those of a kind that say they lead. One that is
// dead or stands still cannot say so and is not asked. An error is of those that
// did not answer.
func allLeading(ctx context.Context, e *Env, kind string) ([]string, error) {
	want := fmt.Sprintf("leader_election_master_status{name=%q} 1", kind)
	all := ofKind(e.Plane, kind)
	leads, errs := make([]bool, len(all)), make([]error, len(all))
	ctx, cancel := context.WithTimeoutCause(ctx, claimBound, fmt.Errorf("it had %v", claimBound))
	defer cancel()
	var asking sync.WaitGroup
	for i, c := range all {
		if !acts(c.PID) {
			continue
		}
		asking.Go(func() {
			metrics, err := e.Plane.Metrics(ctx, c.Name)
			errs[i] = err
			leads[i] = err == nil && strings.Contains("\n"+string(metrics), "\n"+want)
		})
	}
	asking.Wait()
	var leaders []string
	for i, c := range all {
		if leads[i] {
			leaders = append(leaders, c.Name)
		}
	}
	return leaders, errors.Join(errs...)
}

// holder is who holds the Lease of a kind of component.
func holder(ctx context.Context, e *Env, kind string) (string, error) {
	var who string
	err := await(ctx, "the lease of "+kind, func(ctx context.Context) error {
		lease, err := e.API.CoordinationV1().Leases(metav1.NamespaceSystem).Get(ctx, kind, metav1.GetOptions{})
		if err == nil && lease.Spec.HolderIdentity != nil {
			who = *lease.Spec.HolderIdentity
		}
		return err
	})
	return who, err
}

// succession waits until somebody else holds the Lease of a kind.
func succession(ctx context.Context, e *Env, kind, before string) (string, error) {
	var now string
	err := await(ctx, "another "+kind+" to take the lease", func(ctx context.Context) (err error) {
		now, err = holder(ctx, e, kind)
		if err == nil && (now == "" || now == before) {
			err = fmt.Errorf("%q still holds it", before)
		}
		return err
	})
	return now, err
}

// reign is who leads a kind of component.
type reign struct {
	kind   string
	leader apiserver.Component
	holder string // of the lease
}

// reigning finds who leads a kind.
func reigning(ctx context.Context, e *Env, kind string) (r reign, err error) {
	r.kind = kind
	if r.leader, err = leading(ctx, e, kind); err != nil {
		return r, err
	}
	r.holder, err = holder(ctx, e, kind)
	return r, err
}

// end strikes the leader and waits until another one leads.
func (r reign) end(ctx context.Context, e *Env, strike func(context.Context, *Env, string) (*Active, error)) (*Active, error) {
	a, err := strike(ctx, e, r.leader.Name)
	if err != nil {
		return nil, err
	}
	now, err := succession(ctx, e, r.kind, r.holder)
	if err != nil {
		return nil, healed(ctx, a, err)
	}
	a.Evidence = fmt.Sprintf("%s: %s; the lease went to %s", r.leader.Name, a.Evidence, now)
	return a, nil
}

// depose strikes the leader of a kind and waits until another one leads.
func depose(ctx context.Context, e *Env, kind string, strike func(context.Context, *Env, string) (*Active, error)) (apiserver.Component, *Active, error) {
	r, err := reigning(ctx, e, kind)
	if err != nil {
		return r.leader, nil, err
	}
	a, err := r.end(ctx, e, strike)
	return r.leader, a, err
}

func killLeading(ctx context.Context, e *Env, kind string) (*Active, error) {
	_, a, err := depose(ctx, e, kind, endWith(syscall.SIGKILL))
	return a, err
}

// killLeaders kills the leading scheduler and the leading controller manager at
// once, which are found before either is struck.
func killLeaders(ctx context.Context, e *Env, _ string) (*Active, error) {
	var reigns []reign
	for _, kind := range []string{apiserver.KubeScheduler, apiserver.KubeControllerManager} {
		r, err := reigning(ctx, e, kind)
		if err != nil {
			return nil, err
		}
		reigns = append(reigns, r)
	}
	return together(ctx, len(reigns), func(i int) (*Active, error) { return reigns[i].end(ctx, e, endWith(syscall.SIGKILL)) })
}

// together injects several faults at once, which heal at once. If one of them fails
// the others are undone.
func together(ctx context.Context, n int, inject func(int) (*Active, error)) (*Active, error) {
	acting, errs := make([]*Active, n), make([]error, n)
	var injecting sync.WaitGroup
	for i := range n {
		injecting.Go(func() { acting[i], errs[i] = inject(i) })
	}
	injecting.Wait()
	a := &Active{heal: func(ctx context.Context) (string, error) { return healAll(ctx, acting) }}
	if err := errors.Join(errs...); err != nil {
		return nil, healed(ctx, a, err)
	}
	var evidence []string
	for _, one := range acting {
		evidence = append(evidence, one.Evidence)
	}
	a.Evidence = strings.Join(evidence, "; ")
	return a, nil
}

// healAll heals all that act, at once; nil: that one does not.
func healAll(ctx context.Context, acting []*Active) (string, error) {
	evidence, errs := make([]string, len(acting)), make([]error, len(acting))
	var healing sync.WaitGroup
	for i, one := range acting {
		if one != nil {
			healing.Go(func() { evidence[i], errs[i] = one.Heal(ctx) })
		}
	}
	healing.Wait()
	return strings.Join(evidence, "; "), errors.Join(errs...)
}

// freezeLeading stops the leader for longer than its lease. Thawed, it has to
// see that it leads no more and to end itself, which is the evidence; the
// control plane starts it again then (apiserver.Config.Supervised).
func freezeLeading(ctx context.Context, e *Env, kind string) (*Active, error) {
	victim, a, err := depose(ctx, e, kind, freeze)
	if err != nil {
		return nil, err
	}
	thaw := a.heal
	a.heal = func(ctx context.Context) (string, error) {
		ctx, cancel := context.WithTimeoutCause(ctx, effectBound, fmt.Errorf("it had %v", effectBound))
		defer cancel()
		thawed := history.Now()
		if _, err := thaw(ctx); err != nil {
			return "", err
		}
		return resignation(ctx, e, victim, thawed)
	}
	return a, nil
}

// resignation waits until a component has given up, and another process of it
// is there.
func resignation(ctx context.Context, e *Env, victim apiserver.Component, since history.Time) (string, error) {
	var after apiserver.Component
	err := await(ctx, victim.Name+" to give up", func(context.Context) (err error) {
		for _, r := range e.Plane.Resignations() {
			if r.Component != victim.Name || r.At < since {
				continue
			}
			if after, err = component(e.Plane, victim.Name); err == nil && after.PID == victim.PID {
				err = fmt.Errorf("it is not started again yet")
			}
			return err
		}
		return fmt.Errorf("process %d still runs", victim.PID)
	})
	if err != nil {
		return "", err
	}
	if e.Replaced != nil {
		e.Replaced(victim.Name, after.PID)
	}
	return fmt.Sprintf("process %d gave up %s after its thaw, %d runs in its place", victim.PID,
		time.Duration(history.Now()-since).Round(time.Millisecond), after.PID), nil
}

// freezeUnfenced is freezeLeading where nothing tells the thawed leader that it
// leads no more. The evidence is that two say that they lead once it goes on. On a
// busy machine they may say so before: whoever is late with its renewal finds itself
// in the same place. One of them stands still all the same.
func freezeUnfenced(ctx context.Context, e *Env, kind string) (*Active, error) {
	victim, a, err := depose(ctx, e, kind, freeze)
	if err != nil {
		return nil, err
	}
	thaw := a.heal
	a.heal = func(ctx context.Context) (evidence string, err error) {
		ctx, cancel := context.WithTimeoutCause(ctx, effectBound, fmt.Errorf("it had %v", effectBound))
		defer cancel()
		if evidence, err = thaw(ctx); err != nil {
			return "", err
		}
		err = await(ctx, victim.Name+" to lead beside another", func(ctx context.Context) error {
			leaders, err := allLeading(ctx, e, kind)
			if err == nil && len(leaders) < 2 {
				err = fmt.Errorf("%v says that it leads", leaders)
			}
			evidence = fmt.Sprintf("process %d goes on, and all of %v say that they lead", victim.PID, leaders)
			return err
		})
		return evidence, err
	}
	return a, nil
}
