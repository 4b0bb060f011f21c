package results

import (
	"math/bits"
	"time"

	"github.com/planecheck/planecheck/checkers/history"
)

// callKind tells the calls apart whose availability is measured.
type callKind int

const (
	kindRead  callKind = iota // get, list
	kindWrite                 // everything else
	// kindWatch is the opening of a watch. It is counted only: how long a
	// server takes until it sends the headers is no service yet.
	kindWatch
	callKinds  = 3
	timedKinds = 2 // kindRead and kindWrite
)

func kindOf(verb string) callKind {
	switch verb {
	case "get", "list":
		return kindRead
	case "watch":
		return kindWatch
	default:
		return kindWrite
	}
}

// callClasses are the identity classes that are told apart; the last index is
// for any other.
var callClasses = [...]history.Class{
	history.ClassKubelet, history.ClassContract, history.ClassWorkload,
	history.ClassController, history.ClassKubeProxy, history.ClassObserver,
}

func classIndex(c history.Class) int {
	for i := range callClasses {
		if callClasses[i] == c {
			return i
		}
	}
	return len(callClasses)
}

// second is what happened in one second of a run. A fault that strikes within
// it cuts it into parts.
type second struct {
	parts []*secondPart // in the order of time; the first begins with the second
	marks [timedKinds]marks
}

type secondPart struct {
	from    history.Time
	calls   [callKinds][len(callClasses) + 1]fates
	latency [timedKinds]logHistogram
	beats   HeartbeatFigures
}

func newSecond(from history.Time) *second {
	return &second{parts: []*secondPart{{from: from}}}
}

// part returns the part that holds a time of the second.
func (s *second) part(at history.Time) *secondPart {
	i := len(s.parts) - 1
	for i > 0 && s.parts[i].from > at {
		i--
	}
	return s.parts[i]
}

// fates counts calls by what became of them.
type fates struct{ served, failed, shed, canceled uint32 }

func (f *fates) add(fate fate) {
	switch fate {
	case fateServed, fateMeant:
		f.served++
	case fateUnavailable:
		f.failed++
	case fateRejected:
		f.shed++
	case fateCanceled:
		f.canceled++
	}
}

// A second has slots, to which moments are known: a hundredth is finer than
// any recovery, and an order of magnitude less than what a bucket of a second
// would hide.
const (
	slotsPerSecond = 100
	slotLength     = time.Second / slotsPerSecond
)

// slot is the slot within its second that holds a time.
func (a *Availability) slot(at history.Time) int {
	return int(at.Sub(a.start) % time.Second / slotLength)
}

// slotSet is a set of the slots of a second.
type slotSet [(slotsPerSecond + 63) / 64]uint64

func (s *slotSet) set(i int)      { s[i/64] |= 1 << (i % 64) }
func (s *slotSet) has(i int) bool { return s[i/64]>>(i%64)&1 == 1 }

// marks are the moments of one kind of call within a second.
type marks struct {
	called slotSet // a call was due that somebody waited for
	failed slotSet // a call was due that was not served
	served slotSet // an answer came
	// fastest is how long the first answer to a call of the slot took, in
	// microseconds and one more; 0: no call of the slot was served.
	fastest [slotsPerSecond]uint32
}

// call notes a call that was served.
func (m *marks) call(slot int, took time.Duration) {
	m.called.set(slot)
	us := uint32(min(max(took, 0)/time.Microsecond, 1<<32-2)) + 1
	if m.fastest[slot] == 0 || us < m.fastest[slot] {
		m.fastest[slot] = us
	}
}

// A logHistogram has eight buckets for each doubling, from half a millisecond
// to two minutes: a quantile is at most an eighth too high, or 64 µs. It is a
// fortieth of the size of a histogram, of which a run has two for every
// second.
const (
	logUnit    = 64 * time.Microsecond
	logSteps   = 8
	logBuckets = 19 * logSteps
)

type logHistogram struct {
	counts [logBuckets]uint32
	max    time.Duration
}

func logBucket(d time.Duration) int {
	v := uint64(d / logUnit)
	if v < logSteps {
		return int(v)
	}
	doublings := bits.Len64(v) - bits.Len64(logSteps)
	return min(logSteps*doublings+int(v>>doublings), logBuckets-1)
}

// logEdge is the upper edge of a bucket.
func logEdge(bucket int) time.Duration {
	if bucket < logSteps {
		return time.Duration(bucket+1) * logUnit
	}
	doublings := bucket/logSteps - 1
	return (time.Duration(bucket%logSteps+logSteps+1) << doublings) * logUnit
}

func (h *logHistogram) record(d time.Duration) {
	d = max(d, 0)
	h.max = max(h.max, d)
	h.counts[logBucket(d)]++
}

func (h *logHistogram) merge(other *logHistogram) {
	for i, n := range other.counts {
		h.counts[i] += n
	}
	h.max = max(h.max, other.max)
}

func (h *logHistogram) count() (count int64) {
	for _, n := range h.counts {
		count += int64(n)
	}
	return count
}

// quantile returns the value at q in 0..100, cut at the maximum, which is known
// exactly.
func (h *logHistogram) quantile(q int64) Seconds {
	rank := max((h.count()*q+99)/100, 1)
	for i, n := range h.counts[:logBuckets-1] {
		if rank -= int64(n); rank <= 0 {
			return Seconds(min(logEdge(i), h.max))
		}
	}
	return Seconds(h.max)
}

func (h *logHistogram) latency() Latency {
	return Latency{
		Count: h.count(), P50: h.quantile(50), P90: h.quantile(90), P99: h.quantile(99), Max: Seconds(h.max),
	}
}
