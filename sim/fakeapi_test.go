package sim

import (
	"encoding/binary"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/strategicpatch"

	"github.com/planecheck/planecheck/apiserver/client"
	"github.com/planecheck/planecheck/checkers/history/wire"
)

// fakeAPI is the part of an API server that a simulated node needs, in memory.
// It is for what a real server cannot be made to do on demand: conflicts,
// versions that are gone, nodes that stay tainted.
type fakeAPI struct {
	t      *testing.T
	server *httptest.Server
	layer  *client.Layer

	mu      sync.Mutex
	version int64
	nodes   map[string]*corev1.Node
	pods    map[string]*corev1.Pod
	leases  map[string]*coordinationv1.Lease
	streams map[chan *metav1.WatchEvent]string // path and field selector
	log     []string                           // "VERB path?query" of what is not a watch, "WATCH path?version" of what is
	patches []string                           // of pods
	reports []string                           // of nodes: the patches of their status
	hold    func(what string) <-chan struct{}  // has a request wait before it is carried out, if its client still does; nil: it need not
	conns   sync.Map                           // net.Conn: the open connections
	refuse  func(what string) int              // HTTP status to answer with; 0: none
	taint   func(node string) bool
	rival   func(*corev1.Pod) // changes a pod along with a patch, as a write just before it
}

func newFakeAPI(t *testing.T) *fakeAPI {
	f := &fakeAPI{
		t: t, version: 100, nodes: map[string]*corev1.Node{}, pods: map[string]*corev1.Pod{},
		leases: map[string]*coordinationv1.Lease{}, streams: map[chan *metav1.WatchEvent]string{},
		refuse: func(string) int { return 0 }, taint: func(string) bool { return false }, rival: func(*corev1.Pod) {},
		hold: func(string) <-chan struct{} { return nil },
	}
	f.server = httptest.NewUnstartedServer(f)
	f.server.EnableHTTP2 = true
	f.server.Config.ErrorLog = log.New(io.Discard, "", 0)
	f.server.Config.ConnState = func(c net.Conn, state http.ConnState) {
		if state == http.StateClosed {
			f.conns.Delete(c)
		} else {
			f.conns.Store(c, true)
		}
	}
	f.server.StartTLS()
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: f.server.Certificate().Raw})
	var err error
	f.layer, err = client.New(client.Config{Servers: []string{f.server.Listener.Addr().String()}, CA: ca})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		f.layer.Close()
		f.server.Close()
	})
	return f
}

type object interface {
	metav1.Object
	runtime.Object
	Marshal() ([]byte, error)
}

