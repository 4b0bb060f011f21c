package apiserver

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestLayoutFiles(t *testing.T) {
	dir := t.TempDir()
	l, err := newLayout(dir)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := l.writeKeys()
	if err != nil {
		t.Fatal(err)
	}
	cfg := *testConfig()
	cfg.AuditLog = true
	tokens := []Identity{{"t0", "system:node:n0", []string{"system:nodes", "x"}}, {"t1", `o"dd`, nil}}
	for _, err := range []error{
		l.writeServing(keys.cluster, KubeAPIServer, "kube-apiserver-0"),
		l.writeTokens(tokens),
		l.writeConfig(&cfg),
		l.writeKubeconfigs(keys.cluster, "127.0.0.1:6443", "127.0.0.1:6001"),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	// Nobody else may read anything that was written.
	err = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err == nil && !entry.IsDir() && info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %o", path, info.Mode().Perm())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(l.tokens)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff("t0,system:node:n0,0,\"system:nodes,x\"\nt1,\"o\"\"dd\",1,\n", string(got)); diff != "" {
		t.Error(diff)
	}
}

func TestServingNames(t *testing.T) {
	l, err := newLayout(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	keys, err := l.writeKeys()
	if err != nil {
		t.Fatal(err)
	}
	read := func(kind, name string) *x509.Certificate {
		t.Helper()
		if err := l.writeServing(keys.cluster, kind, name); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(filepath.Join(l.pki, name+".crt"))
		if err != nil {
			t.Fatal(err)
		}
		block, _ := pem.Decode(text)
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		return cert
	}
	server := read(KubeAPIServer, "kube-apiserver-1")
	for _, host := range []string{"127.0.0.1", "localhost", "10.96.0.1", "kubernetes.default", "kubernetes.default.svc.cluster.local"} {
		if err := server.VerifyHostname(host); err != nil {
			t.Error(err)
		}
	}
	if server.Subject.CommonName != "kube-apiserver-1" {
		t.Errorf("common name %q", server.Subject.CommonName)
	}
	again := read(KubeAPIServer, "kube-apiserver-1")
	if again.SerialNumber.Cmp(server.SerialNumber) == 0 {
		t.Error("a second start has the serial number of the first")
	}
	if err := read(KubeScheduler, "kube-scheduler-0").VerifyHostname("kubernetes.default"); err == nil {
		t.Error("a scheduler may pose as an API server")
	}
}

func TestKubeconfigs(t *testing.T) {
	l, err := newLayout(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	keys, err := l.writeKeys()
	if err != nil {
		t.Fatal(err)
	}
	if err := l.writeKubeconfigs(keys.cluster, "127.0.0.1:6443", "127.0.0.1:6001"); err != nil {
		t.Fatal(err)
	}
	check := func(path, server, user string, groups ...string) {
		t.Helper()
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		config := parseYAML(t, text)
		cluster := config["clusters"].([]any)[0].(map[string]any)["cluster"].(map[string]any)
		if cluster["server"] != "https://"+server {
			t.Errorf("server %v, want %s", cluster["server"], server)
		}
		if cluster["certificate-authority-data"] != base64.StdEncoding.EncodeToString(keys.cluster.PEM()) {
			t.Error("another authority")
		}
		entry := config["users"].([]any)[0].(map[string]any)["user"].(map[string]any)
		decode := func(field string) []byte {
			data, err := base64.StdEncoding.DecodeString(entry[field].(string))
			if err != nil {
				t.Fatal(err)
			}
			return data
		}
		pair, err := tls.X509KeyPair(decode("client-certificate-data"), decode("client-key-data"))
		if err != nil {
			t.Fatal(err)
		}
		if pair.Leaf.Subject.CommonName != user {
			t.Errorf("user %q, want %q", pair.Leaf.Subject.CommonName, user)
		}
		if got := strings.Join(pair.Leaf.Subject.Organization, "+"); got != strings.Join(groups, "+") {
			t.Errorf("%s has groups %q", user, got)
		}
	}
	check(l.kubeconfig, "127.0.0.1:6443", "planecheck:admin", "system:masters")
	check(l.kubeconfigOf(KubeScheduler), "127.0.0.1:6001", "system:kube-scheduler")
	check(l.kubeconfigOf(KubeControllerManager), "127.0.0.1:6001", "system:kube-controller-manager")
}

// What stands before one controller manager is the way of that one alone.
func TestManagerKubeconfigs(t *testing.T) {
	l, err := newLayout(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	names := []string{"kube-controller-manager-0", "kube-controller-manager-1"}
	asked := 0
	before := func() (string, []byte, error) {
		asked++
		return fmt.Sprintf("127.0.0.1:700%d", asked), []byte("authority"), nil
	}
	for i, name := range names {
		if err := l.writeManagerKubeconfig(name, before, "secret"); err != nil {
			t.Fatal(err)
		}
		cfg := testConfig()
		cfg.Before = func(string, []byte) (string, []byte, error) { return "", nil, nil }
		if args := l.managerArgs(cfg, name, "127.0.0.1:6003"); !slices.Contains(args, "--kubeconfig="+l.kubeconfigOf(name)) {
			t.Errorf("%s is started with %q", name, args)
		}
		text, err := os.ReadFile(l.kubeconfigOf(name))
		if err != nil {
			t.Fatal(err)
		}
		config := parseYAML(t, text)
		cluster := config["clusters"].([]any)[0].(map[string]any)["cluster"].(map[string]any)
		if want := fmt.Sprintf("https://127.0.0.1:700%d", i+1); cluster["server"] != want {
			t.Errorf("%s goes to %v, want %s", name, cluster["server"], want)
		}
		if user := config["users"].([]any)[0].(map[string]any)["user"].(map[string]any); user["token"] != "secret" || len(user) != 1 {
			t.Errorf("%s has the credentials %v", name, user)
		}
	}
	failing := func() (string, []byte, error) { return "", nil, errors.New("no port") }
	if err := l.writeManagerKubeconfig(names[0], failing, "secret"); err == nil {
		t.Error("nothing stands before a controller manager, and nobody says so")
	}
}
