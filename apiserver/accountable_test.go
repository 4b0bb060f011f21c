package apiserver

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/planecheck/planecheck/apiserver/link"
)

// Each scheduler and controller manager reaches the API servers as itself, and each
// server logs what they write.
func TestAccountable(t *testing.T) {
	l, err := newLayout(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	keys, err := l.writeKeys()
	if err != nil {
		t.Fatal(err)
	}
	cfg := *testConfig()
	cfg.Servers, cfg.Schedulers, cfg.ControllerManagers, cfg.Accountable = 2, 2, 2, true
	c := &ControlPlane{cfg: cfg, layout: l, keys: keys, ports: map[string]*link.Port{}}
	if err := l.writeConfig(&cfg); err != nil {
		t.Fatal(err)
	}
	if err := c.nameInstances("127.0.0.1:7000"); err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{KubeScheduler, KubeControllerManager} {
		for _, name := range c.namesOf(kind) {
			subject := clientOf(t, l.kubeconfigOf(name)).Subject
			if subject.CommonName != "system:"+kind || !slices.Equal(subject.Organization, []string{InstanceGroup(name)}) {
				t.Errorf("%s is %v", name, subject)
			}
			args := c.args(kind, name, "127.0.0.1:7001")
			switch kind {
			case KubeControllerManager:
				if !slices.Contains(args, "--kubeconfig="+l.kubeconfigOf(name)) {
					t.Errorf("%s is started with %q", name, args)
				}
			default:
				config := l.schedulerConfigOf(&cfg, name)
				text, err := os.ReadFile(config)
				if err != nil {
					t.Fatal(err)
				}
				if !slices.Contains(args, "--config="+config) || !strings.Contains(string(text), l.kubeconfigOf(name)) {
					t.Errorf("%s is started with %q, and %s is\n%s", name, args, config, text)
				}
			}
		}
	}
	text, err := os.ReadFile(l.auditPolicy)
	if err != nil {
		t.Fatal(err)
	}
	rules := parseYAML(t, text)["rules"].([]any)
	if first, last := rules[0].(map[string]any), rules[len(rules)-1].(map[string]any); first["level"] != "None" || last["level"] != "None" || len(last) != 1 {
		t.Errorf("the audit policy logs reads, or what others write:\n%s", text)
	}
	logs := c.AuditLogs()
	for i, name := range c.namesOf(KubeAPIServer) {
		if args := l.serverArgs(&cfg, name, "127.0.0.1:7002"); !slices.Contains(args, "--audit-log-path="+logs[i]) || !slices.Contains(args, "--audit-policy-file="+l.auditPolicy) {
			t.Errorf("%s is started with %q, and logs to %s", name, args, logs[i])
		}
	}
	c.cfg.Accountable = false
	if c.AuditLogs() != nil {
		t.Error("there are logs that nobody writes")
	}
}

// clientOf is the client certificate of a kubeconfig.
func clientOf(t *testing.T, path string) *x509.Certificate {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	user := parseYAML(t, text)["users"].([]any)[0].(map[string]any)["user"].(map[string]any)
	data, err := base64.StdEncoding.DecodeString(user["client-certificate-data"].(string))
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(data)
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}
