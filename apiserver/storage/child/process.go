// Package child runs a server of a store in a process of its own, which can be
// stopped, killed with SIGKILL and frozen with SIGSTOP, whose output goes to a
// file, and which ends when this process ends, however that does.
//
// It knows processes, not stores: what the flags mean and who the peers are is
// the business of whoever starts them.
package child

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// killBound is how long a process may take to go after SIGKILL. Only one that
// hangs in the kernel takes longer than milliseconds.
const killBound = 10 * time.Second

// stateBound is how long a process may take to be stopped by SIGSTOP, or to
// run again.
const stateBound = 10 * time.Second

// pollInterval is the pause between two looks at /proc.
const pollInterval = time.Millisecond

// Config says what to start.
type Config struct {
	Name    string   // of the server, for errors
	Path    string   // the program; "": this binary, re-executed
	Args    []string // without the program's name
	Env     []string // the whole environment; servers take settings from there too
	Dir     string   // to run in; "": ours
	LogFile string   // takes the output, appended
	// User to run as; nil: ours.
	User *syscall.Credential
	// Fatal returns what a line of the log says if the server ends with it, ""
	// for any other line. Nil: no line is known to be such.
	Fatal func(line string) string
}

// Process is a server's process, from its start to its end.
type Process struct {
	name      string
	logFile   string
	logOffset int64 // where its output begins in the log
	fatal     func(line string) string
	pid       int
	exited    chan struct{} // closed when it has been reaped

	mu       sync.Mutex
	gone     bool // it has ended, so its pid may belong to somebody else
	expected bool // its end is our doing
	state    string
}

// Start starts a server. It is killed when our process ends, however that
// ends, and is out of reach of Ctrl-C on the terminal.
func Start(c Config) (*Process, error) {
	p, err := start(c)
	if err != nil {
		return nil, fmt.Errorf("start the process of %s: %w", c.Name, err)
	}
	return p, nil
}

func start(c Config) (*Process, error) {
	if c.Path == "" {
		self, err := os.Executable()
		if err != nil {
			return nil, err
		}
		c.Path = self
	}
	if err := os.MkdirAll(filepath.Dir(c.LogFile), 0o755); err != nil {
		return nil, err
	}
	log, err := os.OpenFile(c.LogFile, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	info, err := log.Stat()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(c.Path, c.Args...)
	cmd.Dir = c.Dir
	cmd.Env = append([]string{}, c.Env...) // never nil, which would mean our own
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL, Credential: c.User}
	p := &Process{name: c.Name, logFile: c.LogFile, logOffset: info.Size(), fatal: c.Fatal, exited: make(chan struct{})}
	started := make(chan error)
	go p.run(cmd, started)
	return p, <-started
}

// run starts the child and stays on the thread that did so until the child has
// ended: the kernel sends the parent-death signal when that thread ends, not
// when the process does (prctl(2), PR_SET_PDEATHSIG), and Go ends threads.
func (p *Process) run(cmd *exec.Cmd, started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := cmd.Start(); err != nil {
		started <- err
		return
	}
	p.pid = cmd.Process.Pid
	started <- nil

	awaitEnd(p.pid)
	// The child is a zombie now, so its pid still is its own: from here on no
	// signal is sent.
	p.mu.Lock()
	p.gone = true
	p.mu.Unlock()
	err := cmd.Wait()
	p.mu.Lock()
	p.state = fmt.Sprint("unknown: ", err)
	if cmd.ProcessState != nil {
		p.state = cmd.ProcessState.String()
	}
	p.mu.Unlock()
	close(p.exited)
}

// awaitEnd waits until a child has ended, and leaves it unreaped.
func awaitEnd(pid int) {
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			return
		}
	}
}

// PID is the number of the process; after its end it may be another's.
func (p *Process) PID() int { return p.pid }

// Exited is closed when the process has ended.
func (p *Process) Exited() <-chan struct{} { return p.exited }

// Running says whether the process has not ended yet. A frozen one runs.
func (p *Process) Running() bool {
	select {
	case <-p.exited:
		return false
	default:
		return true
	}
}

// Expected says whether the end of the process is the doing of Stop or Kill.
func (p *Process) Expected() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.expected
}

