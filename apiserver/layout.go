package apiserver

import (
	"bytes"
	"encoding/base64"
	"encoding/csv"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/planecheck/planecheck/apiserver/pki"
)

// proxyClientName is who the aggregator is to extension API servers.
const proxyClientName = "front-proxy-client"

// The identity of the harness itself. The group is exempt from priority and
// fairness, so that a busy server still answers the measurement.
const (
	adminUser  = "planecheck:admin"
	adminGroup = "system:masters"
)

// layout is where the files of a control plane are.
type layout struct {
	dir, pki, config, logs string

	caCert, caKey             string
	proxyCACert               string
	proxyCert, proxyKey       string
	signingPublic, signingKey string

	tokens, auditPolicy, schedulerConfig string
	kubeconfig                           string // the person's
}

// newLayout makes the directories. Those that hold keys are for the owner only.
func newLayout(dir string) (*layout, error) {
	l := &layout{
		dir: dir, pki: filepath.Join(dir, "pki"), config: filepath.Join(dir, "config"), logs: filepath.Join(dir, "logs"),
		kubeconfig: filepath.Join(dir, "kubeconfig"),
	}
	l.tokens = filepath.Join(l.config, "tokens.csv")
	l.auditPolicy = filepath.Join(l.config, "audit-policy.yaml")
	l.schedulerConfig = filepath.Join(l.config, "kube-scheduler.yaml")
	for path, mode := range map[string]os.FileMode{l.pki: 0o700, l.config: 0o700, l.logs: 0o755} {
		if err := os.MkdirAll(path, mode); err != nil {
			return nil, fmt.Errorf("make run directory: %w", err)
		}
	}
	return l, nil
}

func (l *layout) logFile(name string) string { return filepath.Join(l.logs, name+".log") }

// auditLog is the audit log of a server: kube-apiserver-0 writes audit-0.log.
func (l *layout) auditLog(name string) string {
	return filepath.Join(l.logs, "audit-"+strings.TrimPrefix(name, KubeAPIServer+"-")+".log")
}

// schedulerConfigOf is the configuration file of one scheduler.
func (l *layout) schedulerConfigOf(cfg *Config, name string) string {
	if cfg.Accountable {
		return filepath.Join(l.config, name+".yaml")
	}
	return l.schedulerConfig
}

func (l *layout) kubeconfigOf(kind string) string {
	return filepath.Join(l.config, kind+".kubeconfig")
}

// authorities are what signs; their files are in the layout.
type authorities struct{ cluster, proxy *pki.Authority }

// writeKeys makes and writes what all components share.
func (l *layout) writeKeys() (authorities, error) {
	var (
		made authorities
		err  error
	)
	if made.cluster, err = pki.NewAuthority("planecheck-ca"); err != nil {
		return made, err
	}
	if l.caCert, l.caKey, err = made.cluster.Write(l.pki, "ca"); err != nil {
		return made, err
	}
	// The aggregator's clients are believed what they say in headers, so they
	// have an authority of their own, which signs nobody else.
	if made.proxy, err = pki.NewAuthority("planecheck-front-proxy-ca"); err != nil {
		return made, err
	}
	if l.proxyCACert, _, err = made.proxy.Write(l.pki, "front-proxy-ca"); err != nil {
		return made, err
	}
	client, err := made.proxy.Client(proxyClientName)
	if err != nil {
		return made, err
	}
	if l.proxyCert, l.proxyKey, err = client.Write(l.pki, proxyClientName); err != nil {
		return made, err
	}
	signing, err := pki.NewSigningKey()
	if err != nil {
		return made, err
	}
	l.signingPublic, l.signingKey, err = signing.Write(l.pki, "service-account")
	return made, err
}

// writeServing writes the serving certificate of one component.
func (l *layout) writeServing(ca *pki.Authority, kind, name string) error {
	hosts := []string{"127.0.0.1", "localhost"}
	if kind == KubeAPIServer {
		hosts = append(hosts, serviceFirstAddress,
			"kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local")
	}
	pair, err := ca.Serving(name, hosts...)
	if err != nil {
		return err
	}
	_, _, err = pair.Write(l.pki, name)
	return err
}

// writeTokens writes --token-auth-file; its groups are one field.
func (l *layout) writeTokens(tokens []Identity) error {
	var text bytes.Buffer
	lines := csv.NewWriter(&text)
	for i, id := range tokens {
		if err := lines.Write([]string{id.Token, id.User, strconv.Itoa(i), strings.Join(id.Groups, ",")}); err != nil {
			return fmt.Errorf("write token of %s: %w", id.User, err)
		}
	}
	lines.Flush()
	if err := lines.Error(); err != nil {
		return fmt.Errorf("write tokens: %w", err)
	}
	_, err := pki.WriteSecret(l.config, filepath.Base(l.tokens), text.Bytes())
	return err
}

