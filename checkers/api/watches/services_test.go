package watches

import (
	"strings"
	"testing"
	"time"

	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/checkers/history"
)

// A kube-proxy leaves headless Services out: what it is shown of the others is judged,
// unless the history left their addresses out.
func TestServicesWithAddresses(t *testing.T) {
	f := func(want checkers.Outcome, not string, fields []history.Pair, shown ...int64) {
		t.Helper()
		w := newWorld(1)
		w.write("services", "ns", "a", &history.Version{Kind: "Service", Fields: fields})
		story := &tale{call: &history.APICall{
			ID: 1, Server: "a/1", Verb: "watch", Resource: "services", ResourceVersion: "1", Status: 200,
			Called: w.clock + ms, Returned: w.clock + 2*ms,
			LabelSelector: "!service.kubernetes.io/service-proxy-name", FieldSelector: "spec.clusterIP!=None",
		}}
		story.add(&history.APIWatch{Type: history.APIWatchOpen}, w.clock+2*ms)
		for _, rev := range shown {
			story.add(event("ADDED", w.commit(rev).now, rev), w.clock+3*ms)
		}
		story.add(&history.APIWatch{Type: history.APIWatchClosed, Error: history.ClosedByClient}, w.clock+3000*ms)
		c := New(Options{Versions: w.table(), Window: w.window(), Calm: 1, Bound: time.Second, Floors: Floors{Events: -1}})
		v := feed(c, []*tale{story})[Delivered]
		if v.Outcome != want || strings.Contains(v.Checked, "not judged") != (not != "") || !strings.Contains(v.Checked, not) {
			t.Errorf("%v, shown %v: %s (%s), want %s", fields, shown, v, v.Checked, want)
		}
	}
	kind := history.Pair{Name: "spec.type", Value: "ClusterIP"}
	address, headless := history.Pair{Name: "spec.clusterIP", Value: "10.96.0.1"}, history.Pair{Name: "spec.clusterIP", Value: "None"}
	f(checkers.Pass, "", []history.Pair{kind, address}, 2)
	f(checkers.Fail, "", []history.Pair{kind, address})
	f(checkers.Pass, "", []history.Pair{kind, headless})
	f(checkers.Pass, "1 of services of which a version could not be read, or is without what selects it", []history.Pair{kind})
}

// Of a resource of which nothing was ever stored, a watch shows nothing.
func TestNothingStored(t *testing.T) {
	w := small()
	f := func(resource, group, version string, want map[string]bool, shown ...*history.APIWatch) {
		t.Helper()
		story := w.watching(8, version, "", shown...)
		story.call.Resource, story.call.Group, story.call.LabelSelector = resource, group, ""
		for name, v := range judgeTales(w, []*tale{story}) {
			if failed := v.Outcome == checkers.Fail; failed != want[name] {
				t.Errorf("%s from %q: %s (%s)", resource, version, v, v.Checked)
			}
		}
	}
	f("secrets", "", "", nil)
	f("secrets", "", "8", nil)
	f("secrets", "", "", map[string]bool{InitialState: true}, w.on("ADDED", 8, 8))
	f("secrets", "", "6", map[string]bool{Delivered: true}, w.on("ADDED", 8, 8))
	f("deployments", "apps", "6", map[string]bool{Delivered: true}, w.on("DELETED", 8, 8))
	f("pods", "metrics.k8s.io", "6", nil, w.on("ADDED", 8, 8)) // another server's
}
