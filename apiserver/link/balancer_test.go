package link

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// bound ends every wait of these tests, one of which moves 64 MiB, on a machine
// that may have other work.
const bound = 5 * time.Minute

// startBackend serves every connection with handle until the test ends.
func startBackend(t testing.TB, handle func(net.Conn)) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var tasks sync.WaitGroup
	tasks.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			tasks.Go(func() {
				defer conn.Close()
				handle(conn)
			})
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		tasks.Wait()
	})
	return listener.Addr().String()
}

// greeter sends its name and closes.
func greeter(name string) func(net.Conn) {
	return func(c net.Conn) { _, _ = io.WriteString(c, name) }
}

// holder sends its name and keeps the connection until the client goes.
func holder(name string) func(net.Conn) {
	return func(c net.Conn) {
		_, _ = io.WriteString(c, name)
		_, _ = io.Copy(io.Discard, c)
	}
}

// deadAddr is an address on which nothing listens until the test ends.
func deadAddr(t testing.TB) string {
	t.Helper()
	p, err := ReservePort(0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Release)
	return p.Addr()
}

func newBalancer(t testing.TB) *Balancer {
	t.Helper()
	b, err := NewBalancer("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

func dial(t testing.TB, b *Balancer) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", b.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(bound)); err != nil {
		t.Fatal(err)
	}
	return conn
}

// ask returns what a new connection sends. A reset may come before the dial
// has returned, so its error counts as the connection's.
func ask(b *Balancer) (string, error) {
	conn, err := net.DialTimeout("tcp", b.Addr(), bound)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(bound)); err != nil {
		return "", err
	}
	answer, err := io.ReadAll(conn)
	return string(answer), err
}

// eventually waits until the condition holds; the deadline is bound.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(bound); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited %v for %s", bound, what)
		}
	}
}

func TestRoundRobin(t *testing.T) {
	b := newBalancer(t)
	b.Add("a", startBackend(t, greeter("a")))
	b.Add("b", startBackend(t, greeter("b")))
	b.Add("c", startBackend(t, greeter("c")))
	var got []string
	for range 7 {
		name, err := ask(b)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, name)
	}
	if diff := cmp.Diff("a b c a b c a", strings.Join(got, " ")); diff != "" {
		t.Error(diff)
	}
}

func TestDeadBackendIsSkipped(t *testing.T) {
	b := newBalancer(t)
	b.Add("dead", deadAddr(t))
	b.Add("live", startBackend(t, greeter("live")))
	for range 6 {
		if name, err := ask(b); name != "live" || err != nil {
			t.Fatalf("got %q, %v", name, err)
		}
	}
	stats := b.Stats()
	if stats[0].Accepted != 0 || stats[0].Failures == 0 {
		t.Errorf("the dead backend: %+v", stats[0])
	}
	if stats[1].Accepted != 6 || stats[1].Failures != 0 {
		t.Errorf("the live backend: %+v", stats[1])
	}
}

func TestNobodyThere(t *testing.T) {
	b := newBalancer(t)
	expectReset := func() {
		t.Helper()
		if answer, err := ask(b); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("got %q, %v, want a reset", answer, err)
		}
	}
	expectReset()
	b.Add("dead", deadAddr(t))
	expectReset()
	// A backend that appears is used without further ado.
	b.Add("live", startBackend(t, greeter("live")))
	if name, err := ask(b); name != "live" || err != nil {
		t.Errorf("got %q, %v", name, err)
	}
}

// heldByTwo is a balancer with the backends a and b, and an open connection to
// each.
func heldByTwo(t *testing.T) (*Balancer, map[string]net.Conn) {
	t.Helper()
	b := newBalancer(t)
	b.Add("a", startBackend(t, holder("a")))
	b.Add("b", startBackend(t, holder("b")))
	conns := map[string]net.Conn{}
	for range 2 {
		conn := dial(t, b)
		name := make([]byte, 1)
		if _, err := io.ReadFull(conn, name); err != nil {
			t.Fatal(err)
		}
		conns[string(name)] = conn
	}
	return b, conns
}

