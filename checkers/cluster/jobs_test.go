package cluster_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/checkers/cluster"
	"github.com/planecheck/planecheck/checkers/history"
)

// batch is a Job of 2 completions by its count.
func batch(succeeded int, fields ...string) history.Version {
	return object("batch", "jobs", "ns", "j", append([]string{"spec.completions=2", fmt.Sprint("status.succeeded=", succeeded)}, fields...)...)
}

// errand is a pod of the Job.
func errand(name, phase string) history.Version {
	return controlled(pod(name, "status.phase="+phase), "Job", "uid-j")
}

// errands commits the Job and its pods a and b, which succeed.
func errands(job history.Version) *world {
	return newWorld().put(job).put(errand("a", "Pending")).put(errand("b", "Running")).put(errand("a", "Succeeded")).put(errand("b", "Succeeded"))
}

func TestJobCompletionsExact(t *testing.T) {
	const done = "complete=True"
	two := func() *world { return errands(batch(0)) }
	indexed := func(n int, fields ...string) history.Version { return batch(n, append(fields, "indexed=true")...) }
	policy := func(n int, fields ...string) history.Version {
		return batch(n, append(fields, "successPolicy=true")...)
	}
	free := func(n int, fields ...string) history.Version {
		v := batch(n, fields...)
		v.Fields = v.Fields[1:]
		return v
	}
	tell(t, cluster.JobCompletionsExact, []story{
		{"as often as it says", two().put(batch(1)).put(batch(2)).put(batch(2, done)), checkers.Pass, []string{"1 Jobs", "0 of them with more"}},
		{"not yet", two().put(batch(2)), checkers.Pass, []string{"0 Jobs"}},
		{"too early", two().put(batch(1)).put(batch(1, done)), checkers.Fail, []string{"jobs/ns/j is Complete with 1 pods", `completions are "2"`, "revision 2", "revision 8"}},
		{"a pod that has not ended", newWorld().put(batch(0)).put(errand("a", "Running")).put(batch(1)), checkers.Fail, []string{"counts 1 pods that have succeeded, of 0 that have", "pods/ns/a"}},
		{"a pod that failed", newWorld().put(batch(0)).put(errand("a", "Failed")).put(batch(1)), checkers.Fail, nil},
		{"a pod of another one", newWorld().put(batch(0)).put(controlled(errand("a", "Succeeded"), "Job", "other")).put(batch(1)), checkers.Fail, nil},
		{"a pod of no Job", newWorld().put(batch(0)).put(controlled(errand("a", "Succeeded"), "ReplicaSet", "uid-j")).put(batch(1)), checkers.Fail, nil},
		{"one twice", two().put(errand("a", "Succeeded")).put(batch(3)), checkers.Fail, []string{"counts 3 pods that have succeeded, of 2"}},
		{"one that is gone", two().remove(errand("a", "")).put(batch(2)), checkers.Pass, nil},
		{"one that was adopted", newWorld().put(batch(0)).put(unowned(errand("a", "Succeeded"))).put(errand("a", "Succeeded")).put(batch(1)), checkers.Pass, nil},
		{"another of the same name", two().put(withUID(errand("a", "Succeeded"), "2")).put(batch(3)), checkers.Pass, nil},
		{"more than it says", two().put(errand("c", "Succeeded")).put(batch(3, done)), checkers.Pass, []string{"1 of them with more"}},
		{"more than there are indexes", errands(indexed(0)).put(errand("c", "Succeeded")).put(indexed(3, done)), checkers.Fail, []string{"has an index for each of 2 completions, and is Complete with 3"}},
		{"an index each", errands(indexed(0)).put(indexed(2, done)), checkers.Pass, nil},
		{"fewer by a policy", errands(policy(0)).put(policy(1, done)), checkers.Pass, []string{"1 Jobs", "the number of 1 with"}},
		{"fewer after it asked for more", errands(free(0)).put(batch(0)).put(batch(1, done)), checkers.Pass, []string{"the number of 1 with"}},
		{"any", errands(free(0)).put(free(1, done)), checkers.Pass, []string{"1 Jobs"}},
		{"any, and more", errands(free(0)).put(free(2, done)), checkers.Pass, []string{"0 of them with more"}},
		{"any, and none", errands(free(0)).put(free(0, done)), checkers.Fail, nil},
		{"by somebody else", newWorld().put(batch(0, "spec.managedBy=example.com/me")).put(batch(5, done)), checkers.Pass, []string{"0 Jobs"}},
		{"by the controller, by name", newWorld().put(batch(0, "spec.managedBy=kubernetes.io/job-controller")).put(batch(5)), checkers.Fail, nil},
		{"one that began before", newWorld().put(batch(1)).put(batch(2, done)), checkers.Pass, []string{"0 Jobs"}},
		{"one of which nothing is known", newWorld().put(object("batch", "jobs", "ns", "j")).put(object("batch", "jobs", "ns", "j", done)), checkers.Pass, []string{"0 Jobs"}},
		{"made anew", two().put(batch(2, done)).put(withUID(batch(0), "2")).put(withUID(batch(1), "2")), checkers.Fail, nil},
		{"a pod that cannot be read", newWorld().put(batch(0)).put(unread(errand("a", ""))).put(batch(1)), checkers.Pass, nil},
		{"one that cannot be read", two().put(unread(batch(0))).put(batch(2, done)), checkers.Pass, []string{"1 Jobs"}},
		{"a pod soon after", two().put(batch(2, done)).wait(within).put(errand("c", "Pending")), checkers.Pass, []string{"1 pods made within"}},
		{"a pod long after", two().put(batch(2, done)).wait(beyond).put(errand("c", "Pending")), checkers.Fail, []string{"pods/ns/c was made more than 3m0s after jobs/ns/j was Complete"}},
		{"a pod from before, long after", two().put(batch(2, done)).wait(beyond).put(errand("a", "Succeeded")), checkers.Pass, []string{"0 pods made within"}},
		{"a pod after another one's end", two().put(batch(2, done)).wait(beyond).put(controlled(errand("c", "Pending"), "Job", "uid-k")), checkers.Pass, nil},
	})
}

// TestJobsBeforeTheCalm have faults between their end and a pod, or were there before
// anything is known.
func TestJobsBeforeTheCalm(t *testing.T) {
	late := errands(batch(0)).put(batch(2, "complete=True")).wait(beyond).put(errand("c", "Pending"))
	opts := late.options()
	opts.Calm = second(60)
	if v := verdict(t, cluster.JobCompletionsExact, opts); v.Outcome != checkers.Pass || !strings.Contains(v.Checked, "1 pods made within") {
		t.Errorf("after faults: %s; %s", v, v.Checked)
	}
	old := newWorld().put(batch(0)).put(batch(1))
	opts = old.options()
	known := opts.Commit
	opts.Commit = func(rev int64) (called, returned history.Time, ok bool) {
		if rev == 2 {
			return 0, 0, false
		}
		return known(rev)
	}
	if v := verdict(t, cluster.JobCompletionsExact, opts); v.Outcome != checkers.Pass {
		t.Errorf("of a store that was restored: %s", v)
	}
}

func TestJobFloor(t *testing.T) {
	opts := errands(batch(0)).put(batch(2, "complete=True")).options()
	for floor, want := range map[int64]checkers.Outcome{0: checkers.Pass, 1: checkers.Pass, 2: checkers.Invalid} {
		opts.Floors.Jobs = floor
		if v := verdict(t, cluster.JobCompletionsExact, opts); v.Outcome != want {
			t.Errorf("floor %d: %s", floor, v)
		}
	}
}
