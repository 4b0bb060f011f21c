package live

import (
	"bytes"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// buffer is a bytes.Buffer that the display's goroutines may write to.
type buffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func fill() Snapshot {
	return Snapshot{
		Phase: "fill", Elapsed: 272 * time.Second,
		NodesReady: Progress{5000, 5000},
		Created:    Progress{61000, 150000},
		Bound:      Progress{60500, 150000},
		Running:    Progress{60000, 150000},
		Deleted:    Progress{},
		Rate:       215.4, Pace: 220,
		StartupP99: 2300 * time.Millisecond, LeaseLateP99: 45 * time.Millisecond, LeaseMissed: 0,
		Components: []Component{
			{"kube-apiserver-0", 1.02, 8_300_000_000, 0},
			{"kube-scheduler-0", 0.21, 900_000_000, 0},
			{"kube-controller-manager-0", 0.19, 800_000_000, 0},
			{"harness+etcd", 0.55, 3_100_000_000, 2_500_000_000},
		},
	}
}

func TestPlainLine(t *testing.T) {
	f := func(s Snapshot, want string) {
		t.Helper()
		if diff := cmp.Diff(want, PlainLine(s)); diff != "" {
			t.Errorf("plain line (-want +got):\n%s", diff)
		}
	}
	f(fill(), "04:32 fill | nodes ready 5000/5000 | pods created 61000/150000 bound 60500/150000 running 60000/150000 deleted 0 | "+
		"215 pods/s, pace 220 | start-up p99 2.3s | leases late p99 45ms, missed 0 | "+
		"cpu 1.97 cores, rss 12.2G (mapped files 2.3G): apiserver-0 1.02/7.7G, scheduler-0 0.21/858M, "+
		"controller-manager-0 0.19/763M, harness+etcd 0.55/2.9G")
	// Nothing measured yet: dashes, no zeros.
	f(Snapshot{Rate: -1, Pace: -1}, "00:00 - | nodes ready 0 | pods created 0 bound 0 running 0 deleted 0 | "+
		"- pods/s, pace - | start-up p99 - | leases late p99 -, missed 0 | cpu - rss -")
	long := Snapshot{Phase: "hold", Elapsed: time.Hour + 62*time.Second, LeaseMissed: 3}
	if got := PlainLine(long); !strings.HasPrefix(got, "1:01:02 hold") || !strings.Contains(got, "missed 3") {
		t.Errorf("plain line = %q", got)
	}
}

func TestPlainWritesALineATickAndTheLastState(t *testing.T) {
	var out buffer
	tick := make(chan time.Time)
	n := int64(0)
	stop := startPlain(&out, tick, func() Snapshot {
		n++
		return Snapshot{Phase: "fill", Created: Progress{n, 10}}
	})
	tick <- time.Time{}
	tick <- time.Time{}
	stop()
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 3 {
		t.Fatalf("%d lines, want 3:\n%s", len(lines), out.String())
	}
	if !strings.Contains(lines[2], "created 3/10") {
		t.Errorf("last line does not show the last state: %s", lines[2])
	}
}

func TestBarsShowTheLastState(t *testing.T) {
	var out buffer
	tick := make(chan time.Time)
	var mu sync.Mutex
	s := fill()
	stop := startBars(&out, tick, func() Snapshot {
		mu.Lock()
		defer mu.Unlock()
		return s
	})
	tick <- time.Time{}
	mu.Lock()
	s.Elapsed += 10 * time.Second
	s.Running.Done += 3000
	s.LeaseMissed = 2
	mu.Unlock()
	stop()

	text := out.String()
	last := text[strings.LastIndex(text, "04:42  fill"):]
	for _, want := range []string{
		"nodes ready        5000/5000",
		"pods running    63000/150000",
		"300/s, 04:50 left", // 3,000 in 10 s, 87,000 to go
		"start-up p99 2.3s",
		"missed 2",
		"cpu 1.97 cores",
		"harness+etcd 0.55/2.9G",
	} {
		if !strings.Contains(last, want) {
			t.Errorf("display lacks %q:\n%s", want, last)
		}
	}
	for line := range strings.Lines(last) {
		if n := len([]rune(strings.TrimRight(line, "\n"))); n > 80 {
			t.Errorf("line of %d columns: %q", n, line)
		}
	}
}

// A bar that was full goes on when its total grows, as in a churn, and one whose total
// is not known any more shows its count alone.
func TestBarsFollowTheirTotals(t *testing.T) {
	var out buffer
	tick := make(chan time.Time)
	var mu sync.Mutex
	s := Snapshot{Phase: "fill", Elapsed: time.Second, Created: Progress{100, 100}, Bound: Progress{100, 100}}
	show := func(change func()) {
		mu.Lock()
		change()
		mu.Unlock()
		tick <- time.Time{}
	}
	stop := startBars(&out, tick, func() Snapshot {
		mu.Lock()
		defer mu.Unlock()
		return s
	})
	show(func() { s.Elapsed = 2 * time.Second })
	show(func() {
		s.Phase, s.Elapsed = "churn", 3*time.Second
		s.Created, s.Bound, s.Deleted = Progress{100, 200}, Progress{Done: 101}, Progress{0, 100}
	})
	mu.Lock()
	s.Elapsed += 2 * time.Second
	s.Created.Done, s.Deleted.Done = 150, 40
	mu.Unlock()
	stop()
	text := out.String()
	last := text[strings.LastIndex(text, "00:05  churn"):]
	for _, want := range []string{"pods created         150/200 [", "12/s, 00:04 left", "pods bound               101 [", "pods deleted          40/100 [", "10/s, 00:06 left"} {
		if !strings.Contains(last, want) {
			t.Errorf("display lacks %q:\n%s", want, last)
		}
	}
	if n := strings.Count(strings.Split(last[strings.Index(last, "pods created"):], "\n")[0], "="); n < barWidth*3/4-4 || n > barWidth*3/4 {
		t.Errorf("a bar at three quarters of its total has %d of %d:\n%s", n, barWidth, last)
	}
}

func TestStartStopsTwice(t *testing.T) {
	for _, tty := range []bool{true, false} {
		var out buffer
		stop := Start(&out, tty, fill)
		stop()
		stop() // a deferred stop after an early one
		if !strings.Contains(out.String(), "fill") {
			t.Errorf("tty %v: nothing was shown: %q", tty, out.String())
		}
	}
}

// brokenWriter is a terminal that has gone away.
type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, bytes.ErrTooLarge }

func TestDisplaySurvivesItsTerminal(t *testing.T) {
	tick := make(chan time.Time)
	stop := startBars(brokenWriter{}, tick, fill)
	tick <- time.Time{}
	tick <- time.Time{}
	stop() // hangs if the display waits for a screen that is no more
}

func TestEstimate(t *testing.T) {
	var e estimate
	if got := e.text(Progress{0, 100}); got != "" {
		t.Errorf("without two points: %q, want nothing", got)
	}
	for i := range 20 {
		e.observe(time.Duration(i)*time.Second, int64(i*i))
	}
	// Over the last five seconds: (19² - 14²) / 5 s = 33/s.
	if got, want := e.text(Progress{361, 691}), " 33/s, 00:10 left"; got != want {
		t.Errorf("text = %q, want %q", got, want)
	}
	if got := e.text(Progress{100, 100}); got != " done" {
		t.Errorf("complete: %q", got)
	}
	if len(e.points) > 8 {
		t.Errorf("%d points are kept", len(e.points))
	}
	e.observe(20*time.Second, 5) // a new phase counts from the beginning
	if _, ok := e.perSecond(); ok {
		t.Error("rate across a count that went back")
	}
}
