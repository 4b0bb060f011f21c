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
		q := seen.take()[0].Query
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

// TestGentle checks that gentle traffic asks for no version that a server has to
// wait for or chokes on, and other traffic does.
func TestGentle(t *testing.T) {
	for _, gentle := range []bool{false, true} {
		w := &Workload{plan: NewPlan(1, Options{Gentle: gentle}), board: newBoard()}
		w.board.version("10")
		tn := &turn{actor: &actor{w: w}, rng: rand.New(rand.NewPCG(1, 1))}
		for _, v := range []version{future, malformed} {
			if got := tn.resourceVersion(v) == w.board.now(); got != gentle {
				t.Errorf("gentle %v: %s is %q", gentle, v, tn.resourceVersion(v))
			}
		}
	}
}
