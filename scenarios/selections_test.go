package scenarios

import (
	"slices"
	"testing"

	"github.com/planecheck/planecheck/apiserver/client"
	"github.com/planecheck/planecheck/checkers/versions"
	"github.com/planecheck/planecheck/sim"
	"github.com/planecheck/planecheck/workloads/contract"
)

// Whatever our clients select by is in the version table: a watch by another field is
// not judged, and nothing but a count in the summary would say so.
func TestSelectionsAreJudged(t *testing.T) {
	unknown := func(r client.Request) []string {
		t.Helper()
		s, err := versions.ParseSelector(r.Query.Get("labelSelector"), r.Query.Get("fieldSelector"))
		if err != nil {
			t.Errorf("%s %v: %v", r.Resource.Plural, r.Query, err)
		}
		return s.Unknown(r.Resource.Group, r.Resource.Plural)
	}
	all := slices.Concat(sim.Selections(), contract.Selections())
	services := false
	for _, r := range all {
		if fields := unknown(r); len(fields) > 0 {
			t.Errorf("the table does not know %q of %s", fields, r.Resource.Plural)
		}
		services = services || r.Resource.Plural == "services" && r.Query.Get("fieldSelector") != ""
	}
	if !services {
		t.Error("the watch of a kube-proxy is not among them")
	}
	all[0].Query.Set("fieldSelector", "status.podIP=10.0.0.1")
	if fields := unknown(all[0]); !slices.Equal(fields, []string{"status.podIP"}) {
		t.Errorf("a field that nobody knows: %q", fields)
	}
}
