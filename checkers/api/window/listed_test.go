package window

import (
	"testing"

	"github.com/planecheck/planecheck/checkers/history"
)

func listOf(key, end string, called, returned history.Time, rev int64, change func(*history.StoreAction)) *history.StoreOp {
	op := get(called, returned, rev, false)
	op.Then[0].Key, op.Then[0].End = key, end
	if change != nil {
		change(&op.Then[0])
	}
	return op
}

// A list of everything below a folder counts from when it had come back, and one of a
// part of it, of the past, or of the keys alone does not.
func TestListed(t *testing.T) {
	const pods, end = "/registry/pods/", "/registry/pods0"
	b := New()
	for _, op := range []*history.StoreOp{
		listOf(pods, end, 10, 20, 5, nil),
		listOf(pods, end, 90, 100, 9, func(a *history.StoreAction) { a.Limit = 500 }),
		listOf("/registry/pods/a/", "/registry/pods/a0", 30, 40, 6, nil),
		listOf("/registry/pods/a/b", end, 30, 40, 7, nil), // another page
		listOf(pods, end, 30, 40, 7, func(a *history.StoreAction) { a.Revision = 3 }),
		listOf(pods, end, 30, 40, 7, func(a *history.StoreAction) { a.CountOnly = true }),
		listOf(pods, end, 30, 40, 7, func(a *history.StoreAction) { a.KeysOnly = true }),
		listOf(pods, end, 30, 40, 7, func(a *history.StoreAction) { a.Serializable = true }),
		listOf(pods, "/registry/q0", 30, 40, 7, nil),
		put(60, 70, 8),
	} {
		b.StoreOp(op)
	}
	f := func(w *Window, folder string, at history.Time, want int64) {
		t.Helper()
		if got := w.Listed(folder, at); got != want {
			t.Errorf("%s at %d: listed as of %d, want %d", folder, at, got, want)
		}
	}
	w := b.Advance(50)
	f(w, pods, 19, 0)
	f(w, pods, 20, 5)
	f(w, pods, 50, 5)
	f(w, "/registry/pods/a/", 50, 6)
	f(w, "/registry/nodes/", 50, 0)
	w = b.Advance(80)
	f(w, pods, 80, 5)
	w = b.Window()
	f(w, pods, 99, 5)
	f(w, pods, 100, 9)
	if b.Late() {
		t.Error("nothing came late")
	}

	b = New()
	b.Advance(50)
	b.StoreOp(listOf(pods, end, 10, 20, 5, nil))
	f(b.Window(), pods, 20, 5)
	if !b.Late() {
		t.Error("a list came after what it may explain had been judged")
	}
}
