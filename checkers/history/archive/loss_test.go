package archive

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/planecheck/planecheck/checkers/history"
)

// faulty is a file whose operations can fail or wait.
type faulty struct {
	file
	path string
	op   func(path, op string) error
}

func (f faulty) Write(p []byte) (int, error) {
	if err := f.op(f.path, "write"); err != nil {
		return 0, err
	}
	return f.file.Write(p)
}

func (f faulty) Close() error { return errors.Join(f.op(f.path, "close"), f.file.Close()) }

func faultyOpener(op func(path, op string) error) opener {
	return func(path string) (file, error) {
		if err := op(path, "open"); err != nil {
			return nil, err
		}
		f, err := openFile(path)
		return faulty{f, path, op}, err
	}
}

func TestRotationBySize(t *testing.T) {
	dir := t.TempDir()
	const limit = 1 << 20
	w := create(t, dir, Options{SegmentBytes: limit})
	s := stream(t, w, tinies)
	r := rand.New(rand.NewPCG(1, 2))
	var want []tiny
	for i := range 2500 {
		rec := newTiny(i)
		rec.Text = noise(r, 1+r.IntN(4000))
		want = append(want, *rec)
		s.Append(rec)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	got, err := read(t, dir, tinies)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("(-written +read):\n%.1000s", diff)
	}
	reader, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	segments := reader.Streams()[0].Segments
	for i, seg := range segments {
		if seg.Bytes > limit || i < len(segments)-1 && seg.Bytes < limit/2 {
			t.Errorf("segment %s has %d bytes, limit %d", seg.File, seg.Bytes, limit)
		}
	}
	if len(segments) < 5 {
		t.Errorf("5 MB in %d segments of at most 1 MiB", len(segments))
	}
}

// A record is in a closed segment after at most SegmentAge, busy streams make
// one segment in that time, and quiet streams make none.
func TestRotationByAge(t *testing.T) {
	const seconds = 300
	dir := t.TempDir()
	appended := 0
	synctest.Test(t, func(t *testing.T) {
		w := create(t, dir, Options{})
		s := stream(t, w, tinies)
		wait := func(d time.Duration) {
			time.Sleep(d) // of the bubble's clock: takes no time
			synctest.Wait()
		}
		wait(100*time.Second + time.Millisecond)
		if got := s.info().Segments; len(got) > 0 {
			t.Errorf("segments %v of no records", got)
		}
		var before []int // by second, the records appended until then
		for second := range seconds {
			if second < 100 || second%47 == 0 { // busy, then rare
				s.Append(newTiny(appended))
				appended++
			}
			before = append(before, appended)
			wait(time.Second)
			if second >= 29 {
				if rows := s.info().Rows(); rows < int64(before[second-29]) {
					t.Fatalf("after %d s %d records are in closed segments, want at least %d", second+1, rows, before[second-29])
				}
			}
			if second == 99 {
				if n := len(s.info().Segments); n > 4 {
					t.Errorf("%d segments in 100 s", n)
				}
			}
		}
		wait(30 * time.Second)
		count := len(s.info().Segments)
		wait(1000 * time.Second)
		if got := s.info(); got.Rows() != int64(appended) || len(got.Segments) != count {
			t.Errorf("%d segments of %d records, want %d of %d", len(got.Segments), got.Rows(), count, appended)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	})
	if got, err := read(t, dir, tinies); err != nil || len(got) != appended {
		t.Errorf("read %d records and the error %v", len(got), err)
	}
}

// With a disk that does not answer, the queue fills and the rest is lost, each
// record counted.
func TestQueueIsBounded(t *testing.T) {
	dir := t.TempDir()
	release, blocked := make(chan struct{}), make(chan struct{})
	var once sync.Once
	w := create(t, dir, Options{QueueBytes: 100_000, SegmentAge: time.Hour, open: faultyOpener(func(path, op string) error {
		if strings.Contains(path, "tinies-") && op == "open" {
			once.Do(func() { close(blocked) })
			<-release
		}
		return nil
	})})
	s := stream(t, w, tinies)
	const n = 5000
	for i := range n {
		rec := newTiny(i)
		rec.Text = strings.Repeat("x", 160) // 200 bytes: 500 fit
		s.Append(rec)
	}
	<-blocked // it was woken, and what it works on still counts
	s.mu.Lock()
	held := s.bytes
	s.mu.Unlock()
	if held != 100_000 || s.Lost() != n-500 || w.Lost() != n-500 {
		t.Errorf("%d bytes wait, %d records were lost; want 100000 and %d", held, s.Lost(), n-500)
	}
	close(release)
	w.Flush()
	s.Append(newTiny(n)) // there is room again
	if err := w.Close(); err != nil {
		t.Fatalf("losses are no error of the writer: %v", err)
	}
	s.Append(newTiny(n + 1))
	if got := s.Lost(); got != n-500+1 {
		t.Errorf("lost %d records with the one after Close, want %d", got, n-500+1)
	}
	got, err := read(t, dir, tinies)
	if !isIncomplete(err) || len(got) != 501 {
		t.Errorf("read %d records and the error %v, want 501 and an incomplete history", len(got), err)
	}
	if want := fmt.Sprintf("%d records of tinies were lost", n-500); err != nil && !strings.Contains(err.Error(), want) {
		t.Errorf("error %q does not say %q", err, want)
	}
}

var errDisk = errors.New("no space left on device")

// A disk that fails in any way loses records, never the run, and never so that
// a reader could take what is left for the whole.
func TestDiskErrors(t *testing.T) {
	for _, c := range []struct {
		name    string
		fail    func(path, op string) bool
		lost    uint64 // of 10 records before the fault, 10 with it, 10 after it
		rows    int    // that can still be read
		removed bool   // the manifest still says what it said before
	}{
		{"open a segment", func(path, op string) bool { return strings.Contains(path, "tinies-") && op == "open" }, 20, 10, false},
		{"write a segment", func(path, op string) bool { return strings.Contains(path, "tinies-") && op == "write" }, 20, 10, false},
		{"close a segment", func(path, op string) bool { return strings.Contains(path, "tinies-") && op == "close" }, 20, 10, false},
		{"write the manifest", func(path, op string) bool { return strings.Contains(path, manifestName) && op == "write" }, 20, 10, true},
		{"write anything", func(_, op string) bool { return op == "write" }, 20, 10, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			var mu sync.Mutex
			broken := false
			var told []error
			failed := func(err error) {
				mu.Lock()
				defer mu.Unlock()
				told = append(told, err)
			}
			w := create(t, dir, Options{Failed: failed, open: faultyOpener(func(path, op string) error {
				mu.Lock()
				defer mu.Unlock()
				if broken && c.fail(path, op) {
					return errDisk
				}
				return nil
			})})
			s := stream(t, w, tinies)
			for i := range 30 {
				if i%10 == 0 {
					w.Flush()
				}
				if i == 10 {
					mu.Lock()
					broken = true
					mu.Unlock()
				}
				s.Append(newTiny(i))
			}
			w.Flush()
			if got := s.Lost(); got != c.lost {
				t.Errorf("lost %d records, want %d", got, c.lost)
			}
			mu.Lock()
			if len(told) != 1 || !errors.Is(told[0], errDisk) || !strings.Contains(told[0].Error(), "tinies") {
				t.Errorf("before Close it told of %v", told)
			}
			mu.Unlock()
			err := w.Close()
			if !errors.Is(err, errDisk) || !strings.Contains(err.Error(), "tinies") {
				t.Errorf("Close returned %v", err)
			}
			if len(told) != 1 {
				t.Errorf("Close told of it again: %v", told)
			}
			if again := w.Close(); again != err {
				t.Errorf("the second Close returned %v", again)
			}
			got, err := read(t, dir, tinies)
			if !isIncomplete(err) || len(got) != c.rows {
				t.Errorf("read %d records and the error %v, want %d and an incomplete history", len(got), err, c.rows)
			}
			if !c.removed && err != nil && !strings.Contains(err.Error(), errDisk.Error()) {
				t.Errorf("the error does not say what the writer met: %v", err)
			}
			for _, name := range files(t, dir) {
				if strings.HasSuffix(name, tempSuffix) {
					t.Errorf("%s was left behind", name)
				}
			}
		})
	}
}

