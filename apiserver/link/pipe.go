package link

import (
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
)

// pipe is one client connection with the server connection behind it.
type pipe struct{ client, server *net.TCPConn }

// run copies in both directions until both ends are done, or until one fails.
// An orderly end of one direction is passed on as such (a half-close); an
// error resets both sides, as the peer would have seen it without us.
func (p *pipe) run(up, down *atomic.Int64) {
	var tasks sync.WaitGroup
	tasks.Go(func() { p.forward(p.server, p.client, up) })
	p.forward(p.client, p.server, down)
	tasks.Wait()
	// Both directions have ended: after two half-closes this is an orderly
	// end, after a reset it changes nothing.
	_ = p.client.Close()
	_ = p.server.Close()
}

func (p *pipe) forward(dst, src *net.TCPConn, count *atomic.Int64) {
	err := copyConn(dst, src, count)
	if err == nil {
		err = dst.CloseWrite()
	}
	if err != nil {
		p.reset()
	}
}

// reset ends both connections with RST.
func (p *pipe) reset() {
	reset(p.client)
	reset(p.server)
}

func reset(c *net.TCPConn) {
	_ = c.SetLinger(0)
	_ = c.Close()
}

// chunkBytes is how much one read takes at most: two TLS records.
const chunkBytes = 32 << 10

var chunks = sync.Pool{New: func() any { return new([chunkBytes]byte) }}

// copyConn copies until the orderly end of src (nil) or an error.
//
// It takes a buffer only when there is something to read, so an idle
// connection, which is what most of thousands of watches are, costs neither
// memory nor descriptors. io.Copy would splice, and splice keeps a kernel pipe,
// so four more descriptors per connection, for as long as the connection
// lives; it also is no faster for messages of a few kilobytes
// (BenchmarkMessage, BenchmarkBulk).
func copyConn(dst, src *net.TCPConn, count *atomic.Int64) error {
	raw, err := src.SyscallConn()
	if err != nil {
		return err
	}
	for {
		n, err := copyChunk(dst, src, raw)
		count.Add(int64(n))
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
	}
}

// copyChunk waits until src can be read, then forwards what one read gives.
func copyChunk(dst, src *net.TCPConn, raw syscall.RawConn) (int, error) {
	var written int
	_, err := readChunk(raw, func(data []byte) (err error) {
		written, err = dst.Write(data)
		return err
	})
	return written, err
}

// readChunk waits until a connection can be read, then gives take what one
// read gives. take must not keep it. The error is io.EOF at an orderly end.
func readChunk(raw syscall.RawConn, take func([]byte) error) (int, error) {
	var (
		buffer *[chunkBytes]byte
		n      int
		failed error
	)
	err := raw.Read(func(fd uintptr) bool {
		buffer = chunks.Get().(*[chunkBytes]byte)
		for {
			n, failed = syscall.Read(int(fd), buffer[:])
			if failed != syscall.EINTR {
				break
			}
		}
		if failed == syscall.EAGAIN {
			chunks.Put(buffer)
			buffer = nil
			return false
		}
		return true
	})
	if buffer != nil {
		defer chunks.Put(buffer)
	}
	switch {
	case err != nil:
		return 0, err
	case failed != nil:
		return 0, failed
	case n == 0:
		return 0, io.EOF
	}
	return n, take(buffer[:n])
}
