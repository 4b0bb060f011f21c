package store

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/kubernetes"
	"go.uber.org/zap"
)

// Few keys and many clients make conflicts.
const (
	names      = 5                // objects of each resource
	keep       = 35               // revisions that a compaction leaves
	callBound  = 10 * time.Second // of one operation
	shortLease = 5                // seconds; it ends while others go on
)

// TrafficPlan is the traffic of one run.
type TrafficPlan struct {
	Seed    uint64 `json:"seed"`
	Writers int    `json:"writers"`
	Turns   int    `json:"turns"` // operations of each writer
	// Rate is how many operations of a writer are due in a second; 0: as many as
	// there can be.
	Rate float64 `json:"rate"`
	// CompactEvery is how many turns of the first writers lie between two
	// compactions.
	CompactEvery int    `json:"compactEvery"`
	Prefix       string `json:"prefix"` // of all keys, with a slash at its end
	// Beyond: also what API servers never do: transactions of several keys, blind
	// puts, deletions of ranges, serializable reads, leases that are revoked and kept
	// alive, filtered watches, several watches of one stream.
	Beyond bool `json:"beyond,omitempty"`
}

// Traffic is what API servers do to a store. Answers that are not as they should
// be are no matter here: a client goes on, and whoever judges the history will see.
type Traffic struct {
	plan      TrafficPlan
	resources []string
	clients   []*kubernetes.Client
	newest    atomic.Int64 // revision that somebody was told
}

// NewTraffic connects the clients to the endpoints in turn, the last one first.
func NewTraffic(plan TrafficPlan, endpoints []string) (*Traffic, error) {
	t := &Traffic{plan: plan}
	for _, r := range []string{"pods/", "configmaps/", "leases/"} {
		t.resources = append(t.resources, plan.Prefix+r)
	}
	for i := range plan.Writers {
		client, err := kubernetes.New(clientv3.Config{
			Endpoints: []string{endpoints[(i+len(endpoints)-1)%len(endpoints)]}, DialTimeout: callBound, Logger: zap.NewNop(),
		})
		if err != nil {
			return nil, errors.Join(fmt.Errorf("connect to the store: %w", err), t.Close())
		}
		t.clients = append(t.clients, client)
	}
	return t, nil
}

// Close ends the connections.
func (t *Traffic) Close() error {
	var err error
	for _, c := range t.clients {
		err = errors.Join(err, c.Close())
	}
	return err
}

func (t *Traffic) rng(n int) *rand.Rand { return rand.New(rand.NewPCG(t.plan.Seed, uint64(100+n))) }

// Run returns when all writers are through. It fails if the store then does not
// answer.
func (t *Traffic) Run(ctx context.Context) error {
	watching, stop := context.WithCancel(ctx)
	var watchers, all sync.WaitGroup
	for i := range 2 * t.plan.Writers {
		watchers.Go(func() { t.newWatcher(i).work(watching) })
	}
	for i, client := range t.clients {
		all.Go(func() {
			(&writer{Traffic: t, client: client, id: i, rng: t.rng(i), seen: map[string]int64{}}).work(ctx)
		})
	}
	if t.plan.Beyond {
		all.Go(func() { t.leases(ctx) })
	}
	all.Wait()
	stop()
	watchers.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return t.alive(ctx)
}

func (t *Traffic) alive(ctx context.Context) error {
	for _, c := range t.clients {
		ctx, cancel := context.WithTimeout(ctx, callBound)
		_, err := c.Kubernetes.Get(ctx, t.plan.Prefix, kubernetes.GetOptions{})
		cancel()
		if err != nil {
			return &GoneError{"the store at " + c.Endpoints()[0], "get a key after the traffic", err}
		}
	}
	return nil
}

func (t *Traffic) note(revision int64) {
	for {
		old := t.newest.Load()
		if revision <= old || t.newest.CompareAndSwap(old, revision) {
			return
		}
	}
}

// writer is one client of those that write.
type writer struct {
	*Traffic
	client *kubernetes.Client
	fenced int64 // version of compact_rev_key, as it was told last
	id     int
	rng    *rand.Rand
	seen   map[string]int64 // revisions of keys, as told some time ago
	turn   int
}

// operation is a line of the table that writers draw from.
type operation struct {
	weight int
	do     func(context.Context)
}

func (w *writer) table() []operation {
	if w.plan.Beyond {
		return []operation{
			{26, w.update}, {14, w.updateBlindly}, {6, w.remove}, {8, w.get}, {6, w.getPinned}, {8, w.pages},
			{6, w.list}, {6, w.count}, {8, w.several}, {6, w.put}, {6, w.deleteRange},
		}
	}
	return []operation{
		{28, w.update}, {16, w.updateBlindly}, {8, w.remove}, {6, w.get}, {8, w.getPinned}, {10, w.pages},
		{6, w.list}, {8, w.stream}, {4, w.count}, {6, w.event},
	}
}

