package known

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// tableVariable names the file that make power gets its table from.
const tableVariable = "PLANECHECK_POWER_TABLE"

// header is the first line of the table. Whether the members differ is seen without any
// checker.
const header = "| etcd | a Txn writes, and reads a | clusters | members differ in | failed, in so many |\n|---|---|---|---|---|\n"

// row is what the repetitions of one case came to.
type row struct {
	version, read string
	runs, differ  int            // differ: in which the members held different things
	failed        map[string]int // by guarantee
}

func (r row) String() string {
	var failed []string
	for _, name := range slices.Sorted(maps.Keys(r.failed)) {
		failed = append(failed, fmt.Sprintf("%s %d", name, r.failed[name]))
	}
	if failed == nil {
		failed = []string{"nothing"}
	}
	return fmt.Sprintf("| %s | %s | %d | %d | %s |\n", r.version, r.read, r.runs, r.differ, strings.Join(failed, ", "))
}

// publish adds a row to the table, if one is wanted.
func publish(t *testing.T, r row) {
	t.Helper()
	path := os.Getenv(tableVariable)
	if path == "" {
		return
	}
	table, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		table, err = []byte(header), nil
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, append(table, r.String()...), 0o644); err != nil {
		t.Error(err)
	}
}

func TestPublish(t *testing.T) {
	path := filepath.Join(t.TempDir(), "table.md")
	t.Setenv(tableVariable, path)
	publish(t, row{version: oldVersion, read: compacted.name, runs: 8, differ: 7, failed: map[string]int{"MembersAgree": 7, "DefiniteFailureInert": 6}})
	publish(t, row{version: fixedFrom, read: future.name, runs: 8})
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want := header +
		"| 3.6.16 | compacted revision | 8 | 7 | DefiniteFailureInert 6, MembersAgree 7 |\n" +
		"| 3.7.0 | future revision | 8 | 0 | nothing |\n"
	if string(got) != want {
		t.Errorf("the table is\n%s\nwant\n%s", got, want)
	}
}
