package storage

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/kubernetes"

	"github.com/planecheck/planecheck/apiserver/link"
	"github.com/planecheck/planecheck/apiserver/storage/child"
	"github.com/planecheck/planecheck/apiserver/storage/kine"
)

// slowWatches are the watches of one kine that nobody reads in time.
type slowWatches struct {
	t      *testing.T
	client func() *kubernetes.Client
	sent   atomic.Int64 // events
	ended  atomic.Int64 // by kine
	missed atomic.Int64
}

// K7 of docs/findings: a watch that is too slow is ended, and must not have been
// sent what comes after what was left out. Nobody has seen it; if this test fails,
// it was, with one processor for kine.
func TestKineEndsSlowWatchesWithoutAGap(t *testing.T) {
	ifKnown(t)
	s := &slowWatches{t: t}
	endpoint := kineOnOneProcessor(t)
	s.client = func() *kubernetes.Client { return dial(t, endpoint) }
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	var all sync.WaitGroup
	for i := range 4 {
		all.Go(func() { s.write(ctx, s.client(), fmt.Sprintf("/busy/%d", i)) })
	}
	for i := range 60 {
		c := s.client()
		all.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				s.read(ctx, c, time.Duration(1+(i+n)%8)*50*time.Millisecond)
				if s.ended.Load() >= 600 || s.missed.Load() > 0 {
					cancel()
				}
			}
		})
	}
	all.Wait()
	t.Logf("%d events were sent, %d watches were ended", s.sent.Load(), s.ended.Load())
	if s.missed.Load() > 0 || s.ended.Load() == 0 {
		t.Errorf("%d watches missed an event and went on, %d were ended", s.missed.Load(), s.ended.Load())
	}
}

// kineOnOneProcessor returns the endpoint of a kine on SQLite that runs one
// goroutine at a time.
func kineOnOneProcessor(t *testing.T) string {
	t.Helper()
	binary, err := kine.Binary(t.Context(), "v0.17.5", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	port, err := link.ReservePort(0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(port.Release)
	database, err := sqlite{}.Start(t.Context(), t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	p, err := kine.Start(child.Config{
		Name: kineMember, Path: binary, LogFile: filepath.Join(t.TempDir(), "log"),
		Env: append(os.Environ(), "GOMAXPROCS=1"), Args: kine.Flags("v0.17.5", port.Addr(), database),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Kill(); err != nil {
			t.Error(err)
		}
	})
	return "http://" + port.Addr()
}

// write updates a key until ctx is done.
func (s *slowWatches) write(ctx context.Context, c *kubernetes.Client, key string) {
	value, rev := []byte(strings.Repeat("x", 2000)), int64(0)
	for ctx.Err() == nil {
		resp, err := c.OptimisticPut(ctx, key, value, rev, kubernetes.PutOptions{GetOnFailure: rev != 0})
		switch {
		case err != nil && ctx.Err() == nil:
			s.t.Error(err)
			return
		case err == nil && !resp.Succeeded:
			rev = resp.KV.GetModRevision()
		case err == nil:
			rev = resp.Revision
		}
	}
}

// read watches the keys, with a pause after each answer, until kine ends the watch.
// Each event names the one before it of its key.
func (s *slowWatches) read(ctx context.Context, c *kubernetes.Client, pause time.Duration) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := pb.NewWatchClient(c.ActiveConnection()).Watch(ctx)
	if err != nil {
		return
	}
	ask := &pb.WatchCreateRequest{Key: []byte("/busy/"), RangeEnd: []byte(clientv3.GetPrefixRangeEnd("/busy/")), PrevKv: true}
	if stream.Send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: ask}}) != nil {
		return
	}
	seen := map[string]int64{}
	for {
		m, err := stream.Recv()
		if err != nil {
			return
		}
		for _, e := range m.GetEvents() {
			s.sent.Add(1)
			key := string(e.GetKv().GetKey())
			if last, before := seen[key], e.GetPrevKv().GetModRevision(); last != 0 && before != last {
				s.missed.Add(1)
				s.t.Logf("%s: after the event of revision %d came that of %d, which follows on %d", key, last, e.GetKv().GetModRevision(), before)
			}
			seen[key] = e.GetKv().GetModRevision()
		}
		if m.GetCanceled() {
			s.ended.Add(1)
			return
		}
		select {
		case <-time.After(pause): // a reader that is slow is what this is about
		case <-ctx.Done():
			return
		}
	}
}
