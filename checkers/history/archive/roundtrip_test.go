package archive

import (
	"fmt"
	"math"
	"os"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/parquet-go/parquet-go"

	"github.com/planecheck/planecheck/checkers/history"
)

func TestRoundTrip(t *testing.T) {
	t.Run("operations", func(t *testing.T) { roundTrip(t, StoreOps, randomRecords[history.StoreOp](1, 1500)) })
	t.Run("watches", func(t *testing.T) { roundTrip(t, StoreWatches, randomRecords[history.StoreWatch](2, 1500)) })
	t.Run("attempts", func(t *testing.T) { roundTrip(t, APICalls, randomRecords[history.APICall](4, 1500)) })
	t.Run("API watches", func(t *testing.T) { roundTrip(t, APIWatches, randomRecords[history.APIWatch](5, 1500)) })
	t.Run("versions", func(t *testing.T) { roundTrip(t, Versions, randomRecords[history.Version](6, 1500)) })
	t.Run("realistic operations", func(t *testing.T) { roundTrip(t, StoreOps, kubernetesOps(1500)) })
	t.Run("realistic watches", func(t *testing.T) { roundTrip(t, StoreWatches, kubernetesWatches(1500)) })
	t.Run("zero operations", func(t *testing.T) { roundTrip(t, StoreOps, make([]history.StoreOp, 3)) })
	t.Run("zero watches", func(t *testing.T) { roundTrip(t, StoreWatches, make([]history.StoreWatch, 3)) })
	t.Run("other kinds of fields", func(t *testing.T) { roundTrip(t, odds, randomRecords[odd](3, 1500)) })
	t.Run("nothing", func(t *testing.T) { roundTrip(t, tinies, nil) })
}

// odd has what records may have and the store's do not.
type odd struct {
	Nested  []oddParent `parquet:"nested,list"` // its first column is two lists deep
	Plain   []int64     `parquet:"plain"`       // a repeated field without LIST
	Names   []string    `parquet:"names,list"`
	NoTag   float64
	Int     int    `parquet:"int"`
	Int32   int32  `parquet:"int32,delta"`
	Flag    bool   `parquet:"flag"`
	Small   uint32 `parquet:"small"`
	Group   oddGroup
	Trailer string `parquet:"trailer,dict"`
}

type oddGroup struct {
	A []bool  `parquet:"a,list"`
	B float64 `parquet:"b"`
}

type oddParent struct {
	Children []oddChild `parquet:"children,list"`
	Own      uint64     `parquet:"own"`
}

type oddChild struct {
	Words []string `parquet:"words,list"`
	Last  int32    `parquet:"last"`
}

var odds = Kind[odd]{
	Name:  "odds",
	Times: func(o *odd) (first, last history.Time) { return 0, 0 },
	Size:  func(*odd) int { return 500 },
}

func roundTrip[T any](t *testing.T, kind Kind[T], records []T) {
	t.Helper()
	dir := t.TempDir()
	record(t, dir, kind, records, 700)
	got, err := read(t, dir, kind)
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != len(records) {
		t.Fatalf("read %d records, wrote %d", len(got), len(records))
	}
	for i := range got {
		if !reflect.DeepEqual(got[i], records[i]) {
			t.Fatalf("record %d (-written +read):\n%s", i, cmp.Diff(records[i], got[i]))
		}
	}
	r, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	info := r.Streams()[0]
	if want := (len(records) + 699) / 700; len(info.Segments) != want || info.Rows() != int64(len(records)) {
		t.Errorf("%d segments of %d records, want %d of %d", len(info.Segments), info.Rows(), want, len(records))
	}
}

func TestMoreThanARowGroup(t *testing.T) {
	records := make([]tiny, 2*groupRows+1)
	for i := range records {
		records[i] = *newTiny(i)
	}
	dir := t.TempDir()
	record(t, dir, tinies, records, len(records))
	if got, err := read(t, dir, tinies); err != nil || !reflect.DeepEqual(got, records) {
		t.Errorf("read %d records of %d and the error %v", len(got), len(records), err)
	}
}

func TestEmptyListReadsAsNil(t *testing.T) {
	dir := t.TempDir()
	record(t, dir, StoreOps, []history.StoreOp{{
		ID: 1, Compares: []history.StoreCompare{}, Then: []history.StoreAction{},
		Results: []history.StoreResult{{KVs: []history.StoreKV{}}},
	}}, 1)
	got, err := read(t, dir, StoreOps)
	if err != nil {
		t.Fatal(err)
	}
	want := []history.StoreOp{{ID: 1, Results: []history.StoreResult{{}}}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("(-want +read):\n%s", cmp.Diff(want, got))
	}
}

