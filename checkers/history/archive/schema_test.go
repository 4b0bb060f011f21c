package archive

import (
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/parquet-go/parquet-go"

	"github.com/planecheck/planecheck/checkers/history"
)

// schema3Calls are the records of testdata/v3, which the writer of schema 3 has
// written: what stands before the field that schema 4 brought, and behind it.
func schema3Calls() []*history.APICall {
	object := func(n int64) history.APIObject {
		return history.APIObject{Namespace: "ns", Name: "a", UID: "u", Version: n, Content: uint64(n) * 7919, Deleting: n%2 == 0}
	}
	var calls []*history.APICall
	for i := range int64(9) {
		calls = append(calls, &history.APICall{
			ID: uint64(i + 1), Class: history.ClassContract, Identity: "contract-0", Server: "one", Called: history.Time(1000 * i), Returned: history.Time(1000*i + 7),
			Verb: "patch", Version: "v1", Resource: "configmaps", Namespace: "ns", Name: "a", DryRun: i == 3, ContentType: "application/merge-patch+json",
			FieldManager: "m", Declared: true, Sets: []history.Pair{{Name: "c00", Value: "v"}}, Removes: []string{"n", "c01"}[:i%3],
			Status: 200 + int32(i), Reason: "Invalid", Message: "of old", Object: object(i), ListVersion: 40 + i, NextPage: 4711,
			Items: []history.APIObject{object(i + 1), object(i + 2)}, Chunks: []history.APIChunk{{First: "ns/a", Last: "ns/b", Count: i, Digest: 99}},
			Bytes: 1 << i, Opaque: i == 8,
		})
		if i%3 == 0 {
			calls[i].Removes = nil
		}
	}
	return calls
}

// A history of schema 3 reads as it was written; what it does not have is empty.
func TestReadsSchema3(t *testing.T) {
	r, err := Open("testdata/v3")
	if err != nil {
		t.Fatal(err)
	}
	if r.Schema() != 3 {
		t.Errorf("it says that it is of schema %d", r.Schema())
	}
	want, n := schema3Calls(), 0
	for c, err := range Read(r, APICalls) {
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want[n], c); d != "" {
			t.Errorf("record %d (-want +got):\n%s", n, d)
		}
		n++
	}
	if n != len(want) {
		t.Errorf("%d records of %d", n, len(want))
	}
}

// A segment is held against the columns of the version that its manifest names:
// neither does a history of schema 4 pass for one of schema 3, nor the other way
// round, where a column that is missing would read as nothing.
func TestSegmentsAreOfTheManifestsVersion(t *testing.T) {
	for _, version := range []int{OldestSchema, SchemaVersion} {
		d, err := newRecords[history.APICall](version)
		if err != nil {
			t.Fatal(err)
		}
		r, err := Open("testdata/v3")
		if err != nil {
			t.Fatal(err)
		}
		seg, err := r.segment(APICalls.Name, 0)
		if err != nil {
			t.Fatal(err)
		}
		file, err := r.load(*seg, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := d.open(file, seg.Rows); (err == nil) != (version == 3) {
			t.Errorf("read as version %d: %v", version, err)
		}
	}
	dir := t.TempDir()
	w := create(t, dir, Options{})
	s := stream(t, w, APICalls)
	s.Append(&history.APICall{ID: 1, Illegal: history.UnknownDryRun})
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	r, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	r.manifest.version = 3
	for c, err := range Read(r, APICalls) {
		if !isIncomplete(err) {
			t.Errorf("as version 3: %+v, %v", c, err)
		}
	}
}

// Each field that came later says so, and is one of a record itself.
func TestLaterFields(t *testing.T) {
	for version, later := range map[int][]string{3: {"illegal"}, 4: nil} {
		l, err := layoutOf[history.APICall](version)
		if err != nil {
			t.Fatal(err)
		}
		known := map[string]bool{}
		for _, f := range l.fields {
			known[f.Name()] = true
		}
		var missing []string
		for _, f := range parquet.SchemaOf(history.APICall{}).Fields() {
			if !known[f.Name()] {
				missing = append(missing, f.Name())
			}
		}
		if !reflect.DeepEqual(missing, later) {
			t.Errorf("version %d lacks %v, want %v", version, missing, later)
		}
	}
}
