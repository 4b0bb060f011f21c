package rules

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/mod/modfile"
)

// k8s.io/kubernetes requires its staging modules at v0.0.0 and supports no use
// as a library, so go.mod carries one replacement per staging module. They
// must be of one version and fit k8s.io/kubernetes, or the components are a
// mixture that nobody has released.
func TestKubernetesModulesMoveTogether(t *testing.T) {
	for _, drift := range drifts(t, mustRead(t, "../../go.mod")) {
		t.Error(drift)
	}
}

func TestDriftIsSeen(t *testing.T) {
	f := func(want string, mod string) {
		t.Helper()
		got := strings.Join(drifts(t, []byte(mod)), "; ")
		if !strings.Contains(got, want) || want == "" && got != "" {
			t.Errorf("drifts = %q, want %q in it", got, want)
		}
	}
	const head = "module m\nrequire k8s.io/kubernetes v1.37.1\n"
	f("k8s.io/api is replaced by v0.37.0", head+"replace k8s.io/api => k8s.io/api v0.37.0\n")
	f("k8s.io/client-go is required but not replaced", head+"require k8s.io/client-go v0.37.1\n")
	f("several versions of etcd", head+"require go.etcd.io/etcd/server/v3 v3.7.3\nrequire go.etcd.io/etcd/tests/v3 v3.7.2\n")
	f("", head)
	f("", head+"require k8s.io/klog/v2 v2.140.0\nrequire k8s.io/api v0.37.1\nreplace k8s.io/api => k8s.io/api v0.37.1\n")
}

// unstaged are the k8s.io modules that have versions of their own.
var unstaged = map[string]bool{
	"k8s.io/kubernetes": true, "k8s.io/klog/v2": true, "k8s.io/utils": true,
	"k8s.io/kube-openapi": true, "k8s.io/gengo/v2": true, "k8s.io/system-validators": true,
}

func drifts(t *testing.T, mod []byte) []string {
	t.Helper()
	file := parse(t, mod)
	required := requirements(file)
	want := "v0" + strings.TrimPrefix(required[kubernetes], "v1")
	replaced := map[string]bool{}
	var found []string
	for _, r := range file.Replace {
		replaced[r.Old.Path] = true
		if r.New.Path != r.Old.Path || r.New.Version != want {
			found = append(found, fmt.Sprintf("%s is replaced by %s, want %s", r.Old.Path, r.New.Version, want))
		}
	}
	etcd := map[string]bool{}
	for path, version := range required {
		if strings.HasPrefix(path, "k8s.io/") && !unstaged[path] && !replaced[path] {
			found = append(found, path+" is required but not replaced")
		}
		if strings.HasPrefix(path, "go.etcd.io/etcd/") {
			etcd[version] = true
		}
	}
	if len(etcd) > 1 {
		found = append(found, fmt.Sprintf("several versions of etcd: %v", etcd))
	}
	return found
}

// guests are the modules that link nothing of ours: they build somebody else's
// program with the versions of its own release, and are about that version.
var guests = map[string]string{
	"apiserver/storage/oldetcd": "go.etcd.io/etcd/server/v3 v3.6.16",
	"sim/kwok":                  "sigs.k8s.io/kwok v0.8.0",
}

// A module below the root that links ours must link what the root does: what its
// hollow kubelet is compared with is the Kubernetes that everything else tests.
func TestModulesAgree(t *testing.T) {
	root := parse(t, mustRead(t, "../../go.mod"))
	found := files(t, func(path string) bool { return filepath.Base(path) == "go.mod" })
	for dir := range guests {
		if !slices.Contains(found, filepath.Join(dir, "go.mod")) {
			t.Errorf("there is no %s/go.mod", dir)
		}
	}
	for _, path := range found {
		for _, difference := range disagreements(root, parse(t, mustRead(t, "../../"+path)), guests[filepath.Dir(path)]) {
			t.Errorf("%s: %s", path, difference)
		}
	}
}

