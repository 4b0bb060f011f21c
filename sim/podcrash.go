package sim

import "context"

// crash reports that containers have exited that are to be started again. The kubelet
// says so as soon as it sees it, and what it does then it says when it sees the pod
// again (lookAgain). Lean says only what lasts, that they wait; where they do not, their
// next run says it all.
func (w *podWriter) crash(ctx context.Context, job *podJob) error {
	was, crashed := w.view.crashed()
	said := crashed && !was.waits && w.current(&was)
	status := statusCrashed
	if !w.node.cluster.behaviour.endsInSteps {
		status, said = statusBackOff, job.backoff == 0
	}
	return w.goOn(ctx, job, status, said)
}

// backOff reports that the containers of a pod wait to be started again.
func (w *podWriter) backOff(ctx context.Context, job *podJob) error {
	was, crashed := w.view.crashed()
	return w.goOn(ctx, job, statusBackOff, crashed && was.waits && w.current(&was))
}

// current says that what is told of a container is about its present run, and that
// there is no newer generation of the pod to be told of.
func (w *podWriter) current(was *told) bool {
	return was.restarts == uint64(w.pod.restarts) && w.view.observedGeneration == w.view.generation
}

// goOn reports a crash, unless that is said already, and has the containers started if
// they are due. Those that wait are when the kubelet looks again.
func (w *podWriter) goOn(ctx context.Context, job *podJob, status podStatus, said bool) error {
	n := w.node
	if !said {
		if err := w.report(ctx, job, status, w.exitCode()); err != nil {
			return err
		}
	}
	if job.action == doCrash && job.backoff > 0 {
		return nil
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.crashed(w.pod.uid)
	return nil
}
