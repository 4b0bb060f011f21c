package endstate

import "strings"

// kindRules are about resources other than Pods.
func kindRules() []rule {
	return []rule{
		{Rule{"cluster IPs", "allocated at random; kept is whether a Service has one"}, []string{"services"}, func(it *item) {
			if text(it.spec(), "clusterIP") != "None" { // a headless Service stays one
				mask(it.spec(), "clusterIP")
				mask(it.spec(), "clusterIPs")
			}
		}},
		{Rule{"node ports", "allocated at random; kept is whether a port has one"}, []string{"services"}, func(it *item) {
			mask(it.spec(), "healthCheckNodePort")
			for _, port := range children(it.spec(), "ports") {
				mask(port, "nodePort")
			}
		}},
		{Rule{"port of the API server", "default/kubernetes leads to where an API server listens, and here each run has its own port"}, []string{"services"}, func(it *item) {
			if it.namespace != "default" || it.name != "kubernetes" {
				return
			}
			for _, port := range children(it.spec(), "ports") {
				mask(port, "targetPort")
			}
		}},
		{Rule{"pod ranges of Nodes", "handed out in the order in which Nodes came"}, []string{"nodes"}, func(it *item) {
			delete(it.spec(), "podCIDR")
			delete(it.spec(), "podCIDRs")
		}},
		{Rule{"TTL of Nodes", "follows the number of Nodes with a hysteresis, so it depends on the way"}, []string{"nodes"}, func(it *item) {
			without(it.object, annotations, "node.alpha.kubernetes.io/ttl")
		}},
		{Rule{"times of taints", "kept are the taints, as a set"}, []string{"nodes"}, taints},
		{Rule{"volumes of claims", "which of the fitting volumes was bound, and for which node, is placement"}, []string{"persistentvolumeclaims"}, func(it *item) {
			delete(it.spec(), "volumeName")
			without(it.object, annotations, "volume.kubernetes.io/selected-node", "volume.alpha.kubernetes.io/selected-node")
		}},
		{Rule{"claims of volumes", "which of the fitting claims was bound is placement"}, []string{"persistentvolumes"}, func(it *item) {
			delete(it.spec(), "claimRef")
		}},
		{Rule{"provisioned volumes", "named by the uid of the claim, with a handle of the driver's"}, []string{"persistentvolumes"}, provisioned},
		{Rule{"token Secrets", "a token is signed anew in each run; the Secrets that controllers made have random names"}, []string{"secrets"}, tokenSecret},
		{Rule{"Secrets of service accounts", "names of token Secrets that controllers made"}, []string{"serviceaccounts"}, func(it *item) {
			delete(it.object, "secrets")
		}},
		{Rule{"authorities in ConfigMaps", "each run makes its own certificate authorities: kube-root-ca.crt in each namespace, kube-system/extension-apiserver-authentication"},
			[]string{"configmaps"}, authorities},
		{Rule{"date of token tracking", "kube-system/kube-apiserver-legacy-service-account-token-tracking says on which day the cluster began"},
			[]string{"configmaps"}, func(it *item) {
				if it.namespace == "kube-system" && it.name == "kube-apiserver-legacy-service-account-token-tracking" {
					mask(child(it.object, "data"), "since")
				}
			}},
		{Rule{"trust bundles of signers", "the controller-manager publishes the run's own authority under a hash of it"},
			[]string{"clustertrustbundles.certificates.k8s.io"}, trustBundle},
	}
}

func taints(it *item) {
	for _, taint := range children(it.spec(), "taints") {
		delete(taint, "timeAdded")
	}
	sortValues(it.spec(), "taints", func(v any) string {
		taint, _ := v.(map[string]any)
		return text(taint, "key") + "\x00" + text(taint, "effect")
	})
}

const provisionedBy = "pv.kubernetes.io/provisioned-by"

func provisioned(it *item) {
	if text(child(it.object, annotations...), provisionedBy) == "" {
		return
	}
	kept := map[string]any{}
	for _, key := range []string{"accessModes", "capacity", "persistentVolumeReclaimPolicy", "storageClassName", "volumeMode"} {
		if value, found := it.spec()[key]; found {
			kept[key] = value
		}
	}
	it.object = map[string]any{"spec": kept, "status": it.object["status"]}
	it.name, it.counts, it.generated = "provisioned", map[string]int64{"objects": 1}, true
}

func tokenSecret(it *item) {
	if text(it.object, "type") != "kubernetes.io/service-account-token" {
		return
	}
	for key := range child(it.object, "data") {
		mask(child(it.object, "data"), key)
	}
	mask(child(it.object, annotations...), "kubernetes.io/service-account.uid")
	without(it.object, labels, "kubernetes.io/legacy-token-last-used", "kubernetes.io/legacy-token-invalid-since")
	// The token controller has added its suffix itself, without generateName.
	account := text(child(it.object, annotations...), "kubernetes.io/service-account.name")
	if prefix := account + "-token-"; account != "" && hasGeneratedName(it.name, prefix) {
		it.name, it.counts, it.generated = prefix+"*", map[string]int64{"objects": 1}, true
	}
}

func authorities(it *item) {
	data := child(it.object, "data")
	switch {
	case it.name == "kube-root-ca.crt":
		mask(data, "ca.crt")
	case it.namespace == "kube-system" && it.name == "extension-apiserver-authentication":
		mask(data, "client-ca-file")
		mask(data, "requestheader-client-ca-file")
	}
}

// trustBundle is about the bundles of signers of Kubernetes itself. They are
// named signer:name, with a colon for each slash of the signer.
func trustBundle(it *item) {
	signer := text(it.spec(), "signerName")
	if !strings.HasPrefix(signer, "kubernetes.io/") {
		return
	}
	mask(it.spec(), "trustBundle")
	it.name = strings.ReplaceAll(signer, "/", ":") + ":*"
	it.counts, it.generated = map[string]int64{"objects": 1}, true
}
