package apiserver

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// testLayout is the layout of a run in /run, with the paths that writeKeys
// would set.
func testLayout() *layout {
	return &layout{
		dir: "/run", pki: "/run/pki", config: "/run/config", logs: "/run/logs",
		caCert: "/run/pki/ca.crt", caKey: "/run/pki/ca.key", proxyCACert: "/run/pki/front-proxy-ca.crt",
		proxyCert: "/run/pki/front-proxy-client.crt", proxyKey: "/run/pki/front-proxy-client.key",
		signingPublic: "/run/pki/service-account.pub", signingKey: "/run/pki/service-account.key",
		tokens: "/run/config/tokens.csv", auditPolicy: "/run/config/audit-policy.yaml",
		schedulerConfig: "/run/config/kube-scheduler.yaml", kubeconfig: "/run/kubeconfig",
	}
}

func testConfig() *Config {
	return &Config{
		Dir: "/run", Etcd: []string{"http://127.0.0.1:2379", "http://127.0.0.1:2380"},
		Servers: 2, Schedulers: 1, ControllerManagers: 1, SchedulerSetting: SchedulerDefault,
	}
}

func compareArgs(t *testing.T, got []string, want string) {
	t.Helper()
	if diff := cmp.Diff(strings.Fields(want), got); diff != "" {
		t.Error(diff)
	}
}

func TestServerArgs(t *testing.T) {
	cfg := testConfig()
	cfg.AuditLog = true
	cfg.FeatureGates = "A=true,B=false"
	cfg.APIServerArgs = []string{"--profiling=false", "--v=4"}
	compareArgs(t, testLayout().serverArgs(cfg, "kube-apiserver-1", "127.0.0.1:6001"), `
--bind-address=127.0.0.1
--secure-port=6001
--tls-cert-file=/run/pki/kube-apiserver-1.crt
--tls-private-key-file=/run/pki/kube-apiserver-1.key
--client-ca-file=/run/pki/ca.crt
--requestheader-client-ca-file=/run/pki/front-proxy-ca.crt
--advertise-address=127.0.0.1
--endpoint-reconciler-type=none
--etcd-servers=http://127.0.0.1:2379,http://127.0.0.1:2380
--authorization-mode=Node,RBAC
--enable-admission-plugins=NodeRestriction
--enable-priority-and-fairness=true
--token-auth-file=/run/config/tokens.csv
--service-account-issuer=https://kubernetes.default.svc.cluster.local
--service-account-key-file=/run/pki/service-account.pub
--service-account-signing-key-file=/run/pki/service-account.key
--service-cluster-ip-range=10.96.0.0/12
--allow-privileged=true
--requestheader-allowed-names=front-proxy-client
--requestheader-username-headers=X-Remote-User
--requestheader-group-headers=X-Remote-Group
--requestheader-extra-headers-prefix=X-Remote-Extra-
--proxy-client-cert-file=/run/pki/front-proxy-client.crt
--proxy-client-key-file=/run/pki/front-proxy-client.key
--profiling=true
--audit-policy-file=/run/config/audit-policy.yaml
--audit-log-path=/run/logs/audit-1.log
--feature-gates=A=true,B=false
--profiling=false
--v=4`)
}

