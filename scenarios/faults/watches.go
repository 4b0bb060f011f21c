package faults

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/planecheck/planecheck/apiserver/storage"
)

// The prefixes whose watch streams can be frozen: where the API servers keep
// objects of these kinds.
const (
	configMapKeys = "/registry/configmaps/"
	podKeys       = "/registry/pods/"
)

// watchFaults keep from all API servers what the store has to tell them. Their
// watch streams of a kind stand still, while everything is read and written as
// before.
func watchFaults() []Fault {
	needs := []string{storage.FaultWatchFreeze}
	of := func(prefixes ...string) func(Shape) []string { return func(Shape) []string { return prefixes } }
	return []Fault{
		{
			Name: "watches-freeze", Area: APIServer, Needs: needs, Blocks: true, For: 8 * time.Second, Each: true,
			Does:    "the store's watch streams of ConfigMaps, or of pods, stand still at all API servers while writes go on",
			targets: of(configMapKeys, podKeys), inject: freezeWatches(true),
		},
		{
			Name: "watches-stay-frozen", Area: APIServer, Needs: needs, Blocks: true, Breaks: []string{"Fresh"},
			Does:    "the store's watch streams of ConfigMaps stand still at all API servers to the end of the run",
			targets: of(configMapKeys), inject: freezeWatches(false),
		},
	}
}

// freezeWatches freezes the watch streams of a prefix. The evidence is a stream
// held for each API server, and, at each of them, a write that does not come out
// of a watch; it heals when one does. Without thaw they stay frozen until the
// store is stopped, unless there is no evidence.
func freezeWatches(thaw bool) func(context.Context, *Env, string) (*Active, error) {
	return func(ctx context.Context, e *Env, prefix string) (*Active, error) {
		freezer, err := as[storage.WatchFreezer](e)
		if err != nil {
			return nil, err
		}
		look := witnesses(e, prefix)
		freezer.FreezeWatches(prefix)
		a := &Active{heal: func(ctx context.Context) (string, error) {
			freezer.ThawWatches()
			err := await(ctx, "fresh watches", func(ctx context.Context) error {
				for server, err := range look.fresh(ctx, e) {
					if err != nil {
						return fmt.Errorf("%s: %w", server, err)
					}
				}
				return nil
			})
			return "a write comes out of a watch at " + strings.Join(servers(e.Plane), ", "), err
		}}
		a, err = shown(ctx, a, "stale watches", func(ctx context.Context) error {
			for server, err := range look.fresh(ctx, e) {
				if err == nil {
					return fmt.Errorf("a write comes out of the watch at %s", server)
				}
				if !errors.Is(err, errStale) {
					return fmt.Errorf("%s: %w", server, err)
				}
			}
			held := freezer.HeldWatches()
			if held < len(look) {
				return fmt.Errorf("%d streams are held", held)
			}
			a.Evidence = fmt.Sprintf("%d streams of %s are held; a write does not come out of a watch at %s",
				held, prefix, strings.Join(servers(e.Plane), ", "))
			return nil
		})
		if err == nil && !thaw {
			a.heal = nil
		}
		return a, err
	}
}

// witness is what is written at each API server to see whether its watches are
// fresh.
type witness map[string]subject

// witnesses chooses them before anything stands still.
func witnesses(e *Env, prefix string) witness {
	all := witness{}
	for _, server := range servers(e.Plane) {
		if all[server] = configMap(canary + "-" + server); prefix == podKeys {
			all[server] = waitingPod(canary + "-" + server)
		}
	}
	return all
}

// fresh looks at all API servers at once.
func (all witness) fresh(ctx context.Context, e *Env) map[string]error {
	errs := map[string]error{}
	var mu sync.Mutex
	var looking sync.WaitGroup
	for server, s := range all {
		looking.Go(func() {
			api, err := clientOf(e, server)
			if err == nil {
				err = s.fresh(ctx, api)
			}
			mu.Lock()
			defer mu.Unlock()
			errs[server] = err
		})
	}
	looking.Wait()
	return errs
}
