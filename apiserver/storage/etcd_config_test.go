package storage

import (
	"net/url"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.etcd.io/etcd/client/pkg/v3/types"
	"go.etcd.io/etcd/server/v3/config"
	"go.etcd.io/etcd/server/v3/embed"
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
