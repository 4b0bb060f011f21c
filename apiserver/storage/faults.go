package storage

import (
	"context"
	"time"

	"github.com/planecheck/planecheck/apiserver/link"
	"github.com/planecheck/planecheck/checkers/history"
)

// The faults that a backend may list in Faults.
const (
	// FaultMemberStop stops one member and leaves it down. The member closes
	// its files in good order, so it loses nothing that it had acknowledged.
	// A leader inside the harness does not hand over first; one in a process
	// does, as etcd does on SIGTERM.
	FaultMemberStop = "member-stop"
	// FaultMemberRestart starts a member again that is down, with its data and
	// at its old addresses.
	FaultMemberRestart = "member-restart"
	// FaultLeaderMove has the leader hand over to another member in good order.
	FaultLeaderMove = "leader-move"

	// FaultMemberKill ends members with SIGKILL.
	FaultMemberKill = "member-kill"
	// FaultMemberFreeze stops a member with SIGSTOP: it keeps its connections
	// and says nothing.
	FaultMemberFreeze = "member-freeze"
	// FaultPeerLink makes the way between two members slow or silent.
	FaultPeerLink = "peer-link"
	// FaultMemberRollback starts members from an older copy of their data: what
	// is left when fsync was a lie and the machine lost its power.
	FaultMemberRollback = "member-rollback"
	// FaultDefragment, FaultNoSpace and FaultCompact are done by request to a
	// member that is etcd: its database is rewritten, while it serves nobody; the
	// alarm of a full database is raised, under which every member refuses writes;
	// and revisions are compacted in the midst of traffic.
	FaultDefragment = "defragment"
	FaultNoSpace    = "no-space"
	FaultCompact    = "compact"
	// FaultMemberReplace removes a member for good and adds an empty one in
	// its place.
	FaultMemberReplace = "member-replace"
	// FaultQuota gives the database of every member another quota.
	FaultQuota = "quota"
	// FaultWatchFreeze keeps the events of a key prefix from whoever watches.
	FaultWatchFreeze = "watch-freeze"
	// FaultSlowDisk makes fsync and fdatasync of a member take longer.
	FaultSlowDisk = "slow-disk"
	// FaultSnapshotRestore starts the cluster anew from a snapshot.
	FaultSnapshotRestore = "snapshot-restore"
)

// MemberRestarter is implemented by backends that list FaultMemberStop and
// FaultMemberRestart.
type MemberRestarter interface {
	// StopMembers stops all members named at one time: etcd may wait some
	// seconds for the watches of its clients to end before it goes.
	StopMembers(ctx context.Context, names ...string) error
	// RestartMember returns when the member is up. It does not wait for a
	// leader, because the rest of the quorum may still be down.
	RestartMember(ctx context.Context, name string) error
}

// LeaderMover is implemented by backends that may list FaultLeaderMove: those
// with several members do.
type LeaderMover interface {
	// MoveLeader returns when another member leads, with the names of both.
	MoveLeader(ctx context.Context) (from, to string, err error)
}

// MemberKiller is implemented by backends that list FaultMemberKill.
type MemberKiller interface {
	// KillMembers kills all members named, one right after the other, and
	// returns when they are gone. RestartMember starts them again.
	KillMembers(ctx context.Context, names ...string) error
}

// MemberFreezer is implemented by backends that list FaultMemberFreeze.
type MemberFreezer interface {
	// FreezeMember returns when no thread of the member runs.
	FreezeMember(ctx context.Context, name string) error
	ThawMember(ctx context.Context, name string) error
}

// PeerFaulter is implemented by backends that may list FaultPeerLink: those
// with several members do.
type PeerFaulter interface {
	// SetPeer gives the bytes that one member sends to another a condition,
	// whichever of the two has made the connection. The other way stays as it
	// is, so a partition is a Hold both ways, and an asymmetric one is a Hold
	// one way.
	SetPeer(from, to string, c link.Condition) error
	// HealPeers undoes all that, between all members, and returns how many
	// bytes had been waiting and now go on.
	HealPeers() int64
	// PeerTraffic returns the figures of SetPeer's direction.
	PeerTraffic(from, to string) (PeerTraffic, error)
}

// PeerTraffic is what has gone from one member to another since the backend
// started.
type PeerTraffic struct{ link.Flow }

