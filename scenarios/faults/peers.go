package faults

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/planecheck/planecheck/apiserver/link"
	"github.com/planecheck/planecheck/apiserver/storage"
)

// way leads from one member to another.
type way struct{ from, to string }

// ways is what has gone each way so far. PeerTraffic counts from the start of the
// backend, so that only what was added since is evidence.
type ways map[way]storage.PeerTraffic

// look takes the figures of each way anew.
func (w ways) look(peers storage.PeerFaulter) (ways, error) {
	now := ways{}
	for one := range w {
		traffic, err := peers.PeerTraffic(one.from, one.to)
		if err != nil {
			return nil, err
		}
		now[one] = traffic
	}
	return now, nil
}

// set gives each way a condition.
func (w ways) set(peers storage.PeerFaulter, c link.Condition) error {
	for one := range w {
		if err := peers.SetPeer(one.from, one.to, c); err != nil {
			return err
		}
	}
	return nil
}

// grown fails unless a figure has grown on every way, and returns their sum.
func (w ways) grown(peers storage.PeerFaulter, what string, figure func(storage.PeerTraffic) int64) (sum int64, err error) {
	now, err := w.look(peers)
	if err != nil {
		return 0, err
	}
	for one, before := range w {
		more := figure(now[one]) - figure(before)
		if more <= 0 {
			return 0, fmt.Errorf("nothing from %s to %s was %s", one.from, one.to, what)
		}
		sum += more
	}
	return sum, nil
}

// partition holds what members should hear from the others, what the others should
// hear from them, or both. Between themselves they talk on. TCP loses nothing, so
// it is held and arrives later. The evidence is what the link of each way holds
// from then on, what the members themselves say of their leader, and who leads the
// others.
func partition(deaf, mute bool) func(context.Context, *Env, string) (*Active, error) {
	return func(ctx context.Context, e *Env, target string) (*Active, error) {
		peers, victims, err := on[storage.PeerFaulter](ctx, e, target)
		if err != nil {
			return nil, err
		}
		followed, err := leadersOf(ctx, victims)
		if err != nil {
			return nil, err
		}
		cut, err := between(e, victims, deaf, mute).look(peers)
		if err != nil {
			return nil, err
		}
		names := strings.Join(namesOf(victims), ", ")
		a := &Active{heal: func(ctx context.Context) (string, error) { return reconnect(ctx, e, peers) }}
		if err := cut.set(peers, link.Condition{Hold: true}); err != nil {
			return nil, healed(ctx, a, err)
		}
		return shown(ctx, a, names+" to be missed", func(ctx context.Context) error {
			held, err := cut.grown(peers, "held", func(t storage.PeerTraffic) int64 { return t.Held })
			if err != nil {
				return err
			}
			alone, err := isolated(ctx, victims, followed, deaf)
			if err != nil {
				return err
			}
			leads, err := findLeader(ctx, e, victims...)
			a.Evidence = fmt.Sprintf("%d bytes from or to %s were held, on all %d ways; %s; %s leads", held, names, len(cut), alone, leads.Name)
			return err
		})
	}
}

// between are the ways from the others to the victims, those back, or both.
func between(e *Env, victims []storage.Member, deaf, mute bool) ways {
	all, inside := ways{}, namesOf(victims)
	for _, v := range inside {
		for _, other := range namesOf(e.Store.Members()) {
			if slices.Contains(inside, other) {
				continue
			}
			if deaf {
				all[way{other, v}] = storage.PeerTraffic{}
			}
			if mute {
				all[way{v, other}] = storage.PeerTraffic{}
			}
		}
	}
	return all
}

// leadersOf are whom members follow, by their own account.
func leadersOf(ctx context.Context, members []storage.Member) (map[string]uint64, error) {
	leaders := map[string]uint64{}
	for _, m := range members {
		s, err := status(ctx, m)
		if err != nil {
			return nil, err
		}
		leaders[m.Name] = s.Leader
	}
	return leaders, nil
}

