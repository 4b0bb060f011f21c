package apiserver

import (
	"fmt"
	"maps"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Subcommand is the hidden first argument with which this binary is
// re-executed as a component: `<self> component <kind> args...`.
const Subcommand = "component"

// The environment that tells a re-executed binary what it is.
const (
	// ComponentEnv is "1" in every component.
	ComponentEnv = "PLANECHECK_COMPONENT"
	// HostnameEnv is the host name that a kube-apiserver takes for its own. The
	// server derives its identity from it (k8s.io/apiserver/pkg/server/config.go,
	// NewConfig). Several servers on one machine would otherwise share one
	// identity Lease, and each would delete the other's when it starts and
	// stops, which servers on machines of their own never do. A person's own
	// binary does not know the variable.
	HostnameEnv = "PLANECHECK_HOSTNAME"
	// ConsistencyEnv is the period, a Go duration, in which a kube-apiserver
	// compares its watch caches with the store (k8s.io/apiserver/pkg/storage/
	// cacher/consistency, CheckPeriod: five minutes). There is no flag for it.
	ConsistencyEnv = "PLANECHECK_CONSISTENCY_PERIOD"
)

// serviceRange is kubeadm's default. It has room for 1,048,576 Services; the
// first address is the Service default/kubernetes.
const (
	serviceRange        = "10.96.0.0/12"
	serviceFirstAddress = "10.96.0.1"
)

// tokenIssuer is kubeadm's default, too.
const tokenIssuer = "https://kubernetes.default.svc.cluster.local"

// clientRate is the client-side limit of requests per second, and the burst,
// of scheduler and controller manager (upstream: 50 and 100, 20 and 30). It is
// what upstream's own scheduler benchmark sets (test/integration/scheduler_perf/util.go):
// the figures are to show the components and not the limiters in front of them.
const clientRate = 5000

// flag is one flag of a command line, which is --name=value.
type flag struct{ name, value string }

func flagArgs(flags []flag) []string {
	args := make([]string, len(flags))
	for i, f := range flags {
		args[i] = "--" + f.name + "=" + f.value
	}
	return args
}

// serverArgs is the command line of a kube-apiserver. It follows kubeadm
// (cmd/kubeadm/app/phases/controlplane/manifests.go) where nothing else is said.
func (l *layout) serverArgs(cfg *Config, name, addr string) []string {
	flags := l.servingFlags(name, addr)
	flags = append(flags,
		flag{"advertise-address", "127.0.0.1"},
		// The lease reconciler, which is the default, would write the address of
		// each server to the endpoints of default/kubernetes: it refuses to start
		// with a loopback address, and keeps one record per address, which all
		// our servers would share. So nobody writes these endpoints, and nobody
		// could use them: pods here are simulated.
		flag{"endpoint-reconciler-type", "none"},
		flag{"etcd-servers", strings.Join(cfg.Etcd, ",")},
		flag{"authorization-mode", "Node,RBAC"},
		flag{"enable-admission-plugins", "NodeRestriction"},
		flag{"enable-priority-and-fairness", "true"},
		flag{"token-auth-file", l.tokens},
		flag{"service-account-issuer", tokenIssuer},
		flag{"service-account-key-file", l.signingPublic},
		flag{"service-account-signing-key-file", l.signingKey},
		flag{"service-cluster-ip-range", serviceRange},
		flag{"allow-privileged", "true"},
		flag{"requestheader-allowed-names", proxyClientName},
		flag{"requestheader-username-headers", "X-Remote-User"},
		flag{"requestheader-group-headers", "X-Remote-Group"},
		flag{"requestheader-extra-headers-prefix", "X-Remote-Extra-"},
		flag{"proxy-client-cert-file", l.proxyCert},
		flag{"proxy-client-key-file", l.proxyKey},
		flag{"profiling", "true"},
	)
	if cfg.AuditLog || cfg.Accountable {
		flags = append(flags,
			flag{"audit-policy-file", l.auditPolicy},
			flag{"audit-log-path", l.auditLog(name)},
		)
	}
	flags = appendGates(flags, cfg)
	return append(flagArgs(flags), cfg.APIServerArgs...)
}

// schedulerArgs is the command line of a kube-scheduler; most of its
// configuration is in the file.
func (l *layout) schedulerArgs(cfg *Config, name, addr string) []string {
	flags := append(l.servingFlags(name, addr),
		flag{"config", l.schedulerConfigOf(cfg, name)},
		flag{"authentication-kubeconfig", l.kubeconfigOf(KubeScheduler)},
		flag{"authorization-kubeconfig", l.kubeconfigOf(KubeScheduler)},
	)
	flags = append(flags, electionFlags(cfg, cfg.Schedulers > 1 && !cfg.Leaderless)...)
	return flagArgs(appendGates(flags, cfg))
}

// electionFlags say whether, and how, the instances of a component elect their
// leader. Flags win over the scheduler's file. The
// three times keep the proportions of upstream's, 15 s, 10 s and 2 s
// (k8s.io/component-base/config/v1alpha1/defaults.go).
func electionFlags(cfg *Config, elect bool) []flag {
	flags := []flag{{"leader-elect", strconv.FormatBool(elect)}}
	if d := cfg.LeaderLease; d > 0 {
		flags = append(flags,
			flag{"leader-elect-lease-duration", d.String()},
			flag{"leader-elect-renew-deadline", (d * 10 / 15).String()},
			flag{"leader-elect-retry-period", (d * 2 / 15).String()},
		)
	}
	return flags
}

// managerArgs is the command line of a kube-controller-manager. The numbers of
// workers (--concurrent-...) are upstream's.
func (l *layout) managerArgs(cfg *Config, name, addr string) []string {
	kubeconfig := KubeControllerManager
	if cfg.Before != nil || cfg.Accountable {
		kubeconfig = name // each has its own way to the API servers, or is known to them
	}
	flags := append(l.servingFlags(name, addr),
		flag{"kubeconfig", l.kubeconfigOf(kubeconfig)},
		flag{"authentication-kubeconfig", l.kubeconfigOf(KubeControllerManager)},
		flag{"authorization-kubeconfig", l.kubeconfigOf(KubeControllerManager)},
		flag{"use-service-account-credentials", "true"},
		flag{"service-account-private-key-file", l.signingKey},
		flag{"root-ca-file", l.caCert},
		flag{"cluster-signing-cert-file", l.caCert},
		flag{"cluster-signing-key-file", l.caKey},
		flag{"kube-api-qps", strconv.Itoa(clientRate)},
		flag{"kube-api-burst", strconv.Itoa(clientRate)},
		flag{"profiling", "true"},
	)
	flags = append(flags, electionFlags(cfg, cfg.ControllerManagers > 1)...)
	return append(flagArgs(appendGates(flags, cfg)), cfg.KCMArgs...)
}

// servingFlags are common to all components: all three serve TLS on loopback
// and know clients by certificate, without asking an API server.
func (l *layout) servingFlags(name, addr string) []flag {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		host, port = addr, "" // the component will refuse it and say so
	}
	return []flag{
		{"bind-address", host},
		{"secure-port", port},
		{"tls-cert-file", filepath.Join(l.pki, name+".crt")},
		{"tls-private-key-file", filepath.Join(l.pki, name+".key")},
		{"client-ca-file", l.caCert},
		{"requestheader-client-ca-file", l.proxyCACert},
	}
}

