package contract

import (
	"errors"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/internalversion"
	"k8s.io/apimachinery/pkg/apis/meta/internalversion/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/storage"

	"github.com/planecheck/planecheck/apiserver/client/record"
	"github.com/planecheck/planecheck/checkers/api/writes"
	"github.com/planecheck/planecheck/checkers/history"
)

// upstream is what the validation of the real API server says: the HTTP status
// of its refusal, 0 for none.
func upstream(t *testing.T, q url.Values, watch bool) int {
	t.Helper()
	o := internalversion.ListOptions{
		Watch: watch, ResourceVersion: q.Get("resourceVersion"), Continue: q.Get("continue"),
		ResourceVersionMatch: metav1.ResourceVersionMatch(q.Get("resourceVersionMatch")),
	}
	o.Limit, _ = strconv.ParseInt(q.Get("limit"), 10, 64)
	if q.Has("sendInitialEvents") {
		o.SendInitialEvents = new(q.Get("sendInitialEvents") == "true")
	}
	internalversion.SetListOptionsDefaults(&o, true)
	if errs := validation.ValidateListOptions(&o, true); len(errs) > 0 {
		return http.StatusUnprocessableEntity
	}
	versioner := storage.APIObjectVersioner{}
	if watch {
		if _, err := versioner.ParseResourceVersion(o.ResourceVersion); err != nil {
			return http.StatusBadRequest
		}
		return 0
	}
	_, _, err := storage.ValidateListOptions("/pods/", versioner, storage.ListOptions{
		ResourceVersion: o.ResourceVersion, ResourceVersionMatch: o.ResourceVersionMatch, Recursive: true,
		Predicate: storage.SelectionPredicate{Limit: o.Limit, Continue: o.Continue},
	})
	var status apierrors.APIStatus
	switch {
	case err == nil:
		return 0
	case errors.As(err, &status):
		return int(status.Status().Code)
	}
	t.Fatalf("%v: %v", q, err)
	return 0
}

// recorded is what the checkers see of a request.
func recorded(r history.Request) *history.APICall {
	s := &calls{}
	record.New(s).Request(&r)
	return s.last
}

type calls struct{ last *history.APICall }

func (s *calls) APICall(c *history.APICall) { s.last = c }
func (s *calls) APIWatch(*history.APIWatch) {}

// wantDocumented fails unless the checker knows from the record of a request with
// which status it is to be refused; 0: it is not to be refused.
func wantDocumented(t *testing.T, r history.Request, status int) {
	t.Helper()
	c := recorded(r)
	if got, reason, ok := writes.Documented(c); ok != (status != 0) || int(got) != status {
		t.Errorf("%s %s %v (%s): to be refused with %d; the checker knows %d %s", r.Verb, r.Resource, r.Query, r.Illegal, status, got, reason)
	}
}

// The checker knows the documented answer to each fault, of each kind of object,
// from nothing but the record.
func TestEveryFaultIsJudged(t *testing.T) {
	want := map[string]int{
		history.ForceWithoutApply: 422, history.ApplyWithoutManager: 422, history.LongManager: 422, history.UnknownDryRun: 422,
		history.UnknownFieldValidation: 422, history.PatchNoJSON: 400, history.UnknownPatch: 415, history.StrategicCustom: 415,
		history.UnknownPropagation: 422, history.PropagationTwice: 422, history.CollectionEverywhere: 405,
		history.CollectionWithoutVersion: 422, history.OtherName: 400, history.BadName: 422, history.MissingNamespace: 404,
		history.UnknownFieldSelector: 400, history.BadLabelSelector: 400, history.UnknownResource: 404,
	}
	if len(want) != len(faults) {
		t.Errorf("%d faults, the test has %d", len(faults), len(want))
	}
	api := newFakeAPI(t)
	w, seen := api.workload(t, 1, Options{})
	for _, f := range faults {
		for i, o := range w.plan.objects() {
			sendFault(t.Context(), w.turn(0, o, uint64(i)), f)
			sent := seen.take()
			if len(sent) != 1 {
				t.Fatalf("%s: %d requests", f.name, len(sent))
			}
			status := want[f.name]
			if f.name == history.CollectionEverywhere && o.kind.custom {
				status = 404 // the path is handed on to nobody
			}
			wantDocumented(t, sent[0], status)
			if f.name == history.BadName && recorded(sent[0]).Name != "Not_A_Name" {
				t.Errorf("%s is recorded under %s", f.name, sent[0].Name)
			}
		}
	}
}

