package scenarios

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"

	clientrecord "github.com/planecheck/planecheck/apiserver/client/record"
	"github.com/planecheck/planecheck/apiserver/storage"
	"github.com/planecheck/planecheck/apiserver/storage/record"
	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/history/archive"
	"github.com/planecheck/planecheck/checkers/history/object"
)

// historyDir is the folder of a run directory that holds its histories.
const historyDir = "history"

// auditBound bounds what is asked of the store after everything else has
// stopped, for the history to end with.
const auditBound = time.Minute

// othersBound bounds how long the end of an epoch waits for members that are behind.
const othersBound = 10 * time.Second

// recording is the histories of a run on their way to the disk.
type recording struct {
	archive *archive.Writer
	store   *archive.StoreWriter
	api     *archive.APIWriter
	watch   *record.FullWatch // of all keys of one member, nil before follow
	// others are of all keys of each other member, so that every revision is seen
	// at every member. None where that would be a load: see everyMember.
	others []*record.FullWatch
	every  bool // that there are others
	// hurry leaves out the audit, which takes seconds per gigabyte: a person who
	// has pressed Ctrl-C does not wait for the end of a history that proves
	// nothing any more.
	hurry bool
	log   *slog.Logger
	// members are the store's, from follow on.
	members []storage.Member
	hashing hashing
	// failed has the error after which the history is incomplete.
	failed chan error

	mu      sync.Mutex
	restore *history.Restore // guarded by mu
}

// newRecording begins the histories of a run; every: all events are asked of each
// member of its store, not of one; calm: no fault acts just now.
func newRecording(runDir string, every bool, calm func() bool, log *slog.Logger) (*recording, error) {
	// The members of etcd sync to the same disk for every write: an archive
	// that synced, too, would slow them down. What a crash of the machine
	// leaves behind reads as incomplete.
	failed := make(chan error, 1)
	w, err := archive.Create(filepath.Join(runDir, historyDir), archive.Options{NoSync: true, Failed: func(err error) { failed <- err }})
	if err != nil {
		return nil, err
	}
	r := &recording{archive: w, every: every, failed: failed, log: log}
	r.hashing = hashing{
		hash:      func(ctx context.Context) (int64, error) { return storage.Hash(ctx, r.members) },
		compacted: make(chan struct{}, 1), calm: calm, log: log,
	}
	storage.AsRecorder(func() { // which write on goroutines of their own
		if r.store, err = archive.NewStoreWriter(w); err == nil {
			r.api, err = archive.NewAPIWriter(w)
		}
	})
	if err != nil {
		return nil, errors.Join(err, w.Close())
	}
	return r, nil
}

// observer is the ear of the client layer: the measurement's own, and the API
// history's if that is kept.
func (r *recording) observer(measure history.Observer) history.Observer {
	if r == nil {
		return measure
	}
	return observers{measure, clientrecord.New(r.api)}
}

// observers are told one after the other.
type observers []history.Observer

func (o observers) Request(r *history.Request) {
	for _, one := range o {
		one.Request(r)
	}
}

func (o observers) WatchEvent(e *history.WatchEvent) {
	for _, one := range o {
		one.WatchEvent(e)
	}
}

// versions writes a row of the version table for every event.
func (r *recording) versions(resp *pb.WatchResponse) {
	for _, e := range resp.GetEvents() {
		key := string(e.GetKv().GetKey())
		var v history.Version
		if e.GetType() == mvccpb.Event_DELETE {
			v.Delete = true
			v.Group, v.Resource = object.Locate(key)
		} else {
			v = object.Stored(key, asServed(e.GetKv().GetValue()))
		}
		v.Key, v.Revision = key, e.GetKv().GetModRevision()
		r.api.Version(&v)
	}
}

// sink takes the records; nil if nothing is recorded.
func (r *recording) sink() history.StoreSink {
	if r == nil {
		return nil
	}
	return compactions{r.store, r.hashing.compacted}
}

