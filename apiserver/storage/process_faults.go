package storage

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"

	"github.com/planecheck/planecheck/apiserver/link"
)

// StopMembers implements MemberRestarter.
func (c *processCluster) StopMembers(_ context.Context, names ...string) error {
	return c.endMembers("stop", (*processMember).stop, names)
}

// KillMembers implements MemberKiller.
func (c *processCluster) KillMembers(_ context.Context, names ...string) error {
	return c.endMembers("kill", (*processMember).kill, names)
}

func (c *processCluster) endMembers(what string, how func(*processMember) error, names []string) error {
	c.op.Lock()
	defer c.op.Unlock()
	var found []*processMember
	for _, name := range names {
		m, err := c.findUp(name)
		if err != nil {
			return fmt.Errorf("%s etcd member: %w", what, err)
		}
		found = append(found, m)
	}
	return c.each(found, how)
}

// RestartMember implements MemberRestarter.
func (c *processCluster) RestartMember(ctx context.Context, name string) error {
	c.op.Lock()
	defer c.op.Unlock()
	found, err := c.find(name)
	if err != nil {
		return fmt.Errorf("restart etcd member: %w", err)
	}
	if found[0].up() {
		return fmt.Errorf("restart etcd member: %s is up", name)
	}
	return c.launch(ctx, found[0])
}

// FreezeMember implements MemberFreezer.
func (c *processCluster) FreezeMember(ctx context.Context, name string) error {
	c.op.Lock()
	defer c.op.Unlock()
	m, err := c.findUp(name)
	if err != nil {
		return fmt.Errorf("freeze etcd member: %w", err)
	}
	return m.freeze(ctx)
}

// ThawMember implements MemberFreezer.
func (c *processCluster) ThawMember(ctx context.Context, name string) error {
	c.op.Lock()
	defer c.op.Unlock()
	m, err := c.findUp(name)
	if err != nil {
		return fmt.Errorf("thaw etcd member: %w", err)
	}
	return m.thaw(ctx)
}

// FreezeWatches implements WatchFreezer.
func (c *processCluster) FreezeWatches(prefix string) { c.freezer.Freeze(prefix) }

// ThawWatches implements WatchFreezer.
func (c *processCluster) ThawWatches() { c.freezer.Thaw() }

// HeldWatches implements WatchFreezer.
func (c *processCluster) HeldWatches() int { return c.freezer.Held() }

// SetPeer implements PeerFaulter. What one member says to another goes up a
// link if it has dialled, and down one if it was dialled: of the two streams
// of raft between two members each is dialled by the one that reads it
// (etcdserver/api/rafthttp/stream.go), while proposals in bulk and snapshots
// are posted.
func (c *processCluster) SetPeer(from, to string, condition link.Condition) error {
	up, down, err := c.between(from, to)
	if err != nil {
		return fmt.Errorf("set the way from %s to %s: %w", from, to, err)
	}
	up.Set(link.Up, condition)
	down.Set(link.Down, condition)
	return nil
}

// HealPeers implements PeerFaulter.
func (c *processCluster) HealPeers() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	var waited int64
	for _, l := range c.links {
		healed := l.Heal()
		waited += healed.Up + healed.Down
	}
	return waited
}

// PeerTraffic implements PeerFaulter.
func (c *processCluster) PeerTraffic(from, to string) (PeerTraffic, error) {
	up, down, err := c.between(from, to)
	if err != nil {
		return PeerTraffic{}, fmt.Errorf("look at the way from %s to %s: %w", from, to, err)
	}
	dialled, taken := up.Stats(), down.Stats()
	return PeerTraffic{
		Flow: link.Flow{
			Passed:  dialled.Up.Passed + taken.Down.Passed,
			Delayed: dialled.Up.Delayed + taken.Down.Delayed,
			Held:    dialled.Up.Held + taken.Down.Held,
			Dropped: dialled.Up.Dropped + taken.Down.Dropped,
			Waiting: dialled.Up.Waiting + taken.Down.Waiting,
		},
	}, nil
}

// between returns the link on which from dials to, and the other way round. It
// does not wait for another fault, which may wait for a link to be healed.
func (c *processCluster) between(from, to string) (out, back *link.Link, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	out, back = c.links[pair{from, to}], c.links[pair{to, from}]
	if out == nil || back == nil {
		return nil, nil, errors.New("there is none, or etcd is not started")
	}
	return out, back, nil
}

