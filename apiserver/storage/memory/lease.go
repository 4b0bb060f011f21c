package memory

import (
	"context"
	"maps"
	"slices"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/planecheck/planecheck/checkers/history"
)

// etcd's own bounds on a time to live, and how often it looks for what has
// expired.
const (
	minTTL      = 2 * time.Second // one and a half election timeouts of 1 s, rounded up
	maxTTL      = 9_000_000_000   // seconds
	expiryCheck = 500 * time.Millisecond
)

// lessor knows the leases; it belongs to a Store and its lock.
type lessor struct {
	leases map[int64]*lease
	lastID int64 // of those that the store has chosen
}

type lease struct {
	ttl     int64 // seconds
	expires history.Time
	keys    map[string]bool
}

func newLessor() lessor { return lessor{leases: map[int64]*lease{}, lastID: 1 << 40} }

func (l *lease) renew(now history.Time) {
	// The longest times to live, some 285 years, do not go into a Duration twice.
	l.expires = now.Add(time.Duration(min(l.ttl, 1<<32)) * time.Second)
}

func (s *Store) grant(r *pb.LeaseGrantRequest) (*pb.LeaseGrantResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := r.GetID()
	switch {
	case r.GetTTL() > maxTTL:
		return nil, rpctypes.ErrGRPCLeaseTTLTooLarge
	case s.leases[id] != nil:
		return nil, rpctypes.ErrGRPCLeaseExist
	}
	for id == 0 || s.leases[id] != nil {
		s.lastID++
		id = s.lastID
	}
	l := &lease{ttl: max(r.GetTTL(), int64(minTTL/time.Second)), keys: map[string]bool{}}
	l.renew(history.Now())
	s.leases[id] = l
	return &pb.LeaseGrantResponse{Header: &pb.ResponseHeader{Revision: s.revision}, ID: id, TTL: l.ttl}, nil
}

func (s *Store) revoke(r *pb.LeaseRevokeRequest) (*pb.LeaseRevokeResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.leases[r.GetID()] == nil {
		return nil, rpctypes.ErrGRPCLeaseNotFound
	}
	s.endLease(r.GetID())
	return &pb.LeaseRevokeResponse{Header: &pb.ResponseHeader{Revision: s.revision}}, nil
}

// endLease deletes the keys of a lease at one revision, in their order.
func (s *Store) endLease(id int64) {
	w := &writer{Store: s}
	for _, key := range slices.Sorted(maps.Keys(s.leases[id].keys)) {
		w.delete(span{key: []byte(key)})
	}
	delete(s.leases, id)
	w.end()
}

// expire ends the leases whose time was over at now.
func (s *Store) expire(now history.Time) {
	s.mu.RLock()
	var over []int64
	for id, l := range s.leases {
		if l.expires <= now {
			over = append(over, id)
		}
	}
	s.mu.RUnlock()
	slices.Sort(over)
	for _, id := range over {
		s.mu.Lock()
		if s.leases[id] != nil { // else a client was faster
			s.endLease(id)
		}
		s.mu.Unlock()
	}
}

// Expire gives every lease its whole time again, as a new leader of etcd does,
// and ends leases when their time is over, until ctx is done. Without it they
// live for ever.
func (s *Store) Expire(ctx context.Context) {
	s.mu.Lock()
	for _, l := range s.leases {
		l.renew(history.Now())
	}
	s.mu.Unlock()
	tick := time.NewTicker(expiryCheck)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			s.expire(history.Now())
		case <-ctx.Done():
			return
		}
	}
}

func (l *lessor) attach(id int64, key []byte) {
	if lease := l.leases[id]; lease != nil {
		lease.keys[string(key)] = true
	}
}

func (l *lessor) detach(id int64, key []byte) {
	if lease := l.leases[id]; lease != nil {
		delete(lease.keys, string(key))
	}
}
