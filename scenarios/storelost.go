package scenarios

import (
	"context"
	"fmt"
	"time"

	"github.com/planecheck/planecheck/apiserver/storage"
	"github.com/planecheck/planecheck/checkers"
)

// lostStore is the end of a member of the store that nobody stopped, or its
// silence where it is not a process of ours.
type lostStore struct{ err error }

func (e *lostStore) Error() string {
	return fmt.Sprintf("the store lost a member that nobody stopped: %v", e.err)
}

func (e *lostStore) Unwrap() error { return e.err }

// watchStore cancels everything when a member of the store dies that nobody
// stopped.
func watchStore(ctx context.Context, backend storage.Backend, cancel context.CancelCauseFunc) {
	n, ok := backend.(storage.DeathNotifier)
	if !ok {
		return
	}
	select {
	case err := <-n.Died():
		cancel(&lostStore{err})
	case <-ctx.Done():
	}
}

// deathBound is how much later than a call of its clients the end of a member may
// be noticed.
const deathBound = 2 * time.Second

// awaitDeath gives whoever watches over the store the time to say that it died,
// and returns what has ended everything, nil if nothing has.
func awaitDeath(ctx context.Context) error {
	select {
	case <-ctx.Done():
	case <-time.After(deathBound):
	}
	return context.Cause(ctx)
}

// storeLost takes note that the run ended with its store. The rest of its history
// cannot be asked for. Where the plan has faults the store may have died of one,
// and on a full disk no store could live: both prove nothing.
func (x *execution) storeLost(lost *lostStore) error {
	x.lost, x.interrupted = lost, true
	if len(x.plan.Interventions) == 0 && !diskFull(lost) {
		x.violation = lost
	}
	return lost
}

// judgeStore says whether the store was there all along. Stores end themselves:
// etcd panics, kine logs a fatal entry; that is of no use to a control plane,
// however fast they are until then.
func (x *execution) judgeStore() checkers.Verdict {
	v := checkers.Verdict{Guarantee: "StoreLived", Statement: "no member of the store ended, or fell silent, unless the plan stopped it"}
	switch {
	case x.lost != nil && x.violation != nil:
		v.Outcome = checkers.Fail
	case x.lost != nil:
		v.Outcome = checkers.Invalid
	case x.backend == nil:
		v.Outcome, v.Detail = checkers.Invalid, "the store did not start"
		return v
	case !mortal(x.backend):
		v.Outcome, v.Detail = checkers.NotExercised, "it is a part of this process"
	default:
		v.Outcome = checkers.Pass
	}
	if x.lost != nil {
		v.Detail = x.lost.Error()
	}
	if x.backend != nil {
		v.Checked = fmt.Sprintf("%d members", len(x.backend.Members()))
	}
	return v
}

// mortal says whether anybody would tell of the end of a member.
func mortal(b storage.Backend) bool {
	n, ok := b.(storage.DeathNotifier)
	return ok && n.Died() != nil
}
