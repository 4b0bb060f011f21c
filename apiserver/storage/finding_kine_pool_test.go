package storage

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.etcd.io/etcd/client/v3/kubernetes"

	"github.com/planecheck/planecheck/apiserver/storage/database"
)

// What kine does with its connections to PostgreSQL, see finding_kine_test.go.

// docs/findings/0014: kine opens as many connections to PostgreSQL as it likes, two for
// a write, and answers creates for which PostgreSQL has none left as done. With room
// for all of them it does not. PostgreSQL as it is installed takes 100.
func TestKineAcknowledgesWhatItHadNoConnectionFor(t *testing.T) {
	installed(t, database.Postgres(""))
	f := func(version string, connections, clients, most int, want bool) {
		t.Run(fmt.Sprintf("%d clients on %d connections%s", clients, connections, version), func(t *testing.T) {
			k := startKineOn(t, kinePostgresName+version, func(d kineData) kineData { return roomFor{d, connections} })
			c := dial(t, k.Endpoints()...)
			if got := tries(t, most, func(try int) string { return createdInVain(t, c, clients, try) }); got != want {
				t.Errorf("in up to %d tries a create was acknowledged that is not there: %v", most, got)
			}
		})
	}
	const few = 16
	f(v0175, few, few, 1000, true)
	f(v0175, 4*few, few, 50, false)
	if bothVersions() {
		f(v0175, 100, 100, 200, true)
		f(v0175, 400, 100, 10, false)
		f(v0164, 100, 100, 20, false)
	}
}

// createdInVain creates as many keys as there are clients at one time, and says which
// of those creates was answered as done and left no key, "": none.
func createdInVain(t *testing.T, c *kubernetes.Client, clients, try int) string {
	t.Helper()
	ctx := bounded(t)
	key := func(i int) string { return fmt.Sprintf("/registry/pods/%d/%d", try, i) }
	told := make([]int64, clients) // the revision of a create that was answered as done
	var all sync.WaitGroup
	for i := range told {
		all.Go(func() {
			// Who is told of an error, or that the key is there, will look again.
			if resp, err := c.OptimisticPut(ctx, key(i), []byte("x"), 0, kubernetes.PutOptions{}); err == nil && resp.Succeeded {
				told[i] = resp.Revision
			}
		})
	}
	all.Wait()
	for i, rev := range told {
		if rev == 0 {
			continue
		}
		got, err := c.Kubernetes.Get(ctx, key(i), kubernetes.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if got.KV == nil {
			return fmt.Sprintf("%s was created at revision %d, and is not there at revision %d", key(i), rev, got.Revision)
		}
	}
	return ""
}

// roomFor is PostgreSQL that takes so many connections.
type roomFor struct {
	kineData
	connections int
}

func (d roomFor) Start(ctx context.Context, dir string, died func(error)) (string, error) {
	if _, err := d.kineData.Start(ctx, dir, died); err != nil { // which makes the data
		return "", err
	}
	if err := d.Stop(); err != nil {
		return "", err
	}
	// It is read after postgresql.conf, and wins.
	settings := fmt.Appendf(nil, "max_connections = %d\n", d.connections)
	if err := os.WriteFile(filepath.Join(dir, "data", "postgresql.auto.conf"), settings, 0o644); err != nil {
		return "", err
	}
	return d.kineData.Start(ctx, dir, died)
}

// docs/findings/0021: kine begins a transaction on one connection and waits for
// another to write on. Where their number is limited, writes that come at one time
// wait for each other until their clients give up.
func TestKineHangsWithALimitedPool(t *testing.T) {
	installed(t, database.Postgres(""))
	for _, version := range versions() {
		k := startKine(t, kinePostgresName+version, Options{Dir: passable(t)})
		limited := dial(t, secondKine(t, k, "--datastore-max-open-connections=20")) // one of which its poll keeps
		bound := 10 * time.Second
		if version != v0175 { // it answers, when a busy machine lets it
			bound = 2 * time.Minute
		}
		if got := tries(t, 10, func(try int) string { return hung(t, limited, bound, fmt.Sprintf("/limited/%d/", try)) }); got != (version == v0175) {
			t.Errorf("%s: with 20 connections, of 40 creates at one time no more was answered in %v: %v", version, bound, got)
		}
		// It goes on when they have given up, if not at once: what they left is a bad connection at first.
		again, ctx := 0, bounded(t)
		await(t, "a create is answered", func() bool {
			again++
			resp, err := limited.OptimisticPut(ctx, fmt.Sprintf("/limited/after/%d", again), nil, 0, kubernetes.PutOptions{})
			return err == nil && resp.Succeeded
		})
		if what := hung(t, dial(t, k.Endpoints()...), 2*time.Minute, "/unlimited/"); what != "" {
			t.Errorf("%s: with as many connections as it likes: %s", version, what)
		}
	}
}

// hung creates 40 keys at one time and says how many of those creates had no
// answer within a bound, "": none.
func hung(t *testing.T, c *kubernetes.Client, bound time.Duration, prefix string) string {
	t.Helper()
	if _, err := c.Kubernetes.Get(bounded(t), prefix, kubernetes.GetOptions{}); err != nil { // it serves
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), bound)
	defer cancel()
	var none [40]bool
	var all sync.WaitGroup
	for i := range none {
		all.Go(func() {
			_, err := c.OptimisticPut(ctx, fmt.Sprint(prefix, i), nil, 0, kubernetes.PutOptions{})
			none[i] = err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded)
		})
	}
	all.Wait()
	n := 0
	for _, is := range none {
		if is {
			n++
		}
	}
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("%d of %d creates had no answer in %v", n, len(none), bound)
}
