package faults

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/planecheck/planecheck/apiserver"
)

// poll is how often something is looked at that should change.
const poll = 20 * time.Millisecond

// dialBound is how long a connection on loopback may take. One that is refused
// is so at once.
const dialBound = time.Second

// turnedAway is how long a connection is watched for its end by a link whose
// target takes nobody. A busy machine that takes longer is asked again.
const turnedAway = 20 * time.Millisecond

// await waits until look returns no error. What it returned last before ctx
// ended is why the wait was in vain.
func await(ctx context.Context, what string, look func(context.Context) error) error {
	ticker := time.NewTicker(poll)
	defer ticker.Stop()
	var last error
	for {
		err := look(ctx)
		if err == nil {
			return nil
		}
		if ctx.Err() == nil || last == nil { // else it was cut short, and says nothing
			last = err
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w (last: %w)", what, context.Cause(ctx), last)
		}
	}
}

// ofKind are the components of a kind, in the order of their names.
func ofKind(p Plane, kind string) []apiserver.Component {
	return slices.DeleteFunc(p.Components(), func(c apiserver.Component) bool { return c.Kind != kind })
}

// component finds a component of the control plane.
func component(p Plane, name string) (apiserver.Component, error) {
	for _, c := range p.Components() {
		if c.Name == name {
			return c, nil
		}
	}
	return apiserver.Component{}, fmt.Errorf("there is no component %q", name)
}

// gone fails unless there is no process of that number. Ours are reaped as they
// end.
func gone(pid int) error {
	_, err := os.Stat(fmt.Sprintf("/proc/%d", pid))
	switch {
	case err == nil:
		return fmt.Errorf("process %d is still there", pid)
	case errors.Is(err, fs.ErrNotExist):
		return nil
	}
	return fmt.Errorf("see whether process %d is there: %w", pid, err)
}

// refuses fails unless nobody takes connections at an address, or who does turns
// them away at once, as a link does whose target is gone. A dial that does not end
// in time says nothing, and neither does a connection on which nothing comes.
func refuses(ctx context.Context, addr string) error {
	ctx, cancel := context.WithTimeout(ctx, dialBound)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err == nil {
		defer conn.Close()
		if err = conn.SetReadDeadline(time.Now().Add(turnedAway)); err == nil {
			_, err = conn.Read(make([]byte, 1))
		}
	}
	switch {
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ECONNRESET), errors.Is(err, io.EOF):
		return nil
	case err == nil, errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("%s still takes connections", addr)
	}
	return fmt.Errorf("see whether %s takes connections: %w", addr, err)
}

// stopped fails unless /proc shows a process as stopped by a signal (state T,
// proc_pid_stat(5)).
func stopped(pid int) error {
	state, err := processState(pid)
	if err == nil && state != 'T' {
		err = fmt.Errorf("process %d is in state %c", pid, state)
	}
	return err
}

func processState(pid int) (byte, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	// The name before the state stands in parentheses and may hold any byte.
	_, rest, ok := bytes.Cut(stat[bytes.LastIndexByte(stat, ')')+1:], []byte(" "))
	if !ok || len(rest) == 0 {
		return 0, fmt.Errorf("/proc/%d/stat cannot be read", pid)
	}
	return rest[0], nil
}
