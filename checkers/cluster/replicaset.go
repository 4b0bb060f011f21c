package cluster

import (
	"fmt"
	"math"
	"strconv"

	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/history/object"
)

// replicaSet is one of a Deployment, with all that it ever asked for and had: some
// 40 bytes for each change of that.
type replicaSet struct {
	now  *history.Version // nil: it is not there
	asks []ask
	// seen is the revision that was seen for sure by whoever planned the next write:
	// that of the version before the last, or of the first.
	seen int64
}

// ask is what a ReplicaSet asks for and has from a revision on; the zero value is
// that of one that is not there.
type ask struct {
	rev                         int64
	replicas, available, number int64
	known                       bool // the history has all of it
}

func asked(v *history.Version) ask {
	number, err := strconv.ParseInt(v.Field(object.FieldRollout), 10, 64)
	return ask{
		rev: v.Revision, replicas: need(v, "spec.replicas"), available: need(v, object.FieldAvailable), number: number,
		known: err == nil && number > 0 && v.Field(object.FieldAvailable) != "",
	}
}

func (a ask) String() string {
	return fmt.Sprintf("asks for %d, %d are available; number %d of the Deployment's", a.replicas, a.available, a.number)
}

func (s *replicaSet) last() ask {
	if len(s.asks) == 0 {
		return ask{}
	}
	return s.asks[len(s.asks)-1]
}

// take adds a version.
func (s *replicaSet) take(v *history.Version, next ask) {
	s.seen = v.Revision
	if s.now != nil {
		s.seen = s.now.Revision
	}
	s.now = v
	was := s.last()
	if was.rev = next.rev; was != next {
		s.asks = append(s.asks, next)
	}
}

// others says that another ReplicaSet of the Deployment ever asked for pods.
func (d *deployment) others(s *replicaSet) bool {
	for _, o := range d.sets {
		for i := range o.asks {
			if o != s && o.asks[i].replicas > 0 {
				return true
			}
		}
	}
	return false
}

// view is what may have been seen of a ReplicaSet, from one moment to another.
type view struct {
	least       int64 // that it asked for
	most        int64 // that it asked for, or had available
	available   int64 // at most
	unavailable int64 // available at least
	number      struct{ low, high int64 }
}

// view is of all the time but that whose end is passed.
func (s *replicaSet) view(passed func(rev int64) bool) view {
	v := view{least: math.MaxInt64, unavailable: math.MaxInt64}
	v.number.low = math.MaxInt64
	for i := len(s.asks) - 1; i >= -1; i-- {
		if i+1 < len(s.asks) && passed(s.asks[i+1].rev) {
			break
		}
		var a ask
		if i >= 0 {
			a = s.asks[i]
		}
		v.least, v.most = min(v.least, a.replicas), max(v.most, a.replicas, a.available)
		v.available, v.unavailable = max(v.available, a.available), min(v.unavailable, a.available)
		v.number.low, v.number.high = min(v.number.low, a.number), max(v.number.high, a.number)
	}
	return v
}
