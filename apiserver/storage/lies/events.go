package lies

import (
	"bytes"
	"slices"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"

	"github.com/planecheck/planecheck/apiserver/storage/proxy"
	"github.com/planecheck/planecheck/checkers/storage"
	"github.com/planecheck/planecheck/checkers/storage/watch"
)

// eventLies are those in the events of a watch: which come, in which order, and
// what they hold.
func eventLies() []Lie {
	breaks := func(g ...watch.Guarantee) []string {
		var names []string
		for _, g := range g {
			names = append(names, string(g))
		}
		return names
	}
	return []Lie{
		{Name: "event-dropped", Breaks: breaks(watch.Reliable), every: 30, tell: eventDropped},
		{Name: "event-with-other-value", Breaks: breaks(watch.Reliable), every: 30, tell: eventWithOtherValue},
		{Name: "event-twice", Breaks: breaks(watch.Unique), every: 30, tell: eventTwice},
		{Name: "event-again-later", Breaks: breaks(watch.Unique), every: 20, tell: eventAgainLater},
		{Name: "events-swapped", Breaks: breaks(watch.Ordered), every: 25, tell: eventsSwapped},
		{Name: "transaction-reversed", Breaks: breaks(watch.Ordered), every: 6, tell: transactionReversed},
		{Name: "transaction-split", Breaks: breaks(watch.Atomic), every: 6, tell: transactionSplit},
		{Name: "transaction-halved", Breaks: breaks(watch.Atomic), every: 6, tell: transactionHalved},
		{Name: "event-of-other-range", Breaks: breaks(watch.Filtered), every: 2, tell: eventOfOtherRange},
		{Name: "filter-ignored", Breaks: breaks(watch.Filtered), every: 2, tell: filterIgnored},
		{Name: "other-previous", Breaks: breaks(watch.PrevKV), every: 25, tell: otherPrevious},
		{Name: "no-previous", Breaks: breaks(watch.PrevKV), every: 25, tell: noPrevious},
		{Name: "update-shown-as-creation", Breaks: breaks(watch.IsCreate), every: 25, tell: shownAsCreation},
		{Name: "creation-shown-as-update", Breaks: breaks(watch.IsCreate), every: 8, tell: shownAsUpdate},
		{Name: "whole-watch-misses", Breaks: []string{storage.MembersAgree}, Members: 3, every: 20, tell: wholeWatchMisses},
	}
}

// changeEvents tells a lie in the answers with events; change returns what goes
// on, or false where it cannot lie.
func changeEvents(l *Liar, change func(*watched, *pb.WatchResponse) ([]*pb.WatchResponse, bool)) proxy.Interference {
	return onWatches(eventTeller(l, change))
}

func eventTeller(l *Liar, change func(*watched, *pb.WatchResponse) ([]*pb.WatchResponse, bool)) teller {
	return teller{answer: func(w *watched, resp *pb.WatchResponse) []*pb.WatchResponse {
		if len(resp.Events) > 0 && l.turn() {
			if out, ok := change(w, resp); ok {
				l.tell()
				return out
			}
		}
		return []*pb.WatchResponse{resp}
	}}
}

// changeEvent tells a lie in one event.
func changeEvent(l *Liar, fit func(*mvccpb.Event) bool, change func(*mvccpb.Event)) proxy.Interference {
	return changeEvents(l, func(_ *watched, resp *pb.WatchResponse) ([]*pb.WatchResponse, bool) {
		i := slices.IndexFunc(resp.Events, fit)
		if i < 0 {
			return nil, false
		}
		change(resp.Events[i])
		return []*pb.WatchResponse{resp}, true
	})
}

// without is an answer without one of its events, which is none without any.
func without(resp *pb.WatchResponse, i int) []*pb.WatchResponse {
	resp.Events = slices.Delete(resp.Events, i, i+1)
	if len(resp.Events) == 0 {
		return nil
	}
	return []*pb.WatchResponse{resp}
}

func dropOne(l *Liar, w *watched, resp *pb.WatchResponse) ([]*pb.WatchResponse, bool) {
	if w.told == 0 { // the first is what a watch is resumed with
		return nil, false
	}
	return without(resp, l.pick(len(resp.Events))), true
}

func eventDropped(l *Liar) proxy.Interference {
	return changeEvents(l, func(w *watched, resp *pb.WatchResponse) ([]*pb.WatchResponse, bool) { return dropOne(l, w, resp) })
}

// wholeWatchMisses is the one lie on the watches of the whole key space: one
// member's shows less than those of the others.
func wholeWatchMisses(l *Liar) proxy.Interference {
	t := eventTeller(l, func(w *watched, resp *pb.WatchResponse) ([]*pb.WatchResponse, bool) { return dropOne(l, w, resp) })
	t.wholes = true
	return onWatches(t)
}

func isPut(e *mvccpb.Event) bool { return e.Type == mvccpb.Event_PUT }

func eventWithOtherValue(l *Liar) proxy.Interference {
	return changeEvent(l, isPut, func(e *mvccpb.Event) { e.Kv = lieOf(e.Kv) })
}

func eventTwice(l *Liar) proxy.Interference {
	return changeEvents(l, func(_ *watched, resp *pb.WatchResponse) ([]*pb.WatchResponse, bool) {
		return []*pb.WatchResponse{resp, copyOf(resp)}, true
	})
}

