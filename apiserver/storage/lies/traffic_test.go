package lies

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/kubernetes"
	"go.uber.org/zap"

	"github.com/planecheck/planecheck/apiserver/storage"
)

// The size of a run. Few keys and many clients make conflicts.
const (
	writers   = 5
	turns     = 26 // operations of each writer
	names     = 5  // objects of each resource
	compactAt = 5  // turns between two compactions
	keep      = 35 // revisions that a compaction leaves
)

var resources = []string{"/registry/pods/", "/registry/configmaps/", "/registry/leases/"}

// traffic is what API servers do to a store, and some things that they never
// do. Answers that are not as they should be are no matter here: a client goes
// on, and whoever judges the history will see.
type traffic struct {
	seed    uint64
	clients []*kubernetes.Client
	newest  atomic.Int64 // revision that somebody was told
}

func newTraffic(seed uint64, members []storage.Member) (*traffic, error) {
	t := &traffic{seed: seed}
	for i := range writers {
		client, err := kubernetes.New(clientv3.Config{
			Endpoints: []string{members[(i+len(members)-1)%len(members)].Endpoint}, DialTimeout: runBound, Logger: zap.NewNop(),
		})
		if err != nil {
			return nil, errors.Join(err, t.close())
		}
		t.clients = append(t.clients, client)
	}
	return t, nil
}

func (t *traffic) close() error {
	var err error
	for _, c := range t.clients {
		err = errors.Join(err, c.Close())
	}
	return err
}

func (t *traffic) rng(n int) *rand.Rand { return rand.New(rand.NewPCG(t.seed, uint64(100+n))) }

// run returns when all writers are through.
func (t *traffic) run(ctx context.Context) error {
	watching, stop := context.WithCancel(ctx)
	var watchers, all sync.WaitGroup
	for i := range 2 * writers {
		watchers.Go(func() { t.newWatcher(i).work(watching) })
	}
	for i, client := range t.clients {
		all.Go(func() {
			(&writer{traffic: t, client: client, id: i, rng: t.rng(i), seen: map[string]int64{}}).work(ctx)
		})
	}
	all.Go(func() { t.leases(ctx) })
	all.Wait()
	stop()
	watchers.Wait()
	return ctx.Err()
}

func (t *traffic) note(revision int64) {
	for {
		old := t.newest.Load()
		if revision <= old || t.newest.CompareAndSwap(old, revision) {
			return
		}
	}
}

// writer is one client of those that write.
type writer struct {
	*traffic
	client *kubernetes.Client
	id     int
	rng    *rand.Rand
	seen   map[string]int64 // revisions of keys, as told some time ago
	turn   int
}

func (w *writer) work(ctx context.Context) {
	table := []struct {
		weight int
		do     func(context.Context)
	}{
		{26, w.update}, {14, w.updateBlindly}, {6, w.remove}, {8, w.get}, {6, w.getPinned}, {8, w.pages},
		{6, w.list}, {6, w.count}, {8, w.several}, {6, w.put}, {6, w.deleteRange},
	}
	for w.turn = range turns {
		if ctx.Err() != nil {
			return
		}
		n := w.rng.IntN(100)
		for _, row := range table {
			if n -= row.weight; n < 0 {
				row.do(ctx)
				break
			}
		}
		if w.id == 0 && w.turn%compactAt == compactAt-1 {
			w.compact(ctx)
		}
	}
}

func (w *writer) resource() string { return resources[w.rng.IntN(len(resources))] }

func (w *writer) key() string { return fmt.Sprintf("%sns/%d", w.resource(), w.rng.IntN(names)) }

// value is unique in a run.
func (w *writer) value() string { return fmt.Sprintf("%d-%d-%d", w.id, w.turn, w.rng.Uint64()) }

func (w *writer) saw(key string, revision int64) {
	w.seen[key] = revision
	w.note(revision)
}

func (w *writer) putIf(ctx context.Context, key string, revision int64) {
	resp, err := w.client.OptimisticPut(ctx, key, []byte(w.value()), revision, kubernetes.PutOptions{GetOnFailure: true})
	switch {
	case err != nil:
	case resp.Succeeded:
		w.saw(key, resp.Revision)
	case resp.KV != nil:
		w.saw(key, resp.KV.ModRevision)
	default:
		w.saw(key, 0)
	}
}

// update is a read and a write on it, as GuaranteedUpdate does.
func (w *writer) update(ctx context.Context) {
	key := w.key()
	resp, err := w.client.Kubernetes.Get(ctx, key, kubernetes.GetOptions{})
	if err != nil {
		return
	}
	w.note(resp.Revision)
	var revision int64
	if resp.KV != nil {
		revision = resp.KV.ModRevision
	}
	w.putIf(ctx, key, revision)
}

// updateBlindly relies on what was seen some time ago, so that it often fails.
func (w *writer) updateBlindly(ctx context.Context) {
	key := w.key()
	w.putIf(ctx, key, w.seen[key])
}

