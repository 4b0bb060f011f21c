package store

import (
	"context"
	"math/rand/v2"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/kubernetes"
)

// watcher is a client that watches, is cut, and goes on where it was.
//
// As with kube-apiserver, its watches have streams of their own, and nobody asks
// for the progress of a stream on which a watch is being created. Where somebody
// does, etcd (v3.7.3) may send the progress after the created answer of the new
// watch and before its events, which Bookmarkable rightly calls broken: the
// answer to a create takes a channel of its own (etcdserver/api/v3rpc/watch.go,
// ctrlStream) and may overtake progress that was decided before.
//
// The streams are gRPC's own: etcd's client panics when a store says something of
// a watch after its end (client/v3/watch.go, a channel that is closed), and what a
// store does wrong is here to be recorded.
type watcher struct {
	*Traffic
	client *kubernetes.Client
	id     int
	rng    *rand.Rand
	asks   *pb.WatchCreateRequest // of each watch, but for its keys and its beginning
	prefix string
	next   int64 // revision to go on from; 0: from now on
}

// watcherPause is how long a watcher leaves a store alone that it cannot reach.
const watcherPause = 50 * time.Millisecond

func (t *Traffic) newWatcher(n int) *watcher {
	w := &watcher{
		Traffic: t, client: t.clients[n%len(t.clients)], id: n, rng: t.rng(1000 + n),
		prefix: append([]string{t.plan.Prefix}, t.resources...)[n%(1+len(t.resources))],
		asks:   &pb.WatchCreateRequest{ProgressNotify: true, PrevKv: n%3 != 0 || !t.plan.Beyond},
	}
	if n%5 == 4 && t.plan.Beyond {
		w.asks.Filters = []pb.WatchCreateRequest_FilterType{
			[]pb.WatchCreateRequest_FilterType{pb.WatchCreateRequest_NOPUT, pb.WatchCreateRequest_NODELETE}[n/5%2],
		}
	}
	return w
}

func (w *watcher) work(ctx context.Context) {
	if !w.plan.Beyond {
		ctx = clientv3.WithRequireLeader(ctx)
	}
	for ctx.Err() == nil {
		if w.live(ctx) != nil {
			pause(ctx, watcherPause)
		}
	}
}

// live watches for some answers, on a stream of its own. Every other watcher has
// another watch beside it there.
func (w *watcher) live(ctx context.Context) error {
	stream, cut, err := openWatches(ctx, w.client)
	if err != nil {
		return err
	}
	defer cut()
	if w.id%2 == 0 && w.plan.Beyond {
		if _, err := stream.create(w.request(w.resource(), 0)); err != nil {
			return err
		}
	}
	from := w.next
	if from > 0 { // sometimes it has forgotten the last ones
		from = max(1, from-int64(w.rng.IntN(8)))
	}
	id, err := stream.create(w.request(w.prefix, from))
	if err != nil {
		w.next = 0 // what it asked for may never be there again
		return err
	}
	for left := 8 + w.rng.IntN(30); left > 0; left-- {
		m, err := stream.of(id)
		if err != nil {
			return err
		}
		if m.GetCanceled() {
			w.next = max(w.next, m.GetCompactRevision())
			return nil
		}
		w.next = max(w.next, m.GetHeader().GetRevision()+1)
		if w.rng.IntN(3) == 0 && stream.askProgress() != nil {
			return nil
		}
	}
	return stream.cancel(id)
}

func (w *watcher) resource() string { return w.resources[w.rng.IntN(len(w.resources))] }

func (w *watcher) request(prefix string, from int64) *pb.WatchCreateRequest {
	return &pb.WatchCreateRequest{
		Key: []byte(prefix), RangeEnd: []byte(clientv3.GetPrefixRangeEnd(prefix)), StartRevision: from,
		ProgressNotify: w.asks.ProgressNotify, PrevKv: w.asks.PrevKv, Filters: w.asks.Filters,
	}
}
