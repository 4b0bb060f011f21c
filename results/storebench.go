package results

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// The files of `planecheck bench-storage` in its run directory.
const (
	storeBenchFile = "bench-storage.json"
	storeBenchText = "bench-storage.txt"
)

// StoreBench is the content of bench-storage.json: what stores gave without an
// API server, and the floors of the machine beside them.
type StoreBench struct {
	Schema   int               `json:"schema"`
	Started  time.Time         `json:"started"`
	Ended    time.Time         `json:"ended,omitzero"` // absent while it goes on
	Versions map[string]string `json:"versions,omitempty"`
	Host     Host              `json:"host"`
	// LoadBefore is the load average of the last minute before anything was started.
	LoadBefore float64           `json:"load_before"`
	Settings   StoreBenchSetting `json:"settings"`
	Floors     StoreFloors       `json:"floors"`
	Backends   []StoreFigures    `json:"backends"`
	// Incomplete says why it did not end as planned, "" if it did.
	Incomplete string `json:"incomplete,omitempty"`
}

// StoreBenchSetting is what a person chose.
type StoreBenchSetting struct {
	Seed        uint64  `json:"seed"`
	Warmup      Seconds `json:"warmup_seconds"`
	Window      Seconds `json:"window_seconds"`
	Connections int     `json:"connections"`
	Objects     int     `json:"objects"`
	Namespaces  int     `json:"namespaces"`
	Page        int64   `json:"page"`
	Sizes       string  `json:"sizes"`
}

// StoreFloors is what the machine gives without any store.
type StoreFloors struct {
	SyncBytes int            `json:"sync_bytes"` // written before each fdatasync
	Sync      StoreMeasure   `json:"fdatasync"`
	Echo      []StoreMeasure `json:"grpc_round_trip"`
}

// StoreFigures are those of one backend.
type StoreFigures struct {
	Backend   string            `json:"backend"` // as in --backends
	Settings  map[string]string `json:"settings,omitempty"`
	Reached   string            `json:"reached,omitempty"` // how its clients did; "": it was not noted
	Filled    int               `json:"filled"`            // objects
	FillTime  Seconds           `json:"fill_seconds"`
	DiskBytes int64             `json:"disk_bytes"` // at the end
	Measures  []StoreMeasure    `json:"measures"`
	// Failed says why there is no more, "" if it is all.
	Failed string `json:"failed,omitempty"`
}

// How clients reach a store: through the proxy that records it in a run, which here
// records nothing, or not.
const (
	ReachedDirectly     = "direct"
	ReachedThroughProxy = "through the proxy"
)

// StoreMeasure is one operation at one number of clients.
type StoreMeasure struct {
	Operation   string  `json:"operation,omitempty"`
	Clients     int     `json:"clients"`
	Connections int     `json:"connections,omitempty"`
	Window      Seconds `json:"window_seconds"`
	// Answered is what came within the window; Items are the objects in it.
	Answered int64 `json:"answered"`
	Items    int64 `json:"items,omitempty"`
	// Latency is that of the requests that were sent within the window.
	Latency Latency          `json:"latency"`
	Failed  int64            `json:"failed,omitempty"`
	Errors  map[string]int64 `json:"errors,omitempty"`
	// CPU is what this process, in which the clients are, and those of the store
	// used within the window; Others is the share of all CPUs that anything else
	// used from the beginning of the warm-up to the end.
	CPU         Seconds `json:"cpu_seconds"`
	Others      float64 `json:"others_cpu_share"`
	Unsupported bool    `json:"unsupported,omitempty"`
	Incomplete  string  `json:"incomplete,omitempty"`
}

// perSecond is n over the window, 0 if there was none.
func (m *StoreMeasure) perSecond(n int64) float64 {
	if m.Window <= 0 {
		return 0
	}
	return float64(n) / m.Window.Duration().Seconds()
}

// SaveStoreBench writes bench-storage.json and bench-storage.txt, so that at any
// moment each is either the old or the new one.
func (d *Dir) SaveStoreBench(b *StoreBench) error {
	b.Schema = Schema
	encoded, err := json.MarshalIndent(b, "", " ")
	if err != nil {
		return fmt.Errorf("save figures: %w", err)
	}
	for name, content := range map[string][]byte{storeBenchFile: append(encoded, '\n'), storeBenchText: []byte(b.String())} {
		path := d.File(name)
		rename := func(tmp string) error { return os.Rename(tmp, path) }
		if err := writeDurably(path+".tmp", content, rename); err != nil {
			return fmt.Errorf("save figures: %w", err)
		}
	}
	if err := syncDir(d.Path); err != nil {
		return fmt.Errorf("save figures: %w", err)
	}
	return nil
}

// LoadStoreBench reads the bench-storage.json of a run directory.
func LoadStoreBench(dir string) (*StoreBench, error) {
	path := filepath.Join(dir, storeBenchFile)
	encoded, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("load figures: %w", err)
	}
	b := &StoreBench{}
	if err := json.Unmarshal(encoded, b); err != nil {
		return nil, fmt.Errorf("load figures: %s: %w", path, err)
	}
	if b.Schema != Schema {
		return nil, fmt.Errorf("load figures: %s has schema %d, this planecheck reads schema %d", path, b.Schema, Schema)
	}
	return b, nil
}

// latencyShards is how many histograms concurrent clients share.
const latencyShards = 16

// Latencies takes the latencies of many clients at once.
type Latencies struct {
	shards [latencyShards]struct {
		mu sync.Mutex
		h  *histogram // guarded by mu; nil before the first
	}
}

// Took adds a latency of a client.
func (l *Latencies) Took(client int, d time.Duration) {
	s := &l.shards[client%latencyShards]
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.h == nil {
		s.h = newHistogram()
	}
	s.h.record(d)
}

// Latency is the distribution of all that was taken.
func (l *Latencies) Latency() Latency {
	all := newHistogram()
	for i := range l.shards {
		s := &l.shards[i]
		s.mu.Lock()
		if s.h != nil {
			all.merge(s.h)
		}
		s.mu.Unlock()
	}
	return all.latency()
}
