package storebench

import (
	"context"
	"errors"
	"math"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/planecheck/planecheck/checkers/history"
)

// What is said of the sizes must be true of what is drawn.
func TestSizes(t *testing.T) {
	r := random(1, "test", 0)
	var pods []int
	var sum float64
	for range 20_000 {
		size := podSize(r)
		pods = append(pods, size)
		sum += float64(size)
		if n := leaseSize(r); n < leaseLeast || n > leaseMost {
			t.Fatalf("a lease of %d bytes", n)
		}
	}
	slices.Sort(pods)
	if pods[0] < podLeast || pods[len(pods)-1] > podMost {
		t.Errorf("pods from %d to %d bytes", pods[0], pods[len(pods)-1])
	}
	near := func(what string, got, want float64) {
		t.Helper()
		if math.Abs(got/want-1) > 0.03 {
			t.Errorf("%s is %.0f bytes, want about %.0f", what, got, want)
		}
	}
	near("the median", float64(pods[len(pods)/2]), podMedian)
	near("the 5th percentile", float64(pods[len(pods)/20]), 1100)
	near("the 95th percentile", float64(pods[len(pods)*19/20]), 3380)
	near("the mean", sum/float64(len(pods)), MeanPod)
}

// All draws come from the seed, and no two purposes or clients share theirs.
func TestSeed(t *testing.T) {
	draw := func(seed uint64, purpose string, client int) []int {
		r := random(seed, purpose, client)
		return []int{podSize(r), podSize(r), podSize(r), podSize(r)}
	}
	if diff := cmp.Diff(draw(1, "get", 3), draw(1, "get", 3)); diff != "" {
		t.Errorf("the same draws differ (-one +other):\n%s", diff)
	}
	seen := map[string]string{}
	for _, seed := range []uint64{1, 2} {
		for _, purpose := range []string{"get", "list"} {
			for client := range 20 {
				id := strconv.FormatUint(seed, 10) + purpose + strconv.Itoa(client)
				key := ""
				for _, n := range draw(seed, purpose, client) {
					key += strconv.Itoa(n) + " "
				}
				if other, ok := seen[key]; ok {
					t.Errorf("%s and %s draw the same", other, id)
				}
				seen[key] = id
			}
		}
	}
}

func TestNames(t *testing.T) {
	c := &Config{Prefix: "/registry", Namespaces: 7}
	r := random(1, "names", 0)
	pattern := regexp.MustCompile(`^/registry/pods/bench-000[0-6]/web-[a-z2-9]{10}-\d{5}-[a-z2-9]{5}$`)
	for i := range 100 {
		if key := c.namespace(i) + podName(r, i); !pattern.MatchString(key) {
			t.Errorf("key %s", key)
		}
	}
}

