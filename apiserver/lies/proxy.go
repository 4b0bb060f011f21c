package lies

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/planecheck/planecheck/apiserver/pki"
)

const (
	defaultName = "lying-apiserver"
	// maxBody bounds the body of a request that a lie may be told about; the
	// API server takes 3 MiB.
	maxBody = 16 << 20
	// handshake bounds how long a client may take to begin.
	handshake = 30 * time.Second
	// pingAfter and pingTimeout find an upstream that has silently gone; they
	// are those of the client layer.
	pingAfter   = 30 * time.Second
	pingTimeout = 15 * time.Second
	// streamWindow is how much of an answer may wait in the proxy, so that a
	// client that does not read is a slow one to the server, too.
	streamWindow = 256 << 10
)

// Config is what a Proxy needs to know.
type Config struct {
	Upstream   string // host:port of the API server
	UpstreamCA []byte // PEM bundle that signs its certificate
	// Lie is what is told; the zero Lie is the truth.
	Lie Lie
	// Seed decides about which of all opportunities the lie is told.
	Seed uint64
	// Resources are the plurals of the resources that are lied about. Empty:
	// all but namespaces, definitions, events, and reviews.
	Resources []string
	// Confined has, by the plural of such a resource, what the name of a namespace has to
	// begin with for requests in it to be lied about; requests for all namespaces are not.
	// Of a resource that is not there all requests may be.
	Confined map[string]string
	// Name is the common name of the serving certificate, by which clients
	// tell servers apart. Default: lying-apiserver. The certificate is that of
	// the proxy, so a restart of the API server behind it does not show:
	// whoever restarts it closes the proxy and starts another.
	Name string
}

// Proxy is a running proxy. Clients authenticate with bearer tokens: a client
// certificate does not get past it.
type Proxy struct {
	cfg       Config
	liar      *liar
	ca        []byte
	listener  net.Listener
	server    *http.Server
	transport *http.Transport
	served    chan error
	cancel    context.CancelFunc
	closing   sync.Once
	closed    error

	mu       sync.Mutex
	ended    bool
	requests sync.WaitGroup
}

// New starts a proxy on a free port of 127.0.0.1. The upstream may be down: then
// requests are cut off, as they would be if a server died. The caller closes it.
func New(cfg Config) (*Proxy, error) {
	host, _, err := net.SplitHostPort(cfg.Upstream)
	if err != nil {
		return nil, fmt.Errorf("start lying proxy: upstream: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(cfg.UpstreamCA) {
		return nil, errors.New("start lying proxy: no certificate in the upstream's CA bundle")
	}
	if cfg.Name == "" {
		cfg.Name = defaultName
	}
	authority, err := pki.NewAuthority("lying proxy CA")
	if err != nil {
		return nil, fmt.Errorf("start lying proxy: %w", err)
	}
	pair, err := authority.Serving(cfg.Name, "127.0.0.1", "localhost")
	if err != nil {
		return nil, fmt.Errorf("start lying proxy: %w", err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("start lying proxy: %w", err)
	}
	p := &Proxy{
		cfg: cfg, ca: authority.PEM(), listener: listener, served: make(chan error, 1),
		liar:      newLiar(cfg.Lie, cfg.Seed, cfg.Resources),
		transport: newTransport(&tls.Config{RootCAs: roots, ServerName: host, MinVersion: tls.VersionTLS12}),
	}
	p.liar.confined = cfg.Confined
	p.start(pair.TLS())
	return p, nil
}

// newTransport returns the way to the upstream. It asks for no compression that
// the client did not ask for, and follows nothing.
func newTransport(config *tls.Config) *http.Transport {
	var protocols http.Protocols
	protocols.SetHTTP2(true)
	return &http.Transport{
		TLSClientConfig:    config,
		Protocols:          &protocols,
		DisableCompression: true,
		HTTP2: &http.HTTP2Config{
			SendPingTimeout: pingAfter, PingTimeout: pingTimeout, MaxReceiveBufferPerStream: streamWindow,
		},
	}
}

func (p *Proxy) start(certificate tls.Certificate) {
	var ctx context.Context
	ctx, p.cancel = context.WithCancel(context.Background())
	var protocols http.Protocols
	protocols.SetHTTP2(true)
	protocols.SetHTTP1(true)
	p.server = &http.Server{
		Handler:           http.HandlerFunc(p.handle),
		TLSConfig:         &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12},
		Protocols:         &protocols,
		ReadHeaderTimeout: handshake,
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ErrorLog:          log.New(io.Discard, "", 0), // cut connections are what runs are made of
	}
	go func() { p.served <- p.server.ServeTLS(p.listener, "", "") }()
}

// Addr is where clients connect to, host:port.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// CA is the PEM bundle that signs the proxy's certificate.
func (p *Proxy) CA() []byte { return p.ca }

// Told is the number of lies that have been told.
func (p *Proxy) Told() int { return p.liar.count() }

// Close cuts all connections and waits until every request has ended. It may be
// called again.
func (p *Proxy) Close() error {
	p.closing.Do(func() {
		p.mu.Lock()
		p.ended = true
		p.mu.Unlock()
		p.cancel()
		err := p.server.Close()
		if served := <-p.served; !errors.Is(served, http.ErrServerClosed) {
			err = errors.Join(err, served)
		}
		p.requests.Wait()
		p.transport.CloseIdleConnections()
		p.closed = err
	})
	return p.closed
}

// begin counts a request, unless the proxy is closed.
func (p *Proxy) begin() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.ended {
		p.requests.Add(1)
	}
	return !p.ended
}

