package faults

import (
	"context"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/planecheck/planecheck/apiserver"
	"github.com/planecheck/planecheck/apiserver/link"
)

// Each signal has ends of its own, and no end is that of two.
func TestEndedBy(t *testing.T) {
	for state, want := range map[string]syscall.Signal{
		"signal: killed": syscall.SIGKILL, "signal: terminated": syscall.SIGTERM, "exit status 0": syscall.SIGTERM, "exit status 1": syscall.SIGTERM,
		"exit status 2": 0, "signal: aborted": 0, "": 0, "unknown: ": 0,
	} {
		for _, sig := range []syscall.Signal{syscall.SIGKILL, syscall.SIGTERM} {
			if err := endedBy(state, sig); (err == nil) != (sig == want) {
				t.Errorf("%q by %v: %v", state, sig, err)
			}
		}
	}
}

// mortal is a control plane of one process, which it ends by another signal than it
// says, if it has one.
type mortal struct {
	*idlePlane
	process *exec.Cmd
	instead syscall.Signal
	begun   int
}

func (m *mortal) End(_ string, sig syscall.Signal) error {
	if m.instead != 0 {
		sig = m.instead
	}
	if err := m.process.Process.Signal(sig); err != nil {
		return err
	}
	_ = m.process.Wait() // how it ended is asked for
	return nil
}

func (m *mortal) ExitState(string) (string, error)    { return m.process.ProcessState.String(), nil }
func (m *mortal) Begin(context.Context, string) error { m.begun++; return nil }

// What was ended by another signal than it should is not believed, and is started
// again; by the right one, the evidence tells it.
func TestEndWith(t *testing.T) {
	port, err := link.ReservePort(0) // nobody listens there
	if err != nil {
		t.Fatal(err)
	}
	defer port.Release()
	f := func(sig, instead syscall.Signal, want string) {
		t.Helper()
		sleeper := exec.CommandContext(t.Context(), "sleep", "60")
		if err := sleeper.Start(); err != nil {
			t.Fatal(err)
		}
		c := apiserver.Component{Kind: apiserver.KubeAPIServer, Name: "x", PID: sleeper.Process.Pid, Addr: port.Addr()}
		m := &mortal{idlePlane: &idlePlane{components: []apiserver.Component{c}}, process: sleeper, instead: instead}
		a, err := endWith(sig)(t.Context(), &Env{Plane: m}, c.Name)
		switch {
		case want == "" && (err == nil || m.begun != 1):
			t.Errorf("%v in place of %v: %+v, %v, begun %d times", instead, sig, a, err, m.begun)
		case want != "" && (err != nil || !strings.Contains(a.Evidence, want) || m.begun != 0):
			t.Errorf("%v: %+v, %v", sig, a, err)
		}
	}
	f(syscall.SIGKILL, 0, "signal: killed")
	f(syscall.SIGTERM, 0, "signal: terminated")
	f(syscall.SIGKILL, syscall.SIGTERM, "")
	f(syscall.SIGTERM, syscall.SIGKILL, "")
}
