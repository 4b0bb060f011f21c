package workloads

import (
	"context"
	"encoding/binary"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"github.com/planecheck/planecheck/apiserver/client"
	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/history/wire"
)

// fakeAPI is as much of an API server, with its controllers and kubelets, as
// the workloads need: it keeps Deployments and pods, runs the pods of a
// Deployment as soon as it is written, and can refuse, forget and hang up.
type fakeAPI struct {
	*httptest.Server

	mu      sync.Mutex
	changed chan struct{} // closed and renewed at each change
	rev     int
	kept    int // watches from before this revision are told 410
	log     []fakeEvent
	objects map[string]map[string]fakeObject // resource → namespace/name
	refuse  []refusal
	cut     chan struct{} // closed and renewed to end all watches
	stopped bool          // pods stay Pending
	litter  bool          // pods outlive their Deployment
	served  map[string]int
}

type fakeEvent struct {
	rev      int
	typ      string
	resource string
	body     []byte
}

type fakeObject interface {
	metav1.Object
	marshaler
}

// refusal answers the next requests of a verb on a resource with a status.
type refusal struct {
	verb, resource string
	code           int
	after          bool // do the work, then lose the answer
}

func newFakeAPI(t testing.TB) *fakeAPI {
	t.Helper()
	a := &fakeAPI{
		changed: make(chan struct{}), cut: make(chan struct{}), rev: 1, served: map[string]int{},
		objects: map[string]map[string]fakeObject{"pods": {}, "deployments": {}, "namespaces": {}},
	}
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

func (a *fakeAPI) client(t testing.TB, class history.Class) *client.Client {
	t.Helper()
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.Certificate().Raw})
	layer, err := client.New(client.Config{Servers: []string{a.Listener.Addr().String()}, CA: ca})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(layer.Close)
	return layer.Client(client.Identity{User: string(class), Class: class, Token: "secret"})
}

// put writes an object and tells the watches. The caller holds mu.
func (a *fakeAPI) put(resource, typ string, o fakeObject) {
	a.rev++
	o.SetResourceVersion(strconv.Itoa(a.rev))
	key := o.GetNamespace() + "/" + o.GetName()
	if typ == "DELETED" {
		delete(a.objects[resource], key)
	} else {
		a.objects[resource][key] = o
	}
	a.log = append(a.log, fakeEvent{rev: a.rev, typ: typ, resource: resource, body: fakeBody(o)})
	close(a.changed)
	a.changed = make(chan struct{})
}

func fakeBody(o marshaler) []byte {
	kind := strings.TrimPrefix(fmt.Sprintf("%T", o), "*v1.")
	body, err := encode("v1", kind, o)
	if err != nil {
		panic(err)
	}
	return body
}

// pod makes a pod; phase "" is not bound yet.
func (a *fakeAPI) pod(namespace, name, owner, phase string) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, UID: types.UID(namespace + "/" + name)}}
	p.Labels = map[string]string{nameLabel: owner}
	if phase != "" {
		p.Spec.NodeName, p.Status.Phase = "node-1", corev1.PodPhase(phase)
	}
	if phase == "Running" {
		p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
	}
	return p
}

// roll replaces the pods of a Deployment, all at once. The caller holds mu.
func (a *fakeAPI) roll(d *appsv1.Deployment) {
	a.removePods(d.Namespace, d.Name)
	for i := range int(*d.Spec.Replicas) {
		name := fmt.Sprintf("%s-%s-%d-%d", d.Name, d.Spec.Template.Annotations[revisionAnnotation], a.rev, i)
		a.put("pods", "ADDED", a.pod(d.Namespace, name, d.Name, ""))
		if !a.stopped {
			a.put("pods", "MODIFIED", a.pod(d.Namespace, name, d.Name, "Running"))
		}
	}
	ready := d.DeepCopy()
	n := *d.Spec.Replicas
	ready.Status = appsv1.DeploymentStatus{ObservedGeneration: d.Generation, Replicas: n, UpdatedReplicas: n, AvailableReplicas: n}
	a.put("deployments", "MODIFIED", ready)
}

func (a *fakeAPI) removePods(namespace, owner string) {
	for _, o := range a.objects["pods"] {
		p := o.(*corev1.Pod)
		if p.Namespace != namespace || p.Labels[nameLabel] != owner {
			continue
		}
		dying := p.DeepCopy()
		now := metav1.Now()
		dying.DeletionTimestamp = &now
		a.put("pods", "MODIFIED", dying)
		a.put("pods", "DELETED", dying.DeepCopy())
	}
}