func (w *writer) work(ctx context.Context) {
	began := time.Now()
	table := w.table()
	for w.turn = range w.plan.Turns {
		if !w.due(ctx, began) {
			return
		}
		n := w.rng.IntN(100)
		for _, row := range table {
			if n -= row.weight; n < 0 {
				w.bounded(ctx, row.do)
				break
			}
		}
		if compacts := w.id == 0 || w.id == 1 && !w.plan.Beyond; compacts && w.turn%w.plan.CompactEvery == w.plan.CompactEvery-1 {
			w.bounded(ctx, w.compact)
		}
	}
}

// due waits until the turn is due, and says whether it is to be taken.
func (w *writer) due(ctx context.Context, began time.Time) bool {
	if w.plan.Rate > 0 {
		at := began.Add(time.Duration(float64(w.turn) / w.plan.Rate * float64(time.Second)))
		select {
		case <-time.After(time.Until(at)):
		case <-ctx.Done():
		}
	}
	return ctx.Err() == nil
}

func (w *writer) bounded(ctx context.Context, do func(context.Context)) {
	ctx, cancel := context.WithTimeout(ctx, callBound)
	defer cancel()
	do(ctx)
}

func (w *writer) resource() string { return w.resources[w.rng.IntN(len(w.resources))] }

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
	if w.plan.Beyond && w.rng.IntN(2) == 0 {
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

// stream lists as the initial sync of a watch cache does.
func (w *writer) stream(ctx context.Context) {
	chunks, err := w.client.GetStream(ctx, w.resource(), clientv3.WithPrefix())
	if err != nil {
		return
	}
	_, _ = clientv3.GetStreamToGetResponse(chunks)
}

// event creates an object that goes with its lease, in the course of the traffic.
func (w *writer) event(ctx context.Context) {
	lease, err := w.client.Grant(ctx, shortLease)
	if err != nil {
		return
	}
	for i := range 2 {
		key := fmt.Sprintf("%sevents/ns/%d-%d-%d", w.plan.Prefix, w.id, w.turn, i)
		w.putLeased(ctx, key, lease.ID)
	}
}

func (t *Traffic) putLeased(ctx context.Context, key string, id clientv3.LeaseID) {
	_, _ = t.clients[0].OptimisticPut(ctx, key, []byte("event"), 0, kubernetes.PutOptions{LeaseID: id})
}

// count asks the quorum, and beyond that one member alone for everything.
func (w *writer) count(ctx context.Context) {
	_, _ = w.client.Kubernetes.Count(ctx, w.resource(), kubernetes.CountOptions{})
	if w.plan.Beyond {
		_, _ = w.client.KV.Get(ctx, w.plan.Prefix, clientv3.WithPrefix(), clientv3.WithSerializable())
	}
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
	if to < 2 || !w.plan.Beyond && !w.fence(ctx, to) {
		return
	}
	_, _ = w.client.Compact(ctx, to)
	_, _ = w.client.Kubernetes.List(ctx, w.resource(), kubernetes.ListOptions{Revision: to - 1})
	_, _ = w.client.Kubernetes.Get(ctx, w.key(), kubernetes.GetOptions{Revision: to})
	// A true store says at once that this is compacted. A lying one may begin
	// somewhere.
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	w.peek(ctx, max(1, to-25))
}

// peek watches from a revision until something comes.
func (w *writer) peek(ctx context.Context, from int64) {
	stream, cut, err := openWatches(ctx, w.client)
	if err != nil {
		return
	}
	defer cut()
	id, err := stream.create(&pb.WatchCreateRequest{
		Key: []byte(w.plan.Prefix), RangeEnd: []byte(clientv3.GetPrefixRangeEnd(w.plan.Prefix)), StartRevision: from,
	})
	if err == nil {
		_, _ = stream.of(id)
	}
}

// fence is how API servers agree who compacts: whoever finds compact_rev_key as
// they left it.
func (w *writer) fence(ctx context.Context, to int64) bool {
	resp, err := w.client.Txn(ctx).
		If(clientv3.Compare(clientv3.Version(compactKey), "=", w.fenced)).
		Then(clientv3.OpPut(compactKey, strconv.FormatInt(to, 10))).
		Else(clientv3.OpGet(compactKey)).Commit()
	switch {
	case err != nil:
		return false
	case resp.Succeeded:
		w.fenced++
		return true
	}
	for _, kv := range resp.Responses[0].GetResponseRange().GetKvs() {
		w.fenced = kv.GetVersion()
	}
	return false
}

// leases gives keys to leases that outlive the run, and ends some of them.
func (t *Traffic) leases(ctx context.Context) {
	client := t.clients[0]
	var granted []clientv3.LeaseID
	for i := range 6 {
		lease, err := client.Grant(ctx, 3600)
		if err != nil {
			continue
		}
		granted = append(granted, lease.ID)
		for j := range 2 {
			t.putLeased(ctx, fmt.Sprintf("%sevents/ns/%d-%d", t.plan.Prefix, i, j), lease.ID)
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
