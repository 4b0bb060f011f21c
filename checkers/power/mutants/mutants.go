// Package mutants says what became of lies that were told in histories: which
// guarantees failed of each, what an independent model says of it, and how the lies of
// a guarantee fared.
package mutants

import (
	"fmt"
	"slices"

	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/checkers/counterexample"
)

// Lie is a way to make a history wrong. T is a copy of a history that it can be told in.
type Lie[T any] struct {
	Name   string
	Breaks string // the guarantee that it breaks
	// Lenient says why the model accepts some of these that a checker rightly fails:
	// it knows less there. "": what one fails and the other accepts is a finding about
	// one of them.
	Lenient string
	// Missed says why the checkers are known not to see the lie, or not
	// everywhere: a finding about them that is still open. "" for all others.
	Missed string
	// Tell tells the lie somewhere in the history; false: there is no place.
	Tell func(T) bool
}

// same says whether two are one of the catalogue.
func (l Lie[T]) same(o Lie[T]) bool { return l.Breaks == o.Breaks && l.Name == o.Name }

// Fate is what became of a mutant.
type Fate string

// The fates of mutants.
const (
	Caught    Fate = "caught"     // by the guarantee that was broken
	ByAnother Fate = "by another" // by other guarantees only
	Escaped   Fate = "escaped"
	Acquitted Fate = "acquitted" // the model accepts the history: it does not count
)

// Mutant is one lie told in one history.
type Mutant[T any] struct {
	Lie     Lie[T]
	History string // name of the history
	Seed    uint64 // of the place where the lie was told
	Fate    Fate
	Failed  []string // guarantees that the checkers found broken
	Bare    []string // of them: those without a table of what happened
	Why     string   // why the model rejects it
}

// Judged is the mutant that a lie made, by what the checkers say of it and why the model
// rejects it ("": it does not).
func Judged[T any](lie Lie[T], history string, seed uint64, verdicts []checkers.Verdict, why string) Mutant[T] {
	m := Mutant[T]{Lie: lie, History: history, Seed: seed, Fate: Escaped, Why: why}
	for _, v := range verdicts {
		if v.Outcome != checkers.Fail {
			continue
		}
		m.Failed = append(m.Failed, v.Guarantee)
		if !counterexample.Tabled(v.Detail) {
			m.Bare = append(m.Bare, v.String())
		}
	}
	switch {
	case why == "":
		m.Fate = Acquitted
	case slices.Contains(m.Failed, lie.Breaks):
		m.Fate = Caught
	case len(m.Failed) > 0:
		m.Fate = ByAnother
	}
	return m
}

func (m Mutant[T]) String() string {
	return fmt.Sprintf("%s: %s (history %s, seed %d): %s; failed %v; the model says: %s",
		m.Lie.Breaks, m.Lie.Name, m.History, m.Seed, m.Fate, m.Failed, m.Why)
}

// Disputed says that the model accepts what a checker fails.
func (m Mutant[T]) Disputed() bool { return m.Fate == Acquitted && len(m.Failed) > 0 }
