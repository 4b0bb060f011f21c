package scenarios_test

import (
	"context"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// docs/findings/0020. As with the garbage collector nothing is broken: the API
// server's watches of its store are interrupted for a moment, and the store is
// compacted meanwhile. When this fails, Kubernetes has mended it. Say so there, let
// contract traffic bind pods under faults again, and strike the spec.
var _ = Describe("kube-scheduler", Ordered, func() {
	var (
		b    behind
		deaf = &deafWatches{}
	)
	BeforeAll(func(ctx SpecContext) {
		b = startBehind(ctx, deaf)
		Eventually(ctx, func() error { // a namespace has one a moment after it began
			_, err := b.clients.CoreV1().ServiceAccounts(metav1.NamespaceDefault).Get(ctx, "default", metav1.GetOptions{})
			return err
		}).Should(Succeed(), "there is a service account for pods")
	})
	// replace lets another pod take a name while the scheduler does not see it.
	replace := func(ctx SpecContext, name, from, to string) {
		GinkgoHelper()
		onNode(ctx, b, name, from)
		scheduled(ctx, b, "before-"+name)
		deaf.set(true)
		Expect(b.clients.CoreV1().Pods(metav1.NamespaceDefault).Delete(ctx, name, metav1.DeleteOptions{GracePeriodSeconds: new(int64(0))})).To(Succeed())
		onNode(ctx, b, name, to)
		compact(ctx, b.store)
		deaf.set(false)
	}

	It("goes on when another pod on the same node has taken the name of one before it looks", func(ctx SpecContext) {
		replace(ctx, "same", "node-0", "node-0")
		By("seeing that it has listed, and looks at what came after that")
		scheduled(ctx, b, "after-same")
		Expect(b.plane.Died()).NotTo(Receive())
	})

	It("ends itself when another pod on another node has", func(ctx SpecContext) {
		replace(ctx, "other", "node-1", "node-2")
		var died error
		Eventually(ctx, b.plane.Died()).Should(Receive(&died))
		Expect(died).To(MatchError(And(ContainSubstring("kube-scheduler-0"), ContainSubstring("Scheduler cache is corrupted"))))
	})
})

// onNode creates a pod that is on a node from the first, as by a scheduler of its own.
// The nodes are not there, and after 40 s the pods of each are collected.
func onNode(ctx context.Context, b behind, name, node string) {
	GinkgoHelper()
	_, err := b.clients.CoreV1().Pods(metav1.NamespaceDefault).Create(ctx, &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       corev1.PodSpec{NodeName: node, Containers: []corev1.Container{{Name: "app", Image: "registry.invalid/app:1"}}},
	}, metav1.CreateOptions{})
	Expect(err).NotTo(HaveOccurred())
}

// scheduled creates a pod and waits until the scheduler has tried to find a node for
// it. There is none, so it says so; it knows all that was created before by then.
func scheduled(ctx context.Context, b behind, name string) {
	GinkgoHelper()
	onNode(ctx, b, name, "")
	Eventually(ctx, func() (string, error) {
		pod, err := b.clients.CoreV1().Pods(metav1.NamespaceDefault).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return "", err
		}
		for _, c := range pod.Status.Conditions {
			if c.Type == corev1.PodScheduled {
				return c.Reason, nil
			}
		}
		return "", nil
	}).Should(Equal(corev1.PodReasonUnschedulable))
}
