package apiserver

import (
	"context"
	"errors"
	"fmt"

	"github.com/planecheck/planecheck/apiserver/link"
)

// Check finds what a person can mend before anything is started: settings that
// cannot work, a file that is no such component, a configuration of the scheduler that
// it does not take, a port that is taken. Dir and Etcd of the configuration may still be
// empty.
func Check(ctx context.Context, cfg Config) error {
	if cfg.SchedulerSetting == "" {
		cfg.SchedulerSetting = SchedulerDefault
	}
	if err := errors.Join(cfg.checkSettings(), checkTokens(cfg.Tokens)); err != nil {
		return err
	}
	found, err := findBinaries(ctx, &cfg)
	if err != nil {
		return err
	}
	if err := cfg.checkScheduler(ctx, found[KubeScheduler]); err != nil {
		return err
	}
	if cfg.Port == 0 {
		return nil
	}
	balancer, err := link.NewBalancer(fmt.Sprintf("127.0.0.1:%d", cfg.Port))
	if err != nil {
		return err
	}
	return balancer.Close()
}
