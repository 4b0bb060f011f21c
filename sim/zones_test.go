package sim

import (
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

func TestZones(t *testing.T) {
	c := New(Config{Nodes: 11, Zones: 4})
	if got := c.Zones(); !slices.Equal(got, []string{"sim-1a", "sim-1b", "sim-1c", "sim-1d"}) {
		t.Fatalf("zones %q", got)
	}
	var all []string
	for _, zone := range c.Zones() {
		nodes, err := c.NodesIn(zone)
		if err != nil || len(nodes) < 2 || len(nodes) > 3 {
			t.Errorf("%s has %q, %v: not evenly spread", zone, nodes, err)
		}
		for _, name := range nodes {
			i, _ := nodeIndex(name)
			node := nodeObject(&c.cfg, i, 0, time.Now())
			if node.Labels[corev1.LabelTopologyZone] != zone || node.Labels[corev1.LabelTopologyRegion] != "sim-1" ||
				!strings.Contains(node.Spec.ProviderID, zone) {
				t.Errorf("%s is in %s, but has labels %v and ID %s", name, zone, node.Labels, node.Spec.ProviderID)
			}
		}
		all = append(all, nodes...)
	}
	slices.Sort(all)
	if !slices.Equal(all, c.Nodes()) {
		t.Errorf("nodes of all zones %q, want %q", all, c.Nodes())
	}
	if _, err := c.NodesIn("sim-1e"); err == nil || !strings.Contains(err.Error(), `no zone "sim-1e"`) {
		t.Errorf("%v", err)
	}
	if got := New(Config{Nodes: 3}).Zones(); len(got) != 3 {
		t.Errorf("zones by default: %q", got)
	}
}

func TestNoZones(t *testing.T) {
	c := New(Config{Nodes: 2, Zones: -1})
	if got := c.Zones(); len(got) != 0 {
		t.Errorf("zones %q", got)
	}
	if _, err := c.NodesIn(""); err == nil {
		t.Error("the zone without a name has nodes")
	}
	labels := nodeObject(&c.cfg, 1, 0, time.Now()).Labels
	for _, label := range []string{corev1.LabelTopologyZone, corev1.LabelTopologyRegion} {
		if value, ok := labels[label]; ok {
			t.Errorf("label %s is %q", label, value)
		}
	}
}
