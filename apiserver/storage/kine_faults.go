package storage

import (
	"context"
	"errors"
	"fmt"
)

// StopMembers implements MemberRestarter.
func (k *kineBackend) StopMembers(_ context.Context, names ...string) error {
	return k.end("stop", k.server.stop, names)
}

// KillMembers implements MemberKiller.
func (k *kineBackend) KillMembers(_ context.Context, names ...string) error {
	return k.end("kill", k.server.kill, names)
}

func (k *kineBackend) end(what string, how func() error, names []string) error {
	k.op.Lock()
	defer k.op.Unlock()
	for _, name := range names {
		if err := k.mustBe(name, true); err != nil {
			return fmt.Errorf("%s a member of %s: %w", what, k.name, err)
		}
		if err := how(); err != nil {
			return err
		}
	}
	return nil
}

// RestartMember implements MemberRestarter.
func (k *kineBackend) RestartMember(ctx context.Context, name string) error {
	k.op.Lock()
	defer k.op.Unlock()
	if err := k.mustBe(name, false); err != nil {
		return fmt.Errorf("restart a member of %s: %w", k.name, err)
	}
	return k.launch(ctx)
}

// FreezeMember implements MemberFreezer.
func (k *kineBackend) FreezeMember(ctx context.Context, name string) error {
	k.op.Lock()
	defer k.op.Unlock()
	if err := k.mustBe(name, true); err != nil {
		return fmt.Errorf("freeze a member of %s: %w", k.name, err)
	}
	return k.server.freeze(ctx)
}

// ThawMember implements MemberFreezer.
func (k *kineBackend) ThawMember(ctx context.Context, name string) error {
	k.op.Lock()
	defer k.op.Unlock()
	if err := k.mustBe(name, true); err != nil {
		return fmt.Errorf("thaw a member of %s: %w", k.name, err)
	}
	return k.server.thaw(ctx)
}

// mustBe says what is against a fault to the member with that name, which must
// be up, or down.
func (k *kineBackend) mustBe(name string, up bool) error {
	switch {
	case !k.started:
		return errors.New("it is not started")
	case name != kineMember:
		return fmt.Errorf("no member %q, known: %s", name, kineMember)
	case k.server.up() && !up:
		return fmt.Errorf("%s is up", name)
	case !k.server.up() && up:
		return fmt.Errorf("%s is down", name)
	}
	return nil
}

// InspectMember implements MemberInspector. kine has no number, leader or log
// of raft.
func (k *kineBackend) InspectMember(ctx context.Context, name string) (MemberState, error) {
	if name != kineMember {
		return MemberState{}, fmt.Errorf("inspect a member of %s: no member %q, known: %s", k.name, name, kineMember)
	}
	life := k.server.current()
	if life == nil {
		return MemberState{Exit: k.server.lastExit()}, nil
	}
	process, err := life.process.State()
	if err != nil || process == "" || process == frozenState {
		return MemberState{Process: process}, err
	}
	resp, err := k.server.status(ctx)
	return MemberState{Process: process, DBSize: resp.GetDbSize(), DBUsed: resp.GetDbSizeInUse()}, err
}

// FreezeWatches implements WatchFreezer.
func (k *kineBackend) FreezeWatches(prefix string) { k.freezer.Freeze(prefix) }

// ThawWatches implements WatchFreezer.
func (k *kineBackend) ThawWatches() { k.freezer.Thaw() }

// HeldWatches implements WatchFreezer.
func (k *kineBackend) HeldWatches() int { return k.freezer.Held() }
