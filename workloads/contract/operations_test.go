package contract

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/planecheck/planecheck/checkers/history"
)

// form is what tells the requests of the operations apart.
func form(r history.Request) string {
	s := r.Verb
	if r.Subresource != "" {
		s += "/" + r.Subresource
	}
	if r.Verb == "patch" {
		s += " " + r.ContentType
	}
	return s
}

// play runs one operation n times, by turns of all clients on all objects that
// it is for.
func (w *Workload) play(t *testing.T, name string, n int) {
	t.Helper()
	op := operationNamed(name)
	objects := op.fitting(w.plan.objects())
	for i := range n {
		op.run(t.Context(), w.turn(i%len(w.actors), objects[i/len(w.actors)%len(objects)], uint64(i)))
	}
}

func TestEveryOperationIsSent(t *testing.T) {
	api := newFakeAPI(t)
	w, seen := api.workload(t, 1, Options{Clients: 3})
	if err := w.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	// The forms that an operation must have sent at least, and all that it may.
	want := map[string][]string{
		"get": {"get"}, "list": {"list"}, "list-illegal": {"list"}, "pages": {"list"},
		"watch": {"watch"}, "watch-illegal": {"watch"}, "watch-old": {"watch"}, "watch-events": {"create", "watch"},
		"create": {"create"}, "generate": {"create"},
		"update": {"update", "get"}, "increment": {"update", "get"}, "overwrite": {"update", "get"},
		"patch-json": {"patch " + jsonPatch}, "patch-merge": {"patch " + mergePatch}, "patch-strategic": {"patch " + strategic},
		"apply": {"patch " + applyPatch}, "apply-force": {"patch " + applyPatch},
		"status": {"patch/status " + mergePatch}, "bind": {"create/binding"},
		"delete": {"delete", "get"}, "deletecollection": {"deletecollection"},
		"finalizer-add": {"patch " + mergePatch}, "finalizer-remove": {"patch " + mergePatch},
		"illegal": {"patch " + mergePatch, "patch " + applyPatch, "patch " + strategic, "patch application/x-patch+json",
			"create", "update", "delete", "deletecollection", "list", "get"},
		"illegal-large": {"create"},
	}
	if len(want) != len(table) {
		t.Errorf("the table has %d operations, the test %d", len(table), len(want))
	}
	seen.take()
	for _, op := range table {
		for _, a := range w.actors {
			clear(a.memory.seen)
		}
		w.play(t, op.name, 100)
		if strings.HasPrefix(op.name, "watch") {
			w.watches.close()
			w.watches = newWatches(w.plan.Watches)
		}
		sent := map[string]bool{}
		for _, r := range seen.take() {
			sent[form(r)] = true
		}
		if got := slices.Sorted(maps.Keys(sent)); !slices.Equal(got, slices.Sorted(slices.Values(want[op.name]))) {
			t.Errorf("%s sent %q, want %q", op.name, got, want[op.name])
		}
	}
}

// declared collects the writes of a workload that was played.
func declared(t *testing.T, seed uint64) (*fakeAPI, []history.Request) {
	t.Helper()
	api := newFakeAPI(t)
	w, seen := api.workload(t, seed, Options{Clients: 4})
	if err := w.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	s := w.plan.stream(0)
	for i := range 2500 {
		d := s.next()
		if strings.HasPrefix(d.operation.name, "watch") || d.operation.name == "pages" {
			continue
		}
		d.operation.run(t.Context(), w.turn(i%4, d.object, d.seed))
	}
	return api, seen.take()
}

func isWrite(verb string) bool { return verb != "get" && verb != "list" && verb != "watch" }

