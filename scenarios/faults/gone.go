package faults

import (
	"context"
	"errors"
	"fmt"
	"syscall"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// orphanName is what the object without an owner, and its owner, are named after.
const orphanName = "planecheck-orphan"

// endManagers ends all controller managers, and leaves work that only they do.
// Nothing mends that: the cluster has to be seen broken in the end.
func endManagers(ctx context.Context, e *Env, kind string) (*Active, error) {
	names := instances(kind, 1, count(e.Plane, kind))
	ended, err := together(ctx, len(names), func(i int) (*Active, error) { return endWith(syscall.SIGTERM)(ctx, e, names[i]) })
	if err != nil {
		return nil, err
	}
	pod, err := deletePod(ctx, e)
	if err == nil {
		err = orphan(ctx, e)
	}
	if err != nil {
		return nil, healed(ctx, ended, err)
	}
	return &Active{Evidence: fmt.Sprintf("all of %s are gone, pod %s too; %s has no owner", kind, pod, orphanName)}, nil
}

// deletePod deletes a pod that a Service selects, and waits until it is gone.
func deletePod(ctx context.Context, e *Env) (name string, err error) {
	services, err := e.API.CoreV1().Services("").List(ctx, metav1.ListOptions{})
	if err != nil {
		return "", fmt.Errorf("look for a Service: %w", err)
	}
	for _, s := range services.Items {
		if len(s.Spec.Selector) == 0 {
			continue
		}
		pods := e.API.CoreV1().Pods(s.Namespace)
		found, err := pods.List(ctx, metav1.ListOptions{LabelSelector: metav1.FormatLabelSelector(metav1.SetAsLabelSelector(s.Spec.Selector))})
		if err != nil {
			return "", fmt.Errorf("look for a pod of Service %s: %w", s.Name, err)
		}
		if len(found.Items) == 0 {
			continue
		}
		name := found.Items[0].Name
		if err := pods.Delete(ctx, name, metav1.DeleteOptions{}); err != nil {
			return "", fmt.Errorf("delete a pod: %w", err)
		}
		return name, await(ctx, "pod "+name+" to be gone", func(ctx context.Context) error {
			_, err := pods.Get(ctx, name, metav1.GetOptions{})
			return isGone(err)
		})
	}
	return "", errors.New("there is no pod of a Service")
}

// isGone fails unless a GET was answered that there is nothing.
func isGone(err error) error {
	switch {
	case err == nil:
		return errors.New("it is still there")
	case apierrors.IsNotFound(err):
		return nil
	}
	return err
}

// orphan makes an object with an owner and deletes the owner.
func orphan(ctx context.Context, e *Env) error {
	maps := e.API.CoreV1().ConfigMaps(metav1.NamespaceDefault)
	owner, err := maps.Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: orphanName + "-owner"}}, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("make an owner: %w", err)
	}
	owned := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: orphanName, OwnerReferences: []metav1.OwnerReference{{
		APIVersion: "v1", Kind: "ConfigMap", Name: owner.Name, UID: owner.UID,
	}}}}
	if _, err := maps.Create(ctx, owned, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("make an object with an owner: %w", err)
	}
	background := metav1.DeletePropagationBackground
	if err := maps.Delete(ctx, owner.Name, metav1.DeleteOptions{PropagationPolicy: &background}); err != nil {
		return fmt.Errorf("delete an owner: %w", err)
	}
	return await(ctx, "an owner to be gone", func(ctx context.Context) error {
		_, err := maps.Get(ctx, owner.Name, metav1.GetOptions{})
		return isGone(err)
	})
}
