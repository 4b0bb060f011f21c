package faults

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/planecheck/planecheck/apiserver/link"
	"github.com/planecheck/planecheck/apiserver/storage"
)

// processFaults need members that are processes, behind links.
func processFaults() []Fault {
	of := func(least int, targets ...string) func(Shape) []string {
		return func(s Shape) []string { return atLeast(least, s.Members, targets...) }
	}
	killable := []string{storage.FaultMemberKill, storage.FaultMemberRestart}
	return []Fault{
		{
			Name: "etcd-kill", Area: Etcd, Needs: killable, For: 5 * time.Second,
			Does:    "an etcd member, follower or leader, is killed (SIGKILL), and started again with its data",
			targets: of(3, leader, follower), inject: killMembers,
		},
		{
			Name: "etcd-majority-kill", Area: Etcd, Needs: killable, Blocks: true, For: 5 * time.Second,
			Does:    "a majority of the etcd members, or all, is killed (SIGKILL) at once, and started again with its data",
			targets: of(3, majority, all), inject: killMembers,
		},
		{
			Name: "etcd-freeze", Area: Etcd, Needs: []string{storage.FaultMemberFreeze}, For: 8 * time.Second,
			Does:    "an etcd member, leader or follower, stands still (SIGSTOP) with its connections open, and goes on",
			targets: of(3, leader, follower), inject: freezeMember,
		},
		{
			Name: "etcd-partition", Area: Etcd, Needs: []string{storage.FaultPeerLink}, For: 8 * time.Second,
			Does:    "an etcd member, leader or follower, is cut off from its peers, but not from its clients, and comes back",
			targets: of(3, leader, follower), inject: partition(true, true),
		},
		{
			Name: "etcd-deaf", Area: Etcd, Needs: []string{storage.FaultPeerLink}, For: 8 * time.Second,
			Does:    "etcd's leader is heard by its peers and does not hear them (an asymmetric partition)",
			targets: of(3, leader), inject: partition(true, false),
		},
		{
			Name: "etcd-mute", Area: Etcd, Needs: []string{storage.FaultPeerLink}, For: 8 * time.Second,
			Does:    "etcd's leader hears its peers and is not heard by them (an asymmetric partition)",
			targets: of(3, leader), inject: partition(false, true),
		},
		{
			Name: "etcd-far", Area: Etcd, Needs: []string{storage.FaultPeerLink}, For: 10 * time.Second, Each: true,
			Does:    "the etcd members are far from each other: 1, 10 or 100 ms one way",
			targets: of(3, "1ms", "10ms", "100ms"), inject: distance,
		},
		{
			Name: "etcd-member-replace", Area: Etcd, Needs: []string{storage.FaultMemberReplace}, Blocks: true,
			Does:    "an etcd member is removed for good, and an empty one takes its place and learns all from the others",
			targets: of(3, follower), inject: replaceMember,
		},
		{
			Name: "etcd-rollback", Area: Etcd, Needs: []string{storage.FaultMemberRollback}, Blocks: true, Breaks: []string{"Durable"},
			Does:    "all etcd members lose power and start from older copies of their data, as where fsync lies",
			targets: of(1, all), inject: rollback,
		},
	}
}

// as finds what a backend can do, by an interface of package storage.
func as[T any](e *Env) (T, error) {
	t, ok := e.Store.(T)
	if !ok {
		return t, fmt.Errorf("backend %s is no %s", e.Store.Name(), reflect.TypeFor[T]().Name())
	}
	return t, nil
}

// on finds what a backend can do, and the members that are the target of it.
func on[T any](ctx context.Context, e *Env, target string) (t T, victims []storage.Member, err error) {
	if t, err = as[T](e); err == nil {
		victims, err = chosen(ctx, e, target)
	}
	return t, victims, err
}

func namesOf(members []storage.Member) []string {
	var names []string
	for _, m := range members {
		names = append(names, m.Name)
	}
	return names
}

// killMembers ends members at once. Their evidence is that of stopMembers.
func killMembers(ctx context.Context, e *Env, target string) (*Active, error) {
	killer, err := as[storage.MemberKiller](e)
	if err != nil {
		return nil, err
	}
	restarter, victims, err := on[storage.MemberRestarter](ctx, e, target)
	if err != nil {
		return nil, err
	}
	names := namesOf(victims)
	if err := killer.KillMembers(ctx, names...); err != nil {
		return nil, err
	}
	a := &Active{heal: func(ctx context.Context) (string, error) { return restartMembers(ctx, e, restarter, names) }}
	return shown(ctx, a, strings.Join(names, ", ")+" to be missed", func(ctx context.Context) (err error) {
		a.Evidence, err = missed(ctx, e, victims)
		return err
	})
}

// freezeMember stops a member. Its evidence is the state of its process and that
// another one leads.
func freezeMember(ctx context.Context, e *Env, target string) (*Active, error) {
	inspector, err := as[storage.MemberInspector](e)
	if err != nil {
		return nil, err
	}
	freezer, victims, err := on[storage.MemberFreezer](ctx, e, target)
	if err != nil {
		return nil, err
	}
	name := victims[0].Name
	if err := freezer.FreezeMember(ctx, name); err != nil {
		return nil, err
	}
	a := &Active{heal: func(ctx context.Context) (string, error) {
		if err := freezer.ThawMember(ctx, name); err != nil {
			return "", err
		}
		return awaitLeader(ctx, e)
	}}
	return shown(ctx, a, name+" to stand still and be missed", func(ctx context.Context) error {
		state, err := inspector.InspectMember(ctx, name)
		if err == nil && state.Process != "T" {
			err = fmt.Errorf("its process is in state %q", state.Process)
		}
		if err != nil {
			return err
		}
		leads, err := findLeader(ctx, e)
		a.Evidence = fmt.Sprintf("%s is in state T, %s leads", name, leads.Name)
		return err
	})
}

