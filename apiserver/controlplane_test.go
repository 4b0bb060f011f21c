package apiserver

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/planecheck/planecheck/apiserver/link"
)

// These tests run whole control planes of children that only serve TLS: what
// is tested is starting, watching and stopping. Real components are run by the
// suite in scenarios.

// serveTLS is a child that takes the flags which all components have. It
// records its beginning and its orderly end in the file life.
func serveTLS(life string, args []string) error {
	value := func(name string) string {
		for _, arg := range args {
			if rest, ok := strings.CutPrefix(arg, "--"+name+"="); ok {
				return rest
			}
		}
		return ""
	}
	pair, err := tls.LoadX509KeyPair(value("tls-cert-file"), value("tls-private-key-file"))
	if err != nil {
		return err
	}
	ca, err := os.ReadFile(value("client-ca-file"))
	if err != nil {
		return err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	listener, err := tls.Listen("tcp", net.JoinHostPort(value("bind-address"), value("secure-port")), &tls.Config{
		Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool,
	})
	if err != nil {
		return err
	}
	name := pair.Leaf.Subject.CommonName
	if err := note(life, "start "+name); err != nil {
		return err
	}
	go awaitTerm(func() { _ = note(life, "end "+name) })
	mux := http.NewServeMux()
	mux.HandleFunc("/version", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"gitVersion":"v9.9.9"}`)
	})
	mux.HandleFunc("/broken", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "it is broken", 500) })
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprintf(w, "%s %s for %s", name, r.URL.Path, r.TLS.PeerCertificates[0].Subject.CommonName)
	})
	return http.Serve(listener, mux)
}

func note(path, line string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.WriteString(f, line+"\n")
	return err
}

// servingConfig is a control plane of children that serve; life is where they
// record what happens to them.
func servingConfig(t *testing.T) (cfg Config, life string) {
	t.Helper()
	dir := t.TempDir()
	life = filepath.Join(dir, "life")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	serving := func(kind string) string {
		return script(t, fmt.Sprintf("case $1 in --version|--help) echo 'Kubernetes v1.2.3'; echo; echo '  %s [flags]'; exit;; esac\n"+
			"export GORACE=atexit_sleep_ms=0 %s=serve; exec %s '%s' \"$@\"\n", kind, childEnv, self, life))
	}
	cfg = *testConfig()
	cfg.Dir, cfg.Log = dir, discard()
	cfg.KubeAPIServer, cfg.KubeScheduler, cfg.KubeControllerManager =
		serving(KubeAPIServer), serving(KubeScheduler), serving(KubeControllerManager)
	return cfg, life
}

func startServing(t *testing.T, cfg Config) *ControlPlane {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testBound)
	defer cancel()
	c, err := Start(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func readLife(t *testing.T, path string) []string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Fields(strings.ReplaceAll(string(text), " ", ":"))
}

func TestLifecycle(t *testing.T) {
	t.Parallel()
	cfg, life := servingConfig(t)
	c := startServing(t, cfg)

	var names []string
	for _, component := range c.Components() {
		names = append(names, component.Name)
		host, _, err := net.SplitHostPort(component.Addr)
		if err != nil || host != "127.0.0.1" {
			t.Errorf("%s serves on %s", component.Name, component.Addr)
		}
		metrics, err := c.Metrics(t.Context(), component.Name)
		if want := component.Name + " /metrics for planecheck:admin"; err != nil || string(metrics) != want {
			t.Errorf("metrics %q, %v, want %q", metrics, err, want)
		}
		if component.PID <= 0 || len(component.Args) == 0 || !slices.Contains(component.Env, "PLANECHECK_COMPONENT=1") {
			t.Errorf("incomplete: %+v", component)
		}
	}
	all := []string{"kube-apiserver-0", "kube-apiserver-1", "kube-scheduler-0", "kube-controller-manager-0"}
	if diff := cmp.Diff(all, names); diff != "" {
		t.Error(diff)
	}
	want := map[string]string{KubeAPIServer: "v9.9.9", KubeScheduler: "v1.2.3", KubeControllerManager: "v1.2.3"}
	if diff := cmp.Diff(want, c.Versions()); diff != "" {
		t.Error(diff)
	}
	if _, err := c.Get(t.Context(), "kube-apiserver-1", "/broken"); err == nil || !strings.Contains(err.Error(), "it is broken") {
		t.Errorf("an error of the component: %v", err)
	}
	for _, bad := range [][2]string{{"nobody", "/metrics"}, {"kube-apiserver-0", "@127.0.0.2/"}} {
		if _, err := c.Get(t.Context(), bad[0], bad[1]); err == nil {
			t.Errorf("%q: no error", bad)
		}
	}

	if err := c.Stop(); err != nil {
		t.Fatal(err)
	}
	if len(c.died) != 0 {
		t.Errorf("reported as died: %v", <-c.died)
	}
	lines := readLife(t, life)
	checkOrder(t, lines)
	if len(lines) != 2*len(all) {
		t.Errorf("not everybody began and ended: %q", lines)
	}
	for _, addr := range append(c.ServerAddrs(), c.Addr()) {
		if _, err := net.Dial("tcp", addr); err == nil {
			t.Errorf("%s still listens", addr)
		}
	}
}

// checkOrder wants the first server alone, then the servers, then the others;
// and the servers to end last.
func checkOrder(t *testing.T, lines []string) {
	t.Helper()
	rank := func(line string) int {
		switch {
		case line == "start:kube-apiserver-0":
			return 0
		case strings.HasPrefix(line, "start:kube-apiserver"):
			return 1
		case strings.HasPrefix(line, "start:"):
			return 2
		case strings.HasPrefix(line, "end:kube-apiserver"):
			return 4
		default:
			return 3
		}
	}
	if !slices.IsSortedFunc(lines, func(a, b string) int { return rank(a) - rank(b) }) {
		t.Errorf("wrong order: %q", lines)
	}
}

func TestBalancerAndIdentities(t *testing.T) {
	t.Parallel()
	cfg, _ := servingConfig(t)
	c := startServing(t, cfg)
	node, err := c.Issue("system:node:n1", []string{"system:nodes"})
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(c.CA()) {
		t.Fatal("CA is no PEM")
	}
	client := &http.Client{Timeout: testBound, Transport: &http.Transport{
		DisableKeepAlives: true,
		TLSClientConfig:   &tls.Config{RootCAs: pool, Certificates: []tls.Certificate{node}},
	}}
	var got []string
	for range 4 {
		response, err := client.Get("https://" + c.Addr() + "/x")
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		got = append(got, string(body))
	}
	a, b := "kube-apiserver-0 /x for system:node:n1", "kube-apiserver-1 /x for system:node:n1"
	if diff := cmp.Diff([]string{a, b, a, b}, got); diff != "" {
		t.Error(diff)
	}
	tokens, err := os.ReadFile(filepath.Join(c.cfg.Dir, "config", "tokens.csv"))
	if err != nil {
		t.Fatal(err)
	}
	if want := c.AdminToken() + ",planecheck:admin,0,system:masters\n"; len(c.AdminToken()) < 20 || string(tokens) != want {
		t.Errorf("tokens %q, want %q", tokens, want)
	}
}

func TestKilledComponentIsReported(t *testing.T) {
	t.Parallel()
	cfg, _ := servingConfig(t)
	c := startServing(t, cfg)
	if err := c.Signal("kube-scheduler-0", syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	victim := c.Components()[1]
	if err := syscall.Kill(victim.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	select {
	case failure := <-c.Died():
		if failure.Name != "kube-apiserver-1" || failure.State != "signal: killed" || failure.LogFile != victim.LogFile {
			t.Errorf("%+v", failure)
		}
	case <-time.After(testBound):
		t.Fatal("the death was not reported")
	}
	if err := c.Stop(); err != nil {
		t.Error(err)
	}
	if len(c.died) != 0 {
		t.Errorf("the component that the plan killed was reported: %v", <-c.died)
	}
}

// A start that fails half-way leaves nothing, and says why.
func TestStartIsUndone(t *testing.T) {
	t.Parallel()
	failing := func(kind string) string {
		return script(t, component("Kubernetes v1.2.3", kind)+"[ $1 = --version ] || [ $1 = --help ] || { echo boom; exit 7; }\n")
	}
	check := func(change func(*Config), want ...string) {
		t.Helper()
		cfg, _ := servingConfig(t)
		cfg.Port = freePort(t)
		change(&cfg)
		_, err := Start(t.Context(), cfg)
		for _, w := range want {
			if err == nil || !strings.Contains(err.Error(), w) {
				t.Errorf("got %v, want an error with %q", err, w)
			}
		}
		listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", cfg.Port))
		if err != nil {
			t.Errorf("the balancer's port was not given back: %v", err)
			return
		}
		_ = listener.Close()
	}
	check(func(c *Config) { c.KubeAPIServer = failing(KubeAPIServer) },
		"kube-apiserver-0 exited before it was ready: exit status 7", "boom")
	check(func(c *Config) { c.KubeScheduler = failing(KubeScheduler) },
		"kube-scheduler-0 exited before it was ready: exit status 7", "boom")
	check(func(c *Config) { c.SchedulerConfigFile = "missing.yaml" }, "missing.yaml: no such file")
	check(func(c *Config) { c.KubeScheduler = "/dev/null" }, "/dev/null is no kube-scheduler")
	check(func(c *Config) { c.Servers = 0 }, "must be at least 1")
}

// The servers that were ready are stopped in an orderly way when what comes
// after them fails.
func TestServersAreUndone(t *testing.T) {
	t.Parallel()
	cfg, life := servingConfig(t)
	cfg.KubeScheduler = script(t, component("Kubernetes v1.2.3", KubeScheduler)+"[ $1 = --version ] || [ $1 = --help ] || exit 7\n")
	if _, err := Start(t.Context(), cfg); err == nil {
		t.Fatal("started")
	}
	lines := readLife(t, life)
	for _, want := range []string{"end:kube-apiserver-0", "end:kube-apiserver-1"} {
		if !slices.Contains(lines, want) {
			t.Errorf("%s is missing: %q", want, lines)
		}
	}
}

func TestStartInterrupted(t *testing.T) {
	t.Parallel()
	cfg, _ := servingConfig(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	// This one runs and never becomes ready.
	cfg.KubeAPIServer = script(t, component("Kubernetes v1.2.3", KubeAPIServer)+
		fmt.Sprintf("[ $1 = --version ] || [ $1 = --help ] || { export %s=sleep; exec %s; }\n", childEnv, self))
	ctx, cancel := context.WithCancelCause(t.Context())
	reason := errors.New("interrupted by the person")
	go func() {
		log := filepath.Join(cfg.Dir, "logs", "kube-apiserver-0.log")
		for deadline := time.Now().Add(testBound); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
			if text, err := os.ReadFile(log); err == nil && strings.Contains(string(text), "sleeping") {
				break
			}
		}
		cancel(reason)
	}()
	if _, err := Start(ctx, cfg); !errors.Is(err, reason) {
		t.Errorf("got %v, want %v", err, reason)
	}
}

func TestPortTaken(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	cfg, _ := servingConfig(t)
	cfg.Port = listener.Addr().(*net.TCPAddr).Port
	if _, err := Start(t.Context(), cfg); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("got %v, want address already in use", err)
	}
}

// freePort is a port that only who is told of it listens on, until the test ends.
func freePort(t *testing.T) int {
	t.Helper()
	port, err := link.ReservePort(0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(port.Release)
	return port.Number
}
