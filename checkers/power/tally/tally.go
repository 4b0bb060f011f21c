// Package tally is what the parts of the proof of power come to, and the table of
// them in the README. Each part, a test of its own process, leaves a file; the
// table is made when all are there.
package tally

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
)

// Row is how the lies fared that break one guarantee.
type Row struct {
	Area      string `json:"area"` // as the Area constants of package checkers say
	Guarantee string `json:"guarantee"`
	Caught    int    `json:"caught"` // by the guarantee itself
	Tried     int    `json:"tried"`  // those that count
}

// Part is what one part of the proof came to. Its lines are sentences without a
// full stop.
type Part struct {
	Rows      []Row    `json:"rows,omitempty"`
	Survivors []string `json:"survivors,omitempty"` // lies that nobody caught, or only another guarantee
	Unproven  []string `json:"unproven,omitempty"`  // what no lie put to the test
	Disputed  []string `json:"disputed,omitempty"`  // lies that a model acquits and a checker fails
	Beside    []Row    `json:"beside,omitempty"`    // guarantees that failed where a lie breaks another
	// Clean is how many of what was judged without a lie, and FalseAlarms what it
	// came to.
	Clean       int    `json:"clean,omitempty"`
	CleanOf     string `json:"clean_of,omitempty"`
	FalseAlarms int    `json:"false_alarms,omitempty"`
}

// Acquitted is the line of a lie that the model accepted in n histories.
func Acquitted(guarantee, lie string, n int) string {
	return fmt.Sprintf("Acquitted: %s, %s: %d times", guarantee, lie, n)
}

// Dispute is the line of a lie of which the model accepted what a checker failed: what
// failed of each, and of how many that it accepted. lenient, if not empty, says why it
// may.
func Dispute(guarantee, lie string, failed [][]string, acquitted int, lenient string) string {
	counts := map[string]int{}
	for _, gs := range failed {
		counts[strings.Join(gs, " and ")]++
	}
	var parts []string
	for _, what := range slices.Sorted(maps.Keys(counts)) {
		parts = append(parts, fmt.Sprintf("%s (%d)", what, counts[what]))
	}
	line := fmt.Sprintf("Disputed: %s, %s: of %d that the model acquits failed %s", guarantee, lie, acquitted, strings.Join(parts, ", "))
	if lenient == "" {
		return line + ", and nothing explains it"
	}
	return line + ", because " + lenient
}

// Survivor is the line of a lie that got through; known, if not empty, says why.
func Survivor(guarantee, lie string, survived, byAnother, tried int, known string) string {
	line := fmt.Sprintf("Survivor: %s, %s: %d of %d survived, %d were caught by another only", guarantee, lie, survived, tried, byAnother)
	if known != "" {
		line += ". Known: " + known
	}
	return line
}

// Live is the part of one live lie: which of the guarantees that it breaks failed.
func Live(areaOf func(guarantee string) string, breaks, failed []string) Part {
	var p Part
	for _, g := range breaks {
		r := Row{Area: areaOf(g), Guarantee: g, Tried: 1}
		if slices.Contains(failed, g) {
			r.Caught = 1
		}
		p.Rows = append(p.Rows, r)
	}
	for _, g := range failed {
		if !slices.Contains(breaks, g) {
			p.Beside = append(p.Beside, Row{Area: areaOf(g), Guarantee: g})
		}
	}
	return p
}

// add takes another part in.
func (p *Part) add(o Part) {
	for _, r := range o.Rows {
		i := slices.IndexFunc(p.Rows, func(have Row) bool { return have.Area == r.Area && have.Guarantee == r.Guarantee })
		if i < 0 {
			p.Rows = append(p.Rows, r)
			continue
		}
		p.Rows[i].Caught += r.Caught
		p.Rows[i].Tried += r.Tried
	}
	p.Survivors = append(p.Survivors, o.Survivors...)
	p.Unproven = append(p.Unproven, o.Unproven...)
	p.Disputed = append(p.Disputed, o.Disputed...)
	for _, g := range o.Beside {
		if !slices.Contains(p.Beside, g) {
			p.Beside = append(p.Beside, g)
		}
	}
	p.Clean += o.Clean
	p.CleanOf = max(p.CleanOf, o.CleanOf)
	p.FalseAlarms += o.FalseAlarms
}

// beside is the name of the file of a part, beside that of its table in Markdown.
func beside(table string) string { return strings.TrimSuffix(table, ".md") + ".json" }

// Save writes the part beside the file of its table.
func (p Part) Save(table string) error {
	return p.write(table, os.O_TRUNC)
}

// Append adds the part to the file beside that of its table.
func (p Part) Append(table string) error {
	return p.write(table, os.O_APPEND)
}

func (p Part) write(table string, how int) error {
	data, err := json.Marshal(p)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(beside(table), os.O_WRONLY|os.O_CREATE|how, 0o644)
	if err != nil {
		return fmt.Errorf("write a part of the proof of power: %w", err)
	}
	_, err = f.Write(append(data, '\n'))
	return errors.Join(err, f.Close())
}

// read sums up what is in a file.
func read(path string) (Part, error) {
	f, err := os.Open(path)
	if err != nil {
		return Part{}, fmt.Errorf("read a part of the proof of power: %w", err)
	}
	defer f.Close()
	var sum Part
	for d := json.NewDecoder(f); ; {
		var p Part
		switch err := d.Decode(&p); {
		case errors.Is(err, io.EOF) && len(sum.Rows) == 0:
			return Part{}, fmt.Errorf("%s holds nothing", path)
		case errors.Is(err, io.EOF):
			return sum, nil
		case err != nil:
			return Part{}, fmt.Errorf("read %s: %w", path, err)
		}
		sum.add(p)
	}
}
