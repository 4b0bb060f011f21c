package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/planecheck/planecheck/checkers/history"
)

// Round sends the requests of one seed and then compares the watches. It returns
// the differences that it found, those of reads and all up to one that leaves the
// stores in different states; the error is for stores that do not answer.
func (c *Comparison) Round(rng *rand.Rand) ([]*Difference, error) {
	if !c.Anything {
		if err := c.begin(); err != nil {
			return nil, err
		}
	}
	g := c.gen
	g.rng, c.asked, c.told = rng, nil, nil
	// etcd gets to an old revision every 100 ms only. What is compacted in the
	// meantime would be a matter of time, so it is one or the other.
	old := g.oneIn(3)
	if !c.Anything {
		old = c.rounds%2 == 0
	}
	var found []*Difference
	for g.turn = range c.Turns {
		r := c.draw(old)
		if r == nil {
			continue
		}
		d, err := asDifference(c.perform(r))
		if err != nil {
			return found, err
		}
		if d == nil {
			continue
		}
		found = append(found, d)
		if alike, err := c.alike(); err != nil || !alike {
			return found, err
		}
	}
	d, err := asDifference(c.watches.settle())
	if d != nil {
		found = append(found, d)
	}
	return found, err
}

func asDifference(err error) (*Difference, error) {
	var d *Difference
	if errors.As(err, &d) {
		return d, nil
	}
	return nil, err
}

// begin makes all keys new, and the watches.
func (c *Comparison) begin() error {
	c.watches.close()
	c.watches = nil
	if err := c.newKeys(); err != nil {
		return err
	}
	var err error
	c.watches, err = newWatches(c)
	return err
}

// draw returns nil where there is nothing to be done.
func (c *Comparison) draw(old bool) *request {
	g, live := c.gen, c.watches.live
	switch {
	case c.Anything:
		return g.any(live, old)
	case len(live) > 0 && g.oneIn(25):
		id := pick(g, live...)
		return &request{shape: c.watches.open[id].request.shape, end: true, endWatch: id}
	}
	return g.kubernetes(old)
}

// perform sends a request and keeps it, to be sent again.
func (c *Comparison) perform(r *request) error {
	c.asked = append(c.asked, r)
	if c.Anything && r.end {
		if err := c.watches.ignored(); err != nil {
			return err
		}
	}
	r.compacted = c.gen.compacted
	err := c.send(r)
	r.after = c.gen.revision
	return err
}

// alike says whether both stores hold the same after a difference, so that the
// round may go on. Watches may have been lost to one of them: then it may not.
func (c *Comparison) alike() (bool, error) {
	if c.Anything || c.asked[len(c.asked)-1].end {
		return false, nil
	}
	if _, watch := c.asked[len(c.asked)-1].message.(*pb.WatchCreateRequest); watch {
		return false, nil
	}
	told := len(c.told)
	all := &pb.RangeRequest{Key: []byte(c.gen.prefix), RangeEnd: after(c.gen.prefix)}
	d, err := asDifference(c.send(&request{shape: List, message: all}))
	c.told = c.told[:min(told, len(c.told))]
	return d == nil, err
}

// shrink sends a round again, in parts, as long as that shows a difference of the
// same shape, at most so many times. It returns the shortest that did, or what is
// given with a word of doubt.
func (c *Comparison) shrink(d *Difference, asked []*request, first int64, prefix string, times int) (*Difference, error) {
	best, began := d, history.Now()
	again := func(part []*request) (bool, error) {
		if times--; history.Since(began) > shrinkBound {
			times = 0
		}
		got, err := c.again(part, d.Shape, first, prefix)
		if got != nil {
			best = got
		}
		return got != nil, err
	}
	if ok, err := again(asked); err != nil || !ok {
		d.Got += " (not so when the same was sent again)"
		return d, err
	}
	for size := len(asked) / 2; size > 0 && times > 0; {
		cut := false
		for at := 0; at < len(asked) && times > 0; {
			part := slices.Concat(asked[:at], asked[min(at+size, len(asked)):])
			ok, err := again(part)
			if err != nil {
				return best, err
			}
			if ok {
				asked, cut = part, true
			} else {
				at += size
			}
		}
		if !cut || size > 1 {
			size /= 2
		}
	}
	return best, nil
}

