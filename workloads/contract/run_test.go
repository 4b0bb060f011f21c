package contract

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/planecheck/planecheck/checkers/history"
)

// runUntil runs w until the condition holds.
func runUntil(t *testing.T, w *Workload, enough func(Stats) bool) error {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case err := <-done:
			t.Fatalf("Run ended by itself: %v", err)
		case <-tick.C:
			if enough(w.Stats()) {
				cancel()
				return <-done
			}
		}
	}
}

func sum(counts map[string]int64) (n int64) {
	for _, c := range counts {
		n += c
	}
	return n
}

// A whole run, from nothing to nothing.
func TestRunAndCleanup(t *testing.T) {
	api := newFakeAPI(t)
	w, seen := api.workload(t, 2, Options{Clients: 3, Rate: 3000})
	w.drain = time.Minute // all that begin come to their end
	if err := w.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(api.objects) != len(w.plan.objects()) {
		t.Errorf("%d objects prepared, want %d", len(api.objects), len(w.plan.objects()))
	}
	seen.take()
	if err := runUntil(t, w, func(s Stats) bool { return sum(s.Operations) > 900 }); err != nil {
		t.Fatal(err)
	}
	s := w.Stats()
	requests := seen.take()
	due := 0
	for _, r := range requests {
		if r.Due != 0 {
			due++
			if r.Called < r.Due {
				t.Fatalf("%s was called %v before it was due", r.Verb, r.Due.Sub(r.Called))
			}
		}
	}
	// An operation that finds nothing to work on may send nothing.
	if int64(due) > sum(s.Operations) || int64(due) < sum(s.Operations)*9/10 {
		t.Errorf("%d operations, %d due requests", sum(s.Operations), due)
	}
	for _, op := range table {
		if s.Operations[op.name] == 0 && op.weight > 0 {
			t.Errorf("%s never began", op.name)
		}
	}
	if s.Watches.Opened == 0 || s.Watches.Opened != s.Watches.Ended+s.Watches.Cut {
		t.Errorf("watches do not add up: %+v", s.Watches)
	}
	if err := w.Cleanup(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(api.objects) != 0 {
		t.Errorf("%d objects are left", len(api.objects))
	}
	if api.others["DELETE customresourcedefinitions//"+definitionName] == 0 || api.others["DELETE namespaces//contract-1"] == 0 {
		t.Errorf("definition or namespaces were not deleted: %v", api.others)
	}
}

// Every write takes effect and loses its answer. None is sent again: each value
// comes to the server once, and each loss is counted.
func TestUnknownOutcomesAreNotRetried(t *testing.T) {
	api := newFakeAPI(t)
	w, seen := api.workload(t, 6, Options{Clients: 3})
	if err := w.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	seen.take()
	lost := int64(0)
	api.lose = func(r *http.Request) bool {
		if r.Method != "GET" {
			lost++
		}
		return r.Method != "GET"
	}
	s := w.plan.stream(0)
	for i := range 600 {
		d := s.next()
		if !strings.HasPrefix(d.operation.name, "watch") {
			d.operation.run(t.Context(), w.turn(i%3, d.object, d.seed))
		}
	}
	values := map[string]bool{}
	for _, r := range seen.take() {
		if r.Marks == nil {
			continue
		}
		for _, p := range r.Marks.Sets {
			if p.Name != counterMark && values[p.Value] {
				t.Fatalf("%s was sent twice", p.Value)
			}
			values[p.Value] = true
		}
	}
	if got := w.Stats().Unknown; got != lost || lost < 100 {
		t.Errorf("%d outcomes unknown, %d answers lost", got, lost)
	}
}

// Prepare does try again, and writes another value then.
func TestPrepareGoesOnAfterLostAnswers(t *testing.T) {
	api := newFakeAPI(t)
	w, seen := api.workload(t, 6, Options{Clients: 2, Kinds: []string{"configmaps"}, ObjectsPerKind: 1})
	losses := 1
	api.lose = func(r *http.Request) bool {
		if r.Method != "POST" {
			return false
		}
		losses--
		return losses >= 0
	}
	if err := w.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	values := map[string]bool{}
	for _, r := range seen.take() {
		if r.Verb == "create" && r.Marks != nil {
			values[r.Marks.Sets[0].Value] = true
		}
	}
	if len(api.objects) != 1 || len(values) != 2 {
		t.Errorf("%d objects and %d values, want one that was found by the second try", len(api.objects), len(values))
	}
}

func TestRunEndsThoughNobodyAnswers(t *testing.T) {
	api := newFakeAPI(t)
	w, _ := api.workload(t, 1, Options{Clients: 2, Rate: 2000, InFlight: 5})
	api.hang = make(chan struct{})
	defer close(api.hang)
	err := runUntil(t, w, func(s Stats) bool { return sum(s.Operations) >= 5 })
	if err == nil || !strings.Contains(err.Error(), "was answered") {
		t.Errorf("Run returned %v, want that nothing was answered", err)
	}
	if n := sum(w.Stats().Operations) - w.Stats().Operations["watch"] - w.Stats().Operations["watch-illegal"]; n > 5 {
		t.Errorf("%d operations began, 5 may run at once", n)
	}
}

func TestCleanupIsBounded(t *testing.T) {
	api := newFakeAPI(t)
	w, _ := api.workload(t, 1, Options{Clients: 1, Kinds: []string{"leases"}})
	if err := w.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	api.refuse = func(r *http.Request) int { return map[string]int{"DELETE": 500}[r.Method] }
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := w.Cleanup(ctx); err == nil || !strings.Contains(err.Error(), "clean up leases in contract-0") {
		t.Errorf("Cleanup returned %v, want what was not cleaned up", err)
	}
}

func TestPrepareSaysWhatItWaitsFor(t *testing.T) {
	api := newFakeAPI(t)
	w, _ := api.workload(t, 1, Options{Clients: 1})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	api.refuse = func(r *http.Request) int {
		if strings.Contains(r.URL.Path, "widgets") {
			cancel() // while it waits, however long it took to come there
			return 404
		}
		return 0
	}
	if err := w.Prepare(ctx); err == nil || !strings.Contains(err.Error(), "wait for widgets to be served to c00") {
		t.Errorf("Prepare returned %v, want what it waited for", err)
	}
}

// A watch that was cut goes on from the last version that it showed.
func TestWatchIsResumed(t *testing.T) {
	api := newFakeAPI(t)
	w, seen := api.workload(t, 1, Options{Clients: 1})
	if err := w.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	f := func(o object) {
		t.Helper()
		seen.take()
		turn := w.turn(0, o, 1)
		r := turn.about("watch")
		r.Name, r.Namespace = "", ""
		r.Query = turn.watchQuery(url.Values{"labelSelector": {"a=b"}}, watchOptions{version: zero, match: notOlderThan, initial: "true", bookmarks: true})
		turn.follow(t.Context(), r, []leg{{life: time.Minute, events: 2}, {life: time.Minute, events: 1}, {life: time.Minute}})
		var shown []string
		for _, e := range api.log {
			if e.kind == o.kind {
				shown = append(shown, strconv.Itoa(e.rev))
			}
		}
		var from []string
		for i, r := range seen.take() {
			from = append(from, r.Query.Get("resourceVersion"))
			if r.Query.Get("labelSelector") != "a=b" || !r.Query.Has("allowWatchBookmarks") || i > 0 && len(r.Query) != 3+boolInt(r.Query.Has("watch")) {
				t.Errorf("leg %d asks for %v", i, r.Query)
			}
		}
		if want := []string{"0", shown[1], shown[2]}; !slices.Equal(from, want) {
			t.Errorf("opened at %v, want %v", from, want)
		}
	}
	f(w.plan.objects()[0]) // protobuf
	f(w.plan.objects()[len(w.plan.objects())-1])
	if s := w.Stats().Watches; s.Opened != 6 || s.Resumed != 4 || s.Cut != 4 || s.Ended != 2 || s.Events == 0 {
		t.Errorf("counted %+v", s)
	}
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// A version that is gone is not tried again.
func TestWatchEndsWhenItsVersionIsGone(t *testing.T) {
	api := newFakeAPI(t)
	api.kept = 1000
	w, seen := api.workload(t, 1, Options{Clients: 1})
	turn := w.turn(0, w.plan.objects()[0], 1)
	r := turn.about("watch")
	r.Query.Set("resourceVersion", "5")
	turn.follow(t.Context(), r, make([]leg, 3))
	if n := len(seen.take()); n != 1 {
		t.Errorf("%d tries, want 1", n)
	}
	if w.Stats().Errors["Expired"] != 1 {
		t.Errorf("errors: %v", w.Stats().Errors)
	}
}

// One watch too many cuts the oldest.
func TestWatchesAreBounded(t *testing.T) {
	w := newWatches(2)
	a := &actor{}
	ended := make(chan int, 3)
	for i := range 3 {
		w.start(a, func(ctx context.Context) {
			<-ctx.Done()
			ended <- i
		})
	}
	if first := <-ended; first != 0 {
		t.Errorf("watch %d was cut, want the oldest", first)
	}
	select {
	case i := <-ended:
		t.Errorf("watch %d was cut, too", i)
	default:
	}
	w.close()
}

func TestLateStartsAreCounted(t *testing.T) {
	s := newStats()
	for due := history.Now().Add(-time.Hour); history.Since(due) > lateBy; { // the machine may have been busy meanwhile
		s, due = newStats(), history.Now()
		s.operation("get", due)
	}
	s.operation("get", history.Now().Add(-time.Second))
	got := s.snapshot()
	if got.Operations["get"] != 2 || got.Late != 1 || got.LatestBy < time.Second {
		t.Errorf("counted %+v", got)
	}
}
