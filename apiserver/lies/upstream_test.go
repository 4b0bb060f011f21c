package lies

import (
	"crypto/tls"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"github.com/planecheck/planecheck/apiserver/pki"
	"github.com/planecheck/planecheck/checkers/history/wire"
)

// thing is an object of the upstream: a ConfigMap in protobuf, or a Widget,
// which is a custom resource, in JSON. They are kept in one form.
type thing = corev1.ConfigMap

// upstream behaves like an API server with two resources of one namespace, as
// far as lies are concerned. It keeps every state.
type upstream struct {
	*httptest.Server
	ca []byte

	mu      sync.Mutex
	states  []map[string]*thing // by revision; keys are resource/name
	log     []logged
	changed chan struct{} // closed at the next change
	seen    []string      // method, path and query of every request
	bodies  [][]byte
	wait    chan struct{} // closed to end all watches
	ending  sync.Once
	open    int // watches
}

type logged struct {
	key       string
	revision  int64
	now, prev *thing
}

func newUpstream(t testing.TB) *upstream {
	t.Helper()
	authority, err := pki.NewAuthority("test CA")
	if err != nil {
		t.Fatal(err)
	}
	pair, err := authority.Serving("kube-apiserver-0", "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	u := &upstream{ca: authority.PEM(), states: []map[string]*thing{{}}, changed: make(chan struct{}), wait: make(chan struct{})}
	u.Server = httptest.NewUnstartedServer(u)
	u.EnableHTTP2 = true
	u.TLS = &tls.Config{Certificates: []tls.Certificate{pair.TLS()}}
	u.Config.ErrorLog = log.New(io.Discard, "", 0)
	u.StartTLS()
	t.Cleanup(func() {
		u.end()
		u.CloseClientConnections()
		u.Close()
	})
	return u
}

// end ends all watches, as a server does that has kept them long enough.
func (u *upstream) end() { u.ending.Do(func() { close(u.wait) }) }

// watches is the number of open watches.
func (u *upstream) watches() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.open
}

func (u *upstream) opened(n int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.open += n
}

func (u *upstream) addr() string { return u.Listener.Addr().String() }

func (u *upstream) revision() int64 { return int64(len(u.states)) - 1 }

// commit stores an object, or removes it, in a new revision.
func (u *upstream) commit(key string, o *thing) int64 {
	now := u.states[u.revision()]
	next := maps.Clone(now)
	rev := u.revision() + 1
	if o == nil {
		delete(next, key)
	} else {
		o.ResourceVersion = text(rev)
		next[key] = o
	}
	u.states = append(u.states, next)
	u.log = append(u.log, logged{key, rev, o, now[key]})
	close(u.changed)
	u.changed = make(chan struct{})
	return rev
}

// at is an object as of a revision.
func (u *upstream) at(key string, rev int64) *thing {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.states[rev][key]
}

func (u *upstream) newest() int64 {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.revision()
}

// requests are those seen so far.
func (u *upstream) requests() ([]string, [][]byte) {
	u.mu.Lock()
	defer u.mu.Unlock()
	return slices.Clone(u.seen), slices.Clone(u.bodies)
}

func (u *upstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	q := newCall(r)
	q.body = body
	u.mu.Lock()
	u.seen = append(u.seen, r.Method+" "+r.URL.String()+" "+r.Header.Get("Authorization"))
	u.bodies = append(u.bodies, body)
	if q.verb == "watch" {
		u.mu.Unlock()
		u.stream(w, r, q)
		return
	}
	a := u.serve(q)
	u.mu.Unlock()
	for k, v := range a.header {
		w.Header()[k] = v
	}
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body)
}

