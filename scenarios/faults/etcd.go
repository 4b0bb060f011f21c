package faults

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/planecheck/planecheck/apiserver/storage"
)

// The targets among the members: who it is, is decided by who leads then.
const (
	leader   = "leader"
	follower = "follower"
	minority = "minority" // of those that do not lead
	majority = "majority"
)

func etcdFaults() []Fault {
	restartable := []string{storage.FaultMemberStop, storage.FaultMemberRestart}
	of := func(least int, targets ...string) func(Shape) []string {
		return func(s Shape) []string { return atLeast(least, s.Members, targets...) }
	}
	return []Fault{
		{
			Name: "etcd-member-stop", Area: Etcd, Needs: restartable, Crashes: true, For: 5 * time.Second,
			Does:    "one etcd member that does not lead is stopped, and started again with its data",
			targets: of(3, follower), inject: stopMembers,
		},
		{
			Name: "etcd-leader-stop", Area: Etcd, Needs: restartable, Crashes: true, For: 5 * time.Second,
			Does:    "etcd's leader is stopped, and started again with its data",
			targets: of(3, leader), inject: stopMembers,
		},
		{
			Name: "etcd-majority-stop", Area: Etcd, Needs: restartable, Blocks: true, Crashes: true, For: 5 * time.Second,
			Does:    "a majority of the etcd members, the leader among them, is stopped, so that nothing can be written, and started again",
			targets: of(3, majority), inject: stopMembers,
		},
		{
			Name: "etcd-all-restart", Area: Etcd, Needs: restartable, Blocks: true, Crashes: true, For: 2 * time.Second,
			Does:    "all etcd members are stopped, and started again with their data",
			targets: of(1, all), inject: stopMembers,
		},
		{
			Name: "etcd-leader-move", Area: Etcd, Needs: []string{storage.FaultLeaderMove},
			Does:    "etcd's leader hands over to another member in good order",
			targets: of(2, leader), inject: moveLeader,
		},
		{
			Name: "etcd-defragment", Area: Etcd, Needs: []string{storage.FaultDefragment},
			Does:    "every etcd member is defragmented in turn, which stops its answers meanwhile",
			targets: of(1, all), inject: defragment,
		},
		{
			Name: "etcd-compaction-storm", Area: Etcd, Needs: []string{storage.FaultCompact}, Tests: []string{"CompactionHonest"}, For: 5 * time.Second,
			Does:    "etcd is compacted every 200 ms, right behind its newest revisions",
			targets: of(1, all), inject: compactionStorm,
		},
		{
			Name: "etcd-nospace", Area: Etcd, Needs: []string{storage.FaultNoSpace}, Blocks: true, For: 3 * time.Second,
			Does:    "etcd raises its alarm NOSPACE, refuses every write, and recovers when it is disarmed",
			targets: of(1, leader), inject: noSpace,
		},
	}
}

// chosen resolves a target to members.
func chosen(ctx context.Context, e *Env, target string) ([]storage.Member, error) {
	members := e.Store.Members()
	if target == all {
		return members, nil
	}
	leads, err := findLeader(ctx, e)
	if err != nil {
		return nil, err
	}
	var others []storage.Member
	for _, m := range members {
		if m.Name != leads.Name {
			others = append(others, m)
		}
	}
	others = shuffled(others, e.Pick)
	switch target {
	case leader:
		return []storage.Member{leads}, nil
	case follower:
		return others[:1], nil
	case minority:
		return others[:(len(members)-1)/2], nil
	case majority:
		return append([]storage.Member{leads}, others[:len(members)/2]...), nil
	}
	return nil, fmt.Errorf("%q is no target among etcd members", target)
}

// stopMembers stops members in good order. Its evidence is that they take no
// connections, what the others say of their leader, and, where they are processes,
// that these were not killed.
func stopMembers(ctx context.Context, e *Env, target string) (*Active, error) {
	restarter, victims, err := on[storage.MemberRestarter](ctx, e, target)
	if err != nil {
		return nil, err
	}
	down := namesOf(victims)
	a := &Active{Crashed: down, heal: func(ctx context.Context) (string, error) { return restartMembers(ctx, e, restarter, victims) }}
	if err := restarter.StopMembers(ctx, down...); err != nil {
		return nil, healed(ctx, a, err)
	}
	a, err = shown(ctx, a, strings.Join(down, ", ")+" to be missed", func(ctx context.Context) (err error) {
		a.Evidence, err = missed(ctx, e, victims)
		return err
	})
	if err != nil || victims[0].PID == 0 {
		return a, err
	}
	return ended(ctx, e, a, victims, syscall.SIGTERM)
}

// missed looks whether members are down and what the others make of it: as long
// as they are a majority they have a leader among them, else they have none.
func missed(ctx context.Context, e *Env, victims []storage.Member) (string, error) {
	var names []string
	for _, m := range victims {
		if err := refuses(ctx, hostPort(m.Endpoint)); err != nil {
			return "", err
		}
		names = append(names, m.Name)
	}
	evidence := strings.Join(names, ", ") + " refuses connections"
	all := e.Store.Members()
	left := len(all) - len(victims)
	if left == 0 {
		return evidence, nil
	}
	if left > len(all)/2 {
		leads, err := findLeader(ctx, e, victims...)
		return fmt.Sprintf("%s, %s leads", evidence, leads.Name), err
	}
	for _, m := range all {
		if slices.Contains(names, m.Name) {
			continue
		}
		// One that does not answer has not said that it knows no leader.
		s, err := status(ctx, m)
		if err == nil && s.Leader != 0 {
			err = fmt.Errorf("%s still follows %x, without a majority", m.Name, s.Leader)
		}
		if err != nil {
			return "", err
		}
	}
	return evidence + ", each of the others says that it knows no leader", nil
}

