package storage

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.etcd.io/etcd/client/pkg/v3/types"
	"go.etcd.io/etcd/server/v3/config"
	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/etcdserver/api/etcdhttp"
	"go.etcd.io/etcd/server/v3/features"
	"go.uber.org/zap"

	"github.com/planecheck/planecheck/apiserver/link"
)

// A member must be configured as embed, and so the etcd binary, would
// configure it. The test starts a stock server to see.
func TestServerConfigIsStock(t *testing.T) {
	c := etcdConfig()
	client, peer := reservedURL(t), reservedURL(t)
	c.Name = "etcd-0"
	c.Dir = filepath.Join(t.TempDir(), "stock")
	c.ListenClientUrls, c.AdvertiseClientUrls = client, client
	c.ListenPeerUrls, c.AdvertisePeerUrls = peer, peer
	c.InitialCluster = c.InitialClusterFromName(c.Name)
	c.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zap.NewNop())
	stock, err := embed.StartEtcd(c)
	if err != nil {
		t.Fatal(err)
	}
	defer stock.Close()

	ours := etcdConfig()
	got := serverConfig(ours, c.Name, c.Dir, client, types.URLsMap{c.Name: peer}, zap.NewNop())
	diff := cmp.Diff(stock.Server.Cfg, got,
		// Without effect on a plaintext, new cluster that embed serves itself.
		cmpopts.IgnoreFields(config.ServerConfig{}, "DiscoveryCfg", "PeerTLSInfo", "CORS", "HostWhitelist", "Logger",
			"AutoCompactionMode", "EnableGRPCGateway", "ServerFeatureGate", "LocalAddress"),
		cmpopts.EquateEmpty())
	if diff != "" {
		t.Errorf("server configuration (-stock +ours):\n%s", diff)
	}
	for gate := range features.DefaultEtcdServerFeatureGates {
		if want := stock.Server.Cfg.ServerFeatureGate.Enabled(gate); got.ServerFeatureGate.Enabled(gate) != want {
			t.Errorf("feature gate %s is %v, stock has %v", gate, !want, want)
		}
	}
	if stock := embed.NewConfig(); ours.QuotaBackendBytes <= stock.QuotaBackendBytes {
		t.Errorf("the quota is %d bytes", ours.QuotaBackendBytes)
	}
}

// What fsync=off says must be what the server does: its log counts the times
// that it waited for the disk.
func TestFsyncOff(t *testing.T) {
	for spec, want := range map[string]bool{
		"etcd:members=1": true, "etcd:members=1,fsync=off": false,
		"etcd-process:members=1": true, "etcd-process:members=1,fsync=off": false,
	} {
		t.Run(spec, func(t *testing.T) {
			b := startAs[Backend](t, spec, Options{})
			if got := b.(Describer).Settings()["fsync"]; got != strconv.FormatBool(want) {
				t.Errorf("the setting is %s", got)
			}
			before := logSyncs(t, b)
			client := dial(t, b.Endpoints()...)
			for i := range 10 {
				mustPut(t, client, "/registry/a/"+strconv.Itoa(i), "x", 0)
			}
			if n := logSyncs(t, b) - before; want && n < 10 || !want && n != 0 {
				t.Errorf("%d syncs of the log for 10 writes", n)
			}
			if slow := slices.Contains(b.Faults(), FaultSlowDisk); slow != (want && b.Name() == processName) {
				t.Errorf("it takes the faults %q", b.Faults())
			}
		})
	}
}

// logSyncs is how often the log of the only member was synced. Members in this
// process share their metrics.
func logSyncs(t *testing.T, b Backend) int64 {
	t.Helper()
	if c, ok := b.(*processCluster); ok {
		n, _, err := c.LogSyncs(bounded(t), c.members[0].name)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	mux := http.NewServeMux()
	etcdhttp.HandleMetrics(mux)
	answer := httptest.NewRecorder()
	mux.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, etcdhttp.PathMetrics, nil))
	n, _, err := parseLogSyncs(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// reservedURL is the URL of a port that is held for the length of the test.
func reservedURL(t *testing.T) types.URLs {
	t.Helper()
	p, err := link.ReservePort(0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Release)
	return types.URLs{url.URL{Scheme: "http", Host: p.Addr()}}
}

func TestSettings(t *testing.T) {
	e := open(t, "etcd:members=5", Options{})
	want := map[string]string{
		"members": "5", "heartbeat-interval": "100ms", "election-timeout": "1000ms", "quota-backend-bytes": "8589934592",
		"max-request-bytes": "1572864", "snapshot-count": "10000", "pre-vote": "true", "fsync": "true", "tracing": "false",
		"batch-interval": "100ms", "batch-limit": "10000", "client-keepalive-min": "5s",
	}
	var backend Backend = e
	if diff := cmp.Diff(want, backend.(Describer).Settings()); diff != "" {
		t.Errorf("settings (-want +got):\n%s", diff)
	}
}
