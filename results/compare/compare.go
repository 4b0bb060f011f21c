// Package compare turns the trials of a comparison into a table: the same plan
// on several variants of a control plane, in rounds in which each variant has
// its turn, each trial a run of its own with its own run directory.
//
// It knows figures and verdicts, not what a variant is, and it is pure: from
// the records of trials to text. Statistics are those of
// golang.org/x/perf/benchmath, which benchstat uses: they assume nothing about
// how figures are distributed.
package compare

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/results"
)

// Schema is the version of compare.json that this package writes and reads.
const Schema = 1

// The files of a comparison directory, beside the run directories of its trials.
const (
	jsonFile = "compare.json"
	textFile = "compare.txt"
)

// Comparison is the content of compare.json.
type Comparison struct {
	Schema   int       `json:"schema"`
	Workload string    `json:"workload"` // name of the scenario
	Flags    []string  `json:"flags"`    // of `planecheck run` in every trial
	Rounds   int       `json:"rounds"`   // planned
	Started  time.Time `json:"started"`
	// Planecheck is the version of the program that started the trials.
	Planecheck string       `json:"planecheck"`
	Host       results.Host `json:"host"`
	// Proxy is what a proxy costs on this machine; nil: it was not measured.
	Proxy *ProxyCost `json:"proxy,omitempty"`
	// Variants are the columns of the table. The others are compared to the first.
	Variants []Variant `json:"variants"`
	// Trials are in the order in which they were made.
	Trials []Trial `json:"trials"`
	// Metrics are computed from the trials when the comparison is saved.
	Metrics []Metric `json:"metrics,omitempty"`
}

// Variant is one of the things that are compared.
type Variant struct {
	Name  string   `json:"name"`
	Flags []string `json:"flags"` // of `planecheck run`, beside those of every trial
	// Refused is why there can be no trial of it; empty: there can.
	Refused string `json:"refused,omitempty"`
}

// Trial is one run of one variant.
type Trial struct {
	Round   int             `json:"round"` // from 1
	Variant string          `json:"variant"`
	Dir     string          `json:"dir,omitempty"` // run directory within the comparison's; "": it came to none
	Started time.Time       `json:"started"`
	Took    results.Seconds `json:"took_seconds"`
	Status  int             `json:"exit_status"` // -1: a signal ended it
	// Cause says in one line why the trial could not be done; empty: it was. A
	// trial that was done may still have failed.
	Cause string `json:"cause,omitempty"`
	// Outcome and Verdicts are those of the run, as far as it was judged.
	Outcome  checkers.Outcome `json:"outcome,omitempty"`
	Verdicts []Verdict        `json:"verdicts,omitempty"`
	// Figures are those of a plan that was carried out to its end; others have none.
	Figures []Figure `json:"figures,omitempty"`
	// Store says what the store was, and what of it outlives a loss of power;
	// Recorded, how its history was taken. Empty: the run does not say.
	Store    string `json:"store,omitempty"`
	Recorded string `json:"recorded,omitempty"`
}

// Verdict is what a trial came to about one guarantee.
type Verdict struct {
	Area      string           `json:"area,omitempty"`
	Guarantee string           `json:"guarantee"`
	Outcome   checkers.Outcome `json:"outcome"`
	Detail    string           `json:"detail,omitempty"` // of what did not pass
}

// Save computes the metrics and writes compare.json and compare.txt, each so
// that it is either the old or the new one at any moment.
func (c *Comparison) Save(dir *results.Dir) error {
	c.Schema = Schema
	c.Metrics = c.metrics()
	b, err := json.MarshalIndent(c, "", " ")
	if err != nil {
		return fmt.Errorf("save comparison: %w", err)
	}
	if err := dir.Write(jsonFile, append(b, '\n')); err != nil {
		return fmt.Errorf("save comparison: %w", err)
	}
	if err := dir.Write(textFile, []byte(Render(c))); err != nil {
		return fmt.Errorf("save comparison: %w", err)
	}
	return nil
}

// Load reads the compare.json of a comparison directory.
func Load(dir string) (*Comparison, error) {
	path := filepath.Join(dir, jsonFile)
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("load comparison: %w", err)
	}
	c := &Comparison{}
	if err := json.Unmarshal(b, c); err != nil {
		return nil, fmt.Errorf("load comparison: %s: %w", path, err)
	}
	if c.Schema != Schema {
		return nil, fmt.Errorf("load comparison: %s has schema %d, this planecheck reads schema %d", path, c.Schema, Schema)
	}
	return c, nil
}

// Outcome folds the trials that were done, and what was seen broken in others.
func (c *Comparison) Outcome() checkers.Outcome {
	var verdicts []checkers.Verdict
	for _, t := range c.Trials {
		if t.Cause == "" || t.Outcome == checkers.Fail {
			verdicts = append(verdicts, checkers.Verdict{Outcome: t.Outcome})
		}
	}
	return checkers.Worst(verdicts)
}

// Lost are the trials that could not be done.
func (c *Comparison) Lost() []Trial {
	var lost []Trial
	for _, t := range c.Trials {
		if t.Cause != "" {
			lost = append(lost, t)
		}
	}
	return lost
}

// Refused are the variants of which there can be no trial.
func (c *Comparison) Refused() []Variant {
	var refused []Variant
	for _, v := range c.Variants {
		if v.Refused != "" {
			refused = append(refused, v)
		}
	}
	return refused
}

// of are the trials of a variant.
func (c *Comparison) of(variant string) []Trial {
	var trials []Trial
	for _, t := range c.Trials {
		if t.Variant == variant {
			trials = append(trials, t)
		}
	}
	return trials
}
