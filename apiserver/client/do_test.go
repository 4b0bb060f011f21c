// The tests of this package hold the client against HTTP/2 servers of net/http
// that misbehave in every way that an API server may: what matters is that
// each attempt is reported as it was, once, and that nothing is left behind.
package client_test

import (
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"math/big"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/planecheck/planecheck/apiserver/client"
	"github.com/planecheck/planecheck/checkers/history"
)

func TestDo(t *testing.T) {
	type seen struct{ Method, URL, Authorization, Accept, ContentType, Body string }
	var got seen
	a := newAuthority(t)
	s := a.serve(t, 3, 100, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got = seen{r.Method, r.URL.String(), r.Header.Get("Authorization"), r.Header.Get("Accept"), r.Header.Get("Content-Type"), string(body)}
		io.WriteString(w, "answer")
	})
	l, j := a.layer(t, 0, s)
	c := l.Client(client.Identity{User: "system:node:n1", Class: history.ClassKubelet, Token: "secret"})

	due := history.Now()
	res, err := c.Do(bounded(t), &client.Request{
		Verb: "update", Resource: leases, Namespace: "kube-node-lease", Name: "n1", Body: []byte("lease"), Due: due,
	})
	if err != nil {
		t.Fatal(err)
	}
	const proto = "application/vnd.kubernetes.protobuf"
	want := seen{"PUT", "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/n1", "Bearer secret", proto, proto, "lease"}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
	if string(res.Body) != "answer" || res.Status != 200 || res.Server != "kube-apiserver-3/000000ab" {
		t.Errorf("response: %+v", res)
	}
	if res.Called < due || res.Returned < res.Called || res.Returned > history.Now() {
		t.Errorf("due %d, called %d, returned %d", due, res.Called, res.Returned)
	}
	requests, _ := j.all()
	wantRecord := []history.Request{{
		Class: history.ClassKubelet, Identity: "system:node:n1", Verb: "update",
		Group: "coordination.k8s.io", Version: "v1", Resource: "leases", Namespace: "kube-node-lease", Name: "n1",
		Due: due, Called: res.Called, Returned: res.Returned, Status: 200, Server: "kube-apiserver-3/000000ab",
		RequestBytes: len("lease"), ResponseBytes: len("answer"),
	}}
	if d := cmp.Diff(wantRecord, requests, lentRequest); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

// TestURLs checks verb, path and query of all kinds of request.
func TestURLs(t *testing.T) {
	var got string
	a := newAuthority(t)
	s := a.serve(t, 0, 100, func(_ http.ResponseWriter, r *http.Request) { got = r.Method + " " + r.URL.String() })
	l, _ := a.layer(t, 0, s)
	c := l.Client(client.Identity{User: "u", Token: "t"})
	f := func(r client.Request, want string) {
		t.Helper()
		r.Resource.Version = "v1"
		if _, err := c.Do(bounded(t), &r); err != nil {
			t.Error(err)
		}
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	nodes := client.Resource{Plural: "nodes"}
	f(client.Request{Verb: "list", Resource: pods}, "GET /api/v1/pods")
	f(client.Request{Verb: "list", Resource: pods, Namespace: "ns", Query: url.Values{"limit": {"5"}, "fieldSelector": {"a=b,c=d"}}},
		"GET /api/v1/namespaces/ns/pods?fieldSelector=a%3Db%2Cc%3Dd&limit=5")
	f(client.Request{Verb: "get", Resource: nodes, Name: "n"}, "GET /api/v1/nodes/n")
	f(client.Request{Verb: "get", Resource: client.Resource{Plural: "namespaces"}, Name: "n"}, "GET /api/v1/namespaces/n")
	f(client.Request{Verb: "create", Resource: pods, Namespace: "ns", Name: "only-recorded", Body: []byte("x")}, "POST /api/v1/namespaces/ns/pods")
	f(client.Request{Verb: "create", Resource: pods, Namespace: "ns", Name: "p", Subresource: "binding", Body: []byte("x")},
		"POST /api/v1/namespaces/ns/pods/p/binding")
	f(client.Request{Verb: "patch", Resource: pods, Namespace: "ns", Name: "p", Subresource: "status", Body: []byte("{}"), ContentType: "application/strategic-merge-patch+json"},
		"PATCH /api/v1/namespaces/ns/pods/p/status")
	f(client.Request{Verb: "delete", Resource: leases, Namespace: "ns", Name: "p"}, "DELETE /apis/coordination.k8s.io/v1/namespaces/ns/leases/p")
	f(client.Request{Verb: "deletecollection", Resource: pods, Namespace: "ns"}, "DELETE /api/v1/namespaces/ns/pods")
	f(client.Request{Verb: "get", Resource: client.Resource{Group: "rbac.authorization.k8s.io", Plural: "clusterroles"}, Name: "system:node"},
		"GET /apis/rbac.authorization.k8s.io/v1/clusterroles/system:node")
}

// TestRefusedRequests are never sent, nor recorded.
func TestRefusedRequests(t *testing.T) {
	a := newAuthority(t)
	s := a.serve(t, 0, 100, func(http.ResponseWriter, *http.Request) {})
	l, j := a.layer(t, 0, s)
	c := l.Client(client.Identity{User: "u", Token: "t"})
	f := func(r client.Request, want string) {
		t.Helper()
		if _, err := c.Do(bounded(t), &r); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v does not say %q", err, want)
		}
	}
	f(client.Request{Verb: "get", Name: "x"}, "no version or no plural")
	f(client.Request{Verb: "fetch", Resource: pods}, `unknown verb "fetch"`)
	f(client.Request{Verb: "watch", Resource: pods}, "opened with Watch")
	f(client.Request{Verb: "delete", Resource: pods, Namespace: "ns"}, "no name")
	f(client.Request{Verb: "patch", Resource: pods, Name: "p"}, "without a content type")
	if requests, _ := j.all(); len(requests) != 0 || s.connections() != 0 {
		t.Errorf("%d requests recorded, %d connections", len(requests), s.connections())
	}
}

