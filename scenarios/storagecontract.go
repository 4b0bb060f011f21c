package scenarios

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/planecheck/planecheck/apiserver/storage"
	"github.com/planecheck/planecheck/checkers"
	checker "github.com/planecheck/planecheck/checkers/storage"
	"github.com/planecheck/planecheck/checkers/storage/watch"
	"github.com/planecheck/planecheck/workloads/contract/store"
)

// StoragePlan is what is asked of a store before any API server starts.
type StoragePlan struct {
	Shapes  store.Plan        `json:"shapes"`
	Traffic store.TrafficPlan `json:"traffic"`
	Alone   bool              `json:"alone,omitempty"` // nothing comes after it
}

// planStorage is so much that every guarantee has the evidence that it needs. All
// keys lie beside those of the API servers that come later.
func planStorage(o Options) *StoragePlan {
	return &StoragePlan{
		Shapes: store.Plan{Seed: o.Seed, Rounds: 16, Turns: 60},
		Traffic: store.TrafficPlan{
			Seed: o.Seed, Writers: 6, Turns: 180, Rate: 18, CompactEvery: 12, Prefix: "/planecheck/traffic/",
		},
		Alone: o.Alone,
	}
}

// storageClaims are the guarantees of the store that its traffic puts to the test.
func storageClaims() []string {
	return []string{
		checker.Order, checker.Replay, checker.Reads, checker.RealTime, checker.NoPhantom, checker.CompactionHonest, checker.LeaseHonest,
		string(watch.Ordered), string(watch.Unique), string(watch.Reliable), string(watch.Resumable), string(watch.Filtered),
		string(watch.PrevKV), string(watch.IsCreate), string(watch.Bookmarkable), string(watch.CompactedCancel),
	}
}

func storePhase(name string) bool { return name == phaseShapes || name == phaseTraffic }

// alone says that the plan starts no API server.
func (p *Plan) alone() bool { return p.Storage != nil && p.Storage.Alone }

func (p *Plan) describeStorage(b *strings.Builder) {
	if s := p.Storage; s != nil {
		fmt.Fprintf(b, "  first %d requests of the store beside the model, then %d clients of %d operations at once\n",
			s.Shapes.Rounds*s.Shapes.Turns, s.Traffic.Writers, s.Traffic.Turns)
	}
}

// testStore goes through the phases that need no API server.
func (x *execution) testStore(ctx context.Context) error {
	if x.plan.Storage == nil {
		return nil
	}
	if err := x.recordSettings(); err != nil {
		return err
	}
	for _, name := range x.plan.Phases {
		if !storePhase(name) {
			continue
		}
		if err := x.phase(ctx, name); err != nil {
			return x.reason(ctx, name, err)
		}
	}
	return x.survived(ctx)
}

// compareStore sends requests of every kind to the store and to the model, which
// is the store in memory: it is held against etcd, in the same way, by its tests.
func (x *execution) compareStore(ctx context.Context) (err error) {
	reference, err := storage.Open("memory", storage.Options{Dir: x.dir.File("model")})
	if err != nil {
		return fmt.Errorf("open the model: %w", err)
	}
	if err := reference.Start(ctx); err != nil {
		return fmt.Errorf("start the model: %w", err)
	}
	defer func() { err = errors.Join(err, reference.Stop()) }()
	model, err := store.Connect("the model", reference.Endpoints()[0])
	if err != nil {
		return err
	}
	defer model.Close()
	judged, err := store.Connect(x.backend.Name(), x.backend.Endpoints()[0])
	if err != nil {
		return err
	}
	defer judged.Close()
	c := x.plan.Judge.Contract
	if c.Name == "" {
		c = checker.Etcd()
	}
	promises := store.Promises{Dense: c.Dense, CompactsOnRequest: c.CompactsOnRequest, Whole: c.Dense}
	x.shapes, err = store.Compare(ctx, x.plan.Storage.Shapes, model, judged, promises, c.LeaseOverrun, x.log)
	return err
}

func (x *execution) storeTraffic(ctx context.Context) (err error) {
	traffic, err := store.NewTraffic(x.plan.Storage.Traffic, x.backend.Endpoints())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, traffic.Close()) }()
	return traffic.Run(ctx)
}

// judgeShapes turns what was compared into verdicts.
func judgeShapes(shapes []store.Verdict) (all []checkers.Verdict) {
	for _, s := range shapes {
		v := checkers.Verdict{
			Area: checkers.AreaStore, Guarantee: string(s.Shape), Statement: s.Statement, Outcome: checkers.Pass,
			Checked: fmt.Sprintf("%d answers compared", s.Answers),
		}
		switch {
		case s.First != nil:
			v.Outcome = checkers.Fail
			v.Detail = fmt.Sprintf("%d answers differ; the first, as small as it could be made: %v", s.Differ, s.First)
		case s.Answers < s.Least:
			v.Outcome, v.Detail = checkers.Invalid, fmt.Sprintf("%d answers, %d are needed", s.Answers, s.Least)
		}
		all = append(all, v)
	}
	return all
}
