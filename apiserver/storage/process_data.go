package storage

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// reconfigureBound bounds the wait for the others to agree to a change of
// members: etcd refuses one until they have been connected for five seconds
// (etcdserver.HealthInterval).
const reconfigureBound = 30 * time.Second

// SaveData implements DataKeeper. The members are frozen while their files are
// copied, so a copy is what SIGKILL would leave at that moment. Their clients
// notice nothing but a pause, as long as there is data; one that is longer than
// an election timeout ends with an election.
func (c *processCluster) SaveData(ctx context.Context, names ...string) (err error) {
	c.op.Lock()
	defer c.op.Unlock()
	found, err := c.find(names...)
	if err != nil {
		return fmt.Errorf("save the data of etcd members: %w", err)
	}
	var frozen []*servedLife
	defer func() {
		for _, life := range frozen {
			err = errors.Join(err, life.process.Thaw(context.WithoutCancel(ctx)))
		}
	}()
	for _, m := range found {
		life := m.current()
		if life == nil || life.frozen {
			continue // it writes nothing
		}
		if err := life.process.Freeze(ctx); err != nil {
			return fmt.Errorf("save the data of etcd members: %w", err)
		}
		frozen = append(frozen, life)
	}
	return c.each(found, func(m *processMember) error {
		if err := os.RemoveAll(m.saved); err != nil {
			return fmt.Errorf("remove the former copy of the data of %s: %w", m.name, err)
		}
		if err := copyTree(m.saved, m.dataDir); err != nil {
			return fmt.Errorf("copy the data of %s: %w", m.name, err)
		}
		return nil
	})
}

// RollbackData implements DataKeeper.
//
// Raft does not survive every loss in silence: a leader that remembers what a
// follower has acknowledged tells it to commit that, and a follower that does
// not have it panics (raft/log.go, commitTo). So before the members come back,
// the others get another leader or none: a new one begins without memory of
// what its followers have. When a majority is rolled back it depends on who
// wins the next election whether anything is lost.
func (c *processCluster) RollbackData(ctx context.Context, names ...string) error {
	c.op.Lock()
	defer c.op.Unlock()
	found, err := c.find(names...)
	if err != nil {
		return fmt.Errorf("roll etcd members back: %w", err)
	}
	for _, m := range found {
		if _, err := os.Stat(m.saved); err != nil {
			return fmt.Errorf("roll etcd member %s back: no copy of its data: %w", m.name, err)
		}
	}
	if err := c.each(found, (*processMember).kill); err != nil {
		return fmt.Errorf("roll etcd members back: %w", err)
	}
	for _, m := range found {
		if err := m.restoreSaved(); err != nil {
			return err
		}
	}
	if err := c.forgetProgress(ctx); err != nil {
		return fmt.Errorf("roll etcd members back: %w", err)
	}
	return c.each(found, func(m *processMember) error { return c.launch(ctx, m) })
}

// restoreSaved replaces the data of a member that is down by its copy, which
// stays.
func (m *processMember) restoreSaved() error {
	if err := m.clearData(); err != nil {
		return err
	}
	if err := copyTree(m.dataDir, m.saved); err != nil {
		return fmt.Errorf("restore the data of %s: %w", m.name, err)
	}
	return nil
}

// forgetProgress sees to it that no member which is up leads with a memory of
// those that are down: a quorum gets another leader, and a leader without one
// steps down within an election timeout.
func (c *processCluster) forgetProgress(ctx context.Context) error {
	var up []*processMember
	for _, m := range c.members {
		if life := m.current(); life != nil && !life.frozen {
			up = append(up, m)
		}
	}
	if len(up) <= len(c.members)/2 {
		return c.awaitLeaderless(ctx, up)
	}
	if err := c.awaitReady(ctx, up); err != nil {
		return err
	}
	leader, err := c.leader(ctx)
	if err != nil {
		return err
	}
	for _, m := range up {
		if m != leader {
			return moveLeader(ctx, leader, m)
		}
	}
	return nil
}

// awaitLeaderless waits until none of the members knows a leader.
func (c *processCluster) awaitLeaderless(ctx context.Context, members []*processMember) error {
	ctx, cancel := context.WithTimeoutCause(ctx, readyBound, fmt.Errorf("it had %v", readyBound))
	defer cancel()
	for _, m := range members {
		life := m.current()
		if life == nil {
			continue
		}
		err := m.poll(ctx, life.process, func(ctx context.Context) error {
			resp, err := m.status(ctx)
			if err == nil && resp.GetLeader() != 0 {
				err = errors.New("it knows a leader")
			}
			return err
		})
		if err != nil {
			return fmt.Errorf("wait for %s to lose its leader: %w", m.name, err)
		}
	}
	return nil
}

