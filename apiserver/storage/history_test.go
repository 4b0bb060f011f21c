package storage

import (
	"fmt"
	"strings"
	"testing"

	"go.etcd.io/etcd/client/v3/kubernetes"

	"github.com/planecheck/planecheck/apiserver/storage/record"
	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/checkers/history"
	checker "github.com/planecheck/planecheck/checkers/storage"
	"github.com/planecheck/planecheck/checkers/storage/storetest"
)

// tested says whether the histories here put a guarantee to enough tests: they have
// few compactions and leases, nothing is refused, and the judge is told of no member
// that ended.
func tested(guarantee string) bool {
	switch guarantee {
	case checker.CompactionHonest, checker.LeaseHonest, checker.DefiniteFailureInert, checker.Durable:
		return false
	}
	return true
}

// historyLog keeps the history of a cluster.
type historyLog struct{ storetest.Log }

func (l *historyLog) judge() map[string]checkers.Verdict { return l.judgeBy(checker.Etcd()) }

func (l *historyLog) judgeBy(contract checker.Contract, crashes ...history.Crash) map[string]checkers.Verdict {
	c := checker.New(checker.Options{
		Contract: contract, Start: 1, Floors: checker.Floors{Operations: 50, Conflicts: 5}, Crashes: crashes,
	})
	for _, op := range l.Ops {
		contract.Op(op)
		c.StoreOp(op)
	}
	for _, w := range l.Watches {
		contract.Watch(w)
		c.StoreWatch(w)
	}
	verdicts := map[string]checkers.Verdict{}
	for _, v := range c.Finish() {
		verdicts[v.Guarantee] = v
	}
	return verdicts
}

// The history of a real cluster, of which a member is restarted, is one that
// the checkers can judge and find good; with one answer changed, they do not.
func TestHistoryOfACluster(t *testing.T) {
	for _, spec := range both {
		t.Run(spec, func(t *testing.T) { testHistoryOfACluster(t, spec) })
	}
}

func testHistoryOfACluster(t *testing.T, spec string) {
	log := &historyLog{}
	e := startAs[interface {
		Backend
		MemberRestarter
	}](t, spec, Options{History: log})
	watch, err := record.StartFullWatch(record.FullWatchOptions{Endpoint: e.Members()[0].Endpoint})
	if err != nil {
		t.Fatal(err)
	}
	write := func(round int) {
		t.Helper()
		client := dial(t, e.Members()[0].Endpoint, e.Members()[1].Endpoint)
		for i := range 20 {
			key := fmt.Sprintf("/registry/configmaps/ns/%d-%d", round, i)
			rev := mustPut(t, client, key, "one", 0)
			mustPut(t, client, key, "two", rev)
			if resp, err := client.OptimisticPut(t.Context(), key, []byte("three"), rev, kubernetes.PutOptions{GetOnFailure: true}); err != nil || resp.Succeeded {
				t.Fatalf("a put on an old revision: %+v, %v", resp, err)
			}
		}
	}
	write(1)
	if err := e.StopMembers(t.Context(), e.Members()[2].Name); err != nil {
		t.Fatal(err)
	}
	switch e := any(e).(type) {
	case *etcdCluster:
		awaitLeader(t, e)
	case *processCluster:
		leads(t, e, "etcd-0", "etcd-1")
	}
	write(2)
	if err := e.RestartMember(t.Context(), e.Members()[2].Name); err != nil {
		t.Fatal(err)
	}
	complete(t, e, watch)

	for name, v := range log.judge() {
		judged := tested(name)
		if judged && v.Outcome != checkers.Pass || v.Outcome == checkers.Fail {
			t.Errorf("%s (%s)", v, v.Checked)
		}
	}
	for _, op := range log.Ops {
		if op.Method == history.MethodHashKV {
			op.Hash++
			break
		}
	}
	if v := log.judge()[checker.MembersAgree]; v.Outcome != checkers.Fail {
		t.Errorf("with another hash of one member: %s", v)
	}
}

// complete ends a history: a look at all members, and everything that is watched.
// It returns the last revision of it.
func complete(t *testing.T, b Backend, watch *record.FullWatch) int64 {
	t.Helper()
	revision, err := Audit(bounded(t), b.Members())
	if err != nil {
		t.Fatal(err)
	}
	if err := watch.Await(bounded(t), revision); err != nil {
		t.Fatal(err)
	}
	if err := watch.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := b.Stop(); err != nil {
		t.Fatal(err)
	}
	return revision
}

// contend puts keys twice each, and once more on a revision that is old by then.
func contend(t *testing.T, client *kubernetes.Client) {
	t.Helper()
	for i := range 30 {
		key := "/registry/configmaps/ns/" + strings.Repeat("x", i+1)
		rev := mustPut(t, client, key, "one", 0)
		mustPut(t, client, key, "two", rev)
		if resp, err := client.OptimisticPut(t.Context(), key, []byte("three"), rev, kubernetes.PutOptions{GetOnFailure: true}); err != nil || resp.Succeeded {
			t.Fatalf("a put on an old revision: %+v, %v", resp, err)
		}
	}
}

// repeatRevision tells of the first write as if it had been given the revision
// before.
func (l *historyLog) repeatRevision() {
	for _, op := range l.Ops {
		if op.Method == history.MethodTxn && op.Succeeded {
			op.Header--
			break
		}
	}
}
