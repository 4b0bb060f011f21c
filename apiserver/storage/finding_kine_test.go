package storage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/kubernetes"

	"github.com/planecheck/planecheck/apiserver/storage/database"
)

// The tests of this file show what kine does otherwise than etcd, see
// docs/findings. When one fails, kine was mended, or the version has changed:
// say so there, and strike the test.

const v0175, v0164 = ":version=v0.17.5", ":version=v0.16.4"

// bothVersions says whether the older version is to be shown, too: `make known`
// asks for that. It has to be built first, which is minutes more.
func bothVersions() bool { return os.Getenv("PLANECHECK_KNOWN") != "" }

func versions() []string {
	if bothVersions() {
		return []string{v0175, v0164}
	}
	return []string{v0175}
}

// busily runs clients that write other keys until the test's own work is done.
func busily(t *testing.T, b Backend, clients int, work func(c *kubernetes.Client)) {
	t.Helper()
	ctx, cancel := context.WithCancel(bounded(t))
	var running sync.WaitGroup
	for i := range clients {
		c := dial(t, b.Endpoints()...)
		running.Go(func() {
			rev := int64(0)
			for n := 0; ctx.Err() == nil; n++ {
				resp, err := c.OptimisticPut(ctx, fmt.Sprintf("/busy/%d", i), fmt.Append(nil, n), rev, kubernetes.PutOptions{GetOnFailure: rev != 0})
				if err != nil && ctx.Err() == nil {
					t.Error(err)
					return
				}
				if rev = resp.Revision; err == nil && !resp.Succeeded { // its revision was not told right
					rev = resp.KV.GetModRevision()
				}
			}
		})
	}
	defer running.Wait()
	defer cancel()
	work(dial(t, b.Endpoints()...))
}

// tries repeats what is lost or won by chance, until it happens or there were
// most of them.
func tries(t *testing.T, most int, happens func(try int) (what string)) (happened bool) {
	t.Helper()
	for try := range most {
		if what := happens(try); what != "" {
			t.Logf("try %d: %s", try+1, what)
			return true
		}
	}
	return false
}

// What these tests find in kine they do not find in etcd.
func TestEtcdIsNotAsKine(t *testing.T) {
	t.Parallel()
	const most = 20
	e := start(t, "etcd:members=1", Options{})
	two := []*kubernetes.Client{dial(t, e.Endpoints()...), dial(t, e.Endpoints()...)}
	busily(t, e, 4, func(c *kubernetes.Client) {
		for what, happens := range map[string]func(try int) string{
			"a create is told another revision": func(int) string { return recreation(t, c) },
			"a page is torn":                    func(int) string { return torn(t, c, streamed, "/busy/", 2) },
			"a list is torn":                    func(int) string { return torn(t, c, streamed, "/busy/", 0) },
			"a page in one answer is torn":      func(int) string { return torn(t, c, ranged, "/busy/", 2) },
			"a put is lost":                     func(try int) string { return lost(t, two, fmt.Sprintf("/put/%d", try)) },
			"two compactors win":                func(try int) string { return bothWin(t, two, int64(try)) },
			"progress goes back":                back(t, c),
			"an ended watch is spoken of":       func(try int) string { return afterEnd(t, c, try) },
		} {
			if tries(t, most, happens) {
				t.Error(what)
			}
		}
		resp, err := c.OptimisticDelete(bounded(t), "/registry/none", 7, kubernetes.DeleteOptions{GetOnFailure: true})
		if err != nil || resp.Succeeded {
			t.Errorf("delete of a key that never was: %+v, %v", resp, err)
		}
		if there, none := uncompared(t, c); there != "succeeded, and it is gone" || none != "succeeded, 0 deleted" {
			t.Errorf("deletes without a comparison: of a key that is there: %s; of one that never was: %s", there, none)
		}
	})
	for what, happens := range map[string]func(try int) string{
		"progress stays behind":    func(try int) string { return behind(t, e, try) },
		"another server is behind": func(try int) string { return past(t, two, try) },
	} {
		if tries(t, 5, happens) {
			t.Error(what)
		}
	}
	if said := watchTheFuture(t, e); said != "PASS" {
		t.Errorf("a client that watches the future: %s", said)
	}
}

// docs/findings/0009: the create of a key that was deleted before is answered
// with the revision that the store has by then, which may be that of another
// write. v0.16.4 answers with its own.
func TestKineAnswersARecreationWithAnotherRevision(t *testing.T) {
	f := func(spec string, most int, want bool) {
		t.Helper()
		k := startKine(t, spec, Options{})
		busily(t, k, 4, func(c *kubernetes.Client) {
			if wrong := tries(t, most, func(int) string { return recreation(t, c) }); wrong != want {
				t.Errorf("%s: in up to %d tries a create was told another revision: %v", spec, most, wrong)
			}
		})
	}
	f(kineSQLiteName+v0175, 5000, true)
	if bothVersions() {
		f(kineSQLiteName+v0164, 300, false)
	}
}

