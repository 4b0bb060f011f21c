package results

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func exampleStoreBench() *StoreBench {
	latency := func(n int64, p50 time.Duration) Latency {
		return Latency{Count: n, P50: Seconds(p50), P90: Seconds(2 * p50), P99: Seconds(9 * p50), Max: Seconds(70 * p50)}
	}
	measure := func(op string, clients int, answered int64, p50 time.Duration) StoreMeasure {
		return StoreMeasure{
			Operation: op, Clients: clients, Connections: min(clients, 32), Window: Seconds(5 * time.Second), Answered: answered,
			Latency: latency(answered, p50), CPU: Seconds(9 * time.Second), Others: 0.01,
		}
	}
	list := measure("list", 1, 900, 5*time.Millisecond)
	list.Items = 90_000
	failing := measure("get", 100, 40_000, 2*time.Millisecond)
	failing.Failed, failing.Errors = 7, map[string]int64{"rpc error: code = Unavailable desc = etcdserver: leader changed": 9}
	cut := measure("update", 100, 12_000, 20*time.Millisecond)
	cut.Window, cut.Incomplete = Seconds(1500*time.Millisecond), "interrupted"
	return &StoreBench{
		Started: time.Date(2026, 11, 22, 15, 4, 5, 0, time.UTC), Versions: map[string]string{"planecheck": "abc1234"},
		Host: Host{CPUs: 2, CPUModel: "A Processor", Kernel: "6.18"}, LoadBefore: 0.25,
		Settings: StoreBenchSetting{
			Seed: 7, Warmup: Seconds(time.Second), Window: Seconds(5 * time.Second), Connections: 32, Objects: 5000, Namespaces: 50, Page: 500,
			Sizes: "pods of some size",
		},
		Floors: StoreFloors{
			SyncBytes: 2048,
			Sync:      StoreMeasure{Clients: 1, Window: Seconds(5 * time.Second), Answered: 4000, Latency: latency(4000, time.Millisecond)},
			Echo:      []StoreMeasure{measure("", 1, 50_000, 90*time.Microsecond), measure("", 100, 200_000, 2*time.Millisecond)},
		},
		Backends: []StoreFigures{
			{
				Backend: "etcd:fsync=off", Settings: map[string]string{"members": "3", "fsync": "false", "batch-limit": "10000"}, Reached: ReachedThroughProxy,
				Filled: 10_000, FillTime: Seconds(3 * time.Second), DiskBytes: 700 << 20,
				Measures: []StoreMeasure{
					measure("create", 1, 5000, 900*time.Microsecond), measure("create", 100, 20_000, 20*time.Millisecond),
					cut, measure("get", 1, 30_000, 300*time.Microsecond), failing, list,
					{Operation: "stream", Clients: 1, Unsupported: true}, {Operation: "watch", Clients: 1, Incomplete: "no watch"},
				},
			},
			{Backend: "memory", Failed: "it died"},
		},
		Incomplete: "interrupted",
	}
}

func TestRenderStoreBench(t *testing.T) {
	got := exampleStoreBench().String()
	golden(t, "bench-storage", got)
}

// A machine that others use is named before the figures.
func TestStoreBenchSaysThatOthersWereBusy(t *testing.T) {
	const warning = "OTHERS USED THIS MACHINE"
	b := exampleStoreBench()
	if text := b.String(); strings.Contains(text, warning) {
		t.Errorf("nobody was busy:\n%s", text)
	}
	b.Backends[0].Measures[3].Others = 0.2
	if text := b.String(); !strings.Contains(text, warning) {
		t.Errorf("others had a fifth of the machine:\n%s", text)
	}
}

// What etcd is said to give is compared with whatever write was measured.
func TestStoreBenchClaims(t *testing.T) {
	b := exampleStoreBench()
	f := &b.Backends[0]
	f.Measures = f.Measures[2:4] // update of 100 clients, get of 1
	f.Measures[0].Clients = 1
	if text := b.claims(); !strings.Contains(text, "20.0ms    300µs        1") {
		t.Errorf("no update among the light load:\n%s", text)
	}
}

