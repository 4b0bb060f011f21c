package archive

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/cespare/xxhash/v2"
)

func isIncomplete(err error) bool {
	var typed *IncompleteError
	return errors.Is(err, ErrIncomplete) && errors.As(err, &typed)
}

// damaged is a whole history of three segments of ten records, to be damaged.
func damaged(t testing.TB) (dir string) {
	t.Helper()
	dir = t.TempDir()
	var records []tiny
	for i := range 30 {
		records = append(records, *newTiny(i))
	}
	record(t, dir, tinies, records, 10)
	return dir
}

// Each damage is seen, and named after what is damaged. The records before it
// can be read, none behind a gap.
func TestDamage(t *testing.T) {
	second := segmentFile("tinies", 2)
	for _, c := range []struct {
		name   string
		damage func(t *testing.T, dir string)
		rows   int    // that can still be read
		want   string // in the error
		late   bool   // Complete cannot know of it
	}{
		{"nothing", func(*testing.T, string) {}, 30, "", true},
		{"a file of another kind", func(t *testing.T, dir string) { touch(t, dir, "notes.txt") }, 30, "", true},
		{"the last segment missing", func(t *testing.T, dir string) { remove(t, dir, segmentFile("tinies", 3)) }, 20, "tinies-00003.parquet: the segment is missing", false},
		{"a segment missing", func(t *testing.T, dir string) { remove(t, dir, second) }, 10, "is missing", false},
		{"a segment truncated", func(t *testing.T, dir string) {
			change(t, filepath.Join(dir, second), func(b []byte) []byte { return b[:len(b)-1] })
		}, 10, "bytes, not", false},
		{"a segment emptied", func(t *testing.T, dir string) {
			change(t, filepath.Join(dir, second), func([]byte) []byte { return nil })
		}, 10, "has 0 bytes", false},
		{"a segment longer", func(t *testing.T, dir string) {
			change(t, filepath.Join(dir, second), func(b []byte) []byte { return append(b, 0) })
		}, 10, "bytes, not", false},
		{"a bit flipped", func(t *testing.T, dir string) {
			change(t, filepath.Join(dir, second), func(b []byte) []byte { b[len(b)/3] ^= 1; return b })
		}, 10, "corrupt: its checksum", true},
		{"two segments swapped", func(t *testing.T, dir string) {
			rename(t, dir, second, "x")
			rename(t, dir, segmentFile("tinies", 1), second)
			rename(t, dir, "x", segmentFile("tinies", 1))
		}, 0, "segment", false},
		{"a segment too many", func(t *testing.T, dir string) { touch(t, dir, segmentFile("tinies", 4)) }, 30, "does not list it", false},
		{"a segment of an unknown stream", func(t *testing.T, dir string) { touch(t, dir, segmentFile("other", 1)) }, 30, "does not list it", false},
		{"an open segment left", func(t *testing.T, dir string) { touch(t, dir, segmentFile("tinies", 4)+tempSuffix) }, 30, "does not list it", false},
		{"a directory as segment", func(t *testing.T, dir string) {
			remove(t, dir, second)
			if err := os.Mkdir(filepath.Join(dir, second), 0o755); err != nil {
				t.Fatal(err)
			}
		}, 10, "not a file", false},
		{"not closed", func(t *testing.T, dir string) { edit(t, dir, func(m *manifest) { m.Closed = false }) }, 30, "was not closed", false},
		{"lost records", func(t *testing.T, dir string) { edit(t, dir, func(m *manifest) { m.Streams[0].Lost = 3 }) }, 30, "3 records of tinies were lost", false},
		{"a segment dropped from the list", func(t *testing.T, dir string) {
			edit(t, dir, func(m *manifest) { m.Streams[0].Segments = m.Streams[0].Segments[:2] })
		}, 20, "tinies-00003.parquet: the manifest does not list it", false},
		{"another number of records listed", func(t *testing.T, dir string) {
			edit(t, dir, func(m *manifest) { m.Streams[0].Segments[1].Rows++ })
		}, 10, "it has 10 records, not 11", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := damaged(t)
			c.damage(t, dir)
			r, err := Open(dir)
			if err != nil {
				t.Fatal(err)
			}
			if complete := r.Complete(); (complete == nil) != c.late {
				t.Errorf("Complete says %v", complete)
			}
			got, err := read(t, dir, tinies)
			if len(got) != c.rows {
				t.Errorf("read %d records, want %d", len(got), c.rows)
			}
			for i := range got {
				if got[i] != *newTiny(i) {
					t.Errorf("record %d is %v", i, got[i])
				}
			}
			if c.want == "" && err != nil {
				t.Errorf("a whole history: %v", err)
			}
			if c.want != "" && (!isIncomplete(err) || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("error %v, want an incomplete history with %q", err, c.want)
			}
		})
	}
}

