package cluster

import (
	"fmt"
	"slices"
	"strings"

	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/history/object"
)

// managedBy names the controller of an EndpointSlice. Those of others are not
// made from the Service's selector.
// https://kubernetes.io/docs/concepts/services-networking/endpoint-slices/#management
const (
	managedBy       = "endpointslice.kubernetes.io/managed-by"
	sliceController = "endpointslice-controller.k8s.io"
)

// matching compares Services with their EndpointSlices.
type matching struct {
	j       *judge
	f       *finding
	byLabel map[string][]*history.Version // pods at the end by namespace and label
	gone    map[string]int64              // the same of pods that left it: the last revision
	slices  map[string][]*history.Version // by namespace/service
	moving  int
}

func (j *judge) endpoints() *finding {
	m := &matching{
		j: j, f: &finding{what: "services at rest", floor: j.opts.Floors.Services},
		byLabel: map[string][]*history.Version{}, gone: map[string]int64{}, slices: map[string][]*history.Version{},
	}
	m.index()
	for s := range j.living("", "services") {
		if s.Field(object.FieldSelector) != "" && s.Field("spec.type") != "ExternalName" && !s.Deleting && !s.Unread {
			m.judge(s)
		}
	}
	m.f.checked = fmt.Sprintf(", at rest for %s; not judged: %d still changing", j.opts.Settle, m.moving)
	return m.f
}

func labelKey(namespace, label string) string { return namespace + "\x00" + label }

func (m *matching) index() {
	for pod := range m.j.living("", "pods") {
		for _, l := range pod.Labels {
			key := labelKey(pod.Namespace, l.Name+"="+l.Value)
			m.byLabel[key] = append(m.byLabel[key], pod)
		}
	}
	for rev, c := range m.j.bodies(m.j.table.Kind("", "pods")) {
		if c.Prev == nil {
			continue
		}
		for _, l := range c.Prev.Labels {
			if value, has := c.Now.Label(l.Name); !has || value != l.Value {
				m.gone[labelKey(c.Prev.Namespace, l.Name+"="+l.Value)] = rev
			}
		}
	}
	for s := range m.j.living("discovery.k8s.io", "endpointslices") {
		if by, _ := s.Label(managedBy); by == sliceController {
			key := s.Namespace + "/" + s.Field(object.FieldService)
			m.slices[key] = append(m.slices[key], s)
		}
	}
}

func (m *matching) judge(s *history.Version) {
	text := s.Field(object.FieldSelector)
	selector, ok := m.j.selector(text)
	if !ok {
		return
	}
	first, _, _ := strings.Cut(text, ",")
	key := labelKey(s.Namespace, first)
	changed := max(s.Revision, m.gone[key])
	want, pods := map[string]bool{}, map[string]*history.Version{}
	for _, pod := range m.byLabel[key] {
		changed = max(changed, pod.Revision) // it may have ceased to match
		if match, known := selector.Matches(pod); match && known {
			pods[pod.UID] = pod
			if due(s, pod) {
				want[pod.UID] = true
			}
		}
	}
	if !m.j.quiet(changed, m.j.opts.Settle, m.j.late.endpoints.w) {
		m.moving++
		return
	}
	m.f.judged++
	m.compare(s, want, pods)
}

// due says whether a pod is to be a ready endpoint (ShouldPodBeInEndpoints and
// podToEndpoint in k8s.io/endpointslice).
func due(s, pod *history.Version) bool {
	if terminal(pod) || pod.Field(object.FieldHasIP) == "" {
		return false
	}
	return s.Field(object.FieldPublishNotReady) == "true" || pod.Field(object.FieldReady) == "True" && !pod.Deleting
}

func (m *matching) compare(s *history.Version, want map[string]bool, pods map[string]*history.Version) {
	got := map[string]bool{}
	list := m.slices[s.Namespace+"/"+s.Name]
	for _, slice := range list {
		for _, endpoint := range strings.Split(slice.Field(object.FieldEndpoints), ",") {
			if uid, ready := strings.CutSuffix(endpoint, ":true"); ready {
				got[uid] = true
			}
		}
	}
	var missing, extra []string
	for uid := range want {
		if !got[uid] {
			missing = append(missing, uid)
		}
	}
	for uid := range got {
		if !want[uid] {
			extra = append(extra, uid)
		}
	}
	if len(missing)+len(extra) == 0 {
		return
	}
	slices.Sort(missing)
	slices.Sort(extra)
	e := because("%s, with nothing changed for %s, the EndpointSlices of %s lack %d ready pods and have %d that are not",
		m.j.when(), m.j.opts.Settle, name(s), len(missing), len(extra))
	m.j.row(e, s, "selector "+s.Field(object.FieldSelector))
	for _, uid := range missing[:min(len(missing), 2)] {
		m.j.row(e, pods[uid], "ready, and no endpoint; uid "+uid)
	}
	for _, uid := range extra[:min(len(extra), 2)] {
		if pods[uid] == nil {
			e.note("endpoint", "of a pod that is not there or not selected; uid "+uid)
			continue
		}
		m.j.row(e, pods[uid], fmt.Sprintf("a ready endpoint, but ready is %q and phase %s; uid %s",
			pods[uid].Field(object.FieldReady), pods[uid].Field("status.phase"), uid))
	}
	for _, slice := range list[:min(len(list), 2)] {
		m.j.row(e, slice, fmt.Sprintf("%d endpoints", strings.Count(slice.Field(object.FieldEndpoints), ":")))
	}
	m.f.violated(e)
}
