package link

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func newTestLink(t testing.TB, target string) *Link {
	t.Helper()
	l, err := New("127.0.0.1:0", target)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// dialAddr returns a connection whose every read and write is bounded.
func dialAddr(t testing.TB, addr string) *net.TCPConn {
	t.Helper()
	conn, err := net.DialTimeout("tcp", addr, bound)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(bound)); err != nil {
		t.Fatal(err)
	}
	return conn.(*net.TCPConn)
}

func echo(c net.Conn) { _, _ = io.Copy(c, c) }

// accepted hands over the connections that a target takes.
func accepted(t testing.TB) (addr string, conns <-chan *net.TCPConn) {
	t.Helper()
	c := make(chan *net.TCPConn)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var tasks sync.WaitGroup
	tasks.Go(func() {
		defer close(c)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			c <- conn.(*net.TCPConn)
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		for conn := range c { // nobody waits for those that are left
			_ = conn.Close()
		}
		tasks.Wait()
	})
	return listener.Addr().String(), c
}

// ends connects a client with a target through l and returns both ends.
func ends(t testing.TB, l *Link, conns <-chan *net.TCPConn) (client, server *net.TCPConn) {
	t.Helper()
	client = dialAddr(t, l.Addr())
	select {
	case server = <-conns:
	case <-time.After(bound):
		t.Fatal("the target was not reached")
	}
	t.Cleanup(func() { _ = server.Close() })
	if err := server.SetDeadline(time.Now().Add(bound)); err != nil {
		t.Fatal(err)
	}
	return client, server
}

func send(t testing.TB, c net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
}

func receive(t testing.TB, c net.Conn, want string) {
	t.Helper()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != want {
		t.Fatalf("received %q, %v, want %q", got, err, want)
	}
}

func wantReset(t testing.TB, what string, c net.Conn) {
	t.Helper()
	if _, err := io.Copy(io.Discard, c); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("%s: %v, want a reset", what, err)
	}
}

func TestLinkPassesBytesAndHalfClose(t *testing.T) {
	l := newTestLink(t, startBackend(t, func(c net.Conn) {
		hash := sha256.New()
		_, _ = io.Copy(hash, c)
		_, _ = c.Write(hash.Sum(nil))
	}))
	random := rand.NewChaCha8([32]byte{2})
	var up int64
	for _, size := range []int{0, 1, chunkBytes + 1, 9<<20 + 7} {
		data := make([]byte, size)
		_, _ = random.Read(data)
		conn := dialAddr(t, l.Addr())
		if _, err := conn.Write(data); err != nil {
			t.Fatal(err)
		}
		if err := conn.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		want := sha256.Sum256(data)
		if got, err := io.ReadAll(conn); err != nil || !bytes.Equal(got, want[:]) {
			t.Errorf("%d bytes arrived changed: %v", size, err)
		}
		up += int64(size)
	}
	eventually(t, "the connections to end", func() bool { return l.Stats().Open == 0 })
	want := Stats{Accepted: 4, Up: Flow{Passed: up}, Down: Flow{Passed: 4 * sha256.Size}}
	if diff := cmp.Diff(want, l.Stats()); diff != "" {
		t.Error(diff)
	}
}

