package faults

import (
	"context"
	"fmt"
	"reflect"
	"strings"
	"syscall"
	"time"

	"github.com/planecheck/planecheck/apiserver/storage"
)

// corruptedCache is what kube-scheduler says when it ends itself because a pod that
// was bound is so no more, or to another node (UpdatePod and RemovePod in
// k8s.io/kubernetes/pkg/scheduler/backend/cache): it does not go on with a store that
// went back.
const corruptedCache = "scheduler cache is corrupted"

// processFaults need members that are processes, behind links.
func processFaults() []Fault {
	of := func(least int, targets ...string) func(Shape) []string {
		return func(s Shape) []string { return atLeast(least, s.Members, targets...) }
	}
	killable := []string{storage.FaultMemberKill, storage.FaultMemberRestart}
	return []Fault{
		{
			Name: "etcd-kill", Area: Etcd, Needs: killable, Crashes: true, For: 5 * time.Second, Each: true,
			Does:    "an etcd member, follower or leader, or a minority where that is more than one, is killed (SIGKILL), and started again with its data",
			targets: fewMembers, inject: killMembers,
		},
		{
			Name: "etcd-majority-kill", Area: Etcd, Needs: killable, Blocks: true, Crashes: true, For: 5 * time.Second, Each: true,
			Does:    "a majority of the etcd members, or all, is killed (SIGKILL) at once, and started again with its data",
			targets: of(3, majority, all), inject: killMembers,
		},
		{
			Name: "etcd-freeze", Area: Etcd, Needs: []string{storage.FaultMemberFreeze}, For: 8 * time.Second, Each: true,
			Does:    "an etcd member, leader or follower, stands still (SIGSTOP) with its connections open, and goes on",
			targets: of(3, leader, follower), inject: freezeMember,
		},
		{
			Name: "etcd-partition", Area: Etcd, Needs: []string{storage.FaultPeerLink}, For: 8 * time.Second, Each: true,
			Does: "an etcd member, leader or follower, or a minority where that is more than one, is cut off from its peers, " +
				"but not from its clients, and comes back",
			targets: fewMembers, inject: partition(true, true),
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
			Name: "etcd-rollback", Area: Etcd, Needs: []string{storage.FaultMemberRollback}, Blocks: true, Crashes: true, Breaks: []string{"Durable"},
			Forgives: []string{corruptedCache},
			Does:     "all etcd members lose power and start from older copies of their data, as where fsync lies",
			targets:  of(1, all), inject: rollback,
		},
	}
}

// fewMembers are the targets that a cluster goes on without. A minority is one of
// its own where it is more than one member, so from five on.
func fewMembers(s Shape) []string {
	targets := atLeast(3, s.Members, leader, follower)
	return append(targets, atLeast(5, s.Members, minority)...)
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

// killMembers ends members at once. Their evidence is that of stopMembers, and that
// each was killed.
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
	a := &Active{Crashed: names, heal: func(ctx context.Context) (string, error) { return restartMembers(ctx, e, restarter, victims) }}
	if err := killer.KillMembers(ctx, names...); err != nil {
		return nil, healed(ctx, a, err)
	}
	a, err = shown(ctx, a, strings.Join(names, ", ")+" to be missed", func(ctx context.Context) (err error) {
		a.Evidence, err = missed(ctx, e, victims)
		return err
	})
	if err != nil {
		return nil, err
	}
	return ended(ctx, e, a, victims, syscall.SIGKILL)
}

// ended adds to the evidence how the processes of members that are down ended, as the
// operating system tells: each by that signal.
func ended(ctx context.Context, e *Env, a *Active, victims []storage.Member, sig syscall.Signal) (*Active, error) {
	inspector, err := as[storage.MemberInspector](e)
	if err != nil {
		return nil, healed(ctx, a, err)
	}
	for _, m := range victims {
		state, err := inspector.InspectMember(ctx, m.Name)
		if err == nil {
			err = endedBy(state.Exit, sig)
		}
		if err != nil {
			return nil, healed(ctx, a, fmt.Errorf("%s: %w", m.Name, err))
		}
		a.Evidence += fmt.Sprintf(", %s ended with %s", m.Name, state.Exit)
	}
	return a, nil
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
	a := &Active{heal: func(ctx context.Context) (string, error) {
		if err := freezer.ThawMember(ctx, name); err != nil {
			return "", err
		}
		return awaitLeader(ctx, e)
	}}
	if err := freezer.FreezeMember(ctx, name); err != nil {
		return nil, healed(ctx, a, err)
	}
	return shown(ctx, a, name+" to stand still and be missed", func(ctx context.Context) error {
		state, err := inspector.InspectMember(ctx, name)
		if err == nil && state.Process != "T" {
			err = fmt.Errorf("its process is in state %q", state.Process)
		}
		if err != nil {
			return err
		}
		leads, err := findLeader(ctx, e, victims...)
		a.Evidence = fmt.Sprintf("%s is in state T, %s leads", name, leads.Name)
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
	undo := &Active{heal: func(ctx context.Context) (string, error) { return replaceDown(ctx, e, replacer, victims[0]) }}
	if err := replacer.ReplaceMember(ctx, victims[0].Name); err != nil {
		return nil, healed(ctx, undo, err)
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
		return nil, healed(ctx, undo, err)
	}
	return a, nil
}

// replaceDown replaces a member by an empty one if it is down, whatever has become
// of its data and of its place among the others.
func replaceDown(ctx context.Context, e *Env, replacer storage.MemberReplacer, m storage.Member) (string, error) {
	if err := whereDown(ctx, m, replacer.ReplaceMember); err != nil {
		return "", err
	}
	return awaitLeader(ctx, e)
}
