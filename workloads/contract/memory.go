package contract

import (
	"math/rand/v2"
	"net/url"
	"slices"
	"strconv"
	"sync"
)

const (
	mostVersions  = 512 // versions that are remembered as the past
	mostTokens    = 64  // continue tokens that are remembered, of each kind
	mostGenerated = 64  // names that the servers have made up, of each kind
)

// seen is what a client last saw of an object.
type seen struct {
	meta
	body []byte // the whole object; nil if only its metadata came by
}

// memory is what one client has seen. What it does with what it has drawn
// depends on this, and only on this and on the board.
type memory struct {
	mu   sync.Mutex
	seen map[string]seen
}

// keep remembers an object that an answer held.
func (m *memory) keep(o object, s seen) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.seen[o.key()] = s
}

func (m *memory) last(o object) (seen, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s, ok := m.seen[o.key()]
	return s, ok
}

func (m *memory) forget(o object) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.seen, o.key())
}

// token is a place in a list, and the list that it belongs to.
type token struct {
	namespace string
	query     url.Values // selectors
	value     string
}

// board is what all clients know together: versions and continue tokens are
// taken from one API server to another, which is where they are worth most.
type board struct {
	mu        sync.Mutex
	first     int64 // the first version ever seen: compacted before any other
	latest    int64
	past      []int64 // rising
	tokens    map[*kind][]token
	generated map[*kind][]object
}

func newBoard() *board {
	return &board{tokens: map[*kind][]token{}, generated: map[*kind][]object{}}
}

// version takes note of a resourceVersion.
func (b *board) version(version string) {
	v, err := strconv.ParseInt(version, 10, 64)
	if err != nil || v <= 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.first == 0 {
		b.first = v
	}
	if v <= b.latest {
		return
	}
	b.latest = v
	b.past = append(b.past, v)
	if len(b.past) > mostVersions {
		// Every other goes, so that the past stays as long as the run.
		for i := range mostVersions / 2 {
			b.past[i] = b.past[2*i]
		}
		b.past = b.past[:mostVersions/2]
	}
}

// now is the last version that anybody saw; "1" before the first.
func (b *board) now() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strconv.FormatInt(max(b.latest, 1), 10)
}

// before is one of the versions seen so far.
func (b *board) before(rng *rand.Rand) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.past) == 0 {
		return "1"
	}
	return strconv.FormatInt(b.past[rng.IntN(len(b.past))], 10)
}

// oldest is the first version ever seen, or, as often, 1.
func (b *board) oldest(rng *rand.Rand) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	if rng.IntN(2) == 0 {
		return "1"
	}
	return strconv.FormatInt(max(b.first, 1), 10)
}

// ahead is a version that no revision has reached yet.
func (b *board) ahead() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strconv.FormatInt(b.latest+1_000_000, 10)
}

func (b *board) keepToken(k *kind, t token) {
	b.mu.Lock()
	defer b.mu.Unlock()
	list := b.tokens[k]
	if len(list) == mostTokens {
		// Not the oldest: that one is to expire, and to be used then.
		list = slices.Delete(list, mostTokens/2, mostTokens/2+1)
	}
	b.tokens[k] = append(list, t)
}

func (b *board) token(k *kind, rng *rand.Rand) (token, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	list := b.tokens[k]
	if len(list) == 0 {
		return token{}, false
	}
	return list[rng.IntN(len(list))], true
}

func (b *board) keepGenerated(o object) {
	b.mu.Lock()
	defer b.mu.Unlock()
	list := append(b.generated[o.kind], o)
	if len(list) > mostGenerated {
		list = slices.Delete(list, 0, 1)
	}
	b.generated[o.kind] = list
}

func (b *board) anyGenerated(k *kind, rng *rand.Rand) (object, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	list := b.generated[k]
	if len(list) == 0 {
		return object{}, false
	}
	return list[rng.IntN(len(list))], true
}
