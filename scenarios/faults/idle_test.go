package faults

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/planecheck/planecheck/apiserver/link"
	"github.com/planecheck/planecheck/apiserver/storage"
	"github.com/planecheck/planecheck/apiserver/storage/etcdproc"
)

// TestMain lets the test binary re-execute itself as an etcd member.
func TestMain(m *testing.M) {
	etcdproc.Hook()
	os.Exit(m.Run())
}

// cluster is what a backend of processes can do.
type cluster interface {
	storage.Backend
	storage.MemberInspector
	storage.PeerFaulter
	storage.DiskSlower
}

// idle is a store that says of each fault that it was injected, and does
// nothing. What looks at it sees the store as it is.
type idle struct{ cluster }

func (idle) StopMembers(context.Context, ...string) error      { return nil }
func (idle) RestartMember(context.Context, string) error       { return nil }
func (idle) MoveLeader(context.Context) (a, b string, _ error) { return "a", "b", nil }
func (idle) KillMembers(context.Context, ...string) error      { return nil }
func (idle) FreezeMember(context.Context, string) error        { return nil }
func (idle) ThawMember(context.Context, string) error          { return nil }
func (idle) SetPeer(_, _ string, _ link.Condition) error       { return nil }
func (idle) SaveData(context.Context, ...string) error         { return nil }
func (idle) RollbackData(context.Context, ...string) error     { return nil }
func (idle) ReplaceMember(context.Context, string) error       { return nil }
func (idle) RollbackMember(context.Context, string) (storage.Rejoined, error) {
	return storage.Rejoined{Had: 9, Began: 9}, nil
}
func (idle) SlowDisk(context.Context, time.Duration, ...string) error { return nil }

// allFaults makes TestFaultThatDoesNothing inject all faults for real, which takes
// a minute more.
const allFaults = "PLANECHECK_FAULTS"

// TestFaultThatDoesNothing holds that the evidence of a fault does not come from
// who injects it: a store that only says that it did is not believed, not even
// where faults have acted and are healed, so that every counter of the past
// has grown.
func TestFaultThatDoesNothing(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	store := startStore(t, ctx, "etcd-process")
	e := &Env{Store: idle{store.(cluster)}}
	writing := make(chan int, 1)
	writes, stop := context.WithCancel(ctx)
	defer stop()
	go func() { writing <- write(writes, store.Members()) }()
	list := aimedAt(t, Shape{Members: 3},
		"etcd-member-stop", "etcd-leader-stop", "etcd-majority-stop", "etcd-all-restart", "etcd-leader-move",
		"etcd-kill", "etcd-majority-kill", "etcd-freeze", "etcd-partition", "etcd-deaf", "etcd-mute", "etcd-far",
		"etcd-member-replace", "etcd-rollback", "etcd-member-rollback", "etcd-slow-disk", "etcd-defragment", "etcd-compaction-storm",
	)
	acts := list
	if os.Getenv(allFaults) == "" { // one of each kind of evidence
		acts = aimedAt(t, Shape{Members: 3}, "etcd-member-stop", "etcd-kill", "etcd-partition", "etcd-mute", "etcd-far")
	}
	for _, one := range acts {
		believed(t, ctx, one, &Env{Store: store})
	}
	if t.Failed() {
		return
	}
	var all sync.WaitGroup // not t.Parallel: they only wait
	for _, one := range list {
		// What these two do they ask of etcd itself, past the store.
		if one.Name != "etcd-defragment" && one.Name != "etcd-compaction-storm" {
			all.Go(func() { disbelieved(t, one, e) })
		}
	}
	all.Wait()
	for _, one := range aimedAt(t, Shape{Members: 3}, "etcd-mute") {
		disbelieved(t, one, &Env{Store: &brief{whole: store.(whole)}})
	}
	for _, one := range aimedAt(t, Shape{Members: 3}, "etcd-kill") {
		disbelieved(t, one, &Env{Store: gentle{store.(whole)}})
	}
	for _, one := range aimedAt(t, Shape{Members: 3}, "etcd-member-stop") {
		disbelieved(t, one, &Env{Store: rude{store.(whole)}})
	}
	for _, one := range aimedAt(t, Shape{Members: 3}, "etcd-majority-kill") {
		if one.target == majority {
			disbelieved(t, one, &Env{Store: silent{store.(whole)}})
		}
	}
	notIsolated(t, ctx, store)
	stop()
	if n := <-writing; n == 0 {
		t.Error("there were no writes, for which some faults wait")
	}
}

// TestMinority takes two of five members at once, and does not believe that one
// was enough.
func TestMinority(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	store := startStore(t, ctx, "etcd-process:members=5")
	for _, one := range aimedAt(t, Shape{Members: 5}, "etcd-kill", "etcd-partition") {
		if one.target != minority {
			continue
		}
		believed(t, ctx, one, &Env{Store: store})
		disbelieved(t, one, &Env{Store: half{store.(whole)}})
	}
}

// whole is a backend of processes with all that it can do.
type whole interface {
	cluster
	storage.MemberKiller
	storage.MemberRestarter
	storage.MemberFreezer
}

// half is a store that strikes but the first of several members, and cuts them off
// from the leader alone.
type half struct{ whole }

func (h half) KillMembers(ctx context.Context, names ...string) error {
	return h.whole.KillMembers(ctx, names[0])
}

