package endstate

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
)

// server serves discovery, as servers did before they aggregated it, and lists
// in pages. Only the paths that it knows are asked for, or the test fails.
type server struct {
	t     *testing.T
	items map[string][]string // JSON objects by path
	// refuse may answer a list in the server's place.
	refuse func(w http.ResponseWriter, r *http.Request) bool
	groups map[string]string // answers to discovery by path

	mu    sync.Mutex
	lists []string // paths and queries of lists
}

func verbs(list string) string {
	return `"namespaced":true,"verbs":["` + strings.ReplaceAll(list, " ", `","`) + `"]`
}

func newServer(t *testing.T) *server {
	return &server{
		t: t,
		groups: map[string]string{
			"/api": `{"kind":"APIVersions","versions":["v1"]}`,
			"/apis": `{"kind":"APIGroupList","apiVersion":"v1","groups":[{"name":"example.com","versions":[{"groupVersion":"example.com/v1","version":"v1"},` +
				`{"groupVersion":"example.com/v1beta1","version":"v1beta1"}],"preferredVersion":{"groupVersion":"example.com/v1","version":"v1"}}]}`,
			"/api/v1": `{"kind":"APIResourceList","groupVersion":"v1","resources":[{"name":"bindings","kind":"Binding",` + verbs("create") + `},` +
				`{"name":"configmaps","kind":"ConfigMap",` + verbs("create get list watch") + `},{"name":"events","kind":"Event",` + verbs("list") + `},` +
				`{"name":"pods","kind":"Pod",` + verbs("list") + `},{"name":"pods/log","kind":"Pod",` + verbs("get list") + `}]}`,
			"/apis/example.com/v1":      `{"kind":"APIResourceList","groupVersion":"example.com/v1","resources":[{"name":"boxes","kind":"Box",` + verbs("list") + `}]}`,
			"/apis/example.com/v1beta1": `{"kind":"APIResourceList","groupVersion":"example.com/v1beta1","resources":[{"name":"boxes","kind":"Box",` + verbs("list") + `},{"name":"lids","kind":"Lid",` + verbs("list") + `}]}`,
		},
		items: map[string][]string{
			"/api/v1/configmaps":             numbered(7, `{"metadata":{"name":"c-%d","namespace":"n","uid":"c%[1]d"},"data":{"a":"b"}}`),
			"/api/v1/pods":                   {`{"metadata":{"name":"p","namespace":"contract-0"}}`, `{"metadata":{"name":"p","namespace":"n"},"status":{"phase":"Running"}}`},
			"/apis/example.com/v1/boxes":     {`{"metadata":{"name":"red","namespace":"n"},"spec":{"size":3}}`},
			"/apis/example.com/v1beta1/lids": nil,
		},
	}
}

func numbered(n int, format string) []string {
	var list []string
	for i := range n {
		list = append(list, fmt.Sprintf(format, i))
	}
	return list
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	if answer, found := s.groups[r.URL.Path]; found {
		if status, err := strconv.Atoi(answer); err == nil {
			fail(w, status, "")
			return
		}
		fmt.Fprint(w, answer)
		return
	}
	s.mu.Lock()
	s.lists = append(s.lists, r.URL.RequestURI())
	s.mu.Unlock()
	items, found := s.items[r.URL.Path]
	if !found {
		s.t.Errorf("unexpected request %s %s", r.Method, r.URL)
		fail(w, http.StatusNotFound, metav1.StatusReasonNotFound)
		return
	}
	if s.refuse == nil || !s.refuse(w, r) {
		page(w, r, items)
	}
}

// page answers with the part of items that limit and continue ask for.
func page(w http.ResponseWriter, r *http.Request, items []string) {
	from, _ := strconv.Atoi(r.URL.Query().Get("continue"))
	limit, _ := strconv.Atoi(r.URL.Query().Get("limit"))
	to, next := len(items), ""
	if limit > 0 && from+limit < to {
		to = from + limit
		next = strconv.Itoa(to)
	}
	fmt.Fprintf(w, `{"kind":"List","apiVersion":"v1","metadata":{"resourceVersion":"100","continue":%q},"items":[%s]}`, next, strings.Join(items[from:to], ","))
}

func fail(w http.ResponseWriter, code int, reason metav1.StatusReason) {
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(metav1.Status{
		TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"},
		Status:   metav1.StatusFailure, Code: int32(code), Reason: reason, Message: "refused with " + strconv.Itoa(code),
	})
}

func (s *server) capture(o Options) (*State, error) {
	s.t.Helper()
	web := httptest.NewServer(s)
	defer web.Close()
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Minute)
	defer cancel()
	return Capture(ctx, &rest.Config{Host: web.URL}, o)
}

func TestCapture(t *testing.T) {
	s := newServer(t)
	state, err := s.capture(Options{PageSize: 3, Exclude: []string{"contract-0", ""}})
	if err != nil {
		t.Fatal(err)
	}
	// Nothing that cannot be listed, or that the rules ignore, is asked for.
	wantResources := []string{"boxes.example.com", "configmaps", "lids.example.com", "pods"}
	if diff := cmp.Diff(wantResources, state.Resources); diff != "" {
		t.Errorf("resources (-want +got)\n%s", diff)
	}
	wantLists := []string{
		"/apis/example.com/v1/boxes?limit=3",
		"/api/v1/configmaps?limit=3", "/api/v1/configmaps?continue=3&limit=3", "/api/v1/configmaps?continue=6&limit=3",
		"/apis/example.com/v1beta1/lids?limit=3",
		"/api/v1/pods?limit=3",
	}
	if diff := cmp.Diff(wantLists, s.lists); diff != "" {
		t.Errorf("lists (-want +got)\n%s", diff)
	}
	wantEntries := []string{"boxes.example.com n/red"}
	for i := range 7 {
		wantEntries = append(wantEntries, fmt.Sprintf("configmaps n/c-%d", i))
	}
	wantEntries = append(wantEntries, "pods n/p: 1 Running, not ready")
	var got []string
	for _, e := range state.Entries {
		got = append(got, e.String())
	}
	if diff := cmp.Diff(wantEntries, got); diff != "" {
		t.Errorf("entries (-want +got)\n%s", diff)
	}
	if diff := cmp.Diff([]string{"contract-0"}, state.Excluded); diff != "" {
		t.Errorf("excluded (-want +got)\n%s", diff)
	}
}

