package client

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
)

var errClosed = errors.New("client is closed")

// maxTries bounds how often one request looks for a connection, should every
// one that it finds go away at once.
const maxTries = 8

// pool is a set of connections to one server that carry the same kind of
// traffic.
type pool struct {
	layer  *Layer
	addr   string
	tls    *tls.Config
	want   int             // connections to open before any is shared
	ctx    context.Context // of the dials; ended by close
	cancel context.CancelFunc

	mu     sync.Mutex
	closed bool
	conns  []*conn
}

func (l *Layer) newPool(addr string, config *tls.Config, want int) *pool {
	config = config.Clone()
	config.ServerName, _, _ = net.SplitHostPort(addr) // a bad address fails at the dial
	p := &pool{layer: l, addr: addr, tls: config, want: want}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	l.mu.Lock()
	defer l.mu.Unlock()
	p.closed = l.closed
	if !l.closed {
		l.pools[p] = struct{}{}
	}
	return p
}

// acquire reserves one stream. The hash decides with which connection the
// search begins; the reservation is returned with release.
func (p *pool) acquire(ctx context.Context, hash uint32) (*conn, error) {
	for range maxTries {
		c, reserved, err := p.choose(hash)
		if err != nil || reserved {
			return c, err
		}
		if err := c.wait(ctx); err != nil {
			p.release(c)
			return nil, err
		}
		if c.http.Reserve() == nil {
			return c, nil
		}
		p.release(c)
	}
	return nil, fmt.Errorf("find a connection to API server %s: %d connections took no request", p.addr, maxTries)
}

// choose counts one more stream on a connection that has room, or on a new
// one. If the connection is still being dialled, the stream is not reserved
// with it yet.
func (p *pool) choose(hash uint32) (c *conn, reserved bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, false, errClosed
	}
	p.conns = slices.DeleteFunc(p.conns, (*conn).dead)
	if n := len(p.conns); n >= p.want {
		for i := range n {
			c := p.conns[(int(hash)+i)%n]
			if c.streams >= p.layer.cfg.StreamsPerConnection {
				continue
			}
			dialed := c.dialed()
			if dialed && (c.err != nil || c.http.Reserve() != nil) { // it may have died just now
				continue
			}
			c.streams++
			return c, dialed, nil
		}
	}
	c = &conn{pool: p, streams: 1, ready: make(chan struct{})}
	p.conns = append(p.conns, c)
	p.layer.dials.Go(c.dial)
	return c, false, nil
}

// release gives back one stream.
func (p *pool) release(c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c.streams--
}

// close ends all connections, dials under way included.
func (p *pool) close() {
	p.cancel()
	p.mu.Lock()
	p.closed = true
	conns := p.conns
	p.conns = nil
	p.mu.Unlock()
	for _, c := range conns {
		<-c.ready
		if c.http != nil {
			c.http.Close()
		}
	}
}
