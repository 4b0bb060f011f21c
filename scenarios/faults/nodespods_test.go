package faults

import (
	"errors"
	"slices"
	"testing"
)

// unevenMachines run pods on some nodes only, and keep which of them are struck.
type unevenMachines struct {
	idleMachines
	busy   map[string]bool
	struck *[]string
}

func (m unevenMachines) Running(nodes ...string) (pods []string, err error) {
	for _, name := range nodes {
		if m.busy[name] {
			pods = append(pods, "uid-"+name)
		}
	}
	return pods, nil
}

func (m unevenMachines) PressMemory(_ int, nodes ...string) error {
	return m.Cut(nodes...)
}

func (m unevenMachines) Cut(nodes ...string) error {
	*m.struck = nodes
	return errors.New("it is known who is struck")
}

// What is about the pods of nodes has nothing to do on those without: the draw is among
// the others, as far as there are any. Where all run pods it is that of every fault.
func TestNodesWithPods(t *testing.T) {
	e, _ := idleEnv(t)
	m := e.Nodes.(idleMachines)
	f := func(one aimed, busy ...string) {
		t.Helper()
		var struck []string
		runs := map[string]bool{}
		for _, name := range busy {
			runs[name] = true
		}
		e.Nodes = unevenMachines{m, runs, &struck}
		all := map[string]bool{}
		for e.Pick = range 100 {
			drawn, err := someNodes(e, one.target)
			if err != nil {
				t.Fatal(err)
			}
			struck = nil
			_, _ = one.Inject(t.Context(), e, one.target)
			met := slices.IndexFunc(struck, func(name string) bool { return !runs[name] })
			if met < 0 {
				met = len(struck)
			}
			if want := min(len(drawn), len(busy)); met != want || len(busy) > 0 && len(struck) != len(drawn) {
				t.Fatalf("pick %d of %s, %s: %q are struck, of which %q run pods", e.Pick, one.Name, one.target, struck, busy)
			}
			if len(busy) == len(m.nodes) && !slices.Equal(struck, drawn) {
				t.Fatalf("pick %d of %s, %s: %q are struck, and %q are drawn", e.Pick, one.Name, one.target, struck, drawn)
			}
			for _, name := range struck[:met] {
				all[name] = true
			}
		}
		if len(all) != len(busy) {
			t.Errorf("picks of %s, %s, strike %d of the %d nodes with pods", one.Name, one.target, len(all), len(busy))
		}
	}
	for _, one := range aimedAt(t, idleShape, "nodes-memory-pressure", "node-returns") {
		f(one, m.nodes...)
		f(one, m.nodes[3:9]...)
		f(one, m.nodes[7])
		f(one)
	}
}
