package lies

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/planecheck/planecheck/apiserver/storage"
	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/workloads/contract/store"
)

// compare asks a member what the model is asked.
func (r run) compare(ctx context.Context, m storage.Member) (_ []store.Verdict, err error) {
	reference, err := storage.Open("memory", storage.Options{Dir: os.TempDir()})
	if err != nil {
		return nil, err
	}
	if err := reference.Start(ctx); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, reference.Stop()) }()
	model, err := store.Connect("the model", reference.Endpoints()[0])
	if err != nil {
		return nil, err
	}
	defer model.Close()
	judged, err := store.Connect("the store", m.Endpoint)
	if err != nil {
		return nil, err
	}
	defer judged.Close()
	// Nothing is late here for long: etcd looks for old events every 100 ms.
	plan := store.Plan{Patience: 3 * time.Second, Seed: r.seed, Rounds: 8, Turns: 60}
	return store.Compare(ctx, plan, model, judged, store.Strict, 10*time.Second, slog.New(slog.DiscardHandler))
}

// A backend that lives in this process can lie behind its own recording, as
// `planecheck run --lie` has it do: the checkers see it in what was recorded.
func TestLieBehindTheRecordingOfABackend(t *testing.T) {
	lie := Catalogue()[slices.IndexFunc(Catalogue(), func(l Lie) bool { return l.Name == "wrong-count" })]
	for _, lying := range []bool{false, true} {
		ctx, cancel := context.WithTimeout(t.Context(), runBound)
		defer cancel()
		log, o := &memory{}, &outcome{}
		opt := storage.Options{Dir: t.TempDir(), History: log}
		liar := lie.Begin(rand.New(rand.NewPCG(1, 1)))
		if lying {
			opt.Interference = liar
		}
		backend, err := storage.Open("memory:proxy=on", opt)
		if err == nil {
			err = backend.Start(ctx)
		}
		if err != nil {
			t.Fatal(err)
		}
		err = errors.Join(run{seed: 1}.use(ctx, backend.Members(), o), backend.Stop())
		o.verdicts = log.judge()
		failed := o.named(checkers.Fail)
		if want := lying; err != nil || (liar.Told() > 0) != want || slices.Contains(failed, "Reads") != want || (len(failed) > 0) != want {
			t.Errorf("lying %v: %d lies told, %q failed, %v", lying, liar.Told(), failed, err)
		}
	}
}

// beyond are the lies about what no API server asks a store, so that a contract
// does not hear them; those about revisions of several keys it does only where
// several keys of a lease end at once.
var beyond = []string{
	"stale-local-body", "previous-value", "deleted-count", "half-a-transaction", "transaction-reversed", "transaction-split",
	"transaction-halved", "filter-ignored", "lease-revoke-not-done", "other-lease-revoked", "renewal-denied",
}

// few are told in CI: lies about each sort of call.
var few = []string{
	"list-without-a-key", "wrong-count", "write-denied", "compaction-not-done", "event-dropped", "progress-ahead", "lease-denied-but-done",
}

// TestContract tells lies to `planecheck run contract/store`, before a store in
// memory, or etcd where a lie needs several members: each must be seen, by a shape
// that differs from the model or by the checkers of the history, and nothing where
// none is told. PLANECHECK_LIES_SEEDS has it tell all, and print the table.
func TestContract(t *testing.T) {
	runs := []run{{name: "none", seed: 1, spec: "memory", contract: true}}
	for _, l := range Catalogue() {
		if os.Getenv(more) == "" && !slices.Contains(few, l.Name) {
			continue
		}
		r := run{name: l.Name, seed: 1, lie: &l, members: l.Members, contract: true}
		if l.Members == 0 {
			r.spec = "memory"
		}
		runs = append(runs, r)
	}
	var table strings.Builder
	fmt.Fprintln(&table, "| lie | told | shapes that differ | guarantees broken |\n|---|---|---|---|")
	for i, o := range all(t, runs) {
		r := runs[i]
		if o.err != nil {
			t.Errorf("%s: %v", r.name, o.err)
			continue
		}
		shapes, failed := differing(o.shapes), o.named(checkers.Fail)
		fmt.Fprintf(&table, "| %s | %d | %s | %s |\n", r.name, o.told, strings.Join(shapes, ", "), strings.Join(failed, ", "))
		switch {
		case r.lie == nil && len(shapes)+len(failed) > 0:
			t.Errorf("no lie: %s", explain(o))
		case r.lie != nil && o.told == 0 && !slices.Contains(beyond, r.name):
			t.Errorf("%s was never told", r.name)
		case o.told > 0 && len(shapes)+len(failed) == 0:
			t.Errorf("%s was told %d times, and nobody saw it", r.name, o.told)
		}
	}
	t.Logf("\n%s", table.String())
}

func differing(shapes []store.Verdict) (names []string) {
	for _, s := range shapes {
		if s.Differ > 0 {
			names = append(names, string(s.Shape))
		}
	}
	return names
}

func explain(o *outcome) string {
	var lines []string
	for _, s := range o.shapes {
		if s.First != nil {
			lines = append(lines, fmt.Sprintf("%s: %v", s.Shape, s.First))
		}
	}
	for _, v := range o.verdicts {
		if v.Outcome == checkers.Fail {
			lines = append(lines, v.String())
		}
	}
	return strings.Join(lines, "\n")
}

// TestSmallCounterExample has a lie about a read be told in a few requests: what
// leads to it is left out, unless it is needed.
func TestSmallCounterExample(t *testing.T) {
	i := slices.IndexFunc(Catalogue(), func(l Lie) bool { return l.Name == "list-without-a-key" })
	l := Catalogue()[i]
	l.every = 1 // whenever there is a key
	o := run{name: l.Name, seed: 1, lie: &l, spec: "memory", contract: true}.live(t.Context(), t.TempDir())
	if o.err != nil {
		t.Fatal(o.err)
	}
	for _, s := range o.shapes {
		if s.Shape == store.List && s.First != nil {
			if n := len(s.First.Before); n == 0 || n > 3 {
				t.Errorf("%d requests come before it: %v", n, s.First)
			}
			t.Log(s.First)
			return
		}
	}
	t.Errorf("no list differs: %q", differing(o.shapes))
}
