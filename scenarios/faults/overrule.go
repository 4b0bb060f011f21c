package faults

import (
	"context"
	"errors"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// overruled is what the objects are named after that are made for it.
const overruled = "planecheck-overruled"

// overrule does what no controller would, as the API allows it to a client: it lets a
// ReplicaSet ask for more pods than its Deployment may have, counts a pod of a Job
// that there is not, and finalizes a namespace that is not empty.
func overrule(ctx context.Context, e *Env, _ string) (*Active, error) {
	set, err := overscale(ctx, e)
	if err == nil {
		err = overcount(ctx, e)
	}
	if err == nil {
		err = evict(ctx, e)
	}
	if err != nil {
		return nil, err
	}
	return &Active{Evidence: fmt.Sprintf("ReplicaSet %s asked for too many pods, Job %s counts one too many, namespace %s is gone and was not empty",
		set, overruled, overruled)}, nil
}

// overscale lets a ReplicaSet of a Deployment ask for more than twice its pods.
func overscale(ctx context.Context, e *Env) (name string, err error) {
	err = await(ctx, "a ReplicaSet to be scaled", func(ctx context.Context) error {
		sets, err := e.API.AppsV1().ReplicaSets("").List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		for _, set := range sets.Items {
			if rolls(&set) {
				name = set.Name
				*set.Spec.Replicas = 2**set.Spec.Replicas + 2
				_, err := e.API.AppsV1().ReplicaSets(set.Namespace).Update(ctx, &set, metav1.UpdateOptions{})
				return err
			}
		}
		return errors.New("there is no ReplicaSet of a Deployment")
	})
	return name, err
}

// rolls says that a ReplicaSet is one of a Deployment, and asks for pods.
func rolls(set *appsv1.ReplicaSet) bool {
	owner := metav1.GetControllerOf(set)
	return owner != nil && owner.Kind == "Deployment" && set.DeletionTimestamp == nil && *set.Spec.Replicas > 0
}

// overcount makes a Job that is suspended, so that it has no pods, and says that one
// of them has succeeded.
func overcount(ctx context.Context, e *Env) error {
	suspend, completions := true, int32(2)
	jobs := e.API.BatchV1().Jobs(metav1.NamespaceDefault)
	job := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Name: overruled}, Spec: batchv1.JobSpec{
		Suspend: &suspend, Completions: &completions, Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{
			RestartPolicy: corev1.RestartPolicyNever, Containers: []corev1.Container{{Name: "c", Image: "example.com/none:1"}},
		}},
	}}
	if _, err := jobs.Create(ctx, job, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("make a Job: %w", err)
	}
	return await(ctx, "a Job to count a pod", func(ctx context.Context) error {
		job, err := jobs.Get(ctx, overruled, metav1.GetOptions{})
		if err != nil {
			return err
		}
		job.Status.Succeeded = 1
		_, err = jobs.UpdateStatus(ctx, job, metav1.UpdateOptions{})
		return err
	})
}

// evict deletes a namespace with an object in it that nobody removes, and finalizes it.
func evict(ctx context.Context, e *Env) error {
	namespaces := e.API.CoreV1().Namespaces()
	if _, err := namespaces.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: overruled}}, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("make a namespace: %w", err)
	}
	held := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: overruled, Finalizers: []string{"planecheck.dev/held"}}}
	if _, err := e.API.CoreV1().ConfigMaps(overruled).Create(ctx, held, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("make an object in a namespace: %w", err)
	}
	if err := namespaces.Delete(ctx, overruled, metav1.DeleteOptions{}); err != nil {
		return fmt.Errorf("delete a namespace: %w", err)
	}
	return await(ctx, "namespace "+overruled+" to be gone", func(ctx context.Context) error {
		now, err := namespaces.Get(ctx, overruled, metav1.GetOptions{})
		if err != nil {
			return isGone(err)
		}
		now.Spec.Finalizers = nil
		if _, err := namespaces.Finalize(ctx, now, metav1.UpdateOptions{}); err != nil {
			return err
		}
		_, err = namespaces.Get(ctx, overruled, metav1.GetOptions{})
		return isGone(err)
	})
}
