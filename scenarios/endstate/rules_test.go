package endstate

import (
	"slices"
	"strings"
	"testing"
)

// Every rule is shown to be needed: with all rules two runs are equal, and
// without the one they are not.
func TestEachRule(t *testing.T) {
	shown := map[string]bool{}
	// both is the text of the objects in both runs; with onlyA and onlyB it is
	// what one of the runs has in addition.
	f := func(name, both, onlyA, onlyB string) {
		t.Helper()
		shown[name] = true
		all := rules()
		i := slices.IndexFunc(all, func(r rule) bool { return r.Name == name })
		if i < 0 {
			t.Errorf("there is no rule %q", name)
			return
		}
		compare := func(by []rule) []Difference {
			a := capturedBy(t, by, parseObjects(t, "a", both+"\n"+onlyA))
			b := capturedBy(t, by, parseObjects(t, "b", both+"\n"+onlyB))
			return Compare(a, b)
		}
		if found := compare(all); len(found) > 0 {
			t.Errorf("%s: two runs differ\n%s", name, strings.Join(said(found), "\n"))
		}
		if found := compare(slices.Delete(all, i, i+1)); len(found) == 0 {
			t.Errorf("%s: two runs are equal without it", name)
		}
	}
	for _, i := range ignored {
		f("no "+i.resource, i.resource+` {"metadata":{"name":"x","namespace":"n"},"spec":{"of":"<rnd a>"}}`, "", "")
	}

	f("server metadata", `secrets {"metadata":{"name":"x","namespace":"n","meta":"x","selfLink":"/<rnd x>","deletionTimestamp":"<time x>","deletionGracePeriodSeconds":30}}`, "", "")
	f("status", `deployments.apps {"metadata":{"name":"x"},"status":{"readyReplicas":3,"availableReplicas":3,"collisionCount":<num a>,"conditions":[{"type":"Available","lastUpdateTime":"<time a>"}]}}`, "", "")
	f("order of sets", "", `namespaces {"metadata":{"name":"x","finalizers":["a/b","c/d"]}}`, `namespaces {"metadata":{"name":"x","finalizers":["c/d","a/b"]}}`)
	f("roll-out annotations", `deployments.apps {"metadata":{"name":"x","annotations":{"deployment.kubernetes.io/revision":"<num a>"}}}`, "", "")
	f("leader annotations", `configmaps {"metadata":{"name":"x","annotations":{"control-plane.alpha.kubernetes.io/leader":"<rnd a>"}}}`, "", "")
	f("restart times", `deployments.apps {"metadata":{"name":"x"},"spec":{"template":{"metadata":{"annotations":{"kubectl.kubernetes.io/restartedAt":"<time a>"}}}}}`, "", "")
	f("labels of controllers", `replicasets.apps {"metadata":{"name":"x","labels":{"pod-template-hash":"<rnd a>"}},"spec":{"selector":{"matchLabels":{"pod-template-hash":"<rnd a>"}},"template":{"metadata":{"labels":{"pod-template-hash":"<rnd a>"}}}}}
		jobs.batch {"metadata":{"name":"y"},"spec":{"selector":{"matchLabels":{"batch.kubernetes.io/controller-uid":"<uid a>"}},"template":{"metadata":{"labels":{"controller-uid":"<uid a>"}}}}}`, "", "")

	f("cluster IPs", `services {"metadata":{"name":"x"},"spec":{"clusterIP":"<ip a>","clusterIPs":["<ip a>"]}}`, "", "")
	f("node ports", `services {"metadata":{"name":"x"},"spec":{"healthCheckNodePort":<port b>,"ports":[{"port":80,"nodePort":<port a>}]}}`, "", "")
	f("port of the API server", `services {"metadata":{"name":"kubernetes","namespace":"default"},"spec":{"ports":[{"name":"https","port":443,"targetPort":<port a>}]}}`, "", "")
	f("pod ranges of Nodes", `nodes {"metadata":{"name":"x"},"spec":{"podCIDR":"<ip a>/24","podCIDRs":["<ip a>/24"]}}`, "", "")
	f("TTL of Nodes", `nodes {"metadata":{"name":"x","annotations":{"node.alpha.kubernetes.io/ttl":"<num a>"}}}`, "", "")
	f("times of taints", "", `nodes {"metadata":{"name":"x"},"spec":{"taints":[{"key":"a","effect":"NoSchedule","timeAdded":"<time a>"},{"key":"b","effect":"NoExecute"}]}}`,
		`nodes {"metadata":{"name":"x"},"spec":{"taints":[{"key":"b","effect":"NoExecute","timeAdded":"<time b>"},{"key":"a","effect":"NoSchedule"}]}}`)
	f("volumes of claims", `persistentvolumeclaims {"metadata":{"name":"x","annotations":{"volume.kubernetes.io/selected-node":"<node a>"}},"spec":{"volumeName":"pvc-<uid a>"}}`, "", "")
	f("claims of volumes", `persistentvolumes {"metadata":{"name":"disk-1"},"spec":{"claimRef":{"name":"data-<rnd a>","uid":"<uid a>"}}}`, "", "")
	f("provisioned volumes", `persistentvolumes {"metadata":{"name":"pvc-<uid a>","annotations":{"pv.kubernetes.io/provisioned-by":"csi.example.com"}},"spec":{"capacity":{"storage":"1Gi"},"csi":{"volumeHandle":"<rnd a>"}},"status":{"phase":"Bound"}}`, "", "")
	f("token Secrets", `secrets {"type":"kubernetes.io/service-account-token","metadata":{"name":"robot-token-<rnd a>","annotations":{"kubernetes.io/service-account.name":"robot","kubernetes.io/service-account.uid":"<uid a>"}},"data":{"token":"<rnd a>"}}`, "", "")
	f("Secrets of service accounts", `serviceaccounts {"metadata":{"name":"x"},"secrets":[{"name":"x-token-<rnd a>"}]}`, "", "")
	f("authorities in ConfigMaps", `configmaps {"metadata":{"name":"kube-root-ca.crt","namespace":"n"},"data":{"ca.crt":"<pem a>"}}
		configmaps {"metadata":{"name":"extension-apiserver-authentication","namespace":"kube-system"},"data":{"client-ca-file":"<pem a>","requestheader-client-ca-file":"<pem b>"}}`, "", "")
	f("date of token tracking", `configmaps {"metadata":{"name":"kube-apiserver-legacy-service-account-token-tracking","namespace":"kube-system"},"data":{"since":"<time a>"}}`, "", "")
	f("trust bundles of signers", `clustertrustbundles.certificates.k8s.io {"metadata":{"name":"kubernetes.io:kube-apiserver-serving:<rnd a>"},"spec":{"signerName":"kubernetes.io/kube-apiserver-serving","trustBundle":"<pem a>"}}`, "", "")

	f("placement", `pods {"metadata":{"name":"x","labels":{"topology.kubernetes.io/zone":"<zone a>"}},"spec":{"nodeName":"<node a>"}}
		pods {"metadata":{"name":"d","ownerReferences":[{"apiVersion":"apps/v1","kind":"DaemonSet","name":"d","controller":true}]},"spec":{"affinity":{"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":[{"matchFields":[{"key":"metadata.name","values":["<node a>"]}]}]}}}}}`, "", "")
	f("token volumes", `pods {"metadata":{"name":"x"},$podspec}`, "", "")
	f("ordinals", "", set("0")+indexed("0"), set("1")+indexed("3"))

	f("Jobs of CronJobs", "", `jobs.batch {"metadata":{"name":"c-29","ownerReferences":[{"apiVersion":"batch/v1","kind":"CronJob","name":"c","controller":true}]}}`, "")
	f("failed Pods of controllers", "", `pods {"metadata":{"name":"r-1","ownerReferences":[{"kind":"ReplicaSet","name":"r","controller":true}]},"status":{"phase":"Failed"}}`, "")
	f("Pods by owner", `pods {"metadata":{"name":"r-<rnd a>","ownerReferences":[{"kind":"ReplicaSet","name":"r","controller":true}]},"status":{"phase":"Running"}}`, "", "")
	f("empty ReplicaSets", "", `replicasets.apps {"metadata":{"name":"r-1","ownerReferences":[{"kind":"Deployment","name":"r","controller":true}]},"spec":{"replicas":0},"status":{"replicas":0}}`, "")
	f("ReplicaSets by owner", `replicasets.apps {"metadata":{"name":"r-<rnd a>","ownerReferences":[{"kind":"Deployment","name":"r","controller":true}]},"spec":{"replicas":2}}`, "", "")
	f("EndpointSlices by Service", "", slicesOf(`["<ip a>"]`, `["<ip b>"]`), slicesOf(`["<ip a>","<ip b>"]`))
	f("addresses of Endpoints", `endpoints {"metadata":{"name":"x","annotations":{"endpoints.kubernetes.io/last-change-trigger-time":"<time a>"}},"subsets":[{"addresses":[{"ip":"<ip a>"}],"ports":[{"port":80}]}]}`, "", "")
	f("generated names", `things.example.com {"metadata":{"name":"t-<rnd a>","generateName":"t-"},"spec":{"a":1}}`, "", "")

	for _, r := range Rules() {
		if !shown[r.Name] {
			t.Errorf("no test shows that the rule %q is needed", r.Name)
		}
		if r.Reason == "" {
			t.Errorf("rule %q has no reason", r.Name)
		}
		delete(shown, r.Name) // two of one name could hide each other
	}
}

