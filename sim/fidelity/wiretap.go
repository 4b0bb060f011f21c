package fidelity

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"
	"time"

	"github.com/planecheck/planecheck/apiserver/pki"
)

// Headers are the parts of an HTTP request that the audit log leaves out.
type Headers struct {
	ContentType string // with a patch, the patch type
	Accept      string
}

// Wiretap is an HTTPS proxy in front of an API server that notes the headers of
// every request under the audit ID that the server answers with. It serves as
// "kube-apiserver-0", with a certificate of its own authority.
type Wiretap struct {
	authority *pki.Authority
	listener  net.Listener
	server    *http.Server
	done      chan struct{}

	mu      sync.Mutex
	headers map[string]Headers // by audit ID
}

// NewWiretap starts a proxy on a free loopback port for the API server at
// target (host:port), whose certificate ca (PEM) signed.
func NewWiretap(target string, ca []byte) (w *Wiretap, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("start wiretap of %s: %w", target, err)
		}
	}()
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(ca) {
		return nil, errors.New("no certificate in the CA bundle of the API server")
	}
	authority, err := pki.NewAuthority("wiretap")
	if err != nil {
		return nil, err
	}
	serving, err := authority.Serving("kube-apiserver-0", "127.0.0.1")
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	w = &Wiretap{authority: authority, listener: listener, done: make(chan struct{}), headers: map[string]Headers{}}
	// A stopped client breaks its watches off, which the proxy would log.
	quiet := log.New(io.Discard, "", 0)
	w.server = &http.Server{
		Handler:           w.proxy(target, roots, quiet),
		TLSConfig:         &tls.Config{Certificates: []tls.Certificate{serving.TLS()}, MinVersion: tls.VersionTLS12},
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          quiet,
	}
	go func() {
		defer close(w.done)
		_ = w.server.ServeTLS(listener, "", "") // returns when Close is called
	}()
	return w, nil
}

func (w *Wiretap) proxy(target string, roots *x509.CertPool, quiet *log.Logger) http.Handler {
	return &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "https", Host: target})
		},
		Transport: &http.Transport{
			ForceAttemptHTTP2: true,
			TLSClientConfig:   &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
			// The client decides on compression: asking for it here would
			// change what the server is asked.
			DisableCompression: true,
		},
		FlushInterval:  -1, // a watch event must not wait for a full buffer
		ModifyResponse: w.note,
		ErrorLog:       quiet,
	}
}

// Addr is where the wiretap listens, host:port.
func (w *Wiretap) Addr() string { return w.listener.Addr().String() }

// CA is the certificate that clients of the wiretap must trust, PEM.
func (w *Wiretap) CA() []byte { return w.authority.PEM() }

// Headers returns the headers of the request that was answered with the audit
// ID, and whether it came this way at all.
func (w *Wiretap) Headers(auditID string) (Headers, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	h, ok := w.headers[auditID]
	return h, ok
}

// Close ends the proxy and every connection through it.
func (w *Wiretap) Close() error {
	err := w.server.Close()
	<-w.done
	return err
}

func (w *Wiretap) note(resp *http.Response) error {
	id := resp.Header.Get("Audit-Id")
	if id == "" {
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.headers[id] = Headers{
		ContentType: resp.Request.Header.Get("Content-Type"),
		Accept:      resp.Request.Header.Get("Accept"),
	}
	return nil
}
