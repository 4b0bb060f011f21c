package contract

import (
	"encoding/json"
	"fmt"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/planecheck/planecheck/apiserver/client"
	"github.com/planecheck/planecheck/checkers/history/wire"
)

const (
	// group of the custom resource, and of the labels and finalizers.
	group = "contract.planecheck.dev"
	// schedulerName names no scheduler: the pods stay unscheduled, so that
	// deleting them takes effect at once.
	schedulerName = "contract.planecheck/none"
	// nodeName is the node, which does not exist, that some pods are bound to,
	// so that deleting them takes grace.
	nodeName = "contract-none"

	partLabel  = "app.kubernetes.io/part-of" // marks all that the workload has made
	partValue  = "planecheck-contract"
	colorLabel = group + "/color" // changes, so that objects move between selectors
	// originLabel is "fixed" or "generated".
	originLabel = group + "/origin"
	// contestedLabel is what the managers of server-side apply fight for.
	contestedLabel = group + "/contested"
	// madeAnnotation is no mark. It keeps metadata.annotations from being
	// empty, without which a JSON patch has nowhere to add a mark.
	madeAnnotation = group + "/made-by"
	finalizer      = group + "/hold"

	graceSeconds = 30 // of a pod that is bound
)

const (
	jsonType     = "application/json"
	jsonPatch    = "application/json-patch+json"
	mergePatch   = "application/merge-patch+json"
	strategic    = "application/strategic-merge-patch+json"
	applyPatch   = "application/apply-patch+yaml"
	protobufType = "" // the client's default
)

// kind is one of the kinds of object that take part.
type kind struct {
	resource         client.Resource
	apiVersion, name string
	// custom kinds have no protobuf and no strategic merge patch.
	custom bool
	blank  func() metav1.Object
	// fill sets what a new object needs beside its metadata.
	fill func(metav1.Object)
	// change alters what is not metadata; nil where that is immutable.
	change func(o metav1.Object, value string)
}

var kinds = []*kind{
	{
		resource:   client.Resource{Version: "v1", Plural: "configmaps"},
		apiVersion: "v1", name: "ConfigMap",
		blank: func() metav1.Object { return &corev1.ConfigMap{} },
		fill:  func(metav1.Object) {},
		change: func(o metav1.Object, value string) {
			o.(*corev1.ConfigMap).Data = map[string]string{"note": value}
		},
	},
	{
		resource:   client.Resource{Version: "v1", Plural: "pods"},
		apiVersion: "v1", name: "Pod",
		blank: func() metav1.Object { return &corev1.Pod{} },
		fill:  func(o metav1.Object) { o.(*corev1.Pod).Spec = podSpec() },
	},
	{
		resource:   client.Resource{Group: "coordination.k8s.io", Version: "v1", Plural: "leases"},
		apiVersion: "coordination.k8s.io/v1", name: "Lease",
		blank:  func() metav1.Object { return &coordinationv1.Lease{} },
		fill:   func(metav1.Object) {},
		change: func(o metav1.Object, value string) { o.(*coordinationv1.Lease).Spec.HolderIdentity = &value },
	},
	{
		resource:   client.Resource{Group: group, Version: "v1", Plural: "widgets"},
		apiVersion: group + "/v1", name: "Widget", custom: true,
		blank: func() metav1.Object { return &unstructured.Unstructured{} },
		fill: func(o metav1.Object) {
			o.(*unstructured.Unstructured).Object["spec"] = map[string]any{}
		},
		change: func(o metav1.Object, value string) {
			// The object is a map that came from JSON or from fill, so the
			// path is never taken by a scalar.
			_ = unstructured.SetNestedField(o.(*unstructured.Unstructured).Object, value, "spec", "note")
		},
	},
}

func kindNamed(plural string) *kind {
	for _, k := range kinds {
		if k.resource.Plural == plural {
			return k
		}
	}
	return nil
}

// pod says whether objects of the kind can be bound and have a status.
func (k *kind) pod() bool { return k.name == "Pod" }

func podSpec() corev1.PodSpec {
	grace := int64(graceSeconds)
	return corev1.PodSpec{
		SchedulerName:                 schedulerName,
		TerminationGracePeriodSeconds: &grace,
		AutomountServiceAccountToken:  new(bool), // a token's volume would make the pod six times as large
		Containers:                    []corev1.Container{{Name: "none", Image: "registry.k8s.io/pause:3.10"}},
	}
}

