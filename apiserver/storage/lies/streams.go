package lies

import (
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/planecheck/planecheck/apiserver/storage/proxy"
	"github.com/planecheck/planecheck/checkers/storage/watch"
)

// watchLies are those about the course of a watch: its begin, its progress and
// its end.
func watchLies() []Lie {
	return []Lie{
		{Name: "resumed-too-late", Breaks: []string{string(watch.Resumable)}, every: 2, tell: resumedTooLate},
		{Name: "created-ahead", Breaks: []string{string(watch.Resumable)}, every: 4, tell: createdAhead},
		{Name: "progress-ahead", Breaks: []string{string(watch.Bookmarkable)}, every: 10, tell: progressAhead},
		{Name: "progress-behind", Breaks: []string{string(watch.Bookmarkable)}, every: 6, tell: progressBehind},
		{Name: "progress-before-its-events", Breaks: []string{string(watch.Bookmarkable)}, every: 12, tell: progressBeforeEvents},
		{Name: "canceled-for-nothing", Breaks: []string{string(watch.CompactedCancel)}, every: 40, tell: canceledForNothing},
		{Name: "compacted-skipped", Breaks: []string{string(watch.CompactedCancel)}, every: 1, tell: compactedSkipped},
	}
}

// resumedTooLate leaves out the event with which a resumed watch begins.
func resumedTooLate(l *Liar) proxy.Interference {
	return onWatches(teller{answer: func(w *watched, resp *pb.WatchResponse) []*pb.WatchResponse {
		if len(resp.Events) == 0 || w.asked.StartRevision <= 0 || w.told > 0 || w.marked || !l.turn() {
			return []*pb.WatchResponse{resp}
		}
		l.tell()
		w.marked = true
		return without(resp, 0)
	}})
}

// createdAhead begins a watch at a revision that is not there yet: a client
// that resumes it goes on from there.
func createdAhead(l *Liar) proxy.Interference {
	return onWatches(teller{answer: func(w *watched, resp *pb.WatchResponse) []*pb.WatchResponse {
		if resp.Created && w.asked.StartRevision <= 0 && l.turn() {
			l.tell()
			resp.Header.Revision += 100
		}
		return []*pb.WatchResponse{resp}
	}})
}

// changeProgress tells another revision than that of the progress.
func changeProgress(l *Liar, by int64) proxy.Interference {
	change := func(resp *pb.WatchResponse) []*pb.WatchResponse {
		if isProgress(resp) && resp.Header.Revision+by > 0 && l.turn() {
			l.tell()
			resp.Header.Revision += by
		}
		return []*pb.WatchResponse{resp}
	}
	return onWatches(teller{
		answer:   func(_ *watched, resp *pb.WatchResponse) []*pb.WatchResponse { return change(resp) },
		progress: func(_ []*watched, resp *pb.WatchResponse) []*pb.WatchResponse { return change(resp) },
	})
}

// progressAhead says that a watch has seen one revision more than it has.
func progressAhead(l *Liar) proxy.Interference { return changeProgress(l, 1) }

// progressBehind says that it has seen less than it was shown.
func progressBehind(l *Liar) proxy.Interference { return changeProgress(l, -15) }

// holdMost is how many answers are held back for progress that may never come:
// a client may ask for it only when it has seen something.
const holdMost = 3

// progressBeforeEvents holds events back until progress has gone ahead of them.
func progressBeforeEvents(l *Liar) proxy.Interference {
	ahead := func(open []*watched, resp *pb.WatchResponse) []*pb.WatchResponse {
		held := released(open...)
		if len(held) > 0 {
			l.tell()
		}
		return append([]*pb.WatchResponse{resp}, held...)
	}
	return onWatches(teller{
		answer: func(w *watched, resp *pb.WatchResponse) []*pb.WatchResponse {
			switch {
			case isProgress(resp):
				return ahead([]*watched{w}, resp)
			case len(resp.Events) > 0 && len(w.held) < holdMost && (len(w.held) > 0 || l.turn()):
				w.held = append(w.held, resp)
				return nil
			}
			return append(released(w), resp)
		},
		progress: ahead,
	})
}

// canceledForNothing ends a watch as if what it needs had been compacted.
func canceledForNothing(l *Liar) proxy.Interference {
	return onWatches(teller{answer: func(w *watched, resp *pb.WatchResponse) []*pb.WatchResponse {
		if len(resp.Events) == 0 || !l.turn() {
			return []*pb.WatchResponse{resp}
		}
		l.tell()
		w.gone = true
		return []*pb.WatchResponse{resp, {
			Header: resp.Header, WatchId: resp.WatchId, Canceled: true, CompactRevision: resp.Header.Revision,
		}}
	}})
}

// compactedSkipped begins a watch whose start is compacted where the history
// begins, and says nothing.
func compactedSkipped(l *Liar) proxy.Interference {
	var asked askedFor
	skip := func(w *watched, req *pb.WatchCreateRequest) {
		if from := asked.revision.Load(); req.StartRevision > 0 && req.StartRevision < from && l.turn() {
			w.marked = true
			req.StartRevision = from
		}
	}
	return both(asked.interference(), onWatches(teller{create: skip, answer: func(w *watched, resp *pb.WatchResponse) []*pb.WatchResponse {
		if w.marked && w.told == 0 && len(resp.Events) > 0 {
			l.tell()
		}
		return []*pb.WatchResponse{resp}
	}}))
}
