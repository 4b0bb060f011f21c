package component

import (
	"strings"
	"testing"

	"github.com/planecheck/planecheck/apiserver"
)

func TestUnknownKind(t *testing.T) {
	if code := Run("etcd", nil); code != exitUsage {
		t.Errorf("status %d, want %d", code, exitUsage)
	}
	if kind, args := kindAndArgs(nil); kind != "" || args != nil {
		t.Errorf("no arguments: %q %q", kind, args)
	}
	if kind, args := kindAndArgs([]string{"kubectl", "version"}); kind != "kubectl" || len(args) != 1 {
		t.Errorf("kind and argument: %q %q", kind, args)
	}
}

func TestConsistencyPeriod(t *testing.T) {
	for _, text := range []string{"soon", "-1s", "0s"} {
		t.Setenv(apiserver.ConsistencyEnv, text)
		if code := Run(apiserver.KubeAPIServer, []string{"--version"}); code != exitUsage {
			t.Errorf("period %q: status %d, want %d", text, code, exitUsage)
		}
	}
}

func TestVersionCheck(t *testing.T) {
	check := func(v LinkedVersions, want string) {
		t.Helper()
		err := v.Check()
		switch {
		case want == "" && err != nil:
			t.Errorf("%+v: %v", v, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%+v: got %v, want an error with %q", v, err, want)
		}
	}
	const placeholder = "v0.0.0-master+$Format:%H$"
	check(LinkedVersions{Kubernetes: "v1.37.1", Client: "v1.37.1", Module: "v1.37.1"}, "")
	check(LinkedVersions{Kubernetes: "v1.37.1", Client: "v1.37.1"}, "")
	check(LinkedVersions{Kubernetes: placeholder, Client: "v1.37.1", Module: "v1.37.1"}, "without the -X")
	check(LinkedVersions{Kubernetes: "v1.37.1", Client: placeholder, Module: "v1.37.1"}, "without the -X")
	check(LinkedVersions{Kubernetes: "v1.37.0", Client: "v1.37.0", Module: "v1.37.1"}, "module version v1.37.1")
}
