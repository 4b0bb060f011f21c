// Package lies is a catalogue of the lies that a store can tell, as
// interferences for the recording proxy. Each lie breaks named guarantees and
// nothing else of the traffic: a checker that is given the recorded history
// must find it, and must name what was broken.
//
// A lie stands behind the recorder, on the store's side of it, so the history
// is what the clients were told. It is told rarely, and consistently: header
// and body say the same.
//
// Lies on watches spare the watches of the whole key space, with which the
// harness itself learns the order of everything; a store that lies on one of
// those too is a lie of its own, whole-watch-misses.
package lies

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"

	"google.golang.org/protobuf/proto"

	"github.com/planecheck/planecheck/apiserver/storage/proxy"
)

// Lie is one way not to tell the truth. Those that can be told are in Catalogue;
// the zero Lie is the truth.
type Lie struct {
	Name string
	// Breaks are the guarantees that are surely broken once the lie was told a
	// few times, by the names that the checkers give them. Others may break too.
	Breaks []string
	// Members is how many members the store must have for the lie to show; the
	// lie is told by one of them. 0: 1.
	Members int
	// every is the mean number of opportunities for each lie told.
	every int
	tell  func(*Liar) proxy.Interference
}

// Begin returns somebody who tells the lie. All its choices come from rng,
// which must not be used elsewhere.
func (l Lie) Begin(rng *rand.Rand) *Liar {
	liar := &Liar{lie: l, rng: rng}
	liar.left = rng.IntN(max(l.every, 1))
	liar.how = truth
	if l.tell != nil {
		liar.how = l.tell(liar)
	}
	return liar
}

var truth = proxy.InterferenceFunc(func(ctx context.Context, _ string, next proxy.Opener) (proxy.Stream, error) {
	return next(ctx)
})

// Liar is an Interference that tells one lie. Begin makes one.
type Liar struct {
	lie Lie
	how proxy.Interference

	mu   sync.Mutex
	rng  *rand.Rand
	left int // opportunities to let pass before the next lie
	told int
}

// Open implements proxy.Interference.
func (l *Liar) Open(ctx context.Context, method string, next proxy.Opener) (proxy.Stream, error) {
	return l.how.Open(ctx, method, next)
}

// Told is the number of lies that have been told.
func (l *Liar) Told() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.told
}

// turn says of an opportunity whether it is to be used. Whoever then cannot
// lie is asked again at the next one, because only tell counts.
func (l *Liar) turn() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.left--
	return l.left < 0
}

// tell counts a lie as told.
func (l *Liar) tell() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.told++
	l.left = l.rng.IntN(max(2*l.lie.every-1, 1))
}

// pick returns a number of [0, n).
func (l *Liar) pick(n int) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.rng.IntN(n)
}

// Catalogue returns all lies.
func Catalogue() []Lie {
	var all []Lie
	all = append(all, readLies()...)
	all = append(all, writeLies()...)
	all = append(all, revisionLies()...)
	all = append(all, eventLies()...)
	return append(all, watchLies()...)
}

// message is what a request or an answer is.
type message interface {
	comparable
	proto.Message
}

// on is an Interference with the unary method whose request is a Q. The
// function may call next several times or not at all.
func on[Q, A message](f func(req Q, next func(Q) (A, error)) (A, error)) proxy.Interference {
	return proxy.Unary(func(ctx context.Context, method string, m proto.Message, invoke proxy.Invoke) (proto.Message, error) {
		req, ok := m.(Q)
		if !ok {
			return invoke(ctx, m)
		}
		answer, err := f(req, func(req Q) (A, error) {
			var none A
			m, err := invoke(ctx, req)
			if err != nil {
				return none, err
			}
			a, ok := m.(A)
			if !ok {
				return none, fmt.Errorf("the upstream answered %T with %T", req, m)
			}
			return a, nil
		})
		if err != nil {
			return nil, err
		}
		return answer, nil
	})
}

// both is two interferences of which the first is nearer to the recorder.
func both(first, second proxy.Interference) proxy.Interference {
	return proxy.InterferenceFunc(func(ctx context.Context, method string, next proxy.Opener) (proxy.Stream, error) {
		return first.Open(ctx, method, func(ctx context.Context) (proxy.Stream, error) {
			return second.Open(ctx, method, next)
		})
	})
}

// copyOf returns a copy that may be changed while somebody reads the original.
func copyOf[M proto.Message](m M) M { return proto.Clone(m).(M) }