func (p *Proxy) handle(w http.ResponseWriter, r *http.Request) {
	if !p.begin() {
		panic(http.ErrAbortHandler)
	}
	defer p.requests.Done()
	q := newCall(r)
	var err error
	switch {
	case !p.liar.concerns(q):
		err = p.forward(w, q, r.Body, r.ContentLength, nil)
	case q.verb == "watch":
		err = p.watch(w, q)
	default:
		err = p.exchange(w, r, q)
	}
	if err != nil {
		panic(http.ErrAbortHandler) // resets the stream, as a server does that dies
	}
}

// exchange answers a call that is no watch.
func (p *Proxy) exchange(w http.ResponseWriter, r *http.Request, q *call) error {
	var err error
	if q.body, err = io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody)); err != nil {
		return fmt.Errorf("read request: %w", err)
	}
	a, err := p.liar.answer(q, p.send)
	if err != nil {
		return err
	}
	return write(w, a)
}

func write(w http.ResponseWriter, a *answer) error {
	copyHeader(w.Header(), a.header)
	w.Header().Set("Content-Length", strconv.Itoa(len(a.body)))
	w.WriteHeader(a.status)
	_, err := w.Write(a.body)
	return err
}

// send sends a call to the upstream and reads the whole answer.
func (p *Proxy) send(q *call) (*answer, error) {
	resp, err := p.roundTrip(q, newBody(q.body), int64(len(q.body)))
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, fmt.Errorf("read answer: %w", err)
	}
	return &answer{status: resp.StatusCode, header: resp.Header, body: body}, nil
}

func (p *Proxy) roundTrip(q *call, body io.ReadCloser, length int64) (*http.Response, error) {
	path, err := url.PathUnescape(q.path)
	if err != nil {
		return nil, fmt.Errorf("send to %s: %w", p.cfg.Upstream, err)
	}
	r := &http.Request{
		Method: q.method,
		URL:    &url.URL{Scheme: "https", Host: p.cfg.Upstream, Path: path, RawPath: q.path, RawQuery: q.rawQuery},
		Host:   p.cfg.Upstream,
		Header: q.header.Clone(),
	}
	if length != 0 {
		r.Body, r.ContentLength = body, length
	}
	for _, name := range []string{"Connection", "Content-Length", "Keep-Alive", "Proxy-Connection", "Te", "Transfer-Encoding", "Upgrade"} {
		r.Header.Del(name) // of the connection, or made anew
	}
	if _, set := r.Header["User-Agent"]; !set {
		r.Header["User-Agent"] = []string{""} // net/http would send one of its own
	}
	resp, err := p.transport.RoundTrip(r.WithContext(q.ctx))
	if err != nil {
		return nil, fmt.Errorf("send to %s: %w", p.cfg.Upstream, err)
	}
	return resp, nil
}

// forward sends a call on and its answer back, both as they come. If the answer
// is a watch, it goes through the teller, if there is one.
func (p *Proxy) forward(w http.ResponseWriter, q *call, body io.ReadCloser, length int64, tell teller) error {
	resp, err := p.roundTrip(q, body, length)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	copyHeader(w.Header(), resp.Header)
	w.WriteHeader(resp.StatusCode)
	flush := http.NewResponseController(w).Flush
	if err := flush(); err != nil {
		return err
	}
	if a := (&answer{status: resp.StatusCode, header: resp.Header}); tell != nil && a.ok() {
		return retell(w, flush, resp, tell)
	}
	return copyBody(w, flush, resp.Body)
}

// watch answers a watch.
func (p *Proxy) watch(w http.ResponseWriter, q *call) error {
	l := p.liar
	if l.lie.refuse != nil {
		if a := l.lie.refuse(l, q); a != nil {
			return write(w, a)
		}
	}
	var tell teller
	if l.lie.watch != nil {
		tell = l.lie.watch(l, q)
	}
	return p.forward(w, q, http.NoBody, 0, tell)
}

// retell sends on what a teller makes of the events of a watch.
func retell(w io.Writer, flush func() error, resp *http.Response, tell teller) error {
	t := resp.Header.Get("Content-Type")
	s := &events{json: len(t) >= len(jsonType) && t[:len(jsonType)] == jsonType, reader: bufio.NewReaderSize(resp.Body, 32<<10)}
	for {
		e, err := s.next()
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		for _, told := range tell(e) {
			if told == nil {
				continue
			}
			b, err := told.encode()
			if err != nil {
				return err
			}
			if _, err := w.Write(b); err != nil {
				return err
			}
		}
		if ferr := flush(); ferr != nil || err != nil {
			return ferr // nil at the end of the stream
		}
	}
}

func copyBody(w io.Writer, flush func() error, r io.Reader) error {
	buffer := make([]byte, 32<<10)
	for {
		n, err := r.Read(buffer)
		if n > 0 {
			if _, werr := w.Write(buffer[:n]); werr != nil {
				return werr
			}
			if ferr := flush(); ferr != nil {
				return ferr
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// copyHeader copies headers, and none of those that net/http would add.
func copyHeader(to, from http.Header) {
	for _, name := range []string{"Date", "Content-Type"} {
		to[name] = nil
	}
	for name, values := range from {
		to[name] = slices.Clone(values)
	}
}

func newBody(b []byte) io.ReadCloser { return io.NopCloser(bytes.NewReader(b)) }
