package storage

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/kubernetes"
	"go.etcd.io/etcd/server/v3/storage/schema"
	"google.golang.org/grpc"

	"github.com/planecheck/planecheck/apiserver/storage/record"
	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/checkers/counterexample"
	"github.com/planecheck/planecheck/checkers/history"
	checker "github.com/planecheck/planecheck/checkers/storage"
)

// Hashes that are taken beside a load, after compactions, show whether the members
// agree: with one byte changed on the disk of one, they do not.
func TestHash(t *testing.T) {
	log := &historyLog{}
	e := start(t, "etcd", Options{History: log})
	watch, err := record.StartFullWatch(record.FullWatchOptions{Endpoint: e.Members()[0].Endpoint})
	if err != nil {
		t.Fatal(err)
	}
	client := dial(t, e.Members()[0].Endpoint)
	round := func(n int) {
		t.Helper()
		var rev int64
		for i := range 20 {
			key := fmt.Sprintf("/registry/configmaps/ns/%d-%d", n, i)
			rev = mustPut(t, client, key, "two", mustPut(t, client, key, "one", 0))
			if i%4 == 0 {
				resp, err := client.OptimisticPut(t.Context(), key, []byte("three"), rev-1, kubernetes.PutOptions{GetOnFailure: true})
				if err != nil || resp.Succeeded {
					t.Fatalf("a put on an old revision: %+v, %v", resp, err)
				}
			}
		}
		if err := watch.Await(bounded(t), rev); err != nil { // before what it still needs is compacted
			t.Fatal(err)
		}
		persist(t, "compact", func(ctx context.Context) error { _, err := client.Client.Compact(ctx, rev); return err })
		persist(t, "hash", func(ctx context.Context) error { _, err := Hash(ctx, e.Members()); return err })
	}
	for n := range 3 {
		round(n)
	}
	v := log.judge()[checker.MembersAgree]
	if want := "3 revisions with hashes of several members"; v.Outcome == checkers.Fail || !strings.Contains(v.Checked, want) {
		t.Errorf("%s (%s), want %q", v, v.Checked, want)
	}

	corrupt(t, e.members[2])
	round(3)
	// A member that still removes what the compaction left answers with a hash that
	// cannot be compared; the next one can.
	await(t, "different hashes", func() bool {
		persist(t, "hash", func(ctx context.Context) error { _, err := Hash(ctx, e.Members()); return err })
		v = log.judge()[checker.MembersAgree] // without the reads of everything in the end
		return v.Outcome == checkers.Fail
	})
	complete(t, e, watch)
	if !strings.Contains(v.Detail, "different hashes") || !counterexample.Tabled(v.Detail) {
		t.Errorf("with another byte in one member: %s", v)
	}
}

// corrupt changes a byte of the last write in the file of one member, as a disk may
// do, or a bug that lets a member apply another thing than the rest.
func corrupt(t *testing.T, m *etcdMember) {
	t.Helper()
	b := m.run.server.Backend()
	tx := b.BatchTx()
	tx.Lock()
	var key, value []byte
	if err := tx.UnsafeForEach(schema.Key, func(k, v []byte) error {
		key, value = bytes.Clone(k), bytes.Clone(v)
		return nil
	}); err != nil || value == nil {
		t.Errorf("%d bytes, %v", len(value), err)
	}
	value[bytes.Index(value, []byte("two"))]++
	tx.UnsafePut(schema.Key, key, value)
	tx.Unlock()
	b.ForceCommit()
}

// A member that does not answer is not compared, and no other one either: half a
// comparison is none.
func TestHashWithoutAMember(t *testing.T) {
	log := &historyLog{}
	e := start(t, "etcd", Options{History: log})
	if err := e.StopMembers(t.Context(), e.Members()[2].Name); err != nil {
		t.Fatal(err)
	}
	awaitLeader(t, e)
	if _, err := Hash(bounded(t), e.Members()); err == nil {
		t.Error("two members of three were compared")
	}
	for _, op := range log.Ops {
		if op.Method == history.MethodHashKV {
			t.Errorf("%s was asked for a hash", op.Member)
		}
	}
}

// BenchmarkHash is what a hash of all keys costs a member, and what it costs those
// who write meanwhile.
func BenchmarkHash(b *testing.B) {
	for _, keys := range []int{10_000, 50_000, 200_000} {
		b.Run(fmt.Sprint(keys), func(b *testing.B) {
			e := start(b, "etcd:members=1", Options{})
			client := dial(b, e.Endpoints()...)
			fill(b, client.Client, keys)
			slowest := make(chan time.Duration)
			ctx, cancel := context.WithCancel(b.Context())
			defer cancel()
			go func() { slowest <- write(ctx, client.Client) }()
			size := int64(0)
			for b.Loop() {
				if err := withMember(e.Members()[0], func(conn *grpc.ClientConn) error {
					m := pb.NewMaintenanceClient(conn)
					status, err := m.Status(ctx, &pb.StatusRequest{})
					if err != nil {
						return err
					}
					size = status.GetDbSizeInUse()
					_, err = m.HashKV(ctx, &pb.HashKVRequest{})
					return err
				}); err != nil {
					b.Fatal(err)
				}
			}
			cancel()
			b.ReportMetric(float64((<-slowest).Milliseconds()), "slowest-write-ms")
			b.ReportMetric(float64(size>>20), "MiB-in-use")
		})
	}
}

// fill puts keys of 1 KiB, by hundreds.
func fill(b *testing.B, client *clientv3.Client, keys int) {
	value := strings.Repeat("v", 1024)
	for i := 0; i < keys; i += 100 {
		var ops []clientv3.Op
		for j := i; j < i+100; j++ {
			ops = append(ops, clientv3.OpPut(fmt.Sprintf("/registry/pods/ns/%07d", j), value))
		}
		if _, err := client.Txn(b.Context()).Then(ops...).Commit(); err != nil {
			b.Fatal(err)
		}
	}
}

// write writes until it is to stop, and returns how long the slowest write took.
func write(ctx context.Context, client *clientv3.Client) (slowest time.Duration) {
	for {
		began := time.Now()
		if _, err := client.Put(ctx, "/registry/leases/a", "v"); err != nil {
			return slowest
		}
		slowest = max(slowest, time.Since(began))
	}
}
