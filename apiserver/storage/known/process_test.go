package known

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// killBound is how long a process may take to go after SIGKILL. Only one that
// hangs in the kernel takes longer than milliseconds.
const killBound = time.Minute

// tailBytes is how much of a log is shown when its process has failed.
const tailBytes = 2 << 10

// process is a child that leads a process group of its own.
type process struct {
	name, logFile string
	cmd           *exec.Cmd
	exited        chan struct{} // closed when it has been reaped
}

// startProcess starts a child with its output in dir/<name>.log. It ends with
// the test, at the latest with the process of the test. Its environment is
// empty, because etcd takes settings from there.
func startProcess(t testing.TB, dir, name, binary string, args ...string) *process {
	t.Helper()
	p := &process{name: name, logFile: filepath.Join(dir, name+".log"), exited: make(chan struct{})}
	log, err := os.Create(p.logFile)
	if err != nil {
		t.Fatalf("start %s: %v", name, err)
	}
	defer log.Close()
	p.cmd = exec.Command(binary, args...)
	p.cmd.Dir, p.cmd.Env = dir, []string{}
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	started := make(chan error)
	go p.run(started)
	if err := <-started; err != nil {
		t.Fatalf("start %s: %v", name, err)
	}
	t.Cleanup(func() {
		if err := p.kill(); err != nil {
			t.Error(err)
		}
		if t.Failed() { // the whole log goes with the directory
			t.Logf("the end of the log of %s:\n%s", name, p.tail())
		}
	})
	return p
}

// run stays on the thread that started the child until the child has ended:
// the kernel sends the parent-death signal when that thread ends, not when the
// process does (prctl(2), PR_SET_PDEATHSIG), and Go ends threads.
func (p *process) run(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := p.cmd.Start(); err != nil {
		started <- err
		return
	}
	started <- nil
	_ = p.cmd.Wait() // what it says is in cmd.ProcessState
	close(p.exited)
}

// kill ends a child and waits for its end. Its data is temporary, so there is
// nothing that it would have to put in order. The signal goes by os.Process,
// which never hits another process that got the number of one that has ended.
func (p *process) kill() error {
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("kill %s: %w", p.name, err)
	}
	bound := time.NewTimer(killBound)
	defer bound.Stop()
	select {
	case <-p.exited:
		return nil
	case <-bound.C:
		return fmt.Errorf("%s, pid %d, is still there %v after SIGKILL", p.name, p.cmd.Process.Pid, killBound)
	}
}

// await returns when probe succeeds. A child that has ended is told apart from
// one that is slow.
func (p *process) await(done <-chan struct{}, probe func() error) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := probe()
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-p.exited:
			return fmt.Errorf("%s ended before it was ready: %v; the end of its log:\n%s", p.name, p.cmd.ProcessState, p.tail())
		case <-done:
			return fmt.Errorf("%s is not ready: %w; the end of its log:\n%s", p.name, err, p.tail())
		}
	}
}

// tail is the end of the log.
func (p *process) tail() string {
	log, err := os.Open(p.logFile)
	if err != nil {
		return err.Error()
	}
	defer log.Close()
	if info, err := log.Stat(); err == nil && info.Size() > tailBytes {
		_, _ = log.Seek(-tailBytes, io.SeekEnd) // else it is shown from the beginning
	}
	text, err := io.ReadAll(io.LimitReader(log, tailBytes))
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(string(text))
}

func TestProcessThatEnds(t *testing.T) {
	p := startProcess(t, t.TempDir(), "short", "/bin/sh", "-c", "echo no such flag; exit 3")
	err := p.await(t.Context().Done(), func() error { return errors.New("not yet") })
	if err == nil || !strings.Contains(err.Error(), "exit status 3") || !strings.Contains(err.Error(), "no such flag") {
		t.Errorf("the error does not say how it ended: %v", err)
	}
}

func TestProcessIsKilled(t *testing.T) {
	var p *process
	t.Run("the one that starts it", func(t *testing.T) {
		p = startProcess(t, t.TempDir(), "long", "/bin/sleep", "3600")
	})
	select {
	case <-p.exited:
	default:
		t.Fatal("it outlives the test that started it")
	}
	if state, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || state.Signal() != syscall.SIGKILL {
		t.Errorf("it ended by %v, want SIGKILL", p.cmd.ProcessState)
	}
}