func TestStatusErrors(t *testing.T) {
	var code int
	var header http.Header
	var body []byte
	a := newAuthority(t)
	s := a.serve(t, 0, 100, func(w http.ResponseWriter, _ *http.Request) {
		for k, v := range header {
			w.Header()[k] = v
		}
		w.WriteHeader(code)
		w.Write(body)
	})
	l, j := a.layer(t, 0, s)
	c := l.Client(client.Identity{User: "u", Token: "t"})
	f := func(answer int, h http.Header, b []byte, is func(error) bool, want client.StatusError) {
		t.Helper()
		code, header, body = answer, h, b
		want.Code = answer
		res, err := c.Do(bounded(t), getPod("p"))
		var got *client.StatusError
		if !errors.As(err, &got) || !is(err) {
			t.Fatalf("error %v", err)
		}
		if d := cmp.Diff(want, *got); d != "" {
			t.Errorf("-want +got:\n%s", d)
		}
		if res == nil || res.Status != answer || string(res.Body) != string(b) {
			t.Errorf("response %+v", res)
		}
		requests, _ := j.all()
		last := requests[len(requests)-1]
		if last.Status != answer || last.Reason != want.Reason || last.Err != "" || last.ResponseBytes != len(b) {
			t.Errorf("record %+v", last)
		}
	}
	reason := func(want string) func(error) bool {
		return func(err error) bool { return client.Reason(err) == want }
	}
	f(409, nil, status(409, "Conflict", "changed", 0), client.IsConflict, client.StatusError{Reason: "Conflict", Message: "changed"})
	f(409, nil, status(409, "AlreadyExists", "there", 0), client.IsAlreadyExists, client.StatusError{Reason: "AlreadyExists", Message: "there"})
	f(409, nil, status(409, "AlreadyExists", "", 0), func(err error) bool { return !client.IsConflict(err) }, client.StatusError{Reason: "AlreadyExists"})
	f(404, nil, []byte(`{"kind":"Status","reason":"NotFound","message":"no pod","code":404}`), client.IsNotFound,
		client.StatusError{Reason: "NotFound", Message: "no pod"})
	f(410, nil, status(410, "Expired", "too old", 0), client.IsGone, client.StatusError{Reason: "Expired", Message: "too old"})
	f(429, http.Header{"Retry-After": {"2"}}, []byte("Too many requests, please try again later.\n"), client.IsTooManyRequests,
		client.StatusError{Message: "Too many requests, please try again later.", RetryAfter: 2 * time.Second})
	f(429, nil, status(429, "TooManyRequests", "m", 7), client.IsTooManyRequests,
		client.StatusError{Reason: "TooManyRequests", Message: "m", RetryAfter: 7 * time.Second})
	f(500, nil, []byte(`{"kind":"Pod","reason":"not a status"}`), reason(""), client.StatusError{Message: `{"kind":"Pod","reason":"not a status"}`})
	f(503, nil, []byte("k8s\x00broken"), reason(""), client.StatusError{Message: "k8s\x00broken"})
	f(403, nil, nil, reason(""), client.StatusError{})
	f(502, nil, []byte(strings.Repeat("x", 1000)), reason(""), client.StatusError{Message: strings.Repeat("x", 256)})
}

// TestBodySizes reads bodies around the sizes at which the way of reading
// changes, with and without an announced length.
func TestBodySizes(t *testing.T) {
	a := newAuthority(t)
	var size int
	var announce bool
	s := a.serve(t, 0, 100, func(w http.ResponseWriter, _ *http.Request) {
		if !announce {
			w.(http.Flusher).Flush()
		}
		io.WriteString(w, strings.Repeat("0123456789abcdef", size/16+1)[:size])
	})
	l, j := a.layer(t, 0, s)
	c := l.Client(client.Identity{User: "u", Token: "t"})
	for _, size = range []int{0, 1, 2000, 16<<10 - 1, 16 << 10, 16<<10 + 1, 300_000, 3_000_000} {
		for _, announce = range []bool{true, false} {
			res, err := c.Do(bounded(t), getPod("p"))
			if err != nil {
				t.Fatal(err)
			}
			if string(res.Body) != strings.Repeat("0123456789abcdef", size/16+1)[:size] {
				t.Errorf("size %d, announced %v: got %d bytes", size, announce, len(res.Body))
			}
		}
	}
	requests, _ := j.all()
	if last := requests[len(requests)-1]; last.ResponseBytes != 3_000_000 {
		t.Errorf("%d response bytes recorded", last.ResponseBytes)
	}
}