func TestDirectoryRemoved(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "history")
	w := create(t, dir, Options{})
	s := stream(t, w, tinies)
	s.Append(newTiny(0))
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	w.Flush()
	s.Append(newTiny(1))
	if err := w.Close(); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Close returned %v", err)
	}
	if s.Lost() != 2 {
		t.Errorf("lost %d records, want 2", s.Lost())
	}
	if _, err := Open(dir); !isIncomplete(err) {
		t.Errorf("Open returned %v", err)
	}
}

// A panic, of the Parquet library or of a Kind, ends the stream and not the run.
func TestPanicIsAnError(t *testing.T) {
	kind := tinies
	kind.Times = func(r *tiny) (first, last history.Time) {
		if r.N == 3 {
			panic("out of range")
		}
		return r.At, r.At
	}
	dir := t.TempDir()
	w := create(t, dir, Options{})
	s := stream(t, w, kind)
	for i := range 5 {
		s.Append(newTiny(i))
	}
	if err := w.Close(); err == nil || !strings.Contains(err.Error(), "out of range") {
		t.Errorf("Close returned %v", err)
	}
	if s.Lost() != 5 {
		t.Errorf("lost %d records, want 5", s.Lost())
	}
}

func TestCreateRefuses(t *testing.T) {
	for name, opts := range map[string]Options{
		"small segments": {SegmentBytes: 1000}, "negative age": {SegmentAge: -1}, "negative queue": {QueueBytes: -1},
	} {
		if _, err := Create(t.TempDir(), opts); err == nil {
			t.Errorf("%s were accepted", name)
		}
	}
	for _, name := range []string{manifestName, "store-ops-00001.parquet", "store-ops-00001.parquet.tmp"} {
		dir := t.TempDir()
		change(t, touch(t, dir, name), func([]byte) []byte { return nil })
		if _, err := Create(dir, Options{}); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("a directory with %s: %v", name, err)
		}
	}
	dir := t.TempDir()
	touch(t, dir, "run.json")
	w := create(t, dir, Options{})
	stream(t, w, tinies)
	if _, err := NewStream(w, tinies); err == nil {
		t.Error("two streams of one name were accepted")
	}
	bad := tinies
	bad.Name = "../tinies"
	if _, err := NewStream(w, bad); err == nil {
		t.Error("the name ../tinies was accepted")
	}
	if err := w.Close(); err != nil {
		t.Error(err)
	}
	bad.Name = "late"
	if _, err := NewStream(w, bad); err == nil {
		t.Error("a stream was added after Close")
	}
	if _, err := read(t, dir, tinies); err != nil {
		t.Errorf("after what was refused: %v", err)
	}
}

func touch(t testing.TB, dir, name string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}
