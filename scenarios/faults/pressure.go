package faults

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// mostEvictions is how many pods of a node are evicted at most while its memory is
// short; the pick draws how many.
const mostEvictions = 3

// pressNodes has nodes that run pods run short of memory. The evidence is what the control plane
// shows of it: the Nodes say so and are tainted, so that nothing new comes, and pods on
// them have failed, evicted by their kubelets. It heals when the Nodes say that there
// is enough, and bear the taint no more. That the pods run elsewhere is for the
// guarantees of the cluster to say.
func pressNodes(ctx context.Context, e *Env, target string) (*Active, error) {
	names, err := podNodes(e, target)
	if err != nil {
		return nil, err
	}
	seen := evicted{names: names, pods: map[types.UID]string{}}
	if _, err := seen.look(ctx, e); err != nil {
		return nil, err
	}
	seen.before = maps.Clone(seen.pods)
	clear(seen.pods)
	a := &Active{heal: func(ctx context.Context) (string, error) { return freeNodes(ctx, e, &seen) }}
	if err := e.Nodes.PressMemory(1+int(e.Pick%mostEvictions), names...); err != nil {
		return nil, healed(ctx, a, err)
	}
	return shown(ctx, a, fmt.Sprintf("%d nodes to be short of memory, and to evict pods", len(names)), func(ctx context.Context) error {
		// First, since what was evicted may be gone before its node says why.
		first, err := seen.look(ctx, e)
		if err == nil {
			err = memoryOf(ctx, e, names, true)
		}
		if err == nil && first == "" {
			err = errors.New("no pod was evicted")
		}
		a.Evidence = fmt.Sprintf("%d nodes (%s) say that memory is short, and are tainted; their kubelets have evicted %s, the first of %d so far",
			len(names), strings.Join(names, ", "), first, len(seen.pods))
		return err
	})
}

// freeNodes gives nodes their memory back, and waits until they and the control plane
// have seen it.
func freeNodes(ctx context.Context, e *Env, seen *evicted) (string, error) {
	if err := e.Nodes.FreeMemory(seen.names...); err != nil {
		return "", err
	}
	err := await(ctx, fmt.Sprintf("%d nodes to have memory", len(seen.names)), func(ctx context.Context) error {
		if _, err := seen.look(ctx, e); err != nil {
			return err
		}
		return memoryOf(ctx, e, seen.names, false)
	})
	return fmt.Sprintf("%d nodes have memory and no taint; %d pods were evicted", len(seen.names), len(seen.pods)), err
}

// memoryOf fails unless each of the nodes says that its memory is short, or that it is
// not, and bears the taint for that, or does not.
func memoryOf(ctx context.Context, e *Env, names []string, short bool) error {
	nodes, err := e.API.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	return pressed(names, nodes.Items, short)
}

func pressed(names []string, nodes []corev1.Node, short bool) error {
	found := 0
	for i := range nodes {
		n := &nodes[i]
		if !slices.Contains(names, n.Name) {
			continue
		}
		found++
		says := slices.ContainsFunc(n.Status.Conditions, func(c corev1.NodeCondition) bool {
			return c.Type == corev1.NodeMemoryPressure && c.Status == corev1.ConditionTrue
		})
		tainted := slices.ContainsFunc(n.Spec.Taints, func(t corev1.Taint) bool {
			return t.Key == corev1.TaintNodeMemoryPressure && t.Effect == corev1.TaintEffectNoSchedule
		})
		if says != short || tainted != short {
			return fmt.Errorf("node %s: MemoryPressure is True: %t, tainted: %t", n.Name, says, tainted)
		}
	}
	if found != len(names) {
		return fmt.Errorf("%d of %d nodes are there", found, len(names))
	}
	return nil
}

// evicted are the pods on nodes that their kubelets have evicted, as far as they were
// seen: their owners may be gone soon, and they with them.
type evicted struct {
	names  []string
	before map[types.UID]string // those of before
	pods   map[types.UID]string // the others, by their names
}

// look adds those that are there. It returns the name of one; "": there is none yet.
func (v *evicted) look(ctx context.Context, e *Env) (first string, err error) {
	pods, err := e.API.CoreV1().Pods(metav1.NamespaceAll).List(ctx, metav1.ListOptions{})
	if err != nil {
		return "", err
	}
	v.add(pods.Items)
	for _, name := range v.pods {
		if first == "" || name < first {
			first = name
		}
	}
	return first, nil
}

func (v *evicted) add(pods []corev1.Pod) {
	for i := range pods {
		p := &pods[i]
		if _, old := v.before[p.UID]; !old && slices.Contains(v.names, p.Spec.NodeName) && evictedByKubelet(p) {
			v.pods[p.UID] = p.Namespace + "/" + p.Name
		}
	}
}

// evictedByKubelet says whether a pod has failed because its kubelet has evicted it
// (evictPod in k8s.io/kubernetes/pkg/kubelet/eviction/eviction_manager.go).
func evictedByKubelet(p *corev1.Pod) bool {
	return p.Status.Phase == corev1.PodFailed && p.Status.Reason == "Evicted" &&
		slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool {
			return c.Type == corev1.DisruptionTarget && c.Status == corev1.ConditionTrue && c.Reason == corev1.PodReasonTerminationByKubelet
		})
}