func TestDisagreementIsSeen(t *testing.T) {
	const (
		requires = "require k8s.io/api v0.37.1\nrequire (\n\tgo.etcd.io/bbolt v1.5.0 // indirect\n)\n"
		replaces = "replace k8s.io/api => k8s.io/api v0.37.1\n"
		ours     = "module m\ngo 1.26.0\nrequire " + module + " v0.0.0\nreplace " + module + " => ../..\n"
		kwok     = "sigs.k8s.io/kwok v0.8.0"
	)
	root := parse(t, []byte("module "+module+"\ngo 1.26.0\n"+requires+replaces))
	f := func(guest, want, mod string) {
		t.Helper()
		got := strings.Join(disagreements(root, parse(t, []byte(mod)), guest), "; ")
		if got != want {
			t.Errorf("%s\nit says %q, want %q", mod, got, want)
		}
	}
	f("", "", ours+requires+replaces)
	f("", "", ours+requires+replaces+"require k8s.io/cri-client v0.0.0\n")
	f("", "it requires k8s.io/api v0.37.0, the root v0.37.1", ours+strings.Replace(requires, "0.37.1", "0.37.0", 1)+replaces)
	f("", "it requires go.etcd.io/bbolt v1.4.0, the root v1.5.0", ours+strings.Replace(requires, "1.5.0", "1.4.0", 1)+replaces)
	f("", "it does not replace k8s.io/api as the root does", ours+requires)
	f("", "it does not replace k8s.io/api as the root does; it replaces k8s.io/api, which the root does not",
		ours+requires+strings.ReplaceAll(replaces, "v0.37.1", "v0.37.2"))
	f("", "it replaces k8s.io/klog/v2, which the root does not", ours+requires+replaces+"replace k8s.io/klog/v2 => k8s.io/klog/v2 v2.1.0\n")
	f("", "it is of go 1.25.0, the root of 1.26.0", strings.Replace(ours, "1.26.0", "1.25.0", 1)+requires+replaces)
	f("", "it links nothing of ours, and is no guest", "module m\ngo 1.26.0\n"+requires+replaces)
	f(kwok, "", "module m\ngo 1.26.0\nrequire sigs.k8s.io/kwok v0.8.0\nrequire k8s.io/api v0.34.0\n")
	f(kwok, "it does not require sigs.k8s.io/kwok v0.8.0", "module m\ngo 1.26.0\nrequire sigs.k8s.io/kwok v0.8.1\n")
	f(kwok, "it links ours, so it is no guest", ours+requires+replaces+"require sigs.k8s.io/kwok v0.8.0\n")
}

// disagreements are what a module has otherwise than the root. guest is what a module
// is about that links nothing of ours, "" for one that does.
func disagreements(root, other *modfile.File, guest string) (found []string) {
	say := func(format string, args ...any) { found = append(found, fmt.Sprintf(format, args...)) }
	if root.Go.Version != other.Go.Version {
		say("it is of go %s, the root of %s", other.Go.Version, root.Go.Version)
	}
	required := requirements(other)
	switch path, version, isGuest := strings.Cut(guest, " "); {
	case other.Module.Mod.Path == module:
	case !isGuest && required[module] == "":
		say("it links nothing of ours, and is no guest")
	case isGuest && required[module] != "":
		say("it links ours, so it is no guest")
	case isGuest && required[path] != version:
		say("it does not require %s", guest)
	case !isGuest:
		found = append(found, differences(root, other)...)
	}
	return found
}

// differences are the requirements and replacements that two modules have otherwise.
// Either may require more than the other, but not replace more.
func differences(root, other *modfile.File) (found []string) {
	say := func(format string, args ...any) { found = append(found, fmt.Sprintf(format, args...)) }
	want := requirements(root)
	for _, r := range other.Require {
		if version, ok := want[r.Mod.Path]; ok && version != r.Mod.Version {
			say("it requires %s %s, the root %s", r.Mod.Path, r.Mod.Version, version)
		}
	}
	replaces := func(file *modfile.File, r *modfile.Replace) bool {
		return slices.ContainsFunc(file.Replace, func(o *modfile.Replace) bool { return o.Old == r.Old && o.New == r.New })
	}
	for _, r := range root.Replace {
		if !replaces(other, r) {
			say("it does not replace %s as the root does", r.Old.Path)
		}
	}
	for _, r := range other.Replace {
		if r.Old.Path != module && !replaces(root, r) {
			say("it replaces %s, which the root does not", r.Old.Path)
		}
	}
	return found
}

func parse(t *testing.T, mod []byte) *modfile.File {
	t.Helper()
	file, err := modfile.Parse("go.mod", mod, nil)
	if err != nil {
		t.Fatalf("parse go.mod: %v", err)
	}
	return file
}

// requirements are the versions that a module requires, by path.
func requirements(file *modfile.File) map[string]string {
	required := map[string]string{}
	for _, r := range file.Require {
		required[r.Mod.Path] = r.Mod.Version
	}
	return required
}

// files lists the files of the repository that are wanted, with paths from its root,
// and leaves out what was built and measured there.
func files(t *testing.T, wanted func(path string) bool) (found []string) {
	t.Helper()
	const root = "../.."
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		path, _ = filepath.Rel(root, path) // both begin with root
		switch {
		case d.IsDir() && (slices.Contains([]string{"bin", "build", "runs"}, path) || len(path) > 1 && path[0] == '.'):
			return filepath.SkipDir
		case !d.IsDir() && wanted(path):
			found = append(found, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func mustRead(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
