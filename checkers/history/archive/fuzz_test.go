package archive

import (
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/cespare/xxhash/v2"

	"github.com/planecheck/planecheck/checkers/history"
)

// fuzzed is a small history of operations in two segments.
func fuzzed(f *testing.F) (dir string, ops []history.StoreOp) {
	ops = append(kubernetesOps(20), randomRecords[history.StoreOp](9, 5)...)
	dir = f.TempDir()
	record(f, dir, StoreOps, ops, 15)
	return dir, ops
}

// wholeOrError fails if a history reads without an error and is not what was
// written.
func wholeOrError(t *testing.T, dir string, want []history.StoreOp) error {
	got, err := read(t, dir, StoreOps)
	if err == nil && !reflect.DeepEqual(got, want) {
		t.Fatalf("read %d records without an error, and they are not the %d that were written", len(got), len(want))
	}
	return err
}

// FuzzDamage cuts, flips and overwrites bytes of the files of a history.
func FuzzDamage(f *testing.F) {
	dir, ops := fuzzed(f)
	names := []string{manifestName, segmentFile("store-ops", 1), segmentFile("store-ops", 2)}
	whole := map[string][]byte{}
	for _, name := range names {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			f.Fatal(err)
		}
		whole[name] = data
	}
	for which := range names {
		f.Add(uint8(which), uint32(0), uint32(0), uint8(0))    // nothing
		f.Add(uint8(which), uint32(1), uint32(0), uint8(0))    // one byte less
		f.Add(uint8(which), uint32(9999), uint32(0), uint8(0)) // nothing left
		for _, at := range []uint32{0, 3, 40, 100, 200, 300, 500, 1000} {
			f.Add(uint8(which), uint32(0), at, uint8(1))
			f.Add(uint8(which), uint32(0), at, uint8(0x20)) // the case of a letter
			f.Add(uint8(which), uint32(0), at, uint8(0xff))
		}
	}
	f.Fuzz(func(t *testing.T, which uint8, cut, at uint32, flip uint8) {
		name := names[int(which)%len(names)]
		data := append([]byte{}, whole[name]...)
		data = data[:len(data)-min(int(cut), len(data))]
		if len(data) > 0 {
			data[int(at)%len(data)] ^= flip
		}
		// A directory of its own: fuzzing runs in several processes, and these
		// files are small.
		own := t.TempDir()
		for _, n := range names {
			content := whole[n]
			if n == name {
				content = data
			}
			if err := os.WriteFile(filepath.Join(own, n), content, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		err := wholeOrError(t, own, ops)
		if same := string(data) == string(whole[name]); same && err != nil {
			t.Fatalf("undamaged: %v", err)
		} else if !same && err == nil && name != manifestName {
			t.Fatalf("damage of %s was not seen", name)
		}
	})
}

// FuzzManifest reads any bytes as the manifest of intact segments.
func FuzzManifest(f *testing.F) {
	dir, ops := fuzzed(f)
	path := filepath.Join(dir, manifestName)
	data, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add(data[:len(data)/2])
	f.Add([]byte(`{"schema": 3}`))
	f.Add([]byte(`{"schema": 1, "checksum": "", "history": null}`))
	f.Add([]byte(`{"schema": 1, "checksum": "ef46db3751d8e999", "history": {}}`))
	short := manifest{Closed: true, Streams: []StreamInfo{{Name: StoreOps.Name}}}
	if data, err = short.encode(); err != nil {
		f.Fatal(err)
	}
	f.Add(data) // right by itself, but there are segments
	f.Fuzz(func(t *testing.T, data []byte) {
		own := t.TempDir()
		for _, name := range []string{segmentFile("store-ops", 1), segmentFile("store-ops", 2)} {
			if err := os.Link(filepath.Join(dir, name), filepath.Join(own, name)); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(filepath.Join(own, manifestName), data, 0o644); err != nil {
			t.Fatal(err)
		}
		wholeOrError(t, own, ops)
	})
}

// FuzzSegment decodes any bytes as a segment, past the checksum: whoever writes
// a wrong segment can write its right checksum. Values may then be wrong; what
// is asked is that nothing panics and that no record is missing.
func FuzzSegment(f *testing.F) {
	dir, ops := fuzzed(f)
	const rows = 15
	data, err := os.ReadFile(filepath.Join(dir, segmentFile("store-ops", 1)))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	for i := 1; i < 40; i++ {
		flipped := append([]byte{}, data...)
		flipped[i*len(data)/40] ^= 1 << (i % 8)
		f.Add(flipped)
		f.Add(append(append([]byte{}, data[:i*len(data)/40]...), data[len(data)-8:]...))
	}
	f.Add([]byte("PAR1PAR1"))
	whole := xxhash.Sum64(data)
	f.Fuzz(func(t *testing.T, data []byte) {
		decoder, err := newRecords[history.StoreOp](SchemaVersion)
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		var failed error
		decoder.each(data, rows, func(op *history.StoreOp, err error) bool {
			if failed = err; err == nil {
				_ = clone(*op) // touches all of its memory
				if xxhash.Sum64(data) == whole && !reflect.DeepEqual(*op, ops[n]) {
					t.Fatalf("record %d is wrong", n)
				}
				n++
			}
			return true
		}, func(err error) error { return err })
		if failed == nil && n != rows {
			t.Fatalf("read %d records of %d without an error", n, rows)
		}
	})
}