// MemberInspector is implemented by backends that can show a member past the
// clients' way: what is seen is not recorded, and no fault touches it.
type MemberInspector interface {
	InspectMember(ctx context.Context, name string) (MemberState, error)
}

// MemberState is what a member is and says of itself. Of one that is frozen only
// Process is known, and of one that is down only Exit.
type MemberState struct {
	Process        string // the state of its process, see proc(5): "T" if frozen; "" if down
	Exit           string // if down: how the operating system says that its last process ended, e.g. "signal: killed"
	ID, Leader     uint64 // etcd's numbers; Leader is 0 while it knows none
	Term           uint64 // of raft
	Index, Applied uint64 // of raft's log
	DBSize, DBUsed int64  // bytes of the database's file, and of those in use
	NoSpace        bool   // it refuses writes
}

// DataKeeper is implemented by backends that list FaultMemberRollback.
type DataKeeper interface {
	// SaveData copies the data of the members named, all of them as they are at
	// one moment, in the place of a former copy.
	SaveData(ctx context.Context, names ...string) error
	// RollbackData kills the members named and starts them again from their
	// copies: together, so that none can learn from another what it has lost.
	RollbackData(ctx context.Context, names ...string) error
}

// MemberRollbacker is implemented by backends that may list
// FaultMemberRollback: those with several members do.
type MemberRollbacker interface {
	// RollbackMember kills one member and starts it from the copy that SaveData
	// made, while the others know what it had acknowledged. It returns when the
	// member has learned that again, or has died of it: then it stays down.
	RollbackMember(ctx context.Context, name string) (Rejoined, error)
}

// Rejoined is how a member came back without the end of its log.
type Rejoined struct {
	Had   uint64 // the entry of raft's log that it had applied before
	Began uint64 // the last entry that it knew to be committed when it began again, by its own log; 0: it did not say
	Panic string // why its process ended; "": it lives, and has applied Had again
}

// QuotaLimiter is implemented by backends that list FaultQuota.
type QuotaLimiter interface {
	// LimitQuota restarts the members one after the other with a quota for the
	// size of the database, in bytes; 0 is the one that they had at first. It
	// returns when all serve.
	LimitQuota(ctx context.Context, bytes int64) error
}

// DiskSlower is implemented by backends that list FaultSlowDisk.
type DiskSlower interface {
	// SlowDisk restarts the members named, one after the other, so that each of
	// their fsyncs takes so much longer; 0 is as it was. It returns when all serve.
	SlowDisk(ctx context.Context, delay time.Duration, names ...string) error
	// LogSyncs is how often a member's process has synced its log of raft, and how
	// long that took in all, by its own metrics.
	LogSyncs(ctx context.Context, name string) (n int64, took time.Duration, err error)
}

// MemberReplacer is implemented by backends that may list FaultMemberReplace:
// those with several members do.
type MemberReplacer interface {
	// ReplaceMember kills a member, has the others forget it, deletes its data,
	// and starts an empty one under its name and addresses, which learns all
	// from the others. It takes a few seconds.
	ReplaceMember(ctx context.Context, name string) error
}

// WatchFreezer is implemented by backends that list FaultWatchFreeze.
type WatchFreezer interface {
	// FreezeWatches holds back, at every member, what the store says on the
	// watch streams on which a watch was asked for whose key begins with the
	// prefix, open ones and those to come; everything else goes on. The streams
	// of a former prefix do, too. It holds until ThawWatches or Stop.
	FreezeWatches(prefix string)
	// ThawWatches lets what was held come, in its order.
	ThawWatches()
	// HeldWatches is the number of streams that have an answer which is held.
	HeldWatches() int
}

// SnapshotRestorer is implemented by backends that list FaultSnapshotRestore.
type SnapshotRestorer interface {
	// SaveSnapshot writes a snapshot of one member's data to a file and returns
	// the last revision in it.
	SaveSnapshot(ctx context.Context, name, file string) (revision int64, err error)
	// RestoreSnapshot kills all members and starts a new cluster in their
	// places from the snapshot. Its revisions go on at bump above those of the
	// snapshot, and what is below counts as compacted: a watcher that has seen
	// later revisions than the snapshot's then starts anew instead of being told
	// things twice under one number. With 0 they go on where the snapshot ends,
	// which is what one must not do. It returns when every member serves, with a
	// moment at which none did: what was recorded before is of the old cluster.
	RestoreSnapshot(ctx context.Context, file string, bump uint64) (at history.Time, err error)
}
