package cluster_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/checkers/cluster"
	"github.com/planecheck/planecheck/checkers/history"
)

// lease is one for 15 s; the second in which it was acquired says which term it
// is, and put commits it in the second in which it is renewed.
func lease(name, holder string, transitions, acquired int) history.Version {
	return object("coordination.k8s.io", "leases", "kube-system", name, "spec.holderIdentity="+holder,
		fmt.Sprintf("spec.leaseTransitions=%d", transitions), "spec.leaseDurationSeconds=15", fmt.Sprintf("spec.acquireTime=%d000000", acquired))
}

func with(v history.Version, field, value string) history.Version {
	fields := []history.Pair{{Name: field, Value: value}}
	for _, f := range v.Fields {
		if f.Name != field {
			fields = append(fields, f)
		}
	}
	v.Fields = fields
	return v
}

// hold commits versions of a Lease, each renewed when it is committed.
func (w *world) hold(vs ...history.Version) *world {
	for _, v := range vs {
		w.put(with(v, "spec.renewTime", fmt.Sprintf("%d000000", w.rev+1)))
	}
	return w
}

func TestOneLeader(t *testing.T) {
	const s = "kube-scheduler"
	a, b, c := lease(s, "a", 0, 2), lease(s, "b", 1, 20), lease(s, "c", 2, 40)
	free := func(transitions int) history.Version {
		return with(lease(s, "", transitions, 5), "spec.leaseDurationSeconds", "1")
	}
	led := func() *world { return newWorld().hold(a, a) } // the last renewal is in second 3
	tell(t, cluster.OneLeader, []story{
		{"one leader", led().hold(a, a), checkers.Pass, []string{"0 changes", "3 renewals"}},
		{"its time ran out", led().wait(14*time.Second).hold(b, b), checkers.Pass, []string{"1 changes", "2 renewals"}},
		{"just in time", led().wait(13 * time.Second).hold(b), checkers.Fail,
			[]string{"kube-scheduler was taken by b", "14.000001s after the last news of a, which held it for 15s", "revision 3", "revision 17"}},
		{"the next in line", led().wait(14*time.Second).hold(b, b).wait(14 * time.Second).hold(c), checkers.Pass, []string{"2 changes"}},
		{"released", led().hold(free(0), b), checkers.Pass, []string{"1 changes", "1 releases"}},
		{"released twice", led().hold(free(0), free(0), b), checkers.Pass, []string{"1 releases"}},
		{"the second renewal in a second is no news", newWorld().hold(a).put(with(a, "spec.renewTime", "2900000")).wait(13 * time.Second).hold(b), checkers.Pass, nil},
		{"the first in the next second is", newWorld().hold(a).put(with(a, "spec.renewTime", "3000000")).wait(13 * time.Second).hold(b), checkers.Fail, nil},
		{"the duration in the Lease counts", newWorld().hold(with(a, "spec.leaseDurationSeconds", "3")).wait(2 * time.Second).hold(b), checkers.Pass, nil},
		{"not that of the taker", led().wait(4 * time.Second).hold(with(b, "spec.leaseDurationSeconds", "3")), checkers.Fail, nil},
		{"deposed, and renews", led().wait(14*time.Second).hold(b, a), checkers.Fail,
			[]string{"written by a as if it still held it, after b had taken it", "revision 18", "revision 19"}},
		{"deposed long ago, and renews", led().wait(14 * time.Second).hold(b).wait(20 * time.Second).hold(with(a, "spec.leaseTransitions", "2")), checkers.Fail,
			[]string{"as if it still held it"}},
		{"released, and renews", led().hold(free(0), a), checkers.Fail, []string{"after it had released it"}},
		{"deposed, and comes back at its turn", led().wait(14 * time.Second).hold(b).wait(20 * time.Second).hold(lease(s, "a", 2, 40)), checkers.Pass, []string{"2 changes"}},
		{"two take turns", led().wait(14*time.Second).hold(b, lease(s, "a", 2, 21), lease(s, "b", 3, 22)), checkers.Fail, []string{"the first of 2 violations"}},
		{"transitions that stay", led().wait(14 * time.Second).hold(with(b, "spec.leaseTransitions", "0")), checkers.Fail, []string{"went from 0 to 0"}},
		{"transitions that jump", led().hold(free(0), with(b, "spec.leaseTransitions", "2")), checkers.Fail, []string{"went from 0 to 2"}},
		{"transitions that a renewal raises", led().hold(with(a, "spec.leaseTransitions", "1")), checkers.Fail, []string{"is another term"}},
		{"transitions that a release raises", led().hold(free(1), with(b, "spec.leaseTransitions", "2")), checkers.Fail, []string{"released with 1 transitions, of 0"}},
		{"acquired when the other one was", led().wait(14 * time.Second).hold(with(b, "spec.acquireTime", "2000000")), checkers.Fail, []string{"is the old one"}},
		{"acquired anew by a renewal", led().hold(with(a, "spec.acquireTime", "9000000")), checkers.Fail, []string{"is another term"}},
		{"released by another", led().hold(free(0), lease(s, "a", 1, 5)), checkers.Fail, []string{"released while a held it, by another"}},
		{"released by another, who had the time to lead", led().hold(free(0), b).wait(20 * time.Second).hold(lease(s, "a", 2, 40)), checkers.Fail,
			[]string{"by another", "revision 4"}},
		{"who released it elects again", newWorld().hold(lease("x", "a", 0, 2), lease("x", "", 0, 3), lease("x", "a", 1, 4)), checkers.Pass,
			[]string{"1 changes", "1 times who had released one"}},
		{"removed while it was held", led().remove(a).hold(lease(s, "b", 0, 9)), checkers.Pass, []string{"0 changes", "1 removals of one that was held"}},
		{"another life", led().hold(withUID(lease(s, "b", 0, 9), "2")), checkers.Pass, []string{"0 changes"}},
		{"an unreadable version between", led().put(unread(a)).hold(b), checkers.Pass, []string{"1 versions of Leases could not be read"}},
		{"a node's", led().put(heartbeat("n")).put(heartbeat("m")), checkers.Pass, []string{"0 changes", "of 1 Leases"}},
		{"an API server's", newWorld().put(identity("a")).put(identity("b")), checkers.Pass, []string{"0 changes", "of 0 Leases"}},
		{"picked by a controller", newWorld().hold(with(a, "spec.strategy", "OldestEmulationVersion"), with(b, "spec.strategy", "OldestEmulationVersion")),
			checkers.Pass, []string{"0 changes", "2 versions with a leader that a controller picks"}},
		{"no duration", newWorld().hold(with(a, "spec.leaseDurationSeconds", ""), b), checkers.Pass, []string{"1 changes", "1 times at which"}},
		{"two Leases", newWorld().hold(lease("x", "a", 0, 2), lease("y", "b", 0, 3), lease("x", "a", 0, 2), lease("y", "b", 0, 3)), checkers.Pass, []string{"of 2 Leases"}},
	})
}