func (a *fakeAPI) serve(w http.ResponseWriter, r *http.Request) {
	// /api/v1/... or /apis/apps/v1/..., then namespaces/NS/RESOURCE/NAME or RESOURCE.
	path := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	path = path[map[string]int{"api": 2, "apis": 3}[path[0]]:]
	namespace, resource, name := "", path[0], ""
	if len(path) >= 3 {
		namespace, resource = path[1], path[2]
	}
	if len(path) == 4 {
		name = path[3]
	}
	verb := map[string]string{"GET": "get", "POST": "create", "PATCH": "patch", "DELETE": "delete"}[r.Method]
	if verb == "get" && name == "" {
		verb = "list"
	}
	if r.URL.Query().Has("watch") {
		a.watch(w, r, resource)
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.served[verb+" "+resource]++
	refused := a.takeRefusal(verb, resource)
	if refused != nil && !refused.after {
		fail(w, refused.code, "Refused")
		return
	}
	body, code, reason := a.do(r, verb, resource, namespace, name)
	if refused != nil {
		code, reason = refused.code, "Lost"
	}
	if code >= 400 {
		fail(w, code, reason)
		return
	}
	w.Header().Set("Content-Type", "application/vnd.kubernetes.protobuf")
	w.WriteHeader(code)
	_, _ = w.Write(body)
}

func (a *fakeAPI) takeRefusal(verb, resource string) *refusal {
	for i, f := range a.refuse {
		if f.verb == verb && f.resource == resource {
			a.refuse = append(a.refuse[:i:i], a.refuse[i+1:]...)
			return &f
		}
	}
	return nil
}

func fail(w http.ResponseWriter, code int, reason string) {
	w.Header().Set("Content-Type", "application/vnd.kubernetes.protobuf")
	w.WriteHeader(code)
	_, _ = w.Write(fakeBody(&metav1.Status{Status: "Failure", Reason: metav1.StatusReason(reason), Code: int32(code)}))
}

// do carries out a request that is no watch.
func (a *fakeAPI) do(r *http.Request, verb, resource, namespace, name string) (body []byte, code int, reason string) {
	switch {
	case verb == "list" && resource == "serviceaccounts":
		accounts := &corev1.ServiceAccountList{}
		for _, o := range a.objects["namespaces"] {
			accounts.Items = append(accounts.Items, corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: o.GetName(), Name: "default"}})
		}
		return fakeBody(accounts), 200, ""
	case verb == "list":
		return a.list(r, resource)
	case verb == "create" && resource == "namespaces":
		a.put(resource, "ADDED", &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: readMeta(r).Name}})
		return nil, 201, ""
	}
	return a.deployment(r, verb, namespace, name)
}

func readMeta(r *http.Request) wire.Meta {
	body, _ := io.ReadAll(r.Body)
	_, _, raw, err := wire.Unwrap(body)
	if err != nil {
		panic(err)
	}
	meta, err := wire.ScanMeta(raw)
	if err != nil {
		panic(err)
	}
	return meta
}

func (a *fakeAPI) deployment(r *http.Request, verb, namespace, name string) (body []byte, code int, reason string) {
	sent, _ := io.ReadAll(r.Body)
	var old *appsv1.Deployment
	if o, ok := a.objects["deployments"][namespace+"/"+name]; ok {
		old = o.(*appsv1.Deployment)
	} else if verb != "create" {
		return nil, 404, "NotFound"
	}
	if _, uid, ok := strings.Cut(string(sent), `"uid":"`); ok && old != nil {
		if uid, _, _ = strings.Cut(uid, `"`); uid != string(old.UID) {
			return nil, 409, "Conflict"
		}
	}
	switch verb {
	case "create":
		_, _, raw, err := wire.Unwrap(sent)
		d := &appsv1.Deployment{}
		if err != nil || d.Unmarshal(raw) != nil {
			return nil, 400, "BadRequest"
		}
		if a.objects["deployments"][d.Namespace+"/"+d.Name] != nil {
			return nil, 409, "AlreadyExists"
		}
		a.rev++
		d.UID, d.Generation = types.UID(strconv.Itoa(a.rev)), 1
		a.put("deployments", "ADDED", d)
		a.roll(d)
		return fakeBody(d), 201, ""
	case "patch":
		d := old.DeepCopy()
		_, text, _ := strings.Cut(string(sent), revisionAnnotation+`":"`)
		d.Spec.Template.Annotations[revisionAnnotation], _, _ = strings.Cut(text, `"`)
		d.Generation++
		a.put("deployments", "MODIFIED", d)
		a.roll(d)
		return fakeBody(d), 200, ""
	case "delete":
		a.put("deployments", "DELETED", old.DeepCopy())
		if !a.litter {
			a.removePods(namespace, name)
		}
		return nil, 200, ""
	}
	return fakeBody(old), 200, ""
}

