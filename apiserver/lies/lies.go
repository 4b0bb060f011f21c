// Package lies is a proxy before one kube-apiserver that tells one lie at a
// time. Each lie of the catalogue breaks named guarantees of the API and
// nothing else of the traffic: a checker that is given the recorded history
// must find it, and must name what was broken.
//
// The proxy stands between the client layer, which records, and the server, so
// the history is what the clients were told. Without a lie it is transparent:
// every body goes through byte by byte, as it comes. With one, what is not the
// lie is left as the server wrote it: objects are not decoded and encoded anew,
// their encoded form is cut and changed in place, so that fields which this
// program does not know stay as they are.
//
// A lie is told rarely, and only where it is one: who refuses a write because
// of a conflict looks first that there is none. For that, liars send reads of
// their own, with the credentials of the call in hand.
//
// Two answers look wrong and are not: 504 for a revision of the past, which a
// watch cache that lags may give, and 410 for a watch from a revision that may
// have left the server's window. No lie rests on them.
//
// Guarantees without a lie: UIDUnique is judged by the store alone, and the
// server makes the uids; so only a store can break it, see the lie uid-again of
// package apiserver/storage/lies.
package lies

import (
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
)

// The guarantees that lies break, by the names that the checkers give them.
const (
	mostRecent         = "MostRecent"
	notOlderThan       = "NotOlderThan"
	exact              = "Exact"
	anyVersion         = "Any"
	snapshot           = "Snapshot"
	paged              = "Paged"
	expiredHonest      = "ExpiredHonest"
	tooNewHonest       = "TooNewHonest"
	watchExpiredHonest = "WatchExpiredHonest"
	watchTooNewHonest  = "WatchTooNewHonest"
	initialState       = "InitialState"
	initialEventsEnd   = "InitialEventsEnd"
	bookmarkNotAhead   = "BookmarkNotAhead"
	transitions        = "Transitions"
	delivered          = "Delivered"
	ordered            = "Ordered"
	unique             = "Unique"
	conflictHonest     = "ConflictHonest"
	existsHonest       = "ExistsHonest"
	notFoundHonest     = "NotFoundHonest"
	preconditionHonest = "PreconditionHonest"
	noLostUpdate       = "NoLostUpdate"
	identityStable     = "IdentityStable"
	rvMonotonic        = "RVMonotonic"
	dryRunInert        = "DryRunInert"
	errorHonest        = "ErrorHonest"
)

// Unproven are the guarantees of the API that no proxy before a server can
// break: what they are judged by is in the store alone.
func Unproven() []string { return []string{"UIDUnique"} }

// Lie is one way not to tell the truth. Those that can be told are in Catalogue;
// the zero Lie is the truth.
type Lie struct {
	Name string
	// Breaks are the guarantees that are surely broken once the lie was told a
	// few times, by the names that the checkers give them. Others may break too.
	Breaks []string
	// Every is the mean number of opportunities for each lie told, which the
	// catalogue sets for the traffic of package workloads/contract. An
	// opportunity is a request, an answer or an event of the kind that the lie
	// is about; where it turns out that it cannot be told, the next one is
	// taken. 0 and 1: all are taken.
	Every int
	// Elections says that it is told to one process about the Leases that elect a
	// leader, by a proxy of its own, and not to clients.
	Elections bool

	// What the lie is about; one of them is set. call answers a request that is
	// no watch, with next or without. refuse answers a watch instead of the
	// server, nil: it does not. watch returns what changes the events of a watch
	// that was opened, nil: nothing does.
	call   func(l *liar, q *call, next sender) (*answer, error)
	refuse func(l *liar, q *call) *answer
	watch  func(l *liar, q *call) teller
}

// sender sends a call to the server.
type sender func(*call) (*answer, error)

// teller is given the events of a watch, and nil after the last, and returns
// what is to go on in their place.
type teller func(*event) []*event

// Catalogue returns all lies that clients are told.
func Catalogue() []Lie {
	return slices.Concat(getLies(), listLies(), pageLies(), errorLies(), garbledLies(), refusalLies(), writeLies(), removalLies(), doneLies(), eventLies(), initialLies())
}

// excluded are resources that nobody lies about: what a run is set up with, what
// no guarantee is about, and what is never stored.
var excluded = map[string]bool{
	"namespaces": true, "customresourcedefinitions": true, "events": true,
	"tokenreviews": true, "subjectaccessreviews": true, "selfsubjectaccessreviews": true,
	"selfsubjectrulesreviews": true, "localsubjectaccessreviews": true, "selfsubjectreviews": true,
}

// liar tells one lie.
type liar struct {
	lie       Lie
	resources []string          // empty: all
	confined  map[string]string // see Config.Confined
	memory    *memory
	written   lastWrites
	pages     pages

	mu   sync.Mutex
	rng  *rand.Rand
	left int // opportunities to let pass before the next lie
	told int
}

func newLiar(lie Lie, seed uint64, resources []string) *liar {
	l := &liar{lie: lie, resources: resources, memory: newMemory(), rng: rand.New(rand.NewPCG(seed, 0x6c696573))} // "lies"
	l.left = l.rng.IntN(max(lie.Every, 1))
	return l
}

// concerns says whether a call is one that the liar may lie about.
func (l *liar) concerns(q *call) bool {
	if q.verb == "" || q.sub != "" || excluded[q.resource] || q.otherForm() {
		return false
	}
	if len(l.resources) > 0 && !slices.Contains(l.resources, q.resource) || !strings.HasPrefix(q.namespace, l.confined[q.resource]) {
		return false
	}
	if q.verb == "watch" {
		return l.lie.refuse != nil || l.lie.watch != nil
	}
	return l.lie.call != nil || l.lie.refuse != nil // refusals need to know what is recent
}

// turn says of an opportunity whether it is to be used. Whoever then cannot
// lie is asked again at the next one, because only tell counts.
func (l *liar) turn() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.left--
	return l.left < 0
}

// tell counts a lie as told.
func (l *liar) tell() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.told++
	l.left = l.rng.IntN(max(2*l.lie.Every-1, 1))
}

// count is the number of lies that have been told.
func (l *liar) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.told
}

// pick returns a number of [0, n).
func (l *liar) pick(n int) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.rng.IntN(n)
}

// answer answers a call that is no watch, and remembers what the server said.
func (l *liar) answer(q *call, next sender) (*answer, error) {
	observed := func(sent *call) (*answer, error) {
		a, err := next(sent)
		if err == nil {
			l.memory.observe(sent, a)
		}
		return a, err
	}
	if l.lie.call == nil {
		return observed(q)
	}
	return l.lie.call(l, q, observed)
}
