package judge

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/history/archive"
	"github.com/planecheck/planecheck/checkers/storage/storetest"
	"github.com/planecheck/planecheck/checkers/storage/watch"
)

// create opens a history where Directory finds it.
func create(t *testing.T) (dir string, w *archive.Writer, store *archive.StoreWriter) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "history")
	w, err := archive.Create(dir, archive.Options{NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	if store, err = archive.NewStoreWriter(w); err != nil {
		t.Fatal(err)
	}
	return dir, w, store
}

// write puts a history of the store where Directory finds it.
func write(t *testing.T, h storetest.History) string {
	t.Helper()
	dir, w, store := create(t)
	h.Feed(store)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

func mustJudge(t *testing.T, dir string, opt Options) *Judgement {
	t.Helper()
	j, err := Directory(t.Context(), dir, opt)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func outcomes(j *Judgement, want checkers.Outcome) []string {
	var names []string
	for _, v := range j.Verdicts {
		if v.Outcome == want {
			names = append(names, v.Guarantee)
		}
	}
	return names
}

func TestCleanHistory(t *testing.T) {
	h := storetest.Generate(1, storetest.Config{Ops: 6000})
	j := mustJudge(t, write(t, h), Options{Claimed: []string{"Order", "Reads", "RealTime", "Reliable"}})
	if bad := append(outcomes(j, checkers.Fail), outcomes(j, checkers.Invalid)...); len(bad) > 0 {
		t.Errorf("alarms of a good history: %+v", bad)
	}
	passed := outcomes(j, checkers.Pass)
	for _, name := range []string{"Order", "Replay", "Reads", "RealTime", "NoPhantom", "Ordered", "Unique", "Reliable"} {
		if !slices.Contains(passed, name) {
			t.Errorf("%s did not pass: passed %q, not exercised %q", name, passed, outcomes(j, checkers.NotExercised))
		}
	}
	if j.Operations != int64(len(h.Ops)) || j.Messages != int64(len(h.Watches)) || j.Revisions == 0 || j.Events == 0 {
		t.Errorf("read %d operations of %d, %d messages of %d", j.Operations, len(h.Ops), j.Messages, len(h.Watches))
	}
}

// Only a run that says that it did nothing to the store can ask for freshness.
func TestFreshness(t *testing.T) {
	dir := write(t, storetest.Generate(6, storetest.Config{Ops: 6000}))
	f := func(faultless bool, want checkers.Outcome) {
		t.Helper()
		for _, v := range mustJudge(t, dir, Options{Claimed: []string{}, Faultless: faultless}).Verdicts {
			if v.Guarantee == "Fresh" && v.Outcome != want {
				t.Errorf("faultless %v: %s, want %s", faultless, v, want)
			}
		}
	}
	f(true, checkers.Pass)
	f(false, checkers.NotExercised)
}

// What nobody claims is listed below its floors, and fails when it is broken.
func TestClaims(t *testing.T) {
	short := storetest.Generate(2, storetest.Config{Ops: 50})
	j := mustJudge(t, write(t, short), Options{Claimed: []string{"Order"}})
	if got := outcomes(j, checkers.Invalid); !slices.Equal(got, []string{"Order"}) {
		t.Errorf("Invalid %q, want the claimed one only", got)
	}
	if j := mustJudge(t, write(t, short), Options{}); len(outcomes(j, checkers.NotExercised)) > 0 {
		t.Error("with everything claimed, something is not exercised")
	}

	broken := storetest.Generate(2, storetest.Config{Ops: 6000})
	i := slices.IndexFunc(broken.Watches, func(w *history.StoreWatch) bool { return len(w.Events) == 1 && w.Watch > 0 })
	broken.Watches[i].Events[0].KV.Value++
	j = mustJudge(t, write(t, broken), Options{Claimed: []string{"Order"}})
	if failed := outcomes(j, checkers.Fail); !slices.Contains(failed, "Reliable") {
		t.Errorf("failed %q, want Reliable among them", failed)
	}
}

// Durable takes a member that ended and came back, of which only the run can tell.
func TestCrashes(t *testing.T) {
	h := storetest.Generate(1, storetest.Config{Ops: 6000})
	dir, half := write(t, h), h.Ops[len(h.Ops)/2]
	crash := []history.Crash{{Member: half.Member, Ended: half.Called, Back: half.Called + 1}}
	f := func(claimed []string, crashes []history.Crash, want checkers.Outcome) {
		t.Helper()
		for _, v := range mustJudge(t, dir, Options{Claimed: claimed, Crashes: crashes}).Verdicts {
			if v.Guarantee == "Durable" && v.Outcome != want {
				t.Errorf("claimed %q, crashes %+v: %s (%s), want %s", claimed, crashes, v, v.Checked, want)
			}
		}
	}
	f([]string{}, nil, checkers.NotExercised)
	f([]string{"Durable"}, nil, checkers.Invalid)
	f([]string{"Durable"}, crash, checkers.Pass)
	f([]string{}, crash, checkers.Pass)
}

// A history with a part missing proves nothing, neither way.
func TestIncompleteHistory(t *testing.T) {
	dir := write(t, storetest.Generate(3, storetest.Config{Ops: 3000}))
	segments, err := filepath.Glob(filepath.Join(dir, "store-ops-*.parquet"))
	if err != nil || len(segments) == 0 {
		t.Fatalf("no segments: %v", err)
	}
	data, err := os.ReadFile(segments[0])
	if err != nil {
		t.Fatal(err)
	}
	for what, damage := range map[string]func() error{
		"truncated": func() error { return os.WriteFile(segments[0], data[:len(data)/2], 0o644) },
		"missing":   func() error { return os.Remove(segments[0]) },
	} {
		if err := damage(); err != nil {
			t.Fatal(err)
		}
		j := mustJudge(t, dir, Options{Claimed: []string{"Order"}})
		if got := outcomes(j, checkers.Invalid); len(got) != len(j.Verdicts) {
			t.Errorf("%s: Invalid %q, want all", what, got)
		}
		if detail := j.Verdicts[0].Detail; !strings.Contains(detail, "store-ops") {
			t.Errorf("%s: the reason does not name the segment: %s", what, detail)
		}
	}
}

func TestNoHistory(t *testing.T) {
	if _, err := Directory(t.Context(), t.TempDir(), Options{}); err == nil {
		t.Error("an empty directory was judged")
	}
	dir := write(t, storetest.Generate(4, storetest.Config{Ops: 100}))
	manifest := filepath.Join(dir, "manifest.json")
	data, err := os.ReadFile(manifest)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(manifest, data[:10], 0o644); err != nil {
		t.Fatal(err)
	}
	j, err := Directory(t.Context(), dir, Options{})
	if err == nil && checkers.Worst(j.Verdicts) != checkers.Invalid {
		t.Errorf("a broken manifest: %+v", j.Verdicts[0])
	}
	if err != nil && errors.Is(err, os.ErrNotExist) {
		t.Errorf("a broken manifest reads as none: %v", err)
	}
}

// A key space that is too large to be read whole is compared by hashes, which
// must then be there, of every member.
func TestLargeHistory(t *testing.T) {
	f := func(large bool, without func(member string) bool, want checkers.Outcome, reason string) {
		t.Helper()
		h := storetest.Generate(5, storetest.Config{Ops: 6000})
		h.Ops = slices.DeleteFunc(h.Ops, func(op *history.StoreOp) bool { return op.Method == history.MethodHashKV && without(op.Member) })
		for _, v := range mustJudge(t, write(t, h), Options{Large: large}).Verdicts {
			if v.Guarantee == "MembersAgree" && (v.Outcome != want || !strings.Contains(v.Detail, reason)) {
				t.Errorf("large %v: %s (%s), want %s: %s", large, v, v.Checked, want, reason)
			}
		}
	}
	last := storetest.Generate(5, storetest.Config{Ops: 6000}).Ops
	third := last[len(last)-1].Member
	for _, large := range []bool{true, false} {
		f(large, func(string) bool { return false }, checkers.Pass, "")
		f(large, func(string) bool { return true }, checkers.Invalid, "0 pairs of hashes at one revision, the floor is 2")
		f(large, func(member string) bool { return member == third }, checkers.Invalid, "1 pairs of hashes at one revision, the floor is 2")
	}
}

// Of one member that is not read whole nothing says that it agrees with any other.
func TestLargeHistoryOfOneMember(t *testing.T) {
	f := func(large bool, want checkers.Outcome) {
		t.Helper()
		for _, v := range mustJudge(t, write(t, storetest.Generate(5, storetest.Config{Ops: 6000, Members: 1})), Options{Large: large}).Verdicts {
			if v.Guarantee == "MembersAgree" && v.Outcome != want {
				t.Errorf("large %v: %s (%s), want %s", large, v, v.Checked, want)
			}
		}
	}
	f(true, checkers.NotExercised)
	f(false, checkers.Pass)
}

func TestDeliveries(t *testing.T) {
	d := deliveries{}
	at := func(key string, commit, arrived history.Time, replayed bool) {
		d.observe(watch.Delivery{Key: key, Commit: watch.Interval{Called: 1, Returned: commit}, Arrived: arrived, Replayed: replayed})
	}
	at("/registry/pods/ns/a", 1e9, 3e9, false)
	at("/registry/pods/ns/b", 5e9, 4e9, false) // overtook the answer
	at("/registry/pods/ns/c", 1e9, 9e9, true)  // waited for its watch
	at("/registry/leases/x", 0, 9e9, false)    // nobody knows when it was committed
	at("other/key", 1e9, 2e9, false)
	got := d.list()
	if len(got) != 2 || got[0].Resource != "pods" || got[0].Count != 2 || got[1].Resource != "other" {
		t.Fatalf("%+v", got)
	}
	if max := got[0].Max.Seconds(); max < 1.98 || max > 2.02 {
		t.Errorf("max %v s, want 2", max)
	}
}
