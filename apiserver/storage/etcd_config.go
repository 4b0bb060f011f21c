package storage

import (
	"fmt"

	bolt "go.etcd.io/bbolt"
	"go.etcd.io/etcd/client/pkg/v3/types"
	"go.etcd.io/etcd/server/v3/config"
	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/features"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"
)

// quotaBytes is the size at which etcd stops to take writes: the most that
// etcd recommends, where its default of 2 GiB is for small clusters.
const quotaBytes = 8 << 30

// etcdConfig returns the settings of a stock etcd server: those that the etcd
// binary starts with, but for the quota. The framework's own settings are made
// for short tests and wrong for us: it elects after 100 ms, keeps every log
// file for ever, and lets clients ping only every five minutes, where
// kube-apiserver pings every 30 s.
func etcdConfig() *embed.Config {
	c := embed.NewConfig()
	c.QuotaBackendBytes = quotaBytes
	return c
}

// electionTicks is the election timeout in ticks, as embed computes it.
func electionTicks(c *embed.Config) int { return int(c.ElectionMs / c.TickMs) }

// serverConfig turns etcd's outer configuration into that of one server, as
// embed.StartEtcd does.
func serverConfig(c *embed.Config, name, dataDir string, client types.URLs, peers types.URLsMap, log *zap.Logger) config.ServerConfig {
	return config.ServerConfig{
		Name:                        name,
		ClientURLs:                  client,
		PeerURLs:                    peers[name],
		DataDir:                     dataDir,
		SnapshotCount:               c.SnapshotCount,
		SnapshotCatchUpEntries:      c.SnapshotCatchUpEntries,
		MaxSnapFiles:                c.MaxSnapFiles,
		MaxWALFiles:                 c.MaxWalFiles,
		BackendBatchInterval:        c.BackendBatchInterval,
		BackendBatchLimit:           c.BackendBatchLimit,
		BackendFreelistType:         bolt.FreelistMapType, // embed's default
		InitialPeerURLsMap:          peers,
		InitialClusterToken:         c.InitialClusterToken,
		NewCluster:                  true, // of no effect once there is data
		TickMs:                      c.TickMs,
		ElectionTicks:               electionTicks(c),
		InitialElectionTickAdvance:  c.InitialElectionTickAdvance,
		PreVote:                     c.PreVote,
		CompactionBatchLimit:        c.CompactionBatchLimit,
		CompactionSleepInterval:     c.CompactionSleepInterval,
		QuotaBackendBytes:           c.QuotaBackendBytes,
		MaxTxnOps:                   c.MaxTxnOps,
		MaxRequestBytes:             c.MaxRequestBytes,
		MaxConcurrentStreams:        c.MaxConcurrentStreams,
		WarningApplyDuration:        c.WarningApplyDuration,
		WarningUnaryRequestDuration: c.WarningUnaryRequestDuration,
		StrictReconfigCheck:         c.StrictReconfigCheck,
		AuthToken:                   c.AuthToken,
		BcryptCost:                  c.BcryptCost,
		TokenTTL:                    c.AuthTokenTTL,
		CompactHashCheckTime:        c.CompactHashCheckTime,
		DowngradeCheckTime:          c.DowngradeCheckTime,
		WatchProgressNotifyInterval: c.WatchProgressNotifyInterval,
		UnsafeNoFsync:               c.UnsafeNoFsync,
		MaxLearners:                 c.MaxLearners,
		V2Deprecation:               c.V2DeprecationEffective(),
		ServerFeatureGate:           features.NewDefaultServerFeatureGate(name, log),
		Metrics:                     c.Metrics,
		Logger:                      log,
	}
}

// grpcOptions are those that embed gives to a server with these settings.
func grpcOptions(c *embed.Config) []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: c.GRPCKeepAliveMinTime}),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: c.GRPCKeepAliveInterval, Timeout: c.GRPCKeepAliveTimeout}),
	}
}

// settings are those worth recording with a run's figures.
func settings(c *embed.Config, members int) map[string]string {
	return map[string]string{
		"members":              fmt.Sprint(members),
		"heartbeat-interval":   fmt.Sprintf("%dms", c.TickMs),
		"election-timeout":     fmt.Sprintf("%dms", c.ElectionMs),
		"quota-backend-bytes":  fmt.Sprint(c.QuotaBackendBytes),
		"max-request-bytes":    fmt.Sprint(c.MaxRequestBytes),
		"snapshot-count":       fmt.Sprint(c.SnapshotCount),
		"pre-vote":             fmt.Sprint(c.PreVote),
		"fsync":                fmt.Sprint(!c.UnsafeNoFsync),
		"tracing":              fmt.Sprint(c.EnableDistributedTracing),
		"batch-interval":       orDefault(c.BackendBatchInterval, "100ms"),
		"batch-limit":          orDefault(c.BackendBatchLimit, "10000"),
		"client-keepalive-min": c.GRPCKeepAliveMinTime.String(),
	}
}

// orDefault prints v, or for a zero v the value that the server then takes
// (server/v3/storage/backend/backend.go).
func orDefault[T comparable](v T, otherwise string) string {
	var zero T
	if v == zero {
		return otherwise
	}
	return fmt.Sprint(v)
}
