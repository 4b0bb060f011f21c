// Package known lists the guarantees that there are, by the lists of the checkers
// themselves, so that one about which nobody tells a lie is named as unproven.
package known

import (
	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/checkers/api/reads"
	"github.com/planecheck/planecheck/checkers/api/watches"
	"github.com/planecheck/planecheck/checkers/api/writes"
	"github.com/planecheck/planecheck/checkers/cluster"
	"github.com/planecheck/planecheck/checkers/deposed"
	"github.com/planecheck/planecheck/checkers/judge"
	"github.com/planecheck/planecheck/checkers/power/tally"
	"github.com/planecheck/planecheck/checkers/storage"
	"github.com/planecheck/planecheck/checkers/storage/watch"
)

// Store are the guarantees of a store, but those of the comparison with the model
// (package workloads/contract/store), which names one for each kind of request.
func Store() []string { return append(storage.Guarantees(), names(watch.Guarantees())...) }

// API are those of the API servers.
func API() []string {
	return append(append(names(reads.Guarantees()), watches.Guarantees()...), writes.Guarantees()...)
}

// OfRun are those that no history shows: what a run says of itself. A test of package
// scenarios finds those that are missing here.
func OfRun() []string {
	return []string{
		"PlanComplete", "StoreLived", "ManifestReady", "EveryPodRunning", "Intervened", "Recovered", "NoWrongEviction",
		"PriorityKept", deposed.LeaderGivesUp, "SameEnd", "NoLeaseMissed", "NoComponentDied", "CachesConsistent",
	}
}

// Guarantees are all of them, as rows without a count.
func Guarantees() (rows []tally.Row) {
	for _, area := range []struct {
		name       string
		guarantees []string
	}{
		{checkers.AreaStore, append(Store(), judge.Restored)}, {checkers.AreaAPI, API()},
		{checkers.AreaCluster, cluster.Guarantees()}, {"", OfRun()},
	} {
		for _, g := range area.guarantees {
			rows = append(rows, tally.Row{Area: area.name, Guarantee: g})
		}
	}
	return rows
}

func names[G ~string](list []G) (all []string) {
	for _, g := range list {
		all = append(all, string(g))
	}
	return all
}
