package sim

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/planecheck/planecheck/apiserver/client"
	"github.com/planecheck/planecheck/checkers/history/wire"
)

// podJob is one thing to be written about a pod.
type podJob struct {
	action  podAction
	uid     string
	raw     []byte        // the pod as it was seen, encoded
	version uint64        // of raw
	killed  bool          // doFinish: the containers outlived their grace period
	tries   int           // that failed
	backoff time.Duration // doCrash, doBackOff: so long containers wait to be started again; 0: they do not
}

// A write that fails is tried again after a pause that doubles. The status
// manager does so with its next batch, which is at most retryMax away
// (syncPeriod). A refusal is often over soon: the Node authorizer lets a kubelet
// read a pod only once its own cache has heard that the pod is bound to it.
const (
	retryRefused = 50 * time.Millisecond
	retryTrouble = 500 * time.Millisecond
	retryMax     = 10 * time.Second
)

// enqueue adds a job to the node's queue. As in the kubelet, whose status
// manager is one goroutine, a node has one pod write under way at a time; the
// goroutine exists while there are any. It is called with n.mu held.
func (n *node) enqueue(job podJob) {
	n.queue = append(n.queue, job)
	if !n.writing {
		n.writing = true
		n.life.run(n.writePods)
	}
}

// writePods empties the queue.
func (n *node) writePods() {
	ctx := n.life.ctx
	w := writers.Get().(*podWriter)
	defer writers.Put(w)
	for ctx.Err() == nil {
		job, p, ok := n.dequeue()
		if !ok {
			return
		}
		w.node, w.pod = n, p
		err := w.write(ctx, &job)
		if err != nil && ctx.Err() == nil && !job.moot(err) {
			n.again(ctx, job, err)
		}
	}
}

// moot says whether a failed job need not be repeated, because its pod is gone;
// the watch will say so too. A pod that is to be deleted must be seen to go:
// admission may say NotFound only because its cache has not heard of the pod.
func (j *podJob) moot(err error) bool {
	deleting := j.action == doFinish || j.action == doRemove
	return errors.Is(err, errReplaced) || client.IsNotFound(err) && !deleting
}

// dequeue takes the next job that is still due, with a copy of its pod's entry.
func (n *node) dequeue() (podJob, pod, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for len(n.queue) > 0 {
		job := n.queue[0]
		n.queue[0] = podJob{}
		n.queue = n.queue[1:]
		if p := n.pods.find(job.uid); p != nil && p.wants(job.action) {
			return job, *p, true
		}
	}
	n.queue, n.writing = nil, false
	return podJob{}, pod{}, false
}

// again repeats a job that failed. Trouble with the server holds up the whole
// queue; trouble with one pod does not.
func (n *node) again(ctx context.Context, job podJob, err error) {
	n.cluster.stats.writeErrors.Add(1)
	job.raw = nil // read the pod anew
	status, _ := errors.AsType[*client.StatusError](err)
	if status != nil && status.Code < http.StatusInternalServerError && status.Code != http.StatusTooManyRequests {
		n.cluster.cfg.Log.Debug("pod write refused", "node", n.name, "uid", job.uid, "error", err)
		n.life.after(n.pause(retryRefused, &job), func() {
			n.mu.Lock()
			defer n.mu.Unlock()
			n.enqueue(job)
		})
		return
	}
	pause := n.pause(retryTrouble, &job)
	if status != nil {
		pause = max(pause, status.RetryAfter)
	}
	sleep(ctx, pause)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.queue = append([]podJob{job}, n.queue...)
}

// pause counts a failed try and returns how long to wait before the next.
func (n *node) pause(first time.Duration, job *podJob) time.Duration {
	d := min(first<<min(job.tries, 10), retryMax)
	job.tries++
	return d + time.Duration(n.random()*float64(d)/4)
}

// podWriter writes the status of pods, with buffers that are used again.
type podWriter struct {
	node *node
	pod  pod // a copy
	view podView
	body []byte
}

var writers = sync.Pool{New: func() any { return new(podWriter) }}

func (w *podWriter) write(ctx context.Context, job *podJob) error {
	if job.action == doRemove {
		return w.remove(ctx)
	}
	if job.raw == nil || job.version < w.pod.version || w.node.cluster.behaviour.readBeforeWrite {
		if err := w.read(ctx, job); err != nil {
			return err
		}
	}
	if err := w.view.scan(job.raw); err != nil {
		return err
	}
	if w.view.terminal() {
		if job.action != doFinish {
			return nil
		}
		return w.remove(ctx) // an earlier try came this far
	}
	switch {
	case job.action == doObserve:
		return w.observe(ctx, job)
	case job.action == doFinish:
		return w.finish(ctx, job)
	case job.action == doEnd:
		return w.end(ctx, job, w.exitCode())
	case job.action == doCrash:
		return w.crash(ctx, job)
	case job.action == doBackOff:
		return w.backOff(ctx, job)
	case job.action == doRestart:
		return w.restart(ctx, job)
	case job.action == doReject:
		return w.reject(ctx, job)
	case job.action == doEvict:
		return w.evict(ctx, job)
	case job.action == doLook:
		return nil
	case w.pod.state == podRunning && w.view.settled(!w.pod.unready):
		return nil
	case job.action == doStart && w.node.cluster.behaviour.pendingFirst && string(w.view.phase) == "Pending":
		return w.startInSteps(ctx, job)
	}
	return w.report(ctx, job, statusRunning, 0)
}

