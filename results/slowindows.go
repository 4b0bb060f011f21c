package results

import (
	"cmp"
	"slices"
	"strconv"
	"time"
)

// SLOWindow is one of the windows by which the official SLOs judge a phase: the
// phase, or in a longer one every five minutes of it in steps of a minute. The last
// one has up to a minute more.
type SLOWindow struct {
	Start   Seconds `json:"start_seconds"` // since the beginning of the phase
	Length  Seconds `json:"length_seconds"`
	Running int64   `json:"running"` // pods that became Running in it
	// Missed are the SLOs that it missed, with whose requests they were judged on.
	// Availability is judged over the whole phase: if that missed it, all its
	// windows did.
	Missed []string `json:"missed,omitempty"`
}

// podsPerSecond is the mean over the window, 0 if it has no length.
func (w SLOWindow) podsPerSecond() float64 {
	if w.Length <= 0 {
		return 0
	}
	return float64(w.Running) / w.Length.Duration().Seconds()
}

// windows brings together what each part of the collector has judged in the windows
// of a phase that has ended.
func (c *Collector) windows(p *Phase) []SLOWindow {
	running, late := c.Pods.windows(p.Name)
	missed := c.Recorder.missed(p.Name)
	if len(late) > 0 {
		missed[sloTitle(startupName, SourcePods)] = late
	}
	var always []string
	for _, s := range p.SLOs {
		if s.MinRatio > 0 && s.Outcome == Fail {
			always = append(always, sloTitle(s.Name, s.Source))
		}
	}
	var all []SLOWindow
	servers := c.Servers.windows()
	for _, of := range windowsOf(p.Duration.Duration()) {
		w := newSLOWindow(of, p.Duration, running)
		w.Missed = append(w.Missed, always...)
		for slo, windows := range missed {
			if slices.Contains(windows, of) {
				w.Missed = append(w.Missed, slo)
			}
		}
		w.Missed = append(w.Missed, nearest(servers, w).missed...)
		slices.Sort(w.Missed)
		w.Missed = slices.Compact(w.Missed)
		all = append(all, w)
	}
	return all
}

// newSLOWindow counts the pods of the steps.
func newSLOWindow(of steps, length Seconds, running []int64) SLOWindow {
	from := Seconds(of.first) * Seconds(sloWindowStep)
	to := min(length, Seconds(of.last+1)*Seconds(sloWindowStep))
	w := SLOWindow{Start: from, Length: to - from}
	for i := of.first; i <= of.last && i < int64(len(running)); i++ {
		w.Running += running[i]
	}
	return w
}

// nearest is the servers' window that is closest to w: theirs begin and end with a
// scrape, which takes a moment. It is empty if they have none.
func nearest(all []serverWindow, w SLOWindow) serverWindow {
	apart := func(s serverWindow) time.Duration {
		return (s.from - w.Start).Duration().Abs() + (s.to - w.Start - w.Length).Duration().Abs()
	}
	if len(all) == 0 {
		return serverWindow{}
	}
	return slices.MinFunc(all, func(a, b serverWindow) int { return cmp.Compare(apart(a), apart(b)) })
}

// text says where in the phase the window is.
func (w SLOWindow) text(p *Phase) string {
	if w.Length >= p.Duration {
		return "mean over " + p.Name
	}
	minutes := func(s Seconds) string { return strconv.Itoa(int(s.Duration().Minutes())) }
	return "mean over minutes " + minutes(w.Start) + " to " + minutes(w.Start+w.Length) + " of " + p.Name
}

// met is the window of the phase in which most pods a second became Running while
// all SLOs held. If there is none, reason says why. A phase that was cut short before
// it had lasted a whole window has none. Records from before there were Windows have
// the verdict on the phase as a whole.
func (p *Phase) met() (best SLOWindow, reason string) {
	windows := p.Windows
	if len(windows) == 0 {
		windows = []SLOWindow{{Length: p.Duration, Running: p.Pods.Counts.Running}}
		if SLOsMet(p.SLOs) == Fail {
			windows[0].Missed = []string{"an SLO"}
		}
	}
	switch {
	case SLOsMet(p.SLOs) == "":
		return best, p.Name + " was not judged"
	case p.Incomplete != "" && p.Duration < Seconds(sloWindow):
		return best, p.Name + " was cut short"
	}
	for _, w := range windows {
		if len(w.Missed) == 0 && w.podsPerSecond() > best.podsPerSecond() {
			best = w
		}
	}
	switch {
	case best.Running > 0:
		return best, ""
	case len(windows) == 1:
		return best, p.Name + " missed an SLO"
	}
	return best, "no window of " + p.Name + " in which pods started met all SLOs"
}
