package endstate

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const webPod = `pods {"metadata":{"name":"web-1","namespace":"shop","labels":{"app":"web","pod-template-hash":"x"},"ownerReferences":[{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"web-6b","uid":"u","controller":true}],"meta":"w1"},$podspec,$running}`

// However many pods there are, one is kept of each template.
func TestMemoryFollowsTemplates(t *testing.T) {
	b := newBuilder(rules(), nil)
	for i := range 1000 {
		run := fmt.Sprint(i)
		for _, o := range parseObjects(t, run, webPod) {
			if err := b.add(o.resource, o.object); err != nil {
				t.Fatal(err)
			}
		}
	}
	if len(b.found) != 1 || len(b.contents) != 1 || len(b.links) != 0 {
		t.Errorf("1000 pods of one template are kept as %d, with %d contents and %d links", len(b.found), len(b.contents), len(b.links))
	}
	if s := b.state(); len(s.Entries) != 1 || s.Entries[0].Counts["Running, ready"] != 1000 {
		t.Errorf("state: %v", s.Entries)
	}
}

// Names of owners wait for the end, and stand for what the server has named.
func TestOwners(t *testing.T) {
	f := func(name, objects string, want ...string) {
		t.Helper()
		var got []string
		for _, e := range capturedBy(t, rules(), parseObjects(t, "a", objects)).Entries {
			got = append(got, strings.TrimSpace(e.String()+" "+strings.Join(e.Owners, ", ")))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: entries (-want +got)\n%s", name, diff)
		}
	}
	pod := func(n, kind, owner, uid string) string {
		return `pods {"metadata":{"name":"` + n + `","ownerReferences":[{"apiVersion":"x/v1","kind":"` + kind + `","name":"` + owner + `","uid":"` + uid + `","controller":true}]}}` + "\n"
	}
	replicaSet := func(n, uid string) string {
		return `replicasets.apps {"metadata":{"name":"` + n + `","uid":"` + uid + `","ownerReferences":[{"kind":"Deployment","name":"web","uid":"w","controller":true}]},"spec":{"replicas":1}}` + "\n"
	}
	f("two ReplicaSets with one template", pod("p1", "ReplicaSet", "web-1", "r1")+pod("p2", "ReplicaSet", "web-2", "r2")+replicaSet("web-1", "r1")+replicaSet("web-2", "r2"),
		"pods Deployment/web: 2 no phase", "replicasets.apps Deployment/web: 0 available; 2 objects; 0 ready; 2 replicas")
	f("a ReplicaSet that is gone", pod("p1", "ReplicaSet", "web-1", "r1")+replicaSet("web-1", "r2"),
		"pods ReplicaSet/web-1: 1 no phase", "replicasets.apps Deployment/web: 0 available; 1 objects; 0 ready; 1 replicas")
	f("a ReplicaSet of its own name", `replicasets.apps {"metadata":{"name":"mine"},"spec":{"replicas":0}}`, "replicasets.apps mine")
	f("an owner with a generated name", `jobs.batch {"metadata":{"name":"load-abcde","generateName":"load-","uid":"j"}}`+"\n"+pod("p1", "Job", "load-abcde", "j"),
		"jobs.batch load-*: 1 objects", "pods Job/load-*: 1 no phase")
	f("a controller of the plan's own kind", `boxes.example.com {"metadata":{"name":"b1","uid":"b","ownerReferences":[{"kind":"Shelf","name":"s","uid":"s","controller":true}]}}`+"\n"+pod("p1", "Box", "b1", "b"),
		"boxes.example.com b1 Shelf/s (controller)", "pods Shelf/s: 1 no phase")
	f("a Pod as owner", `configmaps {"metadata":{"name":"c","ownerReferences":[{"kind":"Pod","name":"p-x","uid":"p"},{"kind":"Node","name":"n","uid":"n"}]}}`,
		"configmaps c Node/n, Pod/*")
	f("owners of what is counted", `configmaps {"metadata":{"name":"c-abcde","generateName":"c-","ownerReferences":[{"kind":"Pod","name":"p-x","uid":"p"}]}}`,
		"configmaps c-*: 1 objects")
	f("owners in a circle", `configmaps {"metadata":{"name":"c","uid":"c","ownerReferences":[{"kind":"ConfigMap","name":"c","uid":"c","controller":true}]}}`,
		"configmaps c ConfigMap/c (controller)")
	f("a generated prefix that holds a generated name", `resourceclaims.resource.k8s.io {"metadata":{"name":"web-xyz-gpu-abcde","generateName":"web-xyz-gpu-","ownerReferences":[{"kind":"Pod","name":"web-xyz","uid":"p","controller":true}]}}`,
		"resourceclaims.resource.k8s.io Pod/*: 1 objects")
	f("a failed Pod of nobody", `pods {"metadata":{"name":"p"},"status":{"phase":"Failed"}}`, "pods p: 1 Failed")
}

// What a pod costs after it was decoded; a large run has 150,000.
func BenchmarkPod(b *testing.B) {
	raw, err := marshal(parseObjects(b, "a", webPod)[0].object)
	if err != nil {
		b.Fatal(err)
	}
	all := newBuilder(rules(), nil)
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		object := map[string]any{}
		if err := json.Unmarshal(raw, &object); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		if err := all.add("pods", object); err != nil {
			b.Fatal(err)
		}
	}
}
