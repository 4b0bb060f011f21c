package client

import (
	"net/url"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseRequest(t *testing.T) {
	f := func(method, target string, want Request) {
		t.Helper()
		u, err := url.Parse("https://server" + target)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, parseRequest(method, u)); d != "" {
			t.Errorf("%s %s: -want +got:\n%s", method, target, d)
		}
	}
	pods := Resource{"", "v1", "pods"}
	deployments := Resource{"apps", "v1", "deployments"}
	f("GET", "/api/v1/pods", Request{Verb: "list", Resource: pods})
	f("GET", "/api/v1/pods?watch=true&resourceVersion=5", Request{Verb: "watch", Resource: pods})
	f("GET", "/api/v1/pods?watch=1", Request{Verb: "watch", Resource: pods})
	f("GET", "/api/v1/pods?watch=false", Request{Verb: "list", Resource: pods})
	f("GET", "/api/v1/namespaces/ns/pods/p", Request{Verb: "get", Resource: pods, Namespace: "ns", Name: "p"})
	f("POST", "/api/v1/namespaces/ns/pods/p/binding", Request{Verb: "create", Resource: pods, Namespace: "ns", Name: "p", Subresource: "binding"})
	f("PUT", "/apis/apps/v1/namespaces/ns/deployments/d/status", Request{Verb: "update", Resource: deployments, Namespace: "ns", Name: "d", Subresource: "status"})
	f("PATCH", "/apis/apps/v1/namespaces/ns/deployments/d", Request{Verb: "patch", Resource: deployments, Namespace: "ns", Name: "d"})
	f("DELETE", "/apis/apps/v1/namespaces/ns/deployments/d", Request{Verb: "delete", Resource: deployments, Namespace: "ns", Name: "d"})
	f("DELETE", "/apis/apps/v1/namespaces/ns/deployments", Request{Verb: "deletecollection", Resource: deployments, Namespace: "ns"})
	namespaces := Resource{"", "v1", "namespaces"}
	f("GET", "/api/v1/namespaces", Request{Verb: "list", Resource: namespaces})
	f("GET", "/api/v1/namespaces/ns", Request{Verb: "get", Resource: namespaces, Name: "ns"})
	f("PUT", "/api/v1/namespaces/ns/finalize", Request{Verb: "update", Resource: namespaces, Name: "ns", Subresource: "finalize"})
	f("GET", "/api/v1/nodes/n/proxy/pods/", Request{Verb: "get", Resource: Resource{"", "v1", "nodes"}, Name: "n", Subresource: "proxy/pods"})
	f("GET", "/version", Request{Verb: "get"})
	f("GET", "/api/v1", Request{Verb: "get"})
	f("GET", "/apis/apps/v1", Request{Verb: "get"})
	f("GET", "/", Request{Verb: "get"})
}
