package power

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/power/mutants"
)

// TestRecorded tells the lies of the catalogue in the storage histories of recorded
// runs: PLANECHECK_POWER_RUNS lists their directories, with colons between them, and
// PLANECHECK_POWER says how many mutants there are to be of each guarantee.
func TestRecorded(t *testing.T) {
	dirs := filepath.SplitList(os.Getenv("PLANECHECK_POWER_RUNS"))
	if len(dirs) == 0 {
		t.Skip("PLANECHECK_POWER_RUNS names no recorded runs")
	}
	r, err := RunRecorded(context.Background(), dirs, size(t).Mutants)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("\n%s", r.Table())
	publish(t, r)
	check(t, r)
	for _, g := range r.Lacking() {
		t.Errorf("%s: no mutant counted in %d recorded runs", g, len(dirs))
	}
}

// A guarantee of which no lie was told, or only such as are none, is named, and so are
// those that stay below what was asked for.
func TestLacking(t *testing.T) {
	f := func(lacking string, fate mutants.Fate, want ...string) {
		t.Helper()
		r := &Report{Recorded: true}
		for _, g := range Guarantees() {
			m := Mutant{Lie: Lie{Breaks: g}, Fate: mutants.Caught}
			if g == lacking {
				m.Fate = fate
			}
			if m.Fate != "" {
				r.Mutants = append(r.Mutants, m)
			}
		}
		if got := r.Lacking(); !slices.Equal(got, want) {
			t.Errorf("%s %q: lacking are %q, want %q", lacking, fate, got, want)
		}
		r.Config.Mutants = 1
		short := ""
		if len(want) > 0 {
			short = fmt.Sprintf("\nFewer than 1, for want of a place in these histories: %s (0).\n", lacking)
		}
		if got := r.Table(); !strings.Contains(got, short) || (short == "") == strings.Contains(got, "Fewer than") {
			t.Errorf("%s %q: no %q in %s", lacking, fate, short, got)
		}
	}
	f("", mutants.Caught)
	f("LeaseHonest", "", "LeaseHonest")
	f("Atomic", mutants.Acquitted, "Atomic")
	f("Durable", mutants.Escaped)
}

// A teller that is given the facts of a history tells what one tells that learns
// them, and leaves them as they were; and what the model leaves out, because the lie has
// not touched it, decides nothing.
func TestTellerOfFacts(t *testing.T) {
	for h := range uint64(3) {
		b := base{name: fmt.Sprint(h), h: generate(40 + h), bounds: etcdBounds()}
		known := b
		known.known = accept(study(b.h, b.bounds))
		for _, lie := range Catalogue() {
			for seed := range uint64(3) {
				learned, ok := tell(lie, b, seed)
				given, also := tell(lie, known, seed)
				learned.Why, given.Why = "", "" // the model may come to another of several keys first
				if ok != also || given.String() != learned.String() {
					t.Errorf("learned: %s\ngiven: %s", learned, given)
				}
			}
		}
		if f := study(b.h, b.bounds); len(f.bad) > 0 || !slices.EqualFunc(f.states, known.known.states, maps.Equal) {
			t.Errorf("history %d was changed: %q", h, f.bad)
		}
	}
}

// Whatever differs in a record is seen.
func TestSame(t *testing.T) {
	each(t, func(change func(*history.StoreOp)) bool {
		var a, b history.StoreOp
		change(&b)
		return sameBut(&a, &b) && a.Called == b.Called && a.Returned == b.Returned
	})
	each(t, func(change func(*history.StoreResult)) bool {
		var a, b history.StoreResult
		change(&b)
		return sameResult(a, b)
	})
	each(t, func(change func(*history.StoreWatch)) bool {
		var a, b history.StoreWatch
		change(&b)
		return sameMessage(&a, &b)
	})
}

// each calls same with a change of each field of a record, which is not to pass for none.
func each[T any](t *testing.T, same func(change func(*T)) bool) {
	t.Helper()
	typ := reflect.TypeFor[T]()
	for i := range typ.NumField() {
		if same(func(r *T) { set(reflect.ValueOf(r).Elem().Field(i)) }) {
			t.Errorf("%v: another %s is not seen", typ, typ.Field(i).Name)
		}
	}
}

// set gives a field another value than it has when nobody has set it.
func set(v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		v.SetString("x")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
	case reflect.Struct:
		set(v.Field(0))
	case reflect.Uint32, reflect.Uint64:
		v.SetUint(1)
	default:
		v.SetInt(1)
	}
}
