package reads

import (
	"testing"

	"github.com/planecheck/planecheck/checkers/history"
)

// FuzzCall judges records that no recorder makes: whatever they hold, the
// checker comes to verdicts.
func FuzzCall(f *testing.F) {
	f.Add("list", "", "", "app=one", "", int32(200), int64(7), int64(0), uint64(0), uint64(1), int64(65), []byte("abcdef"))
	f.Add("list", "5", "Exact", "", "metadata.name=x", int32(410), int64(7), int64(1), uint64(1), uint64(2), int64(-1), []byte{})
	f.Add("get", "9223372036854775807", "", "((", "=", int32(504), int64(-1), int64(-1), uint64(2), uint64(2), int64(1)<<62, []byte("x"))
	f.Fuzz(func(t *testing.T, verb, rv, match, labels, fields string, status int32, version, limit int64, cont, next uint64, at int64, body []byte) {
		s := hand()
		s.table.Add(&history.Version{Revision: 8, Key: "/registry/pods/a/odd", Resource: "pods", Unread: true})
		c := New(Options{Versions: s.table, Window: s.window.Window()})
		a, b := s.pages(7)
		for i, call := range []*history.APICall{
			a, b, s.listAt(150, 160, "", 7), s.getAt(150, 160, "", "a/y", 7),
		} {
			call.Verb, call.ResourceVersion, call.Match, call.Status = verb, rv, match, status
			call.LabelSelector, call.FieldSelector, call.Limit = labels, fields, limit
			call.Continue, call.NextPage = cont+uint64(i), next+uint64(i)
			call.Called, call.Returned, call.ListVersion = history.Time(at), history.Time(at+version), version
			call.Object.Version, call.Cause = version, tooLarge
			for j, x := range body {
				call.Items = append(call.Items, history.APIObject{Namespace: string(body[:j]), Name: string(rune(x)), Version: int64(x)})
				call.Chunks = append(call.Chunks, history.APIChunk{First: string(body[j:]), Count: int64(x) - 2, Digest: uint64(x)})
			}
			if len(body)%2 == 0 {
				call.Chunks = nil
			}
			c.Call(call)
		}
		if n := len(c.Finish()); n != len(Guarantees()) {
			t.Errorf("%d verdicts", n)
		}
	})
}