// ExitError is the end of a server that nobody asked for.
type ExitError struct {
	State   string // e.g. "exit status 1", "signal: killed"
	LogFile string // its whole log
	Reason  string // what the log says of it, "" if nothing
}

func (e *ExitError) Error() string {
	if e.Reason == "" {
		return fmt.Sprintf("%s, see %s", e.State, e.LogFile)
	}
	return fmt.Sprintf("%s: %s, see %s", e.State, e.Reason, e.LogFile)
}

// ExitState is what the operating system tells of how the process ended, e.g.
// "signal: killed", whoever ended it; "": it runs.
func (p *Process) ExitState() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.state
}

// Failure describes the end of a process that has ended.
func (p *Process) Failure() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return &ExitError{State: p.state, LogFile: p.logFile, Reason: p.reason()}
}

// Stop ends the server in good order: SIGTERM, upon which it closes its files;
// SIGKILL after bound, which is an error, as the files are then not closed.
func (p *Process) Stop(bound time.Duration) error {
	if !p.expect() {
		return nil
	}
	_ = p.signal(syscall.SIGTERM) // it fails only if the process has ended
	_ = p.signal(syscall.SIGCONT) // a frozen process takes SIGTERM only then
	if p.await(bound) {
		return nil
	}
	if err := p.Kill(); err != nil {
		return err
	}
	return fmt.Errorf("stop %s: it had to be killed, %v after SIGTERM", p.name, bound)
}

// Kill ends the process with SIGKILL, frozen or not, and returns when it has
// gone: nothing that it had not written by then is written any more.
func (p *Process) Kill() error {
	if !p.expect() {
		return nil
	}
	_ = p.signal(syscall.SIGKILL)
	if !p.await(killBound) {
		return fmt.Errorf("kill %s: pid %d is still there %v after SIGKILL", p.name, p.pid, killBound)
	}
	return nil
}

// Freeze stops all threads of the process with SIGSTOP and returns when /proc
// shows them stopped.
func (p *Process) Freeze(ctx context.Context) error {
	return p.change(ctx, "freeze", syscall.SIGSTOP, func(states string) bool {
		for _, s := range states {
			if s != 'T' {
				return false
			}
		}
		return states != ""
	})
}

// Thaw lets a frozen process go on and returns when /proc shows it does.
func (p *Process) Thaw(ctx context.Context) error {
	return p.change(ctx, "thaw", syscall.SIGCONT, func(states string) bool {
		for _, s := range states {
			if s == 'T' {
				return false
			}
		}
		return states != ""
	})
}

func (p *Process) change(ctx context.Context, what string, sig syscall.Signal, done func(states string) bool) error {
	if err := p.signal(sig); err != nil {
		return fmt.Errorf("%s %s: %w", what, p.name, err)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, stateBound, fmt.Errorf("it had %v", stateBound))
	defer cancel()
	poll := time.NewTicker(pollInterval)
	defer poll.Stop()
	for {
		states, err := threadStates(p.pid)
		if err == nil && done(states) {
			return nil
		}
		select {
		case <-poll.C:
		case <-p.exited:
			return fmt.Errorf("%s %s: %w", what, p.name, p.Failure())
		case <-ctx.Done():
			return fmt.Errorf("%s %s: its threads are in the states %q: %w", what, p.name, states, errors.Join(err, context.Cause(ctx)))
		}
	}
}

// signal sends a signal to the process.
func (p *Process) signal(sig syscall.Signal) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.gone {
		return os.ErrProcessDone
	}
	return syscall.Kill(p.pid, sig)
}

// expect says that the process may end from now on. It reports whether it had
// not ended before; a process that is about to be reaped is waited for.
func (p *Process) expect() bool {
	p.mu.Lock()
	gone := p.gone
	if !gone {
		p.expected = true
	}
	p.mu.Unlock()
	if gone {
		<-p.exited
	}
	return !gone
}

func (p *Process) await(bound time.Duration) bool {
	timer := time.NewTimer(bound)
	defer timer.Stop()
	select {
	case <-p.exited:
		return true
	case <-timer.C:
		return false
	}
}
