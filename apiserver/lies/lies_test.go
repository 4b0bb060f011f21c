package lies

import (
	"errors"
	"maps"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/planecheck/planecheck/apiserver/client"
)

// TestCatalogue tells every lie, in both encodings, and compares what the client
// sees with what the upstream has.
func TestCatalogue(t *testing.T) {
	all := maps.Clone(requestCases)
	for name, told := range eventCases {
		all[name] = func(r *rig) { events5(r, told) }
	}
	for _, lie := range Catalogue() {
		run, ok := all[lie.Name]
		if !ok {
			t.Errorf("%s is not tested", lie.Name)
			continue
		}
		delete(all, lie.Name)
		lie.Every = 1
		for _, plural := range []string{"configmaps", "widgets"} {
			t.Run(lie.Name+"/"+plural, func(t *testing.T) {
				t.Parallel()
				r := newRig(t, lie, plural)
				run(r)
				if r.proxy.Told() == 0 {
					t.Error("the lie was not told")
				}
			})
		}
	}
	for name := range all {
		t.Errorf("there is no lie %s", name)
	}
}

// TestCasesWithoutLie sees every case fail of a proxy that tells the truth, for
// else it would prove nothing of a lie.
func TestCasesWithoutLie(t *testing.T) {
	const truth = "A1:1 M2:2 M3:3 D4:3 A5:5"
	for name, told := range eventCases {
		if strings.HasPrefix(truth, told) {
			t.Errorf("%s: %q is the truth", name, told)
		}
	}
	r := newRig(t, Lie{}, "configmaps")
	events5(r, truth)
	if r.proxy.Told() != 0 {
		t.Error("the truth was counted as a lie")
	}
	for name, run := range requestCases {
		f := &failing{TB: t}
		done := make(chan struct{})
		go func() {
			defer close(done)
			run(newRig(f, Lie{}, "configmaps"))
		}()
		if <-done; !f.failed.Load() {
			t.Errorf("%s: the case does not see that there is no lie", name)
		}
	}
}

// failing is a test that takes note of its failure and lets it be.
type failing struct {
	testing.TB
	failed atomic.Bool
}

func (f *failing) Error(...any)          { f.failed.Store(true) }
func (f *failing) Errorf(string, ...any) { f.failed.Store(true) }

func (f *failing) Fatal(...any) {
	f.failed.Store(true)
	runtime.Goexit()
}

func (f *failing) Fatalf(string, ...any) { f.Fatal() }

func TestNames(t *testing.T) {
	guarantees := []string{
		mostRecent, notOlderThan, exact, anyVersion, snapshot, paged, expiredHonest, tooNewHonest, watchExpiredHonest, watchTooNewHonest, initialState,
		initialEventsEnd, bookmarkNotAhead, transitions, delivered, ordered, unique, conflictHonest, existsHonest,
		notFoundHonest, preconditionHonest, noLostUpdate, identityStable, rvMonotonic, dryRunInert, errorHonest,
	}
	names, broken := map[string]bool{}, map[string]bool{}
	for _, l := range Catalogue() {
		if names[l.Name] || l.Name == "" || len(l.Breaks) == 0 || l.Every < 1 {
			t.Errorf("%+v", l)
		}
		if l.call == nil && l.refuse == nil && l.watch == nil {
			t.Errorf("%s tells nothing", l.Name)
		}
		names[l.Name] = true
		for _, g := range l.Breaks {
			broken[g] = true
			if !slices.Contains(guarantees, g) || slices.Contains(Unproven(), g) {
				t.Errorf("%s breaks %q", l.Name, g)
			}
		}
	}
	for _, g := range guarantees {
		if !broken[g] {
			t.Errorf("no lie breaks %s", g)
		}
	}
}

// TestRarely counts how often a lie is told that could always be told.
func TestRarely(t *testing.T) {
	const chances = 10_000
	for _, every := range []int{0, 1, 2, 10, 50} {
		l := newLiar(Lie{Every: every}, uint64(rand.IntN(1000)), nil)
		for range chances {
			if l.turn() {
				l.tell()
			}
		}
		if want := chances / max(every, 1); l.count() < want*8/10 || l.count() > want*12/10 {
			t.Errorf("every %d: told %d times of %d", every, l.count(), chances)
		}
	}
}