// observe reports the generation that the deletion has made. A pod that never
// ran has no containers to wait for: its final report says that, too.
func (w *podWriter) observe(ctx context.Context, job *podJob) error {
	if string(w.view.phase) != "Running" || w.view.generation == w.view.observedGeneration {
		return nil
	}
	return w.report(ctx, job, statusRunning, 0)
}

// finish reports that the containers have ended, and deletes the pod. In the
// status manager that is two turns of syncPod, of which the second finds the
// status written already: all that is left of it are its GET and the DELETE.
func (w *podWriter) finish(ctx context.Context, job *podJob) error {
	status, exit := statusTerminated, 0
	well, exited := w.view.exited()
	crash, crashed := w.view.crashed()
	switch {
	case w.pod.evicted:
		exit = killedCode
	case exited && !well:
		exit = 1 // which one it was stands with the containers
	case exited:
	case w.pod.lost:
		status = statusLost
	case crashed && !w.pod.unsaid:
		exit = int(crash.lastEnd().code)
	case w.pod.down:
		exit = w.exitCode()
	case job.killed:
		exit = killedCode
	}
	if err := w.report(ctx, job, status, exit); err != nil {
		return err
	}
	if w.node.cluster.behaviour.readBeforeWrite {
		if err := w.read(ctx, job); err != nil {
			return err
		}
	}
	return w.remove(ctx)
}

// exitCode is that of containers that have ended, but not because their pod is deleted.
func (w *podWriter) exitCode() int {
	if w.pod.killed {
		return killedCode
	}
	return w.node.plan(w.pod.uid, &w.view).exit
}

// killedCode is the exit code of containers that do not listen to SIGTERM.
const killedCode = 137

// end reports that the containers have ended of themselves. The kubelet says so
// as soon as it sees it, and that the phase is final when the sandbox is stopped.
func (w *podWriter) end(ctx context.Context, job *podJob, exit int) error {
	_, exited := w.view.exited()
	if w.node.cluster.behaviour.endsInSteps && !exited {
		if err := w.report(ctx, job, statusExited, exit); err != nil {
			return err
		}
		if err := w.read(ctx, job); err != nil {
			return err
		}
		if err := w.view.scan(job.raw); err != nil {
			return err
		}
	}
	return w.report(ctx, job, statusTerminated, exit)
}

func (w *podWriter) startInSteps(ctx context.Context, job *podJob) error {
	return w.inSteps(ctx, job, statusWaiting)
}

// restart reports the containers that take the place of those that went down
// with the machine. Where there are to be none, the pod has failed: the kubelet
// comes to that before it creates anything (getPhase in
// pkg/kubelet/kubelet_pods.go).
func (w *podWriter) restart(ctx context.Context, job *podJob) error {
	well, exited := w.view.exited()
	switch {
	case exited && well:
		return w.report(ctx, job, statusTerminated, 0)
	case exited:
		return w.report(ctx, job, statusTerminated, 1)
	case w.view.neverRestarts():
		return w.report(ctx, job, statusLost, 0)
	case w.node.cluster.behaviour.pendingFirst:
		return w.inSteps(ctx, job, statusRestarting)
	}
	return w.report(ctx, job, statusRunning, 0)
}

// inSteps reports first that the containers are being created, then that they
// run.
func (w *podWriter) inSteps(ctx context.Context, job *podJob, first podStatus) error {
	if err := w.report(ctx, job, first, 0); err != nil {
		return err
	}
	if err := w.read(ctx, job); err != nil {
		return err
	}
	if err := w.view.scan(job.raw); err != nil {
		return err
	}
	return w.report(ctx, job, statusRunning, 0)
}

// errReplaced says that another pod has the name now. The watch will bring the
// end of the old one.
var errReplaced = errors.New("pod was deleted and created again")

// read fetches the pod, as the kubelet does before it computes a patch.
func (w *podWriter) read(ctx context.Context, job *podJob) error {
	resp, err := w.node.do(ctx, requestLimit, &client.Request{
		Verb: "get", Resource: podsResource, Namespace: w.pod.namespace, Name: w.pod.name,
	})
	if err != nil {
		return err
	}
	_, _, raw, err := wire.Unwrap(resp.Body)
	if err != nil {
		return err
	}
	meta := field(raw, 1)
	if string(field(meta, 5)) != w.pod.uid {
		return errReplaced
	}
	job.raw = raw
	job.version, err = parseVersion(string(field(meta, 6)))
	return err
}