// unique returns what is wrong with the values of the marks.
func unique(requests []history.Request) error {
	values, writes := map[string]bool{}, 0
	for _, r := range requests {
		if !isWrite(r.Verb) || kindNamed(r.Resource) == nil {
			continue
		}
		writes++
		if r.Marks == nil {
			return fmt.Errorf("%s %s %s declares nothing", form(r), r.Resource, r.Name)
		}
		own, _, _ := strings.Cut(strings.TrimPrefix(r.Identity, "contract-"), " ")
		i, err := strconv.Atoi(own)
		if err != nil {
			return err
		}
		for _, p := range r.Marks.Sets {
			switch {
			case p.Name == counterMark:
				continue
			case p.Name != markOf(i) && p.Name != markOf(i)+".apply":
				return fmt.Errorf("%s sets the mark %s of another", r.Identity, p.Name)
			case values[p.Value]:
				return fmt.Errorf("value %s was sent twice", p.Value)
			}
			values[p.Value] = true
		}
	}
	if writes < 1000 {
		return fmt.Errorf("only %d writes", writes)
	}
	return nil
}

func TestMarksAreUniqueAndDisjoint(t *testing.T) {
	_, requests := declared(t, 3)
	if err := unique(requests); err != nil {
		t.Error(err)
	}
	var write int
	for i, r := range requests {
		if r.Verb == "create" && r.Marks != nil && len(r.Marks.Sets) == 1 {
			write = i
		}
	}
	f := func(what string, r history.Request) {
		t.Helper()
		if unique(append(slices.Clone(requests), r)) == nil {
			t.Errorf("%s was not noticed", what)
		}
	}
	f("a write that was sent again", requests[write])
	other := requests[write]
	other.Marks = &history.Marks{Sets: []history.Pair{{Name: "c99", Value: "new"}}}
	f("a mark of another client", other)
	other.Marks = nil
	f("a write that declares nothing", other)
}

// touched returns what the body of a request does to the marks, given those
// that were there. Only bodies that say so by themselves are read: ok is false
// for the others.
func touched(t *testing.T, api *fakeAPI, r history.Request) (sets map[string]string, removes []string, ok bool) {
	t.Helper()
	sets = map[string]string{}
	k := kindNamed(r.Resource)
	switch {
	case r.Subresource == "binding" || r.Verb == "delete" || r.Verb == "deletecollection":
		return sets, nil, true
	case r.Verb == "create" || r.Verb == "update":
		o, err := k.decode(r.Sent)
		if err != nil {
			t.Fatalf("%s %s: %v", r.Verb, r.Resource, err)
		}
		before := map[string]string{}
		if v := o.GetResourceVersion(); v != "" {
			before = api.marks[fmt.Sprintf("%s/%s/%s@%s", r.Resource, r.Namespace, o.GetName(), v)]
			if before == nil {
				t.Fatalf("update of %s at %s, which never was", o.GetName(), v)
			}
		}
		for name, value := range marksOf(o) {
			if before[name] != value {
				sets[name] = value
			}
		}
		for name := range before {
			if _, there := marksOf(o)[name]; !there {
				removes = append(removes, name)
			}
		}
		return sets, removes, true
	case r.ContentType == jsonPatch:
		var steps []struct{ Op, Path, Value string }
		if err := json.Unmarshal(r.Sent, &steps); err != nil {
			t.Fatal(err)
		}
		for _, s := range steps {
			name, ok := strings.CutPrefix(s.Path, "/metadata/annotations/"+strings.ReplaceAll(history.MarkPrefix, "/", "~1"))
			switch {
			case ok && s.Op == "add":
				sets[name] = s.Value
			case ok && s.Op == "remove":
				removes = append(removes, name)
			}
		}
		return sets, removes, true
	}
	var p struct {
		Metadata struct{ Annotations map[string]*string }
	}
	if json.Unmarshal(r.Sent, &p) != nil {
		return nil, nil, false // it is malformed by intention
	}
	for name, value := range p.Metadata.Annotations {
		name = strings.TrimPrefix(name, history.MarkPrefix)
		if value == nil {
			removes = append(removes, name)
		} else {
			sets[name] = *value
		}
	}
	return sets, removes, true
}

