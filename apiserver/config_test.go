package apiserver

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"
)

func TestComplete(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	check := func(want string, change func(*Config)) {
		t.Helper()
		cfg := *testConfig()
		cfg.Dir = dir
		change(&cfg)
		_, err := cfg.complete()
		switch {
		case want == "" && err != nil:
			t.Errorf("refused: %v", err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("got %v, want an error with %q", err, want)
		}
	}
	check("", func(*Config) {})
	check("", func(c *Config) { c.SchedulerSetting = "" })
	check("", func(c *Config) { c.FeatureGates = "AllAlpha=false,WatchList=true" })
	check("", func(c *Config) { c.Tokens = []Identity{{"a", "u", []string{"g", "h"}}, {"b", "u", nil}} })
	check("no such file", func(c *Config) { c.Dir = filepath.Join(dir, "missing") })
	check("is no directory", func(c *Config) { c.Dir = file })
	check("no etcd endpoint", func(c *Config) { c.Etcd = nil })
	check("0 of kube-apiserver", func(c *Config) { c.Servers = 0 })
	check("-1 of kube-scheduler", func(c *Config) { c.Schedulers = -1 })
	check("0 of kube-controller-manager", func(c *Config) { c.ControllerManagers = 0 })
	check("70000 is no port", func(c *Config) { c.Port = 70000 })
	check(`unknown scheduler setting "fast", known are default, throughput`, func(c *Config) { c.SchedulerSetting = "fast" })
	check(`garbage collection of "etcd"`, func(c *Config) { c.GC = map[string]GC{"etcd": {GOGC: 1}} })
	check("is negative", func(c *Config) { c.GC = map[string]GC{KubeScheduler: {GOGC: -1}} })
	check(`feature gate "WatchList" is not`, func(c *Config) { c.FeatureGates = "A=true,WatchList" })
	check(`feature gate "=true" is not`, func(c *Config) { c.FeatureGates = "=true" })
	check("must not be empty", func(c *Config) { c.Tokens = []Identity{{Token: "a"}} })
	check("have the same token", func(c *Config) { c.Tokens = []Identity{{"a", "u", nil}, {"a", "v", nil}} })
	check("contains a comma", func(c *Config) { c.Tokens = []Identity{{"a", "u", []string{"g,system:masters"}}} })
}

func parseYAML(t *testing.T, text []byte) map[string]any {
	t.Helper()
	var parsed map[string]any
	if err := yaml.UnmarshalStrict(text, &parsed); err != nil {
		t.Fatalf("%v in:\n%s", err, text)
	}
	return parsed
}

func TestSchedulerFile(t *testing.T) {
	connection := map[string]any{"kubeconfig": `/run/a "b"/k`, "qps": 5000.0, "burst": 5000.0}
	check := func(setting string, want map[string]any) {
		t.Helper()
		want["apiVersion"], want["kind"], want["clientConnection"] = schedulerAPI, schedulerKind, connection
		text := schedulerFile(setting, `/run/a "b"/k`)
		if diff := cmp.Diff(want, parseYAML(t, []byte(text))); diff != "" {
			t.Error(diff)
		}
		for _, note := range schedulerNotes(setting) {
			if !strings.Contains(text, "# "+note+"\n") {
				t.Errorf("%s: the file does not say %q", setting, note)
			}
		}
	}
	check(SchedulerDefault, map[string]any{})
	check(SchedulerThroughput, map[string]any{
		"percentageOfNodesToScore": 2.0,
		"profiles": []any{map[string]any{
			"schedulerName": "default-scheduler",
			"pluginConfig": []any{map[string]any{
				"name": "PodTopologySpread",
				"args": map[string]any{"defaultingType": "List", "defaultConstraints": []any{}},
			}},
		}},
	})
}

func TestOwnSchedulerFile(t *testing.T) {
	const head = "apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\n"
	path := filepath.Join(t.TempDir(), "own.yaml")
	point := func(text string) (string, error) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return ownSchedulerFile(path, "/run/k")
	}
	good := func(text string, want map[string]any) {
		t.Helper()
		got, err := point(text)
		if err != nil {
			t.Error(err)
			return
		}
		want["apiVersion"], want["kind"] = schedulerAPI, schedulerKind
		if diff := cmp.Diff(want, parseYAML(t, []byte(got))); diff != "" {
			t.Error(diff)
		}
	}
	bad := func(text, want string) {
		t.Helper()
		_, err := point(text)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("got %v, want one line with %q", err, want)
		}
	}
	ours := map[string]any{"kubeconfig": "/run/k"}
	good(head+"parallelism: 4\n", map[string]any{"parallelism": 4.0, "clientConnection": ours})
	good(head+"clientConnection: {kubeconfig: /home/me/k, qps: 7}\n",
		map[string]any{"clientConnection": map[string]any{"kubeconfig": "/run/k", "qps": 7.0}})
	good(head+"clientConnection:\n", map[string]any{"clientConnection": ours})
	bad("", "kind is <nil>")
	bad("kind: Deployment\n", "kind is Deployment, want KubeSchedulerConfiguration")
	bad(head+"clientConnection: 5\n", "clientConnection is no object")
	bad(head+" :\n  - x: [", path)
	bad(head+"parallelism: 4\nparallelism: 5\n", "already")
	if _, err := ownSchedulerFile(path+".missing", "/run/k"); err == nil {
		t.Error("a file that is not there was read")
	}
}

func TestDescribeSettings(t *testing.T) {
	cfg := *testConfig()
	check := func(want ...string) {
		t.Helper()
		text := strings.Join(DescribeSettings(cfg), "\n")
		for _, w := range want {
			if !strings.Contains(text, w) {
				t.Errorf("%q is missing in:\n%s", w, text)
			}
		}
	}
	check("kube-scheduler: clientConnection: 5000", "kube-controller-manager: kube-api-qps", "upstream's default")
	cfg.SchedulerSetting = SchedulerThroughput
	cfg.GC = map[string]GC{KubeAPIServer: {GOGC: 400, MemoryLimit: 9 << 30}}
	cfg.KubeScheduler = "/opt/my-scheduler"
	cfg.FeatureGates = "WatchList=false"
	check("percentageOfNodesToScore: 2", "kube-apiserver: GOGC 400, GOMEMLIMIT 9663676416", "/opt/my-scheduler", "WatchList=false")
	cfg.SchedulerConfigFile, cfg.StoreLinks = "own.yaml", true
	check("kube-apiserver: each reaches each endpoint of the store through a link", "kube-scheduler: configuration file own.yaml")
}

// A person's file is refused or pointed at our servers, never passed on as it is.
func FuzzPointScheduler(f *testing.F) {
	f.Add([]byte("kind: KubeSchedulerConfiguration\nclientConnection: {qps: 1}\n"))
	f.Add([]byte("kind: KubeSchedulerConfiguration\nclientConnection: []\n"))
	f.Add([]byte("[1, 2"))
	f.Fuzz(func(t *testing.T, text []byte) {
		out, err := pointScheduler(text, "/run/k")
		if err != nil {
			if strings.Contains(err.Error(), "\n") {
				t.Fatalf("more than one line: %v", err)
			}
			return
		}
		var parsed struct {
			Kind             string
			ClientConnection struct{ Kubeconfig string }
		}
		if err := yaml.Unmarshal(out, &parsed); err != nil || parsed.Kind != schedulerKind || parsed.ClientConnection.Kubeconfig != "/run/k" {
			t.Fatalf("%+v, %v from %q", parsed, err, out)
		}
	})
}
