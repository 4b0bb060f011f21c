package compare

import (
	"strings"
	"testing"

	"github.com/planecheck/planecheck/apiserver/storage/kine"
	"github.com/planecheck/planecheck/results"
)

// What a store needs is looked for before the first trial, and a store for which
// it is not to be had stops nothing.
func TestPrepare(t *testing.T) {
	f := func(binary, want string) {
		t.Helper()
		t.Setenv(kine.OwnBinary, binary)
		var out strings.Builder
		c := &comparison{Config: Config{Out: &out, Backends: []string{"memory", "etcd", "external", "kine-sqlite"}}, dir: &results.Dir{Path: t.TempDir()}}
		c.prepare(t.Context())
		lines := strings.Split(strings.TrimSpace(out.String()), "\n")
		if len(lines) != 2 || !strings.Contains(lines[0], "building kine-sqlite") || !strings.Contains(lines[1], want) {
			t.Errorf("%q, want %q in the second line of two", lines, want)
		}
	}
	f("/bin/true", "kine-sqlite is there, after")
	f("/nowhere", "names no program")
}
