package lies

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestElections has one process lose a Lease to another and come back: it is
// shown the Lease as it left it, and only where nothing fences it off may it
// write that.
func TestElections(t *testing.T) {
	var asLeft, unfenced Lie
	for _, l := range Elections() {
		switch l.Name {
		case "lease-as-left":
			asLeft = l
		case "lease-unfenced":
			unfenced = l
		default:
			t.Errorf("%s is not tested", l.Name)
		}
	}
	t.Run("truth", func(t *testing.T) { elect(t, Lie{}, "new", 409, 0) })
	t.Run("as left", func(t *testing.T) { elect(t, asLeft, "old", 409, 1) })
	t.Run("unfenced", func(t *testing.T) { elect(t, unfenced, "old", 200, 2) })
}

func elect(t *testing.T, lie Lie, reads string, status, told int) {
	old := newRig(t, lie, "leases")
	new := newRigBefore(t, old.up, lie, "leases")
	first := old.shown(old.do("create", "", old.body("leader", "", "old"))).ResourceVersion
	want(new, "what another reads", new.shown(new.do("get", "leader", nil)).Data["value"], "old")
	new.shown(new.do("update", "leader", new.body("leader", first, "new")))
	want(new, "lies told to whoever takes it rightly", new.proxy.Told(), 0)

	seen := old.shown(old.do("get", "leader", nil))
	want(old, "what the old one reads", seen.Data["value"], reads)
	a := old.do("update", "leader", old.body("leader", first, "back"))
	want(old, "the status of its update", a.status, status)
	if status != 200 {
		old.wantStatus(a, 409, metav1.StatusReasonConflict)
		unchanged(old, "leader", old.up.newest())
	} else {
		want(old, "the holder", old.now("leader").Data["value"], "back")
	}
	want(old, "lies told", old.proxy.Told(), told)
}