func (u *upstream) serve(q *call) *answer {
	key := q.resource + "/" + q.name
	now := u.states[u.revision()][key]
	switch q.verb {
	case "list":
		return u.list(q)
	case "get":
		if number(q.resourceVersion) > u.revision() {
			return tooLarge(q)
		}
		if now == nil {
			return notFound(q)
		}
		return u.show(q, http.StatusOK, now)
	case "create":
		return u.create(q)
	case "deletecollection":
		return u.sweep(q)
	}
	if now == nil {
		return notFound(q)
	}
	if n := q.need(); !n.meets(&now.ObjectMeta) {
		return conflict(q)
	}
	if q.verb == "delete" {
		if !q.dryRun() {
			u.commit(key, nil)
		}
		return answerOf(&metav1.Status{Status: metav1.StatusSuccess, Code: 200,
			Details: &metav1.StatusDetails{Name: q.name, Kind: q.resource, UID: now.UID}}, q.resource == "widgets")
	}
	return u.put(q, key, now)
}

// sweep removes what a label selector matches, and answers with that.
func (u *upstream) sweep(q *call) *answer {
	selector, err := labels.Parse(q.query.Get("labelSelector"))
	if err != nil {
		return refusal(q, 400, metav1.StatusReasonBadRequest, err.Error())
	}
	rev := u.revision()
	state := u.states[rev]
	var items []thing
	for _, key := range slices.Sorted(maps.Keys(state)) {
		if !strings.HasPrefix(key, q.resource+"/") || !selector.Matches(labels.Set(state[key].Labels)) {
			continue
		}
		items = append(items, *state[key])
		if !q.dryRun() {
			u.commit(key, nil)
		}
	}
	return &answer{status: 200, header: http.Header{"Content-Type": {contentType(q.resource)}},
		body: encodeList(q.resource, metav1.ListMeta{ResourceVersion: text(rev)}, items)}
}

// put serves updates and merge patches.
func (u *upstream) put(q *call, key string, now *thing) *answer {
	var next *thing
	if q.verb == "update" {
		next = decode(q.body)
	} else {
		next = now.DeepCopy()
		next.ManagedFields = nil
		if err := json.Unmarshal(q.body, next); err != nil {
			return refusal(q, 400, metav1.StatusReasonBadRequest, err.Error())
		}
	}
	next.UID = now.UID
	next.ResourceVersion = now.ResourceVersion
	if !q.dryRun() {
		u.commit(key, next)
	}
	return u.show(q, http.StatusOK, next)
}

func (u *upstream) create(q *call) *answer {
	o := decode(q.body)
	key := q.resource + "/" + o.Name
	if u.states[u.revision()][key] != nil {
		q.name = o.Name
		return refusal(q, 409, metav1.StatusReasonAlreadyExists, "exists")
	}
	o.UID = types.UID("uid-" + text(u.revision()))
	if !q.dryRun() {
		u.commit(key, o)
	}
	return u.show(q, http.StatusCreated, o)
}

func decode(body []byte) *thing {
	o := &thing{}
	read, _ := readObject(body)
	if read.json {
		_ = json.Unmarshal(read.raw, o)
	} else {
		_ = o.Unmarshal(read.raw)
	}
	return o
}

// encode is an object in the encoding of its resource.
func encode(resource string, o *thing) []byte {
	if resource == "widgets" {
		c := o.DeepCopy()
		c.TypeMeta = metav1.TypeMeta{APIVersion: "contract.planecheck.dev/v1", Kind: "Widget"}
		b, _ := json.Marshal(c)
		return b
	}
	raw, _ := o.Marshal()
	return wire.Wrap("v1", "ConfigMap", raw)
}

func contentType(resource string) string {
	if resource == "widgets" {
		return jsonType
	}
	return protobufType
}

func (u *upstream) show(q *call, status int, o *thing) *answer {
	return &answer{status: status, header: http.Header{"Content-Type": {contentType(q.resource)}}, body: encode(q.resource, o)}
}

