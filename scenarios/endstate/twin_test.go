package endstate

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// shop is the end of one plan, as one run has left it: everything in it that a
// run decides is marked.
const shop = `
	namespaces {"apiVersion":"v1","kind":"Namespace","metadata":{"name":"shop","labels":{"kubernetes.io/metadata.name":"shop"},"meta":"ns"},"spec":{"finalizers":["kubernetes"]},"status":{"phase":"Active"}}
	configmaps {"metadata":{"name":"kube-root-ca.crt","namespace":"shop","meta":"ca"},"data":{"ca.crt":"<pem a>"}}
	configmaps {"metadata":{"name":"settings","namespace":"shop","meta":"cm"},"data":{"colour":"green","text":"a & b"}}
	secrets {"type":"Opaque","metadata":{"name":"password","namespace":"shop","annotations":{"kubectl.kubernetes.io/last-applied-configuration":"aHVudGVyMg=="},"meta":"pw"},"data":{"password":"aHVudGVyMg=="}}
	serviceaccounts {"metadata":{"name":"default","namespace":"shop","meta":"sa"}}
	nodes {"metadata":{"name":"node-0","labels":{"topology.kubernetes.io/zone":"z-1"},"annotations":{"node.alpha.kubernetes.io/ttl":"0"},"meta":"n0"},"spec":{"podCIDR":"<ip n0>/24","providerID":"sim:///node-0"},"status":{"conditions":[{"type":"MemoryPressure","status":"False"},{"type":"Ready","status":"True","lastHeartbeatTime":"<time n0>"}]}}
	nodes {"metadata":{"name":"node-1","labels":{"topology.kubernetes.io/zone":"z-2"},"meta":"n1"},"spec":{"podCIDR":"<ip n1>/24","providerID":"sim:///node-1"},"status":{"conditions":[{"type":"Ready","status":"True","lastHeartbeatTime":"<time n1>"}]}}
	leases.coordination.k8s.io {"metadata":{"name":"node-0","namespace":"kube-node-lease"},"spec":{"renewTime":"<time l>"}}
	events {"metadata":{"name":"web.<rnd e>","namespace":"shop"},"message":"<rnd e>"}
	services {"metadata":{"name":"web","namespace":"shop","meta":"svc"},"spec":{"type":"NodePort","clusterIP":"<ip svc>","clusterIPs":["<ip svc>"],"ports":[{"name":"http","port":80,"nodePort":<port a>}],"selector":{"app":"web"}},"status":{"loadBalancer":{}}}
	services {"metadata":{"name":"db","namespace":"shop","meta":"svcdb"},"spec":{"clusterIP":"None","clusterIPs":["None"],"selector":{"app":"db"}}}
	endpoints {"metadata":{"name":"web","namespace":"shop","meta":"ep","annotations":{"endpoints.kubernetes.io/last-change-trigger-time":"<time ep>"}},"subsets":[{"addresses":[{"ip":"<ip w1>","nodeName":"<node w>"},{"ip":"<ip w2>"}],"ports":[{"name":"http","port":80,"protocol":"TCP"}]}]}
	endpointslices.discovery.k8s.io {"addressType":"IPv4","metadata":{"name":"web-<rnd s>","generateName":"web-","namespace":"shop","labels":{"kubernetes.io/service-name":"web","endpointslice.kubernetes.io/managed-by":"endpointslice-controller.k8s.io"},"ownerReferences":[{"apiVersion":"v1","kind":"Service","name":"web","uid":"<uid svc>","controller":true}],"meta":"slice"},"endpoints":[{"addresses":["<ip w1>"],"conditions":{"ready":true}},{"addresses":["<ip w2>"],"conditions":{"ready":true}}],"ports":[{"name":"http","port":80,"protocol":"TCP"}]}
	deployments.apps {"metadata":{"name":"web","namespace":"shop","meta":"web","annotations":{"deployment.kubernetes.io/revision":"<num rev>"}},"spec":{"replicas":2,"selector":{"matchLabels":{"app":"web"}},"template":{"metadata":{"labels":{"app":"web"},"annotations":{"planecheck.dev/revision":"2"}},"spec":{"containers":[{"name":"app","image":"shop/web:2"}]}}},"status":{"observedGeneration":7,"replicas":2,"readyReplicas":2,"availableReplicas":2,"conditions":[{"type":"Available","status":"True","lastUpdateTime":"<time web>"}]}}
	replicasets.apps {"metadata":{"name":"web-6b<rnd rs>","namespace":"shop","labels":{"app":"web","pod-template-hash":"6b<rnd rs>"},"annotations":{"deployment.kubernetes.io/revision":"<num rev>","deployment.kubernetes.io/desired-replicas":"2"},"ownerReferences":[{"apiVersion":"apps/v1","kind":"Deployment","name":"web","uid":"<uid web>","controller":true,"blockOwnerDeletion":true}],"meta":"rs"},"spec":{"replicas":2,"selector":{"matchLabels":{"app":"web","pod-template-hash":"6b<rnd rs>"}},"template":{"metadata":{"labels":{"app":"web","pod-template-hash":"6b<rnd rs>"},"annotations":{"planecheck.dev/revision":"2"}},"spec":{"containers":[{"name":"app","image":"shop/web:2"}]}}},"status":{"replicas":2,"readyReplicas":2,"availableReplicas":2}}
	pods {"metadata":{"name":"web-6b<rnd rs>-<rnd w1>","generateName":"web-6b<rnd rs>-","namespace":"shop","labels":{"app":"web","pod-template-hash":"6b<rnd rs>","topology.kubernetes.io/zone":"<zone w1>"},"annotations":{"planecheck.dev/revision":"2"},"ownerReferences":[{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"web-6b<rnd rs>","uid":"<uid rs>","controller":true}],"meta":"w1"},$podspec,$running}
	pods {"metadata":{"name":"web-6b<rnd rs>-<rnd w2>","generateName":"web-6b<rnd rs>-","namespace":"shop","labels":{"app":"web","pod-template-hash":"6b<rnd rs>","topology.kubernetes.io/zone":"<zone w2>"},"annotations":{"planecheck.dev/revision":"2"},"ownerReferences":[{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"web-6b<rnd rs>","uid":"<uid rs>","controller":true}],"meta":"w2"},$podspec,$running}
	statefulsets.apps {"metadata":{"name":"db","namespace":"shop","meta":"db"},"spec":{"replicas":2,"serviceName":"db","template":{"spec":{"containers":[{"name":"db","image":"shop/db:1"}]}}},"status":{"readyReplicas":2,"availableReplicas":2,"currentRevision":"db-<rnd dbr>"}}
	controllerrevisions.apps {"metadata":{"name":"db-<rnd dbr>","namespace":"shop"},"revision":<num dbr>}
	pods {"metadata":{"name":"db-0","generateName":"db-","namespace":"shop","labels":{"controller-revision-hash":"db-<rnd dbr>","apps.kubernetes.io/pod-index":"0","statefulset.kubernetes.io/pod-name":"db-0"},"ownerReferences":[{"apiVersion":"apps/v1","kind":"StatefulSet","name":"db","uid":"<uid db>","controller":true}],"meta":"db0"},"spec":{"hostname":"db-0","nodeName":"<node db0>","volumes":[{"name":"data","persistentVolumeClaim":{"claimName":"data-db-0"}}]},$running}
	pods {"metadata":{"name":"db-1","generateName":"db-","namespace":"shop","labels":{"controller-revision-hash":"db-<rnd dbr>","apps.kubernetes.io/pod-index":"1","statefulset.kubernetes.io/pod-name":"db-1"},"ownerReferences":[{"apiVersion":"apps/v1","kind":"StatefulSet","name":"db","uid":"<uid db>","controller":true}],"meta":"db1"},"spec":{"hostname":"db-1","nodeName":"<node db1>","volumes":[{"name":"data","persistentVolumeClaim":{"claimName":"data-db-1"}}]},$running}
	persistentvolumeclaims {"metadata":{"name":"data-db-0","namespace":"shop","meta":"pvc0"},"spec":{"volumeName":"pvc-<uid pvc0>","resources":{"requests":{"storage":"1Gi"}}},"status":{"phase":"Bound"}}
	persistentvolumes {"metadata":{"name":"pvc-<uid pvc0>","annotations":{"pv.kubernetes.io/provisioned-by":"csi.example.com"},"meta":"pv0"},"spec":{"capacity":{"storage":"1Gi"},"storageClassName":"fast","claimRef":{"name":"data-db-0","uid":"<uid pvc0>"},"csi":{"volumeHandle":"<rnd pv0>"}},"status":{"phase":"Bound"}}
	jobs.batch {"metadata":{"name":"load","namespace":"shop","labels":{"batch.kubernetes.io/controller-uid":"<uid job>","batch.kubernetes.io/job-name":"load"},"meta":"job"},"spec":{"completions":1,"selector":{"matchLabels":{"batch.kubernetes.io/controller-uid":"<uid job>"}},"template":{"metadata":{"labels":{"controller-uid":"<uid job>","job-name":"load"}}}},"status":{"succeeded":1,"failed":<num job>,"conditions":[{"type":"SuccessCriteriaMet","status":"True"},{"type":"Complete","status":"True"}]}}
	pods {"metadata":{"name":"load-<rnd j>","generateName":"load-","namespace":"shop","labels":{"controller-uid":"<uid job>","job-name":"load"},"ownerReferences":[{"apiVersion":"batch/v1","kind":"Job","name":"load","uid":"<uid job>","controller":true}],"meta":"j"},"spec":{"nodeName":"<node j>"},"status":{"phase":"Succeeded"}}
	cronjobs.batch {"metadata":{"name":"tidy","namespace":"shop","meta":"cron"},"spec":{"schedule":"* * * * *"},"status":{"lastScheduleTime":"<time cron>"}}
	jobs.batch {"metadata":{"name":"tidy-<num tidy>","namespace":"shop","ownerReferences":[{"apiVersion":"batch/v1","kind":"CronJob","name":"tidy","uid":"<uid cron>","controller":true}],"meta":"tidy"}}
	pods {"metadata":{"name":"tidy-<num tidy>-<rnd t>","generateName":"tidy-<num tidy>-","namespace":"shop","ownerReferences":[{"apiVersion":"batch/v1","kind":"Job","name":"tidy-<num tidy>","uid":"<uid tidy>","controller":true}],"meta":"t"},"spec":{"nodeName":"<node t>"},"status":{"phase":"Succeeded"}}
	pods {"metadata":{"name":"alone","namespace":"shop","labels":{"topology.kubernetes.io/region":"<zone al>"},"meta":"al"},$podspec,$running}
	customresourcedefinitions.apiextensions.k8s.io {"metadata":{"name":"boxes.shop.example.com","meta":"crd"},"spec":{"group":"shop.example.com","scope":"Namespaced"},"status":{"conditions":[{"type":"Established","status":"True","lastTransitionTime":"<time crd>"}]}}
	boxes.shop.example.com {"apiVersion":"shop.example.com/v1","kind":"Box","metadata":{"name":"red","namespace":"shop","finalizers":["shop.example.com/hold"],"ownerReferences":[{"apiVersion":"apps/v1","kind":"Deployment","name":"web","uid":"<uid web>"}],"meta":"box"},"spec":{"size":3,"parts":[{"id":1},{"id":2}]},"status":{"seen":"<time box>"}}
	boxes.shop.example.com {"metadata":{"name":"crate-<rnd c1>","generateName":"crate-","namespace":"shop","meta":"c1"},"spec":{"size":1}}
	boxes.shop.example.com {"metadata":{"name":"crate-<rnd c2>","generateName":"crate-","namespace":"shop","meta":"c2"},"spec":{"size":1}}
`

