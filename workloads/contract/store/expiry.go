package store

import (
	"context"
	"fmt"
	"slices"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"

	"github.com/planecheck/planecheck/checkers/history"
)

// expiryTTL is as short as no store in the tests lengthens it, in seconds: etcd
// takes at least one and a half election timeouts.
const expiryTTL = 4

// expire gives keys to a lease that ends, and waits for that: all keys of the
// lease, and no other, have to go, not before the time to live of the lease has
// passed since it was asked for, and not much later. The revisions at which they
// go are not compared: that is a matter of time.
func (c *Comparison) expire(overrun time.Duration) (*Difference, error) {
	if err := c.begin(); err != nil {
		return nil, err
	}
	asked := history.Now()
	grant := &request{shape: Expiry, message: &pb.LeaseGrantRequest{TTL: expiryTTL}}
	if d, err := asDifference(c.perform(grant)); d != nil || err != nil {
		return d, err
	}
	for i, lease := range []int64{grant.id, grant.id, 0} {
		if d, err := asDifference(c.perform(c.leased(i, lease))); d != nil || err != nil {
			return d, err
		}
	}
	c.Shapes[Expiry]++
	request := &request{shape: Expiry, message: grant.message}
	var gone [2][]*mvccpb.Event
	for i, l := range c.watches.all {
		id := int64(0)
		if i == 1 {
			id = c.watches.wholeID()
		}
		early, err := c.ends(l, id, asked, overrun)
		if err != nil {
			return asDifference(c.watches.late(request, err))
		}
		if early > 0 && i == 1 {
			return asDifference(c.differs(request, fmt.Sprintf("keys live for %d s", expiryTTL), fmt.Sprintf("a key is gone after %v", early)))
		}
		gone[i] = slices.Clone(l.events(id)[3:])
	}
	c.Shapes[Expiry]++
	for i, events := range gone {
		if keys := keysOf(events); len(keys) != 2 || keys[0] == keys[1] {
			return asDifference(c.differs(request, "the two keys of the lease go", fmt.Sprintf("%s deletes %q", c.servers[i].Name, keys)))
		}
	}
	return c.left(request)
}

// leased is a create of a key that is given to a lease; 0: to none.
func (c *Comparison) leased(i int, lease int64) *request {
	key := fmt.Appendf(nil, "%sevents/ns/leased-%d", c.gen.prefix, i)
	return &request{shape: Expiry, message: &pb.TxnRequest{
		Compare: []*pb.Compare{{Key: key, Target: pb.Compare_MOD, TargetUnion: &pb.Compare_ModRevision{}}},
		Success: []*pb.RequestOp{opPut(&pb.PutRequest{Key: key, Value: []byte("event"), Lease: lease})},
	}}
}

// ends waits until two keys are gone. early is when the first one went, if that
// was too early; 0: it was not.
func (c *Comparison) ends(l *listener, id int64, asked history.Time, overrun time.Duration) (early time.Duration, err error) {
	defer func(before time.Duration) { l.patience = before }(l.patience)
	l.patience = expiryTTL*time.Second + overrun
	for n := 4; n <= 5; n++ { // three creations come first
		err := l.await(c.ctx, fmt.Sprintf("the end of %d keys of a lease of %d s", n-3, expiryTTL), func() bool { return len(l.sent[id]) >= n })
		if err != nil {
			return 0, err
		}
		if after := history.Since(asked); n == 4 && after < expiryTTL*time.Second {
			early = after
		}
	}
	return early, nil
}

// left wants the key without a lease, and no other, to be there.
func (c *Comparison) left(r *request) (*Difference, error) {
	ctx, cancel := context.WithTimeout(c.ctx, c.Patience)
	defer cancel()
	answer, err := c.Store.KV.Range(ctx, &pb.RangeRequest{Key: []byte(c.gen.prefix), RangeEnd: after(c.gen.prefix)})
	if err != nil {
		return nil, &GoneError{c.Store.Name, "list what is left after the end of a lease", err}
	}
	if len(answer.GetKvs()) != 1 || answer.GetKvs()[0].GetLease() != 0 {
		return asDifference(c.differs(r, "the key without a lease stays, and no other", describeKeys(answer.GetKvs())))
	}
	return nil, nil
}
