package fidelity

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestWiretapNotesHeadersByAuditID(t *testing.T) {
	w, client := startWiretap(t, func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Audit-Id", "id of "+r.Method)
		fmt.Fprint(rw, r.Header.Get("Authorization"), " ", r.URL.RequestURI())
	})
	req, _ := http.NewRequest(http.MethodPatch, "https://"+w.Addr()+"/api/v1/x?timeout=1s", strings.NewReader("{}"))
	req.Header.Set("Content-Type", "application/merge-patch+json")
	req.Header.Set("Accept", "application/json")
	req.Header.Set("Authorization", "Bearer t")
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if line, _ := bufio.NewReader(resp.Body).ReadString(0); line != "Bearer t /api/v1/x?timeout=1s" {
		t.Errorf("the server saw %q", line)
	}
	if resp.ProtoMajor != 2 {
		t.Errorf("the wiretap speaks HTTP/%d; kubelets use HTTP/2", resp.ProtoMajor)
	}
	want := Headers{ContentType: "application/merge-patch+json", Accept: "application/json"}
	if got, ok := w.Headers("id of PATCH"); !ok || got != want {
		t.Errorf("Headers = %+v, %v; want %+v", got, ok, want)
	}
	if _, ok := w.Headers("another"); ok {
		t.Error("an audit ID that never passed has headers")
	}
}

// A watch is an answer that does not end: each event must come through at once.
func TestWiretapStreams(t *testing.T) {
	release := make(chan struct{})
	w, client := startWiretap(t, func(rw http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(rw, "event")
		rw.(http.Flusher).Flush()
		<-release
	})
	defer close(release)
	resp, err := client.Get("https://" + w.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if line, err := bufio.NewReader(resp.Body).ReadString('\n'); line != "event\n" {
		t.Errorf("read %q, error %v", line, err)
	}
}

func TestWiretapNeedsTheServersAuthority(t *testing.T) {
	if _, err := NewWiretap("127.0.0.1:1", []byte("nothing")); err == nil {
		t.Error("a wiretap without an authority for the server started")
	}
}

func startWiretap(t *testing.T, serve http.HandlerFunc) (*Wiretap, *http.Client) {
	t.Helper()
	server := httptest.NewUnstartedServer(serve)
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	w, err := NewWiretap(server.Listener.Addr().String(), ca)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Close() })
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(w.CA())
	transport := &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: roots}}
	t.Cleanup(transport.CloseIdleConnections)
	return w, &http.Client{Transport: transport}
}
