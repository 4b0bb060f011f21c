package link

import (
	"sync"
	"time"
)

// Condition is what a Link does to the bytes of one direction. The zero
// Condition lets them pass.
type Condition struct {
	// Delay is how much later bytes arrive, without an effect on how many are
	// on their way, up to queueBytes per connection.
	Delay time.Duration
	// Jitter is a part of the delay that is drawn anew for each read, evenly
	// from nothing to Jitter, from Seed. The order of bytes is kept.
	Jitter time.Duration
	Seed   uint64
	// Rate is how many bytes per second pass, in all connections together;
	// 0: as many as come.
	Rate int64
	// Hold lets nothing pass: no byte, no end of a connection, no reset. The
	// sender sees a peer that has become silent. What it sends is kept, up to
	// queueBytes per connection, then it finds its window full; after Heal it
	// arrives. That is what a network does which drops packets: TCP sends them
	// again, so no byte of a living connection is ever lost or overtaken.
	Hold bool
}

func (c Condition) waits() bool { return c.Delay > 0 || c.Jitter > 0 || c.Rate > 0 }

// Flow counts the bytes of one direction.
type Flow struct {
	Passed  int64 // were written to the other end
	Delayed int64 // came while there was a delay or a rate
	Held    int64 // met a Hold
	Dropped int64 // had come and were lost when their connection was reset
	Waiting int64 // are on their way now
}

// side is one direction of a Link. Its lock guards its lanes too.
type side struct {
	mu        sync.Mutex
	condition Condition
	free      time.Time // with a Rate: when the next byte may begin to pass
	flow      Flow
	lanes     map[*lane]struct{}
}

// set replaces the condition and returns how many bytes were waiting.
func (s *side) set(c Condition) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.Hold && !s.condition.Hold {
		s.flow.Held += s.flow.Waiting
	}
	s.condition, s.free = c, time.Now()
	for l := range s.lanes {
		l.changed()
	}
	return s.flow.Waiting
}

func (s *side) figures() Flow {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.flow
}

func (s *side) passed(n, lost int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.flow.Passed += int64(n)
	s.flow.Dropped += int64(lost)
}