func (h half) SetPeer(from, to string, c link.Condition) error {
	leads, err := findLeader(context.Background(), &Env{Store: h.whole})
	if err != nil || from != leads.Name && to != leads.Name {
		return err
	}
	return h.whole.SetPeer(from, to, c)
}

// gentle is a store that asks members to end which were to be killed, and rude one
// that kills those which were to be asked.
type (
	gentle struct{ whole }
	rude   struct{ whole }
)

func (g gentle) KillMembers(ctx context.Context, names ...string) error {
	return g.whole.StopMembers(ctx, names...)
}

func (r rude) StopMembers(ctx context.Context, names ...string) error {
	return r.whole.KillMembers(ctx, names...)
}

// brief is a store that holds what one member says for no longer than the first
// bytes take to be held, which nobody elects a leader for.
type brief struct {
	whole
	held []func() bool
}

func (b *brief) SetPeer(from, to string, c link.Condition) error {
	before, err := b.whole.PeerTraffic(from, to)
	b.held = append(b.held, func() bool {
		now, err := b.whole.PeerTraffic(from, to)
		return err == nil && now.Held > before.Held
	})
	return errors.Join(err, b.whole.SetPeer(from, to, c))
}

func (b *brief) PeerTraffic(from, to string) (storage.PeerTraffic, error) {
	if len(b.held) > 0 && !slices.ContainsFunc(b.held, func(held func() bool) bool { return !held() }) {
		b.whole.HealPeers()
	}
	return b.whole.PeerTraffic(from, to)
}

// silent is a store whose survivors say nothing, which is not that they know no
// leader.
type silent struct{ whole }

func (s silent) KillMembers(ctx context.Context, names ...string) error {
	err := s.whole.KillMembers(ctx, names...)
	for _, m := range s.whole.Members() {
		if !slices.Contains(names, m.Name) {
			err = errors.Join(err, s.whole.FreezeMember(ctx, m.Name))
		}
	}
	return err
}

func (s silent) RestartMember(ctx context.Context, name string) error {
	err := s.whole.RestartMember(ctx, name)
	for _, m := range s.whole.Members() {
		if m.PID != 0 { // it is up, and need not be frozen
			err = errors.Join(err, s.whole.ThawMember(ctx, m.Name))
		}
	}
	return err
}

// notIsolated looks at members of which nothing is held: none of them is isolated,
// but where it is enough to follow another leader than before.
func notIsolated(t *testing.T, ctx context.Context, store storage.Backend) {
	t.Helper()
	follow, err := leadersOf(ctx, store.Members())
	if err != nil {
		t.Fatal(err)
	}
	f := func(want bool, before map[string]uint64, deaf bool) {
		t.Helper()
		if seen, err := isolated(ctx, store.Members(), before, deaf); (err == nil) != want {
			t.Errorf("deaf %v, followed %v: %q, %v", deaf, before, seen, err)
		}
	}
	f(false, follow, true)
	f(false, follow, false)
	f(false, nil, true)
	f(true, nil, false)
}

// startStore starts a store that ends with the test.
func startStore(t *testing.T, ctx context.Context, spec string) storage.Backend {
	t.Helper()
	store, err := storage.Open(spec, storage.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Start(ctx); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Stop(); err != nil {
			t.Error(err)
		}
	})
	return store
}

// aimed is a fault with one of its targets.
type aimed struct {
	Fault
	target string
}

func aimedAt(t *testing.T, shape Shape, names ...string) (list []aimed) {
	t.Helper()
	for _, name := range names {
		f, ok := Find(name)
		if !ok {
			t.Errorf("there is no fault %s", name)
			continue
		}
		for _, target := range f.Targets(shape) {
			list = append(list, aimed{f, target})
		}
	}
	return list
}

// believed injects a fault for real and heals it.
func believed(t *testing.T, ctx context.Context, f aimed, e *Env) {
	t.Helper()
	began := time.Now()
	a, err := f.Inject(ctx, e, f.target)
	if err != nil {
		t.Error(err)
		return
	}
	shown := time.Since(began)
	healed, err := a.Heal(ctx)
	if err != nil {
		t.Errorf("heal %s of %s: %v", f.Name, f.target, err)
	}
	t.Logf("%s of %s: %s (%v); healed: %s (%v)", f.Name, f.target, a.Evidence, shown.Round(time.Millisecond), healed, time.Since(began).Round(time.Millisecond))
}

func disbelieved(t *testing.T, f aimed, e *Env) {
	t.Helper()
	// Long enough to see a fault: the same ones show within a second when they act.
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Second)
	defer cancel()
	a, err := f.Inject(ctx, e, f.target)
	if err == nil {
		t.Errorf("%s of %s: nothing was done, and the evidence is %q", f.Name, f.target, a.Evidence)
		return
	}
	t.Log(err)
}

// write puts a key again and again until ctx ends, through whichever member takes
// it, and returns how often one did.
func write(ctx context.Context, members []storage.Member) (written int) {
	for i := 0; ctx.Err() == nil; i++ {
		_ = ask(members[i%len(members)], func(c *clientv3.Client) error {
			for ctx.Err() == nil {
				once, cancel := context.WithTimeout(ctx, dialBound)
				_, err := c.Put(once, "planecheck", fmt.Sprint(written))
				cancel()
				if err != nil {
					return err // the next member may take it
				}
				written++
			}
			return nil
		})
	}
	return written
}