// InspectMember implements MemberInspector.
func (c *processCluster) InspectMember(ctx context.Context, name string) (MemberState, error) {
	m, err := c.one(name)
	if err != nil {
		return MemberState{}, fmt.Errorf("inspect etcd member: %w", err)
	}
	life := m.current()
	if life == nil {
		return MemberState{Exit: m.lastExit()}, nil
	}
	process, err := life.process.State()
	if err != nil || process == "" || process == frozenState {
		return MemberState{Process: process}, err
	}
	resp, err := m.status(ctx)
	if err != nil {
		return MemberState{Process: process}, err
	}
	return MemberState{
		Process: process,
		ID:      resp.GetHeader().GetMemberId(), Leader: resp.GetLeader(),
		Term: resp.GetRaftTerm(), Index: resp.GetRaftIndex(), Applied: resp.GetRaftAppliedIndex(),
		DBSize: resp.GetDbSize(), DBUsed: resp.GetDbSizeInUse(),
		NoSpace: slices.ContainsFunc(resp.GetErrors(), func(e string) bool {
			return strings.Contains(e, pb.AlarmType_NOSPACE.String())
		}),
	}, nil
}

// frozenState is that of a process which SIGSTOP has stopped, see proc(5).
const frozenState = "T"

// leader returns the member that leads according to itself.
func (c *processCluster) leader(ctx context.Context) (*processMember, error) {
	var errs []error
	for _, m := range c.members {
		if life := m.current(); life == nil || life.frozen {
			continue
		}
		resp, err := m.status(ctx)
		if err != nil {
			errs = append(errs, err)
		} else if resp.GetLeader() != 0 && resp.GetLeader() == resp.GetHeader().GetMemberId() {
			return m, nil
		}
	}
	return nil, errors.Join(append(errs, errors.New("no member leads"))...)
}

// MoveLeader implements LeaderMover: leadership goes to the next member that
// is up.
func (c *processCluster) MoveLeader(ctx context.Context) (from, to string, err error) {
	c.op.Lock()
	defer c.op.Unlock()
	if !c.started {
		return "", "", errors.New("move etcd's leader: etcd is not started")
	}
	old, err := c.leader(ctx)
	if err != nil {
		return "", "", fmt.Errorf("move etcd's leader: %w", err)
	}
	i := slices.Index(c.members, old)
	for _, m := range slices.Concat(c.members[i+1:], c.members[:i]) {
		if life := m.current(); life != nil && !life.frozen {
			return old.name, m.name, moveLeader(ctx, old, m)
		}
	}
	return "", "", fmt.Errorf("move etcd's leader: no member but %s is up", old.name)
}

func moveLeader(ctx context.Context, from, to *processMember) error {
	resp, err := to.status(ctx)
	if err != nil {
		return fmt.Errorf("move etcd's leader: %w", err)
	}
	err = from.ask(ctx, func(ctx context.Context, conn *grpc.ClientConn) error {
		_, err := pb.NewMaintenanceClient(conn).MoveLeader(ctx, &pb.MoveLeaderRequest{TargetID: resp.GetHeader().GetMemberId()})
		return err
	})
	if err != nil {
		return fmt.Errorf("move etcd's leader from %s to %s: %w", from.name, to.name, err)
	}
	return nil
}

// LimitQuota implements QuotaLimiter.
func (c *processCluster) LimitQuota(ctx context.Context, bytes int64) error {
	c.op.Lock()
	defer c.op.Unlock()
	members, err := c.find()
	if err != nil {
		return fmt.Errorf("limit the quota of etcd: %w", err)
	}
	c.config.QuotaBackendBytes = bytes
	if bytes == 0 {
		c.config.QuotaBackendBytes = quotaBytes
	}
	if err := c.restartEach(ctx, members); err != nil {
		return fmt.Errorf("limit the quota of etcd to %d bytes: %w", c.config.QuotaBackendBytes, err)
	}
	return nil
}

// restartEach restarts members one after the other, as they are to be launched
// now.
func (c *processCluster) restartEach(ctx context.Context, members []*processMember) error {
	for _, m := range members {
		err := m.stop()
		if err == nil {
			err = c.launch(ctx, m)
		}
		if err == nil {
			err = c.awaitReady(ctx, c.besides(nil))
		}
		if err != nil {
			return err
		}
	}
	return nil
}
