package store

import (
	"context"
	"errors"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/client/v3/kubernetes"
)

// watchStream is a stream of watches that one goroutine reads.
type watchStream struct {
	pb.Watch_WatchClient
	cut func() // ends it at once
}

// openWatches opens one. Whoever does ends it with cut.
func openWatches(ctx context.Context, c *kubernetes.Client) (s *watchStream, cut func(), err error) {
	ctx, cut = context.WithCancel(ctx)
	stream, err := pb.NewWatchClient(c.ActiveConnection()).Watch(ctx)
	if err != nil {
		cut()
		return nil, nil, err
	}
	return &watchStream{stream, cut}, cut, nil
}

// errRefused says that a store did not take a watch.
var errRefused = errors.New("the store refuses the watch")

// create begins a watch and returns its ID. What comes of others meanwhile is
// passed over.
func (s *watchStream) create(r *pb.WatchCreateRequest) (id int64, err error) {
	if err := s.Send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: r}}); err != nil {
		return 0, err
	}
	for {
		m, err := s.Recv()
		if err != nil {
			return 0, err
		}
		if m.GetCreated() {
			if m.GetCanceled() {
				return 0, errRefused
			}
			return m.GetWatchId(), nil
		}
	}
}

// of returns the next answer that concerns a watch: its own, or progress of all
// watches of the stream.
func (s *watchStream) of(id int64) (*pb.WatchResponse, error) {
	for {
		m, err := s.Recv()
		if err != nil || m.GetWatchId() == id || m.GetWatchId() == -1 {
			return m, err
		}
	}
}

func (s *watchStream) askProgress() error {
	return s.Send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_ProgressRequest{ProgressRequest: &pb.WatchProgressRequest{}}})
}

// cancel ends a watch and waits until the store says so, for callBound.
func (s *watchStream) cancel(id int64) error {
	if err := s.Send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CancelRequest{CancelRequest: &pb.WatchCancelRequest{WatchId: id}}}); err != nil {
		return err
	}
	late := time.AfterFunc(callBound, s.cut)
	defer late.Stop()
	for {
		if m, err := s.of(id); err != nil || m.GetCanceled() {
			return err
		}
	}
}

// pause waits, for as long as ctx lives.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
