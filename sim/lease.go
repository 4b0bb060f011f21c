package sim

import (
	"context"
	"net/url"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/planecheck/planecheck/apiserver/client"
	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/history/wire"
)

// The kubelet's rules for its lease (k8s.io/component-helpers,
// apimachinery/lease/controller.go, with the kubelet's configuration).
const (
	leaseNamespace = "kube-node-lease"
	leaseDuration  = 40 * time.Second
	renewInterval  = 10 * time.Second // counted from the end of the last renewal,
	renewJitter    = 0.04             // and up to this fraction longer
	renewAttempts  = 5                // in direct succession
	ensureBackoff  = 200 * time.Millisecond
	ensureMax      = 7 * time.Second
	heartbeatLimit = 10 * time.Second // of one request of the heartbeat client
)

var leases = client.Resource{Group: "coordination.k8s.io", Version: "v1", Plural: "leases"}

// heartbeat is the lease of a node as its kubelet knows it.
type heartbeat struct {
	// meta is the metadata of the last answer, still encoded: it goes back
	// with the next renewal as it came, as the kubelet sends back its copy of
	// the last lease. nil: the lease has to be fetched or created.
	meta []byte
	// renewed is when the lease was renewed last, by the clock of the run.
	// Zero: not yet since the machine was turned on.
	renewed history.Time
	// missed is the last deadline that was counted as missed.
	missed history.Time
}

// appendLease appends an encoded Lease with that metadata, renewed at now.
func appendLease(b, meta []byte, holder string, now time.Time) []byte {
	var moment [24]byte
	stamp := protowire.AppendTag(moment[:0], 1, protowire.VarintType)
	stamp = protowire.AppendVarint(stamp, uint64(now.Unix()))
	stamp = protowire.AppendTag(stamp, 2, protowire.VarintType)
	// A MicroTime has no finer digits.
	stamp = protowire.AppendVarint(stamp, uint64(now.Nanosecond()/1000*1000))

	const seconds = uint64(leaseDuration / time.Second)
	size := 1 + protowire.SizeBytes(len(holder)) + 1 + protowire.SizeVarint(seconds) + 1 + protowire.SizeBytes(len(stamp))
	b = protowire.AppendTag(b, 1, protowire.BytesType)
	b = protowire.AppendBytes(b, meta)
	b = protowire.AppendTag(b, 2, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(size))
	b = protowire.AppendTag(b, 1, protowire.BytesType)
	b = protowire.AppendString(b, holder)
	b = protowire.AppendTag(b, 2, protowire.VarintType)
	b = protowire.AppendVarint(b, seconds)
	b = protowire.AppendTag(b, 4, protowire.BytesType)
	return protowire.AppendBytes(b, stamp)
}

// newLeaseMeta is the metadata of a lease to be created: named and owned like
// its node (SetNodeOwnerFunc in pkg/kubelet/util/nodelease.go).
func newLeaseMeta(node, uid string) []byte {
	var b []byte
	b = protowire.AppendTag(b, 1, protowire.BytesType)
	b = protowire.AppendString(b, node)
	b = protowire.AppendTag(b, 3, protowire.BytesType)
	b = protowire.AppendString(b, leaseNamespace)
	return appendNodeOwner(b, node, uid)
}

func appendNodeOwner(meta []byte, node, uid string) []byte {
	var owner []byte
	put := func(num protowire.Number, value string) {
		owner = protowire.AppendTag(owner, num, protowire.BytesType)
		owner = protowire.AppendString(owner, value)
	}
	put(1, "Node") // kind
	put(3, node)
	put(4, uid)
	put(5, "v1") // apiVersion
	meta = protowire.AppendTag(meta, 13, protowire.BytesType)
	return protowire.AppendBytes(meta, owner)
}

// leaseMeta takes the metadata out of an answer, with the node as its owner.
func leaseMeta(body []byte, node, uid string) ([]byte, error) {
	_, _, raw, err := wire.Unwrap(body)
	if err != nil {
		return nil, err
	}
	meta := field(raw, 1)
	if meta == nil {
		return nil, errMalformed
	}
	meta = append(make([]byte, 0, len(meta)), meta...)
	if field(meta, 13) == nil {
		meta = appendNodeOwner(meta, node, uid)
	}
	return meta, nil
}

