package watches

import (
	"encoding/binary"
	"strconv"
	"testing"

	"github.com/planecheck/planecheck/checkers/history"
)

// FuzzChecker feeds messages that make no sense; there must be a verdict for
// each guarantee and no panic.
func FuzzChecker(f *testing.F) {
	f.Add([]byte{0, 1, 1, 2, 0, 0, 1, 3, 2, 1, 1, 4, 3, 1, 1, 7, 4, 2, 0, 8})
	f.Add([]byte{6, 0, 0, 0, 1, 1, 1, 2, 1, 1, 1, 2, 3, 2, 1, 9, 5, 0, 0, 0})
	f.Add(binary.BigEndian.AppendUint64(nil, 1<<63))
	w := small()
	table, win := w.table(), w.window()
	types := []string{history.APIWatchOpen, "ADDED", "MODIFIED", "DELETED", "BOOKMARK", "ERROR", history.APIWatchClosed, "?"}
	f.Fuzz(func(t *testing.T, data []byte) {
		c := New(Options{Versions: table, Window: win, Calm: history.Time(len(data) % 2), Bound: 1})
		for i := range uint64(8) {
			call := &history.APICall{ID: i, Verb: "watch", Resource: "pods", Status: 200, Bookmarks: i&1 == 0, Called: history.Time(i) * 20 * ms}
			if i&2 == 0 {
				call.ResourceVersion = strconv.FormatUint(i, 10)
			}
			call.InitialEvents = []string{"", "true", "false"}[i%3]
			c.Call(call)
		}
		for ; len(data) >= 4; data = data[4:] {
			rev := int64(int8(data[3]))
			if data[0]&8 != 0 {
				rev <<= 56
			}
			c.Watch(&history.APIWatch{
				Call: uint64(data[0] & 7), Type: types[data[1]&7], At: 1000*ms + history.Time(data[2])*ms, InitialEnd: data[1]&8 != 0, Status: 410,
				Object: history.APIObject{Namespace: "ns", Name: string(rune('a' + data[1]>>4)), Version: rev},
			})
		}
		if n := len(c.Finish()); n != len(guarantees) {
			t.Fatalf("%d verdicts", n)
		}
	})
}
