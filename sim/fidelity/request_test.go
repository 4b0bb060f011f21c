package fidelity

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
)

type tap map[string]Headers

func (t tap) Headers(id string) (Headers, bool) { h, ok := t[id]; return h, ok }

// event builds an audit event of node n-1 from JSON.
func event(t *testing.T, text string) Event {
	t.Helper()
	var e Event
	e.AuditID, e.User.Username = "1", "system:node:n-1"
	if err := json.Unmarshal([]byte(text), &e); err != nil {
		t.Fatal(err)
	}
	return e
}

func side(node string) Side {
	return Side{Node: node, Namespace: "ns-" + node, Wiretap: tap{"1": {ContentType: "application/strategic-merge-patch+json"}, "2": {}}}
}

func TestRequestsOfTwoNodesAreEqual(t *testing.T) {
	const patch = `{"auditID":"1","verb":"patch","requestURI":"/api/v1/namespaces/ns-NODE/pods/web/status?timeout=10s",
	  "user":{"username":"system:node:NODE"},
	  "objectRef":{"resource":"pods","subresource":"status","namespace":"ns-NODE","name":"web"},"responseStatus":{"code":200},
	  "requestObject":{"metadata":{"uid":"UID"},"status":{"$setElementOrder/conditions":[{"type":"A"},{"type":"B"}],
	    "conditions":[{"type":"Ready","status":"True","lastTransitionTime":"TIME"}],"podIP":"ADDRESS",
	    "containerStatuses":[{"name":"a","containerID":"CONTAINER","ready":true,"restartCount":0,"lastState":{}}]}}}`
	render := func(node string, values ...string) Request {
		text := patch
		for i, name := range []string{"NODE", "UID", "TIME", "ADDRESS", "CONTAINER"} {
			text = replaceName(text, name, append([]string{node}, values...)[i])
		}
		return side(node).Requests([]Event{event(t, text)})[0]
	}
	a := render("n-1", "06da4be5-d3be-4b3f-89ac-8c1d79dffa65", "2026-11-21T19:05:21Z", "10.0.0.1", "fake://web_0")
	b := render("n-2", "00000000-d3be-4b3f-89ac-8c1d79dffa65", "2026-11-21T19:05:22Z", "10.128.0.9", "sim://1")
	if diff := cmp.Diff(a, b); diff != "" {
		t.Errorf("two nodes of one behaviour differ:\n%s", diff)
	}
	want := Request{
		Subject: SubjectPod, Pod: "web", Key: "patch pods/status",
		Fields: map[string]string{
			"content type":      "application/strategic-merge-patch+json",
			"response":          "200",
			"query.timeout":     "<duration>",
			"body.metadata.uid": "<uid>",
			"body.status.$setElementOrder/conditions":          "A B",
			"body.status.conditions[Ready].type":               "Ready",
			"body.status.conditions[Ready].status":             "True",
			"body.status.conditions[Ready].lastTransitionTime": "<time>",
			"body.status.podIP":                                "<address>",
			"body.status.containerStatuses[a].name":            "a",
			"body.status.containerStatuses[a].containerID":     "<container>",
			"body.status.containerStatuses[a].ready":           "true",
			"body.status.containerStatuses[a].restartCount":    "0",
			"body.status.containerStatuses[a].lastState":       "{}",
		},
	}
	if diff := cmp.Diff(want, a); diff != "" {
		t.Errorf("request (-want +got):\n%s", diff)
	}
}

func TestRequestsOfOthersAreLeftOut(t *testing.T) {
	f := func(want int, text string) {
		t.Helper()
		if got := side("n-1").Requests([]Event{event(t, text)}); len(got) != want {
			t.Errorf("%s: %d requests, want %d", text, len(got), want)
		}
	}
	f(1, `{"verb":"get","objectRef":{"resource":"nodes"}}`)
	f(1, `{"verb":"watch","objectRef":{"resource":"services"},"user":{"username":"system:kube-proxy"}}`)
	f(0, `{"verb":"get","objectRef":{"resource":"nodes"},"user":{"username":"admin"}}`)
	f(0, `{"verb":"get","objectRef":{"resource":"nodes"},"auditID":"not through the wiretap"}`)
}

func TestSelectorsTellWatchesApart(t *testing.T) {
	e := event(t, `{"verb":"watch","objectRef":{"resource":"pods"},
	  "requestURI":"/api/v1/pods?labelSelector=%21a&fieldSelector=spec.nodeName%3Dn-1&timeoutSeconds=381&watch=true"}`)
	r := side("n-1").Requests([]Event{e})[0]
	if r.Key != "watch pods spec.nodeName=<node> !a" || r.Subject != SubjectWatch {
		t.Errorf("watch is %s %q", r.Subject, r.Key)
	}
	if r.Fields["query.timeoutSeconds"] != "<seconds>" {
		t.Errorf("fields %v", r.Fields)
	}
}

func TestAnUpdateIsWhatItChanges(t *testing.T) {
	const stored = `{"auditID":"1","verb":"create","objectRef":{"resource":"leases","name":"n-1"},
	  "responseObject":{"metadata":{"name":"n-1","resourceVersion":"1","managedFields":[{"manager":"x"}]},
	  "spec":{"holderIdentity":"n-1","leaseDurationSeconds":40,"renewTime":"2026-11-21T19:05:00.1Z"}}}`
	const update = `{"auditID":"2","verb":"update","objectRef":{"resource":"leases","name":"n-1"},
	  "requestObject":{"metadata":{"name":"n-1","resourceVersion":"1"},
	  "spec":{"holderIdentity":"n-1","leaseDurationSeconds":30,"renewTime":"2026-11-21T19:05:10.1Z"}}}`
	got := side("n-1").Requests([]Event{event(t, stored), event(t, update)})[1].Fields
	want := map[string]string{
		"response":                       "0",
		"body.metadata.managedFields":    absent,
		"body.spec.leaseDurationSeconds": "30",
		"body.spec.renewTime":            "<time>",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("changes of the update (-want +got):\n%s", diff)
	}
}
