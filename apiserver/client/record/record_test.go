package record

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/history/object"
	"github.com/planecheck/planecheck/checkers/history/wire"
)

type sink struct {
	calls   []history.APICall
	watches []history.APIWatch
}

func (s *sink) APICall(c *history.APICall)   { s.calls = append(s.calls, *c) }
func (s *sink) APIWatch(w *history.APIWatch) { s.watches = append(s.watches, *w) }

type message interface{ Marshal() ([]byte, error) }

func encode(t testing.TB, kind string, m message) []byte {
	t.Helper()
	raw, err := m.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return wire.Wrap("v1", kind, raw)
}

func configMap(name, version string) *corev1.ConfigMap {
	return &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name, UID: types.UID("uid-" + name), ResourceVersion: version},
		Data:       map[string]string{"k": "v"},
	}
}

// recorded is the one record of an attempt.
func recorded(t testing.TB, r history.Request) history.APICall {
	t.Helper()
	s := &sink{}
	New(s).Request(&r)
	if len(s.calls) != 1 {
		t.Fatalf("%d records", len(s.calls))
	}
	return s.calls[0]
}

func request(verb string) history.Request {
	return history.Request{
		ID: 7, Class: history.ClassContract, Identity: "u", Server: "kube-apiserver-0/1", Called: 10, Returned: 20,
		Verb: verb, Version: "v1", Resource: "configmaps", Namespace: "ns", Status: 200,
	}
}

