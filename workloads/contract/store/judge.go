package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"time"
)

// Plan is a comparison of one run, by its seed.
type Plan struct {
	Seed   uint64 `json:"seed"`
	Rounds int    `json:"rounds"`
	Turns  int    `json:"turns"` // requests of a round
	// Patience is how long an answer or an event may take; 0: 20 s.
	Patience time.Duration `json:"patience_ns,omitempty"`
}

// Bounds of a comparison.
const (
	patience    = 20 * time.Second // for an answer or an event
	impatience  = time.Second      // for an event, once one did not come
	mostShrunk  = 60               // times that a round is sent again, for one shape
	mostRounds  = 3                // times as many rounds as planned, where answers lack
	shrinkBound = 15 * time.Second // for all these times
)

// Verdict is what became of one shape.
type Verdict struct {
	Shape     Shape
	Statement string
	Answers   int // that were compared
	Least     int // for a Pass
	Differ    int
	// First is the first difference, as small as it could be made; nil: there is none.
	First *Difference
}

// Compare compares a store with the model, shape by shape. overrun is how long the
// store may let keys outlive their lease. The error is a GoneError or that of ctx;
// what was found until then is returned, too.
func Compare(ctx context.Context, plan Plan, model, store *Server, promises Promises, overrun time.Duration, log *slog.Logger) ([]Verdict, error) {
	c, err := NewComparison(ctx, Config{
		Model: model, Store: store, Promises: promises, Turns: plan.Turns, Patience: cmp.Or(plan.Patience, patience),
		Prefix: fmt.Sprintf("/planecheck/contract/%d/", plan.Seed),
	})
	if err != nil {
		return nil, causeOf(ctx, err)
	}
	defer func() { c.Close() }()
	j := &judge{Comparison: c, differ: map[Shape]int{}, first: map[Shape]*Difference{}, log: log}
	err = j.run(plan, overrun)
	return j.verdicts(), causeOf(ctx, err)
}

func causeOf(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

type judge struct {
	*Comparison
	differ map[Shape]int
	first  map[Shape]*Difference
	log    *slog.Logger
}

func (j *judge) run(plan Plan, overrun time.Duration) error {
	for round := 0; round < plan.Rounds || round < mostRounds*plan.Rounds && j.lacks(); round++ {
		if err := j.ctx.Err(); err != nil {
			return err
		}
		found, err := j.Round(rand.New(rand.NewPCG(plan.Seed, uint64(round))))
		if err := errors.Join(j.take(found), err); err != nil {
			return fmt.Errorf("round %d: %w", round, err)
		}
		if err := j.one(j.status()); err != nil {
			return err
		}
	}
	found, err := j.pages()
	if err := errors.Join(j.take(found), err); err != nil {
		return fmt.Errorf("list many keys: %w", err)
	}
	return j.one(j.expire(overrun))
}

// lacks says whether a shape has not enough answers yet: differences cut rounds
// short.
func (j *judge) lacks() bool {
	return slices.ContainsFunc(shapes, func(s shapeRow) bool {
		return s.Shape != Expiry && s.Shape != Status && j.first[s.Shape] == nil && j.Shapes[s.Shape] < s.least
	})
}

func (j *judge) one(d *Difference, err error) error {
	if d != nil {
		j.differ[d.Shape]++
		if j.first[d.Shape] == nil {
			j.first[d.Shape] = d
		}
	}
	return err
}

// take counts differences, and makes the first of each shape small.
func (j *judge) take(found []*Difference) error {
	asked, first, prefix := slices.Clone(j.asked), j.Comparison.first[0], j.gen.prefix
	for _, d := range found {
		j.differ[d.Shape]++
		if j.first[d.Shape] != nil {
			continue
		}
		j.first[d.Shape] = d
		j.log.Info("an answer of the store differs from the model's", "shape", d.Shape, "request", d.Request, "model", d.Want, "store", d.Got)
		small, err := j.shrink(d, asked[:d.asked], first, prefix, mostShrunk)
		if err != nil {
			return err
		}
		j.first[d.Shape] = small
	}
	return nil
}

func (j *judge) verdicts() []Verdict {
	var all []Verdict
	for _, s := range shapes {
		all = append(all, Verdict{
			Shape: s.Shape, Statement: "the store answers " + s.statement + " as the model does", Answers: j.Shapes[s.Shape], Least: s.least,
			Differ: j.differ[s.Shape], First: j.first[s.Shape],
		})
	}
	return all
}
