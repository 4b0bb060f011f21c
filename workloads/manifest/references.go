package manifest

import (
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

// classFields are the fields, known from the API conventions and used by custom
// resources that embed pod templates or claims alike, whose text names a
// cluster-scoped object of one kind.
var classFields = map[string]schema.GroupKind{
	"priorityClassName": {Group: "scheduling.k8s.io", Kind: "PriorityClass"},
	"runtimeClassName":  {Group: "node.k8s.io", Kind: "RuntimeClass"},
	"storageClassName":  {Group: "storage.k8s.io", Kind: "StorageClass"},
	"ingressClassName":  {Group: "networking.k8s.io", Kind: "IngressClass"},
	"gatewayClassName":  {Group: "gateway.networking.k8s.io", Kind: "GatewayClass"},
	"deviceClassName":   {Group: "resource.k8s.io", Kind: "DeviceClass"},
}

var (
	clusterRole = schema.GroupKind{Group: "rbac.authorization.k8s.io", Kind: "ClusterRole"}
	role        = schema.GroupKind{Group: "rbac.authorization.k8s.io", Kind: "Role"}

	serviceAccount = schema.GroupKind{Kind: "ServiceAccount"}
)

// references makes o refer to the objects of its own copy. Only what certainly
// refers to an object of the manifest is changed.
func (c *copyMaker) references(o Object) {
	if c.suffix == "" {
		return
	}
	switch o.GetKind() {
	case "ConfigMap", "Secret": // their fields are data
		return
	case "CustomResourceDefinition": // so are most of its
		c.service(child(child(child(o.Object, "spec"), "conversion"), "webhook"))
		return
	case "RoleBinding", "ClusterRoleBinding":
		c.binding(o)
	case "MutatingWebhookConfiguration", "ValidatingWebhookConfiguration":
		for _, webhook := range list(o.Object, "webhooks") {
			c.service(webhook)
		}
	case "APIService":
		c.namespace(child(child(o.Object, "spec"), "service"))
	}
	c.classes(o.Object)
}

// binding fixes the role and the subjects of a RoleBinding or
// ClusterRoleBinding.
func (c *copyMaker) binding(o Object) {
	ref := child(o.Object, "roleRef")
	switch {
	case ref["kind"] == clusterRole.Kind:
		c.suffixed(ref, "name", c.cluster[clusterRole])
	case ref["kind"] == role.Kind && shared(o.GetNamespace()):
		c.suffixed(ref, "name", c.shared[role])
	}
	for _, subject := range list(o.Object, "subjects") {
		switch subject["kind"] {
		case serviceAccount.Kind:
			if ns, _ := subject["namespace"].(string); shared(ns) {
				c.suffixed(subject, "name", c.shared[serviceAccount])
			}
			c.namespace(subject)
		case "Group":
			c.inUser(subject, "system:serviceaccounts:")
		case "User":
			c.inUser(subject, "system:serviceaccount:")
		}
	}
}

// inUser fixes the namespace in the name of a service account or of the group
// of all service accounts of a namespace.
func (c *copyMaker) inUser(subject map[string]any, prefix string) {
	name, _ := subject["name"].(string)
	rest, ok := strings.CutPrefix(name, prefix)
	if !ok {
		return
	}
	ns, account, _ := strings.Cut(rest, ":")
	to, ok := c.namespaces[ns]
	if !ok {
		return
	}
	if account != "" {
		to += ":" + account
	}
	subject["name"] = prefix + to
}

// service fixes the namespace of the service that a webhook is served by.
func (c *copyMaker) service(webhook map[string]any) {
	c.namespace(child(child(webhook, "clientConfig"), "service"))
}

func (c *copyMaker) namespace(ref map[string]any) {
	if ns, ok := ref["namespace"].(string); ok {
		if to, ok := c.namespaces[ns]; ok {
			ref["namespace"] = to
		}
	}
}

// suffixed fixes a field that holds one of the names.
func (c *copyMaker) suffixed(ref map[string]any, field string, names map[string]bool) {
	if name, ok := ref[field].(string); ok && names[name] {
		ref[field] = name + c.suffix
	}
}

// classes fixes the fields of classFields, wherever they are.
func (c *copyMaker) classes(value any) {
	switch v := value.(type) {
	case map[string]any:
		for key, inner := range v {
			if kind, ok := classFields[key]; ok {
				c.suffixed(v, key, c.cluster[kind])
			}
			c.classes(inner)
		}
	case []any:
		for _, inner := range v {
			c.classes(inner)
		}
	}
}

// child returns a field that holds a map; an empty map if it does not, whose
// changes are lost.
func child(o map[string]any, field string) map[string]any {
	if m, ok := o[field].(map[string]any); ok {
		return m
	}
	return map[string]any{}
}

// list returns the maps in a field that holds a list.
func list(o map[string]any, field string) []map[string]any {
	items, _ := o[field].([]any)
	var maps []map[string]any
	for _, item := range items {
		if m, ok := item.(map[string]any); ok {
			maps = append(maps, m)
		}
	}
	return maps
}
