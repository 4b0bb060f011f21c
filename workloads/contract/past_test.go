package contract

import (
	"strconv"
	"testing"
)

// A watch of Events from before the one that was made shows that one; of those from
// the first revision it is true, too, unless that is gone.
func TestWatchEventsResumes(t *testing.T) {
	api := newFakeAPI(t)
	w, seen := api.workload(t, 1, Options{Clients: 2})
	if err := w.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	api.kept = 50 // from 1 is too old, from what anybody saw is not
	seen.take()
	const n = 40
	w.play(t, "watch-events", n)
	old, past := 0, 0
	made := int64(0)
	for _, r := range seen.take() {
		if r.Resource != "events" || r.Namespace == "" || r.Name != "" {
			t.Fatalf("%s of %s %s/%s", r.Verb, r.Resource, r.Namespace, r.Name)
		}
		switch r.Verb {
		case "create":
			made++
		case "watch":
			version, err := strconv.ParseInt(r.Query.Get("resourceVersion"), 10, 64)
			switch {
			case err != nil || version >= int64(api.rev):
				t.Errorf("watch from %q, of a store at %d", r.Query.Get("resourceVersion"), api.rev)
			case version == 1:
				old++
			default:
				past++
			}
		}
	}
	s := w.Stats()
	if made != n || old+past != n || old < n/10 || past < n/2 {
		t.Errorf("%d Events made, %d watches from the past, %d from revision 1", made, past, old)
	}
	if s.Errors["Expired"] != int64(old) || s.Watches.Opened != int64(past) || s.Watches.Events < int64(past) {
		t.Errorf("%d watches from the past, %d too old: %+v", past, old, s)
	}
}

// A watch from revision 1 is refused by whoever does not have it.
func TestWatchOldIsRefused(t *testing.T) {
	api := newFakeAPI(t)
	w, seen := api.workload(t, 1, Options{Clients: 2})
	if err := w.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	api.kept = 50
	seen.take()
	w.play(t, "watch-old", 10)
	for _, r := range seen.take() {
		if r.Verb != "watch" || r.Resource != "widgets" || r.Name != "" || r.Query.Get("resourceVersion") != "1" {
			t.Errorf("%s of %s, %v", r.Verb, r.Resource, r.Query)
		}
	}
	if s := w.Stats(); s.Errors["Expired"] != 10 || s.Watches.Opened != 0 {
		t.Errorf("%+v", s)
	}
}
