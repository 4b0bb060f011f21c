package sim

import (
	"context"
	"strconv"

	"google.golang.org/protobuf/encoding/protowire"
)

// What a kubelet says of the pods that it evicts (pkg/kubelet/eviction/helpers.go,
// and PodReasonTerminationByKubelet in k8s.io/api/core/v1).
const (
	evictedReason    = "Evicted"
	disruptionTarget = "DisruptionTarget"
	byKubelet        = "TerminationByKubelet"
	// refusedMessage is that of rejectPod in pkg/kubelet/kubelet.go and of Admit in
	// eviction_manager.go, with the blank at its end.
	refusedMessage = "Pod was rejected: The node had condition: [MemoryPressure]. "
)

// evict reports that a pod was evicted and has failed. SyncTerminatedPod of the
// kubelet reports the same once more, of which only the GET is left.
func (w *podWriter) evict(ctx context.Context, job *podJob) error {
	if err := w.report(ctx, job, statusTerminated, killedCode); err != nil {
		return err
	}
	if !w.node.cluster.behaviour.readBeforeWrite {
		return nil
	}
	return w.read(ctx, job)
}

// reject reports that a pod was not admitted.
func (w *podWriter) reject(ctx context.Context, job *podJob) error {
	r := podReport{uid: w.pod.uid, status: statusTerminated, now: w.node.wall().Unix(), evicted: refusedMessage}
	w.body = appendRejection(w.body[:0], &w.view, &r)
	if err := w.send(ctx, job, &r, podPlan{}); err != nil {
		return err
	}
	w.node.cluster.stats.podsEvicted.Add(1)
	return nil
}

// appendRejection appends the patch that rejectPod and mergePodStatus make of a pod
// on which no kubelet has reported: there is nothing to say of containers and
// addresses, and the conditions that are the kubelet's to keep, such as the scheduler's
// PodScheduled, go.
func appendRejection(b []byte, v *podView, r *podReport) []byte {
	b = append(b, `{"metadata":{"uid":`...)
	b = appendString(b, r.uid)
	b = append(b, `},"status":{`...)
	b = appendOwnGone(b, v)
	b = r.appendText(b, v, `"message":`, 3, r.evicted)
	if v.generation != v.observedGeneration {
		b = append(strconv.AppendInt(append(b, `"observedGeneration":`...), v.generation, 10), ',')
	}
	b = append(b, `"phase":"Failed",`...)
	b = r.appendText(b, v, `"reason":`, 4, evictedReason)
	return append(appendTime(append(b, `"startTime":`...), r.now), `}}`...)
}

// appendOwnGone appends that the conditions of the kubelet's own are no more.
func appendOwnGone(b []byte, v *podView) []byte {
	own := 0
	for i := range v.conditions {
		if isOwnCondition(v.conditions[i].typ) {
			own++
		}
	}
	switch own {
	case 0:
		return b
	case len(v.conditions):
		return append(b, `"conditions":null,`...)
	}
	b = appendOthersOrder(b, v)
	b = append(b[:len(b)-1], `],"conditions":[`...)
	for i := range v.conditions {
		if typ := v.conditions[i].typ; isOwnCondition(typ) {
			b = append(appendBytes(append(b, `{"$patch":"delete","type":`...), typ), `},`...)
		}
	}
	return append(b[:len(b)-1], `],`...)
}

// appendText appends a text of the status itself if it changes. Only reports of
// evictions say anything there.
func (r *podReport) appendText(b []byte, v *podView, key string, num protowire.Number, text string) []byte {
	if r.evicted == "" {
		return b
	}
	return appendChange(b, key, field(v.status, num), text)
}
