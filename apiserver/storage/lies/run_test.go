package lies

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"time"

	"github.com/planecheck/planecheck/apiserver/storage"
	"github.com/planecheck/planecheck/apiserver/storage/proxy"
	"github.com/planecheck/planecheck/apiserver/storage/record"
	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/checkers/history"
	checker "github.com/planecheck/planecheck/checkers/storage"
	"github.com/planecheck/planecheck/checkers/storage/storetest"
	"github.com/planecheck/planecheck/checkers/storage/watch"
	"github.com/planecheck/planecheck/checkers/timeline"
	"github.com/planecheck/planecheck/workloads/contract/store"
)

// runBound ends a run that hangs, for instance on a lie that nobody expected.
const runBound = time.Minute

// memory keeps the history of a run.
type memory struct{ storetest.Log }

// judge asks both checkers, as checkers/judge does. There are no floors: the
// runs are short, and what they must contain is in Told.
func (m *memory) judge() []checkers.Verdict {
	const none = -1
	c := checker.New(checker.Options{Start: 1, Floors: checker.Floors{
		Operations: none, Conflicts: none, Compactions: none, Leases: none, Refusals: none, Crashes: none,
	}})
	commits := map[int64]watch.Interval{}
	w := watch.NewChecker(c.Timeline(), watch.Options{
		Commit: func(rev int64) (watch.Interval, bool) { i, ok := commits[rev]; return i, ok },
		Floors: watch.Floors{
			Events: none, Resumed: none, Compactions: none, Compacted: none, Progress: none, Multi: none, Previous: none, Creations: none,
		},
	})
	for _, op := range m.Ops {
		if op.Returned != 0 && op.Header > 0 && timeline.Changed(op) {
			commits[op.Header] = watch.Interval{Called: op.Called, Returned: op.Returned}
		}
		c.StoreOp(op)
		w.AddOp(op)
	}
	for _, r := range m.Watches {
		c.StoreWatch(r)
		w.Add(r)
	}
	return append(c.Finish(), w.Finish()...)
}

// run is one live run: a new store, a proxy before each of its members, and
// traffic through the proxies.
type run struct {
	name    string
	seed    uint64
	members int
	lie     *Lie   // nil: none is told
	spec    string // of the store; empty: etcd with so many members
	// contract: what `planecheck run contract/store` asks, rather than also what no
	// API server does.
	contract bool
}

// outcome is what a run came to.
type outcome struct {
	verdicts             []checkers.Verdict
	told                 int
	operations, messages int
	took                 time.Duration
	err                  error
	shapes               []store.Verdict // of a contract
}

func (o *outcome) named(want checkers.Outcome) []string {
	var names []string
	for _, v := range o.verdicts {
		if v.Outcome == want {
			names = append(names, v.Guarantee)
		}
	}
	return names
}

func (r run) live(ctx context.Context, dir string) *outcome {
	ctx, cancel := context.WithTimeout(ctx, runBound)
	defer cancel()
	began := history.Now()
	log := &memory{}
	o := &outcome{}
	o.err = r.record(ctx, dir, log, o)
	if o.err == nil {
		o.verdicts = log.judge()
		o.operations, o.messages = len(log.Ops), len(log.Watches)
	}
	o.took = history.Since(began)
	o.err = errors.Join(o.err, os.RemoveAll(dir)) // a member takes 200 MB, and make power makes 456 runs
	return o
}

// record does the run and leaves its history in log.
func (r run) record(ctx context.Context, dir string, log *memory, o *outcome) (err error) {
	spec := cmp.Or(r.spec, fmt.Sprintf("etcd:members=%d", max(r.members, 1)))
	backend, err := storage.Open(spec, storage.Options{Dir: dir})
	if err != nil {
		return err
	}
	if err := backend.Start(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, backend.Stop()) }()
	var liar *Liar
	if r.lie != nil {
		liar = r.lie.Begin(rand.New(rand.NewPCG(r.seed, 1)))
	}
	before, err := proxies(backend.Members(), liar, log)
	defer func() { err = errors.Join(err, before.close()) }()
	if err != nil {
		return err
	}
	if err := r.use(ctx, before.members, o); err != nil {
		return err
	}
	if liar != nil {
		o.told = liar.Told()
	}
	return nil
}

// use sends the traffic through the proxies, and learns the end.
//
// The watches of the whole key space go through the proxies too, one for each
// member, and are recorded by them like everything else: the history holds
// nothing that a liar has not had in its hands. Lies on watches let them pass,
// except the one that is about them.
func (r run) use(ctx context.Context, members []storage.Member, o *outcome) (err error) {
	var wholes []*record.FullWatch
	defer func() {
		for _, w := range wholes {
			err = errors.Join(err, w.Stop())
		}
	}()
	for _, m := range members {
		w, err := record.StartFullWatch(record.FullWatchOptions{Endpoint: m.Endpoint})
		if err != nil {
			return err
		}
		wholes = append(wholes, w)
		// A new store is at revision 1. Only a watch that has begun is sure to
		// see everything: what is compacted before is lost to it.
		if err := w.Await(ctx, 1); err != nil {
			return err
		}
	}
	plan := store.TrafficPlan{Seed: r.seed, Writers: 5, Turns: 26, CompactEvery: 5, Prefix: "/registry/", Beyond: true}
	if r.contract {
		plan.Beyond, plan.Turns, plan.Rate = false, 60, 20
		if o.shapes, err = r.compare(ctx, members[len(members)-1]); err != nil {
			return err
		}
	}
	if err := send(ctx, plan, members); err != nil {
		return err
	}
	revision, err := storage.Audit(ctx, members)
	if err != nil {
		return err
	}
	for _, w := range wholes {
		if err := w.Await(ctx, revision); err != nil {
			return err
		}
	}
	return nil
}

func send(ctx context.Context, plan store.TrafficPlan, members []storage.Member) (err error) {
	var endpoints []string
	for _, m := range members {
		endpoints = append(endpoints, m.Endpoint)
	}
	t, err := store.NewTraffic(plan, endpoints)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.Close()) }()
	return t.Run(ctx)
}

// front is the proxies before a store.
type front struct {
	members   []storage.Member
	proxies   []*proxy.Proxy
	recorders []*record.Recorder
}

// proxies starts one before each member; the liar sits in the last.
func proxies(members []storage.Member, liar *Liar, log *memory) (*front, error) {
	f := &front{}
	numbers := &record.Numbers{}
	for i, m := range members {
		opt := proxy.Options{
			Upstream: m.Endpoint,
			Recorder: record.New(record.Options{Member: m.Name, Sink: log, Numbers: numbers}),
		}
		if liar != nil && i == len(members)-1 {
			opt.Interference = []proxy.Interference{liar}
		}
		p, err := proxy.Start(opt)
		if err != nil {
			return f, err
		}
		f.proxies, f.recorders = append(f.proxies, p), append(f.recorders, opt.Recorder)
		f.members = append(f.members, storage.Member{Name: m.Name, Endpoint: p.Endpoint()})
	}
	return f, nil
}

func (f *front) close() error {
	var err error
	for i, p := range f.proxies {
		err = errors.Join(err, p.Close())
		f.recorders[i].Close()
	}
	return err
}