func TestStringsOutliveTheirRecord(t *testing.T) {
	dir := t.TempDir()
	ops := kubernetesOps(3000)
	for i := range ops {
		ops[i].Then[0].Key += strings.Repeat("x", i%300) // some are too long for the table
	}
	record(t, dir, StoreOps, ops, 1000)
	r, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	for op, err := range Read(r, StoreOps) {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, op.Then[0].Key)
	}
	runtime.GC()
	for i, key := range keys {
		if key != ops[i].Then[0].Key {
			t.Fatalf("key %d became %q, was %q", i, key, ops[i].Then[0].Key)
		}
	}
}

// The lists are stored through unsafe pointers. If the collector did not see
// them, it would free what only a record's list holds.
func TestListsSurviveTheCollector(t *testing.T) {
	dir := t.TempDir()
	records := randomRecords[odd](5, 2000)
	record(t, dir, odds, records, 500)
	r, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	i := 0
	for rec, err := range Read(r, odds) {
		if err != nil {
			t.Fatal(err)
		}
		if i%100 == 0 {
			runtime.GC()
		}
		if !reflect.DeepEqual(*rec, records[i]) {
			t.Fatalf("record %d (-written +read):\n%s", i, cmp.Diff(records[i], *rec))
		}
		i++
	}
}

func TestSegmentTimes(t *testing.T) {
	dir := t.TempDir()
	record(t, dir, StoreOps, []history.StoreOp{
		{ID: 1, Called: 50, Returned: 60}, {ID: 2, Called: 40, Returned: 45}, {ID: 3, Called: 55},
		{ID: 4, Called: 70, Returned: 90}, {ID: 5, Called: 80},
	}, 3)
	r, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, seg := range r.Streams()[0].Segments {
		got = append(got, fmt.Sprint(seg.File, " ", seg.Rows, " ", int64(seg.First), "-", int64(seg.Last)))
	}
	want := []string{"store-ops-00001.parquet 3 40-60", "store-ops-00002.parquet 2 70-90"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestReadStopsWhenTheCallerDoes(t *testing.T) {
	dir := t.TempDir()
	record(t, dir, StoreOps, kubernetesOps(100), 30)
	r, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // and can begin again
		n := 0
		for op, err := range Read(r, StoreOps) {
			if err != nil || op.ID != uint64(n+1) {
				t.Fatalf("record %d: %v, %v", n, op, err)
			}
			if n++; n == 42 {
				break
			}
		}
	}
}

func TestConcurrentAppend(t *testing.T) {
	const writers, each = 8, 2500
	dir := t.TempDir()
	w := create(t, dir, Options{SegmentBytes: 1 << 20})
	sink, err := NewStoreWriter(w)
	if err != nil {
		t.Fatal(err)
	}
	ops, watches := kubernetesOps(writers*each), kubernetesWatches(writers*each)
	var wg sync.WaitGroup
	for g := range writers {
		wg.Go(func() {
			for i := g * each; i < (g+1)*each; i++ {
				ops[i].Client = uint32(g)
				watches[i].Stream = uint64(g)
				watches[i].Watch = int64(i)
				sink.StoreOp(&ops[i])
				sink.StoreWatch(&watches[i])
				if i%1000 == 0 {
					sink.Lost()
				}
			}
		})
	}
	wg.Wait()
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	gotOps, err := read(t, dir, StoreOps)
	if err != nil {
		t.Fatal(err)
	}
	last := map[uint32]uint64{}
	for _, op := range gotOps {
		if op.ID <= last[op.Client] {
			t.Fatalf("operation %d of client %d came after %d", op.ID, op.Client, last[op.Client])
		}
		last[op.Client] = op.ID
		if !reflect.DeepEqual(op, ops[op.ID-1]) {
			t.Fatalf("operation %d (-written +read):\n%s", op.ID, cmp.Diff(ops[op.ID-1], op))
		}
	}
	gotWatches, err := read(t, dir, StoreWatches)
	if err != nil {
		t.Fatal(err)
	}
	for _, watch := range gotWatches {
		if !reflect.DeepEqual(watch, watches[watch.Watch]) {
			t.Fatalf("message %d (-written +read):\n%s", watch.Watch, cmp.Diff(watches[watch.Watch], watch))
		}
	}
	if len(gotOps) != writers*each || len(gotWatches) != writers*each || sink.Lost() != 0 {
		t.Errorf("read %d and %d records, lost %d", len(gotOps), len(gotWatches), sink.Lost())
	}
}

func TestTypesThatCannotBeKept(t *testing.T) {
	refuses[int](t, "not a struct")
	refuses[struct {
		P *int64 `parquet:"p"`
	}](t, "optional")
	refuses[struct {
		P int64 `parquet:"p,optional"`
	}](t, "optional")
	refuses[struct {
		M map[string]string `parquet:"m"`
	}](t, "")
	refuses[struct {
		B []byte `parquet:"b"`
	}](t, "")
	refuses[struct {
		S int16 `parquet:"s"`
	}](t, "int16")
	refuses[struct {
		S int64 `parquet:"s,dict"`
	}](t, "dictionary")
	refuses[struct {
		S int64 `parquet:"s,nonsense"`
	}](t, "")
	refuses[struct{ tiny }](t, "")
}

func refuses[T any](t *testing.T, want string) {
	t.Helper()
	w := create(t, t.TempDir(), Options{})
	defer w.Close()
	_, err := NewStream(w, Kind[T]{Name: "refused", Times: func(*T) (a, b history.Time) { return 0, 0 }, Size: func(*T) int { return 1 }})
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%T: error %v, want one with %q", *new(T), err, want)
	}
}

