package faults

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"

	"github.com/planecheck/planecheck/apiserver/storage"
)

// errNoLeader says that no member that answers leads.
var errNoLeader = errors.New("no etcd member leads")

func namesOf(members []storage.Member) []string {
	var names []string
	for _, m := range members {
		names = append(names, m.Name)
	}
	return names
}

func hostPort(endpoint string) string {
	_, rest, _ := strings.Cut(endpoint, "://")
	return rest
}

// client opens a client of one member alone.
func client(m storage.Member) (*clientv3.Client, error) {
	c, err := clientv3.New(clientv3.Config{
		Endpoints: []string{m.Endpoint}, DialTimeout: dialBound, Logger: zap.NewNop(), // whoever asks is told
		DialOptions: []grpc.DialOption{grpc.WithNoProxy()},
	})
	if err != nil {
		return nil, fmt.Errorf("open a client of %s: %w", m.Name, err)
	}
	return c, nil
}

// ask puts one question to one member.
func ask(m storage.Member, question func(*clientv3.Client) error) error {
	c, err := client(m)
	if err != nil {
		return err
	}
	return errors.Join(question(c), c.Close())
}

// status asks a member for its state, which it tells without a quorum, too.
func status(ctx context.Context, m storage.Member) (s *clientv3.StatusResponse, err error) {
	ctx, cancel := context.WithTimeout(ctx, dialBound)
	defer cancel()
	// A client would try again for all of that time.
	if refuses(ctx, hostPort(m.Endpoint)) == nil {
		return nil, fmt.Errorf("ask %s for its status: %s refuses connections", m.Name, m.Endpoint)
	}
	err = ask(m, func(c *clientv3.Client) error {
		s, err = c.Status(ctx, m.Endpoint)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("ask %s for its status: %w", m.Name, err)
	}
	return s, nil
}

// findLeader asks every member whether it leads, but for some: a leader that is
// cut off may not know it yet. One that does not answer does not count.
func findLeader(ctx context.Context, e *Env, but ...storage.Member) (storage.Member, error) {
	apart := namesOf(but)
	for _, m := range e.Store.Members() {
		if slices.Contains(apart, m.Name) {
			continue
		}
		if s, err := status(ctx, m); err == nil && s.Leader == s.Header.MemberId {
			return m, nil
		}
	}
	return storage.Member{}, errNoLeader
}
