package results

// farFault is the fault that puts the members of the store far from each other,
// and its targets say how far (package scenarios/faults, etcd-far).
const farFault = "etcd-far"

// renderDistance shows what each distance between the members costs a call,
// beside the same calls before; "": there was none.
func renderDistance(faults []FaultFigures) string {
	t := table{align: "llr"}
	t.row("one way", "calls", "p50 before", "during", "p99 before", "during")
	for i := range faults {
		f := &faults[i]
		if f.Fault != farFault {
			continue
		}
		t.row(append([]string{f.Target, "reads"}, distanceCells(&f.Reads)...)...)
		t.row(append([]string{"", "writes"}, distanceCells(&f.Writes)...)...)
	}
	if len(t.rows) == 1 {
		return ""
	}
	return "\nThe price of distance between members of the store\n" + t.String()
}

func distanceCells(s *ServiceFigures) (cells []string) {
	before, during := s.Before.Latency, s.During.Latency
	for _, pair := range [][2]Seconds{{before.P50, during.P50}, {before.P99, during.P99}} {
		for i, l := range []Latency{before, during} {
			if l.Count == 0 {
				cells = append(cells, missing)
			} else {
				cells = append(cells, pair[i].String())
			}
		}
	}
	return cells
}