// recreation creates a key that was there before, deletes it again, and says
// whether the create was answered with another revision than it had, "": it was
// not.
func recreation(t *testing.T, c *kubernetes.Client) string {
	t.Helper()
	const key = "/registry/leases/ns/one"
	ctx := bounded(t)
	told := mustPut(t, c, key, "x", 0)
	resp, err := c.Kubernetes.Get(ctx, key, kubernetes.GetOptions{})
	if err != nil || resp.KV == nil {
		t.Fatalf("get what was created: %+v, %v", resp, err)
	}
	is := resp.KV.ModRevision
	if gone, err := c.OptimisticDelete(ctx, key, is, kubernetes.DeleteOptions{GetOnFailure: true}); err != nil || !gone.Succeeded {
		t.Fatalf("delete: %+v, %v", gone, err)
	}
	if told == is {
		return ""
	}
	return fmt.Sprintf("created at revision %d, told %d", is, told)
}

// docs/findings/0011: the first page of a list says a revision that is later than
// what it holds, of one that is streamed in v0.17.5, and of one in one answer before
// that, which streams none. The API server reads the following pages at it.
func TestKinePageIsOlderThanItSays(t *testing.T) {
	f := func(name, version string, list lister, most int, want bool) {
		t.Run(name, func(t *testing.T) {
			k := startKine(t, kineSQLiteName+version, Options{})
			busily(t, k, 4, func(c *kubernetes.Client) {
				if got := tries(t, most, func(int) string { return torn(t, c, list, "/busy/", 2) }); got != want {
					t.Errorf("in up to %d tries a page was not of its revision: %v", most, got)
				}
			})
		})
	}
	f("v0.17.5, streamed", v0175, streamed, 2000, true)
	f("v0.17.5, in one answer", v0175, ranged, 300, false)
	if bothVersions() {
		f("v0.16.4, in one answer", v0164, ranged, 2000, true)
	}
}

// docs/findings/0022: where the limit of a stream is as many keys as its first batches
// hold, it shows one more and says that those are all.
func TestKineStreamsMoreThanTheLimit(t *testing.T) {
	k := startKine(t, kineSQLiteName+v0175, Options{})
	e := start(t, "etcd:members=1", Options{})
	for b, want := range map[Backend]string{
		k: "9 of 40, more: true; 11 of 40, more: false; 11 of 40, more: true; 31 of 40, more: false",
		e: "9 of 40, more: true; 10 of 40, more: true; 11 of 40, more: true; 30 of 40, more: true",
	} {
		c := dial(t, b.Endpoints()...)
		for i := range 40 {
			mustPut(t, c, fmt.Sprintf("/paged/%02d", i), "", 0)
		}
		var got []string
		for _, limit := range []int64{9, 10, 11, 30} {
			got = append(got, page(t, c, "/paged/", limit))
		}
		if got := strings.Join(got, "; "); got != want {
			t.Errorf("%s: with limits of 9, 10, 11 and 30: %s, want %s", b.Name(), got, want)
		}
	}
}

// page streams a first page and says of how many it shows how many.
func page(t *testing.T, c *kubernetes.Client, prefix string, limit int64) string {
	t.Helper()
	stream, err := pb.NewKVClient(c.ActiveConnection()).RangeStream(bounded(t), &pb.RangeRequest{
		Key: []byte(prefix), RangeEnd: []byte(clientv3.GetPrefixRangeEnd(prefix)), Limit: limit,
	})
	shown, said := 0, ""
	for err == nil {
		var m *pb.RangeStreamResponse
		if m, err = stream.Recv(); err == nil {
			shown += len(m.GetRangeResponse().GetKvs())
			said = fmt.Sprintf("%d of %d, more: %v", shown, m.GetRangeResponse().GetCount(), m.GetRangeResponse().GetMore())
		}
	}
	if !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	return said
}

// docs/findings/0013: on a database where the numbers of rows are drawn before
// they are committed, a list of a revision lacks earlier revisions that are
// committed later. SQLite has one writer at a time.
func TestKineListLacksEarlierRevisions(t *testing.T) {
	f := func(spec string, db *database.Server, list lister, most int, want bool) {
		t.Run(spec, func(t *testing.T) {
			if db != nil {
				installed(t, db)
			}
			k := startKine(t, spec, Options{Dir: passable(t)})
			busily(t, k, 4, func(c *kubernetes.Client) {
				if got := tries(t, most, func(int) string { return torn(t, c, list, "/busy/", 0) }); got != want {
					t.Errorf("in up to %d tries a list was not of its revision: %v", most, got)
				}
			})
		})
	}
	f(kinePostgresName, database.Postgres(""), streamed, 2000, true)
	f(kineMariaDBName, database.MariaDB(""), streamed, 2000, true)
	f(kineSQLiteName, nil, streamed, 100, false)
	if bothVersions() {
		f(kinePostgresName+v0164, database.Postgres(""), ranged, 2000, true)
	}
}

