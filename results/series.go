package results

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/planecheck/planecheck/checkers/history"
)

// TimeSeries is the file of a run directory that holds its time series, a Row on each
// line.
const TimeSeries = "series.jsonl"

const (
	// maxSeriesBytes bounds series.jsonl: at some 700 bytes a row that is a
	// day of rows.
	maxSeriesBytes = 64 << 20
	seriesFlush    = 5 * time.Second
)

// Row is a line of series.jsonl: a sample of everything, taken every second,
// or an event, such as the pacer's change of mind.
type Row struct {
	Time      Seconds                 `json:"t"` // since the start of the run
	Phase     string                  `json:"phase,omitempty"`
	Processes map[string]ProcessUsage `json:"processes,omitempty"`
	// Values are rates, pace and lateness, each named with its unit.
	Values map[string]float64 `json:"values,omitempty"`
	Event  string             `json:"event,omitempty"`
	Reason string             `json:"reason,omitempty"`
}

// Series appends rows to a file of JSON lines. It may be used concurrently.
type Series struct {
	start history.Time

	mu      sync.Mutex
	file    io.WriteCloser
	buf     *bufio.Writer
	flushed history.Time
	room    int64
	dropped int64
	err     error
}

// CreateSeries creates the file; times in it count from start.
func CreateSeries(path string, start history.Time) (*Series, error) {
	f, err := os.Create(path)
	if err != nil {
		return nil, fmt.Errorf("create time series: %w", err)
	}
	return newSeries(f, start, maxSeriesBytes), nil
}

func newSeries(w io.WriteCloser, start history.Time, room int64) *Series {
	return &Series{start: start, file: w, buf: bufio.NewWriterSize(w, 64<<10), flushed: start, room: room}
}

// Event writes a row of its own for something that happened, with the values
// that it changed.
func (s *Series) Event(at history.Time, event, reason string, values map[string]float64) {
	s.Write(at, Row{Event: event, Reason: reason, Values: values})
}

// Write appends a row. Rows beyond the limit of the file are counted, not
// written; an error of the disk is kept for Close.
func (s *Series) Write(at history.Time, r Row) {
	r.Time = Seconds(at.Sub(s.start).Round(time.Millisecond))
	line, err := json.Marshal(r)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return
	}
	if err != nil {
		s.err = fmt.Errorf("write time series: %w", err)
		return
	}
	if line = append(line, '\n'); int64(len(line)) <= s.room {
		s.room -= int64(len(line))
		_, err = s.buf.Write(line)
	} else {
		s.dropped++
	}
	if err == nil && at.Sub(s.flushed) >= seriesFlush {
		s.flushed = at
		err = s.buf.Flush()
	}
	if err != nil {
		s.err = fmt.Errorf("write time series: %w", err)
	}
}

// Close writes what is buffered. It returns the first error of the series,
// which may also be that rows had to be dropped.
func (s *Series) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.buf.Flush(); err != nil && s.err == nil {
		s.err = fmt.Errorf("write time series: %w", err)
	}
	if err := s.file.Close(); err != nil && s.err == nil {
		s.err = fmt.Errorf("close time series: %w", err)
	}
	if s.err == nil && s.dropped > 0 {
		s.err = fmt.Errorf("write time series: %d rows dropped at the limit of the file", s.dropped)
	}
	return s.err
}
