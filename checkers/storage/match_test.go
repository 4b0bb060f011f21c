package storage

import (
	"testing"

	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/checkers/history"
)

// TestEarliestCallIsNeededLater: two deletions do the same at revision 3, but
// only the earlier one can have done it again at revision 5.
func TestEarliestCallIsNeededLater(t *testing.T) {
	from := func(first, second call) story {
		return tell(
			create("a", 1).at(0, 1).ok(2),
			first.at(2, 3).err(history.ErrorUnknown),
			second.at(4, 5).err(history.ErrorUnknown),
			create("a", 2).at(6, 7).ok(4),
			get("a").at(10, 11).ok(5, found()),
		).seen(watched("m1", 12, event(kv("a", 2, 2, 1, 1)), gone("a", 3), event(kv("a", 4, 4, 1, 2)), gone("a", 5)))
	}
	blind := func() call { return newCall(history.MethodDeleteRange, actDelete("a", "")) }
	good(t, from(blind(), remove("a", 2)))
	good(t, from(remove("a", 2), blind()))
	good(t, from(blind(), blind()))
	for _, v := range from(remove("a", 2), remove("a", 2)).judge() {
		if want := v.Guarantee == NoPhantom; want != (v.Outcome == checkers.Fail) {
			t.Errorf("nobody can have done revision 5: %s", v)
		}
	}
}
