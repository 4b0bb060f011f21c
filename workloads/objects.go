package workloads

import (
	"fmt"
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/planecheck/planecheck/apiserver/client"
	"github.com/planecheck/planecheck/checkers/history/wire"
)

var (
	deploymentResource = client.Resource{Group: "apps", Version: "v1", Plural: "deployments"}
	replicaSetResource = client.Resource{Group: "apps", Version: "v1", Plural: "replicasets"}
	namespaceResource  = client.Resource{Version: "v1", Plural: "namespaces"}
	serviceResource    = client.Resource{Version: "v1", Plural: "services"}
	accountResource    = client.Resource{Version: "v1", Plural: "serviceaccounts"}
	podResource        = client.Resource{Version: "v1", Plural: "pods"}
)

const (
	// nameLabel is the label by which people expect to find a workload.
	nameLabel = "app.kubernetes.io/name"
	// partLabel marks all that the density workload has made.
	partLabel = "app.kubernetes.io/part-of"
	partValue = "planecheck-density"
	// revisionAnnotation of the pod template makes one revision differ from
	// the next.
	revisionAnnotation = "planecheck.dev/revision"
)

// marshaler is what all types of k8s.io/api are.
type marshaler interface{ Marshal() ([]byte, error) }

// encode returns an object as the body of a request.
func encode(apiVersion, kind string, obj marshaler) ([]byte, error) {
	raw, err := obj.Marshal()
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", kind, err)
	}
	return wire.Wrap(apiVersion, kind, raw), nil
}

func namespaceBody(name string) ([]byte, error) {
	return encode("v1", "Namespace", &corev1.Namespace{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{partLabel: partValue}},
	})
}

// serviceBody builds a Service for the pods of a Deployment.
func serviceBody(d PlannedDeployment) ([]byte, error) {
	return encode("v1", "Service", &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: d.Namespace, Name: d.Name, Labels: map[string]string{partLabel: partValue}},
		Spec: corev1.ServiceSpec{
			Selector: map[string]string{nameLabel: d.Name},
			Ports:    []corev1.ServicePort{{Name: "http", Port: 80}},
		},
	})
}

// deploymentBody builds a Deployment. What a person would leave out is left
// out here, too, so that the API server's defaulting does its work. No token is
// mounted, as in the official load test: the projected volume with its three
// sources, and its mounts in spec and status, would add a sixth to the pod.
func deploymentBody(cfg DensityConfig, d PlannedDeployment, revision int) ([]byte, error) {
	labels := map[string]string{nameLabel: d.Name, partLabel: partValue}
	selector := map[string]string{nameLabel: d.Name}
	replicas, grace := int32(d.Replicas), cfg.GraceSeconds
	// A churn of many rounds must not leave ten empty ReplicaSets for each
	// Deployment; two are enough to roll back.
	kept := int32(2)
	quarter := intstr.FromString("25%") // the default of apps/v1, said aloud
	return encode("apps/v1", "Deployment", &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: d.Namespace, Name: d.Name, Labels: labels},
		Spec: appsv1.DeploymentSpec{
			Replicas:             &replicas,
			RevisionHistoryLimit: &kept,
			Selector:             &metav1.LabelSelector{MatchLabels: selector},
			Strategy: appsv1.DeploymentStrategy{
				Type:          appsv1.RollingUpdateDeploymentStrategyType,
				RollingUpdate: &appsv1.RollingUpdateDeployment{MaxSurge: &quarter, MaxUnavailable: &quarter},
			},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{
					Labels:      labels,
					Annotations: map[string]string{revisionAnnotation: strconv.Itoa(revision)},
				},
				Spec: corev1.PodSpec{
					TerminationGracePeriodSeconds: &grace,
					AutomountServiceAccountToken:  new(bool), // see deploymentBody
					Containers:                    containers(cfg),
				},
			},
		},
	})
}

// containers are one main container and sidecars, alike in size.
func containers(cfg DensityConfig) []corev1.Container {
	requests := corev1.ResourceList{
		corev1.ResourceCPU:    *resource.NewMilliQuantity(cfg.CPUMilli, resource.DecimalSI),
		corev1.ResourceMemory: *resource.NewQuantity(cfg.MemoryMiB<<20, resource.BinarySI),
	}
	list := make([]corev1.Container, cfg.Containers)
	for i := range list {
		name := "app"
		if i > 0 {
			name = "sidecar-" + strconv.Itoa(i)
		}
		list[i] = corev1.Container{
			Name:      name,
			Image:     cfg.Image,
			Resources: corev1.ResourceRequirements{Requests: requests},
		}
	}
	return list
}

// rollBody is the merge patch that starts a rolling update, of the Deployment of
// that UID alone; "": of any.
func rollBody(revision int, uid types.UID) []byte {
	only := ""
	if uid != "" {
		only = fmt.Sprintf(`"metadata":{"uid":%q},`, uid)
	}
	return fmt.Appendf(nil, `{%s"spec":{"template":{"metadata":{"annotations":{%q:"%d"}}}}}`, only, revisionAnnotation, revision)
}
