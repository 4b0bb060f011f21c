package lies

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/planecheck/planecheck/apiserver/client"
)

// transparentLies are those under which everything must go through as it is: the
// truth, and lies that never find their turn but look at everything.
func transparentLies() []Lie {
	lies := []Lie{{}}
	for _, l := range Catalogue() {
		l.Every = 1 << 40
		lies = append(lies, l)
	}
	return lies
}

// plain is an HTTP/2 client without any of ours.
func plain(t testing.TB, ca []byte) *http.Client {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	var protocols http.Protocols
	protocols.SetHTTP2(true)
	tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, Protocols: &protocols, DisableCompression: true}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: patience}
}

// requests that change nothing, and one that does, of the test's upstream.
var plainRequests = []struct{ method, path, body string }{
	{"GET", "/api/v1/namespaces/contract-0/configmaps/a", ""},
	{"GET", "/api/v1/namespaces/contract-0/configmaps/%61?resourceVersion=0", ""},
	{"GET", "/api/v1/namespaces/contract-0/configmaps/absent", ""},
	{"GET", "/api/v1/configmaps?limit=1&labelSelector=a%20in%20(b)", ""},
	{"GET", "/apis/contract.planecheck.dev/v1/widgets?resourceVersion=2&resourceVersionMatch=Exact", ""},
	{"GET", "/apis/contract.planecheck.dev/v1/widgets?resourceVersionMatch=Exact", ""},
	{"GET", "/api/v1/configmaps?resourceVersion=99999", ""},
	{"DELETE", "/api/v1/namespaces/contract-0/configmaps/a", `{"preconditions":{"uid":"no"}}`},
	{"PATCH", "/api/v1/namespaces/contract-0/configmaps/a?dryRun=All", `{"metadata":{"annotations":{"contract.planecheck/c":"1"}}}`},
	{"PUT", "/apis/contract.planecheck.dev/v1/namespaces/contract-0/widgets/w?dryRun=All", `{"metadata":{"name":"w","resourceVersion":"4"}}`},
	{"POST", "/apis/contract.planecheck.dev/v1/namespaces/contract-0/widgets", `{"metadata":{"name":"w"}}`},
}

// TestTransparentRequests compares the answers of proxy and upstream, and what
// reaches the upstream by either way, byte by byte.
func TestTransparentRequests(t *testing.T) {
	for _, lie := range transparentLies() {
		r := newRig(t, lie, "configmaps")
		r.put("a")
		r.put("b")
		r.up.mu.Lock()
		r.up.commit("widgets/w", r.thing("w", "uid-w", "", "w"))
		r.up.commit("widgets/x", r.thing("x", "uid-x", "", "x"))
		r.up.mu.Unlock()
		before, _ := r.up.requests()
		straight := send(t, plain(t, r.up.ca), "https://"+r.up.addr())
		told := send(t, plain(t, r.proxy.CA()), "https://"+r.proxy.Addr())
		for i, q := range plainRequests {
			if straight[i] != told[i] {
				t.Errorf("%s: %s %s: answered\n%s\nby the upstream\n%s", lie.Name, q.method, q.path, told[i], straight[i])
			}
		}
		seen, bodies := r.up.requests()
		seen, bodies = seen[len(before):], bodies[len(before):]
		n := len(plainRequests)
		if len(seen) != 2*n {
			t.Fatalf("%s: the upstream has seen %d requests of %d", lie.Name, len(seen), 2*n)
		}
		for i := range n {
			if seen[i] != seen[n+i] || string(bodies[i]) != string(bodies[n+i]) {
				t.Errorf("%s: sent %q %q, which arrived as %q %q", lie.Name, seen[i], bodies[i], seen[n+i], bodies[n+i])
			}
			if !strings.HasSuffix(seen[n+i], " Bearer secret") {
				t.Errorf("%s: the token did not arrive: %q", lie.Name, seen[n+i])
			}
		}
		if r.proxy.Told() != 0 {
			t.Errorf("%s was told", lie.Name)
		}
	}
}