func (w *writer) remove(ctx context.Context) {
	key := w.key()
	resp, err := w.client.OptimisticDelete(ctx, key, w.seen[key], kubernetes.DeleteOptions{GetOnFailure: true})
	if err == nil && resp.Succeeded {
		w.saw(key, 0)
	} else if err == nil && resp.KV != nil {
		w.saw(key, resp.KV.ModRevision)
	}
}

func (w *writer) get(ctx context.Context) {
	if w.rng.IntN(2) == 0 {
		_, _ = w.client.KV.Get(ctx, w.resource(), clientv3.WithPrefix(), clientv3.WithSerializable())
		return
	}
	_, _ = w.client.Kubernetes.Get(ctx, w.key(), kubernetes.GetOptions{})
}

// recent is a revision that should still be there.
func (w *writer) recent() int64 { return max(1, w.newest.Load()-int64(w.rng.IntN(keep/2))) }

func (w *writer) getPinned(ctx context.Context) {
	_, _ = w.client.Kubernetes.Get(ctx, w.key(), kubernetes.GetOptions{Revision: w.recent()})
	_, _ = w.client.Kubernetes.List(ctx, w.resource(), kubernetes.ListOptions{Revision: w.recent()})
}

// pages lists in pages at the revision of the first.
func (w *writer) pages(ctx context.Context) {
	prefix, opts := w.resource(), kubernetes.ListOptions{Limit: 2}
	for range names {
		resp, err := w.client.Kubernetes.List(ctx, prefix, opts)
		if err != nil || len(resp.Kvs) == 0 || int64(len(resp.Kvs)) == resp.Count {
			return
		}
		if opts.Revision == 0 {
			opts.Revision = resp.Revision
		}
		opts.Continue = string(resp.Kvs[len(resp.Kvs)-1].Key) + "\x00"
	}
}

func (w *writer) list(ctx context.Context) {
	resp, err := w.client.Kubernetes.List(ctx, w.resource(), kubernetes.ListOptions{})
	if err != nil {
		return
	}
	for _, kv := range resp.Kvs {
		w.seen[string(kv.Key)] = kv.ModRevision
	}
}

// count asks the quorum, and then one member alone for everything.
func (w *writer) count(ctx context.Context) {
	_, _ = w.client.Kubernetes.Count(ctx, w.resource(), kubernetes.CountOptions{})
	_, _ = w.client.KV.Get(ctx, "/registry/", clientv3.WithPrefix(), clientv3.WithSerializable())
}

// several changes keys of one resource and another in one transaction.
func (w *writer) several(ctx context.Context) {
	first := w.rng.IntN(names)
	other := (first + 1) % names
	resource := w.resource()
	resp, err := w.client.Txn(ctx).Then(
		clientv3.OpPut(fmt.Sprintf("%sns/%d", resource, first), w.value()),
		clientv3.OpPut(fmt.Sprintf("%sns/%d", w.resource(), names), w.value()),
		clientv3.OpPut(fmt.Sprintf("%sns/%d", resource, other), w.value()),
	).Commit()
	if err == nil {
		w.note(resp.Header.Revision)
	}
}

func (w *writer) put(ctx context.Context) {
	_, _ = w.client.Put(ctx, w.key(), w.value(), clientv3.WithPrevKV())
}

func (w *writer) deleteRange(ctx context.Context) {
	prefix := fmt.Sprintf("%sns/%d", w.resource(), w.rng.IntN(names))
	_, _ = w.client.Delete(ctx, prefix, clientv3.WithPrefix(), clientv3.WithPrevKV())
}

// compact lets go of what is old, and then asks for it.
func (w *writer) compact(ctx context.Context) {
	to := w.newest.Load() - keep
	if to < 2 {
		return
	}
	_, _ = w.client.Compact(ctx, to)
	_, _ = w.client.Kubernetes.List(ctx, w.resource(), kubernetes.ListOptions{Revision: to - 1})
	_, _ = w.client.Kubernetes.Get(ctx, w.key(), kubernetes.GetOptions{Revision: to})
	// A true store says at once that this is compacted. A lying one may begin
	// somewhere.
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	<-w.client.Watch(ctx, "/registry/", clientv3.WithPrefix(), clientv3.WithRev(max(1, to-25)))
}

// leases gives keys to leases that outlive the run, and ends some of them.
func (t *traffic) leases(ctx context.Context) {
	client := t.clients[0]
	var granted []clientv3.LeaseID
	for i := range 6 {
		lease, err := client.Grant(ctx, 3600)
		if err != nil {
			continue
		}
		granted = append(granted, lease.ID)
		for j := range 2 {
			_, _ = client.OptimisticPut(ctx, fmt.Sprintf("/registry/events/ns/%d-%d", i, j), []byte("event"), 0,
				kubernetes.PutOptions{LeaseID: lease.ID})
		}
	}
	for i, id := range granted {
		if i%2 == 0 {
			_, _ = client.Revoke(ctx, id)
		} else {
			_, _ = client.KeepAliveOnce(ctx, id)
		}
	}
}
