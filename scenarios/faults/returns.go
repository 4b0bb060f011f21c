package faults

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// kubeletPrefix is how the API knows the kubelet of a node.
const kubeletPrefix = "system:node:"

// returnNodes cuts nodes off whose pods go on running, until the control plane has
// given them up. The evidence is what it says of them: Ready is Unknown, their
// leases are those of before, their pods are being deleted; and that their kubelets
// run these all the same. They heal when they have come back, and have stopped and
// deleted the pods themselves.
func returnNodes(ctx context.Context, e *Env, target string) (*Active, error) {
	names, err := podNodes(e, target)
	if err != nil {
		return nil, err
	}
	var old []corev1.Pod
	a := &Active{heal: func(ctx context.Context) (string, error) { return rejoin(ctx, e, names, old) }}
	if err := e.Nodes.Cut(names...); err != nil {
		return nil, healed(ctx, a, err)
	}
	since := time.Now()
	e.forget(names)
	return shown(ctx, a, fmt.Sprintf("%d nodes to be given up, whose pods run", len(names)), func(ctx context.Context) error {
		nodes, pods, _, err := abandoned(ctx, e, names)
		if err != nil {
			return err
		}
		beats, err := e.API.CoordinationV1().Leases(corev1.NamespaceNodeLease).List(ctx, metav1.ListOptions{})
		if err == nil {
			err = unheard(names, nodes, beats.Items, since)
		}
		if err != nil {
			return err
		}
		running, err := e.Nodes.Running(names...)
		if err == nil {
			old, err = oldPods(names, pods, running)
		}
		a.Evidence = fmt.Sprintf("%d nodes (%s) have renewed no lease and are Unknown and tainted NoExecute; "+
			"%d pods that are being deleted run there all the same", len(names), strings.Join(names, ", "), len(old))
		return err
	})
}

// unheard fails unless nobody knows whether the nodes are Ready, and each has a lease
// that it has not renewed after a moment.
func unheard(names []string, nodes []corev1.Node, leases []coordinationv1.Lease, since time.Time) error {
	for i := range nodes {
		if n := &nodes[i]; slices.Contains(names, n.Name) && readiness(n) != corev1.ConditionUnknown {
			return fmt.Errorf("node %s: Ready is %q", n.Name, readiness(n))
		}
	}
	seen := 0
	for i := range leases {
		l := &leases[i]
		if !slices.Contains(names, l.Name) {
			continue
		}
		seen++
		if at := l.Spec.RenewTime; at == nil || at.After(since) {
			return fmt.Errorf("the lease of %s was renewed at %v, after it was cut off", l.Name, at)
		}
	}
	if seen != len(names) {
		return fmt.Errorf("%d of %d nodes have a lease", seen, len(names))
	}
	return nil
}

// oldPods are those on the nodes that are being deleted, that the API still shows
// as Running, and that their kubelets run. There must be one at least. Pods of the
// contract traffic come and go.
func oldPods(names []string, pods []corev1.Pod, running []string) (old []corev1.Pod, err error) {
	for i := range pods {
		p := &pods[i]
		if slices.Contains(names, p.Spec.NodeName) && !strings.HasPrefix(p.Namespace, "contract-") && p.DeletionTimestamp != nil &&
			p.Status.Phase == corev1.PodRunning && slices.Contains(running, string(p.UID)) {
			old = append(old, *p)
		}
	}
	if len(old) == 0 {
		return nil, errors.New("no pod that is being deleted runs there")
	}
	return old, nil
}

// rejoin reconnects nodes and waits until they are Ready and have deleted their
// old pods.
func rejoin(ctx context.Context, e *Env, names []string, old []corev1.Pod) (string, error) {
	if err := e.Nodes.Reconnect(names...); err != nil {
		return "", err
	}
	err := await(ctx, fmt.Sprintf("%d nodes to be Ready, and to delete %d old pods", len(names), len(old)), func(ctx context.Context) error {
		if err := readyNodes(ctx, e, names, true); err != nil {
			return err
		}
		pods, err := e.API.CoreV1().Pods(metav1.NamespaceAll).List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		return removed(old, pods.Items, e.Removed)
	})
	return fmt.Sprintf("%d nodes are Ready, their kubelets have deleted %d old pods", len(names), len(old)), err
}

// removed fails unless every one of the old pods is gone, and its own kubelet has
// deleted it.
func removed(old, pods []corev1.Pod, by func(types.UID) (user string)) error {
	for i := range old {
		p := &old[i]
		if slices.ContainsFunc(pods, func(other corev1.Pod) bool { return other.UID == p.UID }) {
			return fmt.Errorf("pod %s/%s is still there", p.Namespace, p.Name)
		}
		if got := by(p.UID); got != kubeletPrefix+p.Spec.NodeName {
			return fmt.Errorf("pod %s/%s of node %s was deleted by %q", p.Namespace, p.Name, p.Spec.NodeName, got)
		}
	}
	return nil
}