func TestSchedulerArgs(t *testing.T) {
	cfg := testConfig()
	cfg.Schedulers = 2
	compareArgs(t, testLayout().schedulerArgs(cfg, "kube-scheduler-0", "127.0.0.1:6002"), `
--bind-address=127.0.0.1
--secure-port=6002
--tls-cert-file=/run/pki/kube-scheduler-0.crt
--tls-private-key-file=/run/pki/kube-scheduler-0.key
--client-ca-file=/run/pki/ca.crt
--requestheader-client-ca-file=/run/pki/front-proxy-ca.crt
--config=/run/config/kube-scheduler.yaml
--authentication-kubeconfig=/run/config/kube-scheduler.kubeconfig
--authorization-kubeconfig=/run/config/kube-scheduler.kubeconfig
--leader-elect=true`)
	cfg.Schedulers = 1
	if args := testLayout().schedulerArgs(cfg, "kube-scheduler-0", "127.0.0.1:6002"); !slices.Contains(args, "--leader-elect=false") {
		t.Errorf("one scheduler: %q", args)
	}
	cfg.Schedulers, cfg.Leaderless = 2, true
	if args := testLayout().schedulerArgs(cfg, "kube-scheduler-0", "127.0.0.1:6002"); !slices.Contains(args, "--leader-elect=false") {
		t.Errorf("two schedulers that elect no leader: %q", args)
	}
}

func TestManagerArgs(t *testing.T) {
	cfg := testConfig()
	cfg.FeatureGates = "A=true"
	cfg.KCMArgs = []string{"--kube-api-qps=20"}
	cfg.ControllerManagers, cfg.LeaderLease = 2, 6*time.Second
	compareArgs(t, testLayout().managerArgs(cfg, "kube-controller-manager-0", "127.0.0.1:6003"), `
--bind-address=127.0.0.1
--secure-port=6003
--tls-cert-file=/run/pki/kube-controller-manager-0.crt
--tls-private-key-file=/run/pki/kube-controller-manager-0.key
--client-ca-file=/run/pki/ca.crt
--requestheader-client-ca-file=/run/pki/front-proxy-ca.crt
--kubeconfig=/run/config/kube-controller-manager.kubeconfig
--authentication-kubeconfig=/run/config/kube-controller-manager.kubeconfig
--authorization-kubeconfig=/run/config/kube-controller-manager.kubeconfig
--use-service-account-credentials=true
--service-account-private-key-file=/run/pki/service-account.key
--root-ca-file=/run/pki/ca.crt
--cluster-signing-cert-file=/run/pki/ca.crt
--cluster-signing-key-file=/run/pki/ca.key
--kube-api-qps=5000
--kube-api-burst=5000
--profiling=true
--leader-elect=true
--leader-elect-lease-duration=6s
--leader-elect-renew-deadline=4s
--leader-elect-retry-period=800ms
--feature-gates=A=true
--kube-api-qps=20`)
}

func TestComponentEnv(t *testing.T) {
	parent := []string{
		"PATH=/bin", "HOME=/root", "HTTPS_PROXY=http://proxy", "GOGC=50", "GOMEMLIMIT=1GiB",
		"KUBE_FEATURE_WatchListClient=false", "AWS_SECRET_ACCESS_KEY=x", "GODEBUG=a=1",
	}
	check := func(kind string, gc GC, want ...string) {
		t.Helper()
		if diff := cmp.Diff(want, componentEnv(parent, kind+"-0", kind, gc, 0)); diff != "" {
			t.Error(diff)
		}
	}
	common := []string{"HOME=/root", "KUBE_FEATURE_WatchListClient=false", "PATH=/bin", "PLANECHECK_COMPONENT=1"}
	check(KubeScheduler, GC{}, append([]string{"GODEBUG=a=1"}, common...)...)
	check(KubeScheduler, GC{GOGC: 400, MemoryLimit: 1 << 30},
		append([]string{"GODEBUG=a=1", "GOGC=400", "GOMEMLIMIT=1073741824"}, common...)...)
	check(KubeAPIServer, GC{},
		append(append([]string{"GODEBUG=a=1"}, common...), "PLANECHECK_HOSTNAME=kube-apiserver-0")...)
	for kind, want := range map[string]bool{KubeAPIServer: true, KubeScheduler: false} {
		env := componentEnv(parent, kind+"-0", kind, GC{}, 15*time.Second)
		if slices.Contains(env, "PLANECHECK_CONSISTENCY_PERIOD=15s") != want {
			t.Errorf("%s with a period of consistency checks: %q", kind, env)
		}
	}
}
