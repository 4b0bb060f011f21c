package sim

import (
	"context"
	"time"

	"github.com/planecheck/planecheck/apiserver/client"
	"github.com/planecheck/planecheck/checkers/history/wire"
)

// The kubelet's rules for its node status (nodeStatusReportFrequency,
// nodeStatusUpdateFrequency, nodeStatusUpdateRetry).
const (
	statusReportEvery = 5 * time.Minute
	statusTick        = 10 * time.Second // how often a kubelet looks whether there is something to report
	statusAttempts    = 5
)

// statusClock says when a node reports its status next.
type statusClock struct {
	reported bool      // at least once
	due      time.Time // of the timer
}

// next returns the time to the next report. After the first one the kubelet
// shifts its rhythm by up to half a period (calculateDelay), so that nodes
// that start together do not report together; random is drawn from [0, 1).
func (s *statusClock) next(random float64) time.Duration {
	wait := statusReportEvery
	if !s.reported {
		wait += time.Duration((random - 0.5) * float64(statusReportEvery))
	}
	s.reported = true
	return wait
}

// reportStatus writes the node's status and sets the timer of the next report.
// whole writes every member of the conditions, not just the heartbeat.
func (n *node) reportStatus(ctx context.Context, whole bool) {
	ok := false
	for i := 0; i < statusAttempts && !ok && ctx.Err() == nil; i++ {
		ok = n.patchStatus(ctx, whole) == nil
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if ok {
		n.setStatusTimer(n.status.next(n.rng.Float64()), false)
		n.tellPressure() // it may have changed meanwhile
	} else {
		n.setStatusTimer(statusTick, whole)
	}
}

func (n *node) patchStatus(ctx context.Context, whole bool) error {
	news := n.news()
	news.whole = whole
	_, err := n.do(ctx, heartbeatLimit, &client.Request{
		Verb: "patch", Resource: nodesResource, Name: n.name, Subresource: "status",
		Query:       heartbeatQuery(),
		Body:        appendNodePatch(nil, n.wall().Unix(), news),
		ContentType: strategicMergePatch,
	})
	if err != nil {
		n.cluster.stats.writeErrors.Add(1)
		return err
	}
	n.cluster.stats.nodeStatusWrites.Add(1)
	n.tell(news)
	return nil
}

// nodeNews is what a report of the node's status says beyond a heartbeat.
type nodeNews struct {
	whole bool // every member of the conditions
	// bootID is the one that the machine has had since its last boot; empty if the
	// API server knows it. A kubelet finds out by comparing (MachineInfo in
	// pkg/kubelet/nodestatus/setters.go), which is also when it would record the
	// event Rebooted; events are profile full.
	bootID string
	// pressure is the condition MemoryPressure, and turned says that this is not what
	// the Node says.
	pressure, turned bool
}

// news is what there is to be told.
func (n *node) news() nodeNews {
	n.mu.Lock()
	defer n.mu.Unlock()
	news := nodeNews{pressure: n.pressure.under, turned: n.pressure.under != n.pressure.told}
	if n.rebooted {
		news.bootID = bootID(n.index, n.cluster.cfg.Seed, n.boots)
	}
	return news
}

// tell takes note that the API server knows the news. With each change the kubelet
// shifts its rhythm anew (tryUpdateNodeStatus in pkg/kubelet/kubelet_node_status.go).
func (n *node) tell(news nodeNews) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.rebooted = n.rebooted && news.bootID == ""
	n.pressure.told = news.pressure
	n.status.reported = n.status.reported && !news.turned
}

// tellPressure has a change of the memory pressure reported at the next tick, which
// may be due anyway. It is called with n.mu held.
func (n *node) tellPressure() {
	p := &n.pressure
	if p.under == p.told || n.statusTimer == nil || time.Until(n.status.due) <= statusTick {
		return
	}
	n.setStatusTimer(time.Duration(n.rng.Float64()*float64(statusTick)), false)
}

// setStatusTimer is called with n.mu held.
func (n *node) setStatusTimer(d time.Duration, whole bool) {
	if n.statusTimer != nil {
		n.statusTimer.Stop()
	}
	n.status.due = time.Now().Add(d)
	l := n.life
	n.statusTimer = l.after(d, func() { n.reportStatus(l.ctx, whole) })
}

// notice takes note of the node as a watch shows it. When somebody else has
// changed its readiness (the node lifecycle controller, after missed
// heartbeats) the kubelet reports anew at its next tick.
func (n *node) notice(seen wire.Node) {
	if seen.Ready {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if seen.UID != n.uid || n.statusTimer == nil || time.Until(n.status.due) <= statusTick {
		return // not started, or about to report
	}
	n.setStatusTimer(time.Duration(n.rng.Float64()*float64(statusTick)), true)
}

const strategicMergePatch = "application/strategic-merge-patch+json"

// nodeCondition is a condition of a healthy node, in the words of
// pkg/kubelet/nodestatus/setters.go.
type nodeCondition struct{ typ, status, reason, message string }

var nodeConditions = [...]nodeCondition{
	{"MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"},
	{"DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"},
	{"PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"},
	{"Ready", "True", "KubeletReady", "kubelet is posting ready status"},
}

// memoryPressure is the first of these where memory is short.
var memoryPressure = nodeCondition{"MemoryPressure", "True", "KubeletHasInsufficientMemory", "kubelet has insufficient memory available"}

// saysPressure reads from an encoded Node whether it says that memory is short.
func saysPressure(node []byte) bool {
	m := message{rest: field(node, 3)}
	for m.next() {
		if m.num == 4 && string(field(m.data, 1)) == memoryPressure.typ {
			return string(field(m.data, 2)) == memoryPressure.status
		}
	}
	return false
}

// appendNodePatch appends the strategic merge patch of a heartbeat of the node
// status, as PatchNodeStatus (component-helpers/node/util) makes it for a node
// of which nothing else has changed but what is news.
func appendNodePatch(b []byte, now int64, news nodeNews) []byte {
	b = append(b, `{"status":{"$setElementOrder/conditions":[`...)
	for _, c := range nodeConditions {
		b = append(append(append(b, `{"type":"`...), c.typ...), `"},`...)
	}
	b = append(b[:len(b)-1], `],"conditions":[`...)
	for i, c := range nodeConditions {
		if i == 0 && news.pressure {
			c = memoryPressure
		}
		b = appendTime(append(b, `{"lastHeartbeatTime":`...), now)
		if news.whole || i == 0 && news.turned {
			b = appendTime(append(b, `,"lastTransitionTime":`...), now)
			b = appendString(append(b, `,"message":`...), c.message)
			b = appendString(append(b, `,"reason":`...), c.reason)
			b = appendString(append(b, `,"status":`...), c.status)
		}
		b = append(append(append(b, `,"type":"`...), c.typ...), `"},`...)
	}
	b = append(b[:len(b)-1], ']')
	if news.bootID != "" {
		b = append(appendString(append(b, `,"nodeInfo":{"bootID":`...), news.bootID), '}')
	}
	return append(b, `}}`...)
}
