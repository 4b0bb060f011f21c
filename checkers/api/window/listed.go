package window

import (
	"strings"

	"github.com/planecheck/planecheck/checkers/history"
)

// list takes note of a list of everything below a folder, as of now: a watch cache
// begins with one.
func (b *Builder) list(op *history.StoreOp) {
	if len(op.Then) != 1 || op.Then[0].Kind != history.ActionRange {
		return
	}
	a := op.Then[0]
	folder, is := strings.CutSuffix(a.Key, "/")
	if !is || a.End != folder+"0" || a.Revision != 0 || a.CountOnly || a.KeysOnly { // '0' follows '/' in ASCII
		return
	}
	b.listed[a.Key] = b.thin(append(b.listed[a.Key], point{op.Returned, op.Header}))
}

// settleListed is settle of what was listed.
func (b *Builder) settleListed(until history.Time) {
	for folder, points := range b.listed {
		known := b.window.listed[folder]
		rest := b.settle(&known, points, until)
		b.window.listed[folder] = known
		if b.listed[folder] = rest; len(rest) == 0 {
			delete(b.listed, folder)
		}
	}
}

// Listed is the latest revision as of which everything below a folder, such as
// /registry/pods/, was listed in an answer that was complete by t. 0: nobody is known
// to have listed it.
func (w *Window) Listed(folder string, t history.Time) int64 { return highest(w.listed[folder], t) }
