package archive

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"

	"github.com/cespare/xxhash/v2"
)

// maxSegment is more than any writer makes. It bounds what a manifest can make
// a reader allocate.
const maxSegment = 1 << 30

// Reader reads one history.
type Reader struct {
	dir        string
	manifest   *manifest
	incomplete error
	follow     *follower // nil: the history does not grow any more
}

// Open reads the manifest of the history in dir. It fails with ErrIncomplete if
// there is none or it is damaged, and with a *VersionError if the history has
// another schema version. An incomplete history can be opened, since its records
// may still tell what happened; see Complete.
func Open(dir string) (*Reader, error) {
	m, err := readManifest(dir)
	if err != nil {
		return nil, fmt.Errorf("open history: %w", err)
	}
	r := &Reader{dir: dir, manifest: m}
	if r.incomplete, err = r.inspect(); err != nil {
		return nil, fmt.Errorf("open history: %w", err)
	}
	return r, nil
}

// Complete returns nil if the history is whole, as far as the manifest, the
// names and the sizes of the files tell, and otherwise an error with
// ErrIncomplete that says all that is missing. Damage within a segment is
// found, by its checksum, when the segment is read.
func (r *Reader) Complete() error { return r.incomplete }

// Schema is the version of the schema that the history was written in: one from
// OldestSchema to SchemaVersion.
func (r *Reader) Schema() int { return r.manifest.version }

// Streams is what the manifest says, in the order in which streams were added.
func (r *Reader) Streams() []StreamInfo { return slices.Clone(r.manifest.Streams) }

// inspect compares the manifest with the directory.
func (r *Reader) inspect() (incomplete, err error) {
	var found []error
	add := func(name, reason string, err error) {
		found = append(found, &IncompleteError{filepath.Join(r.dir, name), reason, err})
	}
	if !r.manifest.Closed {
		reason := "the history was not closed"
		if r.manifest.Error != "" {
			reason += ", the writer met: " + r.manifest.Error
		}
		add(manifestName, reason, nil)
	}
	listed := map[string]bool{manifestName: true}
	for _, s := range r.manifest.Streams {
		if s.Lost > 0 {
			add(manifestName, fmt.Sprintf("%d records of %s were lost", s.Lost, s.Name), nil)
		}
		for _, seg := range s.Segments {
			listed[seg.File] = true
			if reason, err := r.inspectSegment(seg); reason != "" {
				add(seg.File, reason, err)
			}
		}
	}
	entries, err := os.ReadDir(r.dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if ours(e.Name()) && !listed[e.Name()] {
			add(e.Name(), "the manifest does not list it", nil)
		}
	}
	return errors.Join(found...), nil
}

// inspectSegment returns what is wrong with a segment from the outside, or "".
func (r *Reader) inspectSegment(seg SegmentInfo) (reason string, err error) {
	stat, err := os.Stat(filepath.Join(r.dir, seg.File))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "the segment is missing", err
	case err != nil:
		return "look at the segment", err
	case !stat.Mode().IsRegular():
		return "the segment is not a file", nil
	case stat.Size() != seg.Bytes || seg.Bytes > maxSegment:
		return fmt.Sprintf("the segment has %d bytes, not %d", stat.Size(), seg.Bytes), nil
	}
	return "", nil
}

// Read yields the records of one stream in the order described at the top of
// the package.
//
// A record and its lists are valid until the next one is asked for, then their
// memory is used again; a caller that keeps a record copies it and clones its
// lists. Strings may be kept.
//
// An error is the last thing yielded, with a nil record. The history was read as
// a whole only if there is none: every checksum was right and Complete is nil.
// The errors of a history that is not whole have ErrIncomplete; where a segment
// is missing or damaged the sequence ends there, where the history as a whole is
// incomplete it ends after the last record.
func Read[T any](r *Reader, kind Kind[T]) iter.Seq2[*T, error] {
	return func(yield func(*T, error) bool) {
		decoder, err := newRecords[T](r.manifest.version)
		if err != nil {
			yield(nil, fmt.Errorf("stream %q: %w", kind.Name, err))
			return
		}
		var file []byte
		for n := 0; ; n++ {
			seg, err := r.segment(kind.Name, n)
			if err == nil && seg == nil {
				break
			}
			if err == nil {
				file, err = r.load(*seg, file)
			}
			if err != nil {
				yield(nil, err)
				return
			}
			if !decoder.each(file, seg.Rows, yield, func(err error) error {
				return &IncompleteError{filepath.Join(r.dir, seg.File), "the segment is corrupt", err}
			}) {
				return
			}
		}
		if r.incomplete != nil {
			yield(nil, r.incomplete)
		}
	}
}

// each yields the records of a segment. It returns false when the sequence has
// ended, by an error or by the caller.
func (d *records[T]) each(file []byte, n int64, yield func(*T, error) bool, wrap func(error) error) bool {
	groups, err := d.open(file, n)
	if err != nil {
		yield(nil, wrap(err))
		return false
	}
	for _, g := range groups {
		rows, err := d.load(g)
		if err != nil {
			yield(nil, wrap(err))
			return false
		}
		for i := range rows {
			if !yield(&rows[i], nil) {
				return false
			}
		}
	}
	return true
}

// load reads a segment into buf, which it may replace, and checks it. The bytes
// that were checked are the bytes that are decoded: the file may change.
func (r *Reader) load(seg SegmentInfo, buf []byte) ([]byte, error) {
	path := filepath.Join(r.dir, seg.File)
	if reason, err := r.inspectSegment(seg); reason != "" {
		return nil, &IncompleteError{path, reason, err}
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, &IncompleteError{path, "open the segment", err}
	}
	defer f.Close()
	buf = slices.Grow(buf[:0], int(seg.Bytes))[:seg.Bytes]
	if _, err := io.ReadFull(f, buf); err != nil {
		return nil, &IncompleteError{path, "read the segment", err}
	}
	if sum := hex64(xxhash.Sum64(buf)); sum != seg.XXH64 {
		return nil, &IncompleteError{path, fmt.Sprintf("the segment is corrupt: its checksum is %s, not %s", sum, seg.XXH64), nil}
	}
	return buf, nil
}