// ReplaceMember implements MemberReplacer.
func (c *processCluster) ReplaceMember(ctx context.Context, name string) error {
	c.op.Lock()
	defer c.op.Unlock()
	found, err := c.find(name)
	if err == nil && len(c.members) == 1 {
		err = errors.New("it has no others to learn from")
	}
	if err == nil {
		err = c.replace(ctx, found[0])
	}
	if err != nil {
		return fmt.Errorf("replace etcd member %s: %w", name, err)
	}
	return nil
}

func (c *processCluster) replace(ctx context.Context, m *processMember) error {
	ctx, cancel := context.WithTimeoutCause(ctx, reconfigureBound+launchBound, fmt.Errorf("it had %v", reconfigureBound+launchBound))
	defer cancel()
	other, id, err := c.ask(ctx, m)
	if err != nil {
		return err
	}
	if err := m.kill(); err != nil {
		return err
	}
	// A change that is asked for while nobody leads may never be answered.
	if err := other.awaitReady(ctx); err != nil {
		return fmt.Errorf("wait for a leader without it: %w", err)
	}
	if id != 0 {
		err = other.reconfigure(ctx, "remove it", func(ctx context.Context, cluster pb.ClusterClient) error {
			_, err := cluster.MemberRemove(ctx, &pb.MemberRemoveRequest{ID: id})
			return unless(err, rpctypes.ErrMemberNotFound)
		})
	}
	if err != nil {
		return err
	}
	// A copy of its data is that of a member that is no more.
	if err := errors.Join(m.clearData(), os.RemoveAll(m.saved)); err != nil {
		return err
	}
	err = other.reconfigure(ctx, "add it", func(ctx context.Context, cluster pb.ClusterClient) error {
		_, err := cluster.MemberAdd(ctx, &pb.MemberAddRequest{PeerURLs: []string{m.peerURL}})
		return unless(err, rpctypes.ErrPeerURLExist)
	})
	if err != nil {
		return err
	}
	m.joining = true
	if err := c.launch(ctx, m); err != nil {
		return err
	}
	return m.awaitReady(ctx)
}

// ask finds another member that is up and the number that m has in the
// cluster, which a member that is down cannot say itself. It is 0 where the others
// do not know it: an earlier attempt to replace it was cut short. One that was
// added by such an attempt has no name yet.
func (c *processCluster) ask(ctx context.Context, m *processMember) (other *processMember, id uint64, err error) {
	for _, o := range c.members {
		if life := o.current(); o != m && life != nil && !life.frozen {
			other = o
		}
	}
	if other == nil {
		return nil, 0, errors.New("no other member is up")
	}
	var list []*pb.Member
	err = other.reconfigure(ctx, "list members", func(ctx context.Context, cluster pb.ClusterClient) error {
		resp, err := cluster.MemberList(ctx, &pb.MemberListRequest{Linearizable: true})
		list = resp.GetMembers()
		return err
	})
	if err != nil {
		return nil, 0, err
	}
	for _, member := range list {
		if member.GetName() == m.name || slices.Contains(member.GetPeerURLs(), m.peerURL) {
			return other, member.GetID(), nil
		}
	}
	return other, 0, nil
}

// reconfigure asks a member for a change until it agrees. It refuses while it
// elects a leader, or has not been connected with the others for long enough.
// A change that was not answered is asked for again.
func (m *processMember) reconfigure(ctx context.Context, what string, change func(context.Context, pb.ClusterClient) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, reconfigureBound, fmt.Errorf("it had %v", reconfigureBound))
	defer cancel()
	tick := time.NewTicker(memberPoll)
	defer tick.Stop()
	for {
		attempt, cancel := context.WithTimeout(ctx, memberAsk)
		err := m.ask(attempt, func(ctx context.Context, conn *grpc.ClientConn) error {
			return change(ctx, pb.NewClusterClient(conn))
		})
		cancel()
		if err == nil {
			return nil
		}
		if !passes(err) {
			return fmt.Errorf("%s through %s: %w", what, m.name, err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%s through %s: %w: %w", what, m.name, context.Cause(ctx), err)
		}
	}
}

// passes says whether the failure of a change is one that ends by itself.
func passes(err error) bool {
	switch rpctypes.Error(err) {
	case rpctypes.ErrUnhealthy, rpctypes.ErrNoLeader, rpctypes.ErrMemberNotEnoughStarted,
		rpctypes.ErrTimeout, rpctypes.ErrTimeoutDueToLeaderFail:
		return true
	}
	return status.Code(err) == codes.DeadlineExceeded
}

// unless drops an error that says that a change has been made already, by an
// earlier attempt whose answer did not come.
func unless(err error, done error) error {
	if rpctypes.Error(err) == done {
		return nil
	}
	return err
}