// What is delayed arrives late, in its order, with all that was sent after it,
// and the delay is paid once and not for every piece.
func TestDelayIsNotAThrottle(t *testing.T) {
	l := newTestLink(t, startBackend(t, echo))
	const delay = 50 * time.Millisecond
	l.Set(Up, Condition{Delay: delay, Jitter: delay, Seed: 7})
	l.Set(Down, Condition{Delay: delay})
	conn := dialAddr(t, l.Addr())
	data := make([]byte, 1<<20)
	_, _ = rand.NewChaCha8([32]byte{3}).Read(data)
	began := time.Now()
	go func() { // in many pieces, none of which waits for the one before
		for rest := data; len(rest) > 0; rest = rest[min(1000, len(rest)):] {
			if _, err := conn.Write(rest[:min(1000, len(rest))]); err != nil {
				return // the read below fails
			}
		}
	}()
	first := make([]byte, 1)
	if _, err := io.ReadFull(conn, first); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took < 2*delay {
		t.Errorf("there and back took %v, want at least %v", took, 2*delay)
	}
	got := make([]byte, len(data)-1)
	if _, err := io.ReadFull(conn, got); err != nil || !bytes.Equal(append(first, got...), data) {
		t.Errorf("arrived changed: %v", err)
	}
	n := int64(len(data)) // a piece is counted behind the write that it can be received by
	eventually(t, "all to be counted", func() bool { s := l.Stats(); return s.Up.Passed >= n && s.Down.Passed >= n })
	if s := l.Stats(); s.Up.Delayed != n || s.Down.Delayed != n || s.Up.Passed != n || s.Up.Waiting+s.Down.Waiting != 0 {
		t.Errorf("figures: %+v", s)
	}
}

