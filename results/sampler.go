package results

import (
	"context"
	"log/slog"
	"maps"
	"sync"
	"time"

	"github.com/planecheck/planecheck/checkers/history"
)

// sampleInterval is how often every process is read; a process that dies loses
// the CPU time since its last sample.
const sampleInterval = time.Second

// Sampler reads CPU time, memory and file descriptors of the run's processes
// every second, keeps peaks and sums by phase, and writes the time series.
type Sampler struct {
	proc   string
	series *Series
	values func() map[string]float64
	log    *slog.Logger

	mu        sync.Mutex
	processes map[string]*process
	phase     string
	peak      Peak
	ended     map[string]map[string]Usage
}

// HarnessName is the row of this process, which etcd shares.
const HarnessName = "harness+etcd"

// process is one row of the report; its PID changes when it is restarted.
type process struct {
	pid   int
	read  func(proc string, pid int) (ProcessUsage, error)
	known bool         // the last reading is of this PID
	last  ProcessUsage // last reading, with the CPU time of former PIDs
	cores float64      // between the last two samples
	at    history.Time
	base  float64 // CPU seconds of former PIDs
	start float64 // CPU seconds at the start of the phase
	usage Usage   // in this phase
}

// Usage is what a process used in a phase.
type Usage struct {
	CPUSeconds float64 `json:"cpu_seconds"`
	PeakRSS    int64   `json:"peak_rss_bytes"`
	PeakMapped int64   `json:"peak_mapped_bytes"` // mapped files, part of RSS
	PeakOwn    int64   `json:"peak_own_bytes"`    // RSS without mapped files
	PeakFDs    int64   `json:"peak_fds"`
	// Memory says what the three are a sum of, see ProcessUsage.
	Memory TreeMemory `json:"memory,omitempty"`
}

func (u *Usage) raise(r ProcessUsage) {
	u.PeakRSS = max(u.PeakRSS, r.RSS)
	u.PeakMapped = max(u.PeakMapped, r.Mapped)
	u.PeakOwn = max(u.PeakOwn, r.RSS-r.Mapped)
	u.PeakFDs = max(u.PeakFDs, r.FDs)
	u.Memory = u.Memory.worse(r.Memory)
}

// Peak is the most that all processes together used at one moment.
type Peak struct {
	MemoryBytes int64 `json:"memory_bytes"` // sum of RSS without mapped files
	MappedBytes int64 `json:"mapped_bytes"`
	RSSBytes    int64 `json:"rss_bytes"` // sum of both
	// MaxFDs is the most that one process had open: the limit is per process.
	MaxFDs int64 `json:"max_fds"`
	// DiskBytes is filled in by the runner; 0 if it was not measured.
	DiskBytes  int64            `json:"disk_bytes,omitempty"`
	Components map[string]Usage `json:"components,omitempty"`
}

// ProcessLoad is the last sample of a process, for the display.
type ProcessLoad struct {
	Cores  float64 // CPU seconds per second
	RSS    int64
	Mapped int64
	FDs    int64
}

// NewSampler returns a Sampler. values, if not nil, gives the other columns of
// the time series; series may be nil.
func NewSampler(series *Series, values func() map[string]float64, log *slog.Logger) *Sampler {
	return &Sampler{
		proc: "/proc", series: series, values: values, log: log,
		processes: map[string]*process{},
		peak:      Peak{Components: map[string]Usage{}},
		ended:     map[string]map[string]Usage{},
	}
}

// Set names the process to read; a new PID under a known name is a restart,
// whose CPU time is added to that of its forerunner.
func (s *Sampler) Set(name string, pid int) { s.set(name, pid, readProcess) }

// SetTree is Set for a server that works in child processes: CPU time and memory
// are theirs, too, see TreeMemory; the memory is read every five seconds.
func (s *Sampler) SetTree(name string, pid int) { s.set(name, pid, new(treeReader).read) }

