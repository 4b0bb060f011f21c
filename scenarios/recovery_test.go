package scenarios

import "testing"

// A run whose watches stand still to its end is judged as if they had always
// done so: else nothing could be said of their freshness, and it would not fail
// by that. After any other fault they have to be fresh only once the cluster is
// whole again.
func TestStaysStale(t *testing.T) {
	for name, want := range map[string]bool{
		"broken/watches-stay-frozen": true,
		"broken/etcd-rollback":       false,
		"faults/watches-freeze":      false,
		"scale/density":              false,
	} {
		found, err := Find(name)
		if err != nil {
			t.Fatal(err)
		}
		x := &execution{plan: mustPlan(t, found[0], DefaultOptions())}
		if got := x.staysStale(); got != want {
			t.Errorf("%s stays stale: %v, want %v", name, got, want)
		}
	}
}