// The store in memory reads a stream's keys while they are written, and says the
// revision from before.
func TestKineMemoryStreamsTheFuture(t *testing.T) {
	k := startKine(t, kineMemoryName, Options{})
	busily(t, k, 4, func(c *kubernetes.Client) {
		if !tries(t, 5000, func(int) string { return torn(t, c, streamed, "/busy/", 0) }) {
			t.Error("each list was what the store held at its revision")
		}
	})
}

// docs/findings/0012: with the next event the store in memory sends again as many
// as there were compactions, of those that the watch wanted.
func TestKineMemorySendsEventsAgain(t *testing.T) {
	for b, want := range map[Backend]string{
		startKine(t, kineMemoryName, Options{}): "4, 4 5, 4 5 6",
		start(t, "etcd:members=1", Options{}):   "4, 5, 6",
	} {
		if got := afterCompactions(t, b); got != want {
			t.Errorf("%s: after one, two and three compactions the watch showed updates %s, want %s", b.Name(), got, want)
		}
	}
	if bothVersions() {
		if got := afterCompactions(t, startKine(t, kineMemoryName+v0164, Options{})); got != "3 4, 3 4 5, 3 4 5 6" {
			t.Errorf("v0.16.4 showed updates %s", got)
		}
	}
}

// afterCompactions updates a key, and three times more, each time after a
// compaction, while it watches the key. It tells which updates came each time.
func afterCompactions(t *testing.T, b Backend) string {
	t.Helper()
	ctx := bounded(t)
	c := dial(t, b.Endpoints()...)
	const key = "/registry/a"
	var revisions []int64
	for i, rev := 0, int64(0); i < 4; i++ {
		rev = mustPut(t, c, key, fmt.Sprint(i), rev)
		revisions = append(revisions, rev)
	}
	events := c.Watch(ctx, key, clientv3.WithRev(revisions[3]+1), clientv3.WithCreatedNotify())
	if m := <-events; !m.Created {
		t.Fatalf("watch: %+v", m)
	}
	var seen []string
	for i := range 3 {
		if _, err := c.Compact(ctx, revisions[i+1]); err != nil {
			t.Fatal(err)
		}
		n := fmt.Sprint(i + 4)
		revisions = append(revisions, mustPut(t, c, key, n, revisions[i+3]))
		var came []string
		for !slices.Contains(came, n) {
			m := <-events
			if m.Err() != nil {
				t.Fatal(m.Err())
			}
			for _, e := range m.Events {
				came = append(came, string(e.Kv.Value))
			}
		}
		seen = append(seen, strings.Join(came, " "))
	}
	return strings.Join(seen, ", ")
}

// torn lists, and says what of it is not what the store held at the revision that
// the list says, "": nothing.
func torn(t *testing.T, c *kubernetes.Client, of lister, prefix string, limit int64) string {
	t.Helper()
	revision, list := of(t, c, prefix, 0, limit)
	if revision == 0 {
		return ""
	}
	_, then := of(t, c, prefix, revision, limit)
	for i, kv := range list {
		if i < len(then) && then[i].ModRevision != kv.ModRevision {
			return fmt.Sprintf("the list of revision %d shows %s of revision %d; read at that revision it is of %d", revision, kv.Key, kv.ModRevision, then[i].ModRevision)
		}
	}
	return ""
}

// lister lists up to so many keys, 0: all, as of a revision, 0: the current one, and
// returns of which revision they are said to be.
type lister func(t *testing.T, c *kubernetes.Client, prefix string, at, limit int64) (revision int64, list []*mvccpb.KeyValue)

// ranged lists in one answer.
func ranged(t *testing.T, c *kubernetes.Client, prefix string, at, limit int64) (int64, []*mvccpb.KeyValue) {
	t.Helper()
	resp, err := pb.NewKVClient(c.ActiveConnection()).Range(bounded(t), &pb.RangeRequest{
		Key: []byte(prefix), RangeEnd: []byte(clientv3.GetPrefixRangeEnd(prefix)), Revision: at, Limit: limit,
	})
	if err != nil {
		t.Fatal(err)
	}
	return resp.GetHeader().GetRevision(), resp.GetKvs()
}

// streamed lists with RangeStream.
func streamed(t *testing.T, c *kubernetes.Client, prefix string, at, limit int64) (revision int64, list []*mvccpb.KeyValue) {
	t.Helper()
	stream, err := pb.NewKVClient(c.ActiveConnection()).RangeStream(bounded(t), &pb.RangeRequest{
		Key: []byte(prefix), RangeEnd: []byte(clientv3.GetPrefixRangeEnd(prefix)), Revision: at, Limit: limit,
	})
	for err == nil {
		var m *pb.RangeStreamResponse
		if m, err = stream.Recv(); err == nil {
			list = append(list, m.GetRangeResponse().GetKvs()...)
			revision = max(revision, m.GetRangeResponse().GetHeader().GetRevision())
		}
	}
	if !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	return revision, list
}