func (f *fakeAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimPrefix(strings.TrimPrefix(r.URL.Path, "/api/v1/"), "/apis/coordination.k8s.io/v1/")
	if r.URL.Query().Get("watch") != "" {
		f.watch(w, r, path)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil { // the client went away while it asked: a node that crashes, for one
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	what := r.Method + " " + path
	if r.URL.RawQuery != "" {
		f.log = append(f.log, what+"?"+r.URL.RawQuery)
	} else {
		f.log = append(f.log, what)
	}
	if hold := f.hold(what); hold != nil {
		f.mu.Unlock()
		lost := false
		select {
		case <-hold:
		case <-r.Context().Done():
			lost = true
		}
		if f.mu.Lock(); lost {
			return
		}
	}
	if code := f.refuse(what); code != 0 {
		f.fail(w, code)
		return
	}
	if r.Method == "GET" && (path == "pods" || path == "nodes") {
		_, _ = w.Write(f.list(path))
		return
	}
	code, o := f.answer(r.Method, strings.Split(path, "/"), body)
	if o == nil {
		f.fail(w, code)
		return
	}
	w.Header().Set("Content-Type", "application/vnd.kubernetes.protobuf")
	_, _ = w.Write(f.envelope(o))
}

// alreadyExists is the other kind of 409.
const alreadyExists = 1409

func (f *fakeAPI) fail(w http.ResponseWriter, code int) {
	reason := map[int]metav1.StatusReason{
		404: "NotFound", 409: "Conflict", 410: "Expired", 403: "Forbidden", alreadyExists: "AlreadyExists",
	}[code]
	code %= 1000
	raw, _ := (&metav1.Status{Status: "Failure", Reason: reason, Code: int32(code)}).Marshal()
	w.Header().Set("Content-Type", "application/vnd.kubernetes.protobuf")
	w.WriteHeader(code)
	_, _ = w.Write(wire.Wrap("v1", "Status", raw))
}

func (f *fakeAPI) envelope(o object) []byte {
	kind := strings.TrimPrefix(fmt.Sprintf("%T", o), "*v1.")
	return wire.Wrap("v1", kind, encode(f.t, o))
}

// answer carries out one request; a nil object means an error of that status.
func (f *fakeAPI) answer(method string, path []string, body []byte) (int, object) {
	_, _, raw, _ := wire.Unwrap(body)
	switch {
	case method == "POST" && path[0] == "nodes":
		n := &corev1.Node{}
		if err := n.Unmarshal(raw); err != nil {
			f.t.Errorf("node: %v", err)
		}
		if f.nodes[n.Name] != nil {
			return alreadyExists, nil
		}
		n.UID = types.UID("uid-of-" + n.Name)
		if f.taint(n.Name) {
			n.Spec.Taints = []corev1.Taint{{Key: "node.kubernetes.io/not-ready"}}
		}
		f.nodes[n.Name] = n
		f.emit("ADDED", "nodes", n)
		return 200, n
	case method == "PATCH" && path[0] == "nodes":
		return f.report(path[1], body)
	case path[0] == "nodes" && len(path) > 1:
		return 200, f.nodes[path[1]]
	case path[0] == "namespaces" && path[2] == "leases":
		return f.lease(method, path, raw)
	case path[0] == "namespaces" && path[2] == "pods":
		return f.pod(method, path, body, raw)
	}
	return 404, nil
}

// report carries out a patch of a node's status.
func (f *fakeAPI) report(node string, body []byte) (int, object) {
	f.reports = append(f.reports, string(body))
	n := &corev1.Node{}
	f.merge(f.nodes[node], body, n)
	f.nodes[node] = n
	f.emit("MODIFIED", "nodes", n)
	return 200, n
}

// merge applies a strategic merge patch.
func (f *fakeAPI) merge(from object, patch []byte, to object) {
	old, _ := json.Marshal(from)
	merged, err := strategicpatch.StrategicMergePatch(old, patch, to)
	if err != nil {
		f.t.Errorf("patch %s: %v", patch, err)
	}
	_ = json.Unmarshal(merged, to)
}

// list answers a LIST of all nodes or pods, selectors aside.
func (f *fakeAPI) list(of string) []byte {
	f.version++
	version := metav1.ListMeta{ResourceVersion: strconv.FormatInt(f.version, 10)}
	if of == "nodes" {
		nodes := &corev1.NodeList{ListMeta: version}
		for _, n := range f.nodes {
			nodes.Items = append(nodes.Items, *n)
		}
		return wire.Wrap("v1", "NodeList", encode(f.t, nodes))
	}
	pods := &corev1.PodList{ListMeta: version}
	for _, p := range f.pods {
		pods.Items = append(pods.Items, *p)
	}
	return wire.Wrap("v1", "PodList", encode(f.t, pods))
}

func (f *fakeAPI) lease(method string, path []string, raw []byte) (int, object) {
	l := &coordinationv1.Lease{}
	if err := l.Unmarshal(raw); err != nil {
		f.t.Errorf("lease: %v", err)
	}
	switch method {
	case "GET":
		if old := f.leases[path[3]]; old != nil {
			return 200, old
		}
		return 404, nil
	case "PUT":
		old := f.leases[l.Name]
		if old == nil {
			return 404, nil
		}
		if old.ResourceVersion != l.ResourceVersion {
			return 409, nil
		}
	}
	f.touch(l)
	f.leases[l.Name] = l
	return 200, l
}

func (f *fakeAPI) pod(method string, path []string, body, raw []byte) (int, object) {
	p := f.pods[path[3]]
	if p == nil {
		return 404, nil
	}
	switch method {
	case "PATCH":
		f.patches = append(f.patches, string(body))
		old := p
		p = &corev1.Pod{}
		f.merge(old, body, p)
		f.rival(p)
		f.pods[p.Name] = p
		f.emit("MODIFIED", "pods?spec.nodeName="+p.Spec.NodeName, p)
	case "DELETE":
		o := &metav1.DeleteOptions{}
		if err := o.Unmarshal(raw); err != nil || o.GracePeriodSeconds == nil || *o.GracePeriodSeconds != 0 || *o.Preconditions.UID != p.UID {
			f.t.Errorf("delete options %+v, %v", o, err)
		}
		f.gone(p)
	}
	return 200, p
}

func (f *fakeAPI) touch(o object) {
	f.version++
	o.SetResourceVersion(strconv.FormatInt(f.version, 10))
}

// emit stores a change and sends it to the watches of it.
func (f *fakeAPI) emit(typ, watched string, o object) {
	f.touch(o)
	e := &metav1.WatchEvent{Type: typ, Object: runtime.RawExtension{Raw: f.envelope(o)}}
	for stream, of := range f.streams {
		if of == watched {
			stream <- e
		}
	}
}

func (f *fakeAPI) gone(p *corev1.Pod) {
	delete(f.pods, p.Name)
	f.emit("DELETED", "pods?spec.nodeName="+p.Spec.NodeName, p)
}

// addPod creates a pod that is bound to a node.
func (f *fakeAPI) addPod(name, node string, like ...func(*corev1.Pod)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default", UID: types.UID("uid-of-" + name), Generation: 1}}
	p.Spec.NodeName = node
	p.Spec.Containers = []corev1.Container{{Name: "app", Image: "pause:1"}}
	p.Status.Phase = corev1.PodPending
	for _, how := range like {
		how(p)
	}
	f.pods[name] = p
	f.emit("ADDED", "pods?spec.nodeName="+node, p)
}

// change changes a pod as another client would.
func (f *fakeAPI) change(name string, how func(*corev1.Pod)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	p := f.pods[name].DeepCopy()
	how(p)
	f.pods[name] = p
	f.emit("MODIFIED", "pods?spec.nodeName="+p.Spec.NodeName, p)
}

func (f *fakeAPI) deletePod(name string, grace int64) {
	f.change(name, func(p *corev1.Pod) {
		p.DeletionTimestamp, p.DeletionGracePeriodSeconds = &metav1.Time{Time: time.Now()}, &grace
		p.Generation++
	})
}

func (f *fakeAPI) watch(w http.ResponseWriter, r *http.Request, path string) {
	q := r.URL.Query()
	of := path
	if s := q.Get("fieldSelector"); s != "" {
		of += "?" + s
	}
	f.mu.Lock()
	f.log = append(f.log, "WATCH "+of+" "+q.Get("resourceVersion")+" "+q.Get("sendInitialEvents"))
	if code := f.refuse("WATCH " + of); code != 0 {
		f.fail(w, code)
		f.mu.Unlock()
		return
	}
	stream := make(chan *metav1.WatchEvent, 1000)
	if q.Get("sendInitialEvents") == "true" {
		f.initial(stream, of)
	}
	f.streams[stream] = of
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.streams, stream)
	}()
	w.Header().Set("Content-Type", "application/vnd.kubernetes.protobuf;stream=watch")
	w.WriteHeader(http.StatusOK)
	w.(http.Flusher).Flush()
	for {
		select {
		case e := <-stream:
			if e == nil {
				return
			}
			raw := encode(f.t, e)
			_, _ = w.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(raw))), raw...))
			w.(http.Flusher).Flush()
		case <-r.Context().Done():
			return
		}
	}
}

