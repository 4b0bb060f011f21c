package client

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"
)

const (
	// dialTimeout bounds the TCP connect and the TLS handshake together. A
	// frozen server accepts in its backlog and never shakes hands.
	dialTimeout = 10 * time.Second

	// pingAfter and pingTimeout find a connection whose peer has silently
	// gone. They are client-go's (ReadIdleTimeout and PingTimeout in
	// apimachinery/pkg/util/net/http.go).
	pingAfter   = 30 * time.Second
	pingTimeout = 15 * time.Second

	// streamWindow is how many bytes of one response may wait unread in this
	// process. The window of the connection is left at net/http's (1 GiB),
	// because a smaller one would let a reader that has stalled hold up
	// everybody on its connection.
	streamWindow = 256 << 10

	// readFrame is HTTP/2's smallest limit. Every connection keeps a buffer
	// of the largest frame that it has read.
	readFrame = 16 << 10
)

// conn is one HTTP/2 connection. ready is closed when the dial has ended; the
// fields below it are set then.
type conn struct {
	pool    *pool
	streams int // reserved by us; guarded by pool.mu

	ready    chan struct{}
	http     *http.ClientConn
	instance string // the server behind it, as in Response.Server
	err      error
}

// dialing is the key under which the dial finds its conn in the context:
// http.Transport offers no other way to one TLS configuration per connection.
type dialing struct{}

// newTransport returns the settings of all connections. Its own pool is not
// used, and with it go net/http's retries: an http.ClientConn sends a request
// once.
func newTransport() *http.Transport {
	var protocols http.Protocols
	protocols.SetHTTP2(true)
	return &http.Transport{
		DialTLSContext:     dialTLS,
		Protocols:          &protocols,
		DisableCompression: true,
		HTTP2: &http.HTTP2Config{
			MaxReadFrameSize:          readFrame,
			MaxReceiveBufferPerStream: streamWindow,
			SendPingTimeout:           pingAfter,
			PingTimeout:               pingTimeout,
		},
	}
}

func dialTLS(ctx context.Context, network, addr string) (net.Conn, error) {
	c, ok := ctx.Value(dialing{}).(*conn)
	if !ok {
		return nil, errors.New("dial outside of a pool")
	}
	var d net.Dialer
	raw, err := d.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	secure := tls.Client(raw, c.pool.tls)
	if err := secure.HandshakeContext(ctx); err != nil {
		raw.Close()
		return nil, fmt.Errorf("TLS handshake: %w", err)
	}
	state := secure.ConnectionState()
	if state.NegotiatedProtocol != "h2" {
		raw.Close()
		return nil, errors.New("server does not speak HTTP/2")
	}
	c.instance = instance(state.PeerCertificates[0])
	return secure, nil
}

func instance(cert *x509.Certificate) string {
	return fmt.Sprintf("%s/%08x", cert.Subject.CommonName, uint32(cert.SerialNumber.Uint64()))
}

// dial connects c and wakes whoever waits for it.
func (c *conn) dial() {
	ctx, cancel := context.WithTimeout(context.WithValue(c.pool.ctx, dialing{}, c), dialTimeout)
	defer cancel()
	c.http, c.err = c.pool.layer.transport.NewClientConn(ctx, "https", c.pool.addr)
	if c.err != nil {
		c.err = fmt.Errorf("connect to API server %s: %w", c.pool.addr, c.err)
	}
	close(c.ready)
}

// wait returns when the dial has ended. An error of a dial is that of every
// request that waited for it.
func (c *conn) wait(ctx context.Context) error {
	select {
	case <-c.ready:
		return c.err
	case <-ctx.Done():
		return fmt.Errorf("wait for a connection to API server %s: %w", c.pool.addr, ctx.Err())
	}
}

// dialed says whether the dial has ended, well or not.
func (c *conn) dialed() bool {
	select {
	case <-c.ready:
		return true
	default:
		return false
	}
}

// dead says whether nothing can be sent on c any more. A connection that was
// told to go away is not dead before its last stream has ended, but it takes
// no reservation either.
func (c *conn) dead() bool {
	return c.dialed() && (c.err != nil || c.http.Err() != nil)
}
