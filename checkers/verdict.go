// Package checkers decides from recorded histories whether a control plane
// kept its guarantees. It knows nothing of how a run was made: everything it
// judges is in the histories.
package checkers

import "fmt"

// Outcome is what a judgement came to. Only Pass passes: a run that could not
// have found a violation proves nothing and must not read as success.
type Outcome string

// The outcomes, from best to worst for the reader's peace of mind.
const (
	// Pass means that the guarantee was judged and held.
	Pass Outcome = "Pass"
	// Unknown means that time or evidence ran out before a decision.
	Unknown Outcome = "Unknown"
	// Invalid means that the run could not have found a violation: too few
	// operations, a fault without effect, an incomplete history.
	Invalid Outcome = "Invalid"
	// Fail means that the guarantee was broken; Detail holds the evidence.
	Fail Outcome = "Fail"
	// NotExercised means that the plan did nothing to put the guarantee to the
	// test. It is listed, so that nobody takes it for judged, and does not count.
	NotExercised Outcome = "Not exercised"
)

// The areas of guarantees.
const (
	// AreaStore marks the guarantees of the store, seen where the API servers
	// talk to it.
	AreaStore = "store"
	// AreaAPI marks those of the API servers, seen by their clients.
	AreaAPI = "API"
	// AreaCluster marks those of the control plane as a whole, seen in the
	// objects that it leaves in the store.
	AreaCluster = "cluster"
)

// Verdict is the judgement of one named guarantee.
type Verdict struct {
	// Area is what the guarantee is about, as Area constants say; empty: the
	// run itself.
	Area      string  `json:"area,omitempty"`
	Guarantee string  `json:"guarantee"`
	Outcome   Outcome `json:"outcome"`
	// Statement is the guarantee in one sentence.
	Statement string `json:"statement"`
	// Checked says what the judgement rests on, e.g. "150000 pods".
	Checked string `json:"checked,omitempty"`
	// Detail is the counter-example or the reason, empty for Pass.
	Detail string `json:"detail,omitempty"`
	// Unfit says of an Invalid verdict that the history cannot be judged: a part of
	// it is missing, out of order, or of a kind that nobody knows. Without it there
	// is only too little evidence, which does not matter where nobody asked for more.
	Unfit bool `json:"unfit,omitempty"`
}

func (v Verdict) String() string {
	if v.Detail == "" {
		return fmt.Sprintf("%s: %s", v.Guarantee, v.Outcome)
	}
	return fmt.Sprintf("%s: %s: %s", v.Guarantee, v.Outcome, v.Detail)
}

// severity orders outcomes for Worst. A violation outweighs missing evidence:
// what was seen broken stays broken however little else was looked at.
var severity = map[Outcome]int{Pass: 0, Unknown: 1, Invalid: 2, Fail: 3}

// Worst folds verdicts into the outcome of the whole run. No verdict at all is
// Invalid, because nothing was judged.
func Worst(verdicts []Verdict) Outcome {
	worst, judged := Pass, false
	for _, v := range verdicts {
		if v.Outcome == NotExercised {
			continue
		}
		judged = true
		if severity[v.Outcome] > severity[worst] {
			worst = v.Outcome
		}
	}
	if !judged {
		return Invalid
	}
	return worst
}
