package storage

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"

	"github.com/planecheck/planecheck/apiserver/link"
	"github.com/planecheck/planecheck/apiserver/storage/child"
	"github.com/planecheck/planecheck/apiserver/storage/proxy"
	"github.com/planecheck/planecheck/apiserver/storage/record"
	"github.com/planecheck/planecheck/checkers/history"
)

// memberPoll is the pause between two looks at whether a member is up, and
// memberAsk bounds one of them.
const (
	memberPoll = 20 * time.Millisecond
	memberAsk  = 5 * time.Second
)

// served is a server of a store in a process of its own, a member of etcd or
// another, and what stands before it:
//
//	clients ── front ── proxy ── server
//	           link     records
//
// The proxy is on the clients' side of every fault but two: the front link is
// silent while the server is frozen, because a proxy would answer HTTP/2 pings
// in its place, and takes nobody while it is down. Ports and links stay the same
// over restarts, while each launch makes a new life.
type served struct {
	name    string // as of Member
	title   string // for errors: "etcd member etcd-0"
	logPath string
	died    func(error)          // is told of the end of a life that nobody asked for
	freezer *proxy.FreezeWatches // of the backend

	// The ports are reserved from the first start on: the one that clients
	// know, the proxy's, and the process's own.
	front, inner, client *link.Port

	way      *link.Link // from the clients to the proxy
	recorder *record.Recorder

	mu     sync.Mutex
	life   *servedLife // guarded by mu; nil while the server is down
	exit   string      // guarded by mu; how the life before ended, as the operating system tells
	doomed bool        // guarded by mu, see mayDie
}

// servedLife is one life of a served.
type servedLife struct {
	process *child.Process
	proxy   *proxy.Proxy
	frozen  bool          // guarded by the backend's op
	over    chan struct{} // closed when the end has been dealt with
}

func (s *served) endpoint() string { return "http://" + s.front.Addr() }

// reserve takes the ports: those it had before, or any.
func (s *served) reserve() error {
	for _, p := range []**link.Port{&s.front, &s.inner, &s.client} {
		if err := s.reservePort(p); err != nil {
			return err
		}
	}
	return nil
}

func (s *served) reservePort(p **link.Port) error {
	number := 0
	if *p != nil {
		number = (*p).Number
	}
	reserved, err := link.ReservePort(number)
	if err != nil {
		return fmt.Errorf("%s: %w", s.title, err)
	}
	*p = reserved
	return nil
}

// openWay opens the clients' way. It takes nobody yet: the proxy is not up.
func (s *served) openWay() (err error) {
	if s.way, err = link.New(s.front.Addr(), s.inner.Addr()); err != nil {
		return fmt.Errorf("%s: clients' way: %w", s.title, err)
	}
	return nil
}

// record makes the recorder of what clients are told until release.
func (s *served) record(sink history.StoreSink, numbers *record.Numbers) {
	s.recorder = record.New(record.Options{
		Member: s.name, Sink: sink, Numbers: numbers,
		Inside: recorderLabels, Outside: recorderLabels, // the proxy is there for the recorder
	})
}

// release takes down what stands before a server that is down.
func (s *served) release() error {
	var err error
	if s.way != nil {
		err = s.way.Close()
	}
	s.way = nil
	for _, p := range []*link.Port{s.front, s.inner, s.client} {
		if p != nil {
			p.Release()
		}
	}
	s.recorder.Close()
	s.recorder = nil // another start is another part of the history
	return err
}

// admit lets clients to a process, with which a life begins. If it cannot, the
// process is killed.
func (s *served) admit(process *child.Process, onCommit func(history.Commit), between proxy.Interference) error {
	opt := proxy.Options{
		Upstream: s.client.Addr(), Listen: s.inner.Addr(), Recorder: s.recorder,
		Interference: []proxy.Interference{s.freezer},
	}
	if onCommit != nil {
		opt.Interference = append(opt.Interference, commitObserver(onCommit))
	}
	if between != nil {
		opt.Interference = append(opt.Interference, between)
	}
	p, err := startProxy(opt)
	if err != nil {
		return errors.Join(fmt.Errorf("start %s: %w", s.title, err), process.Kill())
	}
	life := &servedLife{process: process, proxy: p, over: make(chan struct{})}
	s.mu.Lock()
	s.life = life
	s.mu.Unlock()
	go s.mourn(life)
	return nil
}

