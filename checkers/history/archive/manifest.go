package archive

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"

	"github.com/cespare/xxhash/v2"

	"github.com/planecheck/planecheck/checkers/history"
)

// SchemaVersion is the version of the records and of the layout of a history.
// It changes whenever a field of a record, a stream or the manifest does.
//
// A field of a record that a later version than OldestSchema has brought says so
// in its tag, as since:"4"; of an older history it reads as zero.
const (
	SchemaVersion = 4
	OldestSchema  = 3 // that is still read
)

const (
	manifestName  = "manifest.json"
	segmentSuffix = ".parquet"
	tempSuffix    = ".tmp"
)

// envelope is the file. The version stands outside of the checksum, so that a
// history of another version is told from a damaged one whatever the rest of
// that version looks like.
type envelope struct {
	Schema   *int            `json:"schema"`
	Checksum string          `json:"checksum"` // XXH64 of History without white space
	History  json.RawMessage `json:"history"`
}

type manifest struct {
	// version of the schema; it stands in the envelope.
	version int

	Closed  bool         `json:"closed"`          // every record up to the end is in here
	Error   string       `json:"error,omitempty"` // what kept it from being closed
	Streams []StreamInfo `json:"streams"`
}

// StreamInfo is what the manifest says of one stream.
type StreamInfo struct {
	Name     string        `json:"name"`
	Lost     uint64        `json:"lost"` // records that were appended and are not in here
	Segments []SegmentInfo `json:"segments"`
}

// Rows is the number of records in the listed segments.
func (s StreamInfo) Rows() int64 {
	var n int64
	for _, seg := range s.Segments {
		n += seg.Rows
	}
	return n
}

// SegmentInfo is what the manifest says of one closed segment.
type SegmentInfo struct {
	File  string `json:"file"`
	Rows  int64  `json:"rows"`
	Bytes int64  `json:"bytes"`
	XXH64 string `json:"xxh64"` // of the file, 16 hexadecimal digits
	// First and Last are the earliest and the latest time in the segment's
	// records, in nanoseconds of CLOCK_MONOTONIC.
	First history.Time `json:"first"`
	Last  history.Time `json:"last"`
}

var streamName = regexp.MustCompile(`^[a-z][a-z0-9-]{0,63}$`)

// segmentFile names the n-th segment of a stream, n from 1.
func segmentFile(stream string, n int) string {
	return fmt.Sprintf("%s-%05d%s", stream, n, segmentSuffix)
}

func hex64(sum uint64) string { return fmt.Sprintf("%016x", sum) }

func (m *manifest) encode() ([]byte, error) {
	body, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	version := SchemaVersion
	data, err := json.MarshalIndent(envelope{&version, hex64(xxhash.Sum64(body)), body}, "", "  ")
	return append(data, '\n'), err
}

func readManifest(dir string) (*manifest, error) {
	path := filepath.Join(dir, manifestName)
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, &IncompleteError{path, "read the manifest", err}
	}
	m, got, err := decodeManifest(data)
	switch {
	case err != nil:
		return nil, &IncompleteError{path, "the manifest is damaged", err}
	case m == nil:
		return nil, &VersionError{path, got, SchemaVersion}
	}
	return m, nil
}

// decodeManifest returns the manifest and the schema version of the file; no
// manifest if the version is none that is read.
func decodeManifest(data []byte) (*manifest, int, error) {
	var env envelope
	if err := json.Unmarshal(data, &env); err != nil {
		return nil, 0, err
	}
	if env.Schema == nil {
		return nil, 0, errors.New("it has no schema version")
	}
	version := *env.Schema
	if version < OldestSchema || version > SchemaVersion {
		return nil, version, nil
	}
	var body bytes.Buffer
	if err := json.Compact(&body, env.History); err != nil {
		return nil, 0, fmt.Errorf("its list: %w", err)
	}
	if sum := hex64(xxhash.Sum64(body.Bytes())); sum != env.Checksum {
		return nil, 0, fmt.Errorf("its checksum is %s, of its content %s", env.Checksum, sum)
	}
	m := &manifest{version: version}
	dec := json.NewDecoder(&body)
	dec.DisallowUnknownFields()
	if err := dec.Decode(m); err != nil {
		return nil, 0, err
	}
	return m, version, m.validate()
}

// validate looks for what no writer writes. Names are checked letter by letter,
// so a manifest cannot point out of its directory.
func (m *manifest) validate() error {
	seen := map[string]bool{}
	for _, s := range m.Streams {
		if !streamName.MatchString(s.Name) || seen[s.Name] {
			return fmt.Errorf("stream name %q is not valid or not unique", s.Name)
		}
		seen[s.Name] = true
		for i, seg := range s.Segments {
			if want := segmentFile(s.Name, i+1); seg.File != want {
				return fmt.Errorf("segment %d of stream %s is %q, not %q", i+1, s.Name, seg.File, want)
			}
			if seg.Rows < 1 || seg.Bytes < 1 {
				return fmt.Errorf("segment %s has %d records in %d bytes", seg.File, seg.Rows, seg.Bytes)
			}
		}
	}
	return nil
}

// writeAtomically replaces dir/name by data: whoever reads it, at whatever
// moment the machine stops, finds the old content or the new.
func writeAtomically(open opener, dir, name string, data []byte, sync bool) (err error) {
	path := filepath.Join(dir, name)
	f, err := open(path + tempSuffix)
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	_, err = f.Write(data)
	return publish(f, path, err, sync)
}

// publish closes a file that was written under its temporary name and gives it
// its own; with an error, its writer's or its own, it removes the file.
func publish(f file, path string, err error, sync bool) error {
	if err == nil && sync {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(path+tempSuffix, path)
	}
	if err == nil && sync {
		err = syncDir(filepath.Dir(path))
	}
	if err != nil {
		_ = os.Remove(path + tempSuffix) // the first error tells more
		return fmt.Errorf("write %s: %w", filepath.Base(path), err)
	}
	return nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
