// Package live shows a run while it goes on: bars and a line of figures on a
// terminal, a plain line every ten seconds elsewhere.
package live

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

// Progress is how far something has come.
type Progress struct {
	Done int64
	// Total is how much there will be; 0 if that is not known, or if the run
	// has nothing of the kind.
	Total int64
}

// Component is a process of the run.
type Component struct {
	Name   string
	Cores  float64 // CPU seconds per second
	RSS    int64   // bytes
	Mapped int64   // bytes of mapped files, part of RSS
}

// Snapshot is the state of a run at one moment. Rates are pods per second over
// the last few seconds. Figures that nothing has measured yet are negative, or
// zero where they are durations, and print as "-".
type Snapshot struct {
	Phase   string
	Elapsed time.Duration // since the start of the run

	NodesReady, Created, Bound, Running, Deleted Progress

	Rate float64 // pods that became Running
	Pace float64 // pods that the workload asks for; negative: no pacer

	StartupP99   time.Duration // recent pods, created to seen Running
	LeaseLateP99 time.Duration // recent renewals, due to answered
	LeaseMissed  int64         // deadlines, since the start

	Components []Component // in the order in which they are shown
}

const (
	plainInterval   = 10 * time.Second
	refreshInterval = 500 * time.Millisecond
)

// Start shows what snapshot returns until stop is called; stop draws the last
// state and returns when nothing more will be written. Errors of w are nobody's
// concern: the display is not the run.
func Start(w io.Writer, isTTY bool, snapshot func() Snapshot) (stop func()) {
	if isTTY {
		ticker := time.NewTicker(refreshInterval)
		return stopper(startBars(w, ticker.C, snapshot), ticker)
	}
	ticker := time.NewTicker(plainInterval)
	return stopper(startPlain(w, ticker.C, snapshot), ticker)
}

func stopper(stop func(), ticker *time.Ticker) func() {
	var once sync.Once
	return func() {
		once.Do(func() {
			ticker.Stop()
			stop()
		})
	}
}

// startPlain writes a line at each tick and one at the end.
func startPlain(w io.Writer, tick <-chan time.Time, snapshot func() Snapshot) (stop func()) {
	done, finished := make(chan struct{}), make(chan struct{})
	write := func() { fmt.Fprintln(w, PlainLine(snapshot())) }
	go func() {
		defer close(finished)
		for {
			select {
			case <-tick:
				write()
			case <-done:
				write()
				return
			}
		}
	}()
	return func() {
		close(done)
		<-finished
	}
}

// PlainLine is one line with everything in it.
func PlainLine(s Snapshot) string {
	phase := s.Phase
	if phase == "" {
		phase = "-"
	}
	return fmt.Sprintf("%s %s | nodes ready %s | pods created %s bound %s running %s deleted %s | %s | %s",
		clock(s.Elapsed), phase, s.NodesReady.plain(),
		s.Created.plain(), s.Bound.plain(), s.Running.plain(), s.Deleted.plain(),
		health(s), components(s.Components))
}

// health is the rates and what the SLOs and heartbeats say.
func health(s Snapshot) string {
	return fmt.Sprintf("%s pods/s, pace %s | start-up p99 %s | leases late p99 %s, missed %d",
		rate(s.Rate), rate(s.Pace), duration(s.StartupP99), duration(s.LeaseLateP99), s.LeaseMissed)
}

// plain is "1200/5000", or "1200" without a known total.
func (p Progress) plain() string {
	if p.Total <= 0 {
		return fmt.Sprint(p.Done)
	}
	return fmt.Sprintf("%d/%d", p.Done, p.Total)
}

// components is CPU and memory of each process, with the sums in front.
func components(all []Component) string {
	if len(all) == 0 {
		return "cpu - rss -"
	}
	var cores float64
	var rss, mapped int64
	var parts []string
	for _, c := range all {
		cores += c.Cores
		rss += c.RSS
		mapped += c.Mapped
		parts = append(parts, fmt.Sprintf("%s %.2f/%s", short(c.Name), c.Cores, gigabytes(c.RSS)))
	}
	return fmt.Sprintf("cpu %.2f cores, rss %s (mapped files %s): %s",
		cores, gigabytes(rss), gigabytes(mapped), strings.Join(parts, ", "))
}

// short leaves out what all components have in front.
func short(name string) string { return strings.TrimPrefix(name, "kube-") }

func gigabytes(n int64) string {
	const mib, gib = 1 << 20, 1 << 30
	if n < gib {
		return fmt.Sprintf("%dM", (n+mib/2)/mib)
	}
	return fmt.Sprintf("%.1fG", float64(n)/gib)
}

func rate(perSecond float64) string {
	if perSecond < 0 {
		return "-"
	}
	return fmt.Sprintf("%.0f", perSecond)
}

func duration(d time.Duration) string {
	switch {
	case d <= 0:
		return "-"
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	default:
		return fmt.Sprintf("%.1fs", d.Seconds())
	}
}

// clock is 04:32, or 1:04:32 from an hour on.
func clock(d time.Duration) string {
	s := int(d.Seconds())
	if s < 3600 {
		return fmt.Sprintf("%02d:%02d", s/60, s%60)
	}
	return fmt.Sprintf("%d:%02d:%02d", s/3600, s/60%60, s%60)
}
