package client_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/planecheck/planecheck/apiserver/client"
)

// counts counts per server what it was asked.
type counts struct {
	mu sync.Mutex
	n  map[string]int
}

func (c *counts) add(key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n == nil {
		c.n = map[string]int{}
	}
	c.n[key]++
}

func (c *counts) get(key string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n[key]
}

func users(l *client.Layer, n int) []*client.Client {
	var all []*client.Client
	for i := range n {
		all = append(all, l.Client(client.Identity{User: fmt.Sprintf("system:node:node-%05d", i), Token: "t"}))
	}
	return all
}

// TestServerDies spreads identities over two servers and kills one: everybody
// goes on at the other, and no attempt is lost from the records.
func TestServerDies(t *testing.T) {
	a := newAuthority(t)
	var served counts
	handler := func(name string) http.HandlerFunc {
		return func(http.ResponseWriter, *http.Request) { served.add(name) }
	}
	s0, s1 := a.serve(t, 0, 100, handler("0")), a.serve(t, 1, 100, handler("1"))
	l, j := a.layer(t, 0, s0, s1)
	const n = 200
	clients := users(l, n)
	for _, c := range clients {
		if _, err := c.Do(bounded(t), getPod("p")); err != nil {
			t.Fatal(err)
		}
	}
	if zero := served.get("0"); zero < n/4 || zero > 3*n/4 {
		t.Errorf("%d of %d identities at one of two servers", zero, n)
	}

	s0.kill()
	before := served.get("1")
	failed := 0
	for _, c := range clients {
		if _, err := c.Do(bounded(t), getPod("p")); err != nil {
			failed++
		}
	}
	// The kill may be noticed only when a request is on its way; those few
	// fail and are reported, and nothing is sent twice.
	if failed > 8 {
		t.Errorf("%d of %d requests failed after the death of a server", failed, n)
	}
	if got := served.get("1") - before; got != n-failed {
		t.Errorf("the other server got %d requests, want %d", got, n-failed)
	}
	requests, _ := j.all()
	if len(requests) != 2*n {
		t.Errorf("%d attempts recorded, want %d", len(requests), 2*n)
	}

	// Once it is back, those that left it stay where they are.
	forward(t, s0.addr(), a.serve(t, 9, 100, handler("9")).addr())
	for _, c := range clients {
		res, err := c.Do(bounded(t), getPod("p"))
		if err != nil {
			t.Fatal(err)
		}
		if res.Server != "kube-apiserver-1/000000ab" {
			t.Fatalf("answered by %s", res.Server)
		}
	}
}

func TestAllServersDown(t *testing.T) {
	a := newAuthority(t)
	s0, s1 := a.serve(t, 0, 100, nil), a.serve(t, 1, 100, nil)
	l, j := a.layer(t, 0, s0, s1)
	s0.kill()
	s1.kill()
	_, err := l.Client(client.Identity{User: "u", Token: "t"}).Do(bounded(t), getPod("p"))
	if err == nil || !strings.Contains(err.Error(), s0.addr()) || !strings.Contains(err.Error(), s1.addr()) {
		t.Errorf("error %v does not name both servers", err)
	}
	requests, _ := j.all()
	if len(requests) != 1 || requests[0].Status != 0 || requests[0].Err == "" || requests[0].Returned < requests[0].Called {
		t.Errorf("records %+v", requests)
	}
}

// TestServerReturns restarts the only server, on the same port and with a new
// certificate: the next request finds it, and says who answered.
func TestServerReturns(t *testing.T) {
	a := newAuthority(t)
	ok := func(http.ResponseWriter, *http.Request) {}
	s := a.serve(t, 0, 100, ok)
	l, _ := a.layer(t, 0, s)
	c := l.Client(client.Identity{User: "u", Token: "t"})
	if _, err := c.Do(bounded(t), getPod("p")); err != nil {
		t.Fatal(err)
	}
	s.kill()
	if _, err := c.Do(bounded(t), getPod("p")); err == nil {
		t.Fatal("a dead server answered")
	}
	forward(t, s.addr(), a.serve(t, 7, 100, ok).addr())
	res, err := c.Do(bounded(t), getPod("p"))
	if err != nil {
		t.Fatal(err)
	}
	if res.Server != "kube-apiserver-7/000000ab" {
		t.Errorf("answered by %s", res.Server)
	}
}

// forward listens at from and copies connections to and from the address to.
func forward(t *testing.T, from, to string) {
	t.Helper()
	l, err := net.Listen("tcp", from)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	pipe := func(from, to net.Conn) {
		defer to.Close()
		io.Copy(to, from)
	}
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", to)
			if err != nil {
				in.Close()
				continue
			}
			go pipe(in, out)
			go pipe(out, in)
		}
	}()
}

