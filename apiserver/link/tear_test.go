package link

import (
	"errors"
	"io"
	"strings"
	"syscall"
	"testing"
)

// A connection that is torn has passed on the first half of what was sent last,
// and nothing behind it; one that came later is spared.
func TestTear(t *testing.T) {
	target, conns := accepted(t)
	l := newTestLink(t, target)
	client, server := ends(t, l, conns)
	eventually(t, "it to be open", func() bool { return l.Stats().Open == 1 })
	if n := l.Tear(0); n != 1 {
		t.Errorf("%d connections are to be torn, want 1", n)
	}
	later, laterServer := ends(t, l, conns)
	send(t, server, "small talk") // is not what an event looks like
	receive(t, client, "small talk")
	text := strings.Repeat("event", tearLeast)
	send(t, server, text)
	got, err := io.ReadAll(client)
	if string(got) != text[:len(text)/2] || !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("%d of %d bytes and %v, want half of them and a reset", len(got), len(text), err)
	}
	wantReset(t, "the server", server)
	if n := l.Tear(0); n != 0 {
		t.Errorf("%d connections are to be torn although one was", n)
	}
	send(t, laterServer, text)
	receive(t, later, text)
	eventually(t, "it to be counted", func() bool { return l.Stats().Open == 1 })
	s := l.Stats()
	if s.Torn != 1 || s.Reset != 0 || s.Down.Dropped != int64(len(text)-len(text)/2) || s.Down.Waiting != 0 {
		t.Errorf("figures: %+v", s)
	}
}

// A connection that still runs when a second reset comes was reset already.
func TestBalancerResetOnce(t *testing.T) {
	b := newBalancer(t)
	b.Add("a", startBackend(t, holder("a")))
	conn := dial(t, b)
	receive(t, conn, "a")
	elsewhere := startBackend(t, holder("b")) // not the balancer, which would count these two as well
	p := &pipe{client: dialAddr(t, elsewhere), server: dialAddr(t, elsewhere)}
	if !b.enter(b.backends[0], p) { // nobody runs it, so it does not leave
		t.Fatal("the balancer takes no connection")
	}
	first := b.Reset("a")
	if n := b.Reset("a"); first != 2 || n != 0 {
		t.Errorf("reset %d connections and then %d again", first, n)
	}
}

// What waits behind the half is lost, too, and Heal spares who was not torn yet.
func TestTearOfAQueue(t *testing.T) {
	target, conns := accepted(t)
	l := newTestLink(t, target)
	client, server := ends(t, l, conns)
	spared, sparedServer := ends(t, l, conns)
	eventually(t, "both to be open", func() bool { return l.Stats().Open == 2 })
	l.Set(Down, Condition{Hold: true})
	text := strings.Repeat("x", tearLeast)
	for i := range int64(2) {
		send(t, server, text)
		eventually(t, "it to wait", func() bool { return l.Stats().Down.Waiting == (i+1)*tearLeast })
	}
	if n := l.Tear(0); n != 2 {
		t.Errorf("%d connections are to be torn, want 2", n)
	}
	l.Set(Down, Condition{})
	got, err := io.ReadAll(client)
	if len(got) != tearLeast/2 || !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("%d bytes and %v, want %d and a reset", len(got), err, tearLeast/2)
	}
	if s := l.Stats(); s.Torn != 1 || s.Down.Dropped != tearLeast*3/2 || s.Down.Waiting != 0 {
		t.Errorf("figures: %+v", s)
	}
	l.Heal()
	send(t, sparedServer, text)
	receive(t, spared, text)
}

func TestBalancerReset(t *testing.T) {
	b, conns := heldByTwo(t)
	if n := b.Reset("a"); n != 1 {
		t.Errorf("reset %d connections, want 1", n)
	}
	if n := b.Reset("a") + b.Reset("unknown"); n != 0 {
		t.Errorf("reset %d connections again", n)
	}
	wantReset(t, "the connection", conns["a"])
	again := dial(t, b) // a is in its turn still
	receive(t, again, "a")
	stats := b.Stats()
	if len(stats) != 2 || stats[0].Reset != 1 || stats[0].Accepted != 2 || stats[1].Reset != 0 || stats[1].Open != 1 {
		t.Errorf("figures: %+v", stats)
	}
}