func (s *Sampler) set(name string, pid int, read func(proc string, pid int) (ProcessUsage, error)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.processes[name]
	if p == nil {
		p = &process{}
		s.processes[name] = p
	}
	p.read = read
	if p.pid != pid {
		p.pid, p.known = pid, false
		p.base = p.last.CPUSeconds
	}
}

// Run samples until the context ends.
func (s *Sampler) Run(ctx context.Context) {
	ticker := time.NewTicker(sampleInterval)
	defer ticker.Stop()
	for {
		s.Sample()
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// Sample reads every process once and writes a row.
func (s *Sampler) Sample() {
	var values map[string]float64
	if s.values != nil {
		values = s.values()
	}
	now := history.Now()
	s.mu.Lock()
	row := Row{Phase: s.phase, Processes: s.read(now), Values: values}
	s.mu.Unlock()
	if s.series != nil {
		s.series.Write(now, row)
	}
}

func (s *Sampler) read(now history.Time) map[string]ProcessUsage {
	rows := make(map[string]ProcessUsage, len(s.processes))
	var memory, mapped int64
	for name, p := range s.processes {
		r, err := p.read(s.proc, p.pid)
		if err != nil {
			// The process is gone; whether it may be is the runner's business.
			if p.known {
				s.log.Debug("cannot read process", "component", name, "err", err)
			}
			p.known, p.cores = false, 0
			continue
		}
		p.observe(r, now)
		rows[name] = p.last
		memory += r.RSS - r.Mapped
		mapped += r.Mapped
		s.peak.MaxFDs = max(s.peak.MaxFDs, r.FDs)
	}
	s.peak.MemoryBytes = max(s.peak.MemoryBytes, memory)
	s.peak.MappedBytes = max(s.peak.MappedBytes, mapped)
	s.peak.RSSBytes = max(s.peak.RSSBytes, memory+mapped)
	return rows
}

func (p *process) observe(r ProcessUsage, now history.Time) {
	r.CPUSeconds += p.base
	if wall := now.Sub(p.at).Seconds(); p.known && wall > 0 {
		p.cores = (r.CPUSeconds - p.last.CPUSeconds) / wall
	}
	p.last, p.known, p.at = r, true, now
	p.usage.raise(r)
	p.usage.CPUSeconds = r.CPUSeconds - p.start
}

// StartPhase samples, ends the current phase and begins the next.
func (s *Sampler) StartPhase(name string) {
	s.Sample()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.endPhase()
	s.phase = name
}

func (s *Sampler) endPhase() {
	usage := map[string]Usage{}
	for name, p := range s.processes {
		usage[name] = p.usage
		total := s.peak.Components[name]
		total.CPUSeconds += p.usage.CPUSeconds
		total.PeakRSS = max(total.PeakRSS, p.usage.PeakRSS)
		total.PeakMapped = max(total.PeakMapped, p.usage.PeakMapped)
		total.PeakOwn = max(total.PeakOwn, p.usage.PeakOwn)
		total.PeakFDs = max(total.PeakFDs, p.usage.PeakFDs)
		total.Memory = total.Memory.worse(p.usage.Memory)
		s.peak.Components[name] = total
		p.start = p.last.CPUSeconds
		p.usage = Usage{}
		if p.known {
			p.usage.raise(p.last)
		}
	}
	s.ended[s.phase] = usage
}

// Phase returns what each process used in an ended phase, nil if unknown.
func (s *Sampler) Phase(name string) map[string]Usage {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ended[name]
}

// Peak returns the peaks and sums of all ended phases.
func (s *Sampler) Peak() Peak {
	s.mu.Lock()
	defer s.mu.Unlock()
	peak := s.peak
	peak.Components = maps.Clone(peak.Components)
	return peak
}

// Loads returns the last sample of each process that is alive.
func (s *Sampler) Loads() map[string]ProcessLoad {
	s.mu.Lock()
	defer s.mu.Unlock()
	loads := make(map[string]ProcessLoad, len(s.processes))
	for name, p := range s.processes {
		if p.known {
			loads[name] = ProcessLoad{p.cores, p.last.RSS, p.last.Mapped, p.last.FDs}
		}
	}
	return loads
}
