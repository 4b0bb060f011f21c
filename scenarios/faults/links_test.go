package faults

import (
	"context"
	"io"
	"net"
	"testing"
	"time"

	"github.com/planecheck/planecheck/apiserver/link"
)

// echo is a store that says what it hears, and links to it.
func echo(t *testing.T, n int) (links storeLinks) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(conn, conn); _ = conn.Close() }()
		}
	}()
	for range n {
		l, err := link.New("127.0.0.1:0", listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Close() })
		links = append(links, l)
	}
	return links
}

// TestStoreLinks looks for the evidence that the faults between an API server
// and the store rest on, over all links and in both directions.
func TestStoreLinks(t *testing.T) {
	links := echo(t, 2)
	conn, err := net.Dial("tcp", links[1].Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(t.Context(), testBound)
	defer cancel()
	deadline, _ := ctx.Deadline()
	if err := conn.SetDeadline(deadline); err != nil {
		t.Fatal(err)
	}
	say := func() {
		t.Helper()
		if _, err := conn.Write([]byte("hello")); err != nil {
			t.Fatal(err)
		}
	}
	hear := func() {
		t.Helper()
		if _, err := io.ReadFull(conn, make([]byte, len("hello"))); err != nil {
			t.Fatal(err)
		}
	}
	say()
	hear()
	if s := links.stats(); s != (link.Stats{}) {
		t.Errorf("evidence without a fault: %+v", s)
	}
	links.set(link.Condition{Delay: time.Millisecond})
	say()
	hear()
	if s := links.stats(); s.Up.Delayed != 5 || s.Down.Delayed != 5 {
		t.Errorf("delayed: %+v", s)
	}
	links.set(link.Condition{Hold: true})
	say()
	waits(t, ctx, func() bool { return links.stats().Up.Held == 5 })
	if waited := links.heal(); waited != 5 && waited != 10 { // the answer may be back before that way is free
		t.Errorf("%d bytes were waiting", waited)
	}
	hear()
	for _, l := range links {
		l.Cut()
	}
	waits(t, ctx, func() bool { return links.stats().Reset == 1 })
	if again, err := net.Dial("tcp", links[0].Addr()); err == nil {
		_, _ = io.ReadAll(again)
		_ = again.Close()
	}
	waits(t, ctx, func() bool { return links.stats().Refused == 1 })
}

func waits(t *testing.T, ctx context.Context, holds func() bool) {
	t.Helper()
	for !holds() {
		select {
		case <-time.After(poll):
		case <-ctx.Done():
			t.Fatal("waited in vain")
		}
	}
}

// Without links, or with one API server alone, there is nothing to act on.
func TestLinkTargets(t *testing.T) {
	for _, f := range linkFaults() {
		if got := f.Targets(Shape{APIServers: 2, StoreLinks: true}); len(got) != 2 {
			t.Errorf("%s acts on %q of two API servers", f.Name, got)
		}
		for _, s := range []Shape{{APIServers: 2}, {APIServers: 1, StoreLinks: true}} {
			if got := f.Targets(s); len(got) > 0 {
				t.Errorf("%s acts on %q of %+v", f.Name, got, s)
			}
		}
	}
}
