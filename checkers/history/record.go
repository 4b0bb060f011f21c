// Package history holds the records that a run leaves behind: what was asked
// of the API servers and what they answered, what was committed to the store
// and when, all on one clock. Everything that judges or reports a run works
// from these records and from nothing else.
package history

import (
	"net/url"
	"time"
)

// Class says on whose behalf a request was sent. Figures are kept per class,
// because a heartbeat that is late and a load request that is late mean
// different things.
type Class string

// The identity classes of everything that planecheck itself sends.
const (
	ClassKubelet    Class = "kubelet"    // system:node:<name>, group system:nodes
	ClassKubeProxy  Class = "kube-proxy" // system:kube-proxy
	ClassWorkload   Class = "workload"   // the load: density, manifests
	ClassController Class = "controller" // simulated controllers
	// ClassContract sends what puts the promises of the API to the test. Many of
	// its requests are meant to fail, or to wait.
	ClassContract Class = "contract"
	ClassObserver Class = "observer" // the watches and scrapes of the measurement itself
)

// Request is one HTTP attempt, as the client saw it. The client layer makes no
// retries of its own: a retried request is two records.
type Request struct {
	// ID is unique among the attempts of this process, and rises with the time
	// of the call, as near as concurrent calls have an order.
	ID uint64

	Class    Class
	Identity string // the user name, e.g. system:node:node-00042

	Verb        string // get, list, watch, create, update, patch, delete, deletecollection
	Group       string // API group, empty for core
	Version     string
	Resource    string // plural, lower case
	Subresource string
	Namespace   string
	Name        string

	// Due is when an open-loop sender meant to send the request; zero if it
	// was not scheduled. Latency of scheduled requests counts from here.
	Due    Time
	Called Time // just before the request was handed to the transport
	// Returned is when the whole response body had been read; for a watch,
	// when the response headers had arrived.
	Returned Time

	Status        int    // HTTP status; 0 if no response came
	Reason        string // Status.reason of a failed request, if it could be read
	Err           string // transport error, if no response came
	Server        string // API server instance that answered, "" if unknown
	RequestBytes  int
	ResponseBytes int

	// The message itself. It is only valid during the call of the Observer,
	// which must not change it.
	Query       url.Values
	ContentType string // of Sent; "" is protobuf
	Sent        []byte
	Answer      []byte // nil without a whole answer, and of a watch that was opened
	// Opaque says that the answer went to client-go unread: nothing is known of
	// it but its status and size, and nothing of the events of such a watch.
	Opaque bool
	// Marks are what the sender says that the write does; nil: it says nothing.
	Marks *Marks
	// Illegal is what the sender says that it did wrong on purpose, see
	// APICall.Illegal.
	Illegal string
}

// Latency is the time from when the request was due (or called, if it was not
// scheduled) to its return.
func (r *Request) Latency() time.Duration {
	if r.Due != 0 {
		return r.Returned.Sub(r.Due)
	}
	return r.Returned.Sub(r.Called)
}

// WatchEvent is one event or bookmark that arrived on a watch, or the end of
// the watch.
type WatchEvent struct {
	Request  uint64 // Request.ID of the attempt that opened the watch
	Class    Class
	Identity string
	Resource string
	Type     string // ADDED, MODIFIED, DELETED, BOOKMARK, ERROR; "" for the end of the stream
	Arrived  Time
	Bytes    int
	// Object is valid only during the call of the Observer.
	Object []byte
	// End says of the end of the stream what ended it: "" the server,
	// ClosedByClient, or what the transport said.
	End string
}

// Observer is the one hook of the client layer: it is told of every HTTP
// attempt and every watch event of sim and workloads. Its methods are called
// concurrently, on the sender's own goroutine, so they must be quick, and they
// must not keep the pointer.
type Observer interface {
	Request(*Request)
	WatchEvent(*WatchEvent)
}

// Commit is one key that a committed transaction changed, seen at the store:
// by the interceptor in the etcd member that served the Txn.
type Commit struct {
	Called   Time // before the store's handler ran
	Returned Time // after it: the change was committed between the two
	Revision int64
	Key      string // e.g. /registry/pods/default/web-0
	Create   bool   // the Txn compared ModRevision with 0
	Delete   bool
	// Value is what was put, still in its storage encoding. It is only valid
	// during the call that hands over the Commit.
	Value []byte
}

// Lease records one renewal of a node's heartbeat.
type Lease struct {
	Node     string
	Due      Time // when the kubelet's rule says the renewal should start
	Sent     Time
	Answered Time // zero when it failed
	// Deadline is the end of the lease that this renewal extends.
	Deadline Time
	Failed   bool
}