// partition holds what a member should hear from its peers, what they should
// hear from it, or both. TCP loses nothing, so it is held and arrives later. The
// evidence is what the links hold, and another leader, or none at that member.
func partition(deaf, mute bool) func(context.Context, *Env, string) (*Active, error) {
	return func(ctx context.Context, e *Env, target string) (*Active, error) {
		peers, victims, err := on[storage.PeerFaulter](ctx, e, target)
		if err != nil {
			return nil, err
		}
		name := victims[0].Name
		a := &Active{heal: func(ctx context.Context) (string, error) { return reconnect(ctx, e, peers) }}
		for _, m := range e.Store.Members() {
			if m.Name == name {
				continue
			}
			var errs []error
			if deaf {
				errs = append(errs, peers.SetPeer(m.Name, name, link.Condition{Hold: true}))
			}
			if mute {
				errs = append(errs, peers.SetPeer(name, m.Name, link.Condition{Hold: true}))
			}
			if err := errors.Join(errs...); err != nil {
				return nil, healed(ctx, a, err)
			}
		}
		return shown(ctx, a, name+" to be missed", func(ctx context.Context) (err error) {
			a.Evidence, err = apart(ctx, e, peers, name, deaf, mute, target == leader)
			return err
		})
	}
}

// apart looks whether a member is cut off: bytes wait on the links, and where it
// led, another one does.
func apart(ctx context.Context, e *Env, peers storage.PeerFaulter, name string, deaf, mute, led bool) (string, error) {
	var waiting int64
	for _, m := range e.Store.Members() {
		if m.Name == name {
			continue
		}
		for _, way := range []struct {
			held     bool
			from, to string
		}{{deaf, m.Name, name}, {mute, name, m.Name}} {
			traffic, err := peers.PeerTraffic(way.from, way.to)
			if err != nil {
				return "", err
			}
			if way.held {
				waiting += traffic.Held
			}
		}
	}
	if waiting == 0 {
		return "", fmt.Errorf("nothing waits on the links of %s", name)
	}
	leads, err := findLeaderBut(ctx, e, name)
	if err != nil {
		return "", err
	}
	if !led && leads.Name == "" {
		return "", errNoLeader
	}
	return fmt.Sprintf("%d bytes from or to %s were held, %s leads", waiting, name, leads.Name), nil
}

// findLeaderBut finds who leads among the others: a leader that is cut off may
// not know it yet.
func findLeaderBut(ctx context.Context, e *Env, name string) (storage.Member, error) {
	for _, m := range e.Store.Members() {
		if m.Name == name {
			continue
		}
		if s, err := status(ctx, m); err == nil && s.Leader == s.Header.MemberId {
			return m, nil
		}
	}
	return storage.Member{}, errNoLeader
}

func reconnect(ctx context.Context, e *Env, peers storage.PeerFaulter) (string, error) {
	bytes := peers.HealPeers()
	seen, err := awaitLeader(ctx, e)
	return fmt.Sprintf("%d bytes go on, %s", bytes, seen), err
}

// distance delays everything that members tell each other. The evidence is what
// the links delayed.
func distance(ctx context.Context, e *Env, target string) (*Active, error) {
	delay, err := time.ParseDuration(target)
	if err != nil {
		return nil, fmt.Errorf("%q is no distance", target)
	}
	peers, err := as[storage.PeerFaulter](e)
	if err != nil {
		return nil, err
	}
	a := &Active{heal: func(ctx context.Context) (string, error) { return reconnect(ctx, e, peers) }}
	members := e.Store.Members()
	for _, from := range members {
		for _, to := range members {
			if from.Name == to.Name {
				continue
			}
			if err := peers.SetPeer(from.Name, to.Name, link.Condition{Delay: delay}); err != nil {
				return nil, healed(ctx, a, err)
			}
		}
	}
	return shown(ctx, a, "delayed bytes", func(context.Context) error {
		traffic, err := peers.PeerTraffic(members[0].Name, members[1].Name)
		if err == nil && traffic.Delayed == 0 {
			err = errors.New("none was delayed")
		}
		a.Evidence = fmt.Sprintf("%d bytes from %s to %s were delayed by %v", traffic.Delayed, members[0].Name, members[1].Name, delay)
		return err
	})
}

// replaceMember swaps a member for an empty one. The evidence is its ID, which is
// never given twice.
func replaceMember(ctx context.Context, e *Env, target string) (*Active, error) {
	replacer, victims, err := on[storage.MemberReplacer](ctx, e, target)
	if err != nil {
		return nil, err
	}
	before, err := status(ctx, victims[0])
	if err != nil {
		return nil, err
	}
	if err := replacer.ReplaceMember(ctx, victims[0].Name); err != nil {
		return nil, err
	}
	a := &Active{}
	err = await(ctx, "another member of that name", func(ctx context.Context) error {
		after, err := status(ctx, victims[0])
		if err == nil && after.Header.MemberId == before.Header.MemberId {
			err = fmt.Errorf("it is still %x", before.Header.MemberId)
		}
		if err == nil {
			a.Evidence = fmt.Sprintf("%s is member %x and was %x", victims[0].Name, after.Header.MemberId, before.Header.MemberId)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return a, nil
}