// What is too large is so for etcd, and reaches it: it is less than an API server
// takes (3 MiB) and less than its client of etcd sends (2 MiB). Any error will do,
// and of its own name nobody makes anything else.
func TestTooLarge(t *testing.T) {
	api := newFakeAPI(t)
	w, seen := api.workload(t, 1, Options{Oversized: true})
	taken := map[string]bool{}
	for _, o := range w.plan.objects() {
		taken[o.name] = true
	}
	for i, o := range w.plan.objects() {
		oversized(t.Context(), w.turn(0, o, uint64(i)))
		sent := seen.take()
		if len(sent) != 1 {
			t.Fatalf("%d requests", len(sent))
		}
		r := sent[0]
		if r.Verb != "create" || r.Resource != "leases" || taken[r.Name] || r.Query.Has("dryRun") {
			t.Errorf("%s of %s %q with %v", r.Verb, r.Resource, r.Name, r.Query)
		}
		if n := len(r.Sent); n <= 3<<19 || n >= 2<<20-4<<10 {
			t.Errorf("%d bytes of %s", n, o.key())
		}
		if status, _, ok := writes.Documented(recorded(r)); !ok || status != 0 {
			t.Errorf("the checker knows of %q that it is to be refused: %t, with %d", r.Illegal, ok, status)
		}
	}
}

// Every combination is sent, and is legal or not as the real validation has it.
func TestListCombinations(t *testing.T) {
	api := newFakeAPI(t)
	w, seen := api.workload(t, 1, Options{})
	place, err := storage.EncodeContinue("/pods/contract-0/a", "/pods/", 7)
	if err != nil {
		t.Fatal(err)
	}
	for i, o := range append(append([]listOptions(nil), legalLists...), illegalLists...) {
		turn := w.turn(0, w.plan.objects()[0], uint64(i))
		w.board.tokens[turn.object.kind] = []token{{namespace: "contract-0", query: url.Values{}, value: place}}
		turn.list(t.Context(), o)
		sent := seen.take()[0]
		q := sent.Query
		wantDocumented(t, sent, o.refusal())
		if got := upstream(t, q, false); got != o.refusal() {
			t.Errorf("%+v, sent as %v: classified %d, the API server says %d", o, q, o.refusal(), got)
		}
		if (q.Get("resourceVersionMatch") != o.match) || q.Get("limit") != o.limit || q.Has("continue") != (o.place != fromStart) ||
			q.Has("resourceVersion") != (o.version != unset) || q.Get("sendInitialEvents") != o.initial {
			t.Errorf("%+v was sent as %v", o, q)
		}
	}
	if len(legalLists) == 0 || len(legalLists)+len(illegalLists) != len(versions)*4*(5*3+1) {
		t.Errorf("%d legal and %d illegal lists", len(legalLists), len(illegalLists))
	}
}

func TestWatchCombinations(t *testing.T) {
	for i, o := range append(append([]watchOptions(nil), legalWatches...), illegalWatches...) {
		turn := &turn{actor: &actor{w: &Workload{board: newBoard()}}, rng: rand.New(rand.NewPCG(1, uint64(i)))}
		q := turn.watchQuery(url.Values{}, o)
		wantDocumented(t, history.Request{Verb: "watch", Version: "v1", Resource: "pods", Query: q}, o.refusal())
		if got := upstream(t, q, true); got != o.refusal() {
			t.Errorf("%+v, sent as %v: classified %d, the API server says %d", o, q, o.refusal(), got)
		}
		if q.Has("allowWatchBookmarks") != o.bookmarks || q.Get("sendInitialEvents") != o.initial ||
			q.Get("resourceVersionMatch") != o.match || q.Has("resourceVersion") != (o.version != unset) {
			t.Errorf("%+v was sent as %v", o, q)
		}
	}
	if len(legalWatches)+len(illegalWatches) != len(versions)*4*3*2 {
		t.Errorf("%d legal and %d illegal watches", len(legalWatches), len(illegalWatches))
	}
}

