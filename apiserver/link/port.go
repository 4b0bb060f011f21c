package link

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Port is a TCP port of 127.0.0.1 that is kept for one server for as long as
// the Port is held, whether or not the server listens on it at the moment.
//
// It is a socket that is bound and never listens. Linux gives the port of a
// bound socket to no connection and to no other bind of port 0, and yet lets a
// socket listen on it if both have SO_REUSEADDR, as every listener of Go has.
// So a child process that is told the number finds it free, which closing a
// listener and hoping does not achieve on a machine with thousands of
// connections.
type Port struct {
	Number int
	fd     int
	once   sync.Once
}

// A server's socket lives on for a moment after it is closed where this process starts
// another one just then: the child has it until it executes its program. So a
// port that was ours is waited for, that long and in such steps.
const (
	takenLimit = time.Second
	takenStep  = 5 * time.Millisecond
)

// whileTaken tries again what failed because the address is in use, for takenLimit at most.
func whileTaken(try func() error) error {
	deadline := time.Now().Add(takenLimit)
	for {
		err := try()
		if !errors.Is(err, unix.EADDRINUSE) || !time.Now().Before(deadline) {
			return err
		}
		time.Sleep(takenStep)
	}
}

// ReservePort reserves the port with that number, or any free one for 0. One that is
// taken is waited for, for a second at most.
func ReservePort(number int) (*Port, error) {
	var p *Port
	err := whileTaken(func() (err error) {
		p, err = reserve(number)
		return err
	})
	return p, err
}

func reserve(number int) (*Port, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("reserve 127.0.0.1:%d: %w", number, os.NewSyscallError("socket", err))
	}
	bound, err := bindLoopback(fd, number)
	if err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("reserve 127.0.0.1:%d: %w", number, err)
	}
	return &Port{Number: bound, fd: fd}, nil
}

func bindLoopback(fd, number int) (int, error) {
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		return 0, os.NewSyscallError("setsockopt", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Port: number, Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return 0, os.NewSyscallError("bind", err)
	}
	bound, err := unix.Getsockname(fd)
	if err != nil {
		return 0, os.NewSyscallError("getsockname", err)
	}
	addr, ok := bound.(*unix.SockaddrInet4)
	if !ok {
		return 0, fmt.Errorf("the socket is bound to a %T", bound)
	}
	return addr.Port, nil
}

// Addr is the address to listen on and to connect to, host:port.
func (p *Port) Addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(p.Number)) }

// Listen listens on the port, which may be done again after the listener is
// closed.
func (p *Port) Listen() (net.Listener, error) { return Listen(p.Addr()) }

// Listen listens on an IPv4 address, host:port. A port that is taken is waited for, for
// a second at most.
func Listen(address string) (net.Listener, error) {
	var l net.Listener
	err := whileTaken(func() (err error) {
		l, err = net.Listen("tcp4", address)
		return err
	})
	return l, err
}

// Release gives the port back; its number stays known. A server that listens on it goes on. The second
// Release does nothing.
func (p *Port) Release() { p.once.Do(func() { _ = unix.Close(p.fd) }) }
