package link

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"
)

// Gate is the way out of one process that dials several addresses: a Link to
// each of them, behind one listener. So each pair of processes has a Link of
// its own although all of them dial a process under the same address, which a
// listener per target could not give: it cannot see who dials.
//
// It is a SOCKS5 server (RFC 1928) as far as Go's HTTP client speaks it: no
// authentication, CONNECT only. A process is led through it by the environment
// variable HTTP_PROXY=socks5://Addr(). Go uses no proxy towards loopback
// addresses (golang.org/x/net/http/httpproxy), so what is dialled must be some
// other address. It is never looked up and nothing is ever sent to it; an
// address without a route is refused.
type Gate struct {
	listener net.Listener
	done     chan struct{}
	tasks    sync.WaitGroup

	mu     sync.Mutex
	closed bool
	routes map[string]*Link
}

// NewGate listens on the given TCP address. It has no routes yet.
func NewGate(listen string) (*Gate, error) {
	listener, err := Listen(listen)
	if err != nil {
		return nil, fmt.Errorf("start gate: %w", err)
	}
	g := &Gate{listener: listener, done: make(chan struct{}), routes: map[string]*Link{}}
	g.tasks.Go(func() {
		acceptAll(listener, g.done, func(conn *net.TCPConn) {
			g.tasks.Go(func() { g.serve(conn) })
		})
	})
	return g, nil
}

// Addr is the address of the SOCKS5 server, host:port.
func (g *Gate) Addr() string { return g.listener.Addr().String() }

// Route returns a new Link to target for connections to addr, host:port. A
// former Link for addr is closed.
func (g *Gate) Route(addr, target string) (*Link, error) {
	l := newLink(target)
	g.mu.Lock()
	if g.closed {
		g.mu.Unlock()
		return nil, fmt.Errorf("route %s to %s: %w", addr, target, net.ErrClosed)
	}
	former := g.routes[addr]
	g.routes[addr] = l
	g.mu.Unlock()
	if former != nil {
		_ = former.Close() // it has no listener that could fail
	}
	return l, nil
}

// Close stops listening, closes every Link and returns when nothing of the
// gate runs any more, up to two seconds later if somebody has connected and not
// said where to. The second Close does nothing.
func (g *Gate) Close() error {
	g.mu.Lock()
	if g.closed {
		g.mu.Unlock()
		return nil
	}
	g.closed = true
	g.mu.Unlock()

	close(g.done)
	err := g.listener.Close()
	for _, l := range g.routes { // it does not change any more
		err = errors.Join(err, l.Close())
	}
	g.tasks.Wait()
	if err != nil {
		return fmt.Errorf("close gate: %w", err)
	}
	return nil
}

// serve asks a client where to and hands it to that Link.
func (g *Gate) serve(client *net.TCPConn) {
	addr, err := askAddress(client)
	if err != nil {
		reset(client)
		return
	}
	g.mu.Lock()
	l := g.routes[addr]
	g.mu.Unlock()
	if l == nil {
		_, _ = client.Write(socksAnswer(errNoRoute)) // a client that has gone needs no answer
		_ = client.Close()
		return
	}
	l.serve(client, socksAnswer)
}

// The numbers of RFC 1928.
const (
	socksVersion = 5

	socksNoAuthentication = 0
	socksConnect          = 1

	socksIPv4   = 1
	socksDomain = 3
	socksIPv6   = 4

	socksSucceeded  = 0
	socksFailure    = 1
	socksNotAllowed = 2
	socksRefused    = 5
)

var errNoRoute = errors.New("no route")

// askAddress does the client's half of SOCKS5 up to its answer and returns the
// address that the client wants to be connected with.
func askAddress(client *net.TCPConn) (string, error) {
	if err := client.SetDeadline(time.Now().Add(dialTimeout)); err != nil {
		return "", err
	}
	var head [2]byte // version, number of methods
	if _, err := io.ReadFull(client, head[:]); err != nil {
		return "", err
	}
	if head[0] != socksVersion {
		return "", fmt.Errorf("version %d of SOCKS", head[0])
	}
	if _, err := io.CopyN(io.Discard, client, int64(head[1])); err != nil {
		return "", err
	}
	if _, err := client.Write([]byte{socksVersion, socksNoAuthentication}); err != nil {
		return "", err
	}
	var request [4]byte // version, command, reserved, address type
	if _, err := io.ReadFull(client, request[:]); err != nil {
		return "", err
	}
	if request[1] != socksConnect {
		return "", fmt.Errorf("command %d of SOCKS", request[1])
	}
	addr, err := readAddress(client, request[3])
	if err != nil {
		return "", err
	}
	return addr, client.SetDeadline(time.Time{})
}

func readAddress(r io.Reader, kind byte) (string, error) {
	length := 0
	switch kind {
	case socksIPv4:
		length = net.IPv4len
	case socksIPv6:
		length = net.IPv6len
	case socksDomain:
		var n [1]byte
		if _, err := io.ReadFull(r, n[:]); err != nil {
			return "", err
		}
		length = int(n[0])
	default:
		return "", fmt.Errorf("address type %d of SOCKS", kind)
	}
	b := make([]byte, length+2)
	if _, err := io.ReadFull(r, b); err != nil {
		return "", err
	}
	host := string(b[:length])
	if kind != socksDomain {
		ip, _ := netip.AddrFromSlice(b[:length])
		host = ip.String()
	}
	return net.JoinHostPort(host, fmt.Sprint(binary.BigEndian.Uint16(b[length:]))), nil
}

// socksAnswer tells a client how its connection went. The address that we
// connect from is of no use to it.
func socksAnswer(err error) []byte {
	code := byte(socksFailure)
	switch {
	case err == nil:
		code = socksSucceeded
	case errors.Is(err, errNoRoute):
		code = socksNotAllowed
	case errors.Is(err, syscall.ECONNREFUSED):
		code = socksRefused
	}
	return []byte{socksVersion, code, 0, socksIPv4, 0, 0, 0, 0, 0, 0}
}
