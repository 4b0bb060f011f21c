// Package apiserver starts a real Kubernetes control plane as child processes
// and stops it again: one or more kube-apiservers behind a load balancer,
// kube-schedulers and kube-controller-managers, with certificates, identities
// and kubeconfigs of their own, on loopback only.
package apiserver

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The kinds of component.
const (
	KubeAPIServer         = "kube-apiserver"
	KubeScheduler         = "kube-scheduler"
	KubeControllerManager = "kube-controller-manager"
)

// Kinds lists the kinds of component in the order in which they start.
func Kinds() []string { return []string{KubeAPIServer, KubeScheduler, KubeControllerManager} }

// Identity is one line of the API servers' --token-auth-file.
type Identity struct {
	Token, User string
	Groups      []string
}

// GC sets the garbage collector of a component. Zero leaves Go's default.
type GC struct {
	GOGC        int
	MemoryLimit int64 // bytes; GOMEMLIMIT
}

// Config says what control plane to start. Dir and Etcd are required.
type Config struct {
	// Dir is the run directory, which must exist. The control plane writes
	// Dir/kubeconfig, Dir/pki, Dir/config and Dir/logs.
	Dir string
	// Etcd are the client URLs of all members; every server gets all of them.
	Etcd []string
	// StoreLinks puts a link of its own between each server and each of Etcd, for
	// faults, see ControlPlane.StoreLinks. It costs each call of the store a hop.
	StoreLinks bool

	// How many of each there are, at least 1. With more than one scheduler or
	// controller manager, they elect a leader.
	Servers, Schedulers, ControllerManagers int

	// Port is the load balancer's on 127.0.0.1; 0 is any free one.
	Port int

	// Program is the planecheck binary that is run as each component, as a path that
	// may be relative to the working directory; "" is this process's own. A program
	// that does not link the components names one that does.
	Program string
	// Paths of a person's own binaries; "" is Program.
	KubeAPIServer, KubeScheduler, KubeControllerManager string

	// Leaderless has several schedulers elect no leader, so that all of them act:
	// a control plane that is broken on purpose.
	Leaderless bool

	// Accountable has the API servers tell which scheduler or controller manager
	// wrote what: each instance has a credential of its own, in the group that
	// InstanceGroup names, and each server logs what they write to
	// Dir/logs/audit-<i>.log, of Leases also the content. See ControlPlane.AuditLogs.
	Accountable bool

	// Before puts something between one controller manager and the API servers:
	// it is called once for each with where they are and who signs them, and
	// returns that of what is to stand before them. The controller manager then
	// has a bearer token instead of a certificate. Nil: nothing.
	Before func(upstream string, ca []byte) (addr string, addrCA []byte, err error)

	// APIServerArgs and KCMArgs come last on the command lines, so they win.
	APIServerArgs, KCMArgs []string

	// SchedulerSetting is one of SchedulerSettings; "" is "default".
	SchedulerSetting string
	// SchedulerConfigFile, a KubeSchedulerConfiguration, replaces the setting.
	SchedulerConfigFile string

	// FeatureGates, "A=true,B=false", go to all components.
	FeatureGates string

	// ConsistencyPeriod is how often a server compares its watch caches with the
	// store; 0: as upstream, every five minutes. A person's own binary keeps its
	// period.
	ConsistencyPeriod time.Duration

	// LeaderLease is how long the lease of a leading scheduler or controller
	// manager lasts; 0: as upstream, 15 s.
	LeaderLease time.Duration

	// Supervised starts a scheduler or controller manager again that has ended
	// because it lost the lead, as a kubelet does with the containers of a static
	// pod. It is no death then.
	Supervised bool
	// Forgiven are words, in lower case, with which a scheduler or controller manager
	// may end itself beside those of a lost lead: it is started again in the same
	// way, if Supervised. They are for a plan that takes from it what it rests on.
	Forgiven []string

	// Tokens are the identities that may authenticate with a bearer token.
	Tokens []Identity

	// GC is by kind of component.
	GC map[string]GC

	// AuditLog makes each server write every request and response to
	// Dir/logs/audit-<i>.log.
	AuditLog bool

	Log *slog.Logger // nil: no log
}

