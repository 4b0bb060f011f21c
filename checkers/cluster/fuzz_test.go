package cluster_test

import (
	"testing"
	"time"

	"github.com/planecheck/planecheck/checkers/cluster"
	"github.com/planecheck/planecheck/checkers/history"
)

// FuzzJudge judges tables that no cluster makes: whatever they hold, there is a
// verdict on every guarantee.
func FuzzJudge(f *testing.F) {
	f.Add([]byte("pods\x00nodes"), "spec.nodeName", "n", "requests.cpu", "-1", int64(3))
	f.Add([]byte("replicasets"), "spec.replicas", "9223372036854775807", "status.replicas", "x", int64(1))
	f.Add([]byte("endpointslices"), "endpoints", ":,::true,a:", "service", "s", int64(9))
	f.Add([]byte("leases\x07\x10"), "spec.leaseTransitions", "1", "spec.holderIdentity", "h", int64(2))
	f.Add([]byte("\x01\x09\x00\x09\x01"), "taints.noExecute", "node.kubernetes.io/not-ready", "disruption", "DeletionByTaintManager", int64(2))
	f.Add([]byte("\x02\x03\x02\x03\x03"), "maxSurge", "1", "maxUnavailable", "25%", int64(2))
	f.Add([]byte("\x02\x03\x02\x02\x0d"), "rollout", "1", "spec.replicas", "-9", int64(2))
	f.Add([]byte("\x03\x02\x0d\x02"), "Deployment", "uid-d", "spec.replicas", "9", int64(2))
	f.Add([]byte("\x09\x00\x00\x09\x09"), "status.succeeded", "1", "complete", "True", int64(2))
	f.Add([]byte("\x0a\x00\x01\x0a\x0a"), "spec.completions", "x", "indexed", "true", int64(2))
	f.Add([]byte("services"), "selector", "a in (b", "selector", "((", int64(0))
	f.Fuzz(func(t *testing.T, kinds []byte, field, value, other, another string, settled int64) {
		w := bad()
		resources := [][2]string{
			{"", "pods"}, {"", "nodes"}, {"apps", "replicasets"}, {"apps", "deployments"}, {"apps", "statefulsets"},
			{"", "services"}, {"discovery.k8s.io", "endpointslices"}, {"coordination.k8s.io", "leases"},
			{"", string(kinds)}, {"batch", "jobs"}, {"", "namespaces"},
		}
		for i, k := range kinds {
			r := resources[int(k)%len(resources)]
			v := object(r[0], r[1], "ns", string(rune('a'+k%5)))
			if r[1] == "namespaces" {
				v = object(r[0], r[1], "", "ns")
			}
			v.Fields = []history.Pair{{Name: field, Value: value}, {Name: other, Value: another}}
			v.Labels = []history.Pair{{Name: value, Value: other}}
			v.Owners = []history.Owner{{Kind: field, UID: value, Controller: k%2 == 0}}
			v.Generation, v.Deleting, v.Unread = int64(k), k%7 == 0, k%11 == 0
			w.put(v)
			if i%4 == 3 {
				w.remove(v)
			}
		}
		opts := w.wait(time.Minute).options()
		opts.Settled = settledAt(settled)
		if n := len(cluster.Judge(opts)); n != 10 {
			t.Errorf("%d verdicts", n)
		}
	})
}
