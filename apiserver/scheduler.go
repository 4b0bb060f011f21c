package apiserver

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"sigs.k8s.io/yaml"
)

// The published settings of the scheduler.
const (
	// SchedulerDefault is upstream's configuration.
	SchedulerDefault = "default"
	// SchedulerThroughput trades the quality of placement for speed.
	SchedulerThroughput = "throughput"
)

// SchedulerSettings lists the published settings.
func SchedulerSettings() []string { return []string{SchedulerDefault, SchedulerThroughput} }

// nodesToScore is percentageOfNodesToScore of the throughput setting. Upstream
// scores 10 % of 5,000 nodes and never fewer than 100 nodes (minFeasibleNodesToFind
// and numFeasibleNodesToFind in pkg/scheduler/schedule_one.go): 2 % is the
// smallest share that still means something at that size.
const nodesToScore = 2

const (
	schedulerAPI  = "kubescheduler.config.k8s.io/v1"
	schedulerKind = "KubeSchedulerConfiguration"
)

// schedulerFile is the text of the scheduler's --config file for a setting.
func schedulerFile(setting, kubeconfig string) string {
	var text strings.Builder
	comments := append([]string{"kube-scheduler as planecheck runs it, setting " + setting + ":"}, schedulerNotes(setting)...)
	for _, line := range comments {
		fmt.Fprintf(&text, "# %s\n", line)
	}
	fmt.Fprintf(&text, "apiVersion: %s\nkind: %s\n", schedulerAPI, schedulerKind)
	fmt.Fprintf(&text, "clientConnection:\n  kubeconfig: %s\n  qps: %d\n  burst: %d\n",
		strconv.Quote(kubeconfig), clientRate, clientRate)
	if setting == SchedulerThroughput {
		fmt.Fprintf(&text, "percentageOfNodesToScore: %d\n", nodesToScore)
		text.WriteString(`profiles:
- schedulerName: default-scheduler
  pluginConfig:
  - name: PodTopologySpread
    args:
      defaultingType: List
      defaultConstraints: []
`)
	}
	return text.String()
}

// schedulerNotes says what a setting changes and why.
func schedulerNotes(setting string) []string {
	notes := []string{fmt.Sprintf(
		"clientConnection: %d requests/s, burst %d (upstream: 50 and 100), so that the client's own limiter is not what is measured.",
		clientRate, clientRate)}
	if setting == SchedulerDefault {
		return append(notes, "Everything else is upstream's default.")
	}
	return append(notes,
		fmt.Sprintf("percentageOfNodesToScore: %d (upstream: adaptive, 10 at 5,000 nodes): fewer nodes are looked at for each pod; never fewer than 100.", nodesToScore),
		"PodTopologySpread: no default constraints (upstream: spread the pods of a workload over hosts and zones), which otherwise look at all nodes for each pod.",
		"Placement is worse than upstream's: pods of a workload may share nodes and zones.",
	)
}

// ownSchedulerFile reads a person's configuration and points it at our API
// servers; all else stays as it was written.
func ownSchedulerFile(path, kubeconfig string) (string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("scheduler configuration: %w", err)
	}
	own, err := pointScheduler(text, kubeconfig)
	if err != nil {
		return "", fmt.Errorf("scheduler configuration %s: %w", path, err)
	}
	header := "# From " + strconv.Quote(path) + "; planecheck set clientConnection.kubeconfig.\n"
	return header + string(own), nil
}

func pointScheduler(text []byte, kubeconfig string) ([]byte, error) {
	var config map[string]any
	if err := yaml.UnmarshalStrict(text, &config); err != nil {
		return nil, errors.New(strings.Join(strings.Fields(err.Error()), " "))
	}
	if config["kind"] != schedulerKind {
		return nil, fmt.Errorf("kind is %v, want %s", config["kind"], schedulerKind)
	}
	connection, ok := config["clientConnection"].(map[string]any)
	if !ok {
		if config["clientConnection"] != nil {
			return nil, errors.New("clientConnection is no object")
		}
		connection = map[string]any{}
		config["clientConnection"] = connection
	}
	connection["kubeconfig"] = kubeconfig
	return yaml.Marshal(config)
}

// DescribeSettings says, in sentences, where the control plane that Start
// makes of cfg differs from upstream's defaults. It belongs into every report.
func DescribeSettings(cfg Config) []string {
	var lines []string
	add := func(kind string, notes ...string) {
		for _, note := range notes {
			lines = append(lines, kind+": "+note)
		}
	}
	add(KubeAPIServer, "endpoint-reconciler-type none: default/kubernetes has no endpoints, because all servers are on loopback.")
	if cfg.StoreLinks {
		add(KubeAPIServer, "each reaches each endpoint of the store through a link of its own, which can be delayed, held or cut.")
	}
	if cfg.ConsistencyPeriod > 0 {
		add(KubeAPIServer, fmt.Sprintf("watch caches are compared with the store every %s (upstream: every 5m0s).", cfg.ConsistencyPeriod))
	}
	switch {
	case cfg.SchedulerConfigFile != "":
		add(KubeScheduler, "configuration file "+cfg.SchedulerConfigFile+", with only the kubeconfig changed.")
	case slices.Contains(SchedulerSettings(), cfg.SchedulerSetting):
		add(KubeScheduler, schedulerNotes(cfg.SchedulerSetting)...)
	default:
		add(KubeScheduler, schedulerNotes(SchedulerDefault)...)
	}
	add(KubeControllerManager,
		fmt.Sprintf("kube-api-qps and kube-api-burst %d (upstream: 20 and 30), for each controller; --concurrent-... as upstream.", clientRate))
	if cfg.LeaderLease > 0 {
		lines = append(lines, fmt.Sprintf("schedulers and controller managers: the lease of a leader lasts %s (upstream: 15s), renew deadline and retry period in proportion.", cfg.LeaderLease))
	}
	if cfg.Accountable {
		lines = append(lines, "schedulers and controller managers: each instance has a client certificate of its own, and the API servers log what they write (--audit-policy-file).")
	}
	if cfg.Leaderless {
		lines = append(lines, fmt.Sprintf("schedulers: all %d act at once, because they elect no leader.", cfg.Schedulers))
	}
	if cfg.Supervised {
		lines = append(lines, "schedulers and controller managers: one that ends because it lost the lead is started again.")
		for _, words := range cfg.Forgiven {
			lines = append(lines, fmt.Sprintf("schedulers and controller managers: so is one that ends with %q.", words))
		}
	}
	for _, kind := range Kinds() {
		if gc := cfg.GC[kind]; gc != (GC{}) {
			add(kind, fmt.Sprintf("GOGC %d, GOMEMLIMIT %d bytes (0: Go's default).", gc.GOGC, gc.MemoryLimit))
		}
		if path := cfg.binaryPath(kind); path != "" {
			add(kind, "binary "+path+".")
		}
	}
	if cfg.FeatureGates != "" {
		lines = append(lines, "all: feature gates "+cfg.FeatureGates+".")
	}
	return lines
}
