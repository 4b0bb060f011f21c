package faults

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/planecheck/planecheck/apiserver/storage"
)

const (
	// quotaRoom is how much the database may grow until it reaches the quota of
	// the fault. The run goes on to write: its own need is a few megabytes.
	quotaRoom = 16 << 20
	// fillKey is what the fault writes, over and over. It is no object's key.
	fillKey = "planecheck-fill"
	// fillBytes is the size of its value, of those 1.5 MiB that etcd takes.
	fillBytes = 1 << 20
)

// fillQuota gives the members a quota that is a little above what they hold, and
// overwrites a key until it is reached. etcd itself raises the alarm: the
// evidence is its list of alarms, the size of the database, and a write through
// the API that is refused.
func fillQuota(ctx context.Context, e *Env, target string) (*Active, error) {
	limiter, err := as[storage.QuotaLimiter](e)
	if err != nil {
		return nil, err
	}
	size, free, err := databases(ctx, e)
	if err != nil {
		return nil, err
	}
	quota := size + quotaRoom
	a := &Active{heal: func(ctx context.Context) (string, error) { return makeRoom(ctx, e, limiter) }}
	if err := limiter.LimitQuota(ctx, quota); err != nil {
		return nil, healed(ctx, a, err)
	}
	victims, err := chosen(ctx, e, target)
	if err != nil {
		return nil, healed(ctx, a, err)
	}
	if err := fill(ctx, victims[0], (quotaRoom+free)/fillBytes*2); err != nil {
		return nil, healed(ctx, a, err)
	}
	return shown(ctx, a, "a write to be refused for want of space", func(ctx context.Context) error {
		alarms, err := noSpaceAlarms(ctx, victims[0])
		if err == nil && len(alarms) == 0 {
			err = errors.New("etcd lists no alarm")
		}
		if err != nil {
			return err
		}
		refusal := tryWrite(ctx, e)
		if refusal == nil || !strings.Contains(refusal.Error(), rpctypes.ErrNoSpace.Error()) {
			return fmt.Errorf("a write is answered with: %w", refusal)
		}
		size, _, err := databases(ctx, e)
		a.Evidence = fmt.Sprintf("the alarm is raised for %d members, the largest database has %d KiB of %d, a write is refused: %v",
			len(alarms), size>>10, quota>>10, refusal)
		return err
	})
}

// databases returns the size of the largest database and how much of it is free
// to be filled.
func databases(ctx context.Context, e *Env) (size, free int64, err error) {
	for _, m := range e.Store.Members() {
		s, err := status(ctx, m)
		if err != nil {
			return 0, 0, err
		}
		size, free = max(size, s.DbSize), max(free, s.DbSize-s.DbSizeInUse)
	}
	return size, free, nil
}

// fill overwrites one key until there is no space, with at most so many writes.
func fill(ctx context.Context, m storage.Member, most int64) error {
	value := string(bytes.Repeat([]byte("planecheck "), fillBytes/11))
	return ask(m, func(c *clientv3.Client) error {
		for range most {
			_, err := c.Put(ctx, fillKey, value)
			if errors.Is(err, rpctypes.ErrNoSpace) {
				return nil
			}
			if err != nil {
				return fmt.Errorf("fill the database of %s: %w", m.Name, err)
			}
		}
		return fmt.Errorf("%d writes of %d bytes did not fill the database of %s", most, fillBytes, m.Name)
	})
}

func noSpaceAlarms(ctx context.Context, m storage.Member) (alarms []*pb.AlarmMember, err error) {
	err = ask(m, func(c *clientv3.Client) error {
		list, err := c.AlarmList(ctx)
		if err != nil {
			return fmt.Errorf("list the alarms of %s: %w", m.Name, err)
		}
		for _, a := range list.Alarms {
			if a.Alarm == pb.AlarmType_NOSPACE {
				alarms = append(alarms, a)
			}
		}
		return nil
	})
	return alarms, err
}

// makeRoom recovers as etcd's documentation says (op-guide/maintenance, space
// quota): it removes what was written, compacts, defragments, disarms. Then the
// members get their own quota back, also where that went wrong.
func makeRoom(ctx context.Context, e *Env, limiter storage.QuotaLimiter) (string, error) {
	evidence, err := recoverSpace(ctx, e)
	if err = errors.Join(err, limiter.LimitQuota(ctx, 0)); err != nil {
		return "", err
	}
	leads, err := awaitLeader(ctx, e)
	return fmt.Sprintf("a write is taken; %s; %s", evidence, leads), err
}

func recoverSpace(ctx context.Context, e *Env) (string, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, effectBound, fmt.Errorf("it had %v", effectBound)) // the quota needs time, too
	defer cancel()
	if _, err := awaitLeader(ctx, e); err != nil {
		return "", err
	}
	m := e.Store.Members()[0]
	err := ask(m, func(c *clientv3.Client) error {
		removed, err := c.Delete(ctx, fillKey)
		if err == nil {
			_, err = c.Compact(ctx, removed.Header.Revision, clientv3.WithCompactPhysical())
		}
		if errors.Is(err, rpctypes.ErrCompacted) { // by an API server, up to now
			err = nil
		}
		return err
	})
	if err != nil {
		return "", fmt.Errorf("remove what fills the database and compact it: %w", err)
	}
	a, err := defragment(ctx, e, all)
	if err != nil {
		return "", err
	}
	if err := disarm(ctx, m); err != nil {
		return "", err
	}
	return a.Evidence, await(ctx, "a write to be taken", func(ctx context.Context) error { return tryWrite(ctx, e) })
}

// disarm ends the alarms of all members: each has raised its own.
func disarm(ctx context.Context, m storage.Member) error {
	return await(ctx, "the alarms to be disarmed", func(ctx context.Context) error {
		alarms, err := noSpaceAlarms(ctx, m)
		if err != nil || len(alarms) == 0 {
			return err
		}
		err = ask(m, func(c *clientv3.Client) error {
			for _, a := range alarms {
				if _, err := c.AlarmDisarm(ctx, &clientv3.AlarmMember{MemberID: a.MemberID, Alarm: a.Alarm}); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("disarm: %w", err)
		}
		return errors.New("there were alarms until now")
	})
}
