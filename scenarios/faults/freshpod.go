package faults

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
)

// nobody schedules the pods that are only looked for.
const nobody = "planecheck-nobody"

// FreshPods is Fresh with a pod.
func FreshPods(ctx context.Context, api kubernetes.Interface, server string) error {
	return waitingPod(canary+"-"+server).fresh(ctx, api)
}

// waitingPod is one that is there for no longer than it is looked for, and never
// bound, so that it goes at once. A pod of the load may be replaced at any moment.
func waitingPod(name string) subject {
	return subject{
		name: name,
		prepare: func(ctx context.Context, api kubernetes.Interface) (string, error) {
			p := &corev1.Pod{
				ObjectMeta: metav1.ObjectMeta{Name: name},
				Spec: corev1.PodSpec{
					SchedulerName: nobody, AutomountServiceAccountToken: new(bool),
					Containers: []corev1.Container{{Name: "none", Image: "none"}},
				},
			}
			p, err := api.CoreV1().Pods(metav1.NamespaceDefault).Create(ctx, p, metav1.CreateOptions{})
			if err != nil {
				return "", err
			}
			return p.ResourceVersion, nil
		},
		watch: func(ctx context.Context, api kubernetes.Interface, o metav1.ListOptions) (watch.Interface, error) {
			return api.CoreV1().Pods(metav1.NamespaceDefault).Watch(ctx, o)
		},
		write: func(ctx context.Context, api kubernetes.Interface) error {
			return api.CoreV1().Pods(metav1.NamespaceDefault).Delete(ctx, name, metav1.DeleteOptions{})
		},
	}
}
