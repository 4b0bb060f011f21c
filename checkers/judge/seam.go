package judge

import (
	"fmt"

	"github.com/planecheck/planecheck/checkers/counterexample"
	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/storage"
)

// seam is a counter-example of what a restoration promises: a sentence, and a
// table of what was before it and after it. A nil one takes everything and keeps
// nothing: only the first violation is shown.
type seam struct {
	why  string
	rows []counterexample.Row
}

func (s *seam) add(rows ...counterexample.Row) *seam {
	if s != nil {
		s.rows = append(s.rows, rows...)
	}
	return s
}

// op adds a call of the store, whose record is valid only now.
func (s *seam) op(op *history.StoreOp) *seam {
	if s == nil {
		return nil
	}
	return s.add(storage.CallRow(op))
}

// key adds a key as it was shown.
func (s *seam) key(what string, kv history.StoreKV) *seam {
	if s == nil {
		return nil
	}
	return s.add(counterexample.Row{What: what, Text: storage.Describe(kv)})
}

// message adds what came on a watch of the store.
func (s *seam) message(w *history.StoreWatch) *seam {
	if s == nil {
		return nil
	}
	return s.add(counterexample.Row{
		From: w.At, What: "watch", Who: fmt.Sprintf("stream %d at %s", w.Stream, w.Member),
		Text: fmt.Sprintf("%s at revision %d, %d events", w.Kind, w.Header, len(w.Events)),
	})
}

// shownAt is a call that is remembered for a counter-example that may come: of
// each there are as many as there are keys or writes, so it holds little.
type shownAt struct {
	id               uint64
	called, returned history.Time
	client           uint32
	member           string
	method           history.StoreMethod
}

func shownBy(op *history.StoreOp) shownAt {
	return shownAt{op.ID, op.Called, op.Returned, op.Client, op.Member, op.Method}
}

func (a shownAt) row(text string) counterexample.Row {
	return counterexample.Row{
		From: a.called, To: a.returned, What: fmt.Sprintf("#%d", a.id),
		Who: fmt.Sprintf("client %d at %s", a.client, a.member), Text: fmt.Sprintf("%s -> %s", a.method, text),
	}
}

// before is what a counter-example begins with: up to where revisions had been
// made, as far as a call showed it, and the restoration itself.
func (r *restored) before() []counterexample.Row {
	var rows []counterexample.Row
	if r.teller.id != 0 {
		rows = append(rows, r.teller.row(fmt.Sprintf("revision %d", r.toldBy)))
	}
	return append(rows, counterexample.Row{
		From: r.At, What: "restore",
		Text: fmt.Sprintf("the snapshot is of revision %d, revisions up to %d had been made, the store is to go on after %d", r.Kept, r.told, r.Bumped),
	})
}
