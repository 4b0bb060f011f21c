package storage

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// SlowDisk implements DiskSlower, see etcdproc.SyncDelay.
func (c *processCluster) SlowDisk(ctx context.Context, delay time.Duration, names ...string) error {
	c.op.Lock()
	defer c.op.Unlock()
	members, err := c.find(names...)
	if err == nil {
		for _, m := range members {
			m.syncDelay = delay
		}
		err = c.restartEach(ctx, members)
	}
	if err != nil {
		return fmt.Errorf("slow the disk of etcd members down by %v: %w", delay, err)
	}
	return nil
}

// syncSeconds is the histogram of how long etcd's fdatasync of its log took.
const syncSeconds = "etcd_disk_wal_fsync_duration_seconds"

// LogSyncs implements DiskSlower.
func (c *processCluster) LogSyncs(ctx context.Context, name string) (n int64, took time.Duration, err error) {
	m, err := c.one(name)
	if err != nil {
		return 0, 0, fmt.Errorf("read the metrics of etcd member: %w", err)
	}
	if n, took, err = m.logSyncs(ctx); err != nil {
		return 0, 0, fmt.Errorf("read the metrics of etcd member %s: %w", name, err)
	}
	return n, took, nil
}

func (m *processMember) logSyncs(ctx context.Context) (n int64, took time.Duration, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+m.client.Addr()+"/metrics", nil)
	if err != nil {
		return 0, 0, err
	}
	resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req) // no proxy
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, resp.Body.Close()) }()
	return parseLogSyncs(resp.Body)
}

// parseLogSyncs reads a member's metrics.
func parseLogSyncs(metrics io.Reader) (n int64, took time.Duration, err error) {
	values := map[string]float64{}
	lines := bufio.NewScanner(metrics)
	for lines.Scan() {
		if metric, value, ok := strings.Cut(lines.Text(), " "); ok && strings.HasPrefix(metric, syncSeconds) {
			values[metric], _ = strconv.ParseFloat(value, 64)
		}
	}
	count, ok := values[syncSeconds+"_count"]
	if err := lines.Err(); err != nil || !ok {
		return 0, 0, errors.Join(err, fmt.Errorf("no %s: %w", syncSeconds, io.ErrUnexpectedEOF))
	}
	return int64(count), time.Duration(values[syncSeconds+"_sum"] * float64(time.Second)), nil
}
