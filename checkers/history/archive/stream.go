package archive

import (
	"fmt"
	"sync"
	"time"
)

// wakeRows is the number of waiting records at which the background goroutine
// is woken. Fewer wait for the clock: a goroutine that woke for each record
// would cost the run more than the writing does.
const wakeRows = 2048

// Stream takes the records of one type. Its methods may be called concurrently.
type Stream[T any] struct {
	w    *Writer
	kind Kind[T]
	out  *segmentWriter[T] // of the background goroutine only

	wake chan struct{}
	cut  chan chan struct{} // asks for the end of the open segment
	stop chan struct{}
	done chan struct{}

	mu     sync.Mutex
	queue  []*T
	spare  []*T // the queue before it, emptied
	bytes  int64
	lost   uint64
	deaf   bool // closed or failed: every record is lost
	err    error
	closed []SegmentInfo
}

// NewStream adds a stream to a history. It fails if T is not a type that can be
// written, if the name is not valid or taken, and if the writer is closed.
func NewStream[T any](w *Writer, kind Kind[T]) (*Stream[T], error) {
	out, err := newSegmentWriter[T](w, kind)
	if err != nil {
		return nil, fmt.Errorf("stream %q: %w", kind.Name, err)
	}
	s := &Stream[T]{
		w: w, kind: kind, out: out,
		wake: make(chan struct{}, 1), cut: make(chan chan struct{}), stop: make(chan struct{}), done: make(chan struct{}),
	}
	if err := w.add(s); err != nil {
		return nil, fmt.Errorf("stream %q: %w", kind.Name, err)
	}
	go s.run() // from now on w.Close waits for it
	if err := w.list(manifest{}); err != nil {
		return nil, fmt.Errorf("stream %q: %w", kind.Name, err)
	}
	return s, nil
}

// Append takes a record, which the caller must not change any more. It never
// waits for the disk: without room in the queue the record is lost.
func (s *Stream[T]) Append(record *T) {
	size := int64(s.kind.Size(record))
	s.mu.Lock()
	if s.deaf || s.bytes+size > s.w.opts.QueueBytes {
		s.lost++
		s.mu.Unlock()
		return
	}
	s.queue = append(s.queue, record)
	half := s.w.opts.QueueBytes / 2
	wake := len(s.queue)%wakeRows == 0 || s.bytes < half && s.bytes+size >= half
	s.bytes += size
	s.mu.Unlock()
	if wake {
		select {
		case s.wake <- struct{}{}:
		default: // it is awake
		}
	}
}

// Lost is the number of records that were appended and are not in the history.
func (s *Stream[T]) Lost() uint64 { return s.info().Lost }

func (s *Stream[T]) info() StreamInfo {
	s.mu.Lock()
	defer s.mu.Unlock()
	return StreamInfo{Name: s.kind.Name, Lost: s.lost, Segments: append([]SegmentInfo{}, s.closed...)}
}

// run is the background goroutine. It looks at the clock twice in a
// SegmentAge, and closes a segment at the second look: no record is older then.
func (s *Stream[T]) run() {
	defer close(s.done)
	tick := time.NewTicker(s.w.opts.SegmentAge / 2)
	defer tick.Stop()
	looked := 0 // the segment that was open at the last look
	for {
		select {
		case <-s.wake:
			s.drain()
		case <-tick.C:
			s.drain()
			if s.out.rows > 0 && looked == s.out.number {
				s.closeSegment()
			}
			looked = s.out.number
		case answer := <-s.cut:
			s.drain()
			s.closeSegment()
			close(answer)
		case <-s.stop:
			s.drain()
			s.closeSegment()
			return
		}
	}
}

// drain writes what waits now.
func (s *Stream[T]) drain() {
	s.mu.Lock()
	batch := s.queue
	s.queue, s.spare = s.spare, nil
	s.mu.Unlock()
	for part := batch; len(part) > 0; {
		n := min(len(part), batchRows)
		s.write(part[:n])
		part = part[n:]
	}
	clear(batch) // the records are garbage now
	s.mu.Lock()
	s.spare = batch[:0]
	s.mu.Unlock()
}

// write writes some records and gives back their share of the queue.
func (s *Stream[T]) write(records []*T) {
	var size int64
	for _, r := range records {
		size += int64(s.kind.Size(r))
	}
	for len(records) > 0 {
		if s.failed() {
			s.lose(int64(len(records)))
			break
		}
		n, full, err := s.out.write(records)
		if err != nil {
			s.fail(err)
		} else if full {
			s.closeSegment()
		}
		records = records[n:]
	}
	s.mu.Lock()
	s.bytes -= size
	s.mu.Unlock()
}

// closeSegment closes the open segment, if there is one, and lists it.
func (s *Stream[T]) closeSegment() {
	if s.out.rows == 0 || s.failed() {
		return
	}
	info, err := s.out.close()
	if err != nil {
		s.fail(err)
		return
	}
	s.mu.Lock()
	s.closed = append(s.closed, info)
	s.mu.Unlock()
	if err := s.w.list(manifest{}); err != nil {
		// A segment that no manifest lists is no part of the history.
		s.mu.Lock()
		s.closed = s.closed[:len(s.closed)-1]
		s.mu.Unlock()
		s.out.discard(info)
		s.lose(info.Rows)
		s.fail(err)
	}
}

// fail ends the stream: the records of the open segment and all that come are
// lost, the run goes on.
func (s *Stream[T]) fail(err error) {
	s.lose(s.out.abort())
	s.mu.Lock()
	s.deaf = true
	if s.err == nil {
		s.err = fmt.Errorf("stream %s: %w", s.kind.Name, err)
	}
	err = s.err
	s.mu.Unlock()
	s.w.failed(err)
}

func (s *Stream[T]) lose(rows int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lost += uint64(rows)
}

func (s *Stream[T]) failed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err != nil
}

// flush has the open segment closed with all that was appended before.
func (s *Stream[T]) flush() {
	answer := make(chan struct{})
	select {
	case s.cut <- answer:
		<-answer
	case <-s.done:
	}
}

// finish writes what waits, closes the last segment and returns the first error.
func (s *Stream[T]) finish() error {
	s.mu.Lock()
	s.deaf = true
	s.mu.Unlock()
	close(s.stop)
	<-s.done
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}
