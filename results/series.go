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
	// maxSeriesBytes bounds series.jsonl. Half of that is some 13 hours of samples, at
	// 700 bytes a second.
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

// Series appends rows to a file of JSON lines, which has a limit. All samples have half
// of it, every other one half of what is left, and so on, so that the longest run has
// some to its end. It may be used concurrently.
type Series struct {
	start history.Time

	mu      sync.Mutex
	file    io.WriteCloser
	buf     *bufio.Writer
	flushed history.Time
	room    int64
	samples int64 // since it was thinned last
	each    int64 // of so many samples one is written
	thinned int64 // the room that was left then
	leftOut int64
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
	return &Series{start: start, file: w, buf: bufio.NewWriterSize(w, 64<<10), flushed: start, room: room, each: 1, thinned: room}
}

// Event writes a row of its own for something that happened, with the values
// that it changed.
func (s *Series) Event(at history.Time, event, reason string, values map[string]float64) {
	s.Write(at, Row{Event: event, Reason: reason, Values: values})
}

// Write appends a row. Rows for which the file has no room are counted, not written;
// an error of the disk is kept for Close.
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
	if line = append(line, '\n'); s.takes(int64(len(line)), r.Event == "") {
		_, err = s.buf.Write(line)
	} else {
		s.leftOut++
	}
	if err == nil && at.Sub(s.flushed) >= seriesFlush {
		s.flushed = at
		err = s.buf.Flush()
	}
	if err != nil {
		s.err = fmt.Errorf("write time series: %w", err)
	}
}

// takes says whether a row of that length is written. Events are, as long as there is
// any room: there are few of them.
func (s *Series) takes(length int64, sample bool) bool {
	if s.room <= s.thinned/2 {
		s.samples, s.each, s.thinned = 0, 2*s.each, s.room
	}
	if sample {
		s.samples++
	}
	if sample && s.samples%s.each != 0 || length > s.room {
		return false
	}
	s.room -= length
	return true
}

// LeftOut is how many rows were not written for want of room.
func (s *Series) LeftOut() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.leftOut
}

// Close writes what is buffered. It returns the first error of the series.
func (s *Series) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.buf.Flush(); err != nil && s.err == nil {
		s.err = fmt.Errorf("write time series: %w", err)
	}
	if err := s.file.Close(); err != nil && s.err == nil {
		s.err = fmt.Errorf("close time series: %w", err)
	}
	return s.err
}