// TestGoAway has the server ask for a new connection with every answer, as
// --goaway-chance does: no request fails.
func TestGoAway(t *testing.T) {
	a := newAuthority(t)
	s := a.serve(t, 0, 100, func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Connection", "close") })
	l, _ := a.layer(t, 0, s)
	c := l.Client(client.Identity{User: "u", Token: "t"})
	const n = 20
	failed := 0
	for range n {
		if _, err := c.Do(bounded(t), getPod("p")); err != nil {
			failed++
		}
	}
	// A request may cross the GOAWAY on the wire.
	if failed > n/2 {
		t.Errorf("%d of %d requests failed", failed, n)
	}
	if s.connections() < n/2 {
		t.Errorf("%d connections for %d GOAWAYs", s.connections(), n)
	}
}

// TestStreamLimit opens more watches than connections can carry. The limit of
// the server is the lower one at first, then ours.
func TestStreamLimit(t *testing.T) {
	f := func(name string, ours, servers, watches, connections int) {
		t.Run(name, func(t *testing.T) {
			a := newAuthority(t)
			s := a.serve(t, 0, servers, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Query().Has("watch") {
					stream(w, r, nil)
				}
			})
			l, _ := a.layer(t, ours, s)
			clients := users(l, watches)
			for _, c := range clients {
				if _, err := c.Watch(bounded(t), &client.Request{Resource: pods}); err != nil {
					t.Fatal(err)
				}
			}
			if s.connections() != connections {
				t.Errorf("%d watches on %d connections, want %d", watches, s.connections(), connections)
			}
			// Watches fill connections, but do not hold up requests.
			if _, err := clients[0].Do(bounded(t), getPod("p")); err != nil {
				t.Error(err)
			}
		})
	}
	f("ours", 10, 100, 35, 4)
	f("the server's", 80, 10, 35, 4)
	f("default", 0, 100, 81, 2)
}

