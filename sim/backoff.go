package sim

import "time"

// How long containers wait that are started again: newCrashLoopBackOff in
// pkg/kubelet/kubelet.go with the defaults of configuration and feature gates, and the
// HasExpiredFunc that it gives its back-off.
const (
	crashWaitFirst = 10 * time.Second
	crashWaitMost  = 300 * time.Second
	crashForgotten = 600 * time.Second // after a run of more than this it begins anew
	// resyncInterval is the longest that a pod worker lets a pod be (SyncFrequency).
	resyncInterval = time.Minute
)

// backoff is what a kubelet remembers of a pod whose containers were started again: an
// entry of flowcontrol.Backoff in k8s.io/client-go. It is in memory only, so a new
// kubelet knows nothing of it. The zero value is that of a pod whose containers run for
// the first time.
type backoff struct {
	wait  time.Duration
	since time.Time // of the start that set it
}

// left is how long containers that exited at a time still have to wait; 0: they are
// due.
func (b *backoff) left(exited, now time.Time) time.Duration {
	if b.wait == 0 || exited.Sub(b.since) > crashForgotten {
		return 0
	}
	return max(0, b.wait-now.Sub(exited))
}

// next is called when containers are started that exited at a time.
func (b *backoff) next(exited, now time.Time) {
	if b.wait == 0 || exited.Sub(b.since) > crashForgotten {
		b.wait = crashWaitFirst
	} else {
		b.wait = min(2*b.wait, crashWaitMost)
	}
	b.since = now
}

// requeued is when a pod worker looks again at a pod that has to wait for so long: at
// most half as long again after that, by a number from [0, 1), and no later than it
// looks at every pod (completeWork in pkg/kubelet/pod_workers.go).
func requeued(left time.Duration, random float64) time.Duration {
	return time.Duration(float64(min(left, resyncInterval)) * (1 + random/2))
}
