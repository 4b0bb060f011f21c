// Package storebench loads a store that speaks the etcd v3 API as kube-apiservers
// do, without one, and measures the floors of the machine under it.
//
// The load is a closed loop: each client sends its next request when it has the
// answer to the last. Throughput is then what so many clients get out of the
// store, and latency is how long a request took that was sent, from the send to
// the last byte of the answer. It is not what a caller at a fixed rate would see:
// while the store stands still nothing more is sent, so a stall counts once for
// each client and not for all that would have come meanwhile.
//
// A measurement has a warm-up, of which nothing counts, and a window. Of the
// requests that are sent within the window each one counts for the latency,
// however late its answer is; the rate counts the answers that come within the
// window. So a slow request at the end is neither left out nor cut short.
//
// Keys, values and requests have the shape that kube-apiserver gives them
// (k8s.io/apiserver, pkg/storage/etcd3, and etcd's client/v3/kubernetes).
package storebench

import (
	"time"

	"github.com/planecheck/planecheck/checkers/history"
)

// Config says what to load, and how. All fields but CPU and Prefix must be set.
type Config struct {
	Endpoints []string // of the store's members, http://host:port
	// Prefix of all keys, without a slash at its end; default /registry.
	Prefix string
	// Connections is how many clients of the store's are shared by the clients of
	// the load; a kube-apiserver has one per resource. Each has a TCP connection
	// to every member and spreads its requests over them, as etcd's client does.
	Connections int
	Seed        uint64
	Objects     int   // pods, and as many Leases, that the store holds
	Namespaces  int   // over which the pods are spread evenly
	Page        int64 // limit of a list
	Warmup      time.Duration
	Window      time.Duration
	// CPU is the CPU time that whoever is to be charged for the load has used so
	// far; nil: nobody is charged.
	CPU func() time.Duration
}

// Sink takes the latencies of the requests that count. It is called
// concurrently, by one goroutine at a time for each client.
type Sink interface {
	Took(client int, d time.Duration)
}

// Operation is a kind of request.
type Operation string

// The operations, in the order in which they are best measured.
const (
	Create Operation = "create" // Txn: a pod that is not there
	Update Operation = "update" // Txn: a pod, at the revision that it was last seen at
	Renew  Operation = "renew"  // the same of a Lease
	Get    Operation = "get"    // Range: one pod, linearizable
	List   Operation = "list"   // Range: a page of the pods of a namespace
	Stream Operation = "stream" // RangeStream: all pods of a namespace
	Watch  Operation = "watch"  // each client watches all that few writers update
)

// Operations lists all of them.
func Operations() []Operation {
	return []Operation{Create, Update, Renew, Get, List, Stream, Watch}
}

// Measure is what an operation gave. The latencies are in the Sink.
type Measure struct {
	Operation   Operation
	Clients     int
	Connections int // of those, how many were in use
	// Window is what the window lasted: less than planned if it was cut short.
	Window   time.Duration
	Answered int64 // answers within the window; of watches: events delivered
	Items    int64 // objects in the answers to list and stream
	// Failed are the requests sent within the window that failed; Errors are all
	// by their text, those of the warm-up too.
	Failed int64
	Errors map[string]int64
	CPU    time.Duration // used within the window
	// Unsupported is that the store does not know such requests.
	Unsupported bool
	// Incomplete says why the window was cut short, "" if it was not.
	Incomplete string
}

// span is the window of a measurement.
type span struct{ from, to history.Time }

func (s span) holds(t history.Time) bool { return t >= s.from && t < s.to }
