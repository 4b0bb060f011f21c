package scenarios

import (
	"testing"

	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/scenarios/faults"
)

// Only what the transport broke off counts as lost, with the server that it was of.
func TestLosses(t *testing.T) {
	const server, reset = "kube-apiserver-0", "read tcp 127.0.0.1:1->127.0.0.1:2: read: connection reset by peer"
	f := func(want faults.Loss, tell func(*losses)) {
		t.Helper()
		l := newLosses()
		tell(l)
		if got := l.of(server); got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
		if other := l.of("kube-apiserver-1"); other != (faults.Loss{}) {
			t.Errorf("the other one: %+v", other)
		}
		if len(l.open) > 0 {
			t.Errorf("watches that are over are kept: %v", l.open)
		}
	}
	request := func(verb string, status int, reason, err string) func(*losses) {
		return func(l *losses) {
			l.Request(&history.Request{ID: 1, Verb: verb, Server: server + "/1f3a", Status: status, Reason: reason, Err: err})
		}
	}
	f(faults.Loss{Requests: 1, Last: "connection reset by peer"}, request("get", 0, "", reset))
	f(faults.Loss{Requests: 1, Last: "unexpected EOF"}, request("watch", 0, "", "unexpected EOF"))
	f(faults.Loss{}, request("get", 0, "", "read response: context deadline exceeded"))
	f(faults.Loss{}, request("get", 200, "", ""))
	f(faults.Loss{}, request("get", 404, "NotFound", ""))
	f(faults.Loss{}, request("watch", 410, "Expired", ""))
	f(faults.Loss{}, func(l *losses) { l.Request(&history.Request{Verb: "get", Err: "connection refused"}) })
	watch := func(end string) func(*losses) {
		return func(l *losses) {
			request("watch", 200, "", "")(l)
			l.WatchEvent(&history.WatchEvent{Request: 1, Type: "ADDED"})
			l.WatchEvent(&history.WatchEvent{Request: 1, End: end})
			l.WatchEvent(&history.WatchEvent{Request: 2, End: end}) // of nobody that is known
		}
	}
	f(faults.Loss{Watches: 1, Last: "connection reset by peer"}, watch(reset))
	f(faults.Loss{}, watch(""))
	f(faults.Loss{}, watch(history.ClosedByClient))
}