// What only looks like what a rule is about is compared as it is.
func TestRulesLeaveAlone(t *testing.T) {
	f := func(name, a, b string) {
		t.Helper()
		want, got := capturedBy(t, rules(), parseObjects(t, "a", a)), capturedBy(t, rules(), parseObjects(t, "a", b))
		if len(Compare(want, got)) == 0 {
			t.Errorf("%s: no difference between\n%s\n%s", name, a, b)
		}
	}
	f("somebody's ca.crt", `configmaps {"metadata":{"name":"x","namespace":"n"},"data":{"ca.crt":"a"}}`, `configmaps {"metadata":{"name":"x","namespace":"n"},"data":{"ca.crt":"b"}}`)
	f("the same name elsewhere", `configmaps {"metadata":{"name":"extension-apiserver-authentication","namespace":"n"},"data":{"client-ca-file":"a"}}`,
		`configmaps {"metadata":{"name":"extension-apiserver-authentication","namespace":"n"},"data":{"client-ca-file":"b"}}`)
	f("somebody's date", `configmaps {"metadata":{"name":"x","namespace":"kube-system"},"data":{"since":"a"}}`, `configmaps {"metadata":{"name":"x","namespace":"kube-system"},"data":{"since":"b"}}`)
	f("a volume that a person made", `persistentvolumes {"metadata":{"name":"x"},"spec":{"local":{"path":"/a"}}}`, `persistentvolumes {"metadata":{"name":"x"},"spec":{"local":{"path":"/b"}}}`)
	f("somebody's signer", `clustertrustbundles.certificates.k8s.io {"metadata":{"name":"x"},"spec":{"signerName":"example.com/x","trustBundle":"a"}}`,
		`clustertrustbundles.certificates.k8s.io {"metadata":{"name":"x"},"spec":{"signerName":"example.com/x","trustBundle":"b"}}`)
	const token = `secrets {"type":"kubernetes.io/service-account-token","metadata":{"name":"%s","annotations":{"kubernetes.io/service-account.name":"robot"}},"data":{"token":"x"}}`
	f("a token Secret with a name of its own", strings.Replace(token, "%s", "robot-token", 1), strings.Replace(token, "%s", "robot-token-2", 1))
	f("a token Secret without a token", strings.Replace(token, "%s", "robot-token", 1), strings.Replace(strings.Replace(token, "%s", "robot-token", 1), `"token":"x"`, "", 1))
	f("a name that the server has not made", `things {"metadata":{"name":"t-abcdef","generateName":"t-"}}`, `things {"metadata":{"name":"t-abcdeg","generateName":"t-"}}`)
	const daemon = `pods {"metadata":{"name":"d","ownerReferences":[{"apiVersion":"apps/v1","kind":"DaemonSet","name":"d","controller":true}]},"spec":{"affinity":{"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":[{"matchFields":[{"key":"spec.x","values":["%s"]}]}]}}}}}`
	f("another field of a DaemonSet's affinity", strings.Replace(daemon, "%s", "a", 1), strings.Replace(daemon, "%s", "b", 1))
	const set = `replicasets.apps {"metadata":{"name":"r","ownerReferences":[{"kind":"Deployment","name":"r","controller":true}]},"spec":{"replicas":0},"status":{"replicas":%s}}`
	f("a ReplicaSet that still has pods", strings.Replace(set, "%s", "0", 1), strings.Replace(set, "%s", "1", 1))
	f("a DaemonSet that is not ready", `daemonsets.apps {"metadata":{"name":"x"},"status":{"numberReady":1}}`, `daemonsets.apps {"metadata":{"name":"x"},"status":{"numberReady":2}}`)
	f("addresses not ready", `endpoints {"metadata":{"name":"x"},"subsets":[{"addresses":[{"ip":"1"}]}]}`, `endpoints {"metadata":{"name":"x"},"subsets":[{"notReadyAddresses":[{"ip":"1"}]}]}`)
	f("a label of the template", `pods {"metadata":{"name":"x","labels":{"app":"a"}}}`, `pods {"metadata":{"name":"x","labels":{"app":"b"}}}`)
}