// A list whose pages expire is begun again, and what came before is forgotten:
// the object that was deleted meanwhile must not stay.
func TestCaptureStartsOver(t *testing.T) {
	s := newServer(t)
	expired := false
	s.refuse = func(w http.ResponseWriter, r *http.Request) bool {
		if expired || r.URL.Query().Get("continue") != "6" {
			return false
		}
		expired = true
		s.items["/api/v1/configmaps"] = s.items["/api/v1/configmaps"][1:]
		fail(w, http.StatusGone, metav1.StatusReasonExpired)
		return true
	}
	state, err := s.capture(Options{PageSize: 3})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range state.Entries {
		if e.Resource == "configmaps" {
			names = append(names, e.Name)
			if e.Counts != nil {
				t.Errorf("%s is counted", e)
			}
		}
	}
	if diff := cmp.Diff([]string{"c-1", "c-2", "c-3", "c-4", "c-5", "c-6"}, names); diff != "" {
		t.Errorf("configmaps (-want +got)\n%s", diff)
	}
	if !slices.Contains(s.lists, "/api/v1/configmaps?limit=6") {
		t.Errorf("the pages did not grow: %q", s.lists)
	}
}

func TestCaptureFails(t *testing.T) {
	f := func(name string, change func(*server), want string) {
		t.Helper()
		s := newServer(t)
		change(s)
		state, err := s.capture(Options{PageSize: 1})
		if err == nil || state != nil || !strings.HasPrefix(err.Error(), "capture end state: ") || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q in it", name, err, want)
		}
	}
	answer := func(path string, code int, reason metav1.StatusReason) func(*server) {
		return func(s *server) {
			s.refuse = func(w http.ResponseWriter, r *http.Request) bool {
				if r.URL.Path == path {
					fail(w, code, reason)
				}
				return r.URL.Path == path
			}
		}
	}
	f("every list expires", func(s *server) {
		s.items["/api/v1/configmaps"] = numbered(500, `{"metadata":{"name":"c-%d"}}`)
		s.refuse = func(w http.ResponseWriter, r *http.Request) bool {
			late := r.URL.Query().Get("continue") != ""
			if late {
				fail(w, http.StatusGone, metav1.StatusReasonExpired)
			}
			return late
		}
	}, "list configmaps: begun 4 times, expired in mid-list")
	f("a list is forbidden", answer("/api/v1/pods", http.StatusForbidden, metav1.StatusReasonForbidden), "list pods: refused with 403")
	f("a list is not allowed after all", answer("/apis/example.com/v1/boxes", http.StatusMethodNotAllowed, metav1.StatusReasonMethodNotAllowed), "list boxes.example.com: refused with 405")
	f("the same page again", func(s *server) {
		s.refuse = func(w http.ResponseWriter, r *http.Request) bool {
			fmt.Fprint(w, `{"kind":"List","apiVersion":"v1","metadata":{"continue":"x"},"items":[]}`)
			return true
		}
	}, "the same page again")
	f("a group fails discovery", func(s *server) { s.groups["/apis/example.com/v1"] = "503" }, "the server does not show those of example.com/v1 (")
	f("a version is not found", func(s *server) { s.groups["/apis/example.com/v1beta1"] = "404" }, "the server does not show those of example.com/v1beta1 (")
	f("the core group is not found", func(s *server) { s.groups["/api"] = "404" }, "none of the core group")
	f("discovery is forbidden", func(s *server) { s.groups["/apis"] = "403" }, "discover resources: ")
}

// An aggregated API server that does not answer is named in the aggregated
// answer of the one before it, as stale.
func TestCaptureNamesStaleGroups(t *testing.T) {
	const v2 = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
	core := `{"items":[{"metadata":{},"versions":[{"version":"v1","resources":[{"resource":"pods","responseKind":{"kind":"Pod"},"verbs":["list"],"scope":"Namespaced"}]}]}]}`
	stale := `{"items":[{"metadata":{"name":"metrics.example.com"},"versions":[{"version":"v1","freshness":"Stale"}]}]}`
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", v2)
		fmt.Fprint(w, map[string]string{"/api": core, "/apis": stale}[r.URL.Path])
	}))
	defer web.Close()
	_, err := Capture(t.Context(), &rest.Config{Host: web.URL}, Options{})
	if err == nil || !strings.Contains(err.Error(), "the server does not show those of metrics.example.com/v1 (") {
		t.Errorf("error %v", err)
	}
}

func TestCaptureEndsWithItsContext(t *testing.T) {
	s := newServer(t)
	ctx, cancel := context.WithCancel(t.Context())
	s.refuse = func(http.ResponseWriter, *http.Request) bool { cancel(); return false }
	web := httptest.NewServer(s)
	defer web.Close()
	if _, err := Capture(ctx, &rest.Config{Host: web.URL}, Options{PageSize: 1}); err == nil || ctx.Err() == nil {
		t.Errorf("error %v, context %v", err, ctx.Err())
	}
}
