package sim

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/planecheck/planecheck/checkers/history"
)

// beats starts a node, and returns a function that makes it renew its lease
// now and returns the requests and the record of that.
func beats(t *testing.T, f *fakeAPI) (*Cluster, func() ([]string, history.Lease)) {
	var mu sync.Mutex
	var last history.Lease
	c := start(t, f, Config{Profile: Lean, Hooks: Hooks{Lease: func(l history.Lease) {
		mu.Lock()
		defer mu.Unlock()
		last = l
	}}})
	eventually(t, "the lease is there", func() bool { return len(f.sent("POST", "leases")) == 1 })
	eventually(t, "the first turn is over", func() bool {
		c.nodes[0].mu.Lock()
		defer c.nodes[0].mu.Unlock()
		return c.nodes[0].leaseTimer != nil
	})
	return c, func() ([]string, history.Lease) {
		n := c.nodes[0]
		n.stopTimers() // of the turn that is set for ten seconds from now
		before := len(f.sent("leases"))
		n.beat(c.life, history.Now())
		var verbs []string
		for _, line := range f.sent("leases")[before:] {
			verbs = append(verbs, strings.Fields(line)[0])
		}
		mu.Lock()
		defer mu.Unlock()
		return verbs, last
	}
}

func TestLeaseRenewal(t *testing.T) {
	f := newFakeAPI(t)
	c, beat := beats(t, f)
	renewed := c.nodes[0].lease.renewed
	verbs, l := beat()
	if d := cmp.Diff([]string{"PUT"}, verbs); d != "" {
		t.Error(d)
	}
	if l.Node != "node-00000" || l.Failed || l.Deadline != renewed.Add(40*time.Second) ||
		l.Sent < l.Due || l.Answered <= l.Sent || l.Due == 0 {
		t.Errorf("%+v", l)
	}
	if s := c.Stats(); s.LeaseRenewals != 1 || s.LeaseMissed != 0 || s.LeaseFailed != 0 {
		t.Errorf("%+v", s)
	}
	if got := f.leases["node-00000"].OwnerReferences; len(got) != 1 || got[0].UID != "uid-of-node-00000" {
		t.Errorf("owner of the lease: %+v", got)
	}
}

// TestHeartbeatsTellTheirLimit looks at every kind of request of the heartbeat
// client, and that no other request has its limit.
func TestHeartbeatsTellTheirLimit(t *testing.T) {
	f := newFakeAPI(t)
	c, beat := beats(t, f) // GET and POST
	beat()                 // PUT
	f.addPod("web", "node-00000")
	eventually(t, "pod is running", func() bool { return c.Stats().PodsRunning == 1 })
	const limit = "?timeout=10s"
	lease, node := "namespaces/kube-node-lease/leases", "nodes/node-00000/status"
	for _, want := range []string{
		"GET " + lease + "/node-00000", "POST " + lease, "PUT " + lease + "/node-00000", "PATCH " + node,
	} {
		if got := f.sent(want); len(got) != 1 || got[0] != want+limit {
			t.Errorf("sent %q, want %s", got, want+limit)
		}
	}
	if all := f.sent(limit); len(all) != 4 {
		t.Errorf("requests with the limit of a heartbeat: %q", all)
	}
}

func TestLeaseRenewalMeetsTrouble(t *testing.T) {
	f := newFakeAPI(t)
	c, beat := beats(t, f)

	f.mu.Lock()
	f.touch(f.leases["node-00000"]) // somebody else has written it
	f.mu.Unlock()
	verbs, l := beat()
	if d := cmp.Diff([]string{"PUT", "GET", "PUT"}, verbs); d != "" || l.Failed {
		t.Errorf("after a conflict: %s, %+v", d, l)
	}

	f.mu.Lock()
	delete(f.leases, "node-00000")
	f.mu.Unlock()
	verbs, l = beat()
	if d := cmp.Diff([]string{"PUT", "PUT", "PUT", "PUT", "PUT", "GET", "POST"}, verbs); d != "" || l.Failed {
		t.Errorf("after the lease was deleted: %s, %+v", d, l)
	}

	f.setRefuse(func(what string) int {
		if strings.HasPrefix(what, "PUT") {
			return 500
		}
		return 0
	})
	five := []string{"PUT", "PUT", "PUT", "PUT", "PUT"}
	verbs, l = beat()
	want := append(append([]string{}, five...), "GET")
	if d := cmp.Diff(append(want, five...), verbs); d != "" || !l.Failed || l.Answered != 0 {
		t.Errorf("after errors: %s, %+v", d, l)
	}
	if s := c.Stats(); s.LeaseRenewals != 2 || s.LeaseFailed != 1 || s.LeaseMissed != 0 {
		t.Errorf("%+v", s)
	}

	// Two turns fail beyond one and the same deadline: it is missed once.
	n := c.nodes[0]
	n.lease.renewed = history.Now().Add(-41 * time.Second)
	deadline := n.lease.renewed.Add(leaseDuration)
	for range 2 {
		if _, l = beat(); !l.Failed || l.Deadline != deadline {
			t.Errorf("%+v, want deadline %d", l, deadline)
		}
	}
	if s := c.Stats(); s.LeaseMissed != 1 || s.LeaseFailed != 3 {
		t.Errorf("%+v", s)
	}
	f.setRefuse(func(string) int { return 0 })
	if _, l = beat(); l.Failed || l.Deadline != deadline {
		t.Errorf("%+v", l)
	}
	if s := c.Stats(); s.LeaseMissed != 1 || s.LeaseRenewals != 3 {
		t.Errorf("%+v", s)
	}
}
