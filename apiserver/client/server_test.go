package client_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/planecheck/planecheck/apiserver/client"
	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/history/wire"
)

// patience bounds every wait of these tests. Nothing waits that long unless a
// test fails.
const patience = 60 * time.Second

// authority signs the certificates of a test.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	a := &authority{}
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: "test CA"}, SerialNumber: big.NewInt(1),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	pair := a.sign(t, template)
	a.key = pair.PrivateKey.(*ecdsa.PrivateKey)
	var err error
	if a.cert, err = x509.ParseCertificate(pair.Certificate[0]); err != nil {
		t.Fatal(err)
	}
	return a
}

// sign issues a certificate; the first one signs itself.
func (a *authority) sign(t testing.TB, template *x509.Certificate) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func (a *authority) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})
}

// server is an API server as far as the transport is concerned.
type server struct {
	*httptest.Server
	mu       sync.Mutex
	accepted int
}

// connections returns how many connections the server has accepted so far.
func (s *server) connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.accepted
}

func (s *server) addr() string { return s.Listener.Addr().String() }

// kill resets all connections and stops listening.
func (s *server) kill() {
	s.Listener.Close()
	s.CloseClientConnections()
}

// serve starts a server number n whose certificate has the serial 0x<n>000000ab.
func (a *authority) serve(t testing.TB, n int, streams int, h http.HandlerFunc) *server {
	t.Helper()
	s := &server{Server: httptest.NewUnstartedServer(h)}
	s.EnableHTTP2 = true
	s.Config.HTTP2 = &http.HTTP2Config{MaxConcurrentStreams: streams}
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.accepted++
		}
	}
	clients := x509.NewCertPool()
	clients.AddCert(a.cert)
	s.TLS = &tls.Config{
		ClientAuth: tls.VerifyClientCertIfGiven,
		ClientCAs:  clients,
		Certificates: []tls.Certificate{a.sign(t, &x509.Certificate{
			Subject:      pkix.Name{CommonName: fmt.Sprintf("kube-apiserver-%d", n)},
			SerialNumber: new(big.Int).SetUint64(uint64(n)<<32 | 0xab),
			IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
		})},
	}
	s.StartTLS()
	t.Cleanup(func() {
		s.kill()
		s.Server.Close()
	})
	return s
}

// journal is an observer that keeps everything.
type journal struct {
	mu       sync.Mutex
	requests []history.Request
	events   []history.WatchEvent
}

func (j *journal) Request(r *history.Request) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.requests = append(j.requests, *r)
}

func (j *journal) WatchEvent(e *history.WatchEvent) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.events = append(j.events, *e)
}

// Fields that a test of something else leaves aside: the times, and the message
// itself, which is only lent to the observer.
var (
	requestTimes = cmpopts.IgnoreFields(history.Request{}, "Called", "Returned")
	lentRequest  = cmpopts.IgnoreFields(history.Request{}, "ID", "Query", "ContentType", "Sent", "Answer", "Marks")
	lentEvent    = cmpopts.IgnoreFields(history.WatchEvent{}, "Request", "Arrived", "Object")
)

func (j *journal) all() ([]history.Request, []history.WatchEvent) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return append([]history.Request(nil), j.requests...), append([]history.WatchEvent(nil), j.events...)
}

// layer returns a layer on the servers, closed at the end of the test.
func (a *authority) layer(t testing.TB, streams int, servers ...*server) (*client.Layer, *journal) {
	t.Helper()
	j := &journal{}
	cfg := client.Config{CA: a.pem(), Observer: j, StreamsPerConnection: streams}
	for _, s := range servers {
		cfg.Servers = append(cfg.Servers, s.addr())
	}
	l, err := client.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return l, j
}

func bounded(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// eventually waits until ok returns true.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited %v for %s", patience, what)
		}
	}
}

var (
	pods   = client.Resource{Version: "v1", Plural: "pods"}
	leases = client.Resource{Group: "coordination.k8s.io", Version: "v1", Plural: "leases"}
)

func getPod(name string) *client.Request {
	return &client.Request{Verb: "get", Resource: pods, Namespace: "default", Name: name}
}

// status encodes a metav1.Status by hand; wire's tests hold its reading
// against the real one.
func status(code int, reason, message string, retryAfter int) []byte {
	var b []byte
	b = protowire.AppendTag(b, 3, protowire.BytesType)
	b = protowire.AppendString(b, message)
	b = protowire.AppendTag(b, 4, protowire.BytesType)
	b = protowire.AppendString(b, reason)
	if retryAfter > 0 {
		details := protowire.AppendVarint(protowire.AppendTag(nil, 5, protowire.VarintType), uint64(retryAfter))
		b = protowire.AppendTag(b, 5, protowire.BytesType)
		b = protowire.AppendBytes(b, details)
	}
	b = protowire.AppendTag(b, 6, protowire.VarintType)
	b = protowire.AppendVarint(b, uint64(code))
	return wire.Wrap("v1", "Status", b)
}

// frame is one event of a watch stream.
func frame(typ string, object []byte) []byte {
	var raw, b []byte
	raw = protowire.AppendTag(raw, 1, protowire.BytesType)
	raw = protowire.AppendBytes(raw, object)
	b = protowire.AppendTag(b, 1, protowire.BytesType)
	b = protowire.AppendString(b, typ)
	b = protowire.AppendTag(b, 2, protowire.BytesType)
	b = protowire.AppendBytes(b, raw)
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...)
}

// stream answers a watch with the frames and keeps it open until the client
// or the test ends it.
func stream(w http.ResponseWriter, r *http.Request, end <-chan struct{}, frames ...[]byte) {
	w.Header().Set("Content-Type", "application/vnd.kubernetes.protobuf;stream=watch")
	w.WriteHeader(http.StatusOK)
	w.(http.Flusher).Flush()
	for _, f := range frames {
		w.Write(f)
		w.(http.Flusher).Flush()
	}
	select {
	case <-r.Context().Done():
	case <-end:
	}
}

// closed is a request body that remembers whether it was closed.
type closed struct {
	io.Reader
	yes atomic.Bool
}

func (c *closed) Close() error {
	c.yes.Store(true)
	return nil
}

// leftovers returns the goroutines that this package or its connections run.
func leftovers() string {
	stacks := make([]byte, 1<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	var found []string
	for _, g := range strings.Split(string(stacks), "\n\n") {
		if strings.Contains(g, "http2ClientConn") || strings.Contains(g, "http2clientStream") || strings.Contains(g, "client.(*") {
			found = append(found, g)
		}
	}
	return strings.Join(found, "\n\n")
}
