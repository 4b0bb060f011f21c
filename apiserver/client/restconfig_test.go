package client_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/planecheck/planecheck/apiserver/client"
	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/history/wire"
)

// TestRESTConfig sends with client-go and looks at the records.
func TestRESTConfig(t *testing.T) {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p", Namespace: "ns"}}
	raw, err := pod.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	object := wire.Wrap("v1", "Pod", raw)
	end := make(chan struct{})
	a := newAuthority(t)
	s := a.serve(t, 0, 100, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/vnd.kubernetes.protobuf")
		switch {
		case r.Header.Get("Authorization") != "Bearer secret":
			w.WriteHeader(http.StatusUnauthorized)
		case r.URL.Query().Has("watch"):
			stream(w, r, end, frame("ADDED", object))
		case strings.HasSuffix(r.URL.Path, "/missing"):
			w.WriteHeader(http.StatusNotFound)
			w.Write(status(404, "NotFound", "no such pod", 0))
		default:
			w.Write(object)
		}
	})
	l, j := a.layer(t, 0, s)
	set, err := kubernetes.NewForConfig(l.Client(client.Identity{User: "op", Class: history.ClassController, Token: "secret"}).RESTConfig())
	if err != nil {
		t.Fatal(err)
	}
	ctx := bounded(t)
	if got, err := set.CoreV1().Pods("ns").Get(ctx, "p", metav1.GetOptions{}); err != nil || got.Name != "p" {
		t.Errorf("got %v, %v", got, err)
	}
	if _, err := set.CoreV1().Pods("ns").Get(ctx, "missing", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("error %v", err)
	}
	sent, err := set.CoreV1().Pods("ns").UpdateStatus(ctx, pod, metav1.UpdateOptions{})
	if err != nil || sent.Name != "p" {
		t.Errorf("got %v, %v", sent, err)
	}
	w, err := set.CoreV1().Pods("").Watch(ctx, metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if e := <-w.ResultChan(); e.Type != "ADDED" || e.Object.(*corev1.Pod).Name != "p" {
		t.Errorf("event %+v", e)
	}
	close(end)
	if e, open := <-w.ResultChan(); open {
		t.Errorf("event %+v", e)
	}

	base := history.Request{
		Class: history.ClassController, Identity: "op", Version: "v1", Resource: "pods", Namespace: "ns",
		Status: 200, Server: "kube-apiserver-0/000000ab", ResponseBytes: len(object), Opaque: true,
	}
	get, missing, update, watch := base, base, base, base
	get.Verb, get.Name = "get", "p"
	missing.Verb, missing.Name, missing.Status, missing.Reason = "get", "missing", 404, "NotFound"
	missing.ResponseBytes = len(status(404, "NotFound", "no such pod", 0))
	update.Verb, update.Name, update.Subresource = "update", "p", "status"
	update.RequestBytes = len(object) + 4 // client-go writes the envelope's two empty fields, too
	watch.Verb, watch.Namespace, watch.ResponseBytes = "watch", "", 0
	requests, events := j.all()
	if d := cmp.Diff([]history.Request{get, missing, update, watch}, requests, requestTimes, lentRequest); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
	wantEnd := []history.WatchEvent{{
		Class: history.ClassController, Identity: "op", Resource: "pods", Bytes: len(frame("ADDED", object)),
	}}
	if d := cmp.Diff(wantEnd, events, lentEvent); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

// TestRESTConfigTransport takes the transport for what net/http demands of one:
// the request stays as it was, and its body is closed however it ends.
func TestRESTConfigTransport(t *testing.T) {
	a := newAuthority(t)
	s := a.serve(t, 0, 100, func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		if r.URL.Path == "/version" {
			io.WriteString(w, "half")
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}
	})
	l, j := a.layer(t, 0, s)
	config := l.Client(client.Identity{User: "u", Token: "secret"}).RESTConfig()
	send := func(ctx context.Context, path string) (*http.Response, error) {
		t.Helper()
		b := &closed{Reader: strings.NewReader("body")}
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, config.Host+path, b)
		if err != nil {
			t.Fatal(err)
		}
		res, err := config.Transport.RoundTrip(req)
		if len(req.Header) != 0 || req.URL.Path != path {
			t.Errorf("the request was changed: %v %v", req.URL, req.Header)
		}
		eventually(t, "the body to be closed", b.yes.Load)
		return res, err
	}
	res, err := send(bounded(t), "/version")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(res.Body); err == nil {
		t.Error("half an answer passed for a whole one")
	}
	res.Body.Close()
	l.Close()
	if _, err := send(bounded(t), "/api/v1/nodes"); err == nil {
		t.Error("a closed layer sent a request")
	}
	requests, _ := j.all()
	if len(requests) != 2 || requests[0].Verb != "post" || requests[0].Status != 0 || requests[0].Err == "" ||
		requests[1].Verb != "create" || requests[1].Resource != "nodes" || requests[1].Err == "" {
		t.Errorf("records %+v", requests)
	}
}
