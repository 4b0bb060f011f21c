package link

import (
	"net"
	"os/exec"
	"strconv"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// A reserved port can be listened on, again and again, but nobody gets it by
// asking for any free port.
func TestPort(t *testing.T) {
	p, err := ReservePort(0)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Release()
	for range 2 {
		if _, err := net.Dial("tcp", p.Addr()); err == nil {
			t.Fatal("something listens on a port that is only reserved")
		}
		listener, err := net.Listen("tcp", p.Addr())
		if err != nil {
			t.Fatalf("listen on the reserved port: %v", err)
		}
		conn, err := net.Dial("tcp", p.Addr())
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.Close()
		_ = listener.Close()
	}
	seen := map[int]bool{p.Number: true}
	for range 200 {
		other, err := ReservePort(0)
		if err != nil {
			t.Fatal(err)
		}
		defer other.Release()
		if seen[other.Number] {
			t.Fatalf("port %d was given out twice", other.Number)
		}
		seen[other.Number] = true
	}
	p.Release()
	p.Release()
}

// A reserved port can be listened on again and again, by number; nobody else
// gets it by chance; and one that is taken is refused.
func TestPortByNumber(t *testing.T) {
	p, err := ReservePort(0)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Release()
	for range 2 {
		l, err := p.Listen()
		if err != nil {
			t.Fatalf("listen on the reserved port: %v", err)
		}
		if _, err := ReservePort(p.Number); err == nil {
			t.Error("a port that is listened on could be reserved")
		}
		l.Close()
	}
	if _, err := net.Dial("tcp4", p.Addr()); err == nil {
		t.Error("a port that nobody listens on took a connection")
	}
	p.Release()
	p.Release()
	l, err := net.Listen("tcp4", "127.0.0.1:"+strconv.Itoa(p.Number))
	if err != nil {
		t.Fatalf("listen on a released port: %v", err)
	}
	l.Close()
}

// A port that was listened on can be had again while other goroutines start processes:
// each holds a copy of the listening socket until it executes its program.
func TestPortBesideStarts(t *testing.T) {
	p, err := ReservePort(0)
	if err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	var starts sync.WaitGroup
	defer starts.Wait()
	defer close(stop)
	for range 4 {
		starts.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if err := exec.Command("true").Run(); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for i := range 300 {
		l, err := p.Listen()
		if err != nil {
			t.Fatalf("listen for the %d. time: %v", i, err)
		}
		l.Close()
		p.Release()
		if p, err = ReservePort(p.Number); err != nil {
			t.Fatalf("reserve for the %d. time: %v", i, err)
		}
	}
	p.Release()
}

// While the port is reserved the kernel must not hand it out. The test leaves
// it no other choice, so that only a reservation can make it refuse.
func TestPortIsNotHandedOut(t *testing.T) {
	p, err := ReservePort(0)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Release()
	if err := bindInRange(p.Number); err == nil {
		t.Error("the kernel handed out the reserved port")
	}
	p.Release()
	if err := bindInRange(p.Number); err != nil {
		t.Skipf("this kernel cannot be asked for a port out of a range: %v", err)
	}
}

// bindInRange binds a socket to any port out of a range of one, as a client
// connection draws its source port, and returns what the kernel says.
func bindInRange(number int) error {
	const ipLocalPortRange = 51 // IP_LOCAL_PORT_RANGE of linux/in.h, since Linux 6.3
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := unix.SetsockoptInt(fd, unix.SOL_IP, ipLocalPortRange, number<<16|number); err != nil {
		return err
	}
	return unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})
}
