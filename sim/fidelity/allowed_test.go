package fidelity

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The list of allowed differences is what users read, so the documentation
// holds it word for word.
func TestAllowedDifferencesAreDocumented(t *testing.T) {
	text, err := os.ReadFile("../../docs/fidelity.md")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Table(Allowed()), documented(string(text))); diff != "" {
		t.Errorf("docs/fidelity.md holds another table (-allowed +documented):\n%s", diff)
	}
}

// The documentation may neither lack a difference nor have one too many.
func TestTableIsRead(t *testing.T) {
	table := Table([]Allowance{{Request: "watch *", Reason: "Why."}, {Request: "get x", Reason: "Another."}})
	f := func(want, text string) {
		t.Helper()
		if diff := cmp.Diff(want, documented(text)); diff != "" {
			t.Errorf("table (-want +got):\n%s", diff)
		}
	}
	f(table, table)
	f(table, "Text.\n\n| another | table |\n|---|---|\n| a | b |\n\n"+table+"\nMore text.\n")
	f(table+"| one | too many |\n", table+"| one | too many |\n")
	f("", "No table.\n")
}

// documented returns the table of allowed differences that a text holds, or "".
func documented(text string) string {
	header, _, _ := strings.Cut(Table(nil), "\n")
	_, after, found := strings.Cut(text, header+"\n")
	if !found {
		return ""
	}
	table := header + "\n"
	for line := range strings.Lines(after) {
		if !strings.HasPrefix(line, "|") {
			break
		}
		table += line
	}
	return table
}
