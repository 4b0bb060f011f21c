package apiserver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/planecheck/planecheck/checkers/history"
)

// killBound is how long a process may take to go after SIGKILL. Only one that
// hangs in the kernel takes longer than milliseconds.
const killBound = 10 * time.Second

// probeInterval is the pause between two looks at whether a process is ready.
const probeInterval = 50 * time.Millisecond

// probeTimeout bounds one such look.
const probeTimeout = 5 * time.Second

// process is a child with its process group.
type process struct {
	name      string
	logFile   string
	logOffset int64 // where its output begins in the log
	pid       int
	exited    chan struct{} // closed when it has been reaped

	mu       sync.Mutex
	gone     bool // it has ended, so its pid may belong to somebody else
	expected bool // its end is our doing
	state    string
	ended    history.Time // when its end was noticed
}

// ComponentError is the end of a component that nobody asked for.
type ComponentError struct {
	Name    string       // e.g. "kube-apiserver-0"
	State   string       // e.g. "exit status 1", "signal: killed"
	Started bool         // it had been ready before
	LogFile string       // its whole log
	Lines   []string     // the lines of the log that tell best why
	Ended   history.Time // when its end was noticed, before anything else was done
}

func (e *ComponentError) Error() string {
	what := "exited before it was ready"
	if e.Started {
		what = "died"
	}
	hint := ""
	if strings.Contains(e.State, syscall.SIGKILL.String()) {
		hint = " (planecheck did not send it: perhaps the kernel ran out of memory, see dmesg)"
	}
	return fmt.Sprintf("%s %s: %s%s; from its log %s:\n  %s",
		e.Name, what, e.State, hint, e.LogFile, strings.Join(e.Lines, "\n  "))
}

// startProcess starts a child with its output appended to logFile. The child
// leads a process group of its own, so Ctrl-C on the terminal does not reach
// it and its end is ours to order, and it is killed when our process ends.
func startProcess(name, logFile, binary string, args, env []string) (*process, error) {
	log, err := os.OpenFile(logFile, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return nil, fmt.Errorf("start %s: open its log: %w", name, err)
	}
	defer log.Close()
	info, err := log.Stat()
	if err != nil {
		return nil, fmt.Errorf("start %s: open its log: %w", name, err)
	}
	cmd := exec.Command(binary, args...)
	cmd.Env = env
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}

	p := &process{name: name, logFile: logFile, logOffset: info.Size(), exited: make(chan struct{})}
	started := make(chan error)
	go p.run(cmd, started)
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	return p, nil
}

// run starts the child and stays on the thread that did so until the child has
// ended: the kernel sends the parent-death signal when that thread ends, not
// when the process does (prctl(2), PR_SET_PDEATHSIG), and Go ends threads.
func (p *process) run(cmd *exec.Cmd, started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := cmd.Start(); err != nil {
		started <- err
		return
	}
	p.pid = cmd.Process.Pid
	started <- nil

	awaitExit(p.pid)
	// The child is a zombie now, so its pid and its group's number still are
	// its own: this is the last moment to reach what it left behind.
	p.mu.Lock()
	p.gone, p.ended = true, history.Now()
	_ = syscall.Kill(-p.pid, syscall.SIGKILL)
	p.mu.Unlock()
	err := cmd.Wait()
	p.mu.Lock()
	p.state = stateText(cmd.ProcessState, err)
	p.mu.Unlock()
	close(p.exited)
}

// awaitExit waits until a child has ended, and leaves it unreaped.
func awaitExit(pid int) {
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			return
		}
	}
}

func stateText(state *os.ProcessState, err error) string {
	if state != nil {
		return state.String()
	}
	return fmt.Sprint("unknown: ", err)
}

