package controllers

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// lockNamespace holds the leases of the leader elections.
const lockNamespace = "planecheck-operators"

// Install creates, with the rights of an administrator, what the operators need
// of a cluster: a namespace for their leases, and a role. What exists already
// is left as it is.
func Install(ctx context.Context, admin *rest.Config) error {
	api, err := kubernetes.NewForConfig(admin)
	if err != nil {
		return fmt.Errorf("install simulated controllers: %w", err)
	}
	return install(ctx, api)
}

func install(ctx context.Context, api kubernetes.Interface) error {
	const name = "planecheck:operators"
	meta := metav1.ObjectMeta{Name: name}
	role := &rbacv1.ClusterRole{ObjectMeta: meta, Rules: []rbacv1.PolicyRule{
		{APIGroups: []string{""}, Resources: []string{"pods"}, Verbs: []string{"list", "watch"}},
		{APIGroups: []string{""}, Resources: []string{"configmaps"}, Verbs: []string{"get", "list", "create", "update"}},
		{APIGroups: []string{"coordination.k8s.io"}, Resources: []string{"leases"}, Verbs: []string{"get", "create", "update"}},
	}}
	binding := &rbacv1.ClusterRoleBinding{
		ObjectMeta: meta,
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: name},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.GroupKind, Name: Group}},
	}
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: lockNamespace}}
	steps := []struct {
		what   string
		create func() error
	}{
		{"namespace " + lockNamespace, func() error {
			_, err := api.CoreV1().Namespaces().Create(ctx, namespace, metav1.CreateOptions{})
			return err
		}},
		{"cluster role " + name, func() error {
			_, err := api.RbacV1().ClusterRoles().Create(ctx, role, metav1.CreateOptions{})
			return err
		}},
		{"cluster role binding " + name, func() error {
			_, err := api.RbacV1().ClusterRoleBindings().Create(ctx, binding, metav1.CreateOptions{})
			return err
		}},
	}
	for _, step := range steps {
		if err := step.create(); err != nil && !apierrors.IsAlreadyExists(err) {
			return fmt.Errorf("install simulated controllers: create %s: %w", step.what, err)
		}
	}
	return nil
}
