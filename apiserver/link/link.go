package link

import (
	"fmt"
	"net"
	"sync"
)

// Direction is one of the two ways that bytes take through a Link.
type Direction int

// The directions of a Link.
const (
	Up   Direction = iota // from the side that dials to the target
	Down                  // from the target back
)

// String is "up" or "down".
func (d Direction) String() string {
	if d == Up {
		return "up"
	}
	return "down"
}

// Link is a way to one TCP address with faults that are set while it runs.
//
// What can differ between the directions is a Condition. A cut cannot: a TCP
// connection needs both directions, so one that is reset is reset for both
// ends. What people call an asymmetric partition, bytes that get through one
// way only, is Condition.Hold in the other way.
type Link struct {
	target   string
	listener net.Listener // nil: connections come from a Gate
	done     chan struct{}
	tasks    sync.WaitGroup
	sides    [2]side

	mu     sync.Mutex
	cut    bool
	closed bool
	serial uint64 // of the connections
	open   map[*wire]struct{}
	stats  Stats // the counters of connections
}

// Stats is what happened on a Link so far: the evidence of a fault that does
// not come from whoever ordered it.
type Stats struct {
	Open     int   // connections open now
	Accepted int64 // connections that reached the target
	Refused  int64 // connections reset at once because the link was cut
	Failed   int64 // connections that the target did not take
	Reset    int64 // open connections that Cut or Reset ended
	Torn     int64 // connections that Tear ended in the middle of what was sent
	Up, Down Flow
}

// Healed is what Heal found waiting, in bytes, and let go on.
type Healed struct{ Up, Down int64 }

// New listens on the given TCP address, e.g. "127.0.0.1:0", and connects
// whoever dials it with target until Close.
func New(listen, target string) (*Link, error) {
	listener, err := Listen(listen)
	if err != nil {
		return nil, fmt.Errorf("start link to %s: %w", target, err)
	}
	l := newLink(target)
	l.listener = listener
	l.tasks.Go(func() {
		acceptAll(listener, l.done, func(conn *net.TCPConn) {
			l.tasks.Go(func() { l.serve(conn, nil) })
		})
	})
	return l, nil
}

func newLink(target string) *Link {
	l := &Link{target: target, done: make(chan struct{}), open: map[*wire]struct{}{}}
	for i := range l.sides {
		l.sides[i].lanes = map[*lane]struct{}{}
	}
	return l
}

// Addr is the address that clients connect to, host:port; "" below a Gate.
func (l *Link) Addr() string {
	if l.listener == nil {
		return ""
	}
	return l.listener.Addr().String()
}

// Set replaces the condition of one direction, for the connections that are
// open and those to come. Bytes that wait follow the new condition.
func (l *Link) Set(d Direction, c Condition) { l.sides[d].set(c) }

// Cut resets every connection and, until Heal, each new one as soon as it
// comes. What was on its way is lost.
func (l *Link) Cut() { l.resetOpen(func() { l.cut = true }) }

// Reset resets the connections that are open now, once, and returns their
// number.
func (l *Link) Reset() int { return l.resetOpen(func() {}) }

// Tear makes each connection that is open now end in the middle of what the
// target sends next: half of one read of at least tearLeast bytes is passed on,
// then both ends are reset. It returns their number. Those that have not ended
// yet when Heal is called are spared.
//
// It does nothing once more than torn connections were torn (Stats.Torn). So who
// calls it again, until one is, does not tear the connection that the client of
// that one makes in its place.
func (l *Link) Tear(torn int64) int {
	l.mu.Lock()
	var wires []*wire
	if l.stats.Torn <= torn {
		wires = l.wires()
	}
	l.mu.Unlock()
	for _, w := range wires {
		w.down.setTear(true)
	}
	return len(wires)
}

// torn counts a connection that was torn.
func (l *Link) torn() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stats.Torn++
}

