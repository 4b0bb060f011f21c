package sim

import (
	"fmt"
	"time"
)

// Profile says how much of a kubelet's traffic is simulated.
type Profile string

// The profiles.
const (
	// Lean is the least that makes nodes Ready and pods Running: leases, node
	// status, the watch of the node's pods, one status write per pod start,
	// which says of containers only what nobody else knows.
	Lean Profile = "lean"
	// Kubelet adds the watches of the own Node and, as kube-proxy, of
	// Services and EndpointSlices, and writes pod status as the kubelet's
	// status manager does: it reads the pod before each write, and a start is
	// two writes, as are a deletion, an end, and a new start of containers (three, if
	// they have to wait for it). Heartbeats are the same in both.
	Kubelet Profile = "kubelet"
)

// behaviour is what a profile switches on.
type behaviour struct {
	watchOwnNode bool
	kubeProxy    bool
	// readBeforeWrite sends a GET before each status PATCH of a pod, as
	// syncPod in pkg/kubelet/status/status_manager.go does.
	readBeforeWrite bool
	// pendingFirst reports a starting pod's waiting containers before its
	// running ones.
	pendingFirst bool
	// endsInSteps reports that the containers of a pod have ended before the
	// phase is final, or before they are started again or have to wait for that.
	endsInSteps bool
	// observeDeletion reports the generation that a deletion makes while the
	// containers still run, so that the final status is a write of its own.
	observeDeletion bool
	// spareStatuses leaves out of a container's status what no component of the
	// control plane needs of a container whose spec says it already, and that nobody
	// resizes: allocatedResources, resources and user. Decoded, as maps of quantities,
	// they are a seventh of an API server's heap that is full of small pods.
	spareStatuses bool
	// acceptAfter, within a half, passes between a pod's arrival and its first
	// status. A kubelet spends it in its sync loop and pod workers. It matters:
	// the Node authorizer refuses to let a node read a pod until the API
	// server's own informer has told it of the binding, and whoever asks
	// faster than any kubelet is refused every other time.
	acceptAfter time.Duration
}

func (p Profile) behaviour() (behaviour, error) {
	switch p {
	case Lean:
		return behaviour{spareStatuses: true}, nil
	case Kubelet:
		return behaviour{watchOwnNode: true, kubeProxy: true, readBeforeWrite: true, pendingFirst: true,
			observeDeletion: true, endsInSteps: true, acceptAfter: 20 * time.Millisecond}, nil
	}
	return behaviour{}, fmt.Errorf("unknown profile %q: want %q or %q", p, Lean, Kubelet)
}
