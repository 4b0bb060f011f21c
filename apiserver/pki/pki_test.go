package pki

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func mustAuthority(t testing.TB, name string) *Authority {
	t.Helper()
	a, err := NewAuthority(name)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func mustPair(t testing.TB) func(Pair, error) Pair {
	return func(p Pair, err error) Pair {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
}

// A server and a client of one authority accept each other, and the server
// reads the identity as Kubernetes does; certificates of another authority
// with the same name are refused on both sides.
func TestHandshake(t *testing.T) {
	ours, other := mustAuthority(t, "ca"), mustAuthority(t, "ca")
	serving := mustPair(t)(ours.Serving("kube-apiserver-0", "127.0.0.1", "localhost"))

	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		leaf := r.TLS.PeerCertificates[0]
		groups := slices.Sorted(slices.Values(leaf.Subject.Organization))
		_, _ = io.WriteString(w, leaf.Subject.CommonName+" "+strings.Join(groups, "+"))
	}))
	server.TLS = &tls.Config{
		Certificates: []tls.Certificate{serving.TLS()},
		ClientAuth:   tls.RequireAndVerifyClientCert,
		ClientCAs:    ours.Pool(),
	}
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()

	get := func(trust *Authority, client Pair) (string, error) {
		transport := &http.Transport{TLSClientConfig: &tls.Config{
			RootCAs: trust.Pool(), Certificates: []tls.Certificate{client.TLS()},
		}}
		defer transport.CloseIdleConnections()
		response, err := (&http.Client{Transport: transport}).Get(server.URL)
		if err != nil {
			return "", err
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		return string(body), err
	}

	node := mustPair(t)(ours.Client("system:node:n1", "system:nodes", "more"))
	got, err := get(ours, node)
	if err != nil {
		t.Fatal(err)
	}
	if want := "system:node:n1 more+system:nodes"; got != want {
		t.Errorf("the server saw %q, want %q", got, want)
	}
	if _, err := get(other, node); err == nil {
		t.Error("a client that trusts another authority accepted the server")
	}
	stranger := mustPair(t)(other.Client("system:node:n1", "system:nodes"))
	if _, err := get(ours, stranger); err == nil {
		t.Error("the server accepted a client certificate of another authority")
	}
	if _, err := get(ours, serving); err == nil {
		t.Error("the server accepted a serving certificate as a client's")
	}
}

func TestServing(t *testing.T) {
	a := mustAuthority(t, "ca")
	seen := map[string]bool{}
	for range 100 {
		leaf := mustPair(t)(a.Serving("kube-apiserver-1", "127.0.0.1", "localhost", "kubernetes.default")).leaf
		serial := leaf.SerialNumber.Text(16)
		if leaf.SerialNumber.Sign() <= 0 || seen[serial] {
			t.Fatalf("serial %s is not positive and new", serial)
		}
		seen[serial] = true
		if diff := cmp.Diff([]string{"localhost", "kubernetes.default"}, leaf.DNSNames); diff != "" {
			t.Fatal(diff)
		}
		if len(leaf.IPAddresses) != 1 || leaf.IPAddresses[0].String() != "127.0.0.1" {
			t.Fatalf("IP addresses %v", leaf.IPAddresses)
		}
	}
}

func TestFiles(t *testing.T) {
	dir := t.TempDir()
	a := mustAuthority(t, "ca")
	// A file that was there before with wide permissions must not stay so.
	if err := os.WriteFile(filepath.Join(dir, "admin.key"), []byte("old"), 0o644); err != nil {
		t.Fatal(err)
	}
	certFile, keyFile, err := mustPair(t)(a.Client("admin", "system:masters")).Write(dir, "admin")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tls.LoadX509KeyPair(certFile, keyFile); err != nil {
		t.Errorf("the written pair does not load: %v", err)
	}
	if certFile, keyFile, err = a.Write(dir, "ca"); err != nil {
		t.Fatal(err)
	}
	if _, err := tls.LoadX509KeyPair(certFile, keyFile); err != nil {
		t.Errorf("the written authority does not load: %v", err)
	}
	signing, err := NewSigningKey()
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := signing.Write(dir, "sa"); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 6 {
		t.Errorf("%d files, want 6", len(entries))
	}
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %o, want 600", entry.Name(), info.Mode().Perm())
		}
	}
	if _, _, err := signing.Write(filepath.Join(dir, "missing"), "sa"); err == nil {
		t.Error("writing into a directory that does not exist succeeded")
	}
}

func TestPool(t *testing.T) {
	a, b := mustAuthority(t, "ca"), mustAuthority(t, "ca")
	leaf := mustPair(t)(a.Client("someone")).leaf
	usages := []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: a.Pool(), KeyUsages: usages}); err != nil {
		t.Errorf("verify with its own authority: %v", err)
	}
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: b.Pool(), KeyUsages: usages}); err == nil {
		t.Error("verified with another authority")
	}
}

// With a connection of its own per node, 5,000 certificates are issued before
// the nodes register.
func BenchmarkClient(b *testing.B) {
	a := mustAuthority(b, "ca")
	for b.Loop() {
		if _, err := a.Client("system:node:node-00042", "system:nodes"); err != nil {
			b.Fatal(err)
		}
	}
}
