package contract

import (
	"encoding/binary"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"github.com/planecheck/planecheck/apiserver/client"
	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/history/wire"
)

// fakeAPI keeps objects of the four kinds, checks resourceVersions on update,
// and can lose answers and hang. It reads of patches only the finalizers.
type fakeAPI struct {
	*httptest.Server

	mu      sync.Mutex
	rev     int
	objects map[string]stored            // kind/namespace/name
	marks   map[string]map[string]string // of each version: key@resourceVersion
	others  map[string]int               // requests for what is none of the kinds
	lose    func(*http.Request) bool     // do the work, then lose the answer
	refuse  func(*http.Request) int      // a status instead of the work
	hang    chan struct{}                // nil: answer
	kept    int                          // watches from before it are told 410
	log     []logged
}

type stored struct {
	kind *kind
	metav1.Object
}

type logged struct {
	rev  int
	kind *kind
	typ  string
	body []byte
}

func newFakeAPI(t testing.TB) *fakeAPI {
	t.Helper()
	a := &fakeAPI{rev: 100, objects: map[string]stored{}, marks: map[string]map[string]string{}, others: map[string]int{}}
	a.Server = httptest.NewUnstartedServer(http.HandlerFunc(a.serve))
	a.EnableHTTP2 = true
	a.Config.ErrorLog = log.New(io.Discard, "", 0)
	a.StartTLS()
	t.Cleanup(func() {
		a.CloseClientConnections()
		a.Close()
	})
	return a
}

// recorder is the Observer of the tests.
type recorder struct {
	mu       sync.Mutex
	requests []history.Request
}

func (r *recorder) Request(q *history.Request) {
	c := *q
	c.Sent, c.Query = slices.Clone(q.Sent), maps.Clone(q.Query)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.requests = append(r.requests, c)
}

func (r *recorder) WatchEvent(*history.WatchEvent) {}

// all returns what was recorded so far and begins anew.
func (r *recorder) take() []history.Request {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := r.requests
	r.requests = nil
	return list
}

// workload makes a workload that talks to the fake.
func (a *fakeAPI) workload(t testing.TB, seed uint64, o Options) (*Workload, *recorder) {
	t.Helper()
	seen := &recorder{}
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.Certificate().Raw})
	layer, err := client.New(client.Config{Servers: []string{a.Listener.Addr().String()}, CA: ca, Observer: seen})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(layer.Close)
	plan := NewPlan(seed, o)
	deps := Deps{}
	for i := range plan.Clients {
		deps.Clients = append(deps.Clients, layer.Client(client.Identity{
			User: fmt.Sprintf("contract-%d", i), Class: history.ClassWorkload, Token: "secret",
		}))
	}
	w, err := New(plan, deps)
	if err != nil {
		t.Fatal(err)
	}
	w.drain, w.pagePause = 20*time.Millisecond, 1
	w.ending, w.watches = make(chan struct{}), newWatches(plan.Watches)
	t.Cleanup(func() { w.watches.close() })
	return w, seen
}

func (a *fakeAPI) serve(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	a.mu.Lock()
	defer a.mu.Unlock()
	if hang := a.hang; hang != nil {
		a.mu.Unlock()
		select {
		case <-hang:
		case <-r.Context().Done():
		}
		a.mu.Lock()
		return
	}
	k, key, sub := locate(r)
	if code := a.refused(r); code != 0 {
		answer(w, k, code, nil)
		return
	}
	if k == nil {
		a.others[r.Method+" "+key]++
		code := map[string]int{"POST": 201, "DELETE": 404}[r.Method]
		answer(w, nil, code, nil)
		return
	}
	if r.URL.Query().Get("watch") == "true" {
		a.watch(w, r, k)
		return
	}
	code, content := 404, []byte(nil)
	if !strings.Contains(key, "/contract-missing/") {
		code, content = a.do(r, k, key, sub, body)
	}
	if a.lose != nil && a.lose(r) {
		panic(http.ErrAbortHandler)
	}
	answer(w, k, code, content)
}

func (a *fakeAPI) refused(r *http.Request) int {
	if a.refuse == nil {
		return 0
	}
	return a.refuse(r)
}

