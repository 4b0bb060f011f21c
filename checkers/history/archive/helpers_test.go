package archive

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/planecheck/planecheck/checkers/history"
)

// random fills every field of a record, whatever fields it has: a field that
// the archive does not keep cannot be forgotten here. Lists have 1 to 3
// elements, so that all columns have values.
func random(r *rand.Rand, v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			random(r, v.Field(i))
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1+r.IntN(3), 3))
		for i := range v.Len() {
			random(r, v.Index(i))
		}
	case reflect.String:
		b := make([]byte, 1+r.IntN(40))
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		v.SetString(string(b))
	case reflect.Bool:
		v.SetBool(r.IntN(2) == 0)
	case reflect.Int, reflect.Int32, reflect.Int64:
		v.SetInt(int64(r.Uint64()))
	case reflect.Uint32, reflect.Uint64:
		v.SetUint(r.Uint64() >> (64 - v.Type().Bits()))
	case reflect.Float64:
		v.SetFloat(r.NormFloat64())
	default:
		panic("a record has a field of kind " + v.Kind().String())
	}
}

// sparse empties lists of a record at random, at every depth.
func sparse(r *rand.Rand, v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			sparse(r, v.Field(i))
		}
	case reflect.Slice:
		if r.IntN(2) == 0 {
			v.SetZero()
			return
		}
		for i := range v.Len() {
			sparse(r, v.Index(i))
		}
	}
}

func randomRecords[T any](seed uint64, n int) []T {
	r := rand.New(rand.NewPCG(seed, 1))
	records := make([]T, n)
	for i := range records {
		v := reflect.ValueOf(&records[i]).Elem()
		random(r, v)
		if i%2 == 1 {
			sparse(r, v)
		}
	}
	return records
}

// kubernetesOps are the renewals of node leases: what most of the operations of
// a large idle cluster look like.
func kubernetesOps(n int) []history.StoreOp {
	r := rand.New(rand.NewPCG(7, 1))
	ops := make([]history.StoreOp, n)
	now := history.Time(12_345_678_901_234)
	for i := range ops {
		key := fmt.Sprintf("/registry/leases/kube-node-lease/node-%05d", r.IntN(5000))
		now += history.Time(r.IntN(200_000))
		revision := int64(100_000 + i)
		compared := revision - int64(r.IntN(20_000))
		ops[i] = history.StoreOp{
			ID: uint64(i + 1), Client: uint32(r.IntN(12)), Member: fmt.Sprintf("m%d", r.IntN(3)), Method: history.MethodTxn,
			Called: now, Returned: now + history.Time(500_000+r.IntN(4_000_000)),
			Compares: []history.StoreCompare{{Key: key, Target: history.CompareMod, Op: "=", Number: compared}},
			Then:     []history.StoreAction{{Kind: history.ActionPut, Key: key, Value: r.Uint64(), Bytes: int64(300 + r.IntN(9))}},
			Else:     []history.StoreAction{{Kind: history.ActionRange, Key: key}},
			Header:   revision, Succeeded: i%50 != 0,
			Results: []history.StoreResult{{Header: revision}},
		}
		if i%50 == 0 { // a conflict: the key as it is now
			ops[i].Results[0] = history.StoreResult{Count: 1, KVs: []history.StoreKV{
				{Key: key, Create: 4711, Mod: revision - 1, Version: 17, Value: r.Uint64()}}}
		}
	}
	return ops
}

// kubernetesWatches are the events that those renewals cause, with the previous
// version, as Kubernetes asks for it.
func kubernetesWatches(n int) []history.StoreWatch {
	r := rand.New(rand.NewPCG(8, 1))
	watches := make([]history.StoreWatch, n)
	now := history.Time(12_345_678_901_234)
	for i := range watches {
		key := fmt.Sprintf("/registry/leases/kube-node-lease/node-%05d", r.IntN(5000))
		now += history.Time(r.IntN(200_000))
		revision, version := int64(100_000+i/3), int64(1+r.IntN(500))
		create := int64(1000 + r.IntN(5000))
		watches[i] = history.StoreWatch{
			Stream: uint64(1 + r.IntN(60)), Watch: int64(r.IntN(2)), Member: fmt.Sprintf("m%d", r.IntN(3)),
			Kind: history.WatchEvents, At: now, Header: revision,
			Events: []history.StoreEvent{{
				KV:   history.StoreKV{Key: key, Create: create, Mod: revision, Version: version + 1, Value: r.Uint64()},
				Prev: history.StoreKV{Key: key, Create: create, Mod: revision - int64(r.IntN(20_000)), Version: version, Value: r.Uint64()},
			}},
		}
	}
	return watches
}

// tiny is a record for the tests of everything but the records: Text gives it
// the size that a test wants.
type tiny struct {
	N    int64        `parquet:"n"`
	At   history.Time `parquet:"at,delta"`
	Text string       `parquet:"text"`
}

var tinies = Kind[tiny]{
	Name:  "tinies",
	Times: func(t *tiny) (first, last history.Time) { return t.At, t.At },
	Size:  func(t *tiny) int { return 40 + len(t.Text) },
}

func newTiny(n int) *tiny {
	return &tiny{N: int64(n), At: history.Time(1000 + n), Text: fmt.Sprintf("record %d", n)}
}

// noise is text that does not compress.
func noise(r *rand.Rand, n int) string {
	var b strings.Builder
	for range n {
		b.WriteByte(byte(r.Uint32()))
	}
	return b.String()
}

func create(t testing.TB, dir string, opts Options) *Writer {
	t.Helper()
	opts.NoSync = true // the order of calls is the same, and tests are faster
	w, err := Create(dir, opts)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func stream[T any](t testing.TB, w *Writer, kind Kind[T]) *Stream[T] {
	t.Helper()
	s, err := NewStream(w, kind)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// record writes a history of one stream, in segments of at most perSegment
// records.
func record[T any](t testing.TB, dir string, kind Kind[T], records []T, perSegment int) {
	t.Helper()
	w := create(t, dir, Options{QueueBytes: 1 << 40})
	s := stream(t, w, kind)
	for i := range records {
		s.Append(&records[i])
		if (i+1)%perSegment == 0 {
			w.Flush()
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

// read returns copies of all records and the error at the end.
func read[T any](t testing.TB, dir string, kind Kind[T]) ([]T, error) {
	t.Helper()
	r, err := Open(dir)
	if err != nil {
		return nil, err
	}
	var records []T
	for rec, err := range Read(r, kind) {
		if err != nil {
			if rec != nil {
				t.Fatalf("a record came with the error %v", err)
			}
			return records, err
		}
		records = append(records, clone(*rec))
	}
	return records, nil
}

// clone copies a record with its lists, as callers of Read do that keep one.
func clone[T any](v T) T {
	deep(reflect.ValueOf(&v).Elem())
	return v
}

func deep(v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			deep(v.Field(i))
		}
	case reflect.Slice:
		if v.IsNil() {
			return
		}
		own := reflect.MakeSlice(v.Type(), v.Len(), v.Len())
		reflect.Copy(own, v)
		v.Set(own)
		for i := range v.Len() {
			deep(v.Index(i))
		}
	}
}

func change(t testing.TB, path string, f func([]byte) []byte) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, f(data), 0o644); err != nil {
		t.Fatal(err)
	}
}

func files(t testing.TB, dir string) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range paths {
		paths[i] = filepath.Base(paths[i])
	}
	return paths
}
