package object

import "strings"

// root begins the keys of an API server with the default --etcd-prefix.
const root = "/registry/"

// Locate says which resource a key of the store belongs to: the plural, and the
// API group that serves it, "" for core. Both are "" where the key is that of
// no object of the API, such as /registry/masterleases/10.0.0.1.
//
// A custom resource is at /registry/<group>/<plural>/..., and every group of
// one has a dot; so are apiextensions.k8s.io and apiregistration.k8s.io. All
// else is at /registry/<plural>/..., but for some old names
// (SpecialDefaultResourcePrefixes in k8s.io/kubernetes/pkg/kubeapiserver).
func Locate(key string) (group, resource string) {
	rest, found := strings.CutPrefix(key, root)
	if !found {
		return "", ""
	}
	first, rest, found := strings.Cut(rest, "/")
	if !found || rest == "" {
		return "", ""
	}
	if strings.Contains(first, ".") {
		resource, _, found = strings.Cut(rest, "/")
		if !found || resource == "" {
			return "", ""
		}
		return first, resource
	}
	if first == "services" {
		switch second, name, _ := strings.Cut(rest, "/"); {
		case name == "":
			return "", ""
		case second == "specs":
			return "", "services"
		case second == "endpoints":
			return "", "endpoints"
		}
		return "", ""
	}
	if renamed, is := oldNames[first]; is {
		first = renamed
	}
	group, known := groups[first]
	if !known {
		return "", ""
	}
	return group, first
}

// BuiltIn says that a resource is one of Kubernetes' own which Locate finds: whatever
// was stored of it is known.
func BuiltIn(group, resource string) bool {
	if group == "" && (resource == "services" || resource == "endpoints") {
		return true
	}
	of, known := groups[resource]
	return known && of == group
}

var oldNames = map[string]string{
	"minions": "nodes", "controllers": "replicationcontrollers", "ingress": "ingresses",
}

// groups has the built-in resources of Kubernetes v1.37 by what
// k8s.io/kubernetes/pkg/registry/*/rest installs. Events are served by
// events.k8s.io too.
var groups = index(map[string]string{
	"": `configmaps events limitranges namespaces nodes persistentvolumeclaims persistentvolumes pods podtemplates
		replicationcontrollers resourcequotas secrets serviceaccounts`,
	"admissionregistration.k8s.io": `mutatingadmissionpolicies mutatingadmissionpolicybindings mutatingwebhookconfigurations
		validatingadmissionpolicies validatingadmissionpolicybindings validatingwebhookconfigurations`,
	"apps":                         `controllerrevisions daemonsets deployments replicasets statefulsets`,
	"autoscaling":                  `horizontalpodautoscalers`,
	"batch":                        `cronjobs jobs`,
	"certificates.k8s.io":          `certificatesigningrequests clustertrustbundles podcertificaterequests`,
	"coordination.k8s.io":          `leasecandidates leases`,
	"discovery.k8s.io":             `endpointslices`,
	"flowcontrol.apiserver.k8s.io": `flowschemas prioritylevelconfigurations`,
	"internal.apiserver.k8s.io":    `storageversions`,
	"lifecycle.k8s.io":             `evictionrequests evictions`,
	"networking.k8s.io":            `ingressclasses ingresses ipaddresses networkpolicies servicecidrs`,
	"node.k8s.io":                  `runtimeclasses`,
	"policy":                       `poddisruptionbudgets`,
	"rbac.authorization.k8s.io":    `clusterrolebindings clusterroles rolebindings roles`,
	"resource.k8s.io": `deviceclasses devicetaintrules resourceclaims resourceclaimtemplates resourcepoolstatusrequests
		resourceslices`,
	"scheduling.k8s.io":       `compositepodgroups podgroups priorityclasses workloads`,
	"storage.k8s.io":          `csidrivers csinodes csistoragecapacities storageclasses volumeattachments volumeattributesclasses`,
	"storagemigration.k8s.io": `storageversionmigrations`,
})

func index(byGroup map[string]string) map[string]string {
	groups := map[string]string{}
	for group, resources := range byGroup {
		for _, resource := range strings.Fields(resources) {
			groups[resource] = group
		}
	}
	return groups
}
