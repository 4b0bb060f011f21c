package faults

import (
	"context"
	"fmt"
	"os"
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

// TestFaultThatDoesNothing holds that the evidence of a fault does not come from
// who injects it: a store that only says that it did is not believed.
func TestFaultThatDoesNothing(t *testing.T) {
	store, err := storage.Open("etcd-process", storage.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	if err := store.Start(ctx); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Stop(); err != nil {
			t.Error(err)
		}
	})
	e := &Env{Store: idle{store.(cluster)}}
	writing := make(chan error, 1)
	writes, stop := context.WithCancel(ctx)
	go func() { writing <- write(writes, store.Members()[0]) }()
	var all sync.WaitGroup // not t.Parallel: they only wait
	for _, name := range []string{
		"etcd-member-stop", "etcd-leader-stop", "etcd-majority-stop", "etcd-all-restart", "etcd-leader-move",
		"etcd-kill", "etcd-majority-kill", "etcd-freeze", "etcd-partition", "etcd-deaf", "etcd-mute", "etcd-far",
		"etcd-member-replace", "etcd-rollback", "etcd-member-rollback", "etcd-slow-disk",
	} {
		f, ok := Find(name)
		if !ok {
			t.Errorf("there is no fault %s", name)
			continue
		}
		for _, target := range f.Targets(Shape{Members: 3}) {
			all.Go(func() { disbelieved(t, f, e, target) })
		}
	}
	all.Wait()
	stop()
	if err := <-writing; err != nil {
		t.Errorf("the writes that some faults wait for: %v", err)
	}
}

func disbelieved(t *testing.T, f Fault, e *Env, target string) {
	t.Helper()
	// Long enough to see a fault: the same ones show within a second when they act.
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Second)
	defer cancel()
	a, err := f.Inject(ctx, e, target)
	if err == nil {
		t.Errorf("%s of %s: nothing was done, and the evidence is %q", f.Name, target, a.Evidence)
		return
	}
	t.Log(err)
}

// write puts a key again and again until ctx ends.
func write(ctx context.Context, m storage.Member) error {
	return ask(m, func(c *clientv3.Client) error {
		for i := 0; ; i++ {
			if _, err := c.Put(ctx, "planecheck", fmt.Sprint(i)); ctx.Err() != nil {
				return nil
			} else if err != nil {
				return fmt.Errorf("put: %w", err)
			}
		}
	})
}
