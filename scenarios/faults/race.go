package faults

import (
	"context"
	"errors"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/planecheck/planecheck/apiserver"
)

// race has all schedulers begin at once with as many pods as there are nodes. If
// they elect no leader, each of them must be seen to bind pods.
func race(ctx context.Context, e *Env, kind string) (*Active, error) {
	var frozen []*Active
	a := &Active{heal: func(ctx context.Context) (string, error) {
		var errs []error
		for _, f := range frozen {
			_, err := f.Heal(ctx)
			errs = append(errs, err)
		}
		if err := errors.Join(errs...); err != nil {
			return "", err
		}
		return bindings(ctx, e, kind)
	}}
	// Not before: what stands still is asked in vain for its figures at the end of
	// each phase.
	err := await(ctx, "the load to begin", func(ctx context.Context) error {
		made, _, err := scheduled(ctx, e)
		if err == nil && made == 0 {
			err = errors.New("there is no pod")
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, name := range instances(kind, 1, count(e.Plane, kind)) {
		f, err := freeze(ctx, e, name)
		if err != nil {
			return nil, undone(ctx, frozen, err)
		}
		frozen = append(frozen, f)
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
		a.Evidence = fmt.Sprintf("%d schedulers stand still, %d of %d pods wait for them", len(frozen), waiting, made)
		if n := len(nodes.Items); made < n || 2*waiting < n {
			return fmt.Errorf("%d of %d pods wait, there are %d nodes", waiting, made, n)
		}
		return nil
	})
	if err != nil {
		return nil, undone(ctx, frozen, err)
	}
	return a, nil
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

// undone heals what has begun of several, and says why.
func undone(ctx context.Context, begun []*Active, why error) error {
	for _, a := range begun {
		why = healed(ctx, a, why)
	}
	return why
}

// bindings waits until the schedulers have bound pods, as they say themselves
// (scheduler_schedule_attempts_total): the one that leads, or else all of them.
func bindings(ctx context.Context, e *Env, kind string) (evidence string, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, effectBound, fmt.Errorf("it had %v", effectBound))
	defer cancel()
	err = await(ctx, "pods to be bound", func(ctx context.Context) error {
		_, err := e.API.CoordinationV1().Leases(metav1.NamespaceSystem).Get(ctx, kind, metav1.GetOptions{})
		elected := err == nil
		if err != nil && !apierrors.IsNotFound(err) {
			return err
		}
		var say []string
		idle := 0
		for _, c := range e.Plane.Components() {
			if c.Kind != apiserver.KubeScheduler {
				continue
			}
			metrics, err := e.Plane.Metrics(ctx, c.Name)
			if err != nil {
				return err
			}
			n := sumOf(string(metrics), "scheduler_schedule_attempts_total", `result="scheduled"`)
			if n == 0 {
				idle++
			}
			say = append(say, fmt.Sprintf("%s has bound %.0f pods", c.Name, n))
		}
		evidence = strings.Join(say, ", ")
		if idle == len(say) || idle > 0 && !elected {
			return errors.New(evidence)
		}
		return nil
	})
	return evidence, err
}
