package lies

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/planecheck/planecheck/apiserver/client"
	"github.com/planecheck/planecheck/checkers/history"
)

// patience bounds every wait of these tests. Nothing waits that long unless a
// test fails.
const patience = time.Minute

const namespace = "contract-0"

// rig is a client before a proxy before an upstream, for one resource.
type rig struct {
	testing.TB
	up       *upstream
	proxy    *Proxy
	layer    *client.Layer
	client   *client.Client
	resource client.Resource
}

func newRig(t testing.TB, lie Lie, plural string) *rig {
	t.Helper()
	return newRigBefore(t, newUpstream(t), lie, plural)
}

// newRigBefore is one more client, with a proxy of its own, of an upstream.
func newRigBefore(t testing.TB, up *upstream, lie Lie, plural string) *rig {
	t.Helper()
	r := &rig{TB: t, up: up, resource: client.Resource{Version: "v1", Plural: plural}}
	if plural == "widgets" {
		r.resource.Group = "contract.planecheck.dev"
	}
	var err error
	if r.proxy, err = New(Config{Upstream: r.up.addr(), UpstreamCA: r.up.ca, Lie: lie, Seed: 1}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.proxy.Close(); err != nil {
			t.Error(err)
		}
	})
	if r.layer, err = client.New(client.Config{Servers: []string{r.proxy.Addr()}, CA: r.proxy.CA()}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.layer.Close)
	r.client = r.layer.Client(client.Identity{User: "tester", Token: "secret"})
	return r
}

func (r *rig) context() context.Context {
	ctx, cancel := context.WithTimeout(r.Context(), patience)
	r.Cleanup(cancel)
	return ctx
}

func (r *rig) accept() string {
	if r.resource.Plural == "widgets" {
		return jsonType
	}
	return ""
}

// do sends a request; options are name=value. The answer may be an error.
func (r *rig) do(verb, name string, body []byte, options ...string) *answer {
	r.Helper()
	q := &client.Request{Verb: verb, Resource: r.resource, Namespace: namespace, Name: name, Query: values(options), Body: body, Accept: r.accept()}
	switch {
	case verb == "patch":
		q.ContentType = "application/merge-patch+json"
	case len(body) > 0 && body[0] == '{':
		q.ContentType = jsonType
	}
	resp, err := r.client.Do(r.context(), q)
	if resp == nil {
		r.Fatal(err)
		return nil
	}
	kind := protobufType
	if len(resp.Body) > 0 && resp.Body[0] == '{' {
		kind = jsonType
	}
	return &answer{status: resp.Status, header: map[string][]string{"Content-Type": {kind}}, body: resp.Body}
}

func values(options []string) url.Values {
	q := url.Values{}
	for _, o := range options {
		name, value, _ := strings.Cut(o, "=")
		q.Set(name, value)
	}
	return q
}

// put commits an object in the upstream, past the proxy, and returns the
// revision, which is also its data.
func (r *rig) put(name string, marks ...string) int64 {
	r.up.mu.Lock()
	defer r.up.mu.Unlock()
	key := r.resource.Plural + "/" + name
	uid := types.UID("uid-" + name)
	if now := r.up.states[r.up.revision()][key]; now != nil {
		uid = now.UID
	}
	return r.up.commit(key, r.thing(name, uid, "", text(r.up.revision()+1), marks...))
}

// paint puts an object of a color.
func (r *rig) paint(name, color string) int64 {
	r.up.mu.Lock()
	defer r.up.mu.Unlock()
	o := r.thing(name, types.UID("uid-"+name), "", text(r.up.revision()+1))
	o.Labels = map[string]string{"part": "test", "color": color}
	return r.up.commit(r.resource.Plural+"/"+name, o)
}

func (r *rig) remove(name string) int64 {
	r.up.mu.Lock()
	defer r.up.mu.Unlock()
	return r.up.commit(r.resource.Plural+"/"+name, nil)
}

