package fidelity

import (
	"fmt"
	"slices"
)

// Difference is one thing that the two nodes do differently.
type Difference struct {
	Request string // the Key of the request
	Field   string // empty: only one of them sends the request at all
	Hollow  string // value of the field, or "absent"; of whole requests "sent" or "absent"
	Sim     string
}

func (d Difference) String() string {
	if d.Field == "" {
		return fmt.Sprintf("%s: hollow kubelet %s, simulated %s", d.Request, d.Hollow, d.Sim)
	}
	return fmt.Sprintf("%s: %s: hollow kubelet %q, simulated %q", d.Request, d.Field, d.Hollow, d.Sim)
}

// sent is the value of a whole request that was there.
const sent = "sent"

// Compare aligns two traces of one subject, in order, so that as little as
// possible differs, and returns what does.
func Compare(hollow, sim []Request) []Difference {
	cost := alignment(hollow, sim)
	var found []Difference
	i, j := 0, 0
	for i < len(hollow) || j < len(sim) {
		switch {
		case i < len(hollow) && cost[i][j] == cost[i+1][j]+alone(hollow[i]):
			found = append(found, Difference{Request: hollow[i].Key, Hollow: sent, Sim: absent})
			i++
		case j < len(sim) && cost[i][j] == cost[i][j+1]+alone(sim[j]):
			found = append(found, Difference{Request: sim[j].Key, Hollow: absent, Sim: sent})
			j++
		default:
			found = append(found, fields(hollow[i], sim[j])...)
			i, j = i+1, j+1
		}
	}
	return found
}

// alignment returns, for every i and j, the least cost of aligning hollow[i:]
// with sim[j:]. Requests of different keys are never paired.
func alignment(hollow, sim []Request) [][]int {
	cost := make([][]int, len(hollow)+1)
	for i := range cost {
		cost[i] = make([]int, len(sim)+1)
	}
	for i := len(hollow); i >= 0; i-- {
		for j := len(sim); j >= 0; j-- {
			var options []int
			if i < len(hollow) {
				options = append(options, cost[i+1][j]+alone(hollow[i]))
			}
			if j < len(sim) {
				options = append(options, cost[i][j+1]+alone(sim[j]))
			}
			if i < len(hollow) && j < len(sim) && hollow[i].Key == sim[j].Key {
				options = append(options, cost[i+1][j+1]+len(fields(hollow[i], sim[j])))
			}
			if len(options) > 0 {
				cost[i][j] = slices.Min(options)
			}
		}
	}
	return cost
}

// alone is the cost of a request without a counterpart: more than half of what
// a pair can differ in, so that two requests of one key are paired whenever
// they have anything in common.
func alone(r Request) int { return len(r.Fields) + 1 }

// fields returns the differences of two requests of one key, sorted by field.
func fields(hollow, sim Request) []Difference {
	names := map[string]bool{}
	for name := range hollow.Fields {
		names[name] = true
	}
	for name := range sim.Fields {
		names[name] = true
	}
	var found []Difference
	for name := range names {
		h, s := valueOr(hollow.Fields, name), valueOr(sim.Fields, name)
		if h != s {
			found = append(found, Difference{Request: hollow.Key, Field: name, Hollow: h, Sim: s})
		}
	}
	slices.SortFunc(found, func(a, b Difference) int {
		if a.Field < b.Field {
			return -1
		}
		return 1
	})
	return found
}

func valueOr(fields map[string]string, name string) string {
	if value, ok := fields[name]; ok {
		return value
	}
	return absent
}