// fresh returns a new object, without a name.
func (k *kind) fresh(namespace string) metav1.Object {
	o := k.blank()
	if u, ok := o.(*unstructured.Unstructured); ok {
		u.Object = map[string]any{"apiVersion": k.apiVersion, "kind": k.name}
	}
	o.SetNamespace(namespace)
	o.SetAnnotations(map[string]string{madeAnnotation: "planecheck"})
	k.fill(o)
	return o
}

// contentType is that of whole objects of the kind.
func (k *kind) contentType() string {
	if k.custom {
		return jsonType
	}
	return protobufType
}

// encode returns o as the body of a request.
func (k *kind) encode(o metav1.Object) ([]byte, error) {
	if u, ok := o.(*unstructured.Unstructured); ok {
		return json.Marshal(u.Object)
	}
	m, ok := o.(interface{ Marshal() ([]byte, error) })
	if !ok {
		return nil, fmt.Errorf("encode %s: %T has no protobuf", k.name, o)
	}
	raw, err := m.Marshal()
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", k.name, err)
	}
	return wire.Wrap(k.apiVersion, k.name, raw), nil
}

// decode reads the whole object of an answer, for the read-modify-writes.
func (k *kind) decode(body []byte) (metav1.Object, error) {
	o := k.blank()
	if u, ok := o.(*unstructured.Unstructured); ok {
		if err := json.Unmarshal(body, &u.Object); err != nil {
			return nil, fmt.Errorf("decode %s: %w", k.name, err)
		}
		return o, nil
	}
	_, name, raw, err := wire.Unwrap(body)
	if err != nil {
		return nil, fmt.Errorf("decode %s: %w", k.name, err)
	}
	if name != k.name {
		return nil, fmt.Errorf("decode %s: answer holds a %s", k.name, name)
	}
	if err := o.(interface{ Unmarshal([]byte) error }).Unmarshal(raw); err != nil {
		return nil, fmt.Errorf("decode %s: %w", k.name, err)
	}
	return o, nil
}

// meta is what the workload reads of objects that it does not write back.
type meta struct{ namespace, name, uid, version string }

// meta reads the metadata of one object of an answer or of a watch.
func (k *kind) meta(body []byte) (meta, error) {
	if !k.custom {
		_, name, raw, err := wire.Unwrap(body)
		if err != nil {
			return meta{}, err
		}
		if name != k.name {
			return meta{}, fmt.Errorf("answer holds a %s, not a %s", name, k.name)
		}
		return scanMeta(raw)
	}
	var o struct {
		Kind     string
		Metadata metav1.ObjectMeta
	}
	if err := json.Unmarshal(body, &o); err != nil {
		return meta{}, err
	}
	if o.Kind != k.name {
		return meta{}, fmt.Errorf("answer holds a %s, not a %s", o.Kind, k.name)
	}
	return metaOf(&o.Metadata), nil
}

func scanMeta(raw []byte) (meta, error) {
	m, err := wire.ScanMeta(raw)
	return meta{m.Namespace, m.Name, m.UID, m.ResourceVersion}, err
}

func metaOf(o metav1.Object) meta {
	return meta{o.GetNamespace(), o.GetName(), string(o.GetUID()), o.GetResourceVersion()}
}

// listMeta reads a list answer.
func (k *kind) listMeta(body []byte) (version, next string, items []meta, err error) {
	if !k.custom {
		_, _, raw, err := wire.Unwrap(body)
		if err != nil {
			return "", "", nil, err
		}
		info, err := wire.ScanList(raw, func(item []byte) error {
			m, err := scanMeta(item)
			items = append(items, m)
			return err
		})
		return info.ResourceVersion, info.Continue, items, err
	}
	var l struct {
		Metadata metav1.ListMeta
		Items    []struct{ Metadata metav1.ObjectMeta }
	}
	if err := json.Unmarshal(body, &l); err != nil {
		return "", "", nil, err
	}
	for i := range l.Items {
		items = append(items, metaOf(&l.Items[i].Metadata))
	}
	return l.Metadata.ResourceVersion, l.Metadata.Continue, items, nil
}
