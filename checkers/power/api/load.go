package apipower

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/planecheck/planecheck/checkers/api/window"
	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/history/archive"
)

// Base is a valid history, in memory, that lies are told in. Nothing changes it:
// a lie replaces records by copies.
type Base struct {
	Name     string
	Window   *window.Window
	Calls    []*history.APICall  // in the order of the archive
	Watches  []*history.APIWatch // those of one watch in their order
	Versions []*history.Version  // by revision
	// Calm is from when on nothing was done to the cluster; 1: from the beginning, 0:
	// never, or nobody knows.
	Calm history.Time
	// Undeclared says that senders did not say what was illegal of their requests.
	Undeclared bool

	facts *facts
}

// Load reads the history of a run. An incomplete one is refused, for nothing
// could be said of a lie in it.
func Load(dir string) (*Base, error) {
	r, err := archive.Open(filepath.Join(dir, "history"))
	if err != nil {
		return nil, fmt.Errorf("load the history of %s: %w", dir, err)
	}
	if err := r.Complete(); err != nil {
		return nil, fmt.Errorf("load the history of %s: %w", dir, err)
	}
	b := &Base{Name: filepath.Base(dir), Undeclared: r.Schema() < declaredSince}
	if b.Calm, err = Calm(dir); err != nil {
		return nil, fmt.Errorf("load the record of %s: %w", dir, err)
	}
	w := window.New()
	var failed error
	for rec, err := range archive.ReadStore(r) {
		switch {
		case err != nil:
			failed = errors.Join(failed, err)
		case rec.Op != nil:
			w.StoreOp(rec.Op)
		default:
			w.StoreWatch(rec.Watch)
		}
	}
	b.Window = w.Window()
	for v, err := range archive.Read(r, archive.Versions) {
		if failed = errors.Join(failed, err); err == nil {
			b.Versions = append(b.Versions, v.Clone())
		}
	}
	opaque := map[uint64]bool{}
	for c, err := range archive.Read(r, archive.APICalls) {
		if failed = errors.Join(failed, err); err != nil {
			break
		}
		// Package judge leaves these out, too: nothing is known of them.
		if opaque[c.ID] = c.Opaque; !c.Opaque {
			b.Calls = append(b.Calls, c.Clone())
		}
	}
	for m, err := range archive.Read(r, archive.APIWatches) {
		if failed = errors.Join(failed, err); err == nil && !opaque[m.Call] {
			w := *m
			b.Watches = append(b.Watches, &w)
		}
	}
	if failed != nil {
		return nil, fmt.Errorf("load the history of %s: %w", dir, failed)
	}
	b.Learn()
	return b, nil
}

// declaredSince is the schema version of a history from which on they did.
const declaredSince = 4

// Calm reads what the record of a run, if it has one, says of its faults: from when
// on nothing was done to the cluster, as in Base.
func Calm(dir string) (history.Time, error) {
	data, err := os.ReadFile(filepath.Join(dir, "run.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	var run struct {
		Calm history.Time `json:"calm"`
		Plan struct {
			Judge struct {
				Faultless bool `json:"faultless"`
			} `json:"judge"`
		} `json:"plan"`
	}
	if err == nil {
		err = json.Unmarshal(data, &run)
	}
	if run.Plan.Judge.Faultless {
		run.Calm = 1 // from the beginning
	}
	return run.Calm, err
}

// Learn indexes the records. Load has done it; who makes a Base calls it.
func (b *Base) Learn() {
	b.facts = learn(b.Calls, b.Watches, b.Versions)
	b.facts.calm, b.facts.undeclared = b.Calm, b.Undeclared
}