func TestManifestDamage(t *testing.T) {
	path := func(dir string) string { return filepath.Join(dir, manifestName) }
	for _, c := range []struct {
		name   string
		damage func(t *testing.T, dir string)
		want   string
	}{
		{"missing", func(t *testing.T, dir string) { remove(t, dir, manifestName) }, "no such file"},
		{"empty", func(t *testing.T, dir string) { change(t, path(dir), func([]byte) []byte { return nil }) }, "JSON"},
		{"truncated", func(t *testing.T, dir string) {
			change(t, path(dir), func(b []byte) []byte { return b[:len(b)/2] })
		}, "JSON"},
		{"no version", func(t *testing.T, dir string) {
			change(t, path(dir), func(b []byte) []byte { return []byte(`{}`) })
		}, "no schema version"},
		{"a loss hidden", func(t *testing.T, dir string) {
			edit(t, dir, func(m *manifest) { m.Streams[0].Lost = 3 })
			change(t, path(dir), func(b []byte) []byte {
				return []byte(strings.Replace(string(b), `"lost": 3`, `"lost": 0`, 1))
			})
		}, "its checksum is"},
		{"a path that leaves the directory", func(t *testing.T, dir string) {
			edit(t, dir, func(m *manifest) { m.Streams[0].Segments[0].File = "../tinies-00001.parquet" })
		}, `is "../tinies-00001.parquet"`},
		{"a stream that leaves the directory", func(t *testing.T, dir string) {
			edit(t, dir, func(m *manifest) { m.Streams[0].Name = "../x" })
		}, "stream name"},
		{"a stream twice", func(t *testing.T, dir string) {
			edit(t, dir, func(m *manifest) { m.Streams = append(m.Streams, m.Streams[0]) })
		}, "not unique"},
		{"a gap in the list", func(t *testing.T, dir string) {
			edit(t, dir, func(m *manifest) {
				m.Streams[0].Segments = append(m.Streams[0].Segments[:1], m.Streams[0].Segments[2])
			})
		}, "segment 2 of stream tinies"},
		{"an empty segment", func(t *testing.T, dir string) {
			edit(t, dir, func(m *manifest) { m.Streams[0].Segments[0].Rows = 0 })
		}, "has 0 records"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := damaged(t)
			c.damage(t, dir)
			_, err := Open(dir)
			if !isIncomplete(err) || !strings.Contains(fmt.Sprint(err), c.want) {
				t.Errorf("Open returned %v, want an incomplete history with %q", err, c.want)
			}
		})
	}
}

func TestMissingStream(t *testing.T) {
	_, err := read(t, damaged(t), StoreOps)
	if !isIncomplete(err) || !strings.Contains(err.Error(), "no stream store-ops") {
		t.Errorf("error %v", err)
	}
}

