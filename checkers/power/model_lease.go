package power

import (
	"math"
	"time"

	"github.com/planecheck/planecheck/checkers/history"
)

// grant is one life of a lease: its ID may be granted again after it.
type grant struct {
	op         *history.StoreOp
	ttl        time.Duration
	earliest   history.Time // before it the lease cannot have ended by itself
	latest     history.Time // after it the lease has ended, but for the overrun
	superseded history.Time // when the next grant of the same ID was acknowledged
}

// grants returns the lives of a lease, in the order in which they were called.
func (f *facts) grants(lease int64) []grant {
	var lives []grant
	for _, op := range f.calls(history.MethodLeaseGrant) {
		if op.Error.Definite() {
			continue
		}
		g := grant{op: op, ttl: time.Duration(op.TTL) * time.Second, latest: math.MaxInt64, superseded: math.MaxInt64}
		switch {
		case acked(op) && op.GrantedLease == lease:
			g.ttl = time.Duration(op.GrantedTTL) * time.Second
			g.latest = op.Returned.Add(g.ttl)
			if n := len(lives); n > 0 {
				lives[n-1].superseded = op.Returned
			}
		case unknown(op) && op.Lease == lease && lease != 0:
		default:
			continue
		}
		g.earliest = op.Called.Add(g.ttl)
		lives = append(lives, g)
	}
	for i := range lives {
		f.renewals(lease, lives, i)
	}
	return lives
}

// renewals extends a life by the keep-alives that can only have been its own.
func (f *facts) renewals(lease int64, lives []grant, i int) {
	g := &lives[i]
	for _, op := range f.calls(history.MethodLeaseKeepAlive) {
		if op.Lease != lease || op.Error.Definite() {
			continue
		}
		if unknown(op) {
			g.latest = max(g.latest, op.Called.Add(time.Hour)) // nobody knows when it came
			continue
		}
		if op.GrantedTTL <= 0 || op.Returned < g.op.Called {
			continue
		}
		ttl := time.Duration(op.GrantedTTL) * time.Second
		g.latest = max(g.latest, op.Returned.Add(ttl))
		surely := op.Called >= g.op.Returned && g.op.Returned != 0 && (i+1 == len(lives) || op.Returned < lives[i+1].op.Called)
		if surely {
			g.earliest = max(g.earliest, op.Called.Add(ttl))
		}
	}
}

// mayExpire says that a lease may have ended by itself at a revision.
func (f *facts) mayExpire(lease, rev int64, before state) bool {
	var bound history.Time // when its keys got it, at the earliest
	for _, kv := range before {
		if c := f.cause[kv.Mod]; kv.Lease == lease && c != nil {
			bound = max(bound, c.Called)
		}
	}
	for _, g := range f.grants(lease) {
		if g.op.Called <= f.known[rev] && g.superseded >= bound && g.earliest <= f.known[rev] {
			return true
		}
	}
	return false
}

// checkLeases looks for keys that were there when their lease had long ended.
func (f *facts) checkLeases(b bounds) {
	lives := map[int64][]grant{}
	stood := f.stood()
	for rev := int64(firstRevision + 1); rev <= f.last; rev++ {
		at := stood[rev]
		if f.leasesBefore(rev, at) {
			continue
		}
		for _, kv := range f.states[rev] {
			if kv.Lease == 0 {
				continue
			}
			if lives[kv.Lease] == nil {
				lives[kv.Lease] = f.grants(kv.Lease)
			}
			if !outlives(lives[kv.Lease], at, b) {
				continue
			}
			f.reject("key %s of lease %x is still there at revision %d", kv.Key, kv.Lease, rev)
		}
	}
}

func outlives(lives []grant, at history.Time, b bounds) bool {
	for _, g := range lives {
		// A new leader starts every lease anew (etcd, lease/lessor.go, Promote).
		if g.latest == math.MaxInt64 || at <= g.latest.Add(g.ttl+b.overrun) {
			return false
		}
	}
	return len(lives) > 0
}

// stood returns, by revision, the latest moment at which the store surely stood at
// it or at one before it.
func (f *facts) stood() []history.Time {
	at := make([]history.Time, f.last+1)
	for _, op := range f.ops {
		if acked(op) && !local(op) && op.Header <= f.last {
			rev := max(op.Header, 0)
			at[rev] = max(at[rev], op.Called)
		}
	}
	for rev := int64(1); rev <= f.last; rev++ {
		at[rev] = max(at[rev], at[rev-1])
		if f.cause[rev] != nil {
			at[rev-1] = max(at[rev-1], f.cause[rev].Called)
		}
	}
	return at
}