// send sends the requests and returns status, headers and bodies.
func send(t *testing.T, c *http.Client, base string) []string {
	t.Helper()
	var answers []string
	for _, q := range plainRequests {
		req, err := http.NewRequestWithContext(t.Context(), q.method, base+q.path, strings.NewReader(q.body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer secret")
		req.Header.Set("Content-Type", jsonType)
		resp, err := c.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		resp.Header.Del("Date") // of that second
		var header []string
		for _, name := range slices.Sorted(maps.Keys(resp.Header)) {
			header = append(header, name+": "+strings.Join(resp.Header[name], ","))
		}
		answers = append(answers, fmt.Sprintf("%s %d %q\n%q", resp.Proto, resp.StatusCode, header, body))
	}
	return answers
}

// TestTransparentWatches compares the streams of proxy and upstream byte by byte,
// from the first initial event to the clean end.
func TestTransparentWatches(t *testing.T) {
	for _, lie := range transparentLies() {
		sameStreams(t, lie, "configmaps", "/api/v1/configmaps")
		sameStreams(t, lie, "widgets", "/apis/contract.planecheck.dev/v1/widgets")
	}
}

func sameStreams(t *testing.T, lie Lie, plural, path string) {
	t.Helper()
	r := newRig(t, lie, plural)
	r.put("a")
	r.put("b")
	var straight, told []*http.Response
	for _, query := range []string{"?watch=true", "?watch=1&allowWatchBookmarks=true", "?watch=true&allowWatchBookmarks=true&resourceVersion=1"} {
		straight = append(straight, open(t, plain(t, r.up.ca), "https://"+r.up.addr()+path+query))
		told = append(told, open(t, plain(t, r.proxy.CA()), "https://"+r.proxy.Addr()+path+query))
	}
	w, err := r.watch("resourceVersion=" + text(r.up.newest()))
	if err != nil {
		t.Fatal(err)
	}
	last := r.put("c")
	if got, want := r.read(w, 1, last), "A0:0"; got != want { // it comes while the stream is open
		t.Errorf("%s: read %q, want %q", lie.Name, got, want)
	}
	r.up.end()
	if _, err := w.Next(); !errors.Is(err, io.EOF) {
		t.Errorf("%s: the clean end came as %v", lie.Name, err)
	}
	for i := range told {
		a, aerr := io.ReadAll(straight[i].Body)
		b, berr := io.ReadAll(told[i].Body)
		straight[i].Body.Close()
		told[i].Body.Close()
		if string(a) != string(b) || aerr != nil || berr != nil || len(a) == 0 {
			t.Errorf("%s %s: told %q (%v), by the upstream %q (%v)", lie.Name, path, b, berr, a, aerr)
		}
		if a, b := straight[i].Header.Get("Content-Type"), told[i].Header.Get("Content-Type"); a != b {
			t.Errorf("%s: content type %q, not %q", lie.Name, b, a)
		}
	}
}

func open(t *testing.T, c *http.Client, url string) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	return resp
}

// eventually waits until ok returns true.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited %v for %s", patience, what)
		}
	}
}

// TestCancellation cuts watches from both sides.
func TestCancellation(t *testing.T) {
	dropped := Catalogue()[slices.IndexFunc(Catalogue(), func(l Lie) bool { return l.Name == "event-dropped" })]
	for _, lie := range []Lie{{}, dropped} {
		r := newRig(t, lie, "configmaps")
		rev := r.put("a")
		var watches []*client.Watch
		for range 3 {
			w, err := r.watch("resourceVersion=" + text(rev))
			if err != nil {
				t.Fatal(err)
			}
			watches = append(watches, w)
		}
		eventually(t, "three watches at the upstream", func() bool { return r.up.watches() == 3 })
		watches[0].Close()
		eventually(t, "one to be cancelled", func() bool { return r.up.watches() == 2 })
		r.up.CloseClientConnections()
		if _, err := watches[1].Next(); err == nil || errors.Is(err, io.EOF) {
			t.Errorf("%s: a cut stream ended with %v", lie.Name, err)
		}
		w, err := r.watch("resourceVersion=" + text(rev)) // on a new connection
		if err != nil {
			t.Fatal(err)
		}
		if err := r.proxy.Close(); err != nil {
			t.Error(err)
		}
		if _, err := w.Next(); err == nil {
			t.Errorf("%s: a watch outlived the proxy", lie.Name)
		}
		eventually(t, "no watch at the upstream", func() bool { return r.up.watches() == 0 })
		if err := r.proxy.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestUpstreamDown cuts requests off, so that nobody knows what became of them.
func TestUpstreamDown(t *testing.T) {
	r := newRig(t, Lie{}, "configmaps")
	r.up.Listener.Close()
	resp, err := r.client.Do(r.context(), &client.Request{Verb: "get", Resource: r.resource, Namespace: namespace, Name: "a"})
	if resp != nil || err == nil {
		t.Errorf("answered %v, %v", resp, err)
	}
}

func TestServer(t *testing.T) {
	r := newRig(t, Lie{}, "configmaps")
	resp, err := r.client.Do(r.context(), &client.Request{Verb: "list", Resource: r.resource, Accept: r.accept()})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(resp.Server, defaultName+"/") {
		t.Errorf("the server is %q", resp.Server)
	}
}

func TestBadConfig(t *testing.T) {
	up := newUpstream(t)
	for _, cfg := range []Config{{}, {Upstream: "nowhere", UpstreamCA: up.ca}, {Upstream: up.addr(), UpstreamCA: []byte("no PEM")}} {
		if p, err := New(cfg); err == nil {
			p.Close()
			t.Errorf("%+v was taken", cfg)
		}
	}
}
