package faults

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	apiclient "github.com/planecheck/planecheck/apiserver/client"
	"github.com/planecheck/planecheck/apiserver/link"
	"github.com/planecheck/planecheck/checkers"
)

// testBound ends a wait that would be in vain.
const testBound = time.Minute

// talker is a server that sends pieces without end to whoever connects.
func talker(t *testing.T, piece string) (addr string) {
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
				for {
					if _, err := io.WriteString(conn, piece); err != nil {
						return
					}
					select {
					case <-t.Context().Done(): // before the cleanup
						return
					case <-time.After(time.Millisecond):
					}
				}
			})
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		tasks.Wait()
	})
	return listener.Addr().String()
}

// newLink starts a link with a client that connects again whenever it is cut,
// if it may.
func newLink(t *testing.T, again bool) *link.Link {
	t.Helper()
	l, err := link.New("127.0.0.1:0", talker(t, strings.Repeat("event", 200)))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var reading sync.WaitGroup
	reading.Go(func() {
		for ctx.Err() == nil {
			conn, err := new(net.Dialer).DialContext(ctx, "tcp", l.Addr())
			if err != nil {
				continue
			}
			stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
			_, _ = io.Copy(io.Discard, conn)
			stop()
			_ = conn.Close()
			if !again {
				return
			}
		}
	})
	t.Cleanup(func() {
		cancel()
		reading.Wait()
		_ = l.Close()
	})
	bounded, done := context.WithTimeout(ctx, testBound)
	defer done()
	err = await(bounded, "a connection", func(context.Context) error {
		if l.Stats().Open == 0 {
			return errors.New("there is none")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// A round of resets, and one of cuts, ends when the client is back, and not before.
func TestRounds(t *testing.T) {
	f := func(name string, round func(context.Context, *link.Link) error, count func(link.Stats) int64) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), testBound)
		defer cancel()
		l := newLink(t, true)
		for range clientRounds {
			before := l.Stats()
			if err := round(ctx, l); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if now := l.Stats(); count(now) != count(before)+1 || now.Accepted == before.Accepted {
				t.Errorf("%s: %+v after %+v", name, now, before)
			}
		}
		if err := roundWithout(t, round); err == nil || !strings.Contains(err.Error(), "came back") {
			t.Errorf("%s: a client that does not come back: %v", name, err)
		}
	}
	f("reset", func(ctx context.Context, l *link.Link) error {
		way := []route{linkRoute("x", l)}
		_, err := resetRound(ctx, way, way)
		return err
	}, func(s link.Stats) int64 { return s.Reset })
	f("cut", func(ctx context.Context, l *link.Link) error {
		return tearRound(ctx, ClientLink{Server: "x", Watches: l})
	}, func(s link.Stats) int64 { return s.Torn })
}

// roundWithout is what becomes of a round whose client does not come back. It
// lasts until it waits for that client, however long the machine takes.
func roundWithout(t *testing.T, round func(context.Context, *link.Link) error) error {
	t.Helper()
	for patience := 10 * poll; ; patience *= 2 {
		l := newLink(t, false)
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		err := round(ctx, l)
		cancel()
		if err == nil || strings.Contains(err.Error(), "came back") || patience > testBound {
			return err
		}
	}
}

// Connections that were reset or cut, with clients that come back, are no evidence
// as long as no client says that it has lost anything: of one API server at least, or
// of each whose watches were cut.
func TestLost(t *testing.T) {
	links := []ClientLink{{Server: "a"}, {Server: "b"}}
	e, _ := idleEnv(t)
	for i := range links {
		links[i].Requests, links[i].Watches = newLink(t, true), newLink(t, true)
	}
	e.Links = links
	f := func(ok bool, fault, target string, lost map[string]Loss) {
		t.Helper()
		limit := time.Minute
		if !ok {
			limit = 3 * time.Second // it waits for what does not come
		}
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		defer cancel()
		seen := map[string]int{}
		e.Lost = func(server string) Loss {
			if seen[server]++; seen[server] == 1 {
				return Loss{Requests: 5, Watches: 5} // of the past
			}
			return Loss{5 + lost[server].Requests, 5 + lost[server].Watches, lost[server].Last}
		}
		one, _ := Find(fault)
		a, err := one.Inject(ctx, e, target)
		switch {
		case ok && (err != nil || !strings.Contains(a.Evidence, "clients lost 7 watches and 2 requests (broken)")):
			t.Errorf("%s of %s: %+v, %v", fault, target, a, err)
		case !ok && (err == nil || !strings.Contains(err.Error(), "lost nothing")):
			t.Errorf("%s of %s: nobody lost anything, and it says %+v, %v", fault, target, a, err)
		}
	}
	both := map[string]Loss{"a": {Requests: 2, Watches: 3}, "b": {Watches: 4, Last: "broken"}}
	one := map[string]Loss{"b": {Requests: 2, Watches: 7, Last: "broken"}}
	f(true, "connections-reset", all, both)
	f(true, "connections-reset", all, one)
	f(false, "connections-reset", all, nil)
	f(false, "connections-reset", "a", one)
	f(true, "watches-cut", all, both)
	f(true, "watches-cut", "b", one)
	f(false, "watches-cut", all, one)
}

// Where nobody is connected nothing can be reset, which is no evidence.
func TestNothingToReset(t *testing.T) {
	l, err := link.New("127.0.0.1:0", "127.0.0.1:1")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := context.WithTimeout(t.Context(), testBound)
	defer cancel()
	way := []route{linkRoute("x", l)}
	if n, err := resetRounds(ctx, way, way); err != nil || n != 0 {
		t.Errorf("%d connections were reset, %v", n, err)
	}
}

// A reader that missed a write, saw one twice, or could not resume is told of.
func TestBallastReader(t *testing.T) {
	version := func(v string) apiclient.Event {
		// runtime.Unknown{raw: ObjectMeta as field 1 of the object}
		meta := append([]byte{0x32, byte(len(v))}, v...) // resourceVersion is field 6
		object := append([]byte{0x0a, byte(len(meta))}, meta...)
		raw := append([]byte{0x12, byte(len(object))}, object...)
		return apiclient.Event{Type: "MODIFIED", Object: append([]byte{'k', '8', 's', 0}, raw...)}
	}
	f := func(ok bool, name string, versions ...string) {
		t.Helper()
		r := &ballastReader{seen: 10}
		for _, v := range versions {
			r.take(version(v))
		}
		if err := r.reached(13, 3); (err == nil) != ok {
			t.Errorf("%s: %v", name, err)
		}
	}
	f(true, "all", "11", "12", "13")
	f(false, "one is missing in the end", "11", "12")
	f(false, "one is missing in between", "11", "13")
	f(false, "one is told twice", "11", "12", "12", "13")
	f(false, "one is told out of order", "12", "11", "13")
	f(false, "one is told again in place of another", "11", "11", "13")
	behind := &ballastReader{seen: 12, events: 3}
	if behind.reached(13, 3) == nil {
		t.Error("a reader that is behind reads as well")
	}
	r := &ballastReader{seen: 13, events: 3}
	if r.take(apiclient.Event{Type: "ERROR", Object: []byte("?")}) || r.reached(13, 3) == nil {
		t.Error("a reader that could not resume reads as well")
	}
}

func TestJudgePriority(t *testing.T) {
	calm := func() priority {
		return priority{
			rejected:   map[string]float64{levelAnybody: 5, levelHeartbeats: 1},
			dispatched: map[string]float64{levelHeartbeats: 10, levelLeaderElection: 10},
			holders:    map[string]string{"kube-scheduler": "a"},
			missed:     1, resigned: 1,
		}
	}
	f := func(want checkers.Outcome, name string, change func(*priority)) {
		t.Helper()
		after := calm()
		after.rejected[levelAnybody] = 500
		after.dispatched[levelHeartbeats], after.dispatched[levelLeaderElection] = 30, 30
		change(&after)
		if v := judgePriority(calm(), after); v.Outcome != want || (want == checkers.Pass) != (v.Detail == "") {
			t.Errorf("%s: %s", name, v)
		}
	}
	f(checkers.Pass, "nothing", func(*priority) {})
	f(checkers.Fail, "a heartbeat is rejected", func(p *priority) { p.rejected[levelHeartbeats]++ })
	f(checkers.Fail, "a renewal of a leader is rejected", func(p *priority) { p.rejected[levelLeaderElection]++ })
	f(checkers.Fail, "a deadline passes", func(p *priority) { p.missed++ })
	f(checkers.Fail, "a lease changes hands", func(p *priority) { p.holders["kube-scheduler"] = "b" })
	f(checkers.Fail, "a leader gives up", func(p *priority) { p.resigned++ })
	f(checkers.Invalid, "no heartbeat", func(p *priority) { p.dispatched[levelHeartbeats] = 10 })
	f(checkers.Invalid, "no leader election", func(p *priority) { p.dispatched[levelLeaderElection] = 10 })
}

// Without links there is nothing to act on, whatever there is of API servers.
func TestClientTargets(t *testing.T) {
	for _, f := range clientFaults() {
		if got := f.Targets(Shape{APIServers: 2}); len(got) > 0 {
			t.Errorf("%s acts on %q without links", f.Name, got)
		}
		if got := f.Targets(Shape{APIServers: 2, ClientLinks: true}); len(got) != 3 {
			t.Errorf("%s acts on %q", f.Name, got)
		}
	}
}
