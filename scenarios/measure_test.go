package scenarios

import (
	"io"
	"log/slog"
	"strings"
	"testing"

	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/results"
)

// A time series that had no room for all of a run is no fault, and the record says what
// is missing there.
func TestATimeSeriesThatLeavesOutRows(t *testing.T) {
	m, err := newMeasurement(&results.Dir{Path: t.TempDir()}, &Plan{}, slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		t.Fatal(err)
	}
	const rows, limit = 70, 64 // of a MiB each
	for range rows {
		m.series.Event(history.Now(), "pace", strings.Repeat("x", 1<<20), nil)
	}
	run := &results.Run{}
	if err := m.close(run); err != nil {
		t.Error(err)
	}
	if got := run.LeftOut[results.TimeSeries]; got < rows-limit || got >= rows || len(run.LeftOut) != 1 {
		t.Errorf("%v rows are left out of %d", run.LeftOut, rows)
	}
	if m, err = newMeasurement(&results.Dir{Path: t.TempDir()}, &Plan{}, m.log); err != nil {
		t.Fatal(err)
	}
	run = &results.Run{}
	if err := m.close(run); err != nil || run.LeftOut != nil {
		t.Errorf("%v; of a short run %v is left out", err, run.LeftOut)
	}
}
