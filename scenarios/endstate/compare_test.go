package endstate

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func TestCompareIsBounded(t *testing.T) {
	want, got := &State{}, &State{}
	for i := range mostDifferences + 7 {
		want.Entries = append(want.Entries, Entry{Resource: "things", Name: fmt.Sprintf("t-%03d", i), Content: json.RawMessage("{}")})
	}
	found := Compare(want, got)
	last := found[len(found)-1]
	if len(found) != mostDifferences+1 || last.Kind != More || last.Count != 7 || last.String() != "and 7 more differences" {
		t.Errorf("%d differences, the last %q", len(found), last)
	}
	want.Entries = want.Entries[:mostDifferences]
	if found := Compare(want, got); len(found) != mostDifferences || found[len(found)-1].Kind != Missing {
		t.Errorf("%d differences, the last %q", len(found), found[len(found)-1])
	}
}

func TestChangesAreBounded(t *testing.T) {
	many := func(n int) []Entry {
		list := make([]int, 25)
		for i := range list {
			list[i] = i * n
		}
		raw, err := marshal(map[string]any{"spec": map[string]any{"list": list, "text": strings.Repeat("ü", 200)[:2*n]}})
		if err != nil {
			t.Fatal(err)
		}
		return []Entry{{Resource: "things", Name: "x", Content: raw}}
	}
	found := Compare(&State{Entries: many(1)}, &State{Entries: many(150)})
	if len(found) != 1 || len(found[0].Changes) != mostChanges || found[0].Count != 15 {
		t.Fatalf("differences:\n%s", strings.Join(said(found), "\n"))
	}
	if !strings.HasSuffix(found[0].String(), "\n  and 15 more") {
		t.Errorf("difference = %s", found[0])
	}
	if s := cut(strings.Repeat("ü", 100) + "x"); len(s) > longestValue+3 || !utf8.ValidString(s) {
		t.Errorf("cut to %d bytes: %s", len(s), s)
	}
}

func TestCompareWhatWasListed(t *testing.T) {
	want := &State{Resources: []string{"boxes.example.com", "pods"}, Excluded: []string{"contract-0"}}
	got := &State{Resources: []string{"crates.example.com", "pods"}}
	diff := cmp.Diff([]string{
		"differs: excluded namespaces\n  excluded namespaces: want [\"contract-0\"], got null",
		"missing: the resource boxes.example.com",
		"surplus: the resource crates.example.com",
	}, said(Compare(want, got)))
	if diff != "" {
		t.Errorf("differences (-want +got)\n%s", diff)
	}
}

// Several templates on each side are matched by content, whatever their order.
func TestCompareTemplates(t *testing.T) {
	entry := func(template string, n int64) Entry {
		return Entry{Resource: "pods", Namespace: "n", Name: "Deployment/web",
			Content: json.RawMessage(`{"spec":"` + template + `"}`), Counts: map[string]int64{"Running, ready": n}}
	}
	f := func(want, got []Entry, differences ...string) {
		t.Helper()
		if diff := cmp.Diff(differences, said(Compare(&State{Entries: want}, &State{Entries: got}))); diff != "" {
			t.Errorf("differences (-want +got)\n%s", diff)
		}
	}
	f([]Entry{entry("a", 1), entry("b", 2)}, []Entry{entry("b", 2), entry("a", 1)})
	f([]Entry{entry("a", 1), entry("b", 2)}, []Entry{entry("b", 1), entry("c", 2)},
		"differs: pods n/Deployment/web\n  number: Running, ready: want 2, got 1",
		"differs: pods n/Deployment/web\n  number: Running, ready: want 1, got 2\n  spec: want \"a\", got \"c\"")
	f([]Entry{entry("a", 1)}, []Entry{entry("b", 2), entry("c", 3)},
		"missing: pods n/Deployment/web\n  number: Running, ready: want 1, got 0\n  spec: want \"a\", got \"b\"",
		"surplus: pods n/Deployment/web\n  number: Running, ready: want 0, got 2\n  spec: want \"a\", got \"b\"",
		"surplus: pods n/Deployment/web\n  number: Running, ready: want 0, got 3\n  spec: want \"a\", got \"c\"")
}

func TestNullIsNotAbsent(t *testing.T) {
	one := func(content string) *State {
		return &State{Entries: []Entry{{Resource: "things", Name: "x", Content: json.RawMessage(content)}}}
	}
	diff := cmp.Diff([]string{"differs: things x\n  a: want null, got (none)\n  b: want 9007199254740993, got 9007199254740992"},
		said(Compare(one(`{"a":null,"b":9007199254740993}`), one(`{"b":9007199254740992}`))))
	if diff != "" {
		t.Errorf("differences (-want +got)\n%s", diff)
	}
}
