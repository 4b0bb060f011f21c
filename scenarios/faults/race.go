package faults

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"syscall"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// race has all schedulers begin at once with as many pods as there are nodes. If
// they elect no leader, each of them must be seen to bind pods.
//
// Schedulers that have seen the same pods arrive take them in the same order, and
// the one that is a little ahead binds them all. So one stands still with the
// pods in the order of their creation, and the others are started when they wait,
// and list them in the order of their names: each is ahead with other pods.
func race(ctx context.Context, e *Env, kind string) (*Active, error) {
	err := await(ctx, "the load to begin", func(ctx context.Context) error {
		made, _, err := scheduled(ctx, e)
		if err == nil && made == 0 {
			err = errors.New("there is no pod")
		}
		return err
	})
	if err != nil { // before that, what stands still would hold up the scrape between two phases
		return nil, err
	}
	names := instances(kind, 1, count(e.Plane, kind))
	first, err := freeze(ctx, e, names[0])
	if err != nil {
		return nil, err
	}
	r := &racers{e: e, kind: kind, first: first}
	for _, name := range names[1:] {
		a, err := endWith(syscall.SIGKILL)(ctx, e, name)
		if err != nil {
			return nil, healed(ctx, &Active{heal: r.start}, err)
		}
		r.others = append(r.others, a)
	}
	err = await(ctx, "as many pods as nodes, most of them waiting", func(ctx context.Context) error {
		nodes, err := e.API.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		made, waiting, err := scheduled(ctx, e)
		if err != nil {
			return err
		}
		if r.waiting = waiting; made < len(nodes.Items) || 2*waiting < made {
			return fmt.Errorf("%d of %d pods wait, there are %d nodes", waiting, made, len(nodes.Items))
		}
		return nil
	})
	if err != nil {
		return nil, healed(ctx, &Active{heal: r.start}, err)
	}
	return &Active{Evidence: fmt.Sprintf("%s: %s, %d others are gone, %d pods wait", names[0], first.Evidence, len(r.others), r.waiting), heal: r.run}, nil
}

// racers are schedulers that wait for their start.
type racers struct {
	e       *Env
	kind    string
	first   *Active   // stands still
	others  []*Active // are to be started
	waiting int       // pods
}

// start has all go on, in no order that matters.
func (r *racers) start(ctx context.Context) (string, error) {
	_, err := r.first.Heal(ctx)
	for _, a := range r.others {
		_, failed := a.Heal(ctx)
		err = errors.Join(err, failed)
	}
	return "", err
}

// run starts the others, and lets the first go on as soon as they serve, which is
// before they have listed the pods: whoever waited for their first binding would
// come too late, because they bind a hundred pods in half a second.
func (r *racers) run(ctx context.Context) (evidence string, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, effectBound, fmt.Errorf("it had %v", effectBound))
	defer cancel()
	var starting sync.WaitGroup
	failed := make([]error, len(r.others))
	for i, a := range r.others {
		starting.Go(func() { _, failed[i] = a.Heal(ctx) })
	}
	starting.Wait()
	_, err = r.first.Heal(ctx)
	if err := errors.Join(err, errors.Join(failed...)); err != nil {
		return "", err
	}
	return r.bindings(ctx)
}

// elected fails unless the schedulers elect a leader: then those that are started
// may have to wait for the first.
func (r *racers) elected(ctx context.Context) error {
	_, err := r.e.API.CoordinationV1().Leases(metav1.NamespaceSystem).Get(ctx, r.kind, metav1.GetOptions{})
	return err
}

// bindings waits until the schedulers have bound pods, as they say themselves
// (scheduler_schedule_attempts_total): the one that leads, or else all of them. One
// with fewer than a twentieth of all pods was no match for another.
func (r *racers) bindings(ctx context.Context) (evidence string, err error) {
	err = await(ctx, "pods to be bound", func(ctx context.Context) error {
		var say []string
		idle := 0
		for _, name := range instances(r.kind, 1, count(r.e.Plane, r.kind)) {
			metrics, err := r.e.Plane.Metrics(ctx, name)
			if err != nil {
				return err
			}
			n := sumOf(string(metrics), "scheduler_schedule_attempts_total", `result="scheduled"`)
			if n == 0 || n < float64(r.waiting)/20 {
				idle++
			}
			say = append(say, fmt.Sprintf("%s has bound %.0f pods", name, n))
		}
		evidence = strings.Join(say, ", ")
		if err := r.elected(ctx); idle == len(say) || idle > 0 && err != nil {
			return errors.Join(errors.New(evidence), err)
		}
		return nil
	})
	return evidence, err
}

// scheduled counts the pods that are for the schedulers, and those without a node.
func scheduled(ctx context.Context, e *Env) (made, waiting int, err error) {
	pods, err := e.API.CoreV1().Pods("").List(ctx, metav1.ListOptions{FieldSelector: "spec.schedulerName=" + corev1.DefaultSchedulerName})
	if err != nil {
		return 0, 0, err
	}
	for i := range pods.Items {
		if pods.Items[i].Spec.NodeName == "" {
			waiting++
		}
	}
	return len(pods.Items), waiting, nil
}