func TestInternerIsBounded(t *testing.T) {
	var in interner
	for i := range 3 * internSlots {
		if got, want := in.get(fmt.Appendf(nil, "key-%d", i)), fmt.Sprintf("key-%d", i); got != want {
			t.Fatalf("got %q, want %q", got, want)
		}
	}
	if len(in.table) != internSlots {
		t.Errorf("the table has %d slots", len(in.table))
	}
}

// The columns of the records are what SchemaVersion stands for. If this test
// fails because a record has changed, raise SchemaVersion and replace the file.
func TestSchemaVersionNamesTheColumns(t *testing.T) {
	var got string
	for _, record := range []any{
		history.StoreOp{}, history.StoreWatch{}, history.APICall{}, history.APIWatch{}, history.Version{},
	} {
		got += parquet.SchemaOf(record).String() + "\n\n"
	}
	name := fmt.Sprintf("testdata/schema-v%d.txt", SchemaVersion)
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("columns of version %d (-golden +now):\n%s", SchemaVersion, diff)
	}
}

func TestMergeKeepsOrderAndEndsAtAnError(t *testing.T) {
	dir := t.TempDir()
	w := create(t, dir, Options{})
	sink, err := NewStoreWriter(w)
	if err != nil {
		t.Fatal(err)
	}
	for _, op := range []history.StoreOp{{ID: 1, Called: 1, Returned: 10}, {ID: 2, Called: 2, Returned: 30}, {ID: 3, Called: 5}, {ID: 4, Called: 40, Returned: 50}} {
		sink.StoreOp(&op)
	}
	for _, at := range []history.Time{5, 10, 35, 50, 60} {
		sink.StoreWatch(&history.StoreWatch{At: at})
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	merged := func() (order []string, err error) {
		r, err := Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		for rec, err := range ReadStore(r) {
			switch {
			case err != nil:
				return order, err
			case rec.Op != nil:
				order = append(order, fmt.Sprint("op ", rec.Op.ID))
			default:
				order = append(order, fmt.Sprint("watch ", int64(rec.Watch.At)))
			}
		}
		return order, nil
	}
	got, err := merged()
	if err != nil {
		t.Fatal(err)
	}
	// Operation 3 never returned and is not moved to where it was called.
	want := []string{"watch 5", "op 1", "watch 10", "op 2", "op 3", "watch 35", "op 4", "watch 50", "watch 60"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	change(t, dir+"/store-watches-00001.parquet", func(b []byte) []byte { b[len(b)/2] ^= 4; return b })
	if got, err := merged(); !isIncomplete(err) || len(got) != 0 {
		t.Errorf("with a corrupt stream: %v and the error %v", got, err)
	}
}

func TestMergeBreaks(t *testing.T) {
	one := func(yield func(int, error) bool) {
		for i := 0; i < math.MaxInt && yield(i, nil); i += 2 {
		}
	}
	n := 0
	for i, err := range Merge(func(i int) history.Time { return history.Time(i) }, one, one) {
		if err != nil || i != n/2*2 {
			t.Fatalf("record %d is %d, %v", n, i, err)
		}
		if n++; n == 10 {
			return
		}
	}
	t.Error("the sequence ended")
}
