package storage

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/planecheck/planecheck/apiserver/storage/child"
	"github.com/planecheck/planecheck/apiserver/storage/etcdproc"
)

// RollbackMember implements MemberRollbacker.
//
// It depends on the leader what becomes of the member. One that remembers what
// the member has acknowledged tells it with the next heartbeat to commit that
// (raft/raft.go, sendHeartbeat), and the member, which does not have it, panics
// (raft/log.go, commitTo). One that was elected since knows nothing of it, asks
// for what it has, and sends it the rest. So a follower dies, and a leader that
// is rolled back comes back, because the others elect another one meanwhile:
// here they are waited for, or the member could vote for one of them that does
// not have what it had acknowledged itself.
func (c *processCluster) RollbackMember(ctx context.Context, name string) (Rejoined, error) {
	c.op.Lock()
	defer c.op.Unlock()
	m, err := c.findUp(name)
	if err == nil {
		_, err = os.Stat(m.saved)
	}
	var seen Rejoined
	if err == nil {
		seen, err = c.rollback(ctx, m)
	}
	if err != nil {
		return Rejoined{}, fmt.Errorf("roll etcd member %s back alone: %w", name, err)
	}
	return seen, nil
}

func (c *processCluster) rollback(ctx context.Context, m *processMember) (seen Rejoined, err error) {
	was, err := m.status(ctx)
	if err != nil {
		return seen, err
	}
	seen.Had = was.GetRaftAppliedIndex()
	if err := m.kill(); err != nil {
		return seen, err
	}
	if err := m.restoreSaved(); err != nil {
		return seen, err
	}
	if was.GetLeader() == was.GetHeader().GetMemberId() {
		if err := c.awaitReady(ctx, c.besides(m)); err != nil {
			return seen, err
		}
	}
	m.mayDie(true)
	defer m.mayDie(false)
	err = c.launch(ctx, m)
	if life := m.current(); err == nil && life != nil {
		err = m.poll(ctx, life.process, func(ctx context.Context) error {
			now, err := m.status(ctx)
			if err == nil && now.GetRaftAppliedIndex() < seen.Had {
				err = fmt.Errorf("it has applied entry %d, and had applied %d", now.GetRaftAppliedIndex(), seen.Had)
			}
			return err
		})
		seen.Began = etcdproc.Began(life.process)
	}
	if exit, ok := errors.AsType[*child.ExitError](err); ok && strings.Contains(exit.Reason, "panic") {
		seen.Panic, err = exit.Reason, nil
		m.awaitDown()
	}
	return seen, err
}

// besides are the members that are up, without one.
func (c *processCluster) besides(m *processMember) []*processMember {
	var others []*processMember
	for _, o := range c.members {
		if life := o.current(); o != m && life != nil && !life.frozen {
			others = append(others, o)
		}
	}
	return others
}

// mayDie says whether the end of the member's process is what is to be found
// out, and no loss that nobody had thought of.
func (m *processMember) mayDie(may bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.doomed = may
}

// awaitDown returns when the end of the process, if it has ended, has been dealt
// with.
func (m *processMember) awaitDown() {
	if life := m.current(); life != nil {
		<-life.over
	}
}
