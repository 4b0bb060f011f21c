package link

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"time"
)

// queueBytes bounds what one connection keeps in one direction. It carries
// 40 MB/s over a delay of 100 ms.
const queueBytes = 4 << 20

// pieceCost is what one piece takes beside its bytes, so that many small ones
// are bounded too.
const pieceCost = 64

// tearLeast is how long a read is, in bytes, that Tear takes for the answer or
// the event of a server, and not for the small talk of its protocols.
const tearLeast = 256

// rateSteps is into how many steps a second is cut where a Rate is set: a
// byte waits for a tenth of a second at most before it moves with the others.
const rateSteps = 10

var errLaneClosed = errors.New("the connection was reset")

// wire is one connection of a Link: a pipe whose two directions are queues.
type wire struct {
	*pipe
	up, down *lane
	torn     func() // is told when it is torn
}

func newWire(p *pipe, up, down *side, serial uint64, torn func()) *wire {
	w := &wire{pipe: p, torn: torn}
	w.up = newLane(w, up, p.client, p.server, serial)
	w.down = newLane(w, down, p.server, p.client, serial)
	w.up.back, w.down.back = w.down, w.up
	return w
}

// run forwards until both directions have ended, or the connection is reset.
func (w *wire) run() {
	var tasks sync.WaitGroup
	for _, l := range []*lane{w.up, w.down} {
		tasks.Go(l.read)
		tasks.Go(l.write)
	}
	tasks.Wait()
	w.up.close()
	w.down.close()
	_ = w.client.Close()
	_ = w.server.Close()
}

// reset ends both connections with RST and drops what is on its way.
func (w *wire) reset() {
	w.pipe.reset()
	w.up.close()
	w.down.close()
}

// lane is one direction of one connection.
type lane struct {
	wire     *wire
	side     *side
	src, dst *net.TCPConn
	back     *lane // the other direction
	serial   uint64

	// The rest is guarded by side.mu.
	wake   *sync.Cond // the lane or its side has changed
	queue  []piece
	cost   int // of the queue
	random *rand.Rand
	ended  bool // the end of src has been passed on
	closed bool // nothing is passed on any more
	tear   bool // half of the next piece that is long enough is the last
}

// piece is what one read gave, or the end of what can be read. One that is due
// before the piece ahead of it goes on right behind that.
type piece struct {
	data []byte
	due  time.Time
	end  ending
}

type ending int

const (
	goesOn  ending = iota
	orderly        // FIN
	broken         // RST, or the end of a process
	torn           // the other half is lost, by order
)

func newLane(w *wire, s *side, src, dst *net.TCPConn, serial uint64) *lane {
	l := &lane{wire: w, side: s, src: src, dst: dst, serial: serial, wake: sync.NewCond(&s.mu)}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lanes[l] = struct{}{}
	l.changed()
	return l
}

// read queues what src sends, and its end.
func (l *lane) read() {
	raw, err := l.src.SyscallConn()
	for err == nil && l.awaitRoom() {
		_, err = readChunk(raw, l.put)
	}
	switch {
	case errors.Is(err, io.EOF):
		l.finish(orderly)
	case err != nil:
		l.finish(broken)
	}
}

// awaitRoom reports false when the lane is closed.
func (l *lane) awaitRoom() bool {
	l.side.mu.Lock()
	defer l.side.mu.Unlock()
	for l.cost >= queueBytes && !l.closed {
		l.wake.Wait()
	}
	return !l.closed
}

// put queues a copy of data.
func (l *lane) put(data []byte) error {
	l.side.mu.Lock()
	defer l.side.mu.Unlock()
	if l.closed {
		return errLaneClosed
	}
	flow, n := &l.side.flow, int64(len(data))
	flow.Waiting += n
	if l.side.condition.waits() {
		flow.Delayed += n
	}
	if l.side.condition.Hold {
		flow.Held += n
	}
	l.push(piece{data: bytes.Clone(data)})
	return nil
}

// finish queues the end of src behind what it has sent, so that it is late
// with a delay and does not show with a Hold. It reports false when nobody
// would pass it on.
func (l *lane) finish(end ending) bool {
	l.side.mu.Lock()
	defer l.side.mu.Unlock()
	if l.closed || l.ended {
		return false
	}
	l.push(piece{end: end})
	return true
}