// Heal ends a cut and every condition. Bytes that were held or delayed go on
// at once, in their order: TCP loses nothing, so neither does a network that
// comes back. Only bytes of connections that were reset meanwhile are gone,
// see Flow.Dropped.
func (l *Link) Heal() Healed {
	l.mu.Lock()
	l.cut = false
	wires := l.wires()
	l.mu.Unlock()
	for _, w := range wires {
		w.down.setTear(false)
	}
	return Healed{Up: l.sides[Up].set(Condition{}), Down: l.sides[Down].set(Condition{})}
}

// Stats returns the figures of the link.
func (l *Link) Stats() Stats {
	l.mu.Lock()
	stats := l.stats
	stats.Open = len(l.open)
	l.mu.Unlock()
	stats.Up, stats.Down = l.sides[Up].figures(), l.sides[Down].figures()
	return stats
}

// Close stops listening, resets every connection and returns when nothing of
// the link runs any more. The second Close does nothing.
func (l *Link) Close() error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return nil
	}
	l.closed = true
	wires := l.wires()
	l.mu.Unlock()

	close(l.done)
	var err error
	if l.listener != nil {
		err = l.listener.Close()
	}
	for _, w := range wires {
		w.reset()
	}
	l.tasks.Wait()
	if err != nil {
		return fmt.Errorf("close link to %s: %w", l.target, err)
	}
	return nil
}

// serve connects one client with the target. answer, if it is not nil, tells
// what the client is told first: with nil that it is connected, else why not.
func (l *Link) serve(client *net.TCPConn, answer func(error) []byte) {
	if l.refuses() {
		reset(client)
		return
	}
	server, err := net.DialTimeout("tcp", l.target, dialTimeout)
	if err != nil {
		l.failed(client, answer, err)
		return
	}
	w := l.newWire(&pipe{client: client, server: server.(*net.TCPConn)})
	if !l.enter(w) {
		w.reset()
		return
	}
	if answer != nil {
		// It is late, held and counted like all that comes back. A lane that is
		// closed already tells nobody.
		_ = w.down.put(answer(nil))
	}
	w.run()
	l.leave(w)
}

// refuses says whether a new connection is reset, and counts it then.
func (l *Link) refuses() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cut {
		l.stats.Refused++
	}
	return l.cut || l.closed
}

func (l *Link) failed(client *net.TCPConn, answer func(error) []byte, err error) {
	l.mu.Lock()
	l.stats.Failed++
	l.mu.Unlock()
	if answer == nil {
		reset(client)
		return
	}
	_, _ = client.Write(answer(err)) // a client that has gone needs no answer
	_ = client.Close()
}

// enter records an open connection. It reports false when the link was cut or
// closed while the connection was being made: nobody else would reset it then.
func (l *Link) enter(w *wire) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cut {
		l.stats.Refused++
	}
	if l.cut || l.closed {
		return false
	}
	l.stats.Accepted++
	l.open[w] = struct{}{}
	l.tasks.Add(1) // below a Gate, Close of the Link knows of its connections by this only
	return true
}

func (l *Link) leave(w *wire) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.open, w)
	l.tasks.Done()
}

// resetOpen resets what is open; first is called together with taking the list.
func (l *Link) resetOpen(first func()) int {
	l.mu.Lock()
	first()
	wires := l.wires()
	// They count as open until they have ended, but a second reset must not
	// find them again.
	clear(l.open)
	l.stats.Reset += int64(len(wires))
	l.mu.Unlock()
	for _, w := range wires {
		w.reset()
	}
	return len(wires)
}

// wires lists the open connections; l.mu is held.
func (l *Link) wires() []*wire {
	wires := make([]*wire, 0, len(l.open))
	for w := range l.open {
		wires = append(wires, w)
	}
	return wires
}

func (l *Link) newWire(p *pipe) *wire {
	l.mu.Lock()
	l.serial++
	serial := l.serial
	l.mu.Unlock()
	return newWire(p, &l.sides[Up], &l.sides[Down], serial, l.torn)
}