func TestGet(t *testing.T) {
	body := encode(t, "ConfigMap", configMap("a", "42"))
	r := request("get")
	r.Name, r.Query, r.Answer, r.ResponseBytes = "a", url.Values{"resourceVersion": {"0"}}, body, len(body)
	shown, err := object.Served(body)
	if err != nil || shown.Version != 42 || shown.UID != "uid-a" || shown.Content == 0 {
		t.Fatalf("served object %+v, %v", shown, err)
	}
	want := history.APICall{
		ID: 7, Class: history.ClassContract, Identity: "u", Server: "kube-apiserver-0/1", Called: 10, Returned: 20,
		Verb: "get", Version: "v1", Resource: "configmaps", Namespace: "ns", Name: "a", ResourceVersion: "0",
		Status: 200, Object: shown, Bytes: int64(len(body)),
	}
	if d := cmp.Diff(want, recorded(t, r)); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

func TestListInOnePieceAndInChunks(t *testing.T) {
	list := &corev1.ConfigMapList{ListMeta: metav1.ListMeta{ResourceVersion: "99", Continue: "next"}}
	for i := range history.MaxListed + 1 {
		list.Items = append(list.Items, *configMap(fmt.Sprintf("c%03d", i), fmt.Sprint(i+1)))
	}
	r := request("list")
	r.Query = url.Values{
		"limit": {"65"}, "continue": {"token"}, "labelSelector": {"a=b"}, "fieldSelector": {"metadata.name!=x"},
		"resourceVersion": {"99"}, "resourceVersionMatch": {"Exact"},
	}
	r.Answer = encode(t, "ConfigMapList", list)
	c := recorded(t, r)
	if c.ListVersion != 99 || c.NextPage != token("next") || c.Continue != token("token") || c.Limit != 65 ||
		c.LabelSelector != "a=b" || c.FieldSelector != "metadata.name!=x" || c.Match != "Exact" {
		t.Errorf("got %+v", c)
	}
	if len(c.Items) != 0 || len(c.Chunks) != 2 || c.Chunks[0].Count != history.MaxListed || c.Chunks[1].First != "ns/c064" {
		t.Errorf("%d items, chunks %+v", len(c.Items), c.Chunks)
	}
	list.Items = list.Items[:2]
	r.Answer = encode(t, "ConfigMapList", list)
	if c = recorded(t, r); len(c.Items) != 2 || len(c.Chunks) != 0 || c.Items[1].Name != "c001" {
		t.Errorf("items %+v, %d chunks", c.Items, len(c.Chunks))
	}
}

func TestWritesAndTheirPreconditions(t *testing.T) {
	grace := int64(0)
	uid, version := types.UID("u1"), "5"
	options := &metav1.DeleteOptions{
		GracePeriodSeconds: &grace, Preconditions: &metav1.Preconditions{UID: &uid, ResourceVersion: &version}, DryRun: []string{"All"},
	}
	asJSON, err := json.Marshal(options)
	if err != nil {
		t.Fatal(err)
	}
	unnamed := configMap("", "")
	unnamed.GenerateName = "x-"
	f := func(what string, r history.Request, want func(*history.APICall)) {
		t.Helper()
		got := recorded(t, r)
		expected := recorded(t, request(r.Verb))
		expected.ContentType = r.ContentType
		want(&expected)
		if d := cmp.Diff(expected, got); d != "" {
			t.Errorf("%s: -want +got:\n%s", what, d)
		}
	}
	with := func(verb string, body []byte) history.Request {
		r := request(verb)
		r.Sent = body
		return r
	}
	f("update", with("update", encode(t, "ConfigMap", configMap("a", "42"))), func(c *history.APICall) {
		c.Name, c.NeedUID, c.NeedVersion = "a", "uid-a", "42"
	})
	f("create", with("create", encode(t, "ConfigMap", configMap("a", ""))), func(c *history.APICall) { c.Name = "a" })
	f("create of a generated name", with("create", encode(t, "ConfigMap", unnamed)), func(c *history.APICall) { c.GenerateName = true })
	conditional := func(c *history.APICall) { c.Grace, c.NeedUID, c.NeedVersion, c.DryRun = 1, "u1", "5", true }
	f("delete in protobuf", with("delete", encode(t, "DeleteOptions", options)), conditional)
	f("delete in JSON", with("delete", asJSON), conditional)
	merge := with("patch", []byte(`{"metadata":{"uid":"u1","resourceVersion":"5"},"data":{"k":"w"}}`))
	merge.ContentType = "application/merge-patch+json"
	f("patch", merge, func(c *history.APICall) { c.NeedUID, c.NeedVersion = "u1", "5" })
	f("JSON patch", with("patch", []byte(`[{"op":"remove","path":"/data"}]`)), func(*history.APICall) {})

	marked := request("update")
	marked.Marks = &history.Marks{Sets: []history.Pair{{Name: "c", Value: "1"}}, Removes: []string{"d"}}
	f("marks", marked, func(c *history.APICall) {
		c.Declared, c.Sets, c.Removes = true, []history.Pair{{Name: "c", Value: "1"}}, []string{"d"}
	})
}

func TestFailures(t *testing.T) {
	status := &metav1.Status{
		ListMeta: metav1.ListMeta{Continue: "again"}, Status: "Failure", Message: strings.Repeat("long ", 100),
		Reason: metav1.StatusReasonExpired, Code: 410,
		Details: &metav1.StatusDetails{Name: "n", Kind: "configmaps", UID: "u9", Causes: []metav1.StatusCause{{Type: "ResourceVersionTooLarge"}}},
	}
	r := request("list")
	r.Status, r.Reason, r.Answer = 410, "Expired", encode(t, "Status", status)
	c := recorded(t, r)
	if c.NextPage != token("again") || c.Cause != "ResourceVersionTooLarge" || c.DetailsName != "n" ||
		c.DetailsKind != "configmaps" || c.DetailsUID != "u9" || len(c.Message) != maxMessage || c.Opaque {
		t.Errorf("got %+v", c)
	}
	r.Status, r.Answer = 429, []byte("Too many requests")
	if c := recorded(t, r); c.Message != "Too many requests" || c.Opaque {
		t.Errorf("got %+v", c)
	}
}

// An answer of success that cannot be read says so, and is not one that client-go
// read.
func TestUnreadable(t *testing.T) {
	whole := encode(t, "ConfigMap", configMap("a", "42"))
	f := func(verb string, status int, answer []byte, unread bool) {
		t.Helper()
		r := request(verb)
		r.Status, r.Answer = status, answer
		if c := recorded(t, r); (c.Error != "") != unread || c.Opaque || unread && (c.Object.UID != "" || c.ListVersion != 0) || len(c.Error) > maxMessage {
			t.Errorf("%s %d %q: %+v", verb, status, answer, c)
		}
	}
	for _, verb := range []string{"get", "list", "create", "update", "patch", "delete", "deletecollection"} {
		f(verb, 200, []byte("no object"), true)
		f(verb, 200, []byte(`{"kind":`), true)
		f(verb, 200, whole[:len(whole)/2], true)
		f(verb, 200, []byte{}, true)
		f(verb, 429, []byte("Too many requests"), false)
		f(verb, 503, nil, false)
		f(verb, 200, encode(t, "Status", &metav1.Status{Status: "Success"}), false)
	}
	f("get", 200, whole, false)
	f("get", 200, encode(t, "ConfigMapList", &corev1.ConfigMapList{}), true)
	f("list", 200, whole, true)
	f("watch", 200, nil, false)
	f("get", 0, nil, false)
	r := request("get")
	r.Opaque, r.Answer = true, nil
	if c := recorded(t, r); c.Error != "" || !c.Opaque {
		t.Errorf("what client-go read: %+v", c)
	}
}

func TestWatch(t *testing.T) {
	s := &sink{}
	rec := New(s)
	open := request("watch")
	open.Name = "a"
	rec.Request(&open)
	refused := request("watch")
	refused.Status = 410
	rec.Request(&refused)
	bookmark := configMap("", "50")
	bookmark.Annotations = map[string]string{metav1.InitialEventsAnnotationKey: "true"}
	for _, e := range []history.WatchEvent{
		{Type: "ADDED", Object: encode(t, "ConfigMap", configMap("a", "42"))},
		{Type: "BOOKMARK", Object: encode(t, "ConfigMap", bookmark)},
		{Type: "ERROR", Object: encode(t, "Status", &metav1.Status{Code: 410, Reason: "Expired"})},
		{End: history.ClosedByClient},
	} {
		e.Request, e.Arrived = 7, 30
		rec.WatchEvent(&e)
	}
	if len(s.calls) != 2 || s.calls[0].FieldSelector != "metadata.name=a" {
		t.Errorf("calls %+v", s.calls)
	}
	if len(s.watches) != 5 {
		t.Fatalf("%d messages: %+v", len(s.watches), s.watches)
	}
	if w := s.watches[0]; w.Type != history.APIWatchOpen || w.Call != 7 || w.At != 20 {
		t.Errorf("open: %+v", w)
	}
	if w := s.watches[1]; w.Type != "ADDED" || w.At != 30 || w.Object.Version != 42 || w.Object.Content == 0 {
		t.Errorf("event: %+v", w)
	}
	if w := s.watches[2]; !w.InitialEnd || w.Object.Version != 50 {
		t.Errorf("bookmark: %+v", w)
	}
	if w := s.watches[3]; w.Status != 410 || w.Reason != "Expired" {
		t.Errorf("error: %+v", w)
	}
	if w := s.watches[4]; w.Type != history.APIWatchClosed || w.Error != history.ClosedByClient {
		t.Errorf("end: %+v", w)
	}
}

// Nothing of a request or an answer is kept, and no bytes make it panic.
func FuzzRecord(f *testing.F) {
	f.Add("update", encode(f, "ConfigMap", configMap("a", "1")), encode(f, "ConfigMap", configMap("a", "2")))
	f.Add("list", []byte(nil), encode(f, "ConfigMapList", &corev1.ConfigMapList{Items: []corev1.ConfigMap{*configMap("a", "1")}}))
	f.Add("delete", []byte(`{"preconditions":{"uid":"u"}}`), []byte(`{"kind":"Status","details":{"uid":"u"}}`))
	f.Add("patch", []byte(`{"metadata":{"uid":1}}`), []byte("k8s\x00"))
	f.Fuzz(func(t *testing.T, verb string, sent, answer []byte) {
		r := request(verb)
		r.Sent, r.Answer = append([]byte(nil), sent...), append([]byte(nil), answer...)
		s := &sink{}
		rec := New(s)
		rec.Request(&r)
		rec.WatchEvent(&history.WatchEvent{Type: "ADDED", Object: r.Answer})
		before := fmt.Sprint(s.calls, s.watches)
		clear(r.Sent)
		clear(r.Answer)
		if fmt.Sprint(s.calls, s.watches) != before {
			t.Error("the record changed with the message")
		}
	})
}

func BenchmarkLease(b *testing.B) {
	object := encode(b, "ConfigMap", configMap("node-00042", "123456"))
	r := request("update")
	r.Sent, r.Answer, r.Name = object, object, "node-00042"
	rec := New(discard{})
	b.ReportAllocs()
	for b.Loop() {
		rec.Request(&r)
	}
}

type discard struct{}

func (discard) APICall(*history.APICall)   {}
func (discard) APIWatch(*history.APIWatch) {}
