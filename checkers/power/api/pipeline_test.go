package apipower

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/history/archive"
	"github.com/planecheck/planecheck/checkers/power/mutants"
)

// A history without a lie raises no alarm, and the model accepts all of it.
func TestTinyIsClean(t *testing.T) {
	b := tiny()
	var r Report
	r.clean(b, table(b.Versions))
	for _, alarm := range r.FalseAlarms {
		t.Errorf("alarm: %s", alarm)
	}
	for _, why := range r.FalseObjections {
		t.Errorf("objection: %s", why)
	}
}

// Every lie finds a place in a tiny history, counts there, and is caught unless
// it is known to be missed.
func TestPipeline(t *testing.T) {
	b := tiny()
	tab := table(b.Versions)
	for _, lie := range Catalogue() {
		var told, counted bool
		for seed := uint64(0); seed < 20 && !counted; seed++ {
			m, ok := tell(lie, b, tab, seed)
			told = told || ok
			for _, bare := range m.Bare {
				t.Errorf("without a table of what happened: %s (%s)", bare, m)
			}
			if !ok || m.Fate == mutants.Acquitted {
				continue
			}
			counted = true
			switch missed := m.Fate == mutants.Escaped || m.Fate == mutants.ByAnother; {
			case missed && lie.Missed == "":
				t.Errorf("%s", m)
			case !missed && lie.Missed != "":
				t.Errorf("%s: %s: is caught now; it is no longer known to be missed", lie.Breaks, lie.Name)
			}
		}
		if !counted {
			t.Errorf("%s: %s: never counted (told: %v)", lie.Breaks, lie.Name, told)
		}
	}
}

