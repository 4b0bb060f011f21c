package sim

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestEvictionPatchIsTheKubelets holds the patch of an eviction against upstream's
// merge, for pods that somebody else was about to delete or not.
func TestEvictionPatchIsTheKubelets(t *testing.T) {
	for seed := range uint64(100) {
		random := rand.New(rand.NewPCG(seed, 4))
		pod := randomPod(random)
		running := podReport{uid: string(pod.UID), status: statusRunning, hostIP: "10.32.0.1", podIP: "10.128.0.7", now: 1_700_000_001}
		if pod.Spec.HostNetwork {
			running.podIP = running.hostIP
		}
		pod.Status = kubeletStatus(pod, running)
		doomed := corev1.PodCondition{Type: corev1.DisruptionTarget, Reason: "PreemptionByScheduler", LastTransitionTime: metav1.Unix(1_700_000_000, 0)}
		switch random.IntN(4) {
		case 0:
			doomed.Status = corev1.ConditionFalse
			pod.Status.Conditions = slices.Insert(pod.Status.Conditions, random.IntN(len(pod.Status.Conditions)+1), doomed)
		case 1:
			doomed.Status, doomed.Message = corev1.ConditionTrue, "it was in the way"
			pod.Status.Conditions = slices.Insert(pod.Status.Conditions, 0, doomed)
			pod.Status.Reason = "Told"
		}
		r := running
		r.status, r.now, r.exitCode, r.evicted = statusTerminated, 1_700_000_100, 137, "The node was <low> on it. "
		want := kubeletStatus(pod, r)
		want.Reason, want.Message = "Evicted", r.evicted
		want.Conditions = evictedConditions(pod, want.Conditions, r)
		checkPatch(t, pod, r, want)
		if t.Failed() {
			t.Fatalf("seed %d, conditions before: %+v", seed, pod.Status.Conditions)
		}
	}
}

// evictedConditions are those of a report with that of the eviction: in the place of
// the one that there is, or behind those of others.
func evictedConditions(pod *corev1.Pod, conditions []corev1.PodCondition, r podReport) []corev1.PodCondition {
	c := corev1.PodCondition{
		Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: corev1.PodReasonTerminationByKubelet, Message: r.evicted,
		ObservedGeneration: pod.Generation, LastTransitionTime: metav1.NewTime(time.Unix(r.now, 0)),
	}
	isOurs := func(c corev1.PodCondition) bool { return c.Type == corev1.DisruptionTarget }
	if i := slices.IndexFunc(conditions, isOurs); i >= 0 {
		if conditions[i].Status == c.Status {
			c.LastTransitionTime = conditions[i].LastTransitionTime
		}
		conditions[i] = c
		return conditions
	}
	return slices.Insert(conditions, len(conditions)-len(ownConditions), c)
}

// TestRejectionPatchIsTheKubelets does the same for pods that are not admitted.
func TestRejectionPatchIsTheKubelets(t *testing.T) {
	for seed := range uint64(100) {
		pod := randomPod(rand.New(rand.NewPCG(seed, 5)))
		want := corev1.PodStatus{
			Phase: corev1.PodFailed, Reason: "Evicted", Message: refusedMessage, QOSClass: pod.Status.QOSClass,
			ObservedGeneration: pod.Generation, StartTime: new(metav1.Unix(1_700_000_000, 0)),
		}
		for _, c := range pod.Status.Conditions {
			if !isOwnCondition([]byte(c.Type)) {
				want.Conditions = append(want.Conditions, c)
			}
		}
		patch, v := upstreamPatch(t, pod, want)
		got := appendRejection(nil, v, &podReport{uid: string(pod.UID), now: 1_700_000_000, evicted: refusedMessage})
		if d := cmp.Diff(string(patch), string(got)); d != "" {
			t.Errorf("seed %d, -upstream +ours: %s", seed, d)
		}
	}
}
