package results

import "testing"

// Pods of others do not stand in for those of the density load, whoever tells of them.
func TestOwnPods(t *testing.T) {
	p := NewPodLife("fill")
	running := func(own, all int64, when string) {
		t.Helper()
		if got, live := p.OwnRunning(), p.Counts().LiveRun; got != own || live != all {
			t.Errorf("%s %d of %d pods that run are its own, want %d of %d", when, got, live, own, all)
		}
	}
	podTimes{p, "ns-1", "early"}.running(1)
	running(0, 1, "as long as nobody says which namespaces are,")
	p.Own(func(namespace string) bool { return namespace == "ns-1" })
	committed, told := podTimes{p, "ns-1", "a"}, podTimes{p, "ns-1", "b"}
	others, theirs := podTimes{p, "ns-10", "a"}, podTimes{p, "ns-2", "b"}
	others.running(2)
	theirs.seen("ADDED", "Running", 2)
	running(0, 3, "with those of others")
	committed.running(3)
	committed.seen("ADDED", "Running", 3)
	told.seen("ADDED", "Running", 3)
	running(2, 5, "with its own")
	others.deleted(4)
	told.seen("DELETED", "Running", 4)
	running(1, 3, "after two have gone")
	committed.commit(5, podFailed, false, false)
	running(0, 2, "after the last has failed")
}
