package scenarios

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/history/wire"
)

// Only a deletion that is answered, of that very pod, and at once, is one.
func TestRemovals(t *testing.T) {
	f := func(want string, class history.Class, verb, resource string, status int, o metav1.DeleteOptions) {
		t.Helper()
		raw, err := o.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		d := &removals{users: map[types.UID]string{}}
		d.Request(&history.Request{
			Class: class, Identity: "system:node:a", Verb: verb, Resource: resource, Status: status, Sent: wire.Wrap("v1", "DeleteOptions", raw),
		})
		if got := d.by("u1"); got != want {
			t.Errorf("%s %s of %s, %d, %+v: by %q, want %q", class, verb, resource, status, o, got, want)
		}
	}
	at := func(grace int64, uid types.UID) metav1.DeleteOptions {
		return metav1.DeleteOptions{GracePeriodSeconds: &grace, Preconditions: &metav1.Preconditions{UID: &uid}}
	}
	now := at(0, "u1")
	f("system:node:a", history.ClassKubelet, "delete", "pods", 200, now)
	f("", history.ClassKubelet, "delete", "pods", 200, at(30, "u1"))
	f("", history.ClassKubelet, "delete", "pods", 200, at(0, "u2"))
	f("", history.ClassKubelet, "delete", "pods", 200, metav1.DeleteOptions{Preconditions: now.Preconditions})
	f("", history.ClassKubelet, "delete", "pods", 200, metav1.DeleteOptions{GracePeriodSeconds: now.GracePeriodSeconds})
	f("", history.ClassKubelet, "delete", "pods", 0, now)
	f("", history.ClassKubelet, "delete", "pods", 409, now)
	f("", history.ClassKubelet, "patch", "pods", 200, now)
	f("", history.ClassKubelet, "delete", "leases", 200, now)
	f("", history.ClassContract, "delete", "pods", 200, now)
}