// list serves pages; the continue token is the number of objects before.
func (a *fakeAPI) list(r *http.Request, resource string) (body []byte, code int, reason string) {
	limit, _ := strconv.Atoi(r.URL.Query().Get("limit"))
	from, _ := strconv.Atoi(r.URL.Query().Get("continue"))
	meta := metav1.ListMeta{ResourceVersion: strconv.Itoa(a.rev)}
	keys := sortedKeys(a.objects[resource])
	if _, name, ok := strings.Cut(r.URL.Query().Get("labelSelector"), nameLabel+"="); ok {
		keys = slices.DeleteFunc(keys, func(k string) bool { return a.objects[resource][k].GetLabels()[nameLabel] != name })
	}
	to := len(keys)
	if limit > 0 {
		to = min(to, from+limit)
	}
	if to < len(keys) {
		meta.Continue = strconv.Itoa(to)
	}
	if resource == "deployments" {
		l := &appsv1.DeploymentList{ListMeta: meta}
		for _, k := range keys[from:to] {
			l.Items = append(l.Items, *a.objects[resource][k].(*appsv1.Deployment))
		}
		return fakeBody(l), 200, ""
	}
	if resource == "replicasets" {
		return fakeBody(&appsv1.ReplicaSetList{ListMeta: meta}), 200, ""
	}
	l := &corev1.PodList{ListMeta: meta}
	for _, k := range keys[from:to] {
		l.Items = append(l.Items, *a.objects[resource][k].(*corev1.Pod))
	}
	return fakeBody(l), 200, ""
}

// watch streams the events after the version that is asked for.
func (a *fakeAPI) watch(w http.ResponseWriter, r *http.Request, resource string) {
	from, _ := strconv.Atoi(r.URL.Query().Get("resourceVersion"))
	a.mu.Lock()
	a.served["watch "+resource]++
	gone, cut := from < a.kept, a.cut
	a.mu.Unlock()
	if gone {
		fail(w, 410, "Expired")
		return
	}
	w.Header().Set("Content-Type", "application/vnd.kubernetes.protobuf;stream=watch")
	flusher := w.(http.Flusher)
	flusher.Flush()
	for {
		a.mu.Lock()
		var news []fakeEvent
		for _, e := range a.log {
			if e.rev > from && e.resource == resource {
				news = append(news, e)
			}
		}
		from = a.rev
		changed := a.changed
		a.mu.Unlock()
		for _, e := range news {
			writeEvent(w, e.typ, e.body)
		}
		flusher.Flush()
		select {
		case <-changed:
		case <-cut:
			return
		case <-r.Context().Done():
			return
		}
	}
}

func writeEvent(w io.Writer, typ string, body []byte) {
	event := metav1.WatchEvent{Type: typ, Object: runtime.RawExtension{Raw: body}}
	frame, err := event.Marshal()
	if err != nil {
		panic(err)
	}
	_ = binary.Write(w, binary.BigEndian, uint32(len(frame)))
	_, _ = w.Write(frame)
}

// hangUp ends all watches.
func (a *fakeAPI) hangUp() {
	a.mu.Lock()
	defer a.mu.Unlock()
	close(a.cut)
	a.cut = make(chan struct{})
}

// do runs f while nothing else happens.
func (a *fakeAPI) locked(f func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	f()
}

// watcher starts a PodWatcher and waits for its first list.
func (a *fakeAPI) watcher(t testing.TB, cfg PodWatcherConfig) *PodWatcher {
	t.Helper()
	cfg.Client = a.client(t, history.ClassObserver)
	w := NewPodWatcher(cfg)
	ctx, cancel := context.WithCancel(t.Context())
	stopped := make(chan struct{})
	go func() { defer close(stopped); w.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-stopped })
	if err := w.WaitSynced(ctx); err != nil {
		t.Fatal(err)
	}
	return w
}
