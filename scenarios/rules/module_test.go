package rules

import (
	"fmt"
	"os"
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
	file, err := modfile.Parse("go.mod", mod, nil)
	if err != nil {
		t.Fatalf("parse go.mod: %v", err)
	}
	required := map[string]string{}
	for _, r := range file.Require {
		required[r.Mod.Path] = r.Mod.Version
	}
	want := "v0" + strings.TrimPrefix(required["k8s.io/kubernetes"], "v1")
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

func mustRead(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
