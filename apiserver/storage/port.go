package storage

import (
	"context"
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// port is a TCP port of 127.0.0.1 that stays ours even while nothing listens
// on it: a member that is down must find its port again, on a machine where
// thousands of outgoing connections draw their source ports from the same
// range. The socket in it is bound but never listens. Linux does not hand out
// the port of a bound socket, and lets another socket listen on it when both
// have SO_REUSEADDR, which Go sets on every listener.
type port struct {
	fd     int
	number int
}

// reservePort reserves the port with that number, or any free one for 0.
func reservePort(number int) (*port, error) {
	p, err := bindPort(number)
	if err != nil {
		return nil, fmt.Errorf("reserve 127.0.0.1:%d: %w", number, err)
	}
	return p, nil
}

func bindPort(number int) (*port, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	p := &port{fd: fd}
	if err := p.bind(number); err != nil {
		p.release()
		return nil, err
	}
	return p, nil
}

func (p *port) bind(number int) error {
	if err := unix.SetsockoptInt(p.fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		return os.NewSyscallError("setsockopt", err)
	}
	addr := &unix.SockaddrInet4{Port: number, Addr: [4]byte{127, 0, 0, 1}}
	if err := unix.Bind(p.fd, addr); err != nil {
		return os.NewSyscallError("bind", err)
	}
	bound, err := unix.Getsockname(p.fd)
	if err != nil {
		return os.NewSyscallError("getsockname", err)
	}
	p.number = bound.(*unix.SockaddrInet4).Port
	return nil
}

func (p *port) address() string { return fmt.Sprintf("127.0.0.1:%d", p.number) }

func (p *port) url() string { return "http://" + p.address() }

func (p *port) listen() (net.Listener, error) {
	var config net.ListenConfig
	return config.Listen(context.Background(), "tcp4", p.address())
}

// release gives the port back; its number stays known. A listener on it goes
// on. A second release does nothing.
func (p *port) release() {
	if p.fd >= 0 {
		unix.Close(p.fd)
	}
	p.fd = -1
}