// The server leaves out what is zero, and cuts long prefixes.
func TestWhatServersWriteInTwoWays(t *testing.T) {
	f := func(name, a, b string) {
		t.Helper()
		want, got := capturedBy(t, rules(), parseObjects(t, "a", a)), capturedBy(t, rules(), parseObjects(t, "a", b))
		if found := Compare(want, got); len(found) > 0 {
			t.Errorf("%s:\n%s", name, strings.Join(said(found), "\n"))
		}
	}
	f("zero", `deployments.apps {"metadata":{"name":"x"},"status":{"readyReplicas":0}}`, `deployments.apps {"metadata":{"name":"x"},"status":{}}`)
	f("empty annotations", `deployments.apps {"metadata":{"name":"x","annotations":{"deployment.kubernetes.io/revision":"1"}}}`, `deployments.apps {"metadata":{"name":"x"}}`)
	long := strings.Repeat("a", generatedBase)
	f("a long prefix", `things {"metadata":{"name":"`+long+`12345","generateName":"`+long+`more-"}}`, `things {"metadata":{"name":"`+long+`abcde","generateName":"`+long+`more-"}}`)
}

// set is a pod of a StatefulSet.
func set(n string) string {
	return `pods {"metadata":{"name":"db-` + n + `","labels":{"apps.kubernetes.io/pod-index":"` + n + `","statefulset.kubernetes.io/pod-name":"db-` + n + `"},` +
		`"ownerReferences":[{"apiVersion":"apps/v1","kind":"StatefulSet","name":"db","controller":true}]},` +
		`"spec":{"hostname":"db-` + n + `","subdomain":"db","volumes":[{"name":"data","persistentVolumeClaim":{"claimName":"data-db-` + n + `"}}]}}` + "\n"
}

// indexed is a pod of an indexed Job.
func indexed(n string) string {
	return `pods {"metadata":{"name":"job-` + n + `-<rnd a>","generateName":"job-` + n + `-","labels":{"batch.kubernetes.io/job-completion-index":"` + n + `"},` +
		`"annotations":{"batch.kubernetes.io/job-completion-index":"` + n + `"},` +
		`"ownerReferences":[{"apiVersion":"batch/v1","kind":"Job","name":"job","controller":true}]},"spec":{"hostname":"job-` + n + `"}}` + "\n"
}

// slicesOf are EndpointSlices of one Service, one for each list of addresses.
func slicesOf(lists ...string) string {
	var b strings.Builder
	for _, addresses := range lists {
		b.WriteString(`endpointslices.discovery.k8s.io {"addressType":"IPv4","metadata":{"name":"web-<rnd a>","generateName":"web-","labels":{"kubernetes.io/service-name":"web"}},` +
			`"endpoints":[{"addresses":` + addresses + `,"conditions":{"ready":true},"nodeName":"<node a>"}],"ports":[{"name":"http","port":80,"protocol":"TCP"}]}` + "\n")
	}
	return b.String()
}
