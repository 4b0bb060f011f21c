package scenarios

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/scheme"

	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/scenarios/faults"
)

// doomed is a pod as an API server stores it, with the condition that the control
// plane sets before it evicts one.
func doomed(t *testing.T, namespace, name, node string, status corev1.ConditionStatus, reason string) history.Commit {
	t.Helper()
	return committed(t, podKeys+namespace+"/"+name, &corev1.Pod{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"}, ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, UID: "u"},
		Spec:   corev1.PodSpec{NodeName: node},
		Status: corev1.PodStatus{Conditions: []corev1.PodCondition{{Type: corev1.DisruptionTarget, Status: status, Reason: reason}}},
	})
}

// committed is an object as an API server stores it.
func committed(t *testing.T, key string, o runtime.Object) history.Commit {
	t.Helper()
	info, _ := runtime.SerializerInfoForMediaType(scheme.Codecs.SupportedMediaTypes(), runtime.ContentTypeProtobuf)
	value, err := runtime.Encode(scheme.Codecs.EncoderForVersion(info.Serializer, corev1.SchemeGroupVersion), o)
	if err != nil {
		t.Fatal(err)
	}
	return history.Commit{Key: key, Value: value}
}

// An eviction is wrong where the node was there all the time, whatever became of
// the control plane; only where that was away for longer than the grace period is
// nothing said.
func TestEvictions(t *testing.T) {
	second := func(n int) history.Time { return history.Time(time.Duration(n) * time.Second) }
	f := func(what string, want checkers.Outcome, wrong int, tell func(*evictions, func(at int, namespace, name, node string)), strikes ...*strike) {
		t.Helper()
		e := newEvictions()
		tell(e, func(at int, namespace, name, node string) {
			c := doomed(t, namespace, name, node, corev1.ConditionTrue, "DeletionByTaintManager")
			c.Returned = second(at)
			e.commit(c)
		})
		if v := e.judge(strikes); v.Outcome != want || len(e.wrong(0, second(1000))) != wrong {
			t.Errorf("%s: %s, %d wrong; want %s, %d", what, v, len(e.wrong(0, second(1000))), want, wrong)
		}
	}
	beats := func(e *evictions, node string, seconds ...int) {
		for _, at := range seconds {
			e.commit(history.Commit{Key: nodeLeases + node, Returned: second(at)})
		}
	}
	type evict = func(at int, namespace, name, node string)
	alive := func(e *evictions, evict evict) {
		beats(e, "n", 1, 11, 21, 31)
		evict(35, "density-000", "p", "n")
		evict(36, "density-000", "p", "n") // it is told of again
	}
	f("none", checkers.Pass, 0, func(e *evictions, _ evict) { beats(e, "n", 1, 11) })
	f("a node that was there", checkers.Fail, 1, alive)
	f("under a short fault", checkers.Fail, 1, alive, &strike{area: faults.APIServer, injected: second(20), healed: second(30)})
	f("under a long fault", checkers.NotExercised, 1, alive, &strike{area: faults.Etcd, injected: second(2), healed: second(30)})
	f("long after a long fault", checkers.Fail, 1, func(e *evictions, evict evict) {
		beats(e, "n", 60, 70, 80, 90)
		evict(95, "density-000", "p", "n")
	}, &strike{area: faults.Etcd, injected: second(2), healed: second(30)})
	f("other nodes are away", checkers.Fail, 1, alive, &strike{area: faults.Nodes, injected: second(2), healed: second(30)})
	f("a node that flaps, and says so each time", checkers.Fail, 1, func(e *evictions, evict evict) {
		beats(e, "n", 1, 11, 14, 17, 20)
		evict(21, "density-000", "p", "n")
	}, &strike{area: faults.Nodes, injected: second(13), healed: second(20)})
	f("a node without power", checkers.Pass, 0, func(e *evictions, evict evict) {
		beats(e, "n", 1, 11)
		evict(39, "density-000", "p", "n")
		beats(e, "n", 50)
		evict(52, "density-000", "q", "n")
	}, &strike{area: faults.Nodes, injected: second(12), healed: second(49)})
	f("a node that was without power, and a fault later", checkers.Fail, 1, func(e *evictions, evict evict) {
		beats(e, "n", 1, 11)
		evict(39, "density-000", "p", "n")
		beats(e, "n", 50, 60, 70, 80, 90)
		evict(91, "density-000", "q", "n")
	}, &strike{area: faults.Nodes, injected: second(12), healed: second(49)}, &strike{area: faults.APIServer, injected: second(85), healed: second(90)})
	f("a node that is silent", checkers.Pass, 0, func(e *evictions, evict evict) {
		beats(e, "n", 1, 11)
		evict(40, "density-000", "p", "n")
	})
	f("a node that was silent", checkers.Pass, 0, func(e *evictions, evict evict) {
		beats(e, "n", 1, 11, 40)
		evict(45, "density-000", "p", "n")
	})
	f("a node that was silent once", checkers.Fail, 1, func(e *evictions, evict evict) {
		beats(e, "n", 1, 11, 40, 50, 60, 70, 80)
		evict(85, "density-000", "p", "n")
	})
	f("contract traffic", checkers.Pass, 0, func(_ *evictions, evict evict) { evict(5, "contract-0", "p", "n") })
	f("the condition is not so", checkers.Pass, 0, func(e *evictions, _ evict) {
		e.commit(doomed(t, "density-000", "p", "n", corev1.ConditionFalse, "DeletionByTaintManager"))
	})
}