func TestRemoveResetsItsConnectionsOnly(t *testing.T) {
	b, conns := heldByTwo(t)
	b.Remove("a")
	b.Remove("unknown")
	if _, err := conns["a"].Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the connection to the removed backend: %v, want a reset", err)
	}
	if stats := b.Stats(); len(stats) != 1 || stats[0].Name != "b" || stats[0].Open != 1 {
		t.Errorf("after Remove: %+v", stats)
	}
	if err := conns["b"].SetReadDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if _, err := conns["b"].Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the other connection: %v, want it to be open", err)
	}
}

// A connection that is being made while its backend is taken out, or while the
// balancer closes, is not entered: nobody would reset it.
func TestEnterAfterRemove(t *testing.T) {
	b := newBalancer(t)
	b.Add("a", deadAddr(t))
	b.Add("b", deadAddr(t))
	order := b.order()
	p := &pipe{}
	if !b.enter(order[0], p) {
		t.Error("not entered although everything is there")
	}
	b.leave(order[0], p)
	b.Remove("a")
	if b.enter(order[0], &pipe{}) {
		t.Error("entered at a backend that was removed")
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if b.enter(order[1], &pipe{}) {
		t.Error("entered after Close")
	}
}

func TestAddMovesBackend(t *testing.T) {
	b := newBalancer(t)
	b.Add("a", startBackend(t, greeter("old")))
	b.Add("a", startBackend(t, greeter("new")))
	for range 2 {
		if name, err := ask(b); name != "new" || err != nil {
			t.Fatalf("got %q, %v", name, err)
		}
	}
}

// A backend that fails while it serves is seen as a reset, not as an orderly
// end: a truncated answer must not look complete.
func TestFailingBackend(t *testing.T) {
	b := newBalancer(t)
	b.Add("failing", startBackend(t, func(c net.Conn) {
		_, _ = io.WriteString(c, "half an ans")
		_, _ = io.ReadFull(c, make([]byte, 3))
		_ = c.(*net.TCPConn).SetLinger(0)
	}))
	conn := dial(t, b)
	if _, err := io.WriteString(conn, "ask"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(conn); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("got %v, want a reset", err)
	}
	eventually(t, "the connection to be forgotten", func() bool { return b.Stats()[0].Open == 0 })
}

// A half-close goes through: the server answers after it has read everything.
func TestBytesAndHalfClose(t *testing.T) {
	b := newBalancer(t)
	b.Add("sum", startBackend(t, func(c net.Conn) {
		hash := sha256.New()
		_, _ = io.Copy(hash, c)
		_, _ = c.Write(hash.Sum(nil))
	}))
	random := rand.NewChaCha8([32]byte{1})
	var wantUp int64
	for _, size := range []int{0, 1, chunkBytes, chunkBytes + 1, 5<<20 + 7} {
		data := make([]byte, size)
		_, _ = random.Read(data)
		conn := dial(t, b)
		if _, err := conn.Write(data); err != nil {
			t.Fatal(err)
		}
		if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(conn)
		if err != nil {
			t.Fatal(err)
		}
		if want := sha256.Sum256(data); !bytes.Equal(got, want[:]) {
			t.Errorf("%d bytes arrived changed", size)
		}
		wantUp += int64(size)
	}
	eventually(t, "the connections to end", func() bool { return b.Stats()[0].Open == 0 })
	got := b.Stats()[0]
	want := BackendStats{Name: "sum", Addr: got.Addr, Accepted: 5, BytesUp: wantUp, BytesDown: 5 * sha256.Size}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// Close ends connections that are open, idle or in the middle of a transfer
// that nobody reads, and leaves no goroutine.
func TestCloseLeavesNothing(t *testing.T) {
	flood := startBackend(t, func(c net.Conn) {
		for {
			if _, err := c.Write(make([]byte, 1<<20)); err != nil {
				return
			}
		}
	})
	idle := startBackend(t, holder("idle"))
	before := runtime.NumGoroutine()

	b, err := NewBalancer("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b.Add("idle", idle)
	b.Add("flood", flood)
	var conns []net.Conn
	for i := range 20 {
		conns = append(conns, dial(t, b))
		eventually(t, "the connection to open", func() bool {
			stats := b.Stats()
			return stats[0].Open+stats[1].Open == i+1
		})
	}
	// A backend that a busy machine lets wait for two seconds is passed over, so
	// that it need not be ten of each.
	if stats := b.Stats(); stats[0].Open == 0 || stats[1].Open == 0 {
		t.Fatalf("the connections are all of one kind: %+v", stats)
	}
	for range 2 {
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for _, conn := range conns {
		if _, err := io.Copy(io.Discard, conn); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("after Close: %v, want a reset", err)
		}
	}
	// Not by dialling: somebody else may have the port by now.
	if err := b.listener.(*net.TCPListener).SetDeadline(time.Time{}); !errors.Is(err, net.ErrClosed) {
		t.Errorf("still listening after Close: %v", err)
	}
	eventually(t, "the goroutines to end", func() bool { return runtime.NumGoroutine() <= before })
}

func TestPortTaken(t *testing.T) {
	b := newBalancer(t)
	if _, err := NewBalancer(b.Addr()); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("got %v, want address already in use", err)
	}
}

// Connections come and go while backends do.
func TestConcurrentUse(t *testing.T) {
	b := newBalancer(t)
	stable := startBackend(t, greeter("stable"))
	flapping := startBackend(t, greeter("flapping"))
	b.Add("stable", stable)
	stop := make(chan struct{})
	var tasks sync.WaitGroup
	tasks.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				b.Add("flapping", flapping)
				b.Stats()
				b.Remove("flapping")
			}
		}
	})
	var clients sync.WaitGroup
	for range 8 {
		clients.Go(func() {
			for range 50 {
				answer, err := ask(b)
				// Only a backend that is removed may break a connection.
				if err == nil && answer != "stable" && answer != "flapping" && answer != "" {
					t.Errorf("answer %q", answer)
				}
			}
		})
	}
	clients.Wait()
	close(stop)
	tasks.Wait()
	if name, err := ask(b); name != "stable" || err != nil {
		t.Errorf("at the end: %q, %v", name, err)
	}
}

