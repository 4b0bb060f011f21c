package storage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/etcdutl/v3/snapshot"
	"go.uber.org/zap"
	"google.golang.org/grpc"

	"github.com/planecheck/planecheck/checkers/history"
)

// SaveSnapshot implements SnapshotRestorer. The stream ends with a checksum,
// which is part of the file and is looked at when it is restored.
func (c *processCluster) SaveSnapshot(ctx context.Context, name, file string) (revision int64, err error) {
	c.op.Lock()
	defer c.op.Unlock()
	m, err := c.findUp(name)
	if err != nil {
		return 0, fmt.Errorf("save a snapshot: %w", err)
	}
	part := file + ".part"
	var saved snapshot.Status
	err = m.ask(ctx, func(ctx context.Context, conn *grpc.ClientConn) error { return receiveSnapshot(ctx, conn, part) })
	if err == nil {
		saved, err = snapshot.NewV3(zap.NewNop()).Status(part)
	}
	if err == nil {
		err = os.Rename(part, file)
	}
	if err != nil {
		_ = os.Remove(part) // the first error is the one to tell
		return 0, fmt.Errorf("save a snapshot of %s: %w", name, err)
	}
	return saved.Revision, nil
}

func receiveSnapshot(ctx context.Context, conn *grpc.ClientConn, file string) (err error) {
	stream, err := pb.NewMaintenanceClient(conn).Snapshot(ctx, &pb.SnapshotRequest{})
	if err != nil {
		return err
	}
	out, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	for {
		resp, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if _, err := out.Write(resp.GetBlob()); err != nil {
			return err
		}
	}
}

// RestoreSnapshot implements SnapshotRestorer.
func (c *processCluster) RestoreSnapshot(ctx context.Context, file string, bump uint64) (at history.Time, err error) {
	c.op.Lock()
	defer c.op.Unlock()
	members, err := c.find()
	if err == nil {
		_, err = os.Stat(file) // before anything is lost
	}
	if err == nil {
		err = c.each(members, (*processMember).kill)
	}
	at = history.Now() // the proxies are closed, too
	if err == nil {
		err = c.each(members, func(m *processMember) error { return m.restoreSnapshot(c.initialCluster(), file, bump) })
	}
	if err == nil {
		err = c.each(members, func(m *processMember) error { return c.launch(ctx, m) })
	}
	if err == nil {
		err = c.awaitReady(ctx, members)
	}
	if err != nil {
		return 0, fmt.Errorf("restore the snapshot %s: %w", file, err)
	}
	return at, nil
}

// restoreSnapshot makes new data for a member that is down, as `etcdutl
// snapshot restore` does. It runs server code in our process, which may end in
// a fatal entry of its log; so it is guarded like a member inside the harness.
func (m *processMember) restoreSnapshot(cluster, file string, bump uint64) error {
	// Copies of the old data are of a cluster that is no more.
	if err := errors.Join(m.clearData(), os.RemoveAll(m.saved)); err != nil {
		return err
	}
	m.joining = false
	hook := &exitHook{died: func(error) {}}
	log, logger, err := openLog(m.logPath, m.name, hook)
	if err != nil {
		return err
	}
	defer log.Close()
	err = guard(launchBound, func() error {
		return snapshot.NewV3(logger).Restore(snapshot.RestoreConfig{
			SnapshotPath:        file,
			Name:                m.name,
			OutputDataDir:       m.dataDir,
			PeerURLs:            []string{m.peerURL},
			InitialCluster:      cluster,
			InitialClusterToken: etcdConfig().InitialClusterToken,
			// etcd takes both or none (etcdutl, snapshot restore).
			RevisionBump:  bump,
			MarkCompacted: bump > 0,
		})
	})
	if cause := hook.cause(); cause != nil && errors.Is(err, errGoexit) {
		err = cause
	}
	if err != nil {
		return fmt.Errorf("make the data of %s: %w", m.name, err)
	}
	return nil
}
