package watches

import (
	"fmt"
	"runtime"
	"strconv"
	"testing"

	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/checkers/api/window"
	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/versions"
)

const (
	benchNodes  = 5000
	benchPods   = 125_000
	benchEvents = 4 * benchPods // bound, running, deleting, removed
)

// lifetimes makes the versions of pods in a random-looking but fixed order, with
// the messages of one watch per node; a bookmark follows every 16th event.
func lifetimes(pods int) (*versions.Table, *window.Window, []*history.APICall, []*history.APIWatch) {
	t, b := versions.New(), window.New()
	var messages []*history.APIWatch
	rev, now := int64(1), history.Time(1e9)
	previous := make([]history.Version, pods)
	for step := range 5 {
		for i := range pods {
			v := &previous[i]
			rev++
			now += 50_000
			node := fmt.Sprintf("node-%04d", i%benchNodes)
			v.Revision, v.Content = rev, uint64(rev)*0x9e3779b97f4a7c15
			kind, shown := "MODIFIED", *v
			switch step {
			case 0:
				name := fmt.Sprintf("web-%06d", i)
				*v = history.Version{
					Revision: rev, Content: v.Content, Key: "/registry/pods/default/" + name, Resource: "pods", Kind: "Pod",
					Namespace: "default", Name: name, UID: fmt.Sprintf("%036d", i),
				}
			case 1:
				kind, v.Fields = "ADDED", []history.Pair{{Name: "spec.nodeName", Value: node}}
			case 3:
				v.Deleting, shown.Deleting = true, true
			case 4:
				before := t.Kind("", "pods").At(v.Namespace, v.Name, rev)
				kind, shown = "DELETED", *before
				v = &history.Version{Revision: rev, Key: v.Key, Resource: "pods", Delete: true}
			}
			t.Add(v)
			b.StoreOp(&history.StoreOp{
				Method: history.MethodPut, Called: now - 40_000, Returned: now, Header: rev,
				Then: []history.StoreAction{{Kind: history.ActionPut}}, Results: []history.StoreResult{{}},
			})
			if step > 0 {
				m := event(kind, &shown, rev)
				m.Call, m.At = uint64(i%benchNodes+1), now+1_000_000
				messages = append(messages, m)
				if len(messages)%16 == 0 {
					messages = append(messages, &history.APIWatch{Call: m.Call, Type: "BOOKMARK", At: m.At, Object: history.APIObject{Version: rev}})
				}
			}
		}
	}
	t.Sealed(rev)
	var calls []*history.APICall
	for i := range benchNodes {
		calls = append(calls, &history.APICall{
			ID: uint64(i + 1), Server: "a/1", Verb: "watch", Resource: "pods", Status: 200, Called: 1, Returned: 2, Bookmarks: true,
			ResourceVersion: strconv.Itoa(1), FieldSelector: fmt.Sprintf("spec.nodeName=node-%04d", i),
		})
	}
	return t, b.Window(), calls, messages
}

// BenchmarkNodes judges the pod watches of 5,000 kubelets and half a million
// events, the building of the index included.
func BenchmarkNodes(b *testing.B) {
	table, win, calls, messages := lifetimes(benchPods)
	for b.Loop() {
		before := heap()
		c := New(Options{Versions: table, Window: win, Floors: Floors{Initial: -1, Ends: -1, Expired: -1, Future: -1}})
		for _, call := range calls {
			c.Call(call)
		}
		for _, m := range messages {
			c.Watch(m)
		}
		b.StopTimer()
		b.ReportMetric(float64(heap()-before)/float64(len(messages)), "B/event")
		b.StartTimer()
		for _, v := range c.Finish() {
			if v.Outcome != checkers.Pass {
				b.Fatal(v)
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(messages)), "ns/event")
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
