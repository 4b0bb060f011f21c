// Package judge turns the histories in a directory into verdicts. It sees
// nothing but the histories, so it comes to the same verdicts right after a run
// and a year later on another machine.
package judge

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/checkers/api/window"
	"github.com/planecheck/planecheck/checkers/cluster"
	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/history/archive"
	"github.com/planecheck/planecheck/checkers/storage"
	"github.com/planecheck/planecheck/checkers/storage/residual"
	"github.com/planecheck/planecheck/checkers/storage/watch"
	"github.com/planecheck/planecheck/checkers/timeline"
)

// Options say what the run that made the histories was about.
type Options struct {
	// Claimed are the guarantees that the plan puts to the test, each as Claim
	// names it. Any other one
	// whose evidence is below its floors is "Not exercised" instead of Invalid;
	// a violation of it counts all the same, and so does a history that is unfit.
	// Nil: all are claimed.
	Claimed []string `json:"claimed"`
	// ClaimedAfter are those that it puts to the test only once its contract traffic has
	// sent so many requests: how long a load takes, no plan knows.
	ClaimedAfter map[string]int64 `json:"claimedAfter,omitempty"`
	// Requests is how many it has sent. 0: none, or it is not known yet, as while a run
	// is followed.
	Requests int64 `json:"-"`
	// Large says that the key space is too large to be read whole at the end:
	// hashes alone compare the members then.
	Large bool `json:"large,omitempty"`
	// Faultless says that the run did nothing to the store or its network, so
	// that watches, of the store and of the API, have to be fresh from the beginning.
	Faultless bool `json:"faultless,omitempty"`
	// Settled are the moments at which the run had left nothing to do, so that the
	// controllers must have done their work.
	Settled []cluster.Moment `json:"-"`
	// Calm is when the last fault of the run was over and the cluster whole again:
	// from then on watches, of the store and of the API, have to be fresh, and
	// controllers have to do their work in time. 0: never, or not known yet, as
	// while a run is followed.
	Calm history.Time `json:"-"`
	// Struck is when the first fault of the run began: an answer that came before is
	// one of a whole cluster. 0: there was none, or it is not known, as of Calm.
	Struck history.Time `json:"-"`
	// Crashes are the members of the store that the run ended, and that came back. Nil:
	// there were none, or it is not known, as of Calm.
	Crashes []history.Crash `json:"-"`
	// Restores says that the run restores the store from a snapshot on its way, so
	// that its history cannot be judged before Restore is known.
	Restores bool `json:"restores,omitempty"`
	// Restore is that it did so. Nil: it did not.
	Restore *history.Restore `json:"-"`
	// Phase names the part of the run that a time was in, "": none, by which the
	// deliveries of its API servers are told apart as well. Of a run that is followed it
	// is asked while that goes on, of times that are past. Nil: they are not told apart.
	Phase func(at history.Time) string `json:"-"`
	// Contract is what the store promises. Default: etcd's.
	Contract storage.Contract `json:"contract,omitzero"`
	// Undeclared is that of package writes. The history says it: it need not be set.
	Undeclared bool `json:"-"`
}

// claims says whether the run puts a guarantee to the test for sure.
func (o *Options) claims(v *checkers.Verdict) bool {
	name := Claim(v.Area, v.Guarantee)
	after, lasting := o.ClaimedAfter[name]
	return o.Claimed == nil || slices.Contains(o.Claimed, name) ||
		lasting && o.Requests >= after
}

// unjudged are verdicts on what the run claims and no checker gave one on, as of the
// API where the history has no stream of it: silence is no Pass.
func (o *Options) unjudged(given []checkers.Verdict) (void []checkers.Verdict) {
	for _, name := range o.Claimed {
		if slices.ContainsFunc(given, func(v checkers.Verdict) bool { return Claim(v.Area, v.Guarantee) == name }) {
			continue
		}
		v := checkers.Verdict{Area: checkers.AreaStore, Guarantee: name, Outcome: checkers.Invalid,
			Detail: "the run puts it to the test, and its history has nothing to judge it by"}
		if area, guarantee, ok := strings.Cut(name, "/"); ok {
			v.Area, v.Guarantee = area, guarantee
		}
		void = append(void, v)
	}
	return void
}

// calm is the moment from which on the run caused no faults; 0: never.
func (o *Options) calm() history.Time {
	if o.Faultless {
		return 1 // from the beginning
	}
	return o.Calm
}

// Judgement is what a history came to.
type Judgement struct {
	Verdicts []checkers.Verdict `json:"verdicts"`
	// What was read: calls of the store, messages and events on its watches,
	// and the revisions of the order that they gave.
	Operations int64 `json:"operations"`
	Messages   int64 `json:"messages"`
	Events     int64 `json:"events"`
	Revisions  int64 `json:"revisions"`
	// Lost is the number of records that are not in the history, by its own
	// account.
	Lost uint64 `json:"lost"`
	// Of the API history: attempts, messages on watches, and rows of the
	// version table.
	Attempts    int64 `json:"attempts"`
	APIMessages int64 `json:"api_messages"`
	Versions    int64 `json:"versions"`
	// Deliveries are by resource, the busiest first: from the commit until the
	// store handed the event to a watch, and until a client had read it.
	Deliveries    []Delivery `json:"deliveries"`
	APIDeliveries []Delivery `json:"api_deliveries"`
	// PhaseDeliveries are the latter of all resources, by the phase of the change.
	PhaseDeliveries map[string]Delivery `json:"phase_deliveries,omitempty"`
	// Took is how long the judgement took; of a history that was followed, what
	// was left of it after the history had come to its end.
	Took time.Duration `json:"took_ns"`
}

