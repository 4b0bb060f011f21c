package faults

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/planecheck/planecheck/apiserver/storage"
)

// defragment rewrites the database of every member. A member answers nothing
// meanwhile; etcd's documentation asks for one after the other. The evidence is
// that the database is another file: etcd writes a new one and renames it
// (server/storage/backend/backend.go, defrag).
func defragment(ctx context.Context, e *Env, _ string) (*Active, error) {
	var evidence []string
	for _, m := range e.Store.Members() {
		seen, err := defragmentMember(ctx, m)
		if err != nil {
			return nil, err
		}
		evidence = append(evidence, seen)
	}
	return &Active{Evidence: strings.Join(evidence, "; ")}, nil
}

func defragmentMember(ctx context.Context, m storage.Member) (string, error) {
	old, err := database(m)
	if err != nil {
		return "", err
	}
	before, err := status(ctx, m)
	if err != nil {
		return "", err
	}
	err = ask(m, func(c *clientv3.Client) error {
		_, err := c.Defragment(ctx, m.Endpoint)
		return err
	})
	if err != nil {
		return "", fmt.Errorf("defragment %s: %w", m.Name, err)
	}
	now, err := database(m)
	if err != nil {
		return "", err
	}
	if os.SameFile(old, now) {
		return "", fmt.Errorf("%s has the same database as before it was defragmented", m.Name)
	}
	after, err := status(ctx, m)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s: another file, %d KiB, %d before", m.Name, after.DbSize>>10, before.DbSize>>10), nil
}

// database finds the file of a member's database below its directory, where one of
// a process keeps copies beside its data.
func database(m storage.Member) (info os.FileInfo, err error) {
	for _, dir := range []string{"", "data"} {
		info, err = os.Stat(filepath.Join(m.DataDir, dir, "member", "snap", "db"))
		if !errors.Is(err, fs.ErrNotExist) {
			break
		}
	}
	if err != nil {
		return nil, fmt.Errorf("look at the database of %s: %w", m.Name, err)
	}
	return info, nil
}

const (
	stormInterval = 200 * time.Millisecond
	// stormMargin is how many of the newest revisions a storm leaves: watches
	// that are a moment behind shall live, those that are more shall not.
	stormMargin = 20
)

// compactionStorm compacts until it is healed. Its evidence is a revision that
// can be read no more; that it went on is what it heals with.
func compactionStorm(ctx context.Context, e *Env, _ string) (*Active, error) {
	c, err := client(e.Store.Members()[0])
	if err != nil {
		return nil, err
	}
	first, err := compactOnce(ctx, c)
	if err == nil {
		_, err = c.Get(ctx, "planecheck", clientv3.WithRev(first-1))
		if !errors.Is(err, rpctypes.ErrCompacted) {
			err = fmt.Errorf("revision %d can still be read after a compaction at %d: %w", first-1, first, err)
		} else {
			err = nil
		}
	}
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	storming, stop := context.WithCancel(context.WithoutCancel(ctx))
	s := &storm{client: c, began: time.Now(), over: make(chan struct{})}
	go s.run(storming)
	return &Active{
		Evidence: fmt.Sprintf("revision %d is compacted", first-1),
		heal: func(context.Context) (string, error) {
			stop()
			<-s.over
			evidence, err := s.result(time.Since(s.began))
			return evidence, errors.Join(err, c.Close())
		},
	}, nil
}

// storm compacts again and again.
type storm struct {
	client       *clientv3.Client
	began        time.Time
	over         chan struct{} // closed when it has ended
	done, failed int           // guarded by over
}

func (s *storm) run(ctx context.Context) {
	defer close(s.over)
	ticker := time.NewTicker(stormInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		once, cancel := context.WithTimeout(ctx, dialBound)
		_, err := compactOnce(once, s.client)
		cancel()
		if err == nil {
			s.done++
		} else if ctx.Err() == nil {
			s.failed++ // another one, of an API server, may have been faster
		}
	}
}

// result is how a storm went that was to last so long. One that compacted less
// than half as often as it was to was none.
func (s *storm) result(lasted time.Duration) (string, error) {
	evidence := fmt.Sprintf("%d compactions in %v, %d in vain", s.done, lasted.Round(time.Millisecond), s.failed)
	if due := int(lasted / stormInterval); s.done < due/2 {
		return "", fmt.Errorf("the storm was none: %s, where %d were due", evidence, due)
	}
	return evidence, nil
}

func compactOnce(ctx context.Context, c *clientv3.Client) (int64, error) {
	answer, err := c.Get(ctx, "planecheck", clientv3.WithCountOnly())
	if err != nil {
		return 0, err
	}
	rev := answer.Header.Revision - stormMargin
	_, err = c.Compact(ctx, rev)
	return rev, err
}
