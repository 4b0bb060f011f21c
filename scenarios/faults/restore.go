package faults

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/planecheck/planecheck/apiserver/storage"
	"github.com/planecheck/planecheck/checkers/history"
)

// revisionBump is far above what is written between the snapshot and its
// restoration. etcd's documentation reckons with a week of 1,500 writes/s, a
// billion; numbers of revisions are the index of some tables here.
const revisionBump = 1_000_000

// Recording is what keeps the histories of the run, as a restoration of the store
// sees it.
type Recording interface {
	// Settle returns when everything that was written is in the histories, and
	// asks the store for what the history of an epoch ends with.
	Settle(ctx context.Context) error
	// GoOn says that the store goes on with the revision after that one.
	GoOn(after int64)
	// Restored is told of the restoration.
	Restored(history.Restore)
}

// restore brings the store back to a snapshot that was taken under load, as the
// documentation of Kubernetes asks for it (operating etcd clusters): all API
// servers are stopped first, and started anew when it heals; and so are, lest they
// rely on what is no more, schedulers, controller managers and kubelets. (A
// scheduler that is not ends itself when it sees a pod on another node.) The
// evidence is the store's revision, and that what was written after the snapshot
// cannot be read.
func restore(bump int64) func(context.Context, *Env, string) (*Active, error) {
	return func(ctx context.Context, e *Env, _ string) (*Active, error) {
		restorer, err := as[storage.SnapshotRestorer](e)
		if err != nil {
			return nil, err
		}
		leads, err := findLeader(ctx, e)
		if err != nil {
			return nil, err
		}
		file := filepath.Join(filepath.Dir(leads.DataDir), "snapshot.db")
		defer os.Remove(file)
		kept, err := restorer.SaveSnapshot(ctx, leads.Name, file)
		if err != nil {
			return nil, err
		}
		if _, err := awaitRevisions(ctx, e, lostRevisions); err != nil {
			return nil, err
		}
		var down []string
		a := &Active{heal: func(ctx context.Context) (string, error) { return beginAll(ctx, e, down) }}
		down, err = endComponents(ctx, e)
		if err != nil {
			return nil, healed(ctx, a, err)
		}
		r := history.Restore{Kept: kept, Bumped: kept + bump}
		if err := restoreQuietly(ctx, e, restorer, file, &r); err != nil {
			return nil, healed(ctx, a, err)
		}
		return shown(ctx, a, "the store to be what it was", func(ctx context.Context) (err error) {
			a.Evidence, err = restored(ctx, e, r)
			return err
		})
	}
}

// restoreQuietly restores the store, of which nobody asks anything.
func restoreQuietly(ctx context.Context, e *Env, restorer storage.SnapshotRestorer, file string, r *history.Restore) (err error) {
	if e.Recording != nil {
		if err := e.Recording.Settle(ctx); err != nil {
			return err
		}
	}
	if r.Told, err = revision(ctx, e); err != nil {
		return err
	}
	if e.Recording != nil {
		e.Recording.GoOn(r.Bumped)
	}
	// Cut short it would leave a store that nobody can bring back.
	ctx, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), undoBound, fmt.Errorf("it had %v", undoBound))
	defer cancel()
	if r.At, err = restorer.RestoreSnapshot(ctx, file, uint64(r.Bumped-r.Kept)); err != nil {
		return err
	}
	if e.Recording != nil {
		e.Recording.Restored(*r)
	}
	return nil
}

// endComponents stops the control plane in good order, at once, because some take
// seconds, and returns those that it has tried to stop also with an error: the API
// servers first.
func endComponents(ctx context.Context, e *Env) (down []string, err error) {
	components := e.Plane.Components()
	errs := make([]error, len(components))
	var ending sync.WaitGroup
	for i, c := range components {
		down = append(down, c.Name)
		ending.Go(func() { errs[i] = e.Plane.End(c.Name, syscall.SIGTERM) })
	}
	ending.Wait()
	for _, c := range components {
		errs = append(errs, await(ctx, c.Name+" to be gone", func(context.Context) error { return gone(c.PID) }))
	}
	return down, errors.Join(errs...)
}

// beginAll starts components again, and kubelets anew. One that cannot be started
// does not keep the others down.
func beginAll(ctx context.Context, e *Env, names []string) (string, error) {
	var evidence string
	var errs []error
	for _, name := range names {
		seen, err := begin(ctx, e, name)
		errs = append(errs, err)
		evidence += name + ": " + seen + "; "
	}
	errs = append(errs, e.Nodes.RestartKubelets(e.Nodes.Nodes()...))
	leads, err := awaitLeader(ctx, e)
	return evidence + leads, errors.Join(append(errs, err)...)
}

// restored looks whether the store is what the snapshot was. With a bump a watcher
// that asks for what it had not seen yet has to be told that this is gone.
func restored(ctx context.Context, e *Env, r history.Restore) (string, error) {
	now, err := revision(ctx, e)
	if err != nil {
		return "", err
	}
	if r.Bumped == r.Kept {
		if now >= r.Told {
			return "", fmt.Errorf("the store was at revision %d and is at %d", r.Told, now)
		}
		return fmt.Sprintf("the store is at revision %d and was at %d", now, r.Told), nil
	}
	if now < r.Bumped {
		return "", fmt.Errorf("the store is at revision %d, below %d", now, r.Bumped)
	}
	m := e.Store.Members()[0]
	err = ask(m, func(c *clientv3.Client) error {
		ctx, cancel := context.WithTimeout(ctx, dialBound)
		defer cancel()
		if _, err := c.Get(ctx, "planecheck", clientv3.WithRev(r.Told)); !errors.Is(err, rpctypes.ErrCompacted) {
			return fmt.Errorf("revision %d, which is lost, can be asked for: %w", r.Told, err)
		}
		told := <-c.Watch(ctx, "/registry/", clientv3.WithPrefix(), clientv3.WithRev(r.Told+1))
		if told.CompactRevision == 0 {
			return fmt.Errorf("a watch that had seen revision %d is not told that it is lost", r.Told)
		}
		return nil
	})
	return fmt.Sprintf("the store is at revision %d, was at %d, and its snapshot at %d; a watch from %d on is told that it is compacted",
		now, r.Told, r.Kept, r.Told+1), err
}