// The tables are drawn from whole: nothing in them is out of reach.
func TestEveryCombinationIsDrawn(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	lists, watches := map[listOptions]bool{}, map[watchOptions]bool{}
	for range 20_000 {
		lists[pick(rng, legalLists)], lists[pick(rng, illegalLists)] = true, true
		watches[pick(rng, legalWatches)], watches[pick(rng, illegalWatches)] = true, true
	}
	if len(lists) != len(allLists()) || len(watches) != len(allWatches()) {
		t.Errorf("%d of %d lists and %d of %d watches drawn", len(lists), len(allLists()), len(watches), len(allWatches()))
	}
}

func TestBoardKeepsThePast(t *testing.T) {
	b := newBoard()
	rng := rand.New(rand.NewPCG(1, 1))
	if b.now() != "1" || b.before(rng) != "1" || b.oldest(rng) != "1" {
		t.Errorf("an empty board has the versions %s, %s, %s", b.now(), b.before(rng), b.oldest(rng))
	}
	for v := int64(10); v < 100_000; v++ {
		b.version(strconv.FormatInt(v, 10))
	}
	for _, junk := range []string{"", "0", "-4", "x", "50"} {
		b.version(junk)
	}
	if b.now() != "99999" || b.ahead() != "1099999" || b.first != 10 {
		t.Errorf("now %s, ahead %s, first %d", b.now(), b.ahead(), b.first)
	}
	if len(b.past) > mostVersions || b.past[0] != 10 {
		t.Errorf("%d versions from %d on", len(b.past), b.past[0])
	}
	for i := 1; i < len(b.past); i++ {
		if b.past[i] <= b.past[i-1] {
			t.Fatalf("the past falls: %d after %d", b.past[i], b.past[i-1])
		}
	}
}

// turn is a turn of one client, for tests.
func (w *Workload) turn(client int, o object, seed uint64) *turn {
	d := draw{seed: seed}
	return &turn{actor: w.actors[client], object: o, rng: d.rng(), due: history.Now()}
}

// gently is a turn of traffic that is gentle or not, when version 10 was seen last.
func gently(gentle bool) *turn {
	w := &Workload{plan: NewPlan(1, Options{Gentle: gentle}), board: newBoard()}
	w.board.version("10")
	return &turn{actor: &actor{w: w}, rng: rand.New(rand.NewPCG(1, 1))}
}

// TestGentle checks that gentle traffic has no GET or LIST ask for a version that a
// server has to wait for, and nothing for one that it chokes on, and other traffic does.
func TestGentle(t *testing.T) {
	f := func(what string, gentle bool, got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("gentle %v: %s asks for version %q, want %q", gentle, what, got, want)
		}
	}
	const ahead = "1000010"
	f("a GET", false, gently(false).awaited(future, true), ahead)
	f("a GET", true, gently(true).awaited(future, true), "0")
	f("a list", false, gently(false).listVersion(listOptions{version: future}), ahead)
	f("a list", true, gently(true).listVersion(listOptions{version: future}), "0")
	f("a list of exactly one version", true, gently(true).listVersion(listOptions{version: future, match: exact}), "10")
	for _, gentle := range []bool{false, true} {
		tn := gently(gentle)
		f("a watch", gentle, tn.watchQuery(url.Values{}, watchOptions{version: future}).Get("resourceVersion"), ahead)
		if got := tn.resourceVersion(malformed) == "10"; got != gentle {
			t.Errorf("gentle %v: a malformed version is %q", gentle, tn.resourceVersion(malformed))
		}
	}
}

// What gentle traffic sends in place of a list from the future is legal if and only if
// that was.
func TestGentleListsStayLegal(t *testing.T) {
	tn, turned := gently(true), 0
	for _, o := range allLists() {
		if o.version != future {
			continue
		}
		sent := o
		if sent.version = now; tn.listVersion(o) == "0" {
			sent.version = zero
			turned++
		}
		if (o.refusal() == 0) != (sent.refusal() == 0) {
			t.Errorf("%+v, status %d, becomes one of version %q, status %d", o, o.refusal(), sent.version, sent.refusal())
		}
	}
	if turned == 0 {
		t.Error("none becomes one of any version")
	}
}
