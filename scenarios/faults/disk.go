package faults

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/planecheck/planecheck/apiserver/storage"
)

const (
	// slowSync is how much longer each fsync takes. etcd asks for 10 ms at the 99th
	// percentile, and calls 1 s slow.
	slowSync = 100 * time.Millisecond
	// slowSyncs is how many have to be seen.
	slowSyncs = 20
)

// slowDisk restarts members so that the kernel holds each of their fsyncs. The
// evidence is what etcd itself measures of them.
func slowDisk(ctx context.Context, e *Env, target string) (*Active, error) {
	slower, victims, err := on[storage.DiskSlower](ctx, e, target)
	if err != nil {
		return nil, err
	}
	names := namesOf(victims)
	a := &Active{Crashed: names, heal: func(ctx context.Context) (string, error) {
		if err := slower.SlowDisk(ctx, 0, names...); err != nil {
			return "", err
		}
		return awaitLeader(ctx, e)
	}}
	if err := slower.SlowDisk(ctx, slowSync, names...); err != nil {
		return nil, healed(ctx, a, err)
	}
	return shown(ctx, a, "slow syncs", func(ctx context.Context) error {
		var seen []string
		for _, name := range names {
			n, took, err := slower.LogSyncs(ctx, name)
			if err != nil {
				return err
			}
			if mean := took / time.Duration(max(n, 1)); n < slowSyncs || mean < slowSync {
				return fmt.Errorf("%s has synced its log %d times, in %v on average", name, n, mean)
			}
			seen = append(seen, fmt.Sprintf("%s took %v for each of %d syncs of its log", name, (took/time.Duration(n)).Round(time.Millisecond), n))
		}
		a.Evidence = strings.Join(seen, "; ")
		return nil
	})
}
