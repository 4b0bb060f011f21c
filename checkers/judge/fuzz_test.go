package judge

import (
	"testing"

	"github.com/planecheck/planecheck/checkers/history"
)

// FuzzDirectory judges both histories of a run, of which one record is wrong: no
// checker may panic, hang, or leave out a verdict that it gives where nothing is.
func FuzzDirectory(f *testing.F) {
	for what := range uint8(spoils) {
		f.Add(uint16(what)*37, what, int64(what)-9)
	}
	f.Add(uint16(7), uint8(4), int64(-1)<<62)
	f.Add(uint16(90), uint8(12), int64(1)<<62)
	names := func(t *testing.T, dir string) map[string]int {
		given := map[string]int{}
		for _, v := range mustJudge(t, dir, Options{}).Verdicts {
			given[Claim(v.Area, v.Guarantee)]++
		}
		return given
	}
	f.Fuzz(func(t *testing.T, at uint16, what uint8, by int64) {
		p := newPlane(uint64(at%4)+1, 200)
		right := names(t, newPlane(uint64(at%4)+1, 200).whole(t))
		p.spoil(int(at), int(what)%spoils, by)
		given := names(t, p.whole(t))
		for name := range right {
			if given[name] != 1 {
				t.Errorf("%d verdicts on %s", given[name], name)
			}
		}
	})
}

// spoils is how many ways there are to spoil a record.
const spoils = 18

func (p *plane) spoil(at, what int, by int64) {
	call, m, v := p.calls[at%len(p.calls)], p.messages[at%len(p.messages)], p.versions[at%len(p.versions)]
	op, w := p.store.Ops[at%len(p.store.Ops)], p.store.Watches[at%len(p.store.Watches)]
	late := history.Time(by)
	for k, change := range []func(){
		func() { call.Called += late },
		func() { call.Returned += late },
		func() { call.ListVersion += by },
		func() { call.Items = nil },
		func() { call.Object.Version += by },
		func() { call.Status, call.Reason = 410, "Expired" },
		func() { call.ID = uint64(by) },
		func() { call.Limit, call.NextPage = by, uint64(by) },
		func() { m.At += late },
		func() { m.Call = uint64(by) },
		func() { m.Object.Version += by },
		func() { v.Revision += by },
		func() { v.Unread, v.Fields = true, nil },
		func() { v.UID = "" },
		func() { v.Delete = !v.Delete },
		func() { op.Header += by },
		func() { op.Called += late },
		func() { w.Events = nil },
	} {
		if k == what {
			change()
		}
	}
}