// auditPolicyText logs every request once, when it is complete, or, for a
// watch, also when it starts.
const auditPolicyText = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: RequestResponse
`

// writeConfig writes the configuration files that need neither keys nor ports.
func (l *layout) writeConfig(cfg *Config) error {
	if err := l.writeSchedulerConfig(cfg, l.schedulerConfig, KubeScheduler); err != nil {
		return err
	}
	if cfg.Accountable {
		for i := range cfg.Schedulers {
			name := componentName(KubeScheduler, i)
			if err := l.writeSchedulerConfig(cfg, l.schedulerConfigOf(cfg, name), name); err != nil {
				return err
			}
		}
	}
	policy := auditPolicyText
	switch {
	case cfg.AuditLog:
	case cfg.Accountable:
		policy = writersPolicyText
	default:
		return nil
	}
	_, err := pki.WriteSecret(l.config, filepath.Base(l.auditPolicy), []byte(policy))
	return err
}

// writeSchedulerConfig writes one for those that have the kubeconfig of that name.
func (l *layout) writeSchedulerConfig(cfg *Config, path, kubeconfig string) (err error) {
	text := schedulerFile(cfg.SchedulerSetting, l.kubeconfigOf(kubeconfig))
	if cfg.SchedulerConfigFile != "" {
		if text, err = ownSchedulerFile(cfg.SchedulerConfigFile, l.kubeconfigOf(kubeconfig)); err != nil {
			return err
		}
	}
	_, err = pki.WriteSecret(l.config, filepath.Base(path), []byte(text))
	return err
}

// writeKubeconfigs writes the person's kubeconfig, which names the load
// balancer, and one for each kind of component with an identity of its own.
// The components, too, use the balancer if there is a choice; with one server
// they connect to it directly, as kubeadm's do.
func (l *layout) writeKubeconfigs(ca *pki.Authority, balancer, components string) error {
	for _, k := range []struct{ path, server, user, group string }{
		{l.kubeconfig, balancer, adminUser, adminGroup},
		{l.kubeconfigOf(KubeScheduler), components, "system:" + KubeScheduler, ""},
		{l.kubeconfigOf(KubeControllerManager), components, "system:" + KubeControllerManager, ""},
	} {
		if err := writeKubeconfig(ca, k.path, k.server, k.user, k.group); err != nil {
			return err
		}
	}
	return nil
}

// writeKubeconfig writes one with a certificate of its own; group "": in none.
func writeKubeconfig(ca *pki.Authority, path, server, user, group string) error {
	var groups []string
	if group != "" {
		groups = []string{group}
	}
	client, err := ca.Client(user, groups...)
	if err != nil {
		return err
	}
	text, err := kubeconfigText(server, ca.PEM(), user, client)
	if err != nil {
		return fmt.Errorf("write kubeconfig of %s: %w", user, err)
	}
	_, err = pki.WriteSecret(filepath.Dir(path), filepath.Base(path), text)
	return err
}

// writeManagerKubeconfig writes that of a controller manager with what stands
// before it and the API servers.
func (l *layout) writeManagerKubeconfig(name string, before func() (addr string, ca []byte, err error), token string) error {
	addr, ca, err := before()
	if err != nil {
		return fmt.Errorf("stand before %s: %w", name, err)
	}
	text, err := kubeconfigOf(addr, ca, "system:"+KubeControllerManager, map[string]any{"token": token})
	if err != nil {
		return fmt.Errorf("write kubeconfig of %s: %w", name, err)
	}
	_, err = pki.WriteSecret(l.config, filepath.Base(l.kubeconfigOf(name)), text)
	return err
}

// kubeconfigText is a kubeconfig with everything in it.
func kubeconfigText(server string, ca []byte, user string, client pki.Pair) ([]byte, error) {
	key, err := client.Key()
	if err != nil {
		return nil, err
	}
	encode := base64.StdEncoding.EncodeToString
	return kubeconfigOf(server, ca, user, map[string]any{
		"client-certificate-data": encode(client.Cert), "client-key-data": encode(key),
	})
}

func kubeconfigOf(server string, ca []byte, user string, credentials map[string]any) ([]byte, error) {
	const name = "planecheck"
	return yaml.Marshal(map[string]any{
		"apiVersion":      "v1",
		"kind":            "Config",
		"current-context": name,
		"clusters": []any{map[string]any{"name": name, "cluster": map[string]any{
			"server": "https://" + server, "certificate-authority-data": base64.StdEncoding.EncodeToString(ca),
		}}},
		"contexts": []any{map[string]any{"name": name, "context": map[string]any{
			"cluster": name, "user": user,
		}}},
		"users": []any{map[string]any{"name": user, "user": credentials}},
	})
}
