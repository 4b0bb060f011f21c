package apiserver

import (
	"context"
	"io"
	"net"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// endpoint is a member of a store that says its name to whoever connects.
func endpoint(t *testing.T, name string) (url string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(conn, name)
			_ = conn.Close()
		}
	}()
	t.Cleanup(func() { _ = listener.Close(); <-done })
	return "http://" + listener.Addr().String()
}

// told are the endpoints of the store that an API server was given.
func told(t *testing.T, c *ControlPlane, server string) []string {
	t.Helper()
	for _, arg := range c.find(server).Args {
		if list, ok := strings.CutPrefix(arg, "--etcd-servers="); ok {
			return strings.Split(list, ",")
		}
	}
	t.Fatalf("%s was told of no store", server)
	return nil
}

// hears returns what an endpoint says, or why it says nothing.
func hears(t *testing.T, url string) (string, error) {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(testBound)); err != nil {
		t.Fatal(err)
	}
	said, err := io.ReadAll(conn)
	return string(said), err
}

// TestStoreLinks has each API server reach each endpoint through a link of its
// own, so that one can lose the store without the other.
func TestStoreLinks(t *testing.T) {
	t.Parallel()
	cfg, _ := servingConfig(t)
	cfg.Etcd, cfg.StoreLinks = []string{endpoint(t, "etcd-0"), endpoint(t, "etcd-1")}, true
	c := startServing(t, cfg)
	const cut, other = "kube-apiserver-0", "kube-apiserver-1"
	reach := func(server string, want bool) {
		t.Helper()
		for i, url := range told(t, c, server) {
			said, err := hears(t, url)
			if got := err == nil && said == []string{"etcd-0", "etcd-1"}[i]; got != want {
				t.Errorf("%s hears %q, %v of endpoint %d, want %v", server, said, err, i, want)
			}
		}
	}
	all := slices.Concat(told(t, c, cut), told(t, c, other), cfg.Etcd)
	if slices.Sort(all); len(slices.Compact(all)) != 6 {
		t.Errorf("some share a way: %q", all)
	}
	reach(cut, true)
	reach(other, true)
	for _, l := range c.StoreLinks(cut) {
		l.Cut()
	}
	reach(cut, false)
	reach(other, true)
	before := told(t, c, cut)
	ctx, cancel := context.WithTimeout(t.Context(), testBound)
	defer cancel()
	if err := c.Restart(ctx, cut, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if after := told(t, c, cut); !slices.Equal(before, after) {
		t.Errorf("after a restart it is told of %q, before of %q", after, before)
	}
	for _, l := range c.StoreLinks(cut) {
		if l.Stats().Refused == 0 {
			t.Error("a link that was cut has refused nobody")
		}
		l.Heal()
	}
	reach(cut, true)
	if err := c.Stop(); err != nil {
		t.Fatal(err)
	}
	reach(cut, false)
	reach(other, false)
}

// Without them an API server is told of the store itself.
func TestNoStoreLinks(t *testing.T) {
	t.Parallel()
	cfg, _ := servingConfig(t)
	c := startServing(t, cfg)
	if got := told(t, c, "kube-apiserver-0"); !slices.Equal(got, cfg.Etcd) {
		t.Errorf("told of %q, want %q", got, cfg.Etcd)
	}
	if links := c.StoreLinks("kube-apiserver-0"); len(links) > 0 {
		t.Errorf("there are %d links that nobody asked for", len(links))
	}
	cfg, _ = servingConfig(t)
	cfg.Etcd, cfg.StoreLinks = []string{"http://127.0.0.1:2379", "localhost"}, true
	if _, err := Start(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), `"localhost" is no URL`) {
		t.Errorf("an endpoint without a host: %v", err)
	}
}