// isolated fails unless each of the members says itself that the leader of before
// is none to it any more. One that hears nothing knows none; one that hears, and
// is not heard, may follow whom the others have elected. (The term does not show
// it: etcd tells that of the last entry that was applied, server/etcdserver/server.go,
// setTerm.)
func isolated(ctx context.Context, victims []storage.Member, before map[string]uint64, deaf bool) (string, error) {
	var say []string
	for _, v := range victims {
		s, err := status(ctx, v)
		switch {
		case err != nil:
			return "", err
		case s.Leader == 0:
			say = append(say, v.Name+" knows no leader")
		case !deaf && s.Leader != before[v.Name]:
			say = append(say, fmt.Sprintf("%s follows %x and followed %x", v.Name, s.Leader, before[v.Name]))
		default:
			return "", fmt.Errorf("%s follows %x, before it was %x", v.Name, s.Leader, before[v.Name])
		}
	}
	return strings.Join(say, ", "), nil
}

func reconnect(ctx context.Context, e *Env, peers storage.PeerFaulter) (string, error) {
	bytes := peers.HealPeers()
	seen, err := awaitLeader(ctx, e)
	return fmt.Sprintf("%d bytes go on, %s", bytes, seen), err
}

// distance delays everything that members tell each other. The evidence is what
// the link of each way has delayed since, and how long a read takes for which a
// member has to hear from another one.
func distance(ctx context.Context, e *Env, target string) (*Active, error) {
	delay, err := time.ParseDuration(target)
	if err != nil {
		return nil, fmt.Errorf("%q is no distance", target)
	}
	peers, err := as[storage.PeerFaulter](e)
	if err != nil {
		return nil, err
	}
	far := ways{}
	for _, from := range e.Store.Members() {
		for _, to := range e.Store.Members() {
			if from.Name != to.Name {
				far[way{from.Name, to.Name}] = storage.PeerTraffic{}
			}
		}
	}
	if far, err = far.look(peers); err != nil {
		return nil, err
	}
	a := &Active{heal: func(ctx context.Context) (string, error) { return reconnect(ctx, e, peers) }}
	if err := far.set(peers, link.Condition{Delay: delay}); err != nil {
		return nil, healed(ctx, a, err)
	}
	return shown(ctx, a, "delayed bytes on every way", func(ctx context.Context) error {
		bytes, err := far.grown(peers, "delayed", func(t storage.PeerTraffic) int64 { return t.Delayed })
		if err != nil {
			return err
		}
		nearest, err := quorumRead(ctx, e)
		if err == nil && nearest < 2*delay {
			err = fmt.Errorf("a read takes %v, less than there and back over %v", nearest, delay)
		}
		a.Evidence = fmt.Sprintf("%d bytes were delayed by %v, on all %d ways; the fastest read of a member takes %v",
			bytes, delay, len(far), nearest.Round(time.Microsecond))
		return err
	})
}

// quorumRead is the least time in which a member answers a linearizable read: the
// leader asks the others first whether it still leads (raft/read_only.go), and a
// follower asks the leader.
func quorumRead(ctx context.Context, e *Env) (least time.Duration, err error) {
	for i, m := range e.Store.Members() {
		var took time.Duration
		err := ask(m, func(c *clientv3.Client) error {
			ctx, cancel := context.WithTimeoutCause(ctx, readBound, errors.New("a read takes too long"))
			defer cancel()
			if _, err := c.Status(ctx, m.Endpoint); err != nil { // now the connection is there
				return err
			}
			began := time.Now()
			_, err := c.Get(ctx, "planecheck", clientv3.WithCountOnly())
			took = time.Since(began)
			return err
		})
		if err != nil {
			return 0, fmt.Errorf("read from %s: %w", m.Name, err)
		}
		if i == 0 || took < least {
			least = took
		}
	}
	return least, nil
}