func (r *rig) thing(name string, uid types.UID, version, data string, marks ...string) *thing {
	o := &thing{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, UID: uid, ResourceVersion: version,
		Annotations: map[string]string{"other": "annotation"}}, Data: map[string]string{"value": data}}
	if len(marks) == 0 {
		marks = []string{"c00=" + data}
	}
	for _, m := range marks {
		k, v, _ := strings.Cut(m, "=")
		o.Annotations[history.MarkPrefix+k] = v
	}
	return o
}

// body is an object as it is sent.
func (r *rig) body(name, version, data string, marks ...string) []byte {
	return encode(r.resource.Plural, r.thing(name, "", version, data, marks...))
}

// now is an object as it is in the upstream.
func (r *rig) now(name string) *thing {
	return r.up.at(r.resource.Plural+"/"+name, r.up.newest())
}

// settle lets so many answers pass that everything before is long ago.
func (r *rig) settle() {
	for range settled {
		r.do("get", "absent", nil, "resourceVersion=0")
	}
}

// shown is the object of an answer.
func (r *rig) shown(a *answer) *thing {
	r.Helper()
	if o, ok := a.object(); !ok || a.status/100 != 2 || o.json != (r.resource.Plural == "widgets") {
		r.Fatalf("answered %d %q, want an object", a.status, a.body)
	}
	return decode(a.body)
}

// listed is the answer to a list.
func (r *rig) listed(a *answer) (version int64, names []string, next string) {
	r.Helper()
	l, ok := a.list()
	if !ok {
		r.Fatalf("answered %d %q, want a list", a.status, a.body)
	}
	for _, o := range l.items {
		m, _ := o.meta()
		names = append(names, m.Name)
	}
	return l.version(), names, l.meta.Continue
}

func (r *rig) wantList(a *answer, want ...string) {
	r.Helper()
	if _, names, _ := r.listed(a); !slices.Equal(names, want) {
		r.Errorf("listed %q, want %q", names, want)
	}
}

// wantStatus wants an error with a code and a reason.
func (r *rig) wantStatus(a *answer, code int, reason metav1.StatusReason) *metav1.Status {
	r.Helper()
	s, asJSON, ok := a.statusOf()
	if !ok || a.status != code || int(s.Code) != code || s.Reason != reason {
		r.Fatalf("answered %d %+v, want %d %s", a.status, s, code, reason)
	}
	if want := r.resource.Plural == "widgets"; asJSON != want {
		r.Errorf("the Status is in JSON: %v, want %v", asJSON, want)
	}
	return s
}

func want[T comparable](r *rig, what string, got, want T) {
	r.Helper()
	if got != want {
		r.Errorf("%s is %v, want %v", what, got, want)
	}
}

func (r *rig) watch(options ...string) (*client.Watch, error) {
	w, err := r.client.Watch(r.context(), &client.Request{Resource: r.resource, Namespace: namespace, Query: values(options), Accept: r.accept()})
	if err == nil {
		r.Cleanup(func() { w.Close() })
	}
	return w, err
}

// read reads n events: type, resourceVersion after base, data.
func (r *rig) read(w *client.Watch, n int, base int64) string {
	r.Helper()
	var told []string
	for range n {
		e, err := w.Next()
		if err != nil {
			r.Fatalf("after %q: %v", told, err)
		}
		o := decode(e.Object)
		told = append(told, fmt.Sprintf("%s%d:%s", e.Type[:1], number(o.ResourceVersion)-base, relative(o.Data["value"], base)))
	}
	return strings.Join(told, " ")
}

func relative(data string, base int64) string {
	if data == "" {
		return ""
	}
	return text(number(data) - base)
}

// options of a delete with preconditions.
func deleteOptions(uid, version string) []byte {
	o := metav1.DeleteOptions{TypeMeta: metav1.TypeMeta{APIVersion: "meta.k8s.io/v1", Kind: "DeleteOptions"}, Preconditions: &metav1.Preconditions{}}
	if uid != "" {
		o.Preconditions.UID = new(types.UID(uid))
	}
	if version != "" {
		o.Preconditions.ResourceVersion = &version
	}
	b, _ := json.Marshal(o)
	return b
}
