package client_test

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/planecheck/planecheck/apiserver/client"
	"github.com/planecheck/planecheck/checkers/history"
)

// The benchmarks measure this process alone: their server is another one, the
// test binary started again for TestBenchmarkServer with serverEnv set.
const serverEnv = "PLANECHECK_CLIENT_BENCHMARK_SERVER"

// TestBenchmarkServer is no test but the server of the benchmarks.
func TestBenchmarkServer(t *testing.T) {
	if os.Getenv(serverEnv) == "" {
		t.Skip("started by the benchmarks")
	}
	a := newAuthority(t)
	s := a.serve(t, 0, 100, benchmarkServer)
	pair := a.sign(t, &x509.Certificate{Subject: pkix.Name{CommonName: "node"}, SerialNumber: big.NewInt(2)})
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Print(s.addr())
	for _, b := range [][]byte{a.pem(), pair.Certificate[0], key} {
		fmt.Print(" ", base64.StdEncoding.EncodeToString(b))
	}
	fmt.Println()
	io.Copy(io.Discard, os.Stdin) // until the benchmark ends, or dies
}

// benchmarkServer answers like an API server: an update with an object of 500
// bytes and the headers of an API server, a watch with nothing.
func benchmarkServer(w http.ResponseWriter, r *http.Request) {
	if r.URL.Query().Has("watch") {
		stream(w, r, nil)
		return
	}
	io.Copy(io.Discard, r.Body)
	h := w.Header()
	h.Set("Audit-Id", "3f7c3c6e-8a1e-4f59-9d3e-"+strconv.FormatInt(time.Now().UnixNano()%1e12, 10))
	h.Set("Cache-Control", "no-cache, private")
	h.Set("Content-Type", "application/vnd.kubernetes.protobuf")
	h.Set("X-Kubernetes-Pf-Flowschema-Uid", "3f7c3c6e-8a1e-4f59-9d3e-123456789abc")
	h.Set("X-Kubernetes-Pf-Prioritylevel-Uid", "3f7c3c6e-8a1e-4f59-9d3e-123456789abd")
	w.Write(make([]byte, 500))
}

// total is the cheapest observer that looks at what it is told.
type total struct{ requests, events atomic.Int64 }

func (t *total) Request(*history.Request)       { t.requests.Add(1) }
func (t *total) WatchEvent(*history.WatchEvent) { t.events.Add(1) }

// benchmarkLayer starts the server. The certificate is one that it accepts.
func benchmarkLayer(b *testing.B) (*client.Layer, *tls.Certificate) {
	b.Helper()
	self, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	child := exec.Command(self, "-test.run=^TestBenchmarkServer$")
	child.Env = append(os.Environ(), serverEnv+"=1")
	child.Stderr = os.Stderr
	in, err := child.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := child.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := child.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		in.Close()
		child.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	var decoded [][]byte
	addr, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
	for _, field := range strings.Fields(rest) {
		d, err := base64.StdEncoding.DecodeString(field)
		if err != nil {
			b.Fatal(err)
		}
		decoded = append(decoded, d)
	}
	l, err := client.New(client.Config{Servers: []string{addr}, CA: decoded[0], Observer: &total{}})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(l.Close)
	key, err := x509.ParsePKCS8PrivateKey(decoded[2])
	if err != nil {
		b.Fatal(err)
	}
	return l, &tls.Certificate{Certificate: [][]byte{decoded[1]}, PrivateKey: key}
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkLeaseUpdate is the heartbeat. cpu-µs/op is the CPU time of this
// process per update: saturated, where the machine is as busy as the server
// can make it, and paced, where most of it is waking up from idleness.
func BenchmarkLeaseUpdate(b *testing.B) {
	l, _ := benchmarkLayer(b)
	clients := users(l, 500)
	body := make([]byte, 350)
	update := func(b *testing.B, i int64) {
		c := clients[i%int64(len(clients))]
		if _, err := c.Do(b.Context(), &client.Request{
			Verb: "update", Resource: leases, Namespace: "kube-node-lease", Name: "node-00042", Body: body,
		}); err != nil {
			b.Error(err)
		}
	}
	f := func(name string, workers int, perSecond int64) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			var next atomic.Int64
			var wg sync.WaitGroup
			start, cpu := time.Now(), cpuTime()
			for range workers {
				wg.Go(func() {
					for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
						if perSecond > 0 {
							time.Sleep(time.Until(start.Add(time.Duration(i) * time.Second / time.Duration(perSecond))))
						}
						update(b, i)
					}
				})
			}
			wg.Wait()
			b.ReportMetric(float64((cpuTime()-cpu).Microseconds())/float64(b.N), "cpu-µs/op")
		})
	}
	f("saturated", 64, 0)
	f("paced=2000/s", 64, 2000)
	f("paced=500/s", 64, 500)
}

// BenchmarkWatchMemory opens watches that then have nothing to say, as nearly
// all watches of a large cluster: shared, on connections of 80, and own, each
// on a TLS connection of its own. The identity's Client, the goroutine that
// waits in Next and the share of the connection are included; what the kernel
// holds for the socket is not.
func BenchmarkWatchMemory(b *testing.B) {
	l, pair := benchmarkLayer(b)
	f := func(name string, watches int, id client.Identity) {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				before := inUse()
				end := openWatches(b, l, watches, id)
				b.ReportMetric(float64(inUse()-before)/float64(watches), "B/watch")
				end()
			}
		})
	}
	f("shared", 2000, client.Identity{Token: "t"})
	f("own", 500, client.Identity{Certificate: pair})
}

// openWatches opens n watches, each as an identity of its own, and returns a
// function that ends them.
func openWatches(b *testing.B, l *client.Layer, n int, id client.Identity) func() {
	b.Helper()
	clients, watches := make([]*client.Client, n), make([]*client.Watch, n)
	var wg sync.WaitGroup
	for i := range clients {
		id.User = fmt.Sprintf("system:node:node-%05d", i)
		clients[i] = l.Client(id)
		var err error
		if watches[i], err = clients[i].Watch(b.Context(), &client.Request{Resource: pods}); err != nil {
			b.Fatal(err)
		}
		wg.Go(func() { watches[i].Next() })
	}
	return func() {
		for i := range clients {
			watches[i].Close()
			clients[i].Close()
		}
		wg.Wait()
	}
}

// inUse is the memory of heap and stacks.
func inUse() uint64 {
	debug.FreeOSMemory() // a full collection, which also shrinks stacks
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse + m.StackInuse
}
