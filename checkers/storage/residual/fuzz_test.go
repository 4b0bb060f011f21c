package residual_test

import (
	"testing"

	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/storage/residual"
)

// FuzzJudge falsifies a call of a history of which much is unknown. A search only
// ever decides what was open: it acquits nothing that is wrong without it.
func FuzzJudge(f *testing.F) {
	f.Add(uint64(1), uint16(3), uint8(0), int64(5))
	f.Add(uint64(4), uint16(11), uint8(2), int64(-1))
	f.Add(uint64(7), uint16(20), uint8(4), int64(1))
	search := residual.Judge(residual.Limits{})
	f.Fuzz(func(t *testing.T, seed uint64, at uint16, what uint8, by int64) {
		h := drawn(seed).Clone()
		op := h.Ops[int(at)%len(h.Ops)]
		switch what % 5 {
		case 0:
			op.Header += by
		case 1:
			op.Returned += history.Time(by)
		case 2:
			op.Results = nil
		case 3:
			op.Error.Kind = history.ErrorUnknown
		case 4:
			op.Succeeded = !op.Succeeded
		}
		without, with := judge(nil, h).outcome(), judge(search, h).outcome()
		if without == checkers.Fail && with != checkers.Fail {
			t.Errorf("%s without a search, %s with one", without, with)
		}
	})
}