// Every pod is in one namespace, and each list knows how many it has to find.
func TestNamespacesAreComplete(t *testing.T) {
	for _, objects := range []int{7, 20, 21, 27} {
		b := &Bench{cfg: Config{Prefix: "/registry", Namespaces: 7}, pods: make([]*object, objects)}
		want := map[string]int64{}
		for i := range objects {
			want[b.cfg.namespace(i)]++
		}
		got := map[string]int64{}
		r := random(1, "test", 0)
		for range 200 {
			from, end, pods := b.anyNamespace(r)
			got[string(from)] = pods
			if prefix := string(from[:len(from)-1]); string(end) != prefix+"0" {
				t.Errorf("the range of %s ends at %s", from, end)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%d objects by namespace (-want +got):\n%s", objects, diff)
		}
	}
}

func TestTally(t *testing.T) {
	const from, to = history.Time(100), history.Time(200)
	failure := errors.New("refused")
	for _, test := range []struct {
		name           string
		sent, answered history.Time
		err            error
		latency        bool // counts
		want           Measure
	}{
		{name: "in the warm-up", sent: 10, answered: 90},
		{name: "over the end of the warm-up", sent: 99, answered: 150, want: Measure{Answered: 1, Items: 3}},
		{name: "answered at the first moment", sent: 99, answered: 100, want: Measure{Answered: 1, Items: 3}},
		{name: "in the window", sent: 100, answered: 199, latency: true, want: Measure{Answered: 1, Items: 3}},
		{name: "over the end of the window", sent: 199, answered: 900, latency: true},
		{name: "answered at the end", sent: 199, answered: 200, latency: true},
		{name: "failed in the warm-up", sent: 99, answered: 150, err: failure, want: Measure{Errors: map[string]int64{"refused": 1}}},
		{name: "failed in the window", sent: 100, answered: 300, err: failure, want: Measure{Failed: 1, Errors: map[string]int64{"refused": 1}}},
	} {
		a := tally{span: span{from, to}}
		if got := a.add(test.sent, test.answered, 3, test.err); got != test.latency {
			t.Errorf("%s: the latency counts: %v", test.name, got)
		}
		var got Measure
		a.addTo(&got)
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
	}
}

func TestTallyBoundsErrors(t *testing.T) {
	a := tally{span: span{0, 1000}}
	for i := range 2 * mostErrors {
		a.add(1, 2, 0, errors.New(strconv.Itoa(i)))
	}
	if len(a.errors) != mostErrors+1 || a.errors["others"] != mostErrors || a.failed != 2*mostErrors {
		t.Errorf("%d failed: %v", a.failed, a.errors)
	}
}

// counts is a Sink that counts by client.
type counts struct {
	mu sync.Mutex
	by map[int]int64
}

func (c *counts) Took(client int, d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.by == nil {
		c.by = map[int]int64{}
	}
	if d >= 0 {
		c.by[client]++
	}
}

const short = 50 * time.Millisecond

// longEnough measures in windows that grow, until there is something of everybody: on
// a busy machine, or disk, a moment may pass without.
func longEnough(t *testing.T, measure func(window time.Duration, sink *counts) (enough bool)) {
	t.Helper()
	for window := short; window < time.Minute; window *= 2 {
		if measure(window, &counts{}) {
			return
		}
	}
	t.Error("some have sent nothing, or got no answer, within any window")
}

// A loop is closed: a client has never more than one request under way, and all
// that were sent in the window are waited for.
func TestClosedLoop(t *testing.T) {
	var window time.Duration
	var sink *counts
	var sent []int64
	var m Measure
	longEnough(t, func(w time.Duration, s *counts) bool {
		window, sink, sent = w, s, make([]int64, 3)
		var cpu time.Duration
		c := &Config{Window: w, CPU: func() time.Duration { cpu += time.Second; return cpu }}
		m = closedLoop(t.Context(), c, Measure{Operation: Get, Clients: 3}, func(client int) turn {
			busy := make(chan struct{}, 1)
			return func(context.Context) (int64, error) {
				select {
				case busy <- struct{}{}:
				default:
					t.Error("two requests of one client at once")
				}
				sent[client]++
				runtime.Gosched() // another request may come now
				<-busy
				return 2, nil
			}
		}, s)
		return len(s.by) == 3
	})
	for client, n := range sent {
		if n == 0 || sink.by[client] != n {
			t.Errorf("client %d sent %d requests, %d have a latency", client, n, sink.by[client])
		}
	}
	all := sent[0] + sent[1] + sent[2]
	if m.Answered > all || m.Answered < all-3 || m.Items != 2*m.Answered {
		t.Errorf("%d answers with %d items to %d requests", m.Answered, m.Items, all)
	}
	if m.Window != window || m.CPU != time.Second || m.Incomplete != "" || m.Failed != 0 {
		t.Errorf("%+v", m)
	}
}

func TestLoopCountsFailures(t *testing.T) {
	var window time.Duration
	var sink *counts
	var m Measure
	longEnough(t, func(w time.Duration, s *counts) bool {
		window, sink = w, s
		m = closedLoop(t.Context(), &Config{Window: w}, Measure{Clients: 2}, func(client int) turn {
			return func(context.Context) (int64, error) {
				if client == 0 {
					return 0, errors.New("refused")
				}
				return 0, nil
			}
		}, s)
		return m.Failed > 0 && m.Answered > 0 && s.by[1] > 0
	})
	if m.Failed == 0 || m.Errors["refused"] != m.Failed || sink.by[0] != 0 {
		t.Errorf("%d of %d failed, %d have a latency", m.Failed, m.Errors["refused"], sink.by[0])
	}
	if m.Answered == 0 || sink.by[1] == 0 {
		t.Error("the other client's requests do not count")
	}
	if most := int64(window / errPause); m.Failed > most {
		t.Errorf("%d requests failed, at most %d could be sent", m.Failed, most)
	}
}

// What the store does not know ends a measurement, and is no failure.
func TestLoopUnsupported(t *testing.T) {
	m := closedLoop(t.Context(), &Config{Window: time.Hour}, Measure{Clients: 4}, func(int) turn {
		return func(context.Context) (int64, error) { return 0, status.Error(codes.Unimplemented, "unknown method") }
	}, &counts{})
	if !m.Unsupported || m.Failed != 0 || m.Incomplete != "" {
		t.Errorf("%+v", m)
	}
}

// An interrupted measurement keeps what it has, and says why it ended.
func TestLoopInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	sink := &counts{}
	m := closedLoop(ctx, &Config{Window: time.Hour}, Measure{Clients: 1}, func(int) turn {
		n := 0
		return func(ctx context.Context) (int64, error) {
			if n++; n > 5 {
				cancel(errors.New("interrupted"))
				return 0, ctx.Err()
			}
			return 1, nil
		}
	}, sink)
	if m.Answered != 5 || sink.by[0] != 5 || m.Failed != 0 || m.Incomplete != "interrupted" {
		t.Errorf("%+v, %d latencies", m, sink.by[0])
	}
	if m.Window <= 0 || m.Window >= time.Hour {
		t.Errorf("a window of %v", m.Window)
	}
}

// The floors are of the real disk and the real loopback.
func TestFloors(t *testing.T) {
	longEnough(t, func(window time.Duration, sink *counts) bool {
		m, err := Syncs(t.Context(), t.TempDir(), 0, window, sink)
		if err != nil || m.Failed != 0 {
			t.Errorf("syncs: %+v, %v", m, err)
		}
		return m.Answered > 0 && sink.by[0] > 0
	})
	if _, err := Syncs(t.Context(), "/nowhere", 0, short, &counts{}); err == nil {
		t.Error("a directory that is not there has a floor")
	}
	longEnough(t, func(window time.Duration, sink *counts) bool {
		e, err := NewEcho(Config{Connections: 2, Window: window})
		if err != nil {
			t.Fatal(err)
		}
		defer e.Close()
		if m := e.Measure(t.Context(), 5, sink); m.Failed != 0 || m.Connections != 2 || len(sink.by) > 5 {
			t.Errorf("round trips: %+v, of clients %v", m, sink.by)
		}
		return len(sink.by) == 5
	})
}