// A direction that is held is silent: no byte and no end goes through, while
// the other works; after Heal everything comes, in order.
func TestHoldOneDirection(t *testing.T) {
	target, conns := accepted(t)
	l := newTestLink(t, target)
	client, server := ends(t, l, conns)
	send(t, client, "before ")
	receive(t, server, "before ")

	l.Set(Up, Condition{Hold: true})
	send(t, client, "during ")
	send(t, server, "answers go on")
	receive(t, client, "answers go on")
	if err := client.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the bytes to be held", func() bool { return l.Stats().Up.Held == int64(len("during ")) })
	// A new connection is made, and is silent too.
	second, secondServer := ends(t, l, conns)
	send(t, second, "second")
	eventually(t, "the second's bytes to be held", func() bool { return l.Stats().Up.Held == int64(len("during second")) })
	for what, c := range map[string]*net.TCPConn{"the first": server, "the second": secondServer} {
		if err := c.SetReadDeadline(time.Now().Add(30 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		var timeout net.Error
		if n, err := c.Read(make([]byte, 1)); n > 0 || !errors.As(err, &timeout) || !timeout.Timeout() {
			t.Errorf("%s: read %d bytes, %v, want silence", what, n, err)
		}
		if err := c.SetReadDeadline(time.Now().Add(bound)); err != nil {
			t.Fatal(err)
		}
	}

	if diff := cmp.Diff(Healed{Up: int64(len("during second"))}, l.Heal()); diff != "" {
		t.Errorf("healed (-want +got):\n%s", diff)
	}
	receive(t, secondServer, "second")
	if got, err := io.ReadAll(server); string(got) != "during " || err != nil {
		t.Errorf("after Heal: %q, %v, want what was held and the end", got, err)
	}
}

// The sender of a held direction finds its window full instead of filling our
// memory, and nothing of what it sent is lost.
func TestHoldIsBounded(t *testing.T) {
	target, conns := accepted(t)
	l := newTestLink(t, target)
	client, server := ends(t, l, conns)
	l.Set(Up, Condition{Hold: true})
	const size = 64 << 20 // more than the queue and the buffers of four sockets
	sent := make(chan error, 1)
	go func() {
		_, err := client.Write(make([]byte, size))
		sent <- err
	}()
	eventually(t, "the queue to be full", func() bool { return l.Stats().Up.Waiting >= queueBytes-2*chunkBytes })
	select {
	case err := <-sent:
		t.Fatalf("all was taken although nothing goes on: %v", err)
	case <-time.After(200 * time.Millisecond): // long enough to take all, were there no bound
	}
	if waiting := l.Stats().Up.Waiting; waiting > queueBytes+chunkBytes {
		t.Errorf("%d bytes wait, more than %d", waiting, queueBytes)
	}
	l.Heal()
	if n, err := io.CopyN(io.Discard, server, size); err != nil {
		t.Errorf("%d of %d bytes came: %v", n, size, err)
	}
	if err := <-sent; err != nil {
		t.Error(err)
	}
}

// A client that dies is not seen by the target while its direction is held.
func TestHoldHidesAReset(t *testing.T) {
	target, conns := accepted(t)
	l := newTestLink(t, target)
	client, server := ends(t, l, conns)
	l.Set(Up, Condition{Hold: true})
	send(t, client, "last words")
	eventually(t, "the bytes to be held", func() bool { return l.Stats().Up.Held > 0 })
	reset(client)
	// The link finds out, because it can write to the client no more.
	eventually(t, "the link to see the reset", func() bool {
		_, err := server.Write([]byte("anybody there?"))
		return err == nil && l.Stats().Down.Dropped > 0
	})
	if l.Stats().Open != 1 {
		t.Error("the reset has ended the connection although it is held")
	}
	l.Heal()
	wantReset(t, "after Heal", server)
}

func TestCutAndHeal(t *testing.T) {
	target, conns := accepted(t)
	l := newTestLink(t, target)
	client, server := ends(t, l, conns)
	l.Set(Down, Condition{Hold: true})
	send(t, server, "lost")
	eventually(t, "the bytes to be held", func() bool { return l.Stats().Down.Held == 4 })
	l.Cut()
	wantReset(t, "the client of a cut link", client)
	wantReset(t, "the server of a cut link", server)
	conn, err := net.DialTimeout("tcp", l.Addr(), bound)
	if err == nil { // else the reset came first
		_, err = conn.Read(make([]byte, 1))
		_ = conn.Close()
	}
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("a new connection: %v, want a reset", err)
	}
	eventually(t, "the refusal to be counted", func() bool { return l.Stats().Refused == 1 })
	want := Stats{Accepted: 1, Refused: 1, Reset: 1, Down: Flow{Held: 4, Dropped: 4}}
	if diff := cmp.Diff(want, l.Stats()); diff != "" {
		t.Error(diff)
	}
	if healed := l.Heal(); healed != (Healed{}) {
		t.Errorf("healed %+v, but there was nothing left", healed)
	}
	client, server = ends(t, l, conns)
	send(t, server, "again")
	receive(t, client, "again")
}

func TestResetOnce(t *testing.T) {
	target, conns := accepted(t)
	l := newTestLink(t, target)
	first, _ := ends(t, l, conns)
	second, _ := ends(t, l, conns)
	eventually(t, "both to be open", func() bool { return l.Stats().Open == 2 })
	if n := l.Reset(); n != 2 {
		t.Errorf("reset %d connections, want 2", n)
	}
	wantReset(t, "the first", first)
	wantReset(t, "the second", second)
	third, server := ends(t, l, conns)
	send(t, third, "unharmed")
	receive(t, server, "unharmed")
	if s := l.Stats(); s.Reset != 2 || s.Refused != 0 {
		t.Errorf("figures: %+v", s)
	}
}

func TestRate(t *testing.T) {
	target, conns := accepted(t)
	l := newTestLink(t, target)
	client, server := ends(t, l, conns)
	second, secondServer := ends(t, l, conns)
	l.Set(Up, Condition{Rate: 100_000})
	began := time.Now()
	for _, c := range []*net.TCPConn{client, second} { // they share the line
		if _, err := c.Write(make([]byte, 10_000)); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []*net.TCPConn{server, secondServer} {
		if _, err := io.CopyN(io.Discard, c, 10_000); err != nil {
			t.Fatal(err)
		}
	}
	if took := time.Since(began); took < 200*time.Millisecond {
		t.Errorf("20 kB at 100 kB/s took %v, want at least 200 ms", took)
	}
	if s := l.Stats(); s.Up.Delayed != 20_000 {
		t.Errorf("figures: %+v", s)
	}
}

func TestTargetIsDown(t *testing.T) {
	l := newTestLink(t, deadAddr(t))
	conn, err := net.DialTimeout("tcp", l.Addr(), bound)
	if err == nil {
		_, err = conn.Read(make([]byte, 1))
		_ = conn.Close()
	}
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("got %v, want a reset", err)
	}
	eventually(t, "the failure to be counted", func() bool { return l.Stats().Failed == 1 })
}

// Close ends connections in every state.
func TestLinkCloseLeavesNothing(t *testing.T) {
	target, conns := accepted(t)
	before := runtime.NumGoroutine()
	l, err := New("127.0.0.1:0", target)
	if err != nil {
		t.Fatal(err)
	}
	idle, _ := ends(t, l, conns)
	flooded, server := ends(t, l, conns)
	go func() { _, _ = io.Copy(server, endless{}) }() // nobody reads it
	eventually(t, "the flood to be stuck", func() bool { return l.Stats().Down.Waiting >= queueBytes-2*chunkBytes })
	l.Set(Up, Condition{Hold: true})
	held, _ := ends(t, l, conns)
	send(t, held, "held")
	l.Set(Down, Condition{Delay: time.Hour})
	late, lateServer := ends(t, l, conns)
	send(t, lateServer, "late")
	eventually(t, "all to be on their way", func() bool { s := l.Stats(); return s.Up.Held > 0 && s.Down.Delayed > 0 })
	for range 2 {
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for what, c := range map[string]net.Conn{"idle": idle, "flooded": flooded, "held": held, "late": late} {
		wantReset(t, what, c)
	}
	if s := l.Stats(); s.Up.Waiting+s.Down.Waiting != 0 || s.Open != 0 {
		t.Errorf("after Close: %+v", s)
	}
	eventually(t, "the goroutines to end", func() bool { return runtime.NumGoroutine() <= before })
}

type endless struct{}

func (endless) Read(b []byte) (int, error) { return len(b), nil }

// Faults come and go under load; what gets through is whole or reset.
func TestFaultsUnderLoad(t *testing.T) {
	l := newTestLink(t, startBackend(t, echo))
	stop := make(chan struct{})
	var faults sync.WaitGroup
	faults.Go(func() {
		random := rand.New(rand.NewPCG(1, 2))
		for {
			select {
			case <-stop:
				return
			default:
			}
			switch random.IntN(6) {
			case 0:
				l.Cut()
			case 1:
				l.Reset()
			case 2:
				l.Set(Direction(random.IntN(2)), Condition{Hold: true})
			case 3:
				l.Set(Direction(random.IntN(2)), Condition{Delay: time.Millisecond, Jitter: time.Millisecond})
			case 4:
				l.Set(Direction(random.IntN(2)), Condition{Rate: 1 << 20})
			default:
				l.Heal()
			}
			l.Stats()
			runtime.Gosched()
		}
	})
	var clients sync.WaitGroup
	for i := range 4 {
		clients.Go(func() {
			data := bytes.Repeat([]byte{byte('a' + i)}, 100_000)
			for range 20 {
				talk(t, l.Addr(), data)
			}
		})
	}
	clients.Wait()
	close(stop)
	faults.Wait()
	l.Heal()
	conn := dialAddr(t, l.Addr())
	send(t, conn, "at the end")
	receive(t, conn, "at the end")
}

// talk sends data to an echo for as long as the connection lasts.
func talk(t *testing.T, addr string, data []byte) {
	conn, err := net.DialTimeout("tcp", addr, bound)
	if err != nil {
		return // a cut can be as fast as that
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(bound))
	sent := make(chan error, 1)
	go func() {
		_, err := conn.Write(data)
		sent <- err
	}()
	got, err := io.ReadAll(io.LimitReader(conn, int64(len(data))))
	if !bytes.Equal(got, data[:len(got)]) {
		t.Error("bytes arrived changed")
	}
	// The kernel tells of a reset once, so it may have told the writer.
	if err = errors.Join(err, <-sent); err == nil && len(got) < len(data) {
		t.Errorf("an orderly end after %d of %d bytes", len(got), len(data))
	}
}
