package faults

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/planecheck/planecheck/apiserver/storage"
)

// dataFaults take from etcd what it has on its disks, or the room there. They
// need members that are processes.
func dataFaults() []Fault {
	of := func(least int, targets ...string) func(Shape) []string {
		return func(s Shape) []string { return atLeast(least, s.Members, targets...) }
	}
	return []Fault{
		{
			Name: "etcd-member-rollback", Area: Etcd, Blocks: true,
			Needs: []string{storage.FaultMemberRollback, storage.FaultMemberReplace},
			Does: "one etcd member loses power and starts from an older copy of its data: a follower panics, because its leader knows better, " +
				"and is replaced; a leader learns from the next one what it has lost",
			targets: of(3, follower, leader), inject: rollbackMember, Each: true,
		},
		{
			Name: "etcd-quota", Area: Etcd, Blocks: true, Needs: []string{storage.FaultQuota},
			Does: "etcd's database grows to its quota by real writes, etcd raises the alarm NOSPACE and refuses writes, " +
				"and recovers as documented: compacted, defragmented, disarmed",
			targets: of(1, leader), inject: fillQuota,
		},
		{
			Name: "etcd-slow-disk", Area: Etcd, Blocks: true, Crashes: true, For: 10 * time.Second, Needs: []string{storage.FaultSlowDisk},
			Does: "every fsync of an etcd member, or of all, takes 100 ms longer (the kernel holds the call, in place of a slow disk), " +
				"for which the members are restarted one after the other, before and after",
			targets: of(3, all, follower), inject: slowDisk, Each: true,
		},
		{
			Name: "backup-restore", Area: Etcd, Blocks: true, Restores: true, Renews: true, APIServerArgs: drained, Needs: []string{storage.FaultSnapshotRestore},
			Does: "etcd is restored from a snapshot taken under load, with the revision bump that watchers need, while the API servers are down; " +
				"what was written after it is lost by design",
			targets: of(1, all), inject: restore(revisionBump),
		},
		{
			Name: "restore-unbumped", Area: Etcd, Blocks: true, Restores: true, Renews: true, APIServerArgs: drained, Needs: []string{storage.FaultSnapshotRestore},
			Breaks:  []string{"Restored"},
			Does:    "etcd is restored from a snapshot without a revision bump, so that revisions which watchers have seen are given away again",
			targets: of(1, all), inject: restore(0),
		},
	}
}

// rollbackMember has one member forget what it had acknowledged. The evidence is
// the entry with which it began again, by its own log, and where that ended it
// that its process is gone.
func rollbackMember(ctx context.Context, e *Env, target string) (*Active, error) {
	keeper, err := as[storage.DataKeeper](e)
	if err != nil {
		return nil, err
	}
	rollbacker, err := as[storage.MemberRollbacker](e)
	if err != nil {
		return nil, err
	}
	replacer, victims, err := on[storage.MemberReplacer](ctx, e, target)
	if err != nil {
		return nil, err
	}
	victim := victims[0]
	if err := keeper.SaveData(ctx, victim.Name); err != nil {
		return nil, err
	}
	if _, err := awaitRevisions(ctx, e, lostRevisions); err != nil {
		return nil, err
	}
	a := &Active{heal: func(ctx context.Context) (string, error) { return replaceDown(ctx, e, replacer, victim) }}
	seen, err := rollbacker.RollbackMember(ctx, victim.Name)
	if err != nil {
		return nil, healed(ctx, a, err)
	}
	if seen.Panic == "" {
		return cameBack(ctx, e, victim, seen)
	}
	return shown(ctx, a, victim.Name+" to be missed", func(ctx context.Context) error {
		evidence, err := missed(ctx, e, victims)
		a.Evidence = fmt.Sprintf("%s began with entry %d, had applied %d, and died: %s; %s", victim.Name, seen.Began, seen.Had, seen.Panic, evidence)
		return err
	})
}

// cameBack is a rollback that its member has survived.
func cameBack(ctx context.Context, e *Env, victim storage.Member, seen storage.Rejoined) (*Active, error) {
	if seen.Began == 0 || seen.Began >= seen.Had {
		return nil, fmt.Errorf("%s began with entry %d and had applied %d: it has lost nothing", victim.Name, seen.Began, seen.Had)
	}
	leads, err := awaitLeader(ctx, e)
	if err != nil {
		return nil, err
	}
	return &Active{
		Evidence: fmt.Sprintf("%s began with entry %d, had applied %d, and has again; %s", victim.Name, seen.Began, seen.Had, leads),
		Crashed:  []string{victim.Name},
	}, nil
}

// awaitRevisions waits until so much more has been written, and returns the
// revision then.
func awaitRevisions(ctx context.Context, e *Env, more int64) (now int64, err error) {
	from, err := revision(ctx, e)
	if err != nil {
		return 0, err
	}
	err = await(ctx, "writes to lose", func(ctx context.Context) (err error) {
		if now, err = revision(ctx, e); err == nil && now < from+more {
			err = fmt.Errorf("revision %d", now)
		}
		return err
	})
	return now, err
}

// lostRevisions is how much is written between the copy and the loss: seconds of the
// traffic of a fault scenario.
const lostRevisions = 500

// rollback has all members forget what they had acknowledged. The evidence is
// their revision.
func rollback(ctx context.Context, e *Env, _ string) (*Active, error) {
	keeper, err := as[storage.DataKeeper](e)
	if err != nil {
		return nil, err
	}
	restarter, err := as[storage.MemberRestarter](e)
	if err != nil {
		return nil, err
	}
	if err := keeper.SaveData(ctx); err != nil {
		return nil, err
	}
	lost, err := awaitRevisions(ctx, e, lostRevisions)
	if err != nil {
		return nil, err
	}
	undo := &Active{heal: func(ctx context.Context) (string, error) { return restartMembers(ctx, e, restarter, e.Store.Members()) }}
	if err := keeper.RollbackData(ctx); err != nil {
		return nil, healed(ctx, undo, err)
	}
	var now int64
	err = await(ctx, "an answer after the loss", func(ctx context.Context) (err error) {
		now, err = revision(ctx, e)
		return err
	})
	if err != nil {
		return nil, healed(ctx, undo, err)
	}
	if now >= lost {
		return nil, fmt.Errorf("revision %d was lost, and the store is at %d already", lost, now)
	}
	return &Active{Evidence: fmt.Sprintf("the store is at revision %d and was at %d", now, lost), Crashed: namesOf(e.Store.Members())}, nil
}

// revision asks any member that answers.
func revision(ctx context.Context, e *Env) (rev int64, err error) {
	for _, m := range e.Store.Members() {
		s, failure := status(ctx, m)
		if failure == nil {
			return s.Header.Revision, nil
		}
		err = errors.Join(err, failure)
	}
	return 0, err
}
