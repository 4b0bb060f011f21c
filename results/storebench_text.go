package results

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// String renders the figures for a person.
func (b *StoreBench) String() string {
	var s strings.Builder
	set := b.Settings
	fmt.Fprintf(&s, "bench-storage, %s, seed %d, planecheck %s\n", b.Started.UTC().Format("2 January 2006 15:04 UTC"), set.Seed, b.Versions["planecheck"])
	fmt.Fprintf(&s, "  %d CPUs%s, Linux %s, load average %.1f before it\n", b.Host.CPUs, bracketed(b.Host.CPUModel), b.Host.Kernel, b.LoadBefore)
	if b.busy() {
		s.WriteString("  OTHERS USED THIS MACHINE MEANWHILE, see the column others: the figures are too low\n")
	}
	fmt.Fprintf(&s, "  closed loop: each client sends when it has its last answer, so a stall counts once a client; send to answer; %s after %s of warm-up\n", set.Window, set.Warmup)
	fmt.Fprintf(&s, "  clients share up to %d connections, and the CPUs with the store; nothing is recorded\n", set.Connections)
	fmt.Fprintf(&s, "  %s pods in %d namespaces and as many leases; lists in pages of %d; %s\n", number(int64(set.Objects)), set.Namespaces, set.Page, set.Sizes)
	s.WriteString("\nfloors of the machine\n" + b.Floors.text())
	for i := range b.Backends {
		s.WriteString("\n" + b.Backends[i].text())
	}
	s.WriteString(b.proxies())
	s.WriteString("\n" + b.claims())
	if b.Incomplete != "" {
		fmt.Fprintf(&s, "\nnot complete: %s\n", b.Incomplete)
	}
	return s.String()
}

func bracketed(text string) string {
	if text == "" {
		return ""
	}
	return " (" + text + ")"
}

// othersLimit is the share of the CPUs that others may have before the figures
// are in doubt.
const othersLimit = 0.05

// busy says whether others took a part of the machine that counts.
func (b *StoreBench) busy() bool {
	all := append([]StoreMeasure{b.Floors.Sync}, b.Floors.Echo...)
	for _, f := range b.Backends {
		all = append(all, f.Measures...)
	}
	return slices.ContainsFunc(all, func(m StoreMeasure) bool { return m.Others > othersLimit })
}

func (f *StoreFloors) text() string {
	if f.Sync.Window == 0 {
		return "  not measured\n"
	}
	t := &table{align: "lr"}
	t.row("floor", "clients", "/s", "p50", "p99", "max", "others")
	t.row(fmt.Sprintf("write %d KiB and fdatasync", f.SyncBytes>>10), "1", f.Sync.rate(f.Sync.Answered),
		f.Sync.Latency.P50.String(), f.Sync.Latency.P99.String(), f.Sync.Latency.Max.String(), f.Sync.others())
	for _, m := range f.Echo {
		t.row("gRPC round trip on loopback", number(int64(m.Clients)), m.rate(m.Answered),
			m.Latency.P50.String(), m.Latency.P99.String(), m.Latency.Max.String(), m.others())
	}
	return t.String()
}

// others prints the share that others had of the CPUs.
func (m *StoreMeasure) others() string { return fmt.Sprintf("%.0f %%", 100*m.Others) }

// Line is what is said of a measurement when it is done.
func (m *StoreMeasure) Line() string {
	what := m.Operation
	switch {
	case m.Operation == "" && m.Connections == 0:
		what = "fdatasync"
	case m.Operation == "":
		what = "round trip"
	}
	if m.Unsupported {
		return fmt.Sprintf("%-10s %5s clients  not offered", what, number(int64(m.Clients)))
	}
	line := fmt.Sprintf("%-10s %5s clients %8s/s  p50 %7s  p99 %7s", what, number(int64(m.Clients)), m.rate(m.Answered), m.Latency.P50, m.Latency.P99)
	if m.Failed > 0 {
		line += fmt.Sprintf("  failed %s", number(m.Failed))
	}
	return line
}

// rate prints n per second of the window.
func (m *StoreMeasure) rate(n int64) string {
	if m.Window <= 0 {
		return missing
	}
	return rate(m.perSecond(n))
}

func rate(perSecond float64) string {
	if perSecond < 100 {
		return digits3(perSecond)
	}
	return number(int64(perSecond + 0.5))
}

// shownSettings are those of a backend that are printed; all are in the JSON.
var shownSettings = []string{"endpoints", "fsync", "members", "version"}

