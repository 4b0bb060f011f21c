package scenarios

import (
	"context"
	"fmt"

	guarantees "github.com/planecheck/planecheck/checkers/cluster"
	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/judge"
)

// follower judges a history while the run goes on, so that a violation is seen a
// few minutes after the fact, and only the rest is judged after the end. It costs
// the harness memory and CPU meanwhile.
type follower struct {
	process *judge.Process
	cancel  context.CancelCauseFunc
	gone    chan struct{} // closed when the history has its end
	done    chan struct{}
	err     error // of process.Run, once done
}

// violationSeen is the cause by which a run ends that is to fail fast.
type violationSeen struct{ guarantee string }

func (v *violationSeen) Error() string {
	return fmt.Sprintf("the history shows that %s was broken: the run ends here", v.guarantee)
}

// startFollower begins to follow the history in dir until finish is called.
// broken is called with each guarantee that is seen broken.
func startFollower(dir string, options judge.Options, broken func(guarantee string)) (*follower, error) {
	ctx, cancel := context.WithCancelCause(context.Background())
	f := &follower{cancel: cancel, gone: make(chan struct{}), done: make(chan struct{})}
	var err error
	if f.process, err = judge.Follow(ctx, dir, options, f.gone, broken); err != nil {
		cancel(nil)
		return nil, err
	}
	go func() {
		defer close(f.done)
		f.err = f.process.Run()
	}()
	return f, nil
}

// finish judges the rest of a history to which nothing is added any more.
func (f *follower) finish(ctx context.Context, settled []guarantees.Moment, requests int64) (*judge.Judgement, error) {
	defer context.AfterFunc(ctx, func() { f.cancel(context.Cause(ctx)) })()
	close(f.gone)
	if <-f.done; f.err != nil {
		return nil, f.err
	}
	return f.process.Finish(settled, requests), nil
}

// failFast has the run end when its history shows the first violation.
func (x *execution) failFast(cancel context.CancelCauseFunc) error {
	if !x.plan.FailFast || x.recording == nil {
		return nil
	}
	var err error
	x.follower, err = startFollower(x.dir.File(historyDir), x.judgeOptions(), func(guarantee string) {
		x.m.series.Event(history.Now(), "violation", guarantee, nil)
		cancel(&violationSeen{guarantee})
	})
	return err
}

// judgement is that of the whole history, which has been closed.
func (x *execution) judgement(ctx context.Context) (*judge.Judgement, error) {
	if x.follower != nil {
		j, err := x.follower.finish(ctx, x.run.Moments(), contractRequests(x.run))
		if err != nil || x.run.Calm == 0 && x.run.Struck == 0 {
			return j, err
		} // when there were faults was not known until now
	}
	return judgeAgain(ctx, x.dir.Path, x.run, x.judgeOptions())
}

// judgeOptions are those of the plan, with what is known of its phases at any time.
func (x *execution) judgeOptions() judge.Options {
	options := x.plan.Judge
	options.Phase = x.m.collector.PhaseAt
	return options
}
