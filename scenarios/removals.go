package scenarios

import (
	"net/http"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/history/wire"
)

// removals are the pods that a kubelet had deleted at once, as it does when their
// containers have ended, and who that kubelet was.
type removals struct {
	mu    sync.Mutex
	users map[types.UID]string // guarded by mu
}

// Request implements history.Observer. A deletion by a kubelet names the pod by its
// UID, as a precondition.
func (d *removals) Request(r *history.Request) {
	if r.Class != history.ClassKubelet || r.Verb != "delete" || r.Resource != "pods" || r.Status != http.StatusOK {
		return
	}
	var o metav1.DeleteOptions
	_, _, raw, err := wire.Unwrap(r.Sent)
	if err != nil || o.Unmarshal(raw) != nil || o.Preconditions == nil || o.Preconditions.UID == nil ||
		o.GracePeriodSeconds == nil || *o.GracePeriodSeconds != 0 {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.users[*o.Preconditions.UID] = r.Identity
}

// WatchEvent implements history.Observer.
func (d *removals) WatchEvent(*history.WatchEvent) {}

// by is the user who had a pod deleted at once; "": none.
func (d *removals) by(pod types.UID) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.users[pod]
}
