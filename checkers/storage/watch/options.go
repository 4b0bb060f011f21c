package watch

import (
	"iter"
	"time"

	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/timeline"
)

// Timeline says what every revision of the store changed. *timeline.Timeline is
// one.
type Timeline interface {
	// Bounds returns the revision before the first one whose changes are known,
	// and the last known one. Everything between them is known. Events of other
	// revisions are not judged by content.
	Bounds() (first, last int64)
	// Changes yields the changes of all revisions in [from, to], in the order
	// of the revisions and within each in the order in which its transaction
	// made them.
	Changes(from, to int64) iter.Seq2[int64, timeline.Change]
}

// Interval is the time within which something happened.
type Interval struct {
	Called   history.Time // not before
	Returned history.Time // not after; 0: nobody knows
}

// Delivery is the arrival of one event that the timeline knows.
type Delivery struct {
	Key      string
	Revision int64
	Commit   Interval
	Arrived  history.Time
	// Replayed says that the revision was committed before the watch was
	// created, so that the delay is not the store's.
	Replayed bool
}

// Options are what a Checker needs to know beside the records.
type Options struct {
	// Commit returns when a revision was committed, and whether that is known.
	// With it the checker finds revisions that were named before anybody asked
	// for them, and can judge Fresh. Default: nothing is known.
	Commit func(rev int64) (Interval, bool)

	// Calm is the moment from which on the run caused no faults. 0: unknown;
	// then Fresh is Invalid.
	Calm history.Time
	// Bound is the longest delivery that Fresh allows after Calm, counted from
	// the latest of the commit, the created answer and Calm. Default: 10 s.
	// etcd expects 10 ms in a healthy cluster and promises nothing.
	Bound time.Duration
	// End is when recording stopped. Default: the time of the last record.
	End history.Time

	// Unresolved is the number of writes of unknown fate that the timeline left
	// out. So many revisions after its last one may exist.
	Unresolved int64
	// NoVersions says that the store does not count the versions of a key
	// (kine's SQL drivers), so that they are not compared; nor is what the
	// event of a deletion carries, which is a row with a version there, nor the
	// lease of a previous version, which is that of the row; and it may leave out when that was
	// created.
	NoVersions bool

	Floors Floors

	// Observe is told of each delivery whose commit is known, in the order of
	// judgement. It is for latencies; nothing is judged by it.
	Observe func(Delivery)
}

// Floors are how much a history must hold of what a guarantee is about before
// the guarantee can pass; below, its verdict is Invalid. A zero field means its
// default, a negative one no floor.
type Floors struct {
	Events      int64 // judged events: Ordered, Unique, Reliable, Filtered, Fresh; default 1000
	Resumed     int64 // watches that read the past of a range watched before: Resumable; default 20
	Compactions int64 // acknowledged compactions: CompactedCancel; default 5
	Compacted   int64 // watches that were canceled because what they needed was compacted: CompactedCancel; default 5
	Progress    int64 // progress, per watch that it concerned: Bookmarkable; default 20
	Multi       int64 // revisions with several events for a watch: Atomic; default 1
	Previous    int64 // events whose previous version was asked for: PrevKV; default 20
	Creations   int64 // events of creations, and as many of updates: IsCreate; default 20
}

const defaultBound = 10 * time.Second

func (o Options) withDefaults() Options {
	if o.Bound <= 0 {
		o.Bound = defaultBound
	}
	f := &o.Floors
	for _, d := range []struct {
		field *int64
		value int64
	}{
		{&f.Events, 1000}, {&f.Resumed, 20}, {&f.Compactions, 5}, {&f.Compacted, 5}, {&f.Progress, 20},
		{&f.Multi, 1}, {&f.Previous, 20}, {&f.Creations, 20},
	} {
		if *d.field == 0 {
			*d.field = d.value
		}
	}
	return o
}