// follow begins to watch all keys, at the store's first member as long as that is
// up, which gives the order of everything, also of what nobody has acknowledged,
// and the version table.
func (r *recording) follow(members []storage.Member) (err error) {
	if r == nil {
		return nil
	}
	opt := record.FullWatchOptions{Endpoint: members[0].Endpoint, Below: members[0].Below(), Events: r.versions}
	for _, m := range members[1:] {
		opt.Others = append(opt.Others, m.Endpoint)
	}
	r.members = members
	storage.AsRecorder(func() {
		if r.watch, err = record.StartFullWatch(opt); err == nil && r.every {
			err = r.followOthers(members[1:])
		}
		if err == nil && len(members) > 1 {
			r.hashing.start()
		}
	})
	return err
}

// followOthers watches all keys of each of the members, and nowhere else: what was
// compacted while a member was down is missing at that member, not in the history.
func (r *recording) followOthers(members []storage.Member) error {
	for _, m := range members {
		w, err := record.StartFullWatch(record.FullWatchOptions{Endpoint: m.Endpoint, Below: m.Below(), Skip: true})
		if err != nil {
			return err
		}
		r.others = append(r.others, w)
	}
	return nil
}

// stopWatches ends what follow began.
func (r *recording) stopWatches() error {
	err := r.watch.Stop()
	for _, w := range r.others {
		// A member that did not let itself be watched is one watch less, which
		// the verdict counts.
		_ = w.Stop()
	}
	r.watch, r.others = nil, nil
	return err
}

// setHurry says whether the audit is to be left out.
func (r *recording) setHurry(hurry bool) {
	if r != nil {
		r.hurry = hurry
	}
}

// seen is the revision up to which the version table goes just now.
func (r *recording) seen() int64 {
	if r == nil || r.watch == nil {
		return 0
	}
	return r.watch.Seen()
}

// finish asks the store, of which nobody else asks any more, for what the
// history must end with. What fails here, because the store is broken, say, is
// missing in the history, and the checkers say so; it is no fault of the
// harness.
func (r *recording) finish() {
	if r == nil || r.watch == nil {
		return
	}
	r.hashing.stop()
	if r.hurry {
		_ = r.stopWatches() // they had not seen everything: nobody asks
		return
	}
	ctx, cancel := context.WithTimeoutCause(context.Background(), auditBound, fmt.Errorf("it had %v", auditBound))
	defer cancel()
	if err := errors.Join(r.Settle(ctx), r.stopWatches()); err != nil {
		r.log.Warn("the storage history ends without an audit, or without all versions", "err", err)
	}
}

// Settle implements faults.Recording: it asks the store for what the history of an
// epoch ends with, and returns when everything until then has come.
func (r *recording) Settle(ctx context.Context) error {
	revision, err := storage.Audit(ctx, r.members)
	if err == nil {
		err = r.watch.Await(ctx, revision)
	}
	if err != nil {
		return fmt.Errorf("end an epoch of the history: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, othersBound)
	defer cancel()
	for _, w := range r.others {
		if err := w.Await(ctx, revision); err != nil {
			r.log.Warn("a member has not shown everything", "err", err)
		}
	}
	return nil
}

// GoOn implements faults.Recording.
func (r *recording) GoOn(after int64) {
	r.watch.GoOn(after)
	for _, w := range r.others {
		w.GoOn(after)
	}
}

// Restored implements faults.Recording.
func (r *recording) Restored(restore history.Restore) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.restore = &restore
}

// restored is the restoration of the store in the course of the run, nil: there
// was none.
func (r *recording) restored() *history.Restore {
	if r == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.restore
}

// close ends the history. An error means that the history is incomplete, which
// its reader will find out as well.
func (r *recording) close() {
	if r == nil {
		return
	}
	if err := r.archive.Close(); err != nil {
		r.log.Error("the history is incomplete", "err", err)
	}
}
