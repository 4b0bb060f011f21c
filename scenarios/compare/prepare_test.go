package compare

import (
	"strings"
	"testing"

	"github.com/planecheck/planecheck/apiserver/storage/kine"
	"github.com/planecheck/planecheck/results"
	"github.com/planecheck/planecheck/results/compare"
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

// The cost of the proxy is measured where there is one, and kept; otherwise nothing is.
func TestMeasureProxy(t *testing.T) {
	f := func(want bool, backends ...string) {
		t.Helper()
		var out strings.Builder
		c := &comparison{Config: Config{Out: &out, Backends: backends}, dir: &results.Dir{Path: t.TempDir()}, record: &compare.Comparison{}}
		c.measureProxy(t.Context())
		if got := c.record.Proxy != nil; got != want || strings.Contains(out.String(), "before round 1: measuring") != want {
			t.Errorf("%q: measured: %v; %q", backends, got, out.String())
		}
		if want && (len(c.record.Proxy.Through.Measures) == 0 || c.record.Proxy.Took <= 0) {
			t.Errorf("%+v", c.record.Proxy)
		}
	}
	f(false, "memory", "etcd:proxy=off")
	f(true, "memory", "etcd:proxy=on")
}