// locate reads the path. k is nil if it is about none of the four kinds, nor Events.
func locate(r *http.Request) (k *kind, key, sub string) {
	path := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	path = path[map[string]int{"api": 2, "apis": 3}[path[0]]:]
	namespace := ""
	if len(path) >= 3 && path[0] == "namespaces" {
		namespace, path = path[1], path[2:]
	}
	name := ""
	if len(path) > 1 {
		name = path[1]
	}
	if len(path) > 2 {
		sub = path[2]
	}
	k = kindNamed(path[0])
	if path[0] == eventKind.resource.Plural {
		k = eventKind
	}
	return k, path[0] + "/" + namespace + "/" + name, sub
}

func answer(w http.ResponseWriter, k *kind, code int, content []byte) {
	if content == nil {
		content = statusBody(code)
	} else if k.custom {
		w.Header().Set("Content-Type", jsonType)
	}
	w.WriteHeader(code)
	_, _ = w.Write(content)
}

func statusBody(code int) []byte {
	reason := map[int]string{404: "NotFound", 409: "Conflict", 410: "Expired", 422: "Invalid"}[code]
	status := metav1.Status{Reason: metav1.StatusReason(reason), Code: int32(code)}
	if code == 410 {
		status.Continue = "fresh"
	}
	raw, err := status.Marshal()
	if err != nil {
		panic(err)
	}
	return wire.Wrap("v1", "Status", raw)
}

func (a *fakeAPI) do(r *http.Request, k *kind, key, sub string, body []byte) (int, []byte) {
	dry := r.URL.Query().Has("dryRun") || strings.Contains(string(body), `"dryRun":["All"]`)
	old, there := a.objects[key]
	collection := strings.HasSuffix(key, "/")
	switch {
	case r.Method == "GET" && collection:
		return a.list(k, strings.TrimSuffix(key, "/"), r.URL.Query())
	case r.Method == "DELETE" && collection:
		for name, o := range a.objects {
			if strings.HasPrefix(name, key) && o.GetLabels()[originLabel] == "generated" && !dry {
				a.remove(name)
			}
		}
		return 200, nil
	case r.Method == "POST" && sub == "":
		return a.create(k, key, body, dry)
	case !there && r.Method == "PATCH" && r.Header.Get("Content-Type") == applyPatch:
		o := k.fresh(strings.Split(key, "/")[1])
		o.SetName(strings.Split(key, "/")[2])
		return 201, a.put("ADDED", k, key, o, dry)
	case !there:
		return 404, nil
	case r.Method == "GET":
		return 200, encoded(k, old)
	case r.Method == "DELETE":
		if !dry {
			a.remove(key)
		}
		return 200, nil
	case r.Method == "PUT":
		o, err := k.decode(body)
		if err != nil {
			return 400, nil
		}
		if v := o.GetResourceVersion(); v != "" && v != old.GetResourceVersion() {
			return 409, nil
		}
		o.SetUID(old.GetUID())
		return 200, a.put("MODIFIED", k, key, o, dry)
	}
	o := old.Object
	if strings.Contains(string(body), `"finalizers":null`) && !dry {
		o.SetFinalizers(nil)
		if o.GetDeletionTimestamp() != nil {
			a.remove(key)
			return 200, nil
		}
	}
	return 200, a.put("MODIFIED", k, key, o, dry)
}

func (a *fakeAPI) create(k *kind, key string, body []byte, dry bool) (int, []byte) {
	o, err := k.decode(body)
	if err != nil {
		return 400, nil
	}
	if o.GetName() == "" {
		o.SetName(o.GetGenerateName() + strconv.Itoa(a.rev))
	}
	key += o.GetName()
	if _, there := a.objects[key]; there {
		raw, _ := (&metav1.Status{Reason: metav1.StatusReasonAlreadyExists, Code: 409}).Marshal()
		return 409, wire.Wrap("v1", "Status", raw)
	}
	o.SetUID(types.UID(fmt.Sprintf("uid-%d", a.rev)))
	return 201, a.put("ADDED", k, key, o, dry)
}

// put stores a version of an object and returns it as an answer.
func (a *fakeAPI) put(typ string, k *kind, key string, o metav1.Object, dry bool) []byte {
	if dry {
		return encoded(k, o)
	}
	a.rev++
	o.SetResourceVersion(strconv.Itoa(a.rev))
	a.objects[key] = stored{k, o}
	a.marks[key+"@"+o.GetResourceVersion()] = marksOf(o)
	a.log = append(a.log, logged{a.rev, k, typ, encoded(k, o)})
	return encoded(k, o)
}

