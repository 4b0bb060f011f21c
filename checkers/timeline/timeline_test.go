package timeline

import (
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/planecheck/planecheck/checkers/history"
)

func put(key string, create, mod, version int64) Change {
	return Change{Key: key, KV: history.StoreKV{Key: key, Create: create, Mod: mod, Version: version, Value: uint64(mod)}}
}

func del(key string, mod int64) Change {
	return Change{Key: key, Delete: true, KV: history.StoreKV{Key: key, Mod: mod}}
}

// naive is a second implementation: one whole map for every revision.
type naive []map[string]history.StoreKV

func random(rng *rand.Rand, revisions, keys int) (*Timeline, naive) {
	t := New(1)
	states := naive{nil, {}}
	for rev := int64(2); rev < int64(revisions); rev++ {
		next := map[string]history.StoreKV{}
		for k, v := range states[rev-1] {
			next[k] = v
		}
		var changes []Change
		for range rng.IntN(4) {
			key := fmt.Sprintf("/k/%03d", rng.IntN(keys))
			if slices.ContainsFunc(changes, func(c Change) bool { return c.Key == key }) {
				continue
			}
			old, ok := next[key]
			switch {
			case ok && rng.IntN(3) == 0:
				changes = append(changes, del(key, rev))
				delete(next, key)
			case ok:
				changes = append(changes, put(key, old.Create, rev, old.Version+1))
				next[key] = changes[len(changes)-1].KV
			default:
				changes = append(changes, put(key, rev, rev, 1))
				next[key] = changes[len(changes)-1].KV
			}
		}
		if err := t.Append(rev, changes); err != nil {
			panic(err)
		}
		states = append(states, next)
	}
	return t, states
}

func (n naive) list(rev int64, start, end string) []history.StoreKV {
	var kvs []history.StoreKV
	for key, kv := range n[rev] {
		if InRange(key, start, end) {
			kvs = append(kvs, kv)
		}
	}
	slices.SortFunc(kvs, func(a, b history.StoreKV) int { return strings.Compare(a.Key, b.Key) })
	return kvs
}

func TestAgainstNaive(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, keys := range []int{3, 40, 900} {
		tl, states := random(rng, 3000, keys)
		sweep := tl.Sweep()
		for range 400 {
			rev := 1 + rng.Int64N(int64(len(states)-1))
			key := fmt.Sprintf("/k/%03d", rng.IntN(keys))
			got, known := tl.Get(key, rev)
			if !known || got != states[rev][key] {
				t.Fatalf("Get(%s, %d) = %v, want %v", key, rev, got, states[rev][key])
			}
			end := []string{"", "\x00", "/k/5", "/k0", "/a"}[rng.IntN(5)]
			sweep.MoveTo(rev)
			var list []history.StoreKV
			sweep.List(key, end, func(kv history.StoreKV) bool { list = append(list, kv); return true })
			want := states.list(rev, key, end)
			if !slices.Equal(list, want) {
				t.Fatalf("List(%s, %q) at %d = %v, want %v", key, end, rev, list, want)
			}
			if n := sweep.Count(key, end); n != int64(len(want)) {
				t.Fatalf("Count(%s, %q) at %d = %d, want %d", key, end, rev, n, len(want))
			}
		}
	}
}

func TestAt(t *testing.T) {
	tl := New(1)
	must := func(rev int64, changes ...Change) {
		t.Helper()
		if err := tl.Append(rev, changes); err != nil {
			t.Fatal(err)
		}
	}
	must(2, put("a", 2, 2, 1), put("b", 2, 2, 1))
	must(3)
	must(4, put("a", 2, 4, 2))
	must(7, del("a", 7))
	if err := tl.Append(7, nil); err == nil {
		t.Error("a revision was appended twice")
	}
	if got := tl.At(2); len(got) != 2 || got[0].Key != "a" || got[1].Key != "b" || got[0].Prev.Version != 0 {
		t.Errorf("At(2) = %v", got)
	}
	if got := tl.At(7); len(got) != 1 || !got[0].Delete || got[0].Prev.Mod != 4 || got[0].KV.Mod != 7 {
		t.Errorf("At(7) = %v", got)
	}
	if got := tl.At(3); len(got) != 0 {
		t.Errorf("At(3) = %v", got)
	}
	if a, b, c := tl.Next(2), tl.Next(4), tl.Next(7); a != 4 || b != 7 || c != 0 {
		t.Errorf("Next = %d %d %d", a, b, c)
	}
	if first, last := tl.Bounds(); first != 1 || last != 7 {
		t.Errorf("Bounds = %d %d", first, last)
	}
	var revs []int64
	for rev := range tl.Changes(3, 7) {
		revs = append(revs, rev)
	}
	if !slices.Equal(revs, []int64{4, 7}) {
		t.Errorf("Changes(3, 7) = %v", revs)
	}
}

func TestUnknownUntilFirstSeen(t *testing.T) {
	tl := New(50)
	sweep := tl.Sweep()
	if _, known := tl.Get("a", 50); known {
		t.Error("a key that nobody saw is known")
	}
	tl.Learn("a", history.StoreKV{Mod: 20, Create: 10, Version: 3, Value: 9})
	tl.Learn("b", history.StoreKV{})
	if err := tl.Append(51, []Change{del("a", 51), put("c", Unknown, 51, Unknown)}); err != nil {
		t.Fatal(err)
	}
	if kv, known := tl.Get("a", 50); !known || kv.Key != "a" || kv.Mod != 20 {
		t.Errorf("a at 50 = %v %v", kv, known)
	}
	if kv, known := tl.Get("a", 51); !known || kv.Version != 0 {
		t.Errorf("a at 51 = %v %v", kv, known)
	}
	if kv, known := tl.Get("b", 60); !known || kv.Version != 0 {
		t.Errorf("b = %v %v", kv, known)
	}
	if kv, known := tl.Get("c", 51); !known || kv.Version != Unknown {
		t.Errorf("c = %v %v", kv, known)
	}
	if _, known := tl.Get("c", 50); known {
		t.Error("c before its first change is known")
	}
	for rev, want := range map[int64]int64{50: 1, 51: 1} {
		sweep.MoveTo(rev)
		if n := sweep.Count("a", "z"); n != want {
			t.Errorf("Count at %d = %d, want %d", rev, n, want)
		}
	}
	// What is learned later is there at once.
	tl.Learn("d", history.StoreKV{Mod: 2, Create: 2, Version: 1})
	if n := sweep.Count("a", "z"); n != 2 {
		t.Errorf("Count = %d after learning, want 2", n)
	}
}

// TestBytesPerChange keeps the promise that ten million changes fit in memory.
func TestBytesPerChange(t *testing.T) {
	if os.Getenv("PLANECHECK_BENCH_10M") == "" && testing.Short() {
		t.Skip("allocates 25 MB")
	}
	const n, keys = 400_000, 2000
	names := make([]string, keys)
	for i := range names {
		names[i] = fmt.Sprintf("/registry/pods/default/pod-%06d", i)
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	tl := New(1)
	for i := range int64(n) {
		if err := tl.Append(i+2, []Change{put(names[i%keys], 2, i+2, i/keys+1)}); err != nil {
			t.Fatal(err)
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if per := float64(after.HeapAlloc-before.HeapAlloc) / n; per > 60 {
		t.Errorf("%.1f bytes per change, want at most 60", per)
	}
	runtime.KeepAlive(tl)
}
