package tally

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/planecheck/planecheck/checkers"
)

// Proof is the whole: mutants of histories, live lies, and runs without a lie.
type Proof struct {
	Store, Runs       Part    // mutants: of generated histories of a store, of recorded runs
	Histories         Part    // of recorded runs too, of the histories of their stores; a part of Runs but for what is clean
	Etcd, API, Broken Part    // live: before etcd, before API servers, control planes set up wrongly
	Clean             []Clean // the runs without a lie
	// Known are the guarantees that there are, of which a lie need not be told. Their
	// counts are nothing.
	Known []Row
}

// Load reads the parts that `make power` leaves in a directory.
func Load(dir string) (*Proof, error) {
	p := &Proof{}
	for _, f := range []struct {
		name string
		part *Part
	}{
		{"power-store", &p.Store}, {"power-api", &p.Runs}, {"power-histories", &p.Histories}, {"power-etcd", &p.Etcd}, {"api-lies", &p.API}, {"broken", &p.Broken},
	} {
		part, err := read(filepath.Join(dir, f.name+".json"))
		if err != nil {
			return nil, err
		}
		*f.part = part
	}
	p.Runs.add(Part{Rows: p.Histories.Rows, Survivors: p.Histories.Survivors, Disputed: p.Histories.Disputed})
	return p, nil
}

// live are all live lies together.
func (p *Proof) live() Part {
	var sum Part
	for _, part := range []Part{p.Etcd, p.API, p.Broken} {
		sum.add(part)
	}
	return sum
}

// guarantees are all that there are, and that a lie was told about, area by area.
func (p *Proof) guarantees() []Row {
	var all Part
	for _, part := range []Part{{Rows: p.Known}, p.Store, p.Runs, p.live()} {
		all.add(Part{Rows: part.Rows})
	}
	areas := []string{checkers.AreaStore, checkers.AreaAPI, checkers.AreaCluster}
	rank := func(r Row) int { return (slices.Index(areas, r.Area) + len(areas) + 1) % (len(areas) + 1) } // others come last
	slices.SortStableFunc(all.Rows, func(a, b Row) int { return rank(a) - rank(b) })
	return all.Rows
}

func (p Part) row(r Row) Row {
	i := slices.IndexFunc(p.Rows, func(have Row) bool { return have.Area == r.Area && have.Guarantee == r.Guarantee })
	if i < 0 {
		return Row{}
	}
	return p.Rows[i]
}

func (p Part) sum() (s Row) {
	for _, r := range p.Rows {
		s.Caught, s.Tried = s.Caught+r.Caught, s.Tried+r.Tried
	}
	return s
}

// cell is "caught / tried", empty where nothing was.
func (r Row) cell() string {
	if r.Tried == 0 {
		return ""
	}
	return fmt.Sprintf("%d / %d", r.Caught, r.Tried)
}

// Table renders the proof in Markdown.
func (p *Proof) Table() string {
	var b strings.Builder
	fmt.Fprintf(&b, "| area | guarantee | mutants of store histories | mutants of recorded runs | live lies |\n|---|---|--:|--:|--:|\n")
	live := p.live()
	for _, r := range p.guarantees() {
		area := r.Area
		if area == "" {
			area = "run"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", area, r.Guarantee, p.Store.row(r).cell(), p.Runs.row(r).cell(), live.row(r).cell())
	}
	fmt.Fprintf(&b, "| all | | %s | %s | %s |\n", p.Store.sum().cell(), p.Runs.sum().cell(), live.sum().cell())
	p.lines(&b)
	p.clean(&b)
	return b.String()
}

// lines names what a number hides.
func (p *Proof) lines(b *strings.Builder) {
	var disputed, survivors []string
	for _, part := range []Part{p.Store, p.Runs, p.live()} {
		disputed, survivors = append(disputed, part.Disputed...), append(survivors, part.Survivors...)
	}
	if survivors = append(survivors, p.missed()...); len(survivors) == 0 {
		survivors = []string{"Survivors: none"}
	}
	for _, line := range slices.Concat(survivors, disputed, p.unproven()) {
		fmt.Fprintf(b, "\n%s.\n", line)
	}
}

// missed are the guarantees that a live lie broke and that did not fail.
func (p *Proof) missed() (lines []string) {
	for _, r := range p.live().Rows {
		if r.Caught < r.Tried {
			lines = append(lines, fmt.Sprintf("Survivor: %s did not fail in %d of %d live runs with a lie that breaks it", r.Guarantee, r.Tried-r.Caught, r.Tried))
		}
	}
	return lines
}

// unproven are the guarantees that mutants or live lies leave out.
func (p *Proof) unproven() (lines []string) {
	var noMutants, noLive, beside []string // the last are some of noLive
	live := p.live()
	for _, r := range p.guarantees() {
		if p.Store.row(r).Tried+p.Runs.row(r).Tried == 0 {
			noMutants = append(noMutants, r.Guarantee)
		}
		if live.row(r).Tried == 0 {
			noLive = append(noLive, r.Guarantee)
			if slices.Contains(live.Beside, Row{Area: r.Area, Guarantee: r.Guarantee}) {
				beside = append(beside, r.Guarantee)
			}
		}
	}
	for _, l := range []struct {
		what  string
		names []string
	}{
		{"Unproven live, for no lie breaks it", noLive},
		{"Of these failed in a live run that breaks another", beside},
		{"Unproven by mutants", noMutants},
	} {
		if len(l.names) > 0 {
			lines = append(lines, fmt.Sprintf("%s: %s", l.what, strings.Join(l.names, ", ")))
		}
	}
	return append(lines, slices.Concat(p.Store.Unproven, p.Runs.Unproven)...)
}

// Unproven renders what mutants or live lies leave out, in Markdown.
func (p *Proof) Unproven() string { return strings.Join(p.unproven(), ".\n\n") + ".\n" }

// clean tells of what had no lie in it.
func (p *Proof) clean(b *strings.Builder) {
	fmt.Fprintf(b, "\nFalse alarms:\n\n")
	for _, part := range []Part{p.Store, p.Runs, p.Histories, p.Etcd} {
		fmt.Fprintf(b, "* %d over %d %s\n", part.FalseAlarms, part.Clean, part.CleanOf)
	}
	for _, c := range p.Clean {
		fmt.Fprintf(b, "* %d over %d runs of a control plane that passed, %d of them with faults (%s, %s, planecheck %s)%s%s\n",
			c.Alarms, c.Runs, c.Faulty, c.Command, c.Date, c.Planecheck, c.beside(), c.evidence())
	}
}

// beside names the runs that did not pass, and why.
func (c Clean) beside() (text string) {
	for _, o := range c.Others {
		text += fmt.Sprintf("; beside them %s: %d (%s)", o.Outcome, o.Runs, strings.Join(o.Why, "; "))
	}
	return text
}

// evidence says what zero alarms say nothing of.
func (c Clean) evidence() string {
	switch {
	case c.Runs == 0:
		return ""
	case len(c.Below) == 0:
		return "; every guarantee was judged in each of them"
	}
	var names []string
	for _, b := range c.Below {
		names = append(names, fmt.Sprintf("%s (%d)", b.Guarantee, b.Runs))
	}
	return "; below its floor, and so not judged, was in so many of them: " + strings.Join(names, ", ")
}