func (u *upstream) list(q *call) *answer {
	rev, after := u.revision(), ""
	switch asked := q.asked(); {
	case asked == forNothing:
		return refusal(q, 422, metav1.StatusReasonInvalid, "illegal options")
	case asked == forPage:
		p, _ := readToken(q.query.Get("continue"))
		if after = p.Start; p.Revision > 0 {
			rev = p.Revision
		}
	case number(q.resourceVersion) > rev:
		return tooLarge(q)
	case asked == forExact:
		rev = number(q.resourceVersion)
	}
	limit, _ := strconv.Atoi(q.query.Get("limit"))
	state, meta := u.states[rev], metav1.ListMeta{ResourceVersion: text(rev)}
	var items []thing
	for _, key := range slices.Sorted(maps.Keys(state)) {
		if !strings.HasPrefix(key, q.resource+"/") || key <= after {
			continue
		}
		if limit > 0 && len(items) == limit {
			meta.Continue = place{"meta.k8s.io/v1", rev, q.resource + "/" + items[limit-1].Name}.token()
			break
		}
		items = append(items, *state[key])
	}
	return &answer{status: 200, header: http.Header{"Content-Type": {contentType(q.resource)}}, body: encodeList(q.resource, meta, items)}
}

func encodeList(resource string, meta metav1.ListMeta, items []thing) []byte {
	if resource != "widgets" {
		l := corev1.ConfigMapList{ListMeta: meta, Items: items}
		raw, _ := l.Marshal()
		return wire.Wrap("v1", "ConfigMapList", raw)
	}
	var raws []json.RawMessage
	for i := range items {
		raws = append(raws, encode(resource, &items[i]))
	}
	b, _ := json.Marshal(map[string]any{
		"apiVersion": "contract.planecheck.dev/v1", "kind": "WidgetList", "metadata": meta, "items": raws,
	})
	return b
}

// stream serves a watch, until the client or the test ends it.
func (u *upstream) stream(w http.ResponseWriter, r *http.Request, q *call) {
	u.opened(1)
	defer u.opened(-1)
	t := contentType(q.resource)
	if t == protobufType {
		t += ";stream=watch"
	}
	w.Header().Set("Content-Type", t)
	send := func(typ string, o *thing) {
		_, _ = w.Write(frame(q.resource, typ, encode(q.resource, o)))
		w.(http.Flusher).Flush()
	}
	w.WriteHeader(http.StatusOK)
	w.(http.Flusher).Flush()
	u.mu.Lock()
	from := number(q.resourceVersion)
	if q.wantsState() {
		from = u.revision()
		state := u.states[from]
		for _, key := range slices.Sorted(maps.Keys(state)) {
			if strings.HasPrefix(key, q.resource+"/") {
				send("ADDED", state[key])
			}
		}
		if q.query.Get("allowWatchBookmarks") == "true" {
			send("BOOKMARK", &thing{ObjectMeta: metav1.ObjectMeta{
				ResourceVersion: text(from), Annotations: map[string]string{metav1.InitialEventsAnnotationKey: "true"}}})
		}
	}
	u.mu.Unlock()
	for last := false; !last; {
		u.mu.Lock()
		news, changed := u.log[min(int(from), len(u.log)):], u.changed
		u.mu.Unlock()
		for _, e := range news {
			from = e.revision
			if strings.HasPrefix(e.key, q.resource+"/") {
				send(e.event())
			}
		}
		select {
		case <-changed:
		case <-r.Context().Done():
			return
		case <-u.wait:
			last = from == u.newest()
		}
	}
}

// frame is an event, written otherwise than the proxy would: with a field that it
// does not know, or with the names in another order.
func frame(resource, typ string, object []byte) []byte {
	if resource == "widgets" {
		return fmt.Appendf(nil, "{\"type\":%q, \"object\":%s}\n", typ, object)
	}
	b := appendField(nil, 99, []byte("unknown"))
	b = appendField(b, 1, []byte(typ))
	b = appendField(b, 2, appendField(nil, 1, object))
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...)
}

func (e logged) event() (string, *thing) {
	switch {
	case e.prev == nil:
		return "ADDED", e.now
	case e.now != nil:
		return "MODIFIED", e.now
	}
	gone := e.prev.DeepCopy()
	gone.ResourceVersion = text(e.revision)
	return "DELETED", gone
}
