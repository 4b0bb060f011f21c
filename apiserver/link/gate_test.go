package link

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

func newTestGate(t testing.TB) *Gate {
	t.Helper()
	g, err := NewGate("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.Close(); err != nil {
			t.Error(err)
		}
	})
	return g
}

func route(t testing.TB, g *Gate, addr, target string) *Link {
	t.Helper()
	l, err := g.Route(addr, target)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// get asks for a URL as a process would whose HTTP_PROXY is the gate.
func get(t testing.TB, g *Gate, address string) (string, error) {
	t.Helper()
	transport := &http.Transport{Proxy: http.ProxyURL(&url.URL{Scheme: "socks5", Host: g.Addr()})}
	defer transport.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(t.Context(), bound)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return string(body), err
}

// answering is an HTTP server that says its name.
func answering(t testing.TB, name string) string {
	return startBackend(t, func(c net.Conn) {
		_, _ = c.Read(make([]byte, 4096))
		_, _ = io.WriteString(c, "HTTP/1.0 200 OK\r\n\r\n"+name)
	})
}

// Two sources dial one address; each has a link of its own to it, so that one
// can be cut off while the other is not.
func TestGatesTellSourcesApart(t *testing.T) {
	a, b := newTestGate(t), newTestGate(t)
	target := answering(t, "target")
	const addr = "192.0.2.3:2380"
	ofA, ofB := route(t, a, addr, target), route(t, b, addr, target)
	route(t, a, "[2001:db8::3]:2380", answering(t, "six"))
	route(t, a, "peer.invalid:2380", answering(t, "name"))
	for address, want := range map[string]string{
		"http://" + addr: "target", "http://[2001:db8::3]:2380": "six", "http://peer.invalid:2380": "name",
	} {
		if got, err := get(t, a, address); got != want || err != nil {
			t.Errorf("%s: %q, %v, want %q", address, got, err, want)
		}
	}
	ofA.Cut()
	if got, err := get(t, a, "http://"+addr); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("over a cut link: %q, %v, want a reset", got, err)
	}
	if got, err := get(t, b, "http://"+addr); got != "target" || err != nil {
		t.Errorf("over the link of the other: %q, %v", got, err)
	}
	if sa, sb := ofA.Stats(), ofB.Stats(); sa.Refused == 0 || sb.Refused != 0 || sb.Accepted != 1 {
		t.Errorf("the cut link: %+v, the other: %+v", sa, sb)
	}
}

func TestGateRefuses(t *testing.T) {
	g := newTestGate(t)
	if _, err := get(t, g, "http://192.0.2.9:2380"); err == nil || !strings.Contains(err.Error(), "not allowed") {
		t.Errorf("an address without a route: %v", err)
	}
	dead := route(t, g, "192.0.2.1:2380", deadAddr(t))
	if _, err := get(t, g, "http://192.0.2.1:2380"); err == nil || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("a target that is down: %v", err)
	}
	if s := dead.Stats(); s.Failed != 1 {
		t.Errorf("its figures: %+v", s)
	}
	for _, request := range []string{"GET / HTTP/1.1\r\n\r\n", "\x05\x01\x00\x05\x02\x00\x01", "\x05\x01\x00\x05\x01\x00\x09"} {
		conn := dialAddr(t, g.Addr())
		send(t, conn, request)
		wantReset(t, request, conn)
	}
}

// A new route takes the place of the old one, whose connections end.
func TestGateRouteAgain(t *testing.T) {
	g := newTestGate(t)
	old := route(t, g, "192.0.2.1:2380", startBackend(t, holder("old")))
	conn := dialAddr(t, g.Addr())
	send(t, conn, "\x05\x01\x00"+"\x05\x01\x00\x01\xc0\x00\x02\x01\x09\x4c")
	receive(t, conn, "\x05\x00"+string(socksAnswer(nil))+"old")
	route(t, g, "192.0.2.1:2380", answering(t, "new"))
	wantReset(t, "a connection of the old route", conn)
	if s := old.Stats(); s.Open != 0 {
		t.Errorf("the old link after Close: %+v", s)
	}
	if got, err := get(t, g, "http://192.0.2.1:2380"); got != "new" || err != nil {
		t.Errorf("over the new route: %q, %v", got, err)
	}
}

func TestGateCloseLeavesNothing(t *testing.T) {
	target := startBackend(t, holder("x"))
	before := runtime.NumGoroutine()
	g, err := NewGate("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	route(t, g, "192.0.2.1:2380", target)
	silent, open := dialAddr(t, g.Addr()), dialAddr(t, g.Addr())
	send(t, open, "\x05\x01\x00"+"\x05\x01\x00\x01\xc0\x00\x02\x01\x09\x4c")
	receive(t, open, "\x05\x00"+string(socksAnswer(nil))+"x")
	for range 2 {
		if err := g.Close(); err != nil {
			t.Fatal(err)
		}
	}
	wantReset(t, "a connection that said nothing", silent)
	wantReset(t, "a connection that is open", open)
	if _, err := g.Route("192.0.2.1:2380", target); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a route after Close: %v", err)
	}
	eventually(t, "the goroutines to end", func() bool { return runtime.NumGoroutine() <= before })
}
