package apipower

import (
	"fmt"
	"strings"
	"time"

	"github.com/planecheck/planecheck/checkers/history"
)

// patience is shorter than what a judgement of a run allows controllers, so that
// runs of a minute hold what lasts for too long.
const patience = 20 * time.Second

// tooLong is when a controller has had the patience, and the collector its time, for
// sure: it may have had other work for nearly as long before.
func tooLong(guarantee string) time.Duration {
	if guarantee == "NoOrphans" {
		return 2 * max(collect, patience)
	}
	return 2 * patience
}

// lastingLies are about what was wrong for too long and is right in the end.
func lastingLies() []Lie {
	return []Lie{
		{Name: "a ReplicaSet lacks a pod for too long", Breaks: "ReplicasConverge", Tell: inMaterial(lacksPod)},
		{Name: "a ReplicaSet has a pod too many for too long", Breaks: "ReplicasConverge", Tell: inMaterial(keepsPod)},
		{Name: "a pod becomes an endpoint much too late", Breaks: "EndpointsMatch", Tell: inMaterial(lateEndpoint)},
		{Name: "an endpoint outlives its pod for too long", Breaks: "EndpointsMatch", Tell: inMaterial(staleEndpoint)},
		{Name: "pods are collected long after their ReplicaSet", Breaks: "NoOrphans", Tell: inMaterial(lateCollection)},
		{Name: "the owner of a ConfigMap never was there", Breaks: "NoOrphans", Tell: inMaterial(fatherless)},
	}
}

// long lets more time pass than there is for a guarantee, or says that the run has not
// got it: then controllers had no time that is surely too long, and this is no place for
// the lie. What a checker makes of less depends on what else they had to do.
func (m *material) long(guarantee string) {
	since := m.t.moment(m.next - 2)
	m.pass(max(m.t.b.Calm.Sub(since), 0) + tooLong(guarantee) + 2*time.Second)
	m.short = m.short || !m.t.overlong(guarantee, since, m.t.moment(m.next))
}

// overlong says that what was wrong from one moment to another was wrong for too long,
// with nobody to blame but the controllers.
func (t *teller) overlong(guarantee string, since, until history.Time) bool {
	since = max(since, t.b.Calm)
	return t.b.Calm != 0 && until.Sub(since) >= tooLong(guarantee) && t.managed(since, until)
}

func lacksPod(t *teller, m *material) {
	onePodLess(t, m)
	m.long("ReplicasConverge")
	m.pods = append(m.pods, m.pod("web-1-late", m.set, m.set.Labels))
	m.recount()
}

func keepsPod(t *teller, m *material) {
	onePodMore(t, m)
	m.long("ReplicasConverge")
	last := len(m.pods) - 1
	m.remove(m.pods[last])
	m.pods = m.pods[:last]
	m.recount()
}

func lateEndpoint(t *teller, m *material) {
	whole := m.slice
	endpointMissing(t, m)
	m.long("EndpointsMatch")
	m.again(whole)
}

func staleEndpoint(t *teller, m *material) {
	endpointDeleted(t, m)
	m.long("EndpointsMatch")
	m.recount()
}

func lateCollection(_ *teller, m *material) {
	m.remove(m.set)
	m.long("NoOrphans")
	for _, p := range m.pods {
		m.remove(p)
	}
	m.pods = nil
	m.remove(m.deployment)
	m.slice = m.again(m.slice, history.Pair{Name: "endpoints"})
}

func fatherless(_ *teller, m *material) {
	owner := m.set.Clone()
	owner.Name, owner.UID = "nobody", "told-nobody"
	m.add("configmaps", "child", owner, nil, "", "ConfigMap")
}

// lastingWrong says what is wrong of the added workload from one of its versions to
// the next for longer than there is time, by the model.
func (t *teller) lastingWrong(guarantee string) string {
	var was string
	var since history.Time
	for _, v := range t.versions {
		if !strings.Contains(v.Key, "/"+toldNamespace+"/") {
			continue
		}
		if called, _, known := t.commit(v.Revision); was != "" && known && t.overlong(guarantee, since, called) {
			return fmt.Sprintf("for %s %s", called.Sub(since), was)
		}
		was, since = t.restWrong(guarantee, v.Revision), t.moment(v.Revision)
		if since == 0 {
			was = ""
		}
	}
	return ""
}