// beat is one turn of the lease controller: it renews the lease that was due
// at that time, and sets the timer of the next turn when it is through.
func (n *node) beat(ctx context.Context, due history.Time) {
	l := history.Lease{Node: n.name, Due: due}
	if n.lease.renewed != 0 {
		l.Deadline = n.lease.renewed.Add(leaseDuration)
	}
	n.renewOrEnsure(ctx, &l)
	l.Failed = l.Answered == 0
	// The first one has nothing to renew, and one that had no network is not late
	// by the control plane.
	if l.Deadline != 0 && !n.network.cutSince(l.Deadline.Add(-leaseDuration)) {
		n.account(l)
	}
	wait := renewInterval + time.Duration(n.random()*renewJitter*float64(renewInterval))
	next := history.Now().Add(wait)
	n.setLeaseTimer(wait, func() { n.beat(ctx, next) })
}

// heartbeatQuery tells the server how long the heartbeat client waits, as
// client-go does for a client with a timeout. The server gives up then, too
// (WithRequestDeadline in k8s.io/apiserver).
func heartbeatQuery() url.Values { return url.Values{"timeout": {heartbeatLimit.String()}} }

// renewOrEnsure follows sync of the lease controller.
func (n *node) renewOrEnsure(ctx context.Context, l *history.Lease) {
	if n.lease.meta != nil && n.renew(ctx, l) {
		return
	}
	created, ok := n.ensureLease(ctx, l)
	if ok && !created {
		n.renew(ctx, l)
	}
}

// renew tries to renew the lease, up to renewAttempts times.
func (n *node) renew(ctx context.Context, l *history.Lease) bool {
	for range renewAttempts {
		err := n.putLease(ctx, l, "update", n.lease.meta)
		if err == nil {
			return true
		}
		if client.IsConflict(err) {
			if _, ok := n.ensureLease(ctx, l); !ok {
				return false
			}
		}
	}
	return false
}

// ensureLease fetches the lease or creates it. It tries until it succeeds; ok
// is false if ctx ended first.
func (n *node) ensureLease(ctx context.Context, l *history.Lease) (created, ok bool) {
	for pause := ensureBackoff; ; pause = min(2*pause, ensureMax) {
		created, err := n.tryEnsureLease(ctx, l)
		if err == nil {
			return created, true
		}
		if !sleep(ctx, pause) {
			return false, false
		}
	}
}

func (n *node) tryEnsureLease(ctx context.Context, l *history.Lease) (created bool, err error) {
	resp, err := n.do(ctx, heartbeatLimit, &client.Request{
		Verb: "get", Resource: leases, Namespace: leaseNamespace, Name: n.name, Query: heartbeatQuery(),
	})
	if client.IsNotFound(err) {
		err := n.putLease(ctx, l, "create", newLeaseMeta(n.name, n.owner()))
		return err == nil, err
	}
	if err != nil {
		return false, err
	}
	meta, err := leaseMeta(resp.Body, n.name, n.owner())
	if err != nil {
		return false, err
	}
	n.lease.meta = meta
	return false, nil
}

// putLease creates or updates the lease with renewTime now.
func (n *node) putLease(ctx context.Context, l *history.Lease, verb string, meta []byte) error {
	r := client.Request{Verb: verb, Resource: leases, Namespace: leaseNamespace, Due: l.Due, Query: heartbeatQuery()}
	if verb == "update" {
		r.Name = n.name
	}
	now := history.Now()
	if l.Sent == 0 {
		l.Sent = now
	} else {
		r.Due = 0 // a repetition is not what was scheduled
	}
	raw := appendLease(make([]byte, 0, len(meta)+96), meta, n.name, now.Wall().Add(n.offset()))
	r.Body = wire.Wrap("coordination.k8s.io/v1", "Lease", raw)
	resp, err := n.do(ctx, heartbeatLimit, &r)
	if err != nil {
		return err
	}
	if meta, err = leaseMeta(resp.Body, n.name, n.owner()); err != nil {
		return err
	}
	n.lease.meta, n.lease.renewed, l.Answered = meta, now, resp.Returned
	return nil
}

// account counts a renewal and tells the hook of it. A renewal that the end of
// the kubelet cut short says nothing about the control plane, unless it was too
// late already when that came.
func (n *node) account(l history.Lease) {
	end := l.Answered
	if l.Failed {
		end = n.life.now()
	}
	late := end > l.Deadline
	if l.Failed && n.life.over() && !late {
		return
	}
	stats := &n.cluster.stats
	if l.Failed {
		stats.leaseFailed.Add(1)
	} else {
		stats.leaseRenewals.Add(1)
	}
	// Several failed renewals can miss one and the same deadline.
	if late && n.lease.missed != l.Deadline {
		n.lease.missed = l.Deadline
		stats.leaseMissed.Add(1)
	}
	if hook := n.cluster.cfg.Hooks.Lease; hook != nil {
		hook(l)
	}
}
