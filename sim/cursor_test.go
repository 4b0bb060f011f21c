package sim

import (
	"errors"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/planecheck/planecheck/apiserver/client"
	"github.com/planecheck/planecheck/checkers/history/wire"
)

var (
	errGone     = &client.StatusError{Code: http.StatusGone, Reason: "Expired"}
	errAhead    = &client.StatusError{Code: http.StatusGatewayTimeout, Message: "Timeout: Too large resource version: 9, current: 3"}
	errNoStream = &client.StatusError{Code: http.StatusUnprocessableEntity, Reason: "Invalid"}
	errBusy     = &client.StatusError{Code: http.StatusTooManyRequests, RetryAfter: 3 * time.Second}
	errCut      = errors.New("connection reset by peer")
)

func TestCursorRequests(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	f := func(what string, c cursor, want string) {
		t.Helper()
		q := url.Values{"fieldSelector": {"spec.nodeName=n"}, "sendInitialEvents": {"left over"}}
		c.query(q, 0.5)
		if d := cmp.Diff(want, q.Encode()); d != "" {
			t.Errorf("%s: %s", what, d)
		}
	}
	const stream = "allowWatchBookmarks=true&fieldSelector=spec.nodeName%3Dn&"
	f("first", cursor{}, stream+"resourceVersionMatch=NotOlderThan&sendInitialEvents=true&timeoutSeconds=450")

	var c cursor
	c.saw(99) // an initial event
	c.listed(7)
	f("after the list", c, stream+"resourceVersion=7&timeoutSeconds=450")
	c.saw(8)
	f("after an event", c, stream+"resourceVersion=8&timeoutSeconds=450")
	if wait := c.ended(time.Minute, 1, now, 0); wait != 0 {
		t.Errorf("a watch that lived is opened again after %v", wait)
	}
	f("after an end", c, stream+"resourceVersion=8&timeoutSeconds=450")
	c.refused(errCut, now, 0)
	f("after a failure", c, stream+"resourceVersion=8&timeoutSeconds=450")
	c.refused(errGone, now, 0)
	f("after 410", c, stream+"resourceVersion=8&resourceVersionMatch=NotOlderThan&sendInitialEvents=true&timeoutSeconds=450")
	c.refused(errGone, now, 0)
	f("after 410 to that", c, stream+"resourceVersionMatch=NotOlderThan&sendInitialEvents=true&timeoutSeconds=450")
	c.listed(20)
	f("after the new list", c, stream+"resourceVersion=20&timeoutSeconds=450")
	c.refused(errAhead, now, 0)
	c.refused(errAhead, now, 0)
	f("server far behind", c, stream+"resourceVersionMatch=NotOlderThan&sendInitialEvents=true&timeoutSeconds=450")

	cut := cursor{version: 5}
	cut.saw(99)
	cut.ended(time.Minute, 1, now, 0)
	f("list cut short", cut, stream+"resourceVersion=5&resourceVersionMatch=NotOlderThan&sendInitialEvents=true&timeoutSeconds=450")

	old := cursor{}
	old.refused(errNoStream, now, 0)
	f("server without streamed lists", old, "fieldSelector=spec.nodeName%3Dn&resourceVersion=0")
	old.listed(5)
	f("then", old, stream+"resourceVersion=5&timeoutSeconds=450")
	old.refused(errGone, now, 0)
	f("then 410", old, "fieldSelector=spec.nodeName%3Dn&resourceVersion=5")
	old.refused(errGone, now, 0)
	f("then 410 again", old, "fieldSelector=spec.nodeName%3Dn")
}

func TestCursorPauses(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	var c cursor
	var got []time.Duration
	for range 8 {
		got = append(got, c.refused(errCut, now, 0))
	}
	want := []time.Duration{800 * time.Millisecond, 1600 * time.Millisecond, 3200 * time.Millisecond,
		6400 * time.Millisecond, 12800 * time.Millisecond, 25600 * time.Millisecond, 30 * time.Second, 30 * time.Second}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	f := func(what string, got, want time.Duration) {
		t.Helper()
		if got != want {
			t.Errorf("%s: pause %v, want %v", what, got, want)
		}
	}
	f("jitter", c.refused(errCut, now, 0.5), 45*time.Second)
	f("two quiet minutes", c.refused(errCut, now.Add(121*time.Second), 0), 800*time.Millisecond)
	f("Retry-After", c.refused(errBusy, now.Add(121*time.Second), 0), 3*time.Second)
	c = cursor{}
	f("short watch", c.ended(time.Second/2, 0, now, 0), 800*time.Millisecond)
	f("short watch with an event", c.ended(time.Second/2, 1, now, 0), 0)
	c = cursor{complete: true, version: 3}
	f("first 410", c.refused(errGone, now, 0), 0)
	f("second 410", c.refused(errGone, now, 0), 0)
	f("third 410, to no version at all", c.refused(errGone, now, 0), 800*time.Millisecond)
}

// TestOnlyTheMarkedBookmarkEndsTheList feeds a watcher by hand.
func TestOnlyTheMarkedBookmarkEndsTheList(t *testing.T) {
	w := newWatcher(&Cluster{}, nil, podsResource, ignore{}, nil)
	bookmark := func(version string, annotations map[string]string) client.Event {
		o := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{ResourceVersion: version, Annotations: annotations}}
		return client.Event{Type: "BOOKMARK", Object: wire.Wrap("v1", "Pod", encode(t, o))}
	}
	take := func(e client.Event, want cursor) {
		t.Helper()
		if err := w.take(&e); err != nil || w.cursor != want {
			t.Errorf("cursor %+v, %v, want %+v", w.cursor, err, want)
		}
	}
	take(bookmark("7", nil), cursor{})
	take(bookmark("8", map[string]string{metav1.InitialEventsAnnotationKey: "true"}), cursor{version: 8, complete: true})
	take(bookmark("9", nil), cursor{version: 9, complete: true})
	for _, e := range []client.Event{
		bookmark("x", nil),
		{Type: "ADDED", Object: []byte("{}")},
		{Type: "ERROR", Object: wire.Wrap("v1", "Status", encode(t, &metav1.Status{Code: 410, Reason: "Expired"}))},
	} {
		if err := w.take(&e); err == nil || client.IsGone(err) != (e.Type == "ERROR") {
			t.Errorf("%s: %v", e.Type, err)
		}
	}
}