// push stamps a piece with its time; side.mu is held.
func (l *lane) push(p piece) {
	c := l.side.condition
	p.due = time.Now().Add(c.Delay)
	if c.Jitter > 0 {
		p.due = p.due.Add(time.Duration(l.random.Int64N(int64(c.Jitter) + 1)))
	}
	l.queue = append(l.queue, p)
	l.cost += len(p.data) + pieceCost
	l.wake.Broadcast()
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// write passes on what is queued, each piece when its time has come.
func (l *lane) write() {
	for {
		p, ok := l.take()
		if !ok {
			return
		}
		var err error
		switch p.end {
		case broken, torn:
			if p.end == torn {
				l.wire.torn()
			}
			l.wire.reset()
			return
		case orderly:
			err = l.dst.CloseWrite()
		default:
			var n int
			n, err = l.dst.Write(p.data)
			l.side.passed(n, len(p.data)-n)
		}
		if err != nil {
			l.refused()
			return
		}
		if p.end == orderly {
			return
		}
	}
}

// refused ends a lane whose dst takes nothing any more. That dst is broken is
// news that comes from dst, so it goes the other way, with all that holds
// there.
func (l *lane) refused() {
	l.close()
	if !l.back.finish(broken) {
		l.wire.reset()
	}
}

// take waits for the next piece, or part of one, that may go on. It reports
// false when the lane is closed.
func (l *lane) take() (piece, bool) {
	l.side.mu.Lock()
	defer l.side.mu.Unlock()
	for !l.closed {
		if len(l.queue) == 0 || l.side.condition.Hold {
			l.wake.Wait()
			continue
		}
		n, at := l.next()
		if wait := time.Until(at); wait > 0 {
			l.sleep(wait)
			continue
		}
		return l.pop(n, at), true
	}
	return piece{}, false
}

// next says how much of the first piece may go on together, and when. With a
// Rate that is when its last byte would have passed a wire of that rate.
func (l *lane) next() (n int, at time.Time) {
	first, rate := l.queue[0], l.side.condition.Rate
	n, at = len(first.data), first.due
	if rate <= 0 || n == 0 {
		return n, at
	}
	n = min(n, int(max(rate/rateSteps, 1)))
	takes := time.Duration(float64(n) / float64(rate) * float64(time.Second))
	return n, later(l.side.free, first.due).Add(takes)
}

// sleep waits until the time has passed or something has changed; side.mu is
// held.
func (l *lane) sleep(wait time.Duration) {
	// Under the lock, so that the signal cannot come before the Wait.
	timer := time.AfterFunc(wait, func() {
		l.side.mu.Lock()
		defer l.side.mu.Unlock()
		l.wake.Broadcast()
	})
	defer timer.Stop()
	l.wake.Wait()
}

// pop takes the first n bytes off the queue; side.mu is held.
func (l *lane) pop(n int, at time.Time) piece {
	if l.side.condition.Rate > 0 {
		l.side.free = at
	}
	if l.tear && len(l.queue[0].data) >= tearLeast {
		n = l.tearFirst()
	}
	p := l.queue[0]
	if n < len(p.data) {
		l.queue[0].data = p.data[n:]
		p.data = p.data[:n]
		l.cost -= n
	} else {
		l.queue[0] = piece{} // or its bytes live as long as the queue's array
		l.queue = l.queue[1:]
		l.cost -= len(p.data) + pieceCost
	}
	l.side.flow.Waiting -= int64(len(p.data))
	l.ended = l.ended || p.end != goesOn
	l.wake.Broadcast() // for awaitRoom
	return p
}

// tearFirst leaves half of the first piece and nothing behind it, and returns
// the length of that half; side.mu is held.
func (l *lane) tearFirst() int {
	half := len(l.queue[0].data) / 2
	lost := -int64(half)
	for _, p := range l.queue {
		lost += int64(len(p.data))
	}
	l.side.flow.Waiting -= lost
	l.side.flow.Dropped += lost
	l.queue = []piece{{data: l.queue[0].data[:half]}, {end: torn}}
	l.cost = half + 2*pieceCost
	l.tear = false
	return half
}

func (l *lane) setTear(tear bool) {
	l.side.mu.Lock()
	defer l.side.mu.Unlock()
	l.tear = tear
}

// changed follows a new condition of the side; side.mu is held.
func (l *lane) changed() {
	c := l.side.condition
	l.random = rand.New(rand.NewPCG(c.Seed, l.serial))
	if c.Delay <= 0 && c.Jitter <= 0 {
		now := time.Now()
		for i := range l.queue {
			l.queue[i].due = now
		}
	}
	l.wake.Broadcast()
}

// close drops what is queued and ends both loops of the lane, as far as they
// do not wait for their connection.
func (l *lane) close() {
	l.side.mu.Lock()
	defer l.side.mu.Unlock()
	if l.closed {
		return
	}
	l.closed = true
	for _, p := range l.queue {
		l.side.flow.Waiting -= int64(len(p.data))
		l.side.flow.Dropped += int64(len(p.data))
	}
	l.queue, l.cost = nil, 0
	delete(l.side.lanes, l)
	l.wake.Broadcast()
}