// eventCases is what a client is told where five changes come: an object is
// created, updated twice and deleted, and another one is created. Each is type,
// version and content.
var eventCases = map[string]string{
	"event-dropped":              "M2:2 D4:3",
	"event-with-other-content":   "A1:1 M2:1 M3:2 D4:3 A5:5",
	"event-twice":                "A1:1 A1:1 M2:2 M2:2 M3:3 M3:3",
	"event-again-later":          "A1:1 M2:2 A1:1 M3:3 D4:3 M3:3 A5:5",
	"events-swapped":             "M2:2 A1:1 D4:3 M3:3",
	"added-as-modified":          "M1:1 M2:2 M3:3 D4:3 M5:5",
	"modified-as-added":          "A1:1 A2:2 A3:3 D4:3 A5:5",
	"deleted-as-modified":        "A1:1 M2:2 M3:3 M4:3 A5:5",
	"deleted-with-old-version":   "A1:1 M2:2 M3:3 D3:3 A5:5",
	"deleted-with-other-content": "A1:1 M2:2 M3:3 D4:2 A5:5",
	"bookmark-ahead":             "B1: A1:1 B2: M2:2 B3: M3:3 B4: D4:3 B5: A5:5",
}

func events5(r *rig, told string) {
	base := r.put("before")
	w, err := r.watch("resourceVersion="+text(base), "allowWatchBookmarks=true")
	if err != nil {
		r.Fatal(err)
	}
	r.put("a")
	r.put("a")
	r.put("a")
	r.remove("a")
	r.put("b")
	want(r, "what was told", r.read(w, len(strings.Fields(told)), base), told)
}

// refused wants a watch to be refused.
func refused(r *rig, code int, options ...string) {
	_, err := r.watch(options...)
	s, ok := errors.AsType[*client.StatusError](err)
	if !ok || s.Code != code {
		r.Errorf("the watch was answered %v, want %d", err, code)
	}
}

func initialEvents(r *rig, told string) {
	r.put("a")
	r.put("b")
	r.put("c")
	w, err := r.watch("allowWatchBookmarks=true")
	if err != nil {
		r.Fatal(err)
	}
	want(r, "what was told", r.read(w, len(strings.Fields(told)), 0), told)
}

// unchanged wants an object to be as it was put at a revision.
func unchanged(r *rig, name string, rev int64) {
	r.Helper()
	if o := r.now(name); o == nil || o.ResourceVersion != text(rev) {
		r.Errorf("%s is now %v, want it as it was", name, o)
	}
}

// twice puts an object twice, and lets the proxy see both versions.
func twice(r *rig, name string) (first, second int64) {
	first = r.put(name)
	r.do("list", "", nil, "resourceVersion=0")
	second = r.put(name)
	r.do("list", "", nil, "resourceVersion=0")
	return first, second
}