// restartMembers starts those that are down, which after an injection that failed
// need not be all.
func restartMembers(ctx context.Context, e *Env, restarter storage.MemberRestarter, victims []storage.Member) (string, error) {
	var errs []error
	for _, m := range victims {
		errs = append(errs, whereDown(ctx, m, restarter.RestartMember))
	}
	if err := errors.Join(errs...); err != nil {
		return "", err
	}
	return awaitLeader(ctx, e)
}

// whereDown acts on a member if it is down, and not if it answers. One look may
// show neither: a link on a busy machine turns clients away late.
func whereDown(ctx context.Context, m storage.Member, act func(context.Context, string) error) error {
	looking, cancel := context.WithTimeoutCause(ctx, effectBound, fmt.Errorf("it had %v", effectBound))
	defer cancel()
	down := false
	err := await(looking, m.Name+" to answer or to be seen down", func(ctx context.Context) error {
		if down = refuses(ctx, hostPort(m.Endpoint)) == nil; down {
			return nil
		}
		_, err := status(ctx, m)
		return err
	})
	if err != nil || !down {
		return err
	}
	return act(ctx, m.Name)
}

// awaitLeader waits until every member knows one and the same leader.
func awaitLeader(ctx context.Context, e *Env) (string, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, effectBound, fmt.Errorf("it had %v", effectBound))
	defer cancel()
	var seen string
	err := await(ctx, "a leader of etcd", func(ctx context.Context) error {
		of := map[uint64]bool{}
		seen = ""
		for _, m := range e.Store.Members() {
			s, err := status(ctx, m)
			if err != nil {
				return err
			}
			if s.Leader == 0 {
				return fmt.Errorf("%s knows no leader", m.Name)
			}
			if s.Leader == s.Header.MemberId {
				seen = fmt.Sprintf("%s leads in term %d", m.Name, s.RaftTerm)
			}
			of[s.Leader] = true
		}
		if len(of) > 1 {
			return fmt.Errorf("the members follow %d leaders", len(of))
		}
		if seen == "" {
			return errNoLeader
		}
		return nil
	})
	return seen, err
}

func moveLeader(ctx context.Context, e *Env, _ string) (*Active, error) {
	mover, err := as[storage.LeaderMover](e)
	if err != nil {
		return nil, err
	}
	before, err := findLeader(ctx, e)
	if err != nil {
		return nil, err
	}
	if _, _, err := mover.MoveLeader(ctx); err != nil {
		return nil, err
	}
	var after storage.Member
	err = await(ctx, "another member to lead", func(ctx context.Context) (err error) {
		after, err = findLeader(ctx, e)
		if err == nil && after.Name == before.Name {
			err = fmt.Errorf("%s still leads", before.Name)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return &Active{Evidence: fmt.Sprintf("%s leads after %s", after.Name, before.Name)}, nil
}

// noSpace raises the alarm as a member does that is out of its quota
// (server/etcdserver/server.go, applyV3.Alarm): it counts for the whole cluster.
// The evidence is a write through the API that is refused.
func noSpace(ctx context.Context, e *Env, target string) (*Active, error) {
	victims, err := chosen(ctx, e, target)
	if err != nil {
		return nil, err
	}
	a := &Active{heal: func(ctx context.Context) (string, error) {
		if err := alarm(ctx, victims[0], pb.AlarmRequest_DEACTIVATE); err != nil {
			return "", err
		}
		return "a write is taken", await(ctx, "a write to be taken", func(ctx context.Context) error { return tryWrite(ctx, e) })
	}}
	if err := alarm(ctx, victims[0], pb.AlarmRequest_ACTIVATE); err != nil {
		return nil, healed(ctx, a, err)
	}
	var refusal error
	err = await(ctx, "a write to be refused", func(ctx context.Context) error {
		if refusal = tryWrite(ctx, e); refusal == nil {
			return errors.New("it was taken")
		}
		if !strings.Contains(refusal.Error(), rpctypes.ErrNoSpace.Error()) {
			return refusal
		}
		return nil
	})
	if err != nil {
		return nil, healed(ctx, a, err)
	}
	a.Evidence = "a write is refused: " + refusal.Error()
	return a, nil
}

func alarm(ctx context.Context, m storage.Member, action pb.AlarmRequest_AlarmAction) error {
	s, err := status(ctx, m)
	if err != nil {
		return err
	}
	return ask(m, func(c *clientv3.Client) error {
		_, err := pb.NewMaintenanceClient(c.ActiveConnection()).Alarm(ctx, &pb.AlarmRequest{
			Action: action, MemberID: s.Header.MemberId, Alarm: pb.AlarmType_NOSPACE,
		})
		if err != nil {
			return fmt.Errorf("%s of alarm NOSPACE at %s: %w", action, m.Name, err)
		}
		return nil
	})
}

// tryWrite writes an object through the API and removes it again.
func tryWrite(ctx context.Context, e *Env) error {
	maps := e.API.CoreV1().ConfigMaps(metav1.NamespaceDefault)
	const name = "planecheck-probe"
	_, err := maps.Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return err
	}
	return maps.Delete(ctx, name, metav1.DeleteOptions{})
}