// TestConcurrentOpening opens many watches at once: those that wait for one
// dial share it.
func TestConcurrentOpening(t *testing.T) {
	a := newAuthority(t)
	s := a.serve(t, 0, 100, func(w http.ResponseWriter, r *http.Request) { stream(w, r, nil) })
	l, _ := a.layer(t, 50, s)
	var wg sync.WaitGroup
	for _, c := range users(l, 500) {
		wg.Go(func() {
			if _, err := c.Watch(bounded(t), &client.Request{Resource: pods}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if s.connections() != 10 {
		t.Errorf("%d connections for 500 watches, want 10", s.connections())
	}
}

// TestStreamsAreReturned runs far more requests than the limit through one
// client, all ways in which a request can end: a leaked stream would force new
// connections.
func TestStreamsAreReturned(t *testing.T) {
	a := newAuthority(t)
	s := a.serve(t, 0, 100, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Query().Has("fail"):
			w.WriteHeader(http.StatusNotFound)
		case r.URL.Query().Has("watch"):
			stream(w, r, nil)
		case r.URL.Path == "/api/v1/namespaces/default/pods/abort":
			panic(http.ErrAbortHandler)
		}
	})
	l, _ := a.layer(t, 2, s)
	c := l.Client(client.Identity{User: "u", Token: "t"})
	config := c.RESTConfig()
	for i := range 20 {
		for _, path := range []string{"", "&fail", "&watch=true"} {
			ctx, cancel := context.WithCancel(bounded(t))
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, config.Host+"/api/v1/pods?"+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			res, err := config.Transport.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			if i%2 == 0 { // otherwise Close alone ends it
				cancel()
				io.Copy(io.Discard, res.Body)
			}
			res.Body.Close()
			cancel()
		}
		c.Do(bounded(t), getPod("p"))
		c.Do(bounded(t), getPod("abort"))
		w, err := c.Watch(bounded(t), &client.Request{Resource: pods})
		if err != nil {
			t.Fatal(err)
		}
		w.Close()
		if _, err := c.Watch(bounded(t), &client.Request{Resource: pods, Query: map[string][]string{"fail": {""}}}); err == nil {
			t.Error("a failed watch was opened")
		}
	}
	if s.connections() > 5 {
		t.Errorf("%d connections, want at most 4 for requests and 1 for watches", s.connections())
	}
}

// TestWatchServers reaches one server under two addresses: watches take one,
// requests the other.
func TestWatchServers(t *testing.T) {
	a := newAuthority(t)
	requests := a.serve(t, 0, 100, func(http.ResponseWriter, *http.Request) {})
	watches := a.serve(t, 1, 100, func(w http.ResponseWriter, r *http.Request) { stream(w, r, nil) })
	l, err := client.New(client.Config{
		Servers: []string{requests.addr()}, WatchServers: []string{watches.addr()}, CA: a.pem(),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c := l.Client(client.Identity{User: "u", Token: "t"})
	res, err := c.Do(bounded(t), getPod("p"))
	if err != nil || !strings.HasPrefix(res.Server, "kube-apiserver-0/") {
		t.Errorf("a request went to %+v, %v", res, err)
	}
	w, err := c.Watch(bounded(t), &client.Request{Resource: pods})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if !strings.HasPrefix(w.Server(), "kube-apiserver-1/") {
		t.Errorf("a watch went to %s", w.Server())
	}
}

// TestFrozenServer accepts and never shakes hands. The wait for the dial ends
// with the request's context, and the dial itself with Close.
func TestFrozenServer(t *testing.T) {
	frozen, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer frozen.Close()
	a := newAuthority(t)
	l, err := client.New(client.Config{Servers: []string{frozen.Addr().String()}, CA: a.pem()})
	if err != nil {
		t.Fatal(err)
	}
	c := l.Client(client.Identity{User: "u", Token: "t"})
	ended := make(chan error)
	patient := bounded(t)
	go func() {
		_, err := c.Do(patient, getPod("p"))
		ended <- err
	}()
	conn, err := frozen.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(patient, 20*time.Millisecond)
	defer cancel()
	if _, err := c.Do(ctx, getPod("p")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v", err)
	}
	l.Close()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	eventually(t, "the dials to end", func() bool { return leftovers() == "" })
}

// TestSettings reads what a connection announces to the server.
func TestSettings(t *testing.T) {
	a := newAuthority(t)
	raw := a.serve(t, 0, 100, nil)
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: raw.TLS.Certificates, NextProtos: []string{"h2"}})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	layer, err := client.New(client.Config{Servers: []string{l.Addr().String()}, CA: a.pem()})
	if err != nil {
		t.Fatal(err)
	}
	defer layer.Close()
	go layer.Client(client.Identity{User: "u", Token: "t"}).Do(bounded(t), getPod("p"))
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.ReadFull(conn, make([]byte, len(http2.ClientPreface))); err != nil {
		t.Fatal(err)
	}
	f, err := http2.NewFramer(nil, conn).ReadFrame()
	if err != nil {
		t.Fatal(err)
	}
	want := map[http2.SettingID]uint32{
		http2.SettingEnablePush: 0, http2.SettingInitialWindowSize: 256 << 10, http2.SettingMaxFrameSize: 16 << 10,
	}
	for id, v := range want {
		if got, ok := f.(*http2.SettingsFrame).Value(id); !ok || got != v {
			t.Errorf("%v is %d, want %d", id, got, v)
		}
	}
}

// TestClose ends requests and watches under way and leaves no goroutine.
func TestClose(t *testing.T) {
	a := newAuthority(t)
	arrived := make(chan struct{}, 2)
	s := a.serve(t, 0, 100, func(w http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		stream(w, r, nil)
	})
	l, j := a.layer(t, 0, s)
	c := l.Client(client.Identity{User: "u", Token: "t"})
	ctx := bounded(t)
	w, err := c.Watch(ctx, &client.Request{Resource: pods})
	if err != nil {
		t.Fatal(err)
	}
	<-arrived
	ended := make(chan error, 2)
	go func() {
		_, err := w.Next()
		ended <- err
	}()
	go func() {
		_, err := c.Do(ctx, getPod("p"))
		ended <- err
	}()
	select {
	case <-arrived:
	case err := <-ended:
		t.Fatal(err)
	}
	l.Close()
	for range 2 {
		if err := <-ended; err == nil {
			t.Error("ended without an error")
		}
	}
	if _, err := c.Do(bounded(t), getPod("p")); err == nil {
		t.Error("a closed layer sent a request")
	}
	eventually(t, "goroutines to end", func() bool { return leftovers() == "" })
	if _, events := j.all(); len(events) != 1 || events[0].Type != "" {
		t.Errorf("events %+v", events)
	}
}

func TestNewRefuses(t *testing.T) {
	ca := newAuthority(t).pem()
	f := func(cfg client.Config, want string) {
		t.Helper()
		if _, err := client.New(cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v does not say %q", err, want)
		}
	}
	f(client.Config{CA: ca}, "no servers")
	f(client.Config{CA: ca, Servers: []string{"127.0.0.1"}}, "missing port")
	f(client.Config{CA: ca, Servers: []string{"127.0.0.1:6443"}, WatchServers: []string{"127.0.0.1"}}, "missing port")
	f(client.Config{CA: ca, Servers: []string{"127.0.0.1:6443"}, WatchServers: []string{}}, "0 for watches")
	f(client.Config{Servers: []string{"127.0.0.1:6443"}}, "no certificate")
	f(client.Config{CA: ca, Servers: []string{"127.0.0.1:6443"}, StreamsPerConnection: -1}, "streams per connection")
}

// TestWrongCA meets a server whose certificate somebody else signed.
func TestWrongCA(t *testing.T) {
	s := newAuthority(t).serve(t, 0, 100, nil)
	l, _ := newAuthority(t).layer(t, 0, s)
	_, err := l.Client(client.Identity{User: "u", Token: "t"}).Do(bounded(t), getPod("p"))
	if err == nil || !strings.Contains(err.Error(), "certificate signed by unknown authority") {
		t.Errorf("error %v", err)
	}
}
