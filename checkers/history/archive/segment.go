package archive

import (
	"os"
	"path/filepath"
	"strconv"

	"github.com/cespare/xxhash/v2"
	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress/zstd"

	"github.com/planecheck/planecheck/checkers/history"
)

const (
	// batchRows is how many records are handed to the Parquet library at once.
	batchRows = 1024
	// groupRows bounds a row group, which a reader decodes as a whole: some
	// megabytes, which the second-level cache nearly holds.
	groupRows = 8192
	// groupBytes bounds a row group of large records.
	groupBytes = 8 << 20
)

// segmentWriter writes the segments of one stream, one after the other.
type segmentWriter[T any] struct {
	kind     Kind[T]
	opts     Options
	dir      string
	maxGroup int64

	parquet *parquet.GenericWriter[T]
	batch   []T

	out    *hashed // nil: no segment is open
	number int     // of the open segment, or of the last
	rows   int64   // in the open segment, with what is on the way to it
	group  struct{ rows, bytes int64 }
	first  history.Time
	last   history.Time
}

func newSegmentWriter[T any](w *Writer, kind Kind[T]) (sw *segmentWriter[T], err error) {
	defer recovered(&err)
	layout, err := layoutOf[T](SchemaVersion)
	if err != nil {
		return nil, err
	}
	sw = &segmentWriter[T]{
		kind: kind, opts: w.opts, dir: w.dir,
		maxGroup: min(groupBytes, w.opts.SegmentBytes/8),
		batch:    make([]T, 0, batchRows),
	}
	config := &parquet.WriterConfig{
		Schema: layout.schema,
		// A codec of our own, so that its encoders are not shared.
		Compression: &zstd.Codec{Level: zstd.SpeedFastest},
		// Nobody looks for records by the bounds of a field in a list, and they
		// cost a tenth of the time. Those of the record's own fields remain.
		SkipPageBounds: layout.inLists(),
		KeyValueMetadata: map[string]string{
			"planecheck.stream": kind.Name,
			"planecheck.schema": strconv.Itoa(SchemaVersion),
		},
	}
	sw.parquet = parquet.NewGenericWriter[T](nil, config, parquet.DataPageStatistics(false))
	return sw, nil
}

// write takes records into the open segment, or a new one, until they end or
// the segment is full. It took n of them, also when it fails: they are then
// among the rows that abort returns.
func (w *segmentWriter[T]) write(records []*T) (n int, full bool, err error) {
	defer recovered(&err)
	if w.out == nil {
		if err := w.open(); err != nil {
			return 0, false, err
		}
	}
	for _, r := range records {
		size := int64(w.kind.Size(r))
		if w.group.rows == groupRows || w.group.rows > 0 && w.group.bytes+size > w.maxGroup {
			if err := w.endGroup(); err != nil {
				return n, false, err
			}
			// One more group may come, and the footer.
			if w.out.bytes+2*w.maxGroup > w.opts.SegmentBytes {
				return n, true, nil
			}
		}
		w.take(r, size)
		n++
	}
	return n, false, w.flushBatch()
}

func (w *segmentWriter[T]) take(r *T, size int64) {
	first, last := w.kind.Times(r)
	if w.rows == 0 || first < w.first {
		w.first = first
	}
	if w.rows == 0 || last > w.last {
		w.last = last
	}
	w.batch = append(w.batch, *r)
	w.rows++
	w.group.rows++
	w.group.bytes += size
}

func (w *segmentWriter[T]) flushBatch() error {
	_, err := w.parquet.Write(w.batch)
	clear(w.batch) // the records are garbage now
	w.batch = w.batch[:0]
	return err
}

func (w *segmentWriter[T]) endGroup() error {
	w.group.rows, w.group.bytes = 0, 0
	if err := w.flushBatch(); err != nil {
		return err
	}
	return w.parquet.Flush()
}

// path is that of the open segment, or of the last.
func (w *segmentWriter[T]) path() string {
	return filepath.Join(w.dir, segmentFile(w.kind.Name, w.number))
}

func (w *segmentWriter[T]) open() error {
	w.number++
	f, err := w.opts.open(w.path() + tempSuffix)
	if err != nil {
		return err
	}
	w.out = &hashed{file: f, sum: xxhash.New()}
	w.parquet.Reset(w.out)
	return nil
}

// close ends the open segment and gives it its name.
func (w *segmentWriter[T]) close() (info SegmentInfo, err error) {
	defer recovered(&err)
	if err := w.endGroup(); err != nil {
		return SegmentInfo{}, err
	}
	if err := w.parquet.Close(); err != nil {
		return SegmentInfo{}, err
	}
	out := w.out
	w.out = nil
	if err := publish(out.file, w.path(), nil, !w.opts.NoSync); err != nil {
		return SegmentInfo{}, err
	}
	info = SegmentInfo{
		File: filepath.Base(w.path()), Rows: w.rows, Bytes: out.bytes,
		XXH64: hex64(out.sum.Sum64()), First: w.first, Last: w.last,
	}
	w.rows = 0
	return info, nil
}

// abort gives up the open segment and returns how many records went with it.
func (w *segmentWriter[T]) abort() int64 {
	rows := w.rows
	w.rows = 0
	if w.out != nil {
		_ = w.out.file.Close() // an error came before it
		_ = os.Remove(w.path() + tempSuffix)
		w.out = nil
	}
	return rows
}

// discard removes a closed segment that could not be listed.
func (w *segmentWriter[T]) discard(info SegmentInfo) {
	_ = os.Remove(filepath.Join(w.dir, info.File)) // left behind, it reads as incomplete
}

// hashed counts and hashes what goes into a file.
type hashed struct {
	file  file
	sum   *xxhash.Digest
	bytes int64
}

func (h *hashed) Write(p []byte) (int, error) {
	n, err := h.file.Write(p)
	h.bytes += int64(n)
	_, _ = h.sum.Write(p[:n]) // a hash.Hash never fails
	return n, err
}
