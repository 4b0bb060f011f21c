package tally

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/planecheck/planecheck/checkers"
)

// Clean is what live runs without a lie came to.
type Clean struct {
	Command    string `json:"command"`
	Date       string `json:"date"` // of the last one, as 2006-01-02
	Planecheck string `json:"planecheck"`
	Runs       int    `json:"runs"`   // those that passed
	Faulty     int    `json:"faulty"` // of them: those with faults
	// Others are the runs that did not pass. They do not count among Runs, for what
	// could have found nothing has not shown that nothing was there.
	Others []Other `json:"others,omitempty"`
	Alarms int     `json:"alarms"` // guarantees that failed, in whatever run
	// Below are the guarantees that were not judged in each of Runs, because the
	// evidence stayed below the floor.
	Below []Below `json:"below,omitempty"`
}

// Other is how many runs ended in an outcome other than Pass.
type Other struct {
	Outcome checkers.Outcome `json:"outcome"`
	Runs    int              `json:"runs"`
	Why     []string         `json:"why"` // what each of them says, once
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
		Reason     string             `json:"reason"`
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
	if c.Runs+len(c.Others) == 0 {
		return Clean{}, fmt.Errorf("count clean runs: there are none")
	}
	return c, nil
}

func (c *Clean) add(r record) {
	if day := r.Ended[:len("2006-01-02")]; day >= c.Date {
		c.Date, c.Planecheck = day, r.Versions["planecheck"]
	}
	for _, v := range r.Verdict.Guarantees {
		if v.Outcome == checkers.Fail {
			c.Alarms++
		}
	}
	if r.Verdict.Outcome != checkers.Pass {
		c.other(r)
		return
	}
	c.Runs++
	if len(r.Plan.Interventions) > 0 {
		c.Faulty++
	}
	for _, v := range r.Verdict.Guarantees {
		if v.Outcome != checkers.Pass && v.Area != "" {
			c.below(v)
		}
	}
}

// other takes in a run that did not pass.
func (c *Clean) other(r record) {
	i := slices.IndexFunc(c.Others, func(o Other) bool { return o.Outcome == r.Verdict.Outcome })
	if i < 0 {
		i = len(c.Others)
		c.Others = append(c.Others, Other{Outcome: r.Verdict.Outcome})
	}
	o := &c.Others[i]
	o.Runs++
	for _, why := range r.why() {
		if !slices.Contains(o.Why, why) {
			o.Why = append(o.Why, why)
		}
	}
}

// why says what made the outcome of a run, the first line of each reason.
func (r record) why() (reasons []string) {
	for _, v := range r.Verdict.Guarantees {
		if v.Outcome == r.Verdict.Outcome {
			detail, _, _ := strings.Cut(v.Detail, "\n")
			reasons = append(reasons, strings.TrimSuffix(v.Guarantee+": "+detail, ": "))
		}
	}
	if len(reasons) == 0 {
		reasons = []string{cmp.Or(r.Verdict.Reason, "no reason is given")}
	}
	return reasons
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