func appendGates(flags []flag, cfg *Config) []flag {
	if cfg.FeatureGates == "" {
		return flags
	}
	return append(flags, flag{"feature-gates", cfg.FeatureGates})
}

// inherited are the variables that a component gets from ours: what finds
// files, what configures Go's runtime beyond GOGC, and client-go's feature
// gates. Anything else, such as a proxy or our own GOGC, stays outside: the
// components are to run alike on all machines.
func inherited(name string) bool {
	switch name {
	case "PATH", "HOME", "TMPDIR", "TZ", "GODEBUG", "GOMAXPROCS", "GOTRACEBACK", "GOCOVERDIR":
		return true
	}
	return strings.HasPrefix(name, "KUBE_FEATURE_")
}

// componentEnv is the whole environment of a component, sorted.
func componentEnv(parent []string, name, kind string, gc GC, consistency time.Duration) []string {
	env := map[string]string{ComponentEnv: "1"}
	for _, entry := range parent {
		if key, value, _ := strings.Cut(entry, "="); inherited(key) {
			env[key] = value
		}
	}
	if kind == KubeAPIServer {
		env[HostnameEnv] = name
		if consistency > 0 {
			env[ConsistencyEnv] = consistency.String()
		}
	}
	if gc.GOGC > 0 {
		env["GOGC"] = strconv.Itoa(gc.GOGC)
	}
	if gc.MemoryLimit > 0 {
		env["GOMEMLIMIT"] = strconv.FormatInt(gc.MemoryLimit, 10)
	}
	lines := make([]string, 0, len(env))
	for _, key := range slices.Sorted(maps.Keys(env)) {
		lines = append(lines, key+"="+env[key])
	}
	return lines
}

// componentName is the name of the i-th component of a kind.
func componentName(kind string, i int) string { return fmt.Sprintf("%s-%d", kind, i) }
