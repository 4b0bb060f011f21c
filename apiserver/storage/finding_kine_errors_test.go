package storage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"go.etcd.io/etcd/client/v3/kubernetes"
	"golang.org/x/sys/unix"

	"github.com/planecheck/planecheck/apiserver/storage/database"
	"github.com/planecheck/planecheck/apiserver/storage/kine"
)

// What kine answers when its database fails, see finding_kine_test.go.

// startKineOn starts kine on a database that a test has changed.
func startKineOn(t *testing.T, spec string, change func(kineData) kineData) *kineBackend {
	t.Helper()
	k := openAs[*kineBackend](t, spec, Options{Dir: passable(t)})
	if _, err := kine.Binary(t.Context(), k.version, k.opt.Log); err != nil {
		t.Fatal(err)
	}
	k.database = change(k.database)
	if err := k.Start(bounded(t)); err != nil {
		t.Fatal(err)
	}
	return k
}

// impatient is SQLite that waits 100 ms rather than 30 s for who holds the lock
// of writers.
type impatient struct{ sqlite }

func (impatient) Start(ctx context.Context, dir string, died func(error)) (string, error) {
	endpoint, err := sqlite{}.Start(ctx, dir, died)
	return strings.Replace(endpoint, "_busy_timeout=30000", "_busy_timeout=100", 1), err
}

// lockSQLite takes the lock of writers in a database's shared memory, as another
// process that writes would (https://sqlite.org/walformat.html, section 2.3). unlock
// gives it back.
func lockSQLite(t *testing.T, dir string) (unlock func()) {
	t.Helper()
	const writeLock = 120
	f, err := os.OpenFile(filepath.Join(dir, "state.db-shm"), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if err := unix.FcntlFlock(f.Fd(), unix.F_SETLK, &unix.Flock_t{Type: unix.F_WRLCK, Start: writeLock, Len: 1}); err != nil {
		t.Fatal(err)
	}
	return func() { f.Close() }
}

// docs/findings/0014: the create of a key is answered as done when the database
// has refused it.
func TestKineAcknowledgesWhatItsDatabaseRefused(t *testing.T) {
	for _, version := range versions() {
		k := startKineOn(t, kineSQLiteName+version, func(kineData) kineData { return impatient{} })
		c := dial(t, k.Endpoints()...)
		const old, key = "/registry/a", "/registry/b"
		first := mustPut(t, c, old, "one", 0)
		unlock := lockSQLite(t, k.dir)
		created, createErr := c.OptimisticPut(bounded(t), key, nil, 0, kubernetes.PutOptions{})
		updated, updateErr := c.OptimisticPut(bounded(t), old, []byte("two"), first, kubernetes.PutOptions{GetOnFailure: true})
		unlock()
		got, err := c.Kubernetes.Get(bounded(t), key, kubernetes.GetOptions{})
		if err != nil || got.KV != nil {
			t.Fatalf("%s: created while the database was locked: %+v, %v", version, got, err)
		}
		if acknowledged := createErr == nil && created.Succeeded; acknowledged != (version == v0175) {
			t.Errorf("%s: a create that the database refused: %+v, %v", version, created, createErr)
		}
		// docs/findings/0015
		if updateErr != nil || updated.Succeeded || updated.KV.GetModRevision() != first {
			t.Errorf("%s: an update that the database refused, from revision %d: %+v, %v; it used to be told that its comparison failed", version, first, updated, updateErr)
		}
	}
}

// docs/findings/0015: a write of which the database does not confirm the commit is
// answered as one whose comparison failed. It is in force also where the commit has
// not come to the database (0021). v0.16.4 has no transactions to commit.
func TestKineRefusesWhatItHasWritten(t *testing.T) {
	installed(t, database.Postgres(""))
	for name, before := range map[string]bool{"cut after the commit": false, "cut before the commit": true} {
		t.Run(name, func(t *testing.T) { refusesWhatItHasWritten(t, before) })
	}
}

func refusesWhatItHasWritten(t *testing.T, before bool) {
	var cut *cutDatabase
	k := startKineOn(t, kinePostgresName+v0175, func(d kineData) kineData {
		cut = &cutDatabase{kineData: d, before: before}
		return cut
	})
	c := dial(t, k.Endpoints()...)
	const key = "/registry/a"
	cut.next.Store(true)
	created, err := c.OptimisticPut(bounded(t), key, []byte("one"), 0, kubernetes.PutOptions{})
	if err != nil || created.Succeeded {
		t.Errorf("create: %+v, %v; it used to be told that the key is there", created, err)
	}
	wantValue(t, c, key, "one")
	got, err := c.Kubernetes.Get(bounded(t), key, kubernetes.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	cut.next.Store(true)
	updated, err := c.OptimisticPut(bounded(t), key, []byte("two"), got.KV.GetModRevision(), kubernetes.PutOptions{GetOnFailure: true})
	if err != nil || updated.Succeeded || string(updated.KV.GetValue()) != "two" {
		t.Errorf("update: %+v, %v; it used to be told that the comparison failed, and shown its own value", updated, err)
	}
	cut.next.Store(true)
	deleted, err := c.OptimisticDelete(bounded(t), key, updated.KV.GetModRevision(), kubernetes.DeleteOptions{GetOnFailure: true})
	if err != nil || deleted.Succeeded || deleted.KV != nil {
		t.Errorf("delete: %+v, %v; it used to be told that the comparison failed, and no key", deleted, err)
	}
	if cut.next.Load() {
		t.Error("no connection was cut: kine commits in another way")
	}
}

// cutDatabase is PostgreSQL behind something that ends a connection when the
// server has committed, before kine is told, or before the server is told to.
type cutDatabase struct {
	kineData
	before  bool // the server is told
	front   net.Listener
	next    atomic.Bool // the next commit
	serving sync.WaitGroup
}

func (d *cutDatabase) Start(ctx context.Context, dir string, died func(error)) (string, error) {
	endpoint, err := d.kineData.Start(ctx, dir, died)
	if err != nil {
		return "", err
	}
	dsn, err := url.Parse(endpoint)
	if err != nil {
		return "", errors.Join(fmt.Errorf("the endpoint of the database: %w", err), d.kineData.Stop())
	}
	if d.front, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return "", errors.Join(err, d.kineData.Stop())
	}
	server := dsn.Host
	dsn.Host = d.front.Addr().String()
	d.serving.Go(func() {
		for {
			client, err := d.front.Accept()
			if err != nil {
				return
			}
			d.serving.Go(func() { d.serve(client, server) })
		}
	})
	return dsn.String(), nil
}

func (d *cutDatabase) Stop() error {
	err := d.kineData.Stop() // with which the connections end
	if d.front != nil {
		err = errors.Join(err, d.front.Close())
		d.front = nil
	}
	d.serving.Wait()
	return err
}

func (d *cutDatabase) serve(client net.Conn, address string) {
	defer client.Close()
	server, err := net.Dial("tcp", address)
	if err != nil {
		return
	}
	defer server.Close()
	var cut atomic.Bool
	d.serving.Go(func() {
		defer client.Close()
		forward(client, server, func([]byte) bool { return !cut.Load() })
	})
	forward(server, client, func(sent []byte) bool {
		if bytes.Contains(sent, []byte("commit\x00")) && d.next.CompareAndSwap(true, false) {
			cut.Store(true)
			return !d.before
		}
		return true
	})
}

// forward copies until either ends, or what is read is not to pass.
func forward(to, from net.Conn, pass func([]byte) bool) {
	buf := make([]byte, 1<<16)
	for {
		n, err := from.Read(buf)
		if err != nil || !pass(buf[:n]) {
			return
		}
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}
