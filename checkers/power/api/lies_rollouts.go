package apipower

import (
	"fmt"
	"strings"

	"github.com/planecheck/planecheck/checkers/history"
)

// rollout is one of a Deployment with 4 replicas, of which one may be too many and
// one not available. The zero value is as it should be.
type rollout struct {
	crowded  bool // the new ReplicaSet asks for too many at its second step
	hasty    bool // the old one gives up two pods before any new one is available
	blind    bool // it gives up all when only half of the new ones are available
	returned bool // the old one gets its pods back although the new one has all of its
}

func rolloutLies() []Lie {
	return []Lie{
		{Name: "a rollout asks for a pod too many", Breaks: "RolloutBounded", Tell: inMaterial(rolls(rollout{crowded: true}))},
		{Name: "a rollout gives up pods before any is in their place", Breaks: "RolloutBounded", Tell: inMaterial(rolls(rollout{hasty: true}))},
		{Name: "a rollout does not wait for the last pods", Breaks: "RolloutBounded", Tell: inMaterial(rolls(rollout{blind: true}))},
		{Name: "a rollout leaves the old pods beside the new", Breaks: "RolloutBounded", Tell: inMaterial(rolls(rollout{returned: true}))},
	}
}

func rolls(r rollout) func(*teller, *material) { return func(_ *teller, m *material) { m.roll(r) } }

// rolling is the namespace of the rollout: what is in toldNamespace is whole.
const rolling = "told-rolling"

// elsewhere adds an object in another namespace.
func (m *material) elsewhere(namespace, folder, name string, owner *history.Version, group, kind string, fields ...history.Pair) *history.Version {
	resource, _, _ := strings.Cut(folder, "/")
	v := &history.Version{
		Key: "/registry/" + folder + "/" + namespace + "/" + name, Group: group, Resource: resource, Kind: kind,
		Namespace: namespace, Name: name, UID: namespace + "-" + resource + "-" + name, Created: 1, Generation: 1, Fields: fields, Content: uint64(m.next),
	}
	if owner != nil {
		v.Owners = []history.Owner{{Kind: owner.Kind, Name: owner.Name, UID: owner.UID, Controller: true}}
	}
	return m.put(v)
}

// roll adds a rollout and removes its objects in the end: they have no pods.
func (m *material) roll(r rollout) {
	const replicas = 4
	d := m.elsewhere(rolling, "deployments", "roll", nil, "apps", "Deployment", history.Pair{Name: "spec.replicas", Value: fmt.Sprint(replicas)},
		history.Pair{Name: "maxSurge", Value: "25%"}, history.Pair{Name: "maxUnavailable", Value: "1"})
	begin := func(number string) *history.Version {
		return m.elsewhere(rolling, "replicasets", "roll-"+number, d, "apps", "ReplicaSet", history.Pair{Name: "rollout", Value: number},
			history.Pair{Name: "spec.replicas", Value: "0"}, history.Pair{Name: "status.availableReplicas", Value: "0"})
	}
	asks := func(v **history.Version, asks, available int64) { // the status is another write
		*v = m.again(*v, history.Pair{Name: "spec.replicas", Value: fmt.Sprint(asks)})
		*v = m.again(*v, history.Pair{Name: "status.availableReplicas", Value: fmt.Sprint(available)})
		*v = m.again(*v, history.Pair{Name: "status.observedGeneration", Value: fmt.Sprint(m.next)})
	}
	old := begin("1")
	asks(&old, replicas, replicas)
	fresh := begin("2")
	asks(&fresh, 1, 0)
	switch {
	case r.crowded:
		asks(&fresh, 2, 0)
	case r.hasty:
		asks(&old, 2, 2)
	}
	asks(&old, 3, 3)
	asks(&fresh, 2, 2)
	if r.blind {
		asks(&old, 0, 0)
	}
	asks(&old, 1, 1)
	asks(&fresh, replicas, replicas)
	if r.returned {
		asks(&old, 1, 1) // so that all that was before was seen
		asks(&old, 2, 2)
	}
	asks(&old, 0, 0)
	m.remove(old)
	m.remove(fresh)
	m.remove(d)
}

// rolloutsWrong looks at each state of the rollout, by the model: nothing lags in it.
func (t *teller) rolloutsWrong() string {
	const most, least = 5, 3
	asks, available := map[string]int64{}, map[string]int64{}
	for _, v := range t.versions {
		if v.Resource != "replicasets" || !strings.Contains(v.Key, "/"+rolling+"/") {
			continue
		}
		before, all, up := asks[v.Key], int64(0), int64(0)
		asks[v.Key] = integer(v, "spec.replicas")
		for key := range asks {
			all += asks[key]
			up += min(asks[key], available[key])
		}
		available[v.Key] = integer(v, "status.availableReplicas")
		switch {
		case asks[v.Key] > before && all > most:
			return fmt.Sprintf("%d pods are asked for at %d", all, v.Revision)
		case asks[v.Key] < before && !v.Delete && up < least:
			return fmt.Sprintf("%d pods are left available at %d", up, v.Revision)
		}
	}
	return ""
}