func (f *StoreFigures) text() string {
	var s strings.Builder
	s.WriteString(f.Backend)
	var settings []string
	if f.Reached != "" {
		settings = append(settings, f.Reached)
	}
	for _, key := range slices.Sorted(maps.Keys(f.Settings)) {
		if slices.Contains(shownSettings, key) {
			settings = append(settings, key+" "+f.Settings[key])
		}
	}
	if len(settings) > 0 {
		s.WriteString(": " + strings.Join(settings, ", "))
	}
	if f.FillTime > 0 {
		fmt.Fprintf(&s, "; filled with %s objects in %s", number(int64(f.Filled)), f.FillTime)
	}
	if f.DiskBytes > 0 {
		fmt.Fprintf(&s, "; %s on disk at the end", bytesText(f.DiskBytes))
	}
	s.WriteString("\n")
	t := &table{align: "lr"}
	t.row("operation", "clients", "/s", "p50", "p90", "p99", "max", "objects/s", "CPU each", "others", "failed")
	for i := range f.Measures {
		t.row(f.Measures[i].cells()...)
	}
	if len(f.Measures) > 0 {
		s.WriteString(t.String())
	}
	s.WriteString(f.remarks())
	return s.String()
}

func (m *StoreMeasure) cells() []string {
	cells := []string{m.Operation, number(int64(m.Clients))}
	if m.Unsupported {
		return append(cells, "not offered")
	}
	if m.Latency.Count == 0 {
		return append(cells, m.rate(m.Answered), missing, missing, missing, missing, missing, missing, m.others(), number(m.Failed))
	}
	items, cpu := missing, missing
	if m.Operation == "list" || m.Operation == "stream" {
		items = m.rate(m.Items)
	}
	if m.Answered > 0 {
		cpu = Seconds(int64(m.CPU) / m.Answered).String()
	}
	l := m.Latency
	return append(cells, m.rate(m.Answered), l.P50.String(), l.P90.String(), l.P99.String(), l.Max.String(),
		items, cpu, m.others(), number(m.Failed))
}

// remarks are what the table does not say.
func (f *StoreFigures) remarks() string {
	var s strings.Builder
	for _, m := range f.Measures {
		for _, text := range slices.Sorted(maps.Keys(m.Errors)) {
			fmt.Fprintf(&s, "  %s, %d clients: %d times %q\n", m.Operation, m.Clients, m.Errors[text], text)
		}
		if m.Incomplete != "" {
			fmt.Fprintf(&s, "  %s, %d clients: cut short after %s: %s\n", m.Operation, m.Clients, m.Window, m.Incomplete)
		}
	}
	if f.Failed != "" {
		fmt.Fprintf(&s, "  failed: %s\n", f.Failed)
	}
	return s.String()
}

// writeOperations and readOperations are what the published figures are about.
var (
	writeOperations = []string{"create", "update"}
	readOperations  = []string{"get"}
)

// claims sets what etcd's documentation says of etcd beside what was measured.
func (b *StoreBench) claims() string {
	var s strings.Builder
	s.WriteString("published for a three-member etcd, each member on a machine of its own (etcd.io, op-guide/performance):\n" +
		"less than 1 ms under light load, more than 30,000 requests/s under heavy load. Here, where everything shares one machine:\n")
	t := &table{align: "llr"}
	t.row("backend", "reached", "light: write p50", "get p50", "clients", "heavy: writes/s", "clients", "gets/s", "clients")
	for _, f := range b.Backends {
		light, write, read := f.lightest(), f.best(writeOperations), f.best(readOperations)
		lightWrite, lightRead, clients := missing, missing, missing
		if m := f.find(writeOperations, light); m != nil {
			lightWrite, clients = m.Latency.P50.String(), number(int64(light))
		}
		if m := f.find(readOperations, light); m != nil {
			lightRead, clients = m.Latency.P50.String(), number(int64(light))
		}
		t.row(f.Backend, cmp.Or(f.Reached, missing), lightWrite, lightRead, clients, bestRate(write), bestClients(write), bestRate(read), bestClients(read))
	}
	return s.String() + t.String()
}

// lightest is the smallest number of clients that was measured.
func (f *StoreFigures) lightest() int {
	least := 0
	for _, m := range f.Measures {
		if least == 0 || m.Clients < least {
			least = m.Clients
		}
	}
	return least
}

// find returns the first measurement of some operations that has latencies, nil if
// there is none.
func (f *StoreFigures) find(operations []string, clients int) *StoreMeasure {
	for i, m := range f.Measures {
		if slices.Contains(operations, m.Operation) && m.Clients == clients && m.Latency.Count > 0 {
			return &f.Measures[i]
		}
	}
	return nil
}

// best is the measurement of some operations with the highest rate, nil if none
// was answered.
func (f *StoreFigures) best(operations []string) (best *StoreMeasure) {
	for i := range f.Measures {
		m := &f.Measures[i]
		if m.Answered == 0 || !slices.Contains(operations, m.Operation) {
			continue
		}
		if best == nil || m.perSecond(m.Answered) > best.perSecond(best.Answered) {
			best = m
		}
	}
	return best
}

func bestRate(m *StoreMeasure) string {
	if m == nil {
		return missing
	}
	return m.rate(m.Answered)
}

func bestClients(m *StoreMeasure) string {
	if m == nil {
		return missing
	}
	return number(int64(m.Clients))
}