// again sends requests of an earlier round to keys that are new, with the
// revisions and leases that take the place of the earlier ones, and returns the
// first difference of the shape.
func (c *Comparison) again(asked []*request, shape Shape, first int64, prefix string) (*Difference, error) {
	if err := c.begin(); err != nil {
		return nil, err
	}
	here := &revisions{dense: true}
	here.add(first, c.first[0])
	leases, watches := map[int64]int64{}, map[int64]int64{}
	lease := func(id int64) int64 {
		if now, ok := leases[id]; ok {
			return now
		}
		return id
	}
	for _, r := range asked {
		now := &request{shape: r.shape, stream: r.stream}
		if r.end {
			id, ok := watches[r.endWatch]
			if !ok {
				continue // it is one of those left out
			}
			now.end, now.endWatch = true, id
		} else {
			now.message = proto.Clone(r.message)
			rewrite(now.message, func(old int64) int64 {
				if old > 0 && old < r.compacted { // so it is again
					return max(1, min(here.to(old), c.gen.compacted-1))
				}
				return here.to(old)
			}, lease)
			moveKeys(now.message, []byte(prefix), []byte(c.gen.prefix))
			if w, ok := now.message.(*pb.WatchCreateRequest); ok { // where less comes before it, it may be of another kind
				now.shape = c.gen.ofWatch(w)
			}
		}
		before := c.gen.revision
		d, err := asDifference(c.perform(now))
		if err != nil || d != nil && d.Shape == shape {
			return d, err
		}
		switch r.message.(type) {
		case *pb.LeaseGrantRequest:
			leases[r.id] = now.id
		case *pb.WatchCreateRequest:
			watches[r.id] = now.id
		}
		if c.gen.revision > before {
			here.add(r.after, c.gen.revision)
		}
	}
	d, err := asDifference(c.watches.settle())
	if d != nil && d.Shape != shape {
		d = nil
	}
	return d, err
}

// moveKeys moves all keys below a prefix to below another one.
func moveKeys(m proto.Message, from, to []byte) {
	each(m, func(_, field protoreflect.Name, v protoreflect.Value) protoreflect.Value {
		if field != "key" && field != "range_end" {
			return v
		}
		rest, ok := bytes.CutPrefix(v.Bytes(), from)
		if !ok {
			return v
		}
		return protoreflect.ValueOfBytes(slices.Concat(to, rest))
	})
}

// status asks for the version, from which API servers conclude what they may ask:
// the progress of a watch, of which the feature checker of
// k8s.io/apiserver@v0.37.1/pkg/storage/feature wants 3.4.31 or 3.5.13 at least.
func (c *Comparison) status() (*Difference, error) {
	ctx, cancel := context.WithTimeout(c.ctx, c.Patience)
	defer cancel()
	answer, err := c.Store.admin.Status(ctx, &pb.StatusRequest{})
	if gone(err) {
		return nil, &GoneError{c.Store.Name, "ask for its status", err}
	}
	c.Shapes[Status]++
	r := &request{shape: Status, message: &pb.StatusRequest{}}
	if err != nil {
		return asDifference(c.differs(r, "a status", ErrorOf(err)))
	}
	var major, minor, patch int
	if _, err := fmt.Sscanf(answer.GetVersion(), "%d.%d.%d", &major, &minor, &patch); err != nil {
		return asDifference(c.differs(r, "a version such as 3.7.3", fmt.Sprintf("version %q", answer.GetVersion())))
	}
	version := major*1_000_000 + minor*1_000 + patch
	if version < 3_004_031 || 3_005_000 <= version && version < 3_005_013 {
		return asDifference(c.differs(r, "a version that can be asked for progress", "version "+answer.GetVersion()))
	}
	if answer.GetDbSize() < 0 {
		return asDifference(c.differs(r, "a size", fmt.Sprintf("%d bytes", answer.GetDbSize())))
	}
	return nil, nil
}
