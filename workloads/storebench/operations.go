package storebench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// Measure has clients do an operation, each in its closed loop, for the warm-up
// and the window. The objects are there from Fill on; what Create made is
// removed again. Its errors are faults of ours or of the clearing; a request
// that fails is counted in the Measure.
func (b *Bench) Measure(ctx context.Context, op Operation, clients int, sink Sink) (Measure, error) {
	if clients > len(b.pods) {
		return Measure{}, fmt.Errorf("%d clients cannot share %d objects", clients, len(b.pods))
	}
	m := Measure{Operation: op, Clients: clients, Connections: min(clients, len(b.conns))}
	switch op {
	case Create:
		return b.create(ctx, m, sink)
	case Update:
		return b.loop(ctx, m, sink, b.updates(b.pods, b.values.pod)), nil
	case Renew:
		return b.loop(ctx, m, sink, b.updates(b.leases, b.values.lease)), nil
	case Get:
		return b.loop(ctx, m, sink, b.get), nil
	case List:
		return b.loop(ctx, m, sink, b.list), nil
	case Stream:
		return b.loop(ctx, m, sink, b.stream), nil
	case Watch:
		return b.fanOut(ctx, m, sink)
	}
	return m, fmt.Errorf("there is no operation %q", op)
}

// worker is one client of a measurement.
type worker struct {
	client, clients int
	kv              pb.KVClient
	rand            *rand.Rand
}

// loop runs the closed loop of workers.
func (b *Bench) loop(ctx context.Context, m Measure, sink Sink, turnOf func(worker) turn) Measure {
	return closedLoop(ctx, &b.cfg, m, func(client int) turn {
		r := random(b.cfg.Seed, string(m.Operation), client)
		return turnOf(worker{client, m.Clients, b.kv(client), r})
	}, sink)
}

func (b *Bench) create(ctx context.Context, m Measure, sink Sink) (Measure, error) {
	b.levels++
	level := b.levels
	made := make([][]*object, m.Clients) // by client
	m = b.loop(ctx, m, sink, func(w worker) turn {
		namespace := fmt.Sprintf("%s/pods/new-%d-%04d/", b.cfg.Prefix, level, w.client)
		return func(ctx context.Context) (int64, error) {
			o := &object{key: []byte(namespace + podName(w.rand, len(made[w.client])))}
			if err := create(ctx, w.kv, o, b.values.pod(w.rand)); err != nil {
				return 0, err
			}
			made[w.client] = append(made[w.client], o)
			return 1, nil
		}
	})
	if ctx.Err() != nil {
		return m, nil // nothing more is measured
	}
	var all []*object
	for _, objects := range made {
		all = append(all, objects...)
	}
	err := b.each(ctx, len(all), func(ctx context.Context, helper, i int, _ *rand.Rand) error {
		return remove(ctx, b.kv(helper), all[i])
	})
	if err != nil {
		return m, fmt.Errorf("remove what was created: %w", err)
	}
	return m, nil
}

// updates gives each client objects of its own, so that no write conflicts.
func (b *Bench) updates(objects []*object, value func(*rand.Rand) []byte) func(worker) turn {
	return func(w worker) turn {
		next := w.client
		return func(ctx context.Context) (int64, error) {
			o := objects[next]
			if next += w.clients; next >= len(objects) {
				next = w.client
			}
			return 1, update(ctx, w.kv, o, value(w.rand))
		}
	}
}

// errMissing is that an object is not there that nobody has removed.
var errMissing = errors.New("the answer lacks objects that the store holds")

func (b *Bench) get(w worker) turn {
	return func(ctx context.Context) (int64, error) {
		o := b.pods[w.rand.IntN(len(b.pods))]
		resp, err := w.kv.Range(ctx, &pb.RangeRequest{Key: o.key, Limit: 1})
		if err == nil && len(resp.Kvs) != 1 {
			err = errMissing
		}
		return 1, err
	}
}

// list pages through a namespace, one page a turn, all pages of one revision.
func (b *Bench) list(w worker) turn {
	var from, end []byte
	var revision, left int64
	return func(ctx context.Context) (int64, error) {
		if left == 0 {
			from, end, left = b.anyNamespace(w.rand)
			revision = 0
		}
		resp, err := w.kv.Range(ctx, &pb.RangeRequest{Key: from, RangeEnd: end, Limit: b.cfg.Page, Revision: revision})
		if err != nil {
			left = 0
			return 0, err
		}
		n := int64(len(resp.Kvs))
		if n != min(left, b.cfg.Page) || resp.More != (left > n) {
			left = 0
			return n, errMissing
		}
		revision, left = resp.Header.Revision, left-n
		from = append(bytes.Clone(resp.Kvs[n-1].Key), 0)
		return n, nil
	}
}

func (b *Bench) stream(w worker) turn {
	return func(ctx context.Context) (int64, error) {
		from, end, want := b.anyNamespace(w.rand)
		chunks, err := w.kv.RangeStream(ctx, &pb.RangeRequest{Key: from, RangeEnd: end})
		var n int64
		for err == nil {
			var chunk *pb.RangeStreamResponse
			if chunk, err = chunks.Recv(); err == nil {
				n += int64(len(chunk.RangeResponse.GetKvs()))
			}
		}
		if !errors.Is(err, io.EOF) {
			return n, err
		}
		if n != want {
			return n, errMissing
		}
		return n, nil
	}
}

// anyNamespace draws one and returns its range and the number of its pods.
func (b *Bench) anyNamespace(r *rand.Rand) (from, end []byte, pods int64) {
	i := r.IntN(b.cfg.Namespaces)
	from = []byte(b.cfg.namespace(i))
	return from, after(from), int64((len(b.pods) - i + b.cfg.Namespaces - 1) / b.cfg.Namespaces)
}

// after is the end of the range of all keys with a prefix that ends in a slash.
func after(prefix []byte) []byte {
	end := bytes.Clone(prefix)
	end[len(end)-1]++
	return end
}