// horizon is how much later than its own time a record may come in an archive:
// an operation comes when it has returned, a message at once.
const horizon = 30 * time.Second

// step is the number of records between two rounds of judgement.
const step = 1 << 15

// Directory judges the history in dir. An incomplete history is judged
// as far as it goes, and every verdict of it is Invalid. The error is for what
// cannot be judged at all: no history, one of another schema version, a disk
// that does not read; or it is the cause of ctx, when that is done.
func Directory(ctx context.Context, dir string, opt Options) (*Judgement, error) {
	began := history.Now()
	var j *Judgement
	var err error
	if opt.Restore != nil {
		j, err = epochs(ctx, dir, opt)
	} else {
		j, _, err = wholeEpoch(ctx, dir, opt, nil)
	}
	if err != nil {
		return nil, err
	}
	j.Took = history.Since(began)
	return j, nil
}

// done is what is left of the checkers of the storage history in the end.
type done struct {
	last    int64 // revision
	changes int
	broken  []string
	// timeline is kept for the second epoch; nil: there is none.
	timeline *timeline.Timeline
}

// judge feeds the two checkers of the storage history.
type judge struct {
	opt Options
	// The checkers are nil when they have judged: they hold about as much memory as
	// the judgement of the API takes after them.
	calls   *storage.Checker
	watches *watch.Checker
	window  *window.Builder
	done    done
	// deliveries are filled by the watch checker.
	deliveries     deliveries
	oldest, newest history.Time // the times of the first record and of the last
	read           int64
	result         Judgement
}

func newJudge(opt Options, e *epoch) *judge {
	if opt.Contract.Name == "" {
		opt.Contract = storage.Etcd()
	}
	j := &judge{opt: opt, deliveries: deliveries{}, window: window.New()}
	// A run starts a store of its own, whose first revision is 1.
	floors := storage.Floors{}
	if opt.Large {
		floors.Members = -1
	}
	j.calls = storage.New(storage.Options{
		Contract: opt.Contract, Floors: floors, Crashes: opt.Crashes, Start: 1, Initial: e.initial(), Horizon: horizon, Residual: residual.Judge(residual.Limits{}),
	})
	fresh := watch.Options{Commit: j.commit, Observe: j.deliveries.observe, Calm: opt.calm(), NoVersions: opt.Contract.Uncounted}
	j.watches = watch.NewChecker(j.calls.Timeline(), fresh)
	e.begin(j)
	return j
}

func (j *judge) add(rec archive.StoreRecord) {
	if j.read++; j.read == 1 {
		j.oldest = rec.At()
	}
	j.newest = max(j.newest, rec.At())
	if rec.Op != nil {
		op := rec.Op.Clone() // the archive uses its own again
		j.opt.Contract.Op(op)
		j.result.Operations++
		j.window.StoreOp(op)
		j.calls.StoreOp(op)
		j.watches.AddOp(op)
	} else {
		w := rec.Watch.Clone()
		j.opt.Contract.Watch(w)
		j.result.Messages++
		j.result.Events += int64(len(w.Events))
		j.window.StoreWatch(w)
		j.calls.StoreWatch(w)
		j.watches.Add(w)
	}
}

// round judges the watches as far as the calls have been judged.
func (j *judge) round() {
	_, last := j.calls.Timeline().Bounds()
	j.watches.Advance(last, j.newest.Add(-horizon))
}

// broken names the guarantees of the store that were found broken.
func (j *judge) broken() []string {
	if j.calls == nil {
		return j.done.broken
	}
	return slices.Concat(j.calls.Broken(), j.watches.Broken())
}

// commit is when a revision was made.
func (j *judge) commit(rev int64) (watch.Interval, bool) {
	called, returned, ok := j.window.Commit(rev)
	return watch.Interval{Called: called, Returned: returned}, ok
}

// finish judges the rest of the store's half, and keeps its timeline if that is
// wanted.
func (j *judge) finish(keep bool) {
	verdicts := j.calls.Finish() // completes the timeline that the watches need
	verdicts = append(verdicts, j.watches.Finish()...)
	first, last := j.calls.Timeline().Bounds()
	j.result.Revisions = last - first
	j.done = done{last: last, changes: j.calls.Timeline().Len(), broken: j.broken()}
	if keep {
		j.done.timeline = j.calls.Timeline()
	}
	j.calls, j.watches = nil, nil
	for i := range verdicts {
		verdicts[i].Area = checkers.AreaStore
	}
	j.result.Verdicts, j.result.Deliveries = verdicts, j.deliveries.list()
}

// Claim is how Options.Claimed names a guarantee: those of the store by name,
// others with their area, because some names occur in both.
func Claim(area, guarantee string) string {
	if area == checkers.AreaStore {
		return guarantee
	}
	return area + "/" + guarantee
}

// settle makes of a checker's verdict the one that counts for this run.
func (j *judge) settle(v *checkers.Verdict, incomplete error) {
	switch {
	case incomplete != nil:
		// With a part missing, what is there may look broken and be whole.
		if v.Outcome == checkers.Fail {
			v.Detail = fmt.Sprintf("the history is incomplete (%v); what is there seems to show: %s", incomplete, v.Detail)
		} else {
			v.Detail = incomplete.Error()
		}
		v.Outcome, v.Unfit = checkers.Invalid, true
	case v.Outcome == checkers.Invalid && !v.Unfit && !j.opt.claims(v):
		v.Outcome = checkers.NotExercised
	}
}