func TestStoreBenchIsKept(t *testing.T) {
	d, err := Create(t.TempDir(), "bench-storage")
	if err != nil {
		t.Fatal(err)
	}
	want := exampleStoreBench()
	for range 2 { // the second replaces the first
		if err := d.SaveStoreBench(want); err != nil {
			t.Fatal(err)
		}
	}
	got, err := LoadStoreBench(d.Path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if text, err := os.ReadFile(d.File(storeBenchText)); err != nil || string(text) != want.String() {
		t.Errorf("text (%v):\n%s", err, text)
	}
	for _, content := range []string{"", "{}", `{"schema":99}`} {
		if err := os.WriteFile(d.File(storeBenchFile), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := LoadStoreBench(d.Path); err == nil {
			t.Errorf("%q was loaded", content)
		}
	}
}

// A backend behind a proxy is set beside the same without, whatever else it is
// told, and only where both were measured.
func TestStoreBenchProxies(t *testing.T) {
	for spec, want := range map[string]string{
		"memory": "", "memory:proxy=on": "memory", "etcd:members=1,proxy=on": "etcd:members=1", "etcd:proxy=on,members=1": "etcd:members=1",
		"etcd:proxy=off": "", "external": "",
	} {
		if got := direct(spec); got != want {
			t.Errorf("%s without its proxy is %q, want %q", spec, got, want)
		}
	}
	b := exampleStoreBench()
	if text := b.proxies(); text != "" {
		t.Errorf("no backend is behind a proxy:\n%s", text)
	}
	behind := exampleStoreBench().Backends[0]
	behind.Backend = "etcd:fsync=off,proxy=on"
	behind.Measures = append(behind.Measures[:4:4], behind.Measures[5])
	behind.Measures[4].Answered = 0 // all too late
	m := &behind.Measures[1]        // create of 100 clients
	m.Answered, m.Latency.P50, m.Latency.P99, m.CPU = m.Answered/2, m.Latency.P50*3, m.Latency.P99*4, m.CPU*2
	behind.Measures[3].Clients = 7 // of which the other has none
	b.Backends = append(b.Backends, behind)
	want := `
what a proxy costs that records nothing: etcd:fsync=off,proxy=on to etcd:fsync=off
  operation  clients     /s    p50    p99  CPU each
  create           1  1.00×  1.00×  1.00×     1.00×
  create         100  0.50×  3.00×  4.00×     4.00×
  update         100  1.00×  1.00×  1.00×     1.00×
`
	if diff := cmp.Diff(want, b.proxies()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if !strings.Contains(b.String(), want) {
		t.Error("the figures do not show it")
	}
}

// Whoever's shard a latency is in, it is in the distribution.
func TestLatencies(t *testing.T) {
	l := &Latencies{}
	const clients, each = 3 * latencyShards, 50
	var wg sync.WaitGroup
	for client := range clients {
		wg.Go(func() {
			for i := range each {
				l.Took(client, time.Duration(client*each+i+1)*time.Millisecond)
			}
		})
	}
	wg.Wait()
	got := l.Latency()
	if got.Count != clients*each || got.Max != Seconds(clients*each*time.Millisecond) {
		t.Errorf("%+v", got)
	}
	if half := Seconds(clients * each / 2 * time.Millisecond); got.P50 < half*98/100 || got.P50 > half*102/100 {
		t.Errorf("p50 %s, want about %s", got.P50, half)
	}
	if none := (&Latencies{}).Latency(); none.Count != 0 {
		t.Errorf("nothing was taken: %+v", none)
	}
}

func TestMachineCPU(t *testing.T) {
	got, err := parseMachineCPU([]byte("cpu  100 20 30 9000 800 4 5 6 70 8\ncpu0 1 2\n"))
	if want := 1650 * time.Millisecond; err != nil || got != want {
		t.Errorf("%v, want %v (%v)", got, want, err)
	}
	for _, bad := range []string{"", "cpu 1 2", "cpu  1 2 3 4 5 6 7 x", "intr 1 2 3 4 5 6 7 8"} {
		if _, err := parseMachineCPU([]byte(bad)); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
	before, err := ProcessCPU(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	machine, err := MachineCPU()
	if err != nil || machine < before {
		t.Errorf("the machine used %v, this process alone %v (%v)", machine, before, err)
	}
	for n, used := 0, before; used == before; n++ { // until the clock ticks
		used, _ = ProcessCPU(os.Getpid())
		if n > 10_000_000 {
			t.Fatal(fmt.Sprint("reading the CPU time costs none: ", used))
		}
	}
	if _, err := ProcessCPU(1 << 30); err == nil {
		t.Error("read a process that cannot exist")
	}
	if load, err := LoadAverage(); err != nil || load < 0 {
		t.Errorf("load average %v (%v)", load, err)
	}
}