// remove deletes an object, or marks it as being deleted.
func (a *fakeAPI) remove(key string) {
	o := a.objects[key]
	if len(o.GetFinalizers()) > 0 {
		at := metav1.Now()
		o.SetDeletionTimestamp(&at)
		a.put("MODIFIED", o.kind, key, o.Object, false)
		return
	}
	a.put("DELETED", o.kind, key, o.Object, false)
	delete(a.objects, key)
}

func encoded(k *kind, o metav1.Object) []byte {
	if s, ok := o.(stored); ok {
		o = s.Object
	}
	b, err := k.encode(o)
	if err != nil {
		panic(err)
	}
	return b
}

func marksOf(o metav1.Object) map[string]string {
	marks := map[string]string{}
	for name, value := range o.GetAnnotations() {
		if m, ok := strings.CutPrefix(name, history.MarkPrefix); ok {
			marks[m] = value
		}
	}
	return marks
}

// list answers a list; its continue tokens are offsets.
func (a *fakeAPI) list(k *kind, prefix string, q url.Values) (int, []byte) {
	prefix = strings.TrimSuffix(prefix, "/") // of all namespaces
	var keys []string
	for key := range a.objects {
		if strings.HasPrefix(key, prefix+"/") {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	limit, _ := strconv.Atoi(q.Get("limit"))
	from, _ := strconv.Atoi(strings.TrimPrefix(q.Get("continue"), "at-"))
	to, next := len(keys), ""
	if limit > 0 && from+limit < len(keys) {
		to, next = from+limit, fmt.Sprintf("at-%d", from+limit)
	}
	meta := metav1.ListMeta{ResourceVersion: strconv.Itoa(a.rev), Continue: next}
	return 200, a.listBody(k, meta, keys[min(from, to):to])
}

func (a *fakeAPI) listBody(k *kind, meta metav1.ListMeta, keys []string) []byte {
	var list interface{ Marshal() ([]byte, error) }
	switch k.name {
	case "ConfigMap":
		l := &corev1.ConfigMapList{ListMeta: meta}
		for _, key := range keys {
			l.Items = append(l.Items, *a.objects[key].Object.(*corev1.ConfigMap))
		}
		list = l
	case "Pod":
		l := &corev1.PodList{ListMeta: meta}
		for _, key := range keys {
			l.Items = append(l.Items, *a.objects[key].Object.(*corev1.Pod))
		}
		list = l
	case "Lease":
		l := &coordinationv1.LeaseList{ListMeta: meta}
		for _, key := range keys {
			l.Items = append(l.Items, *a.objects[key].Object.(*coordinationv1.Lease))
		}
		list = l
	default:
		items := []any{}
		for _, key := range keys {
			items = append(items, a.objects[key].Object.(*unstructured.Unstructured).Object)
		}
		b, _ := json.Marshal(map[string]any{"kind": "WidgetList", "metadata": meta, "items": items})
		return b
	}
	raw, err := list.Marshal()
	if err != nil {
		panic(err)
	}
	return wire.Wrap(k.apiVersion, k.name+"List", raw)
}

// watch sends what there is to send and ends the stream.
func (a *fakeAPI) watch(w http.ResponseWriter, r *http.Request, k *kind) {
	from, _ := strconv.Atoi(r.URL.Query().Get("resourceVersion"))
	if from > 0 && from < a.kept {
		answer(w, k, 410, nil)
		return
	}
	if k.custom {
		w.Header().Set("Content-Type", jsonType)
	} else {
		w.Header().Set("Content-Type", "application/vnd.kubernetes.protobuf;stream=watch")
	}
	for _, e := range a.log {
		if e.rev > from && e.kind == k {
			writeEvent(w, k, e.typ, e.body)
		}
	}
}

func writeEvent(w io.Writer, k *kind, typ string, body []byte) {
	if k.custom {
		fmt.Fprintf(w, `{"type":%q,"object":%s}`+"\n", typ, body)
		return
	}
	event := metav1.WatchEvent{Type: typ, Object: runtime.RawExtension{Raw: body}}
	frame, err := event.Marshal()
	if err != nil {
		panic(err)
	}
	_ = binary.Write(w, binary.BigEndian, uint32(len(frame)))
	_, _ = w.Write(frame)
}