// A kubelet may evict pods while its node says that memory is short, or is about to say
// so, or has just said that it no longer is; nobody else may for that.
func TestEvictionsByKubelets(t *testing.T) {
	second := func(n int) history.Time { return history.Time(time.Duration(n) * time.Second) }
	says := func(e *evictions, at int, node string, short corev1.ConditionStatus) {
		c := committed(t, nodeKeys+node, &corev1.Node{
			TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Node"}, ObjectMeta: metav1.ObjectMeta{Name: node, UID: "u"},
			Status: corev1.NodeStatus{Conditions: []corev1.NodeCondition{{Type: corev1.NodeMemoryPressure, Status: short}}},
		})
		c.Returned = second(at)
		e.commit(c)
	}
	f := func(want checkers.Outcome, at int, node, reason string, strikes ...*strike) {
		t.Helper()
		e := newEvictions()
		for now := range at {
			if now%10 == 0 {
				e.commit(history.Commit{Key: nodeLeases + node, Returned: second(now)})
			}
		}
		says(e, 1, "n", corev1.ConditionFalse)
		says(e, 1, "other", corev1.ConditionFalse)
		c := doomed(t, "density-000", "p", node, corev1.ConditionTrue, reason)
		if c.Returned = second(at); at < 100 {
			e.commit(c)
		}
		says(e, 100, "n", corev1.ConditionTrue)
		says(e, 110, "n", corev1.ConditionTrue) // a heartbeat
		says(e, 120, "n", corev1.ConditionFalse)
		e.commit(c)
		if v := e.judge(strikes); v.Outcome != want {
			t.Errorf("%s from %s at %d s: %s", reason, node, at, v)
		}
	}
	long := &strike{area: faults.Etcd, injected: second(1), healed: second(1000)}
	f(checkers.Pass, 100, "n", byKubelet)
	f(checkers.Pass, 119, "n", byKubelet)
	f(checkers.Pass, 95, "n", byKubelet) // it says so later
	f(checkers.Pass, 140, "n", byKubelet)
	f(checkers.Fail, 69, "n", byKubelet)
	f(checkers.Fail, 151, "n", byKubelet)
	f(checkers.Fail, 110, "other", byKubelet)
	f(checkers.Fail, 110, "other", byKubelet, long)
	f(checkers.Fail, 110, "n", "DeletionByTaintManager")
	f(checkers.NotExercised, 110, "n", "DeletionByTaintManager", long)
	lasts := newEvictions()
	says(lasts, 100, "n", corev1.ConditionTrue)
	c := doomed(t, "density-000", "p", "n", corev1.ConditionTrue, byKubelet)
	c.Returned = second(500)
	if lasts.commit(c); lasts.judge(nil).Outcome != checkers.Pass {
		t.Error("a shortage that lasts is over")
	}
}
