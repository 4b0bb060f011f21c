package sim

import "fmt"

const (
	region   = "sim-1" // that all zones are in
	maxZones = 26      // sim-1a to sim-1z
)

// zoneName is the name of the zone of that index: sim-1a and so on.
func zoneName(zone int) string { return region + string(rune('a'+zone)) }

// zoneOf is the zone of the node of that index; empty if there are no zones.
// Neighbours are in different zones, so that every zone has as many nodes as
// the others, or one more, however many there are.
func (c *Config) zoneOf(index int) string {
	if c.Zones < 1 {
		return ""
	}
	return zoneName(index % c.Zones)
}

// Zones are the names of the zones, in order. Like Nodes and NodesIn it may be
// called before Start: a plan is drawn before anything runs.
func (c *Cluster) Zones() []string {
	var zones []string
	for i := range max(c.cfg.Zones, 0) {
		zones = append(zones, zoneName(i))
	}
	return zones
}

// Nodes are the names of all nodes, in order.
func (c *Cluster) Nodes() []string {
	nodes := make([]string, c.cfg.Nodes)
	for i := range nodes {
		nodes[i] = NodeName(i)
	}
	return nodes
}

// NodesIn are the names of the nodes in a zone, in order.
func (c *Cluster) NodesIn(zone string) ([]string, error) {
	for first := range max(c.cfg.Zones, 0) {
		if zoneName(first) != zone {
			continue
		}
		var nodes []string
		for i := first; i < c.cfg.Nodes; i += c.cfg.Zones {
			nodes = append(nodes, NodeName(i))
		}
		return nodes, nil
	}
	return nil, fmt.Errorf("no zone %q: there are %q", zone, c.Zones())
}
