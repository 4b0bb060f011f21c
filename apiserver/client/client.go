// Package client is the one way in which planecheck itself talks to the API
// servers: every request and every watch of the simulation and the workloads
// goes through it, and its one hook, the Observer, is told of each of them.
//
// It makes no retries. What it sends is one HTTP attempt, what it returns is
// that attempt's outcome, and what it records is the same. The one exception
// is a connection found dead, or refused, before a byte of the request was
// sent: then the request goes out on another connection, if need be to another
// server, and is still one attempt.
//
// Responses are not compressed: like kube-scheduler and kube-controller-manager
// (DisableCompression in their options) it asks for none.
package client

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"hash/fnv"
	"net"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/planecheck/planecheck/checkers/history"
)

// defaultStreams leaves room below the API server's 100: a stream that was
// cancelled counts there until the server has dealt with its reset.
const defaultStreams = 80

// requestConnections is how many shared connections to a server carry short
// requests. More than one, so that a list of a hundred megabytes does not hold
// up every heartbeat; few, because frames that travel together cost less (at
// 2,000 updates/s 79 µs of CPU each with one connection, 91 with 4, 95 with 16).
const requestConnections = 4

// Config says where the API servers are and who is told of the traffic.
type Config struct {
	// Servers are the addresses (host:port) of the API servers or of the load
	// balancer in front of them. At least one.
	Servers []string
	// WatchServers are the addresses under which the shared connections for
	// watches reach the same servers, in their order; nil: Servers.
	WatchServers []string
	// CA is the PEM bundle that signs the servers' certificates.
	CA []byte
	// Observer is told of every attempt and every watch event; nil: nobody is.
	Observer history.Observer
	// StreamsPerConnection bounds the requests and watches that share one
	// HTTP/2 connection. Default 80: the API server allows 100, and a request
	// beyond what the server allows waits.
	StreamsPerConnection int
}

// Identity is one user of the API.
type Identity struct {
	User  string // as the server knows it, e.g. system:node:node-00042
	Class history.Class
	// Token is a bearer token: its requests ride on the shared connections.
	Token string
	// Certificate, when set, is used instead of Token, on TLS connections of
	// the identity's own.
	Certificate *tls.Certificate
}

// Layer holds the connections to all API servers. On the shared ones, watches
// and short requests travel apart, so that watches, which stay, do not use up
// the streams. Connections are opened as they are needed, and stay open.
type Layer struct {
	cfg       Config
	tls       *tls.Config
	transport *http.Transport
	shared    []endpoint // one per server
	dials     sync.WaitGroup

	mu     sync.Mutex
	closed bool
	pools  map[*pool]struct{}
}

// endpoint is what leads to one server.
type endpoint struct{ requests, watches *pool }

