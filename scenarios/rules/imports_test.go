package rules

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/planecheck/planecheck"

// row is one line of the table in docs/architecture.md: what a package, with
// everything below it, may import of ours. The longest matching row holds.
type row struct {
	pkg     string
	imports []string
	// without lists module prefixes that must not be linked, directly or not.
	without []string
}

const (
	kubernetes = "k8s.io/kubernetes"
	etcdServer = "go.etcd.io/etcd/server/v3"
)

func table() []row {
	return []row{
		{pkg: "checkers/history", imports: []string{"checkers/history"}, without: []string{"k8s.io", "go.etcd.io"}},
		{pkg: "checkers", imports: []string{"checkers"}, without: []string{kubernetes, etcdServer}},
		{pkg: "apiserver/link", imports: []string{"checkers/history"}, without: []string{"k8s.io", "go.etcd.io"}},
		{pkg: "apiserver/client", imports: []string{"checkers/history"}, without: []string{kubernetes, etcdServer}},
		// A lie names the guarantees that it breaks.
		{pkg: "apiserver/lies", imports: []string{"checkers/history", "apiserver/client", "apiserver/pki", "apiserver/lies"}, without: []string{kubernetes, etcdServer}},
		{pkg: "apiserver/storage/lies", imports: []string{"checkers", "apiserver/storage"}, without: []string{kubernetes}},
		{pkg: "apiserver/storage/memory", imports: []string{"checkers/history"}, without: []string{kubernetes, etcdServer}},
		{pkg: "apiserver/storage", imports: []string{"checkers/history", "apiserver/link", "apiserver/storage"}, without: []string{kubernetes}},
		{pkg: "apiserver/component", imports: []string{"apiserver"}},
		{pkg: "apiserver", imports: []string{"apiserver", "checkers/history"}, without: []string{kubernetes, etcdServer}},
		{pkg: "sim/fidelity", imports: []string{"sim/fidelity", "apiserver/pki"}, without: []string{kubernetes, etcdServer}},
		// It starts a control plane, whose components are those of bin/planecheck.
		{pkg: "sim/kwokbench", imports: []string{"sim", "apiserver", "checkers/history"}, without: []string{kubernetes}},
		{pkg: "sim", imports: []string{"sim", "checkers/history", "apiserver/client"}, without: []string{kubernetes, etcdServer}},
		{pkg: "workloads", imports: []string{"workloads", "checkers/history", "apiserver/client"}, without: []string{kubernetes, etcdServer}},
		{pkg: "results", imports: []string{"results", "checkers"}, without: []string{"k8s.io", "go.etcd.io"}},
		{pkg: "scenarios", imports: []string{"scenarios", "results", "workloads", "sim", "apiserver", "checkers"}, without: []string{kubernetes}},
		{pkg: "", imports: []string{""}},
	}
}

type listed struct {
	ImportPath string
	Doc        string
	Imports    []string
	Deps       []string
}

func TestImportTable(t *testing.T) {
	for _, p := range list(t, "./...") {
		for _, broken := range violations(table(), p) {
			t.Error(broken)
		}
	}
}

// The table must be able to fail: the same check, on packages that break it.
func TestImportTableSeesViolations(t *testing.T) {
	f := func(want int, p listed) {
		t.Helper()
		if got := violations(table(), p); len(got) != want {
			t.Errorf("%s: violations %q, want %d", p.ImportPath, got, want)
		}
	}
	f(1, listed{ImportPath: module + "/sim", Imports: []string{module + "/workloads"}})
	f(1, listed{ImportPath: module + "/apiserver", Imports: []string{module + "/sim"}})
	f(1, listed{ImportPath: module + "/checkers/history", Imports: []string{module + "/checkers"}})
	f(1, listed{ImportPath: module + "/results", Deps: []string{"k8s.io/client-go/rest"}})
	f(0, listed{ImportPath: module + "/sim/controllers", Imports: []string{module + "/apiserver/client"}})
	f(1, listed{ImportPath: module + "/sim/kwokbench", Deps: []string{"k8s.io/kubernetes/pkg/apis/core"}})
	f(0, listed{ImportPath: module, Imports: []string{module + "/scenarios"}, Deps: []string{"k8s.io/kubernetes/pkg/apis/core"}})
}

// A binary that links Kubernetes takes a minute of linking and hundreds of megabytes,
// and its analysis takes minutes: there is one, planecheck itself, and tests start that.
func TestWhichBinariesLinkKubernetes(t *testing.T) {
	got := linking(kubernetes, list(t, "-test", "./..."))
	if want := []string{module, module + "/apiserver/component"}; !slices.Equal(got, want) {
		t.Errorf("%s is linked by %q, want %q", kubernetes, got, want)
	}
}

func TestLinkingIsSeen(t *testing.T) {
	const dep, other = kubernetes + "/pkg/apis/core", "k8s.io/kubernetes-sigs/x"
	got := linking(kubernetes, []listed{
		{ImportPath: "b.test", Deps: []string{"fmt", dep}},
		{ImportPath: "a"},
		{ImportPath: "b"},
		{ImportPath: "b [b.test]", Deps: []string{dep}},
		{ImportPath: "c.test", Deps: []string{other}},
		{ImportPath: "a.test", Deps: []string{kubernetes}},
	})
	if want := []string{"a.test", "b [b.test]", "b.test"}; !slices.Equal(got, want) {
		t.Errorf("linked by %q, want %q", got, want)
	}
}

// linking names the packages and test binaries that link something below prefix, sorted.
func linking(prefix string, all []listed) []string {
	var found []string
	for _, p := range all {
		if slices.ContainsFunc(p.Deps, func(dep string) bool { return below(dep, prefix) }) {
			found = append(found, p.ImportPath)
		}
	}
	slices.Sort(found)
	return found
}

func TestEveryPackageSaysWhatItIsFor(t *testing.T) {
	for _, p := range list(t, "./...") {
		if p.Doc == "" {
			t.Errorf("%s has no package comment", p.ImportPath)
		}
	}
}

func violations(table []row, p listed) []string {
	name := strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/")
	r := table[slices.IndexFunc(table, func(r row) bool { return below(name, r.pkg) })]
	var broken []string
	for _, imported := range p.Imports {
		ours, ok := strings.CutPrefix(imported, module+"/")
		if ok && !slices.ContainsFunc(r.imports, func(allowed string) bool { return below(ours, allowed) }) {
			broken = append(broken, fmt.Sprintf("%s imports %s; the table allows %q", p.ImportPath, imported, r.imports))
		}
	}
	for _, prefix := range r.without {
		if i := slices.IndexFunc(p.Deps, func(dep string) bool { return below(dep, prefix) }); i >= 0 {
			broken = append(broken, fmt.Sprintf("%s links %s; the table keeps %s out", p.ImportPath, p.Deps[i], prefix))
		}
	}
	return broken
}

// below says whether path is prefix or lies under it.
func below(path, prefix string) bool {
	return prefix == "" || path == prefix || strings.HasPrefix(path, prefix+"/")
}

// list returns what `go list` does with these arguments.
func list(t *testing.T, args ...string) []listed {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list", "-json=ImportPath,Doc,Imports,Deps"}, args...)...)
	cmd.Dir = "../.."
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []listed
	decoder := json.NewDecoder(bytes.NewReader(out))
	for {
		var p listed
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("read go list: %v", err)
		}
		all = append(all, p)
	}
	if len(all) < 10 {
		t.Fatalf("go list shows %d packages; the check would prove nothing", len(all))
	}
	return all
}