var requestCases = map[string]func(*rig){
	"get-earlier": func(r *rig) {
		first, _ := twice(r, "a")
		r.settle()
		want(r, "the version", r.shown(r.do("get", "a", nil)).ResourceVersion, text(first))
	},
	"get-not-there": func(r *rig) {
		r.put("a")
		r.wantStatus(r.do("get", "a", nil), 404, metav1.StatusReasonNotFound)
	},
	"get-older-than-asked": func(r *rig) {
		first, second := twice(r, "a")
		o := r.shown(r.do("get", "a", nil, "resourceVersion="+text(second)))
		want(r, "the version", o.ResourceVersion, text(first))
	},
	"get-other-content": func(r *rig) {
		first, second := twice(r, "a")
		o := r.shown(r.do("get", "a", nil, "resourceVersion=0"))
		want(r, "the version", o.ResourceVersion, text(second))
		want(r, "the content", o.Data["value"], text(first))
		want(r, "the uid", o.UID, r.now("a").UID)
	},
	"get-expired": func(r *rig) {
		r.put("a")
		r.wantStatus(r.do("get", "a", nil), 410, metav1.StatusReasonExpired)
	},
	"get-too-new": func(r *rig) {
		r.put("a")
		s := r.wantStatus(r.do("get", "a", nil), 504, metav1.StatusReasonTimeout)
		want(r, "the cause", s.Details.Causes[0].Type, metav1.CauseTypeResourceVersionTooLarge)
	},
	"future-answered": func(r *rig) {
		rev := r.put("a")
		r.do("get", "a", nil)
		o := r.shown(r.do("get", "a", nil, "resourceVersion=1000000"))
		want(r, "the version", o.ResourceVersion, text(rev))
		r.wantList(r.do("list", "", nil, "resourceVersion=1000000"), "a")
	},
	"list-earlier": func(r *rig) {
		var last int64
		for range 30 {
			last = r.put("a")
		}
		r.do("list", "", nil, "resourceVersion=0")
		r.settle()
		if version, _, _ := r.listed(r.do("list", "", nil)); version >= last {
			r.Errorf("listed at %d, want something before %d", version, last)
		}
	},
	"list-older-than-asked": func(r *rig) {
		for range 30 {
			r.put("a")
		}
		version, _, _ := r.listed(r.do("list", "", nil, "resourceVersion=25", "resourceVersionMatch=NotOlderThan"))
		if version >= 25 {
			r.Errorf("listed at %d, want something before 25", version)
		}
	},
	"exact-newest": func(r *rig) {
		r.put("a")
		last := r.put("b")
		version, _, _ := r.listed(r.do("list", "", nil, "resourceVersion=1", "resourceVersionMatch=Exact"))
		want(r, "the revision", version, last)
	},
	"list-without-an-item": func(r *rig) {
		r.put("a")
		r.put("b")
		r.wantList(r.do("list", "", nil), "b")
	},
	"list-item-twice": func(r *rig) {
		r.put("a")
		r.wantList(r.do("list", "", nil), "a", "a")
	},
	"list-items-swapped": func(r *rig) {
		r.put("a")
		r.put("b")
		r.wantList(r.do("list", "", nil), "b", "a")
	},
	"list-item-older": func(r *rig) {
		first := r.put("a")
		r.do("list", "", nil)
		second := r.put("a")
		l, _ := r.do("list", "", nil).list()
		want(r, "the version of the item", l.items[0].version(), first)
		want(r, "the revision", l.version(), second)
	},
	"list-expired": func(r *rig) {
		r.wantStatus(r.do("list", "", nil), 410, metav1.StatusReasonExpired)
	},
	"list-too-new": func(r *rig) {
		r.wantStatus(r.do("list", "", nil), 504, metav1.StatusReasonTimeout)
		r.wantStatus(r.do("list", "", nil, "resourceVersion=0"), 504, metav1.StatusReasonTimeout)
	},
	"page-without-first": func(r *rig) {
		r.wantList(r.do("list", "", nil, "limit=2", "continue="+fourInPages(r)), "d")
	},
	"page-again": func(r *rig) {
		r.wantList(r.do("list", "", nil, "limit=2", "continue="+fourInPages(r)), "a", "b")
	},
	"page-of-newest": func(r *rig) {
		next := fourInPages(r)
		last := r.put("e")
		a := r.do("list", "", nil, "limit=3", "continue="+next)
		version, _, _ := r.listed(a)
		want(r, "the revision", version, last)
		r.wantList(a, "c", "d", "e")
	},
	"page-expired": func(r *rig) {
		r.wantStatus(r.do("list", "", nil, "limit=2", "continue="+fourInPages(r)), 410, metav1.StatusReasonExpired)
	},
	"invalid-as-bad-request": func(r *rig) {
		r.wantStatus(r.do("list", "", nil, "resourceVersionMatch=Exact"), 400, metav1.StatusReasonBadRequest)
	},
	"illegal-accepted": func(r *rig) {
		r.put("a")
		r.wantList(r.do("list", "", nil, "resourceVersionMatch=Exact"), "a")
	},
	"not-found-for-other-reason": func(r *rig) {
		r.wantStatus(r.do("get", "a", nil), 404, metav1.StatusReasonInvalid)
	},
	"list-invalid": func(r *rig) {
		r.wantStatus(r.do("list", "", nil, "resourceVersion=0"), 422, metav1.StatusReasonInvalid)
	},
	"get-forbidden": func(r *rig) {
		r.put("a")
		r.wantStatus(r.do("get", "a", nil), 403, metav1.StatusReasonForbidden)
	},
	"get-garbled": func(r *rig) {
		r.put("a")
		a := r.do("get", "a", nil)
		if _, ok := a.object(); ok || a.status != 200 {
			r.Errorf("answered %d %q, want half an object", a.status, a.body)
		}
	},
	"get-without-uid": func(r *rig) {
		rev := r.put("a")
		o := decode(r.do("get", "a", nil).body)
		want(r, "the uid", o.UID, "")
		want(r, "the version", o.ResourceVersion, text(rev))
	},
	"list-without-version": func(r *rig) {
		r.put("a")
		a := r.do("list", "", nil)
		r.wantList(a, "a")
		version, _, _ := r.listed(a)
		want(r, "the version", version, 0)
	},
	"watch-expired": func(r *rig) {
		refused(r, 410)
		r.put("a")
		r.do("get", "a", nil)
		refused(r, 410, "resourceVersion=1000000")
	},
	"watch-too-new":            func(r *rig) { refused(r, 504, "resourceVersion=1") },
	"initial-event-left-out":   func(r *rig) { initialEvents(r, "A2:2 A3:3 B3:") },
	"initial-events-end-early": func(r *rig) { initialEvents(r, "A1:1 A2:2 B3: A3:3") },
}

// fourInPages puts four objects, lists two of them and returns the token.
func fourInPages(r *rig) string {
	for _, name := range []string{"a", "b", "c", "d"} {
		r.put(name)
	}
	_, _, next := r.listed(r.do("list", "", nil, "limit=2"))
	return next
}
