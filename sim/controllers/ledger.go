package controllers

import (
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"strconv"
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// summary is all that an operator keeps of a pod. It stands in the informer's
// store in the place of the pod, so it says its own key.
type summary struct {
	namespace, name, version string
	running, ready           bool
}

// GetObjectMeta lets the informer's key function read a summary.
func (s *summary) GetObjectMeta() metav1.Object {
	return &metav1.ObjectMeta{Namespace: s.namespace, Name: s.name, ResourceVersion: s.version}
}

// strip is the informer's transform: it keeps of a pod what is needed.
func strip(obj any) (any, error) {
	switch o := obj.(type) {
	case *corev1.Pod:
		s := &summary{namespace: o.Namespace, name: o.Name, version: o.ResourceVersion, running: o.Status.Phase == corev1.PodRunning}
		for i := range o.Status.Conditions {
			if c := &o.Status.Conditions[i]; c.Type == corev1.PodReady {
				s.ready = c.Status == corev1.ConditionTrue
			}
		}
		return s, nil
	case *summary:
		return o, nil
	}
	return nil, fmt.Errorf("informer of pods brought a %T", obj)
}

// tally counts the pods of a namespace.
type tally struct{ pods, running, ready int }

func (t *tally) add(s *summary, sign int) {
	t.pods += sign
	if s.running {
		t.running += sign
	}
	if s.ready {
		t.ready += sign
	}
}

// status is what the operator writes about a namespace.
func (t tally) status() map[string]string {
	return map[string]string{
		"pods": strconv.Itoa(t.pods), "running": strconv.Itoa(t.running), "ready": strconv.Itoa(t.ready),
	}
}

// ledger holds the tallies of the namespaces of one operator.
type ledger struct {
	operator, operators int

	mu      sync.Mutex
	tallies map[string]tally
}

func newLedger(operator, operators int) *ledger {
	return &ledger{operator: operator, operators: operators, tallies: map[string]tally{}}
}

// owns says whether the namespace is in the operator's share.
func (l *ledger) owns(namespace string) bool {
	h := fnv.New32a()
	h.Write([]byte(namespace))
	return int(h.Sum32()%uint32(l.operators)) == l.operator
}

// change replaces one state of a pod by another; nil means that there is none.
// It returns whether the status of its namespace changes with it.
func (l *ledger) change(from, to *summary) bool {
	namespace := ""
	var delta tally
	if from != nil {
		namespace = from.namespace
		delta.add(from, -1)
	}
	if to != nil {
		namespace = to.namespace
		delta.add(to, 1)
	}
	if delta == (tally{}) {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.tallies[namespace]
	t = tally{t.pods + delta.pods, t.running + delta.running, t.ready + delta.ready}
	if t == (tally{}) {
		delete(l.tallies, namespace)
	} else {
		l.tallies[namespace] = t
	}
	return true
}

func (l *ledger) of(namespace string) tally {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.tallies[namespace]
}

// namespaces returns those that have a tally.
func (l *ledger) namespaces() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Collect(maps.Keys(l.tallies))
}