// report writes a status and takes note of the answer.
func (w *podWriter) report(ctx context.Context, job *podJob, status podStatus, exit int) error {
	n := w.node
	r := podReport{
		uid: w.pod.uid, namespace: w.pod.namespace, name: w.pod.name, status: status, hostIP: n.ip, now: n.wall().Unix(),
		exitCode: exit, restarts: w.pod.restarts, lost: w.pod.lost, unready: w.pod.unready, backoff: job.backoff,
		spare: n.cluster.behaviour.spareStatuses,
	}
	_, exited := w.view.exited()
	r.unchanged = job.action == doObserve && !w.pod.unsaid || exited && status == statusTerminated
	if r.unchanged {
		r.unready = w.view.unready() // whatever it has become since
	}
	if w.pod.evicted && status == statusTerminated {
		r.evicted = evictionMessage(n.cluster.cfg.Seed, w.pod.uid, &w.view)
	}
	var plan podPlan
	if status == statusRunning {
		plan = n.plan(w.pod.uid, &w.view)
		r.exitCode = w.exitCode() // of the run before, of which nothing is told
	}
	switch {
	case w.view.hostNetwork:
		r.podIP = n.ip
	case status == statusRunning:
		r.podIP = n.address(w.pod.uid)
	}
	w.body = appendPodPatch(w.body[:0], &w.view, &r)
	if err := w.send(ctx, job, &r, plan); err != nil {
		return err
	}
	if r.evicted != "" {
		n.cluster.stats.podsEvicted.Add(1)
	}
	return nil
}

// send writes the status that the body holds.
func (w *podWriter) send(ctx context.Context, job *podJob, r *podReport, plan podPlan) error {
	n := w.node
	resp, err := n.do(ctx, requestLimit, &client.Request{
		Verb: "patch", Resource: podsResource, Namespace: w.pod.namespace, Name: w.pod.name, Subresource: "status",
		Body: w.body, ContentType: strategicMergePatch,
	})
	if err != nil {
		return err
	}
	n.cluster.stats.podStatusWrites.Add(1)
	return n.reported(job, r, plan, resp.Body)
}

// address is the pod's IP address, given out when it is first asked for. A
// node has more addresses than room for pods; the pods beyond, which only a
// spec.nodeName of their own can bring, have to do with the node's.
func (n *node) address(uid string) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	p := n.pods.find(uid)
	if p == nil {
		return "" // gone since
	}
	if p.slot == 0 {
		p.slot = n.pods.take()
	}
	if p.slot == 0 {
		return n.ip
	}
	return podIP(n.index, p.slot)
}

// reported takes note of the pod as it was after a write of ours.
func (n *node) reported(job *podJob, r *podReport, plan podPlan, body []byte) error {
	_, _, raw, err := wire.Unwrap(body)
	if err != nil {
		return err
	}
	after, err := wire.ScanPod(raw)
	if err != nil {
		return err
	}
	version, err := parseVersion(after.ResourceVersion)
	if err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	p := n.pods.find(job.uid)
	if p == nil {
		return nil
	}
	p.version = version
	status := r.status
	switch {
	case status == statusRunning && p.state == podStarting && (job.action == doStart || job.action == doRestart):
		// Any other report that they run was under way when the run before ended.
		n.countRunning(p.state, podRunning)
		p.state, p.lost, p.unsaid, p.killed = podRunning, false, false, false
		n.begin(p.uid, plan)
	case status == statusLost && p.state == podStarting,
		status == statusTerminated && (p.state == podStarting || p.state == podExited || p.state == podEvicted):
		p.state, p.lost = podEnded, false
		n.ended(p)
	}
	if status == statusRunning && p.state == podRunning && p.unready == r.unready && after.Ready == r.unready {
		// Somebody wrote between what the patch was made from and the patch.
		n.enqueue(podJob{action: doRepair, uid: job.uid})
	}
	return nil
}

// remove deletes the pod, as the status manager does once a pod that is being
// deleted is in a terminal phase.
func (w *podWriter) remove(ctx context.Context) error {
	w.body = appendDeleteOptions(w.body[:0], w.pod.uid)
	_, err := w.node.do(ctx, requestLimit, &client.Request{
		Verb: "delete", Resource: podsResource, Namespace: w.pod.namespace, Name: w.pod.name,
		Body: wire.Wrap("v1", "DeleteOptions", w.body),
	})
	if err == nil {
		w.node.cluster.stats.podDeletes.Add(1)
	}
	return err
}

// appendDeleteOptions appends encoded DeleteOptions: no grace period, and only
// the pod with that UID.
func appendDeleteOptions(b []byte, uid string) []byte {
	b = protowire.AppendTag(b, 1, protowire.VarintType)
	b = protowire.AppendVarint(b, 0)
	b = protowire.AppendTag(b, 2, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(1+protowire.SizeBytes(len(uid))))
	b = protowire.AppendTag(b, 1, protowire.BytesType)
	return protowire.AppendString(b, uid)
}