// way is what a run with faults has left behind beside that, rightly: an old
// ReplicaSet more, a failed pod that was replaced, a Job of a later minute with its pod.
const way = `
	replicasets.apps {"metadata":{"name":"web-5a","namespace":"shop","ownerReferences":[{"apiVersion":"apps/v1","kind":"Deployment","name":"web","uid":"<uid web>","controller":true}],"meta":"old"},"spec":{"replicas":0,"template":{"metadata":{"annotations":{"planecheck.dev/revision":"1"}}}},"status":{"replicas":0}}
	pods {"metadata":{"name":"web-6b<rnd rs>-<rnd wf>","generateName":"web-6b<rnd rs>-","namespace":"shop","ownerReferences":[{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"web-6b<rnd rs>","uid":"<uid rs>","controller":true}],"meta":"wf"},$podspec,"status":{"phase":"Failed","reason":"OutOfcpu"}}
	jobs.batch {"metadata":{"name":"tidy-<num t2>","namespace":"shop","ownerReferences":[{"apiVersion":"batch/v1","kind":"CronJob","name":"tidy","uid":"<uid cron>","controller":true}],"meta":"tidy2"}}
	pods {"metadata":{"name":"tidy-<num t2>-<rnd tp>","namespace":"shop","ownerReferences":[{"apiVersion":"batch/v1","kind":"Job","name":"tidy-<num t2>","uid":"<uid tidy2>","controller":true}],"meta":"tp"},"status":{"phase":"Succeeded"}}
`

