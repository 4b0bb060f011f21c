// Package link holds the TCP links of a run. The Balancer stands in front of
// the API servers. A Link leads to one address and can be made slow, silent or
// cut, in each direction by itself, while it runs. A Gate holds the Links of
// one process that dials many addresses, so that each pair of processes has a
// Link of its own. All move bytes and count them; they know nothing of TLS or
// HTTP.
package link

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// dialTimeout bounds one attempt to reach a backend. A dead one refuses at
// once on loopback; a frozen one accepts until its listen queue is full, and
// only then an attempt takes this long.
const dialTimeout = 2 * time.Second

// acceptRetry is the pause after a failed accept, which is what happens when
// the process is out of file descriptors: an error that passes.
const acceptRetry = 20 * time.Millisecond

// Balancer spreads TCP connections over backends, round robin. A backend that
// cannot be reached is passed over at once in favour of the next, for that
// connection: there are no health checks, so a backend that comes back is used
// again with the next connection. A client that no backend takes is reset.
type Balancer struct {
	listener net.Listener
	done     chan struct{} // closed by Close
	tasks    sync.WaitGroup

	mu       sync.Mutex
	backends []*backend
	next     int // index of the backend whose turn it is
	closed   bool
}

// backend is one target with its open connections.
type backend struct {
	name, addr string

	accepted, failures atomic.Int64
	reset              atomic.Int64
	up, down           atomic.Int64

	// removed and open are guarded by Balancer.mu.
	removed bool
	open    map[*pipe]struct{}
}

// BackendStats is what went through the balancer to one backend so far.
type BackendStats struct {
	Name, Addr string
	Open       int   // connections open now
	Accepted   int64 // connections that it has taken
	Failures   int64 // attempts to connect that failed; another backend was tried
	Reset      int64 // open connections that Reset ended
	BytesUp    int64 // from clients to the backend
	BytesDown  int64 // from the backend to clients
}

// NewBalancer listens on the given TCP address, e.g. "127.0.0.1:0", and
// serves until Close. It has no backends yet.
func NewBalancer(listen string) (*Balancer, error) {
	listener, err := Listen(listen)
	if err != nil {
		return nil, fmt.Errorf("start load balancer: %w", err)
	}
	b := &Balancer{listener: listener, done: make(chan struct{})}
	b.tasks.Go(b.accept)
	return b, nil
}

// Addr is the address that clients connect to, host:port.
func (b *Balancer) Addr() string { return b.listener.Addr().String() }

// Add adds a backend, or gives a backend of that name a new address, in which
// case its old connections are reset.
func (b *Balancer) Add(name, addr string) {
	b.mu.Lock()
	old := b.take(name)
	b.backends = append(b.backends, &backend{name: name, addr: addr, open: map[*pipe]struct{}{}})
	b.mu.Unlock()
	resetAll(old)
}

// Remove takes a backend out and resets its connections. A name that is not
// there is no error.
func (b *Balancer) Remove(name string) {
	b.mu.Lock()
	old := b.take(name)
	b.mu.Unlock()
	resetAll(old)
}

// Reset resets the connections of a backend that are open now, once, and
// returns their number. The backend stays. A name that is not there has none.
func (b *Balancer) Reset(name string) int {
	b.mu.Lock()
	var pipes []*pipe
	for _, t := range b.backends {
		if t.name != name {
			continue
		}
		pipes = append(pipes, t.pipes()...)
		// They run until their ends have noticed, but a second reset must not find
		// them again.
		clear(t.open)
		t.reset.Add(int64(len(pipes)))
	}
	b.mu.Unlock()
	resetAll(pipes)
	return len(pipes)
}

// take takes a backend out of the list and returns its open connections, which
// nobody else resets from now on. b.mu is held.
func (b *Balancer) take(name string) []*pipe {
	i := slices.IndexFunc(b.backends, func(t *backend) bool { return t.name == name })
	if i < 0 {
		return nil
	}
	target := b.backends[i]
	b.backends = slices.Delete(b.backends, i, i+1)
	target.removed = true
	return target.pipes()
}

// Stats returns the figures of the backends in the order in which they were
// added.
func (b *Balancer) Stats() []BackendStats {
	b.mu.Lock()
	defer b.mu.Unlock()
	stats := make([]BackendStats, len(b.backends))
	for i, t := range b.backends {
		stats[i] = BackendStats{
			Name: t.name, Addr: t.addr, Open: len(t.open),
			Accepted: t.accepted.Load(), Failures: t.failures.Load(), Reset: t.reset.Load(),
			BytesUp: t.up.Load(), BytesDown: t.down.Load(),
		}
	}
	return stats
}

// Close stops listening, resets every connection and returns when nothing of
// the balancer runs any more. The second Close does nothing.
func (b *Balancer) Close() error {
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return nil
	}
	b.closed = true
	var pipes []*pipe
	for _, t := range b.backends {
		pipes = append(pipes, t.pipes()...)
	}
	b.mu.Unlock()

	close(b.done)
	err := b.listener.Close()
	resetAll(pipes)
	b.tasks.Wait()
	if err != nil {
		return fmt.Errorf("close load balancer: %w", err)
	}
	return nil
}

func (b *Balancer) accept() {
	acceptAll(b.listener, b.done, func(conn *net.TCPConn) {
		b.tasks.Go(func() { b.serve(conn) })
	})
}

// acceptAll hands every connection to take, until the listener or done is
// closed.
func acceptAll(listener net.Listener, done <-chan struct{}, take func(*net.TCPConn)) {
	for {
		conn, err := listener.Accept()
		switch {
		case err == nil:
			take(conn.(*net.TCPConn))
		case errors.Is(err, net.ErrClosed):
			return
		default:
			select {
			case <-done:
				return
			case <-time.After(acceptRetry):
			}
		}
	}
}

// serve connects one client to the first backend in turn that can be reached.
func (b *Balancer) serve(client *net.TCPConn) {
	for _, target := range b.order() {
		server, err := net.DialTimeout("tcp", target.addr, dialTimeout)
		if err != nil {
			target.failures.Add(1)
			continue
		}
		p := &pipe{client: client, server: server.(*net.TCPConn)}
		if !b.enter(target, p) {
			p.reset()
			return
		}
		target.accepted.Add(1)
		p.run(&target.up, &target.down)
		b.leave(target, p)
		return
	}
	reset(client)
}

// order returns the backends, beginning with the one whose turn it is.
func (b *Balancer) order() []*backend {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := len(b.backends)
	if n == 0 {
		return nil
	}
	first := b.next % n
	b.next = first + 1
	return slices.Concat(b.backends[first:], b.backends[:first])
}

// enter records an open connection. It reports false when the backend or the
// balancer went away while the connection was being made: nobody else would
// reset it then.
func (b *Balancer) enter(t *backend, p *pipe) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed || t.removed {
		return false
	}
	t.open[p] = struct{}{}
	return true
}

func (b *Balancer) leave(t *backend, p *pipe) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(t.open, p)
}

// pipes lists the open connections; Balancer.mu is held.
func (t *backend) pipes() []*pipe {
	pipes := make([]*pipe, 0, len(t.open))
	for p := range t.open {
		pipes = append(pipes, p)
	}
	return pipes
}

func resetAll(pipes []*pipe) {
	for _, p := range pipes {
		p.reset()
	}
}