// exitState is how the process ended; ended: it has, and has been reaped.
func (p *process) exitState() (state string, ended bool) {
	select {
	case <-p.exited:
	default:
		return "", false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.state, true
}

// signal sends a signal to the process group.
func (p *process) signal(sig syscall.Signal) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.gone {
		return fmt.Errorf("signal %s: %w", p.name, os.ErrProcessDone)
	}
	if err := syscall.Kill(-p.pid, sig); err != nil {
		return fmt.Errorf("signal %s: %w", p.name, err)
	}
	return nil
}

// expect says that the process may end from now on. It reports whether it had
// not ended before.
func (p *process) expect() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.gone {
		return false
	}
	p.expected = true
	return true
}

func (p *process) wasExpected() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.expected
}

// failure describes the end of a process that has exited.
func (p *process) failure(started bool) *ComponentError {
	p.mu.Lock()
	defer p.mu.Unlock()
	return &ComponentError{
		Name: p.name, State: p.state, Started: started,
		LogFile: p.logFile, Lines: lastLines(p.logFile, p.logOffset), Ended: p.ended,
	}
}

// said says whether a process that has exited wrote something, in lower case, near
// the end of its log. Its last lines need not tell: what shuts down has more to say.
func (p *process) said(words string) bool {
	text, err := tail(p.logFile, p.logOffset)
	return err == nil && strings.Contains(strings.ToLower(string(text)), words)
}

// waitReady waits until probe succeeds, for at most bound. A process that has
// ended is told apart from one that is slow.
func (p *process) waitReady(ctx context.Context, bound time.Duration, probe func(context.Context) error) error {
	timeout := time.NewTimer(bound)
	defer timeout.Stop()
	ticker := time.NewTicker(probeInterval)
	defer ticker.Stop()
	for {
		err := tryProbe(ctx, p.exited, probe)
		if err == nil {
			return nil
		}
		select {
		case <-p.exited:
			return p.failure(false)
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w", p.name, context.Cause(ctx))
		case <-timeout.C:
			return fmt.Errorf("%s was not ready within %v: %w; from its log %s:\n  %s",
				p.name, bound, err, p.logFile, strings.Join(lastLines(p.logFile, p.logOffset), "\n  "))
		case <-ticker.C:
		}
	}
}

// tryProbe makes one probe, which a process that ends cuts short.
func tryProbe(ctx context.Context, exited <-chan struct{}, probe func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	result := make(chan error, 1)
	go func() { result <- probe(ctx) }()
	select {
	case err := <-result:
		return err
	case <-exited:
		cancel()
		<-result
		return errors.New("the process has ended")
	}
}

// stop ends the process group: SIGTERM, and SIGKILL after bound. It reports
// whether SIGKILL was needed; the error says that even that did not help.
func (p *process) stop(bound time.Duration) (killed bool, err error) {
	if !p.expect() {
		<-p.exited
		return false, nil
	}
	_ = p.signal(syscall.SIGTERM)
	_ = p.signal(syscall.SIGCONT) // a frozen process takes SIGTERM only then
	if p.wait(bound) {
		return false, nil
	}
	_ = p.signal(syscall.SIGKILL)
	if p.wait(killBound) {
		return true, nil
	}
	return true, fmt.Errorf("stop %s: pid %d is still there %v after SIGKILL", p.name, p.pid, killBound)
}

// endWith ends the process group by a signal. That SIGKILL was needed after bound
// is an error, and the process is gone all the same.
func (p *process) endWith(sig syscall.Signal, bound time.Duration) error {
	p.expect()
	if err := p.signal(sig); err != nil {
		return err
	}
	if p.wait(bound) {
		return nil
	}
	if _, err := p.stop(0); err != nil {
		return err
	}
	return fmt.Errorf("it had to be killed, %v after %v", bound, sig)
}

// wait waits for the end of the process, for at most bound.
func (p *process) wait(bound time.Duration) bool {
	timer := time.NewTimer(bound)
	defer timer.Stop()
	select {
	case <-p.exited:
		return true
	case <-timer.C:
		return false
	}
}