// eventAgainLater repeats an answer after the one that follows it, as a store
// would that resumes a watch by itself and forgets how far it was.
func eventAgainLater(l *Liar) proxy.Interference {
	return changeEvents(l, func(w *watched, resp *pb.WatchResponse) ([]*pb.WatchResponse, bool) {
		if len(w.kept) == 0 {
			w.kept = append(w.kept, copyOf(resp))
			return nil, false
		}
		out := append([]*pb.WatchResponse{resp}, w.kept...)
		w.kept = nil
		return out, true
	})
}

// eventsSwapped delivers an answer after the one that follows it. Whatever else
// comes first finds it in its place.
func eventsSwapped(l *Liar) proxy.Interference {
	return onWatches(teller{answer: func(w *watched, resp *pb.WatchResponse) []*pb.WatchResponse {
		switch {
		case len(w.held) > 0 && len(resp.Events) > 0:
			l.tell()
			return append([]*pb.WatchResponse{resp}, released(w)...)
		case len(w.held) > 0:
			return append(released(w), resp)
		case len(resp.Events) > 0 && w.told > 0 && l.turn():
			w.held = append(w.held, resp)
			return nil
		}
		return []*pb.WatchResponse{resp}
	}})
}

// transactionReversed shows the events of a transaction in another order than
// it made them.
func transactionReversed(l *Liar) proxy.Interference {
	return changeEvents(l, func(_ *watched, resp *pb.WatchResponse) ([]*pb.WatchResponse, bool) {
		i := pair(resp.Events, true)
		if i < 0 {
			return nil, false
		}
		resp.Events[i], resp.Events[i+1] = resp.Events[i+1], resp.Events[i]
		return []*pb.WatchResponse{resp}, true
	})
}

// transactionSplit shows one transaction in two answers.
func transactionSplit(l *Liar) proxy.Interference {
	return changeEvents(l, func(_ *watched, resp *pb.WatchResponse) ([]*pb.WatchResponse, bool) {
		i := pair(resp.Events, true)
		if i < 0 {
			return nil, false
		}
		rest := copyOf(resp)
		resp.Events, rest.Events = resp.Events[:i+1], rest.Events[i+1:]
		return []*pb.WatchResponse{resp, rest}, true
	})
}

// transactionHalved leaves out one event of a transaction.
func transactionHalved(l *Liar) proxy.Interference {
	return changeEvents(l, func(_ *watched, resp *pb.WatchResponse) ([]*pb.WatchResponse, bool) {
		i := pair(resp.Events, true)
		if i < 0 {
			return nil, false
		}
		return without(resp, i+l.pick(2)), true
	})
}

// eventOfOtherRange asks the store for more than the client has, and delivers
// it.
func eventOfOtherRange(l *Liar) proxy.Interference {
	wider := func(w *watched, req *pb.WatchCreateRequest) {
		i := bytes.LastIndexByte(bytes.TrimSuffix(req.Key, []byte("/")), '/')
		if i <= 0 || !l.turn() {
			return
		}
		w.marked = true
		req.Key = req.Key[:i+1]
		req.RangeEnd = append(slices.Clone(req.Key[:i]), '/'+1)
	}
	return onWatches(teller{create: wider, answer: func(w *watched, resp *pb.WatchResponse) []*pb.WatchResponse {
		for _, e := range resp.Events {
			k := e.Kv.Key
			inside := bytes.Compare(k, w.asked.Key) >= 0 && bytes.Compare(k, w.asked.RangeEnd) < 0
			if w.marked && !inside {
				l.tell()
			}
		}
		return []*pb.WatchResponse{resp}
	}})
}

// filterIgnored delivers the types of events that a watch does not want.
func filterIgnored(l *Liar) proxy.Interference {
	ignore := func(w *watched, req *pb.WatchCreateRequest) {
		if len(req.Filters) > 0 && l.turn() {
			w.marked = true
			req.Filters = nil
		}
	}
	return onWatches(teller{create: ignore, answer: func(w *watched, resp *pb.WatchResponse) []*pb.WatchResponse {
		for _, e := range resp.Events {
			unwanted := pb.WatchCreateRequest_NOPUT
			if e.Type == mvccpb.Event_DELETE {
				unwanted = pb.WatchCreateRequest_NODELETE
			}
			if w.marked && slices.Contains(w.asked.Filters, unwanted) {
				l.tell()
			}
		}
		return []*pb.WatchResponse{resp}
	}})
}

func hasPrevious(e *mvccpb.Event) bool { return e.PrevKv != nil }

func otherPrevious(l *Liar) proxy.Interference {
	return changeEvent(l, hasPrevious, func(e *mvccpb.Event) { e.PrevKv = lieOf(e.PrevKv) })
}

func noPrevious(l *Liar) proxy.Interference {
	return changeEvent(l, hasPrevious, func(e *mvccpb.Event) { e.PrevKv = nil })
}

// shownAsCreation makes an update look as if the key had not been there.
func shownAsCreation(l *Liar) proxy.Interference {
	isUpdate := func(e *mvccpb.Event) bool { return isPut(e) && e.Kv.CreateRevision != e.Kv.ModRevision }
	return changeEvent(l, isUpdate, func(e *mvccpb.Event) {
		e.Kv.CreateRevision, e.Kv.Version, e.PrevKv = e.Kv.ModRevision, 1, nil
	})
}

// shownAsUpdate makes a creation look as if the key had been there.
func shownAsUpdate(l *Liar) proxy.Interference {
	isCreation := func(e *mvccpb.Event) bool { return isPut(e) && e.Kv.CreateRevision == e.Kv.ModRevision }
	return changeEvent(l, isCreation, func(e *mvccpb.Event) {
		e.Kv.CreateRevision, e.Kv.Version = e.Kv.ModRevision-1, 2
	})
}