// What a write declares is what it does: the body changes these marks of the
// version that it was made from, and no others.
func TestWritesDeclareWhatTheyDo(t *testing.T) {
	api, requests := declared(t, 4)
	checked, counted, overwritten := 0, 0, 0
	for _, r := range requests {
		if r.Marks == nil || !isWrite(r.Verb) {
			continue
		}
		sets, removes, ok := touched(t, api, r)
		if !ok {
			continue
		}
		want := map[string]string{}
		for _, p := range r.Marks.Sets {
			want[p.Name] = p.Value
		}
		if !maps.Equal(sets, want) {
			t.Fatalf("%s %s %s declares the marks %v, its body sets %v", form(r), r.Resource, r.Name, want, sets)
		}
		unconditional := len(r.Marks.Removes) > 1
		if unconditional {
			// All that others may have written goes, declared by name.
			if len(r.Marks.Removes) != 2*4 || slices.Contains(r.Marks.Removes, r.Marks.Sets[0].Name) {
				t.Fatalf("an overwrite declares that it removes %v", r.Marks.Removes)
			}
			overwritten++
		} else if r.ContentType != applyPatch && !slices.Equal(removes, r.Marks.Removes) {
			t.Fatalf("%s %s declares that it removes %v, its body removes %v", form(r), r.Resource, r.Marks.Removes, removes)
		}
		if count, ok := want[counterMark]; ok {
			counted++
			o, err := kindNamed(r.Resource).decode(r.Sent)
			if err != nil || r.Verb != "update" || o.GetResourceVersion() == "" {
				t.Fatalf("%s %s writes the counter without a resourceVersion", form(r), r.Resource)
			}
			key := fmt.Sprintf("%s/%s/%s@%s", r.Resource, r.Namespace, r.Name, o.GetResourceVersion())
			before, _ := strconv.Atoi(api.marks[key][counterMark])
			if count != strconv.Itoa(before+1) {
				t.Fatalf("the counter of %s goes from %d to %s", key, before, count)
			}
		}
		checked++
	}
	if checked < 1000 || counted < 100 || overwritten < 20 {
		t.Errorf("%d writes, %d of them of counters and %d overwrites: too few to say anything", checked, counted, overwritten)
	}
}

// Every way of deleting, and every precondition, is tried.
func TestDeletesAndDryRuns(t *testing.T) {
	_, requests := declared(t, 5)
	found := map[string]int{}
	count := func(name string, here bool) {
		if here {
			found[name]++
		} else {
			found[name] += 0
		}
	}
	for _, r := range requests {
		q, body := r.Query, string(r.Sent)
		dry := q.Get("dryRun") == "All"
		switch r.Verb {
		case "delete":
			dry = dry || strings.Contains(body, `"dryRun":["All"]`)
			count("uid", strings.Contains(body, `"uid":"uid-`))
			count("wrong uid", strings.Contains(body, `"uid":"00000000`))
			count("version", strings.Contains(body, `"resourceVersion":"`))
			count("no body", r.Sent == nil)
			for _, p := range []string{"Background", "Foreground", "Orphan"} {
				count(p, q.Get("propagationPolicy") == p || strings.Contains(body, p))
			}
			count("grace 0", q.Get("gracePeriodSeconds") == "0" || strings.Contains(body, `"gracePeriodSeconds":0`))
		case "create":
			count("generated", r.Name == "")
		case "patch":
			count("conditional patch", strings.Contains(body, `"resourceVersion":"`))
			count("force", q.Get("force") == "true" && r.ContentType == applyPatch)
			count("no force", !q.Has("force") && r.ContentType == applyPatch)
		}
		if isWrite(r.Verb) {
			count("dry "+r.Verb, dry)
		}
	}
	for name, n := range found {
		if n == 0 {
			t.Errorf("never sent: %s", name)
		}
	}
	if len(found) != 17 {
		t.Errorf("%d cases, want 17: %v", len(found), slices.Sorted(maps.Keys(found)))
	}
}