// initial sends what there is, and the bookmark behind it.
func (f *fakeAPI) initial(stream chan *metav1.WatchEvent, of string) {
	for _, n := range f.nodes {
		if of == "nodes" || of == "nodes?metadata.name="+n.Name {
			stream <- &metav1.WatchEvent{Type: "ADDED", Object: runtime.RawExtension{Raw: f.envelope(n)}}
		}
	}
	for _, p := range f.pods {
		if of == "pods?spec.nodeName="+p.Spec.NodeName {
			stream <- &metav1.WatchEvent{Type: "ADDED", Object: runtime.RawExtension{Raw: f.envelope(p)}}
		}
	}
	end := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{metav1.InitialEventsAnnotationKey: "true"}}}
	f.touch(end)
	stream <- &metav1.WatchEvent{Type: "BOOKMARK", Object: runtime.RawExtension{Raw: f.envelope(end)}}
}

// cut ends the watches of what begins with prefix.
func (f *fakeAPI) cut(prefix string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for stream, of := range f.streams {
		if strings.HasPrefix(of, prefix) {
			stream <- nil
		}
	}
}

func (f *fakeAPI) setRefuse(refuse func(what string) int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.refuse = refuse
}

// sent returns the requests whose entry in the log contains all of the parts.
func (f *fakeAPI) sent(parts ...string) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var found []string
next:
	for _, line := range f.log {
		for _, part := range parts {
			if !strings.Contains(line, part) {
				continue next
			}
		}
		found = append(found, line)
	}
	return found
}

func (f *fakeAPI) podNamed(name string) *corev1.Pod {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.pods[name]
}

// patience is a bound that only a failure meets, on a busy machine too.
const patience = 5 * time.Minute

// eventually waits for a condition.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for begin := time.Now(); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Since(begin) > patience {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}