// complete checks the configuration and fills in the defaults.
func (cfg Config) complete() (Config, error) {
	dir, err := filepath.Abs(cfg.Dir)
	if err != nil {
		return cfg, fmt.Errorf("run directory %s: %w", cfg.Dir, err)
	}
	if info, err := os.Stat(dir); err != nil {
		return cfg, fmt.Errorf("run directory: %w", err)
	} else if !info.IsDir() {
		return cfg, fmt.Errorf("run directory %s is no directory", dir)
	}
	cfg.Dir = dir
	if cfg.SchedulerSetting == "" {
		cfg.SchedulerSetting = SchedulerDefault
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return cfg, errors.Join(cfg.checkNumbers(), cfg.checkSettings(), checkTokens(cfg.Tokens))
}

func (cfg Config) checkNumbers() error {
	if len(cfg.Etcd) == 0 {
		return errors.New("no etcd endpoint is given")
	}
	count := map[string]int{
		KubeAPIServer: cfg.Servers, KubeScheduler: cfg.Schedulers, KubeControllerManager: cfg.ControllerManagers,
	}
	for _, kind := range Kinds() {
		if count[kind] < 1 {
			return fmt.Errorf("%d of %s: there must be at least 1", count[kind], kind)
		}
	}
	if cfg.Port < 0 || cfg.Port > 65535 {
		return fmt.Errorf("%d is no port", cfg.Port)
	}
	return nil
}

func (cfg Config) checkSettings() error {
	if !slices.Contains(SchedulerSettings(), cfg.SchedulerSetting) {
		return fmt.Errorf("unknown scheduler setting %q, known are %s",
			cfg.SchedulerSetting, strings.Join(SchedulerSettings(), ", "))
	}
	for _, kind := range slices.Sorted(maps.Keys(cfg.GC)) {
		if !slices.Contains(Kinds(), kind) {
			return fmt.Errorf("garbage collection of %q: known are %s", kind, strings.Join(Kinds(), ", "))
		}
		if gc := cfg.GC[kind]; gc.GOGC < 0 || gc.MemoryLimit < 0 {
			return fmt.Errorf("garbage collection of %s: %+v is negative", kind, gc)
		}
	}
	if cfg.FeatureGates == "" {
		return nil
	}
	for gate := range strings.SplitSeq(cfg.FeatureGates, ",") {
		name, value, _ := strings.Cut(gate, "=")
		if _, err := strconv.ParseBool(value); err != nil || name == "" {
			return fmt.Errorf("feature gate %q is not NAME=true or NAME=false", gate)
		}
	}
	return nil
}

// checkTokens refuses what the server would refuse at start, or worse, take
// for another identity.
func checkTokens(tokens []Identity) error {
	seen := make(map[string]string, len(tokens))
	for _, id := range tokens {
		if id.Token == "" || id.User == "" {
			return fmt.Errorf("identity %q: token and user must not be empty", id.User)
		}
		if user, ok := seen[id.Token]; ok {
			return fmt.Errorf("identities %q and %q have the same token", user, id.User)
		}
		seen[id.Token] = id.User
		for _, group := range id.Groups {
			// The file has one field for all groups, separated by commas.
			if strings.Contains(group, ",") {
				return fmt.Errorf("identity %q: group %q contains a comma", id.User, group)
			}
		}
	}
	return nil
}

// binaryPath returns the person's own binary of a kind, or "".
func (cfg Config) binaryPath(kind string) string {
	switch kind {
	case KubeAPIServer:
		return cfg.KubeAPIServer
	case KubeScheduler:
		return cfg.KubeScheduler
	default:
		return cfg.KubeControllerManager
	}
}
