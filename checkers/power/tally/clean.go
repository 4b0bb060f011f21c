package tally

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/planecheck/planecheck/checkers"
)

// Clean is what live runs without a lie came to.
type Clean struct {
	Command    string `json:"command"`
	Date       string `json:"date"` // of the last one, as 2006-01-02
	Planecheck string `json:"planecheck"`
	Runs       int    `json:"runs"`
	Faulty     int    `json:"faulty"` // those with faults
	Alarms     int    `json:"alarms"` // guarantees that failed in one of them
	// Below are the guarantees that were not judged in each of the runs, because
	// the evidence stayed below the floor.
	Below []Below `json:"below,omitempty"`
}

// Below is in how many runs a guarantee was not judged.
type Below struct {
	Area      string `json:"area"`
	Guarantee string `json:"guarantee"`
	Runs      int    `json:"runs"`
}

// record is what of a run.json counts here.
type record struct {
	Plan struct {
		Interventions []json.RawMessage `json:"interventions"`
	} `json:"plan"`
	Ended    string            `json:"ended"`
	Versions map[string]string `json:"versions"`
	Verdict  struct {
		Outcome    checkers.Outcome   `json:"outcome"`
		Guarantees []checkers.Verdict `json:"guarantees"`
	} `json:"verdict"`
}

// Count reads what the runs in some directories came to. One that did not come to
// its end is an error: nobody knows what it would have said.
func Count(command string, dirs []string) (Clean, error) {
	c := Clean{Command: command}
	for _, dir := range dirs {
		data, err := os.ReadFile(filepath.Join(dir, "run.json"))
		if err != nil {
			return Clean{}, fmt.Errorf("count clean runs: %w", err)
		}
		var r record
		if err := json.Unmarshal(data, &r); err != nil {
			return Clean{}, fmt.Errorf("count clean runs: %s: %w", dir, err)
		}
		if r.Verdict.Outcome == "" || len(r.Ended) < len("2006-01-02") {
			return Clean{}, fmt.Errorf("count clean runs: %s did not come to its end", dir)
		}
		c.add(r)
	}
	if c.Runs == 0 {
		return Clean{}, fmt.Errorf("count clean runs: there are none")
	}
	return c, nil
}

func (c *Clean) add(r record) {
	c.Runs++
	if day := r.Ended[:len("2006-01-02")]; day >= c.Date {
		c.Date, c.Planecheck = day, r.Versions["planecheck"]
	}
	if len(r.Plan.Interventions) > 0 {
		c.Faulty++
	}
	for _, v := range r.Verdict.Guarantees {
		switch {
		case v.Outcome == checkers.Fail:
			c.Alarms++
		case v.Outcome != checkers.Pass && v.Area != "":
			c.below(v)
		}
	}
}

func (c *Clean) below(v checkers.Verdict) {
	i := slices.IndexFunc(c.Below, func(b Below) bool { return b.Area == v.Area && b.Guarantee == v.Guarantee })
	if i < 0 {
		i = len(c.Below)
		c.Below = append(c.Below, Below{Area: v.Area, Guarantee: v.Guarantee})
	}
	c.Below[i].Runs++
}

// Save writes what clean runs came to into a file.
func (c Clean) Save(path string) error {
	data, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(data, '\n'), 0o644)
}

// LoadClean reads what Save wrote.
func LoadClean(path string) (Clean, error) {
	var c Clean
	data, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(data, &c)
	}
	if err != nil {
		return Clean{}, fmt.Errorf("read what clean runs came to: %w", err)
	}
	return c, nil
}
