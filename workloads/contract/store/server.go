package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// Server is one of the two stores, with a connection to it.
type Server struct {
	Name  string
	KV    pb.KVClient
	Lease pb.LeaseClient
	Watch pb.WatchClient
	admin pb.MaintenanceClient
	conn  *grpc.ClientConn
}

// Connect opens a connection to an endpoint, host:port or http://host:port,
// without waiting for it. Nothing is tried again.
func Connect(name, endpoint string) (*Server, error) {
	conn, err := grpc.NewClient("passthrough:///"+strings.TrimPrefix(endpoint, "http://"),
		grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithNoProxy(), grpc.WithDisableRetry(),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(math.MaxInt32), grpc.MaxCallSendMsgSize(math.MaxInt32)))
	if err != nil {
		return nil, fmt.Errorf("connect to %s at %s: %w", name, endpoint, err)
	}
	return &Server{
		Name: name, conn: conn, admin: pb.NewMaintenanceClient(conn),
		KV: pb.NewKVClient(conn), Lease: pb.NewLeaseClient(conn), Watch: pb.NewWatchClient(conn),
	}, nil
}

// Close ends the connection.
func (s *Server) Close() error { return s.conn.Close() }

// RangeStream returns the answer of RangeStream in one piece. It is an error if a page
// is full before its revision comes: an API server reads no further then, and fails
// (GetList of k8s.io/apiserver@v0.37.1/pkg/storage/etcd3/store.go).
func (s *Server) RangeStream(ctx context.Context, r *pb.RangeRequest) (*pb.RangeResponse, error) {
	stream, err := s.KV.RangeStream(ctx, r)
	if err != nil {
		return nil, err
	}
	whole, full := &pb.RangeResponse{}, false
	for {
		chunk, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			if full {
				return nil, fmt.Errorf("the chunk that fills the page has no revision; all chunks: %s", describe(whole))
			}
			return whole, nil
		}
		if err != nil {
			return nil, err
		}
		part := chunk.GetRangeResponse()
		whole.Kvs = append(whole.Kvs, part.GetKvs()...)
		if part.GetHeader() != nil {
			whole.Header, whole.More, whole.Count = part.GetHeader(), part.GetMore(), part.GetCount()
		}
		full = full || whole.Header == nil && r.GetLimit() > 0 && int64(len(whole.Kvs)) >= r.GetLimit()
	}
}