// mourn waits for the end of a life. Clients then are cut off, as they would
// be from a dead process.
func (s *served) mourn(life *servedLife) {
	defer close(life.over)
	<-life.process.Exited()
	err := life.proxy.Close()
	s.mu.Lock()
	s.life, s.exit = nil, life.process.ExitState()
	doomed := s.doomed
	s.mu.Unlock()
	if !life.process.Expected() && !doomed {
		s.died(errors.Join(life.process.Failure(), err))
	}
}

// current is the member's life, nil while it is down.
func (s *served) current() *servedLife {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.life
}

// lastExit is how the last life of a server that is down ended; "": it had none.
func (s *served) lastExit() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.exit
}

func (s *served) up() bool { return s.current() != nil }

func (s *served) pid() int {
	if life := s.current(); life != nil {
		return life.process.PID()
	}
	return 0
}

// stop ends the member in good order; that of one that is down does nothing.
func (s *served) stop() error {
	return s.end(func(p *child.Process) error { return p.Stop(closeBound) })
}

// kill ends it with SIGKILL.
func (s *served) kill() error { return s.end((*child.Process).Kill) }

func (s *served) end(how func(*child.Process) error) error {
	life := s.current()
	if life == nil {
		return nil
	}
	s.hold(false) // or a stop would wait for clients that cannot be reached
	if err := how(life.process); err != nil {
		if life.process.Running() {
			return err
		}
		<-life.over
		return err
	}
	<-life.over
	return nil
}

// hold makes the clients' way silent or not.
func (s *served) hold(silent bool) {
	for _, d := range []link.Direction{link.Up, link.Down} {
		s.way.Set(d, link.Condition{Hold: silent})
	}
}

// freeze stops the process, and makes the clients' way silent.
func (s *served) freeze(ctx context.Context) error {
	life := s.current()
	if life == nil {
		return fmt.Errorf("freeze %s: it is down", s.title)
	}
	s.hold(true)
	if err := life.process.Freeze(ctx); err != nil {
		// The signal may be on its way all the same. Thaw has a bound of its own.
		err = errors.Join(err, life.process.Thaw(context.WithoutCancel(ctx)))
		s.hold(false)
		return err
	}
	life.frozen = true
	return nil
}

func (s *served) thaw(ctx context.Context) error {
	life := s.current()
	if life == nil {
		return fmt.Errorf("thaw %s: it is down", s.title)
	}
	if err := life.process.Thaw(ctx); err != nil {
		return err
	}
	life.frozen = false
	s.hold(false)
	return nil
}

// awaitReady waits until the member answers a read through the quorum.
func (s *served) awaitReady(ctx context.Context) error {
	life := s.current()
	if life == nil {
		return errors.New("it is down")
	}
	return s.poll(ctx, life.process, func(ctx context.Context) error {
		return s.ask(ctx, func(ctx context.Context, conn *grpc.ClientConn) error {
			_, err := pb.NewKVClient(conn).Range(ctx, &pb.RangeRequest{Key: []byte{0}, Limit: 1, KeysOnly: true})
			return err
		})
	})
}

// poll tries until it succeeds, or the process or ctx ends.
func (s *served) poll(ctx context.Context, process *child.Process, try func(context.Context) error) error {
	tick := time.NewTicker(memberPoll)
	defer tick.Stop()
	for {
		attempt, cancel := context.WithTimeout(ctx, memberAsk)
		err := try(attempt)
		cancel()
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-process.Exited():
			return process.Failure()
		case <-ctx.Done():
			return errors.Join(context.Cause(ctx), err)
		}
	}
}

// ask calls the process itself, past the clients' way: what is asked there is
// not of the history.
func (s *served) ask(ctx context.Context, f func(context.Context, *grpc.ClientConn) error) error {
	return withMember(Member{Endpoint: s.client.Addr()}, func(conn *grpc.ClientConn) error { return f(ctx, conn) })
}

func (s *served) status(ctx context.Context) (resp *pb.StatusResponse, err error) {
	ctx, cancel := context.WithTimeout(ctx, memberAsk)
	defer cancel()
	err = s.ask(ctx, func(ctx context.Context, conn *grpc.ClientConn) error {
		resp, err = pb.NewMaintenanceClient(conn).Status(ctx, &pb.StatusRequest{})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("ask %s for its status: %w", s.name, err)
	}
	return resp, nil
}