func TestTwinsAreEqual(t *testing.T) {
	want := capturedBy(t, rules(), parseObjects(t, "a", shop))
	objects := parseObjects(t, "b", shop+way)
	for _, order := range []func([]listed){func([]listed) {}, slices.Reverse[[]listed]} {
		order(objects)
		if found := Compare(want, capturedBy(t, rules(), parseAgain(t, objects))); len(found) > 0 {
			t.Errorf("two runs differ:\n%s", strings.Join(said(found), "\n"))
		}
	}
}

// What a run decides must differ in the objects, or the equality above says
// nothing.
func TestTwinsDifferBefore(t *testing.T) {
	if diff := cmp.Diff(parseObjects(t, "a", shop), parseObjects(t, "b", shop), cmp.AllowUnexported(listed{})); diff == "" {
		t.Error("the objects of two runs are the same before normalization")
	}
	a, b := capturedBy(t, nil, parseObjects(t, "a", shop)), capturedBy(t, nil, parseObjects(t, "b", shop))
	if found := len(Compare(a, b)); found < 40 {
		t.Errorf("%d differences without any rule, want nearly all objects", found)
	}
}

// One change of each kind that matters is exactly that difference.
func TestChangesThatMatter(t *testing.T) {
	// f replaces text in the objects of the run with faults; without a
	// replacement the line is taken away.
	f := func(old, now string, want ...string) {
		t.Helper()
		whole := expand(shop)
		text := whole
		if now == "" {
			text = withoutLine(t, whole, old)
		} else if text = strings.Replace(whole, old, now, 1); text == whole {
			t.Fatalf("%q is not in the objects", old)
		}
		twin := capturedBy(t, rules(), parseObjects(t, "a", shop))
		got := said(Compare(twin, capturedBy(t, rules(), parseObjects(t, "b", text+way))))
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s -> %s: differences (-want +got)\n%s", old, now, diff)
		}
	}
	f(`configmaps {"metadata":{"name":"settings"`, "", "missing: configmaps shop/settings")
	f(`configmaps {"metadata":{"name":"settings"`, `configmaps {"metadata":{"name":"Settings"`,
		"surplus: configmaps shop/Settings", "missing: configmaps shop/settings")
	f(`"colour":"green"`, `"colour":"red"`, "differs: configmaps shop/settings\n  data.colour: want \"green\", got \"red\"")
	f(`"colour":"green",`, `"app.io/shape":"round",`,
		"differs: configmaps shop/settings\n  data[\"app.io/shape\"]: want (none), got \"round\"\n  data.colour: want \"green\", got (none)")
	f(`"password":"aHVudGVyMg=="`, `"password":"aHVudGVyMw=="`,
		"differs: secrets shop/password\n  data.password: want \"sha256:b073aefd7c9215dd of 12 bytes\", got \"sha256:f0c09a34442d78df of 12 bytes\"")
	f(`"spec":{"finalizers":["kubernetes"]}`, `"spec":{"finalizers":["kubernetes","other"]}`,
		"differs: namespaces shop\n  spec.finalizers[1]: want (none), got \"other\"")
	f(`"name":"shop","labels"`, `"name":"shop","deletionTimestamp":"<time d>","labels"`, "differs: namespaces shop\n  metadata.deleting: want (none), got true")
	f(`"type":"Ready","status":"True","lastHeartbeatTime":"<time n1>"`, `"type":"Ready","status":"Unknown"`, "differs: nodes node-1\n  status.ready: want \"True\", got \"Unknown\"")
	f(`"providerID":"sim:///node-1"`, `"taints":[{"key":"node.kubernetes.io/unreachable","effect":"NoExecute","timeAdded":"<time t>"}],"providerID":"sim:///node-1"`,
		"differs: nodes node-1\n  spec.taints: want (none), got [{\"effect\":\"NoExecute\",\"key\":\"node.kubernetes.io/unreachable\"}]")
	f(`nodes {"metadata":{"name":"node-1"`, "", "missing: nodes node-1")

	f(`"clusterIP":"None","clusterIPs":["None"]`, `"clusterIP":"<ip db>","clusterIPs":["<ip db>"]`,
		"differs: services shop/db\n  spec.clusterIP: want \"None\", got \"(differs from run to run)\"\n  spec.clusterIPs: want [\"None\"], got \"(differs from run to run)\"")
	f(`"nodePort":<port a>`, `"targetPort":80`,
		"differs: services shop/web\n  spec.ports[0].nodePort: want \"(differs from run to run)\", got (none)\n  spec.ports[0].targetPort: want (none), got 80")
	f(`{"addresses":["<ip w2>"],"conditions":{"ready":true}}`, `{"addresses":["<ip w2>"],"conditions":{"ready":false}}`,
		"differs: endpointslices.discovery.k8s.io shop/Service/web\n  number: not ready on http:80/TCP: want 0, got 1\n  number: ready on http:80/TCP: want 2, got 1")
	f(`endpointslices.discovery`, "",
		"missing: endpointslices.discovery.k8s.io shop/Service/web\n  number: ready on http:80/TCP: want 2, got 0")
	f(`,{"ip":"<ip w2>"}`, ` `, "differs: endpoints shop/web\n  number: ready on http:80/TCP: want 2, got 1")

	f(`"spec":{"replicas":2,"selector":{"matchLabels":{"app":"web"}}`, `"spec":{"replicas":3,"selector":{"matchLabels":{"app":"web"}}`,
		"differs: deployments.apps shop/web\n  spec.replicas: want 2, got 3")
	f(`"replicas":2,"readyReplicas":2,"availableReplicas":2,"conditions"`, `"replicas":2,"readyReplicas":2,"conditions"`,
		"differs: deployments.apps shop/web\n  status.availableReplicas: want 2, got 0")
	f(`"name":"web-6b<rnd rs>-<rnd w2>"`, "", "differs: pods shop/Deployment/web\n  number: Running, ready: want 2, got 1")
	f(`"phase":"Running"`, `"phase":"Pending"`, "differs: pods shop/Deployment/web\n  number: Pending: want 0, got 1\n  number: Running, ready: want 2, got 1")
	f(`"type":"Ready","status":"True","lastTransitionTime"`, `"type":"Ready","status":"False","lastTransitionTime"`,
		"differs: pods shop/Deployment/web\n  number: Running, not ready: want 0, got 1\n  number: Running, ready: want 2, got 1")
	f(`"name":"web-6b<rnd rs>-<rnd w1>"`, `"deletionTimestamp":"<time d>","name":"web-6b<rnd rs>-<rnd w1>"`,
		"differs: pods shop/Deployment/web\n  number: Running, ready: want 2, got 1\n  number: Running, ready, deleting: want 0, got 1")
	f(`"image":"shop/web:2","volumeMounts"`, `"image":"shop/web:1","volumeMounts"`,
		"differs: pods shop/Deployment/web\n  number: Running, ready: want 2, got 1",
		"surplus: pods shop/Deployment/web\n  number: Running, ready: want 0, got 1\n  spec.containers[0].image: want \"shop/web:2\", got \"shop/web:1\"")
	f(`"status":{"replicas":2,"readyReplicas":2,"availableReplicas":2}}`, `"status":{"replicas":2,"readyReplicas":1,"availableReplicas":2}}`,
		"differs: replicasets.apps shop/Deployment/web\n  number: ready: want 2, got 1")
	f(`"spec":{"replicas":2,"selector":{"matchLabels":{"app":"web","pod-template-hash"`, `"spec":{"replicas":4,"selector":{"matchLabels":{"app":"web","pod-template-hash"`,
		"differs: replicasets.apps shop/Deployment/web\n  number: replicas: want 2, got 4")
	// Pods whose ReplicaSet is gone belong to the Deployment no more.
	f(`replicasets.apps {"metadata":{"name":"web-6b<rnd rs>"`, "",
		"missing: pods shop/Deployment/web\n  number: Running, ready: want 2, got 0",
		inRun("b", "surplus: pods shop/ReplicaSet/web-6b<rnd rs>\n  number: Running, ready: want 0, got 2"),
		"missing: replicasets.apps shop/Deployment/web\n  number: available: want 2, got 0\n  number: objects: want 1, got 0\n  number: ready: want 2, got 0\n  number: replicas: want 2, got 0")
	f(`pods {"metadata":{"name":"db-1"`, "", "differs: pods shop/StatefulSet/db\n  number: Running, ready: want 2, got 1")
	f(`pods {"metadata":{"name":"load-`, "", "missing: pods shop/Job/load\n  number: Succeeded: want 1, got 0")
	f(`pods {"metadata":{"name":"alone"`, "", "missing: pods shop/alone\n  number: Running, ready: want 1, got 0")
	f(`"status":{"phase":"Bound"}`, `"status":{"phase":"Lost"}`, "differs: persistentvolumeclaims shop/data-db-0\n  status.phase: want \"Bound\", got \"Lost\"")
	f(`persistentvolumes {`, "", "missing: persistentvolumes provisioned\n  number: objects: want 1, got 0")
	f(`"type":"Complete","status":"True"`, `"type":"Failed","status":"True"`,
		"differs: jobs.batch shop/load\n  status.complete: want \"True\", got \"\"\n  status.failed: want \"\", got \"True\"")
	f(`"schedule":"* * * * *"`, `"schedule":"1 * * * *"`, "differs: cronjobs.batch shop/tidy\n  spec.schedule: want \"* * * * *\", got \"1 * * * *\"")

	f(`customresourcedefinitions`, "", "missing: customresourcedefinitions.apiextensions.k8s.io boxes.shop.example.com")
	f(`{"id":1},{"id":2}`, `{"id":1},{"id":3},{"id":4}`,
		"differs: boxes.shop.example.com shop/red\n  spec.parts[1].id: want 2, got 3\n  spec.parts[2]: want (none), got {\"id\":4}")
	f(`"finalizers":["shop.example.com/hold"],`, ` `, "differs: boxes.shop.example.com shop/red\n  metadata.finalizers: want [\"shop.example.com/hold\"], got (none)")
	f(`"kind":"Deployment","name":"web","uid":"<uid web>"}]`, `"kind":"Deployment","name":"web2","uid":"<uid web2>"}]`,
		"differs: boxes.shop.example.com shop/red\n  owners: want [\"Deployment/web\"], got [\"Deployment/web2\"]")
	f(`boxes.shop.example.com {"metadata":{"name":"crate-<rnd c2>"`, "", "differs: boxes.shop.example.com shop/crate-*\n  number: objects: want 2, got 1")
	f(`"spec":{"size":1}`, `"spec":{"size":2}`,
		"differs: boxes.shop.example.com shop/crate-*\n  number: objects: want 2, got 1",
		"surplus: boxes.shop.example.com shop/crate-*\n  number: objects: want 0, got 1\n  spec.size: want 1, got 2")
}

func withoutLine(t *testing.T, text, part string) string {
	t.Helper()
	var kept []string
	for line := range strings.Lines(text) {
		if !strings.Contains(line, part) {
			kept = append(kept, line)
		}
	}
	if len(kept) == len(slices.Collect(strings.Lines(text))) {
		t.Fatalf("%q is in no line", part)
	}
	return strings.Join(kept, "")
}

// parseAgain copies objects, which normalization changes.
func parseAgain(t *testing.T, objects []listed) []listed {
	t.Helper()
	var list []listed
	for _, o := range objects {
		raw, err := marshal(o.object)
		if err != nil {
			t.Fatal(err)
		}
		object, _ := parse(raw).(map[string]any)
		list = append(list, listed{o.resource, object})
	}
	return list
}