// In a cluster with others' objects, requests for all namespaces are about the
// workload's own.
func TestCrowded(t *testing.T) {
	f := func(crowded bool) (bare int) {
		api := newFakeAPI(t)
		w, seen := api.workload(t, 1, Options{Crowded: crowded})
		for i := range 300 {
			t := w.turn(0, w.plan.objects()[0], uint64(i))
			r := t.about("list")
			t.scope(&r, true)
			if r.Namespace == "" && !strings.HasPrefix(r.Query.Get("labelSelector"), partLabel+"="+partValue) {
				bare++
			}
		}
		_ = seen
		return bare
	}
	if n := f(true); n != 0 {
		t.Errorf("%d requests for everybody's objects", n)
	}
	if f(false) == 0 {
		t.Error("all namespaces are never asked for without a selector")
	}
}

// Lists of others' pods cost a server a look at each of them: they are rare.
func TestSeldomEverywhere(t *testing.T) {
	f := func(crowded, pods bool, from, to int) {
		t.Helper()
		w, _ := newFakeAPI(t).workload(t, 1, Options{Crowded: crowded})
		i := slices.IndexFunc(w.plan.objects(), func(o object) bool { return o.kind.pod() == pods })
		n := 0
		for seed := range uint64(400) {
			tn := w.turn(0, w.plan.objects()[i], seed)
			r := tn.about("list")
			if tn.scope(&r, true); r.Namespace == "" {
				n++
			}
		}
		if n < from || n > to {
			t.Errorf("crowded %v, pods %v: %d of 400 are for all namespaces, want %d to %d", crowded, pods, n, from, to)
		}
	}
	f(true, true, 5, 40)
	f(true, false, 150, 250)
	f(false, true, 150, 250)
}

func TestPagesAreFollowedToTheEnd(t *testing.T) {
	api := newFakeAPI(t)
	w, seen := api.workload(t, 1, Options{Clients: 1, ObjectsPerKind: 6, Namespaces: []string{"ns"}})
	if err := w.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	seen.take()
	for i := range 3 {
		pages(t.Context(), w.turn(0, w.plan.objects()[0], uint64(i)))
		requests := seen.take()
		limit, _ := strconv.Atoi(requests[0].Query.Get("limit"))
		if want := (6 + limit - 1) / limit; len(requests) != want {
			t.Errorf("%d pages of %d, want %d", len(requests), limit, want)
		}
		for n, r := range requests[1:] {
			if r.Query.Get("continue") != fmt.Sprintf("at-%d", (n+1)*limit) || r.Query.Has("resourceVersion") {
				t.Errorf("page %d asks for %v", n+1, r.Query)
			}
		}
	}
}

func TestExpiredToken(t *testing.T) {
	api := newFakeAPI(t)
	w, seen := api.workload(t, 1, Options{Clients: 1})
	api.refuse = func(r *http.Request) int {
		if r.URL.Query().Get("continue") == "" {
			return 0
		}
		return 410
	}
	turn := w.turn(0, w.plan.objects()[0], 1)
	r := turn.about("list")
	r.Name, r.Query = "", url.Values{"continue": {"old"}}
	if next, err := turn.page(t.Context(), r); err == nil || next != "fresh" {
		t.Errorf("page returned %q and %v, want the token of the 410", next, err)
	}
	seen.take()
}

// Each fault is made, and is wrong in its one way for every kind.
func TestEveryFaultIsMade(t *testing.T) {
	api := newFakeAPI(t)
	w, seen := api.workload(t, 1, Options{Clients: 1})
	sent := map[string]bool{}
	for _, f := range faults {
		for _, o := range w.plan.objects() {
			turn := w.turn(0, o, 1)
			r, ok := f.make(turn)
			if !ok {
				t.Errorf("%s is not made for %s", f.name, o.key())
				continue
			}
			_, err := turn.send(t.Context(), r)
			if n := len(seen.take()); n != 1 {
				t.Errorf("%s: %d requests, want 1: %v", f.name, n, err)
			}
			sent[fmt.Sprint(r.Verb, r.ContentType, r.Query, r.Name == o.name, r.Namespace, r.Resource.Plural == "gadgets")] = true
		}
	}
	if len(sent) < len(faults) {
		t.Errorf("%d forms of %d faults", len(sent), len(faults))
	}
}