func TestOtherSchemaVersion(t *testing.T) {
	dir := damaged(t)
	// Nothing but the version is as we know it.
	manifest := fmt.Sprintf(`{"schema": %d, "parts": ["of", "the", "future"]}`, SchemaVersion+1)
	change(t, filepath.Join(dir, manifestName), func([]byte) []byte { return []byte(manifest) })
	_, err := Open(dir)
	var version *VersionError
	if !errors.As(err, &version) || version.Got != SchemaVersion+1 || version.Want != SchemaVersion {
		t.Fatalf("Open returned %v", err)
	}
	for _, n := range []int{version.Got, version.Want} {
		if !strings.Contains(err.Error(), fmt.Sprint("version ", n)) {
			t.Errorf("%q does not name version %d", err, n)
		}
	}
	if errors.Is(err, ErrIncomplete) {
		t.Error("it is not known whether the history is complete")
	}
}

// Columns that are not those of the record are an error, though the Parquet
// library could convert them: a column that is missing would read as zeros.
func TestOtherColumns(t *testing.T) {
	type fewer struct {
		N int64 `parquet:"n"`
	}
	type renamed struct {
		N     int64 `parquet:"n"`
		Until int64 `parquet:"until,delta"`
		Text  string
	}
	type retyped struct {
		N    int32  `parquet:"n"`
		At   int64  `parquet:"at,delta"`
		Text string `parquet:"text"`
	}
	notTinies[fewer](t)
	notTinies[renamed](t)
	notTinies[retyped](t)
}

func notTinies[T any](t *testing.T) {
	t.Helper()
	got, err := read(t, damaged(t), Kind[T]{Name: tinies.Name})
	if !isIncomplete(err) || !strings.Contains(err.Error(), "its columns are not") || len(got) > 0 {
		t.Errorf("%T: read %d records and the error %v", *new(T), len(got), err)
	}
}

// A run that is killed leaves what was closed, and is seen to be incomplete.
func TestKilled(t *testing.T) {
	dir := t.TempDir()
	w := create(t, dir, Options{})
	s := stream(t, w, tinies)
	for i := range 10 {
		s.Append(newTiny(i))
	}
	w.Flush()
	for i := range 10 {
		s.Append(newTiny(10 + i))
	}
	got, err := read(t, dir, tinies) // as if the process had ended here
	if !isIncomplete(err) || len(got) != 10 {
		t.Errorf("read %d records and the error %v", len(got), err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if got, err := read(t, dir, tinies); err != nil || len(got) != 20 {
		t.Errorf("after Close: read %d records and the error %v", len(got), err)
	}
}

// The real thing: a manifest as a person reads it.
func TestManifestListsWhatIsThere(t *testing.T) {
	dir := damaged(t)
	r, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	var want []SegmentInfo
	for i := range 3 {
		data, err := os.ReadFile(filepath.Join(dir, segmentFile("tinies", i+1)))
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, SegmentInfo{
			File: fmt.Sprintf("tinies-0000%d.parquet", i+1), Rows: 10, Bytes: int64(len(data)),
			XXH64: hex64(xxhash.Sum64(data)), First: newTiny(10 * i).At, Last: newTiny(10*i + 9).At,
		})
	}
	if got := r.Streams(); !reflect.DeepEqual(got, []StreamInfo{{Name: "tinies", Segments: want}}) {
		t.Errorf("the manifest lists %+v", got)
	}
}

// edit changes the manifest as a writer would write it: with a right checksum.
func edit(t testing.TB, dir string, f func(*manifest)) {
	t.Helper()
	change(t, filepath.Join(dir, manifestName), func(data []byte) []byte {
		m, _, err := decodeManifest(data)
		if err != nil {
			t.Fatal(err)
		}
		f(m)
		if data, err = m.encode(); err != nil {
			t.Fatal(err)
		}
		return data
	})
}

func remove(t testing.TB, dir, name string) {
	t.Helper()
	if err := os.Remove(filepath.Join(dir, name)); err != nil {
		t.Fatal(err)
	}
}

func rename(t testing.TB, dir, from, to string) {
	t.Helper()
	if err := os.Rename(filepath.Join(dir, from), filepath.Join(dir, to)); err != nil {
		t.Fatal(err)
	}
}
