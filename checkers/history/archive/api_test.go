package archive

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/planecheck/planecheck/checkers/history"
)

// TestAPIWriter checks that each kind of record comes back from its own stream,
// and that a history which never had them says so.
func TestAPIWriter(t *testing.T) {
	dir := t.TempDir()
	w := create(t, dir, Options{})
	sink, err := NewAPIWriter(w)
	if err != nil {
		t.Fatal(err)
	}
	calls := randomRecords[history.APICall](1, 3)
	watches := randomRecords[history.APIWatch](2, 4)
	versions := randomRecords[history.Version](3, 5)
	for i := range calls {
		sink.APICall(&calls[i])
	}
	for i := range watches {
		sink.APIWatch(&watches[i])
	}
	for i := range versions {
		sink.Version(&versions[i])
	}
	if err := w.Close(); err != nil || sink.Lost() != 0 {
		t.Fatal(err, sink.Lost())
	}
	same(t, dir, APICalls, calls)
	same(t, dir, APIWatches, watches)
	same(t, dir, Versions, versions)
	r, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if !r.Has(APICalls.Name) || r.Has(StoreOps.Name) {
		t.Errorf("streams: %+v", r.Streams())
	}
}

func same[T any](t *testing.T, dir string, kind Kind[T], want []T) {
	t.Helper()
	got, err := read(t, dir, kind)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("%s (-written +read):\n%s", kind.Name, d)
	}
}