// New returns a Layer. It opens no connection yet. The caller closes it.
func New(cfg Config) (*Layer, error) {
	if len(cfg.Servers) == 0 {
		return nil, errors.New("create client layer: no servers given")
	}
	if cfg.WatchServers == nil {
		cfg.WatchServers = cfg.Servers
	}
	if len(cfg.WatchServers) != len(cfg.Servers) {
		return nil, fmt.Errorf("create client layer: %d servers, but %d for watches", len(cfg.Servers), len(cfg.WatchServers))
	}
	for _, s := range slices.Concat(cfg.Servers, cfg.WatchServers) {
		if _, _, err := net.SplitHostPort(s); err != nil {
			return nil, fmt.Errorf("create client layer: server address: %w", err)
		}
	}
	if cfg.StreamsPerConnection == 0 {
		cfg.StreamsPerConnection = defaultStreams
	}
	if cfg.StreamsPerConnection < 0 {
		return nil, fmt.Errorf("create client layer: %d streams per connection", cfg.StreamsPerConnection)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(cfg.CA) {
		return nil, errors.New("create client layer: no certificate in the CA bundle")
	}
	l := &Layer{
		cfg:       cfg,
		tls:       &tls.Config{RootCAs: roots, NextProtos: []string{"h2"}, MinVersion: tls.VersionTLS12},
		transport: newTransport(),
		pools:     make(map[*pool]struct{}),
	}
	for i, addr := range cfg.Servers {
		l.shared = append(l.shared, endpoint{
			requests: l.newPool(addr, l.tls, requestConnections),
			watches:  l.newPool(cfg.WatchServers[i], l.tls, 1),
		})
	}
	return l, nil
}

// Close ends all connections and with them all requests and watches. Later
// requests fail.
func (l *Layer) Close() {
	l.mu.Lock()
	l.closed = true
	pools := l.pools
	l.pools = nil
	l.mu.Unlock()

	for p := range pools {
		p.close()
	}
	l.dials.Wait()
}

// Client returns a client that speaks as id. It is cheap: thousands may exist.
func (l *Layer) Client(id Identity) *Client {
	h := fnv.New32a()
	h.Write([]byte(id.User))
	c := &Client{layer: l, id: id, hash: h.Sum32(), endpoints: l.shared}
	c.server.Store(c.hash % uint32(len(l.shared)))
	if id.Certificate == nil {
		c.authorization = []string{"Bearer " + id.Token}
		return c
	}
	config := l.tls.Clone()
	config.Certificates = []tls.Certificate{*id.Certificate}
	c.endpoints = make([]endpoint, len(l.cfg.Servers))
	for i, addr := range l.cfg.Servers {
		p := l.newPool(addr, config, 1)
		c.endpoints[i] = endpoint{requests: p, watches: p}
	}
	return c
}

// Client sends the requests of one identity. It is safe for concurrent use.
//
// Its user name decides, by hash, to which server it goes at first. It leaves
// a server that it cannot connect to for the next one, and stays there, as a
// kubelet behind a load balancer does.
type Client struct {
	layer         *Layer
	id            Identity
	hash          uint32
	server        atomic.Uint32 // index into endpoints
	endpoints     []endpoint
	authorization []string // header value; nil with a client certificate
}

// Close ends the connections that are the identity's own, and with them its
// requests and watches. The shared ones stay. Layer.Close does the same for all.
func (c *Client) Close() {
	if c.id.Certificate == nil {
		return
	}
	for _, e := range c.endpoints {
		c.layer.forget(e.requests)
		e.requests.close()
	}
}

func (l *Layer) forget(p *pool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.pools, p)
}

// connect reserves a stream for the client: on its current server, or, if no
// connection can be made to that one, on the next that takes it.
func (c *Client) connect(ctx context.Context, watch bool) (*conn, error) {
	start := c.server.Load()
	var failed error
	for i := range uint32(len(c.endpoints)) {
		n := (start + i) % uint32(len(c.endpoints))
		p := c.endpoints[n].requests
		if watch {
			p = c.endpoints[n].watches
		}
		cn, err := p.acquire(ctx, c.hash)
		if err == nil {
			c.server.CompareAndSwap(start, n)
			return cn, nil
		}
		failed = errors.Join(failed, err)
		if ctx.Err() != nil || errors.Is(err, errClosed) {
			break
		}
	}
	return nil, failed
}

// Resource names a kind of object. Group is empty for the core group.
type Resource struct{ Group, Version, Plural string }

// Request is one call of the API.
type Request struct {
	// Verb is get, list, create, update, patch, delete or deletecollection.
	// Watch ignores it.
	Verb      string
	Resource  Resource
	Namespace string // empty for cluster-scoped resources and for all namespaces
	// Name of the object. For a create without a subresource it only serves
	// the record.
	Name        string
	Subresource string
	Query       url.Values
	Body        []byte
	ContentType string // default application/vnd.kubernetes.protobuf when Body != nil
	// Accept is the media type of the answer; default
	// application/vnd.kubernetes.protobuf. A watch is in protobuf or in JSON:
	// custom resources have no protobuf.
	Accept string
	// Due is when an open-loop sender meant to send the request; zero: not
	// scheduled.
	Due history.Time
	// Marks declare what the write does to the marks of its object, for the
	// checkers; they are not sent.
	Marks *history.Marks
	// Illegal says what is wrong with the request on purpose, for the checkers:
	// history.UnknownDryRun and its like. It is not sent.
	Illegal string
}

// Response is the answer to a Request, its body fully read.
type Response struct {
	Status   int
	Body     []byte
	Called   history.Time // just before the request was handed to the transport
	Returned history.Time // when the whole body had been read
	// Server is the instance that answered: the common name of its serving
	// certificate and the last 8 hex digits of that certificate's serial
	// number, e.g. kube-apiserver-0/1f3a9c04.
	Server string
}