// TestBrokenBody cuts the connection, or the stream, in the middle of a body:
// half a body must not pass for a whole one.
func TestBrokenBody(t *testing.T) {
	a := newAuthority(t)
	var s *server
	breakUp := map[string]func(){
		"stream":     func() { panic(http.ErrAbortHandler) },
		"connection": func() { s.CloseClientConnections() },
	}
	for name, cut := range breakUp {
		t.Run(name, func(t *testing.T) {
			s = a.serve(t, 0, 100, func(w http.ResponseWriter, _ *http.Request) {
				io.WriteString(w, "half a ")
				w.(http.Flusher).Flush()
				cut()
			})
			l, j := a.layer(t, 0, s)
			res, err := l.Client(client.Identity{User: "u", Token: "t"}).Do(bounded(t), getPod("p"))
			if err == nil || res != nil {
				t.Fatalf("got %+v, error %v", res, err)
			}
			requests, _ := j.all()
			if len(requests) != 1 || requests[0].Status != 0 || requests[0].Err == "" || requests[0].Server == "" {
				t.Errorf("records %+v", requests)
			}
		})
	}
}

// TestNoRetry resets streams in the way after which net/http's own transport
// would send an idempotent request again.
func TestNoRetry(t *testing.T) {
	a := newAuthority(t)
	var mu sync.Mutex
	served := 0
	s := a.serve(t, 0, 100, func(http.ResponseWriter, *http.Request) {
		mu.Lock()
		served++
		mu.Unlock()
		panic(http.ErrAbortHandler)
	})
	l, j := a.layer(t, 0, s)
	c := l.Client(client.Identity{User: "u", Token: "t"})
	for range 3 {
		if _, err := c.Do(bounded(t), getPod("p")); err == nil {
			t.Error("no error")
		}
	}
	requests, _ := j.all()
	mu.Lock()
	defer mu.Unlock()
	if served != 3 || len(requests) != 3 {
		t.Errorf("3 requests: %d served, %d recorded", served, len(requests))
	}
}

func TestCancelledRequest(t *testing.T) {
	a := newAuthority(t)
	arrived, gone := make(chan struct{}), make(chan struct{})
	s := a.serve(t, 0, 100, func(_ http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-r.Context().Done()
		close(gone)
	})
	l, j := a.layer(t, 0, s)
	ctx, cancel := context.WithCancel(bounded(t))
	go func() {
		<-arrived
		cancel()
	}()
	if _, err := l.Client(client.Identity{User: "u", Token: "t"}).Do(ctx, getPod("p")); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	select {
	case <-gone:
	case <-time.After(patience):
		t.Error("the server was not told")
	}
	requests, _ := j.all()
	want := []history.Request{{
		Identity: "u", Verb: "get", Version: "v1", Resource: "pods", Namespace: "default", Name: "p",
		Err: "context canceled", Server: "kube-apiserver-0/000000ab",
	}}
	if d := cmp.Diff(want, requests, requestTimes, lentRequest); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

// TestOwnConnections gives two identities certificates: each has a connection
// of its own, on which requests and watches travel together.
func TestOwnConnections(t *testing.T) {
	a := newAuthority(t)
	users := make(chan string, 10)
	s := a.serve(t, 0, 100, func(w http.ResponseWriter, r *http.Request) {
		users <- r.TLS.PeerCertificates[0].Subject.CommonName + r.Header.Get("Authorization")
		if r.URL.Query().Has("watch") {
			stream(w, r, nil)
		}
	})
	l, _ := a.layer(t, 0, s)
	for i, name := range []string{"node-a", "node-b"} {
		pair := a.sign(t, &x509.Certificate{Subject: pkix.Name{CommonName: name}, SerialNumber: big.NewInt(9)})
		c := l.Client(client.Identity{User: name, Certificate: &pair})
		w, err := c.Watch(bounded(t), &client.Request{Resource: pods})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Do(bounded(t), getPod("p")); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if user := <-users; user != name {
				t.Errorf("server saw %q, want %q", user, name)
			}
		}
		if n := s.connections(); n != i+1 {
			t.Errorf("%d connections, want %d", n, i+1)
		}
		c.Close()
		if _, err := w.Next(); err == nil {
			t.Error("the watch outlived its connection")
		}
		if _, err := c.Do(bounded(t), getPod("p")); err == nil {
			t.Error("the client outlived Close")
		}
	}
}