// Load reads what a run leaves behind, and nothing that is incomplete.
func TestLoad(t *testing.T) {
	w := script()
	b := w.finish()
	b.Calls = append(b.Calls, &history.APICall{ID: 1 << 20, Verb: "watch", Called: w.now, Returned: w.now, Opaque: true})
	b.Watches = append(b.Watches, &history.APIWatch{Call: 1 << 20, Type: "ADDED", At: w.now})
	dir := t.TempDir()
	out, err := archive.Create(filepath.Join(dir, "history"), archive.Options{NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	store, err := archive.NewStoreWriter(out)
	if err != nil {
		t.Fatal(err)
	}
	api, err := archive.NewAPIWriter(out)
	if err != nil {
		t.Fatal(err)
	}
	feed(w.ops, store.StoreOp)
	feed(b.Calls, api.APICall)
	feed(b.Watches, api.APIWatch)
	feed(b.Versions, api.Version)
	if _, err := Load(dir); err == nil {
		t.Error("a history that is not closed was loaded")
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	record := fmt.Sprintf(`{"calm": %d, "plan": {"judge": {"claimed": []}}}`, w.now/2)
	if err := os.WriteFile(filepath.Join(dir, "run.json"), []byte(record), 0o644); err != nil {
		t.Fatal(err)
	}
	got, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	if got.Calm != w.now/2 {
		t.Errorf("loaded that the faults were over at %d, not %d", got.Calm, w.now/2)
	}
	if len(got.Calls) != len(b.Calls)-1 || len(got.Watches) != len(b.Watches)-1 || len(got.Versions) != len(b.Versions) {
		t.Errorf("loaded %d calls, %d messages, %d versions", len(got.Calls), len(got.Watches), len(got.Versions))
	}
	var r Report
	r.clean(got, table(got.Versions))
	if len(r.FalseAlarms)+len(r.FalseObjections) > 0 {
		t.Errorf("without a lie: %v %v", r.FalseAlarms, r.FalseObjections)
	}
}

// Each guarantee has its kinds of lies, each with a name of its own.
func TestCatalogue(t *testing.T) {
	kinds := map[string]int{}
	names := map[string]bool{}
	for _, lie := range Catalogue() {
		kinds[lie.Breaks]++
		if names[lie.Breaks+lie.Name] {
			t.Errorf("%s, %s: twice in the catalogue", lie.Breaks, lie.Name)
		}
		names[lie.Breaks+lie.Name] = true
	}
	for g, n := range kinds {
		if n < 3 {
			t.Errorf("%s: %d kinds of lies", g, n)
		}
	}
}

// A lie tells nothing to the history that it was told in.
func TestLiesLeaveTheBase(t *testing.T) {
	b, fresh := tiny(), tiny()
	tab := table(b.Versions)
	for _, lie := range Catalogue() {
		tell(lie, b, tab, 1)
	}
	for i, c := range b.Calls {
		if !slices.Equal(c.Items, fresh.Calls[i].Items) || c.Object != fresh.Calls[i].Object || c.Name != fresh.Calls[i].Name {
			t.Fatalf("call %d was changed", c.ID)
		}
	}
	for i, m := range b.Watches {
		if *m != *fresh.Watches[i] {
			t.Fatalf("message %d was changed", i)
		}
	}
	for i, v := range b.Versions {
		if f := fresh.Versions[i]; v.UID != f.UID || v.Content != f.Content || v.Revision != f.Revision || !slices.Equal(v.Marks, f.Marks) || !slices.Equal(v.Fields, f.Fields) {
			t.Fatalf("version %d was changed", v.Revision)
		}
	}
}

// The model acquits a GET that shows a version which was replaced while the
// GET ran, and rejects it a moment later.
func TestModelAcquits(t *testing.T) {
	w := newWorld()
	w.create("configmaps", "n", "a", "a")
	old := w.b.Versions[0]
	w.write("patch", "configmaps", "n", "a", "a", "")
	beside := w.call("get", "configmaps", "n", "a")
	beside.Called = w.b.Calls[1].Called
	w.answer(beside, old)
	behind := w.call("get", "configmaps", "n", "a")
	w.answer(behind, old)
	b := w.finish()
	if why := b.facts.callWrong(b.Window, b.Calls, beside); why != "" {
		t.Errorf("the one beside the write: %s", why)
	}
	if why := b.facts.callWrong(b.Window, b.Calls, behind); why == "" {
		t.Error("the one behind the write was accepted")
	}
}

// The model acquits a refusal of a deletion that Kubernetes refuses for good, and
// only where nothing but the garbage collector holds the object.
func TestModelAcquitsRefusedForGood(t *testing.T) {
	f := func(want bool, verb string, finalizers ...string) {
		t.Helper()
		w := newWorld()
		w.create("configmaps", "n", "a", "a")
		w.b.Versions[0].Finalizers = finalizers
		c := w.call(verb, "configmaps", "n", "a")
		conflict(c)
		c.NeedVersion = "2"
		b := w.finish()
		if why := b.facts.callWrong(b.Window, b.Calls, c); (why == "") != want {
			t.Errorf("%s with %q: %q", verb, finalizers, why)
		}
	}
	f(true, "delete", "foregroundDeletion")
	f(true, "delete", "orphan", "foregroundDeletion")
	f(false, "delete", "orphan", "example.com/hold")
	f(false, "delete")
	f(false, "update", "orphan")
}

// The model rejects a dry run that deletes, with preconditions too, unless another call
// may have done it.
func TestModelRejectsDeletionOfDryRun(t *testing.T) {
	f := func(want bool, beside func(*history.APICall)) {
		t.Helper()
		w := newWorld()
		w.create("configmaps", "n", "a", "a")
		dry := w.call("delete", "configmaps", "n", "a")
		dry.DryRun, dry.NeedVersion = true, "2"
		other := w.call("update", "pods", "n", "b")
		beside(other)
		w.commit(&history.Version{Key: path("configmaps", "n", "a"), Resource: "configmaps", Delete: true})
		dry.Returned = w.now + 3*tick
		b := w.finish()
		if why := b.facts.callWrong(b.Window, b.Calls, dry); (why != "") != want {
			t.Errorf("with %s of %s %s: %q, want some: %v", other.Verb, other.Resource, other.Namespace, why, want)
		}
	}
	of := func(verb, ns, name string, status int32) func(*history.APICall) {
		return func(c *history.APICall) {
			c.Resource, c.Verb, c.Namespace, c.Name, c.Status = "configmaps", verb, ns, name, status
		}
	}
	f(true, func(*history.APICall) {})
	f(true, of("deletecollection", "m", "", 200))
	f(false, of("deletecollection", "n", "", 200))
	f(true, of("update", "n", "a", 409))
	f(true, of("update", "n", "a", 200)) // which removes only what is marked for deletion
	f(false, of("delete", "n", "a", 409))
	f(false, of("delete", "n", "a", 504))
}

// The initial state of a watch is not from after the bookmark that ends it, be it that
// nothing was there then, and nothing is there in the end.
func TestModelRejectsSilence(t *testing.T) {
	w := newWorld()
	w.watch("configmaps", "n", "", true)
	c := w.b.Calls[len(w.b.Calls)-1]
	w.create("configmaps", "n", "a", "a")
	w.remove("configmaps", "n", "a", "", false)
	w.now += history.Time(2 * delivery)
	b := w.finish()
	ms := slices.Clone(b.facts.messages[c.ID])
	if why := b.facts.watchWrong(b.Window, c, ms); why != "" {
		t.Fatalf("without a lie: %s", why)
	}
	ms = slices.DeleteFunc(ms, func(m *history.APIWatch) bool {
		return m.Type != history.APIWatchOpen && m.Type != history.APIWatchClosed && !m.InitialEnd
	})
	if len(ms) != 3 {
		t.Fatalf("%d messages are left", len(ms))
	}
	if why := b.facts.watchWrong(b.Window, c, ms); why == "" {
		t.Error("a watch that shows nothing was accepted")
	}
}

// A run with little to tell still reaches every guarantee, reports equally
// twice, and ends with its context.
func TestRun(t *testing.T) {
	var tables []string
	for range 2 {
		r, err := Run(context.Background(), []*Base{tiny()}, 2)
		if err != nil {
			t.Fatal(err)
		}
		for _, g := range Guarantees() {
			if r.Mutants.Guarantee(g).Tried() < 2 {
				t.Errorf("%s: %d mutants counted", g, r.Mutants.Guarantee(g).Tried())
			}
		}
		tables = append(tables, r.Table())
	}
	if tables[0] != tables[1] {
		t.Errorf("two runs differ:\n%s\n%s", tables[0], tables[1])
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Run(ctx, []*Base{tiny()}, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("a canceled run ended with %v", err)
	}
	if _, err := Run(context.Background(), nil, 1); err == nil {
		t.Error("no histories were measured")
	}
	if _, err := Load(t.TempDir()); err == nil {
		t.Error("a directory without a history was loaded")
	}
}
