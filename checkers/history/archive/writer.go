package archive

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/planecheck/planecheck/checkers/history"
)

// Options are the limits of a Writer. Zero means the default.
type Options struct {
	// SegmentBytes is the size that no segment exceeds; default 64 MiB, at
	// least 1 MiB. Only a single record that is larger makes a larger segment.
	SegmentBytes int64
	// SegmentAge is the time after which a record is in a closed segment;
	// default 30 s.
	SegmentAge time.Duration
	// QueueBytes bounds the records of each stream that wait to be written, by
	// the estimate of Kind.Size; default 64 MiB. A record that does not fit is
	// lost.
	QueueBytes int64
	// NoSync leaves out the fsync of segments and manifests. A history then
	// survives the end of the process as before, but may be found damaged
	// (never found whole and wrong) after a crash of the machine. It is for
	// runs in which an fsync would disturb a store on the same disk.
	NoSync bool
	// Failed is told of the first error after which a stream loses all its records, as
	// Close returns it, on a goroutine of that stream; nil: nobody is told before Close.
	Failed func(error)

	open opener // opens a new file for writing; replaced by tests
}

func (o Options) withDefaults() (Options, error) {
	o.SegmentBytes = cmp.Or(o.SegmentBytes, 64<<20)
	o.SegmentAge = cmp.Or(o.SegmentAge, 30*time.Second)
	o.QueueBytes = cmp.Or(o.QueueBytes, 64<<20)
	if o.open == nil {
		o.open = openFile
	}
	if o.SegmentBytes < 1<<20 || o.SegmentAge < time.Millisecond || o.QueueBytes < 1 {
		return o, fmt.Errorf("options of a history: segments of %d bytes (at least 1 MiB) and %v (at least 1ms), a queue of %d bytes (at least 1)",
			o.SegmentBytes, o.SegmentAge, o.QueueBytes)
	}
	return o, nil
}

// file is what the writer needs of an os.File.
type file interface {
	io.WriteCloser
	Sync() error
}

type opener func(path string) (file, error)

func openFile(path string) (file, error) {
	return os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
}

// Kind describes one type of record and the stream that holds it.
//
// T is a struct of bool, int, int32, int64, uint32, uint64, float64, strings,
// such structs, and slices of these, with parquet tags: lists are tagged list,
// the encodings delta (integers) and dict (strings) are understood, optional is
// not. NewStream and Read refuse other types.
type Kind[T any] struct {
	Name string // of the stream and its files: lower-case letters, digits and dashes
	// Times returns the earliest and the latest time in a record.
	Times func(*T) (first, last history.Time)
	// Size estimates the bytes that a record takes in memory, with what it
	// points to. The bounds on memory are only as good as this.
	Size func(*T) int
}

// Writer writes one history.
type Writer struct {
	dir  string
	opts Options

	listing sync.Mutex // held while a manifest is written, before mu

	mu      sync.Mutex
	streams []writing
	closed  bool

	failing sync.Once // around opts.Failed

	once   sync.Once
	result error // of Close
}

// writing is a Stream of whatever type.
type writing interface {
	info() StreamInfo
	flush()
	finish() error
}

// Create begins a history in dir, which it makes if need be. A directory that
// holds a history, or parts of one, is refused.
func Create(dir string, opts Options) (*Writer, error) {
	opts, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("create history: %w", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("create history: %w", err)
	}
	for _, e := range entries {
		if ours(e.Name()) {
			return nil, fmt.Errorf("create history: %s exists", filepath.Join(dir, e.Name()))
		}
	}
	w := &Writer{dir: dir, opts: opts}
	return w, w.list(manifest{})
}

// ours says whether a file of that name belongs to a history.
func ours(name string) bool {
	name = strings.TrimSuffix(name, tempSuffix)
	return name == manifestName || strings.HasSuffix(name, segmentSuffix)
}

// failed tells of the error of a stream, if it is the first.
func (w *Writer) failed(err error) {
	if w.opts.Failed != nil {
		w.failing.Do(func() { w.opts.Failed(err) })
	}
}

// list writes the manifest: m, completed by the streams as they are now.
func (w *Writer) list(m manifest) error {
	w.listing.Lock()
	defer w.listing.Unlock()
	m.Streams = w.infos()
	data, err := m.encode()
	if err != nil {
		return fmt.Errorf("write %s: %w", manifestName, err)
	}
	return writeAtomically(w.opts.open, w.dir, manifestName, data, !w.opts.NoSync)
}

func (w *Writer) infos() []StreamInfo {
	w.mu.Lock()
	defer w.mu.Unlock()
	return infosOf(w.streams)
}

func infosOf(streams []writing) []StreamInfo {
	infos := make([]StreamInfo, 0, len(streams))
	for _, s := range streams {
		infos = append(infos, s.info())
	}
	return infos
}

// add begins a stream, unless the manifest cannot hold it.
func (w *Writer) add(s writing) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return errors.New("the history is closed")
	}
	m := manifest{Streams: infosOf(append(slices.Clone(w.streams), s))}
	if err := m.validate(); err != nil {
		return err
	}
	w.streams = append(w.streams, s)
	return nil
}

// Lost is the number of records lost so far, in all streams.
func (w *Writer) Lost() uint64 {
	var n uint64
	for _, s := range w.infos() {
		n += s.Lost
	}
	return n
}

// Flush closes the open segments with all that was appended before it, so that a
// reader that opens the history finds it there. It waits for the disk; an error
// is kept for Close.
func (w *Writer) Flush() {
	w.mu.Lock()
	streams := w.streams
	w.mu.Unlock()
	for _, s := range streams {
		s.flush()
	}
}

// Close writes what was appended before it and marks the history as closed,
// unless a stream met an error: then it returns the first error of each stream,
// and the history reads as incomplete. Losses for want of memory are no error
// here; the manifest tells of them. Callers stop appending first: what is
// appended during or after Close is lost, and counted only by Lost. A second
// call returns the result of the first.
func (w *Writer) Close() error {
	w.once.Do(func() {
		w.mu.Lock()
		w.closed = true
		streams := w.streams
		w.mu.Unlock()
		if err := w.finish(streams); err != nil {
			w.result = fmt.Errorf("close history %s: %w", w.dir, err)
		}
	})
	return w.result
}

func (w *Writer) finish(streams []writing) error {
	var errs []error
	for _, s := range streams {
		errs = append(errs, s.finish())
	}
	err := errors.Join(errs...)
	end := manifest{Closed: err == nil}
	if err != nil {
		end.Error = err.Error()
	}
	return errors.Join(err, w.list(end))
}
