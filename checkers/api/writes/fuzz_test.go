package writes

import (
	"testing"

	"github.com/planecheck/planecheck/checkers/history"
)

// FuzzCall judges calls that no recorder makes, among those of a simulated
// store: whatever they hold, there is a verdict on every guarantee.
func FuzzCall(f *testing.F) {
	f.Add("update", "", "Conflict", "5", "u", int32(409), int64(3), int64(0), uint16(3), []byte("ab"))
	f.Add("delete", "status", "", "x", "", int32(200), int64(-1), int64(1)<<62, uint16(0), []byte{})
	f.Add("patch", "", "NotFound", "18446744073709551615", "", int32(404), int64(1)<<62, int64(-1), uint16(900), []byte("n"))
	f.Add("list", "", "Expired", "-1", "", int32(422), int64(0), int64(0), uint16(1), []byte("zz"))
	f.Fuzz(func(t *testing.T, verb, sub, reason, version, uid string, status int32, shown, at int64, which uint16, marks []byte) {
		s := simulate(1, 60)
		for i, call := range s.calls {
			if i%5 != int(which)%5 {
				continue
			}
			call.Verb, call.Subresource, call.Reason, call.Status = verb, sub, reason, status
			call.NeedVersion, call.NeedUID, call.ResourceVersion = version, uid, version
			call.Object.Version, call.Called, call.Returned = shown, call.Called+history.Time(at), history.Time(at)
			call.DryRun, call.GenerateName, call.Declared = which%2 == 0, which%3 == 0, which%7 != 0
			for _, m := range marks {
				call.Sets = append(call.Sets, history.Pair{Name: string(rune(m)), Value: version})
				call.Removes = append(call.Removes, string(rune(m)))
			}
		}
		if n := len(s.judge(noFloors)); n != len(guarantees) {
			t.Errorf("%d verdicts", n)
		}
	})
}