// BenchmarkMessage is one small request and answer through the balancer:
// what most API calls are on the wire.
func BenchmarkMessage(b *testing.B) {
	for _, size := range []int{512, 8 << 10} {
		b.Run(fmt.Sprintf("bytes=%d", size), func(b *testing.B) {
			balancer := newBalancer(b)
			balancer.Add("echo", startBackend(b, func(c net.Conn) { _, _ = io.Copy(c, c) }))
			conn := dial(b, balancer)
			_ = conn.SetDeadline(time.Time{})
			message := make([]byte, size)
			b.SetBytes(int64(2 * size))
			for b.Loop() {
				if _, err := conn.Write(message); err != nil {
					b.Fatal(err)
				}
				if _, err := io.ReadFull(conn, message); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkBulk is a large answer through the balancer, such as a LIST.
func BenchmarkBulk(b *testing.B) {
	const size = 64 << 20
	balancer := newBalancer(b)
	balancer.Add("list", startBackend(b, func(c net.Conn) {
		data := make([]byte, 1<<20)
		for range size / len(data) {
			if _, err := c.Write(data); err != nil {
				return
			}
		}
	}))
	b.SetBytes(size)
	for b.Loop() {
		conn := dial(b, balancer)
		if n, err := io.Copy(io.Discard, conn); n != size || err != nil {
			b.Fatal(n, err)
		}
	}
}
