package counterexample

import "testing"

func TestRender(t *testing.T) {
	if got := Render("why", nil); got != "why" {
		t.Errorf("without rows: %q", got)
	}
	got := Render("why", []Row{
		{What: "revision 3", Text: "nothing"},
		{From: 5000, To: 9000, What: "#2", Who: "a", Text: "get"},
		{From: 2000, What: "event", Who: "watch", Text: "put"},
	})
	const want = "why\n" +
		"              revision 3         nothing\n" +
		"  +3µs  +7µs  #2          a      get\n" +
		"  +0s         event       watch  put"
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestTabled(t *testing.T) {
	for detail, want := range map[string]bool{
		"":                                  false,
		"why":                               false,
		"why\n(the first of 2 violations)":  false,
		"why\nTIME  STREAM":                 false,
		"why\nTIME  STREAM\n-     3":        true,
		Render("why", nil):                  false,
		Render("why", []Row{{Text: "put"}}): true,
		Render("why", []Row{{From: 3, What: "#2"}}) + "\n(": true,
	} {
		if got := Tabled(detail); got != want {
			t.Errorf("%q: %v, want %v", detail, got, want)
		}
	}
}
