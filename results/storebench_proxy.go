package results

import (
	"fmt"
	"slices"
	"strings"
)

// throughProxy is the option of a backend's spec that puts a proxy before it.
const throughProxy = "proxy=on"

// direct is the spec of the same backend without a proxy, "" for one without.
func direct(spec string) string {
	name, options, _ := strings.Cut(spec, ":")
	all := strings.Split(options, ",")
	rest := slices.DeleteFunc(slices.Clone(all), func(o string) bool { return o == throughProxy })
	switch {
	case len(rest) == len(all):
		return ""
	case len(rest) == 0:
		return name
	}
	return name + ":" + strings.Join(rest, ",")
}

// proxies sets each backend behind a proxy beside the same without one, as far as
// both were measured.
func (b *StoreBench) proxies() string {
	var s strings.Builder
	for i := range b.Backends {
		behind := &b.Backends[i]
		at := slices.IndexFunc(b.Backends, func(f StoreFigures) bool { return f.Backend == direct(behind.Backend) })
		if at < 0 {
			continue
		}
		if t := behind.beside(&b.Backends[at]); t != "" {
			fmt.Fprintf(&s, "\nwhat a proxy costs that records nothing: %s to %s\n%s", behind.Backend, b.Backends[at].Backend, t)
		}
	}
	return s.String()
}

// beside is how many times the rates, latencies and CPU time of other f has.
func (f *StoreFigures) beside(other *StoreFigures) string {
	t := &table{align: "lr"}
	t.row("operation", "clients", "/s", "p50", "p99", "CPU each")
	found := false
	for i := range f.Measures {
		m := &f.Measures[i]
		o := other.find([]string{m.Operation}, m.Clients)
		if o == nil || m.Answered == 0 || o.Answered == 0 {
			continue
		}
		found = true
		t.row(m.Operation, number(int64(m.Clients)), times(m.perSecond(m.Answered), o.perSecond(o.Answered)),
			times(float64(m.Latency.P50), float64(o.Latency.P50)), times(float64(m.Latency.P99), float64(o.Latency.P99)),
			times(float64(m.CPU)/float64(m.Answered), float64(o.CPU)/float64(o.Answered)))
	}
	if !found {
		return ""
	}
	return t.String()
}

// times prints a ratio.
func times(a, b float64) string {
	if b == 0 {
		return missing
	}
	return digits3(a/b) + "×"
}
