package store

import (
	"context"
	"fmt"
	"math/rand/v2"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/kubernetes"
	"google.golang.org/grpc/metadata"
)

// watcher is a client that watches, is cut, and goes on where it was.
//
// As with kube-apiserver, its watches have streams of their own, and nobody asks
// for the progress of a stream on which a watch is being created. Where somebody
// does, etcd (v3.7.3) may send the progress after the created answer of the new
// watch and before its events, which Bookmarkable rightly calls broken: the
// answer to a create takes a channel of its own (etcdserver/api/v3rpc/watch.go,
// ctrlStream) and may overtake progress that was decided before.
type watcher struct {
	*Traffic
	client *kubernetes.Client
	id     int
	rng    *rand.Rand
	prefix string
	opts   []clientv3.OpOption
	next   int64 // revision to go on from; 0: from now on
}

func (t *Traffic) newWatcher(n int) *watcher {
	w := &watcher{
		Traffic: t, client: t.clients[n%len(t.clients)], id: n, rng: t.rng(1000 + n),
		prefix: append([]string{t.plan.Prefix}, t.resources...)[n%(1+len(t.resources))],
		opts:   []clientv3.OpOption{clientv3.WithPrefix(), clientv3.WithCreatedNotify(), clientv3.WithProgressNotify()},
	}
	if n%3 != 0 || !t.plan.Beyond {
		w.opts = append(w.opts, clientv3.WithPrevKV())
	}
	if n%5 == 4 && t.plan.Beyond {
		w.opts = append(w.opts, []clientv3.OpOption{clientv3.WithFilterPut(), clientv3.WithFilterDelete()}[n/5%2])
	}
	return w
}

func (w *watcher) work(ctx context.Context) {
	if !w.plan.Beyond {
		ctx = clientv3.WithRequireLeader(ctx)
	}
	for life := 0; ctx.Err() == nil; life++ {
		// The client gives each set of metadata a stream.
		stream, cut := context.WithCancel(metadata.AppendToOutgoingContext(ctx, "stream", fmt.Sprint(w.id, "/", life)))
		end := func() {}
		if w.id%2 == 0 && w.plan.Beyond {
			end = w.accompany(stream)
		}
		w.follow(stream)
		cut()
		end()
	}
}

// accompany puts another watch on the stream and returns when it is created.
// The function that it returns waits for its end.
func (w *watcher) accompany(stream context.Context) (end func()) {
	answers := w.client.Watch(stream, w.resource(), w.opts...)
	<-answers
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for range answers { // until the client has closed it
		}
	}()
	return func() { <-ended }
}

func (w *watcher) resource() string { return w.resources[w.rng.IntN(len(w.resources))] }

// follow watches for some answers.
func (w *watcher) follow(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	opts := w.opts
	if w.next > 0 { // sometimes it has forgotten the last ones
		opts = append(opts[:len(opts):len(opts)], clientv3.WithRev(max(1, w.next-int64(w.rng.IntN(8)))))
	}
	answers := w.client.Watch(ctx, w.prefix, opts...)
	defer func() {
		cancel()
		for range answers { // until the client has closed it
		}
	}()
	for left := 8 + w.rng.IntN(30); left > 0; left-- {
		resp, ok := <-answers
		if !ok || resp.Err() != nil {
			w.next = max(w.next, resp.CompactRevision)
			return
		}
		w.next = max(w.next, resp.Header.Revision+1)
		if w.rng.IntN(3) == 0 && w.client.RequestProgress(ctx) != nil {
			return
		}
	}
}