func heartbeat(holder string) history.Version {
	return object("coordination.k8s.io", "leases", "kube-node-lease", "n", "spec.holderIdentity="+holder, "spec.leaseTransitions=0")
}

func identity(holder string) history.Version {
	return object("coordination.k8s.io", "leases", "kube-system", "apiserver-x", "spec.holderIdentity="+holder)
}

// TestTimesOfTakings takes a Lease at its time, with the times of some revisions
// unknown, and too early by what is known of slow writes: what is not known for
// sure is no violation.
func TestTimesOfTakings(t *testing.T) {
	taken := func() *world {
		w := newWorld().hold(lease("x", "a", 0, 2)).wait(14 * time.Second).hold(lease("x", "b", 1, 9))
		return w.wait(time.Minute)
	}
	for name, c := range map[string]struct {
		known func(rev int64) bool
		want  checkers.Outcome
	}{
		"all known":            {func(int64) bool { return true }, checkers.Pass},
		"none known":           {func(int64) bool { return false }, checkers.Pass},
		"nor that of the take": {func(rev int64) bool { return rev <= 2 }, checkers.Pass},
	} {
		opts := taken().options()
		all := opts.Commit
		opts.Commit = func(rev int64) (called, returned history.Time, ok bool) {
			called, returned, ok = all(rev)
			return called, returned, ok && c.known(rev)
		}
		if v := verdict(t, cluster.OneLeader, opts); v.Outcome != c.want {
			t.Errorf("%s: %s", name, v)
		}
	}
	// A call that took long may have committed at its beginning, or at its end.
	slow := newWorld().hold(lease("x", "a", 0, 2)).hold(lease("x", "b", 1, 9)).options()
	all := slow.Commit
	for _, c := range []struct {
		more time.Duration
		want checkers.Outcome
	}{{13 * time.Second, checkers.Fail}, {14 * time.Second, checkers.Pass}} {
		slow.Commit = func(rev int64) (called, returned history.Time, ok bool) {
			called, returned, ok = all(rev)
			return called, returned.Add(c.more), ok
		}
		if v := verdict(t, cluster.OneLeader, slow); v.Outcome != c.want {
			t.Errorf("a write of %s: %s", c.more, v)
		}
	}
}
