package live

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
)

// barWidth leaves room for the figures on a terminal of 80 columns.
const barWidth = 30

// bars is the display on a terminal. mpb asks for the figures of each bar on
// goroutines of its own, so they are kept under a lock.
type bars struct {
	snapshot func() Snapshot

	mu    sync.Mutex
	state Snapshot
	eta   []estimate
}

// barSpec is one bar.
type barSpec struct {
	name string
	of   func(*Snapshot) Progress
}

var barSpecs = []barSpec{
	{"nodes ready", func(s *Snapshot) Progress { return s.NodesReady }},
	{"pods created", func(s *Snapshot) Progress { return s.Created }},
	{"pods bound", func(s *Snapshot) Progress { return s.Bound }},
	{"pods running", func(s *Snapshot) Progress { return s.Running }},
	{"pods deleted", func(s *Snapshot) Progress { return s.Deleted }},
}

func startBars(w io.Writer, tick <-chan time.Time, snapshot func() Snapshot) (stop func()) {
	b := &bars{snapshot: snapshot, eta: make([]estimate, len(barSpecs))}
	b.update()
	// mpb would not draw by itself if w is no terminal, as in tests.
	p := mpb.New(mpb.WithOutput(w), mpb.WithAutoRefresh(), mpb.WithRefreshRate(refreshInterval))
	all := b.build(p)

	done, finished := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(finished)
		for {
			b.draw(all)
			select {
			case <-tick:
			case <-done:
				b.draw(all)
				return
			}
		}
	}()
	return func() {
		close(done)
		<-finished
		// Bars that are not full would keep Wait from returning; Shutdown
		// draws them once more as they stand.
		p.Shutdown()
	}
}

// build lays out the display and returns the bars, in the order of barSpecs.
func (b *bars) build(p *mpb.Progress) []*mpb.Bar {
	p.New(0, mpb.NopStyle(), mpb.PrependDecorators(b.text(phaseLine)))
	var all []*mpb.Bar
	for i, spec := range barSpecs {
		name := b.text(func(s *Snapshot) string {
			return fmt.Sprintf("%-12s %15s", spec.name, spec.of(s).plain())
		})
		eta := b.text(func(s *Snapshot) string { return b.eta[i].text(spec.of(s)) })
		all = append(all, p.New(0, mpb.BarStyle(), mpb.BarWidth(barWidth),
			mpb.PrependDecorators(name), mpb.AppendDecorators(eta)))
	}
	healthLine := b.text(func(s *Snapshot) string { return health(*s) })
	p.New(0, mpb.NopStyle(), mpb.PrependDecorators(healthLine), mpb.BarExtender(mpb.BarFillerFunc(b.components), false))
	return all
}

// components writes CPU and memory by component on as many lines as it takes.
func (b *bars) components(w io.Writer, st decor.Statistics) error {
	b.mu.Lock()
	text := components(b.state.Components)
	b.mu.Unlock()
	_, err := io.WriteString(w, wrap(text, st.AvailableWidth))
	return err
}

// wrap breaks the text after commas, into lines of at most width bytes if the
// text allows it.
func wrap(text string, width int) string {
	var lines []string
	line := ""
	for _, part := range strings.SplitAfter(text, ", ") {
		if line != "" && len(line)+len(strings.TrimSpace(part)) > width {
			lines = append(lines, strings.TrimSpace(line))
			line = ""
		}
		line += part
	}
	return strings.Join(append(lines, strings.TrimSpace(line)), "\n") + "\n"
}

func phaseLine(s *Snapshot) string { return fmt.Sprintf("%s  %s", clock(s.Elapsed), s.Phase) }

// text is a decorator that shows the current snapshot.
func (b *bars) text(line func(*Snapshot) string) decor.Decorator {
	return decor.Any(func(decor.Statistics) string {
		b.mu.Lock()
		defer b.mu.Unlock()
		return line(&b.state)
	})
}

func (b *bars) update() {
	s := b.snapshot()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.state = s
	for i, spec := range barSpecs {
		b.eta[i].observe(s.Elapsed, spec.of(&s).Done)
	}
}

// draw takes a snapshot and hands it to the bars.
func (b *bars) draw(all []*mpb.Bar) {
	b.update()
	b.mu.Lock()
	state := b.state
	b.mu.Unlock()
	for i, spec := range barSpecs {
		p := spec.of(&state)
		all[i].SetTotal(p.Total, false)
		all[i].SetCurrent(min(p.Done, p.Total))
	}
}

// rateWindow is over how long the rate of a bar is taken.
const rateWindow = 5 * time.Second

// estimate follows one count for its rate and the time that is left.
type estimate struct {
	points []point // the first is older than rateWindow, unless all are younger
}

type point struct {
	at   time.Duration
	done int64
}

func (e *estimate) observe(at time.Duration, done int64) {
	if n := len(e.points); n > 0 && (at <= e.points[n-1].at || done < e.points[n-1].done) {
		// Nothing new, or the count of another phase: start again.
		if done < e.points[n-1].done {
			e.points = []point{{at, done}}
		}
		return
	}
	e.points = append(e.points, point{at, done})
	for len(e.points) > 2 && at-e.points[1].at >= rateWindow {
		e.points = e.points[1:]
	}
}

func (e *estimate) perSecond() (rate float64, ok bool) {
	if len(e.points) < 2 {
		return 0, false
	}
	first, last := e.points[0], e.points[len(e.points)-1]
	return float64(last.done-first.done) / (last.at - first.at).Seconds(), true
}

// text is the rate and, while there is something left, the time for it.
func (e *estimate) text(p Progress) string {
	r, ok := e.perSecond()
	switch {
	case !ok || p.Total <= 0 && r <= 0:
		return ""
	case p.Done >= p.Total && p.Total > 0:
		return " done"
	case r <= 0 || p.Total <= 0:
		return fmt.Sprintf(" %s/s", rate(r))
	default:
		left := time.Duration(float64(p.Total-p.Done) / r * float64(time.Second))
		return fmt.Sprintf(" %s/s, %s left", rate(r), clock(left))
	}
}
