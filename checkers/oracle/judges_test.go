package oracle

import (
	"fmt"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"
	"go.uber.org/zap"

	"go.etcd.io/etcd/tests/v3/robustness/report"
	"go.etcd.io/etcd/tests/v3/robustness/validate"

	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/checkers/storage"
	"github.com/planecheck/planecheck/checkers/storage/storetest"
)

// judgement is what one judge says of one history.
type judgement string

const (
	good      judgement = "good"
	bad       judgement = "bad"
	undecided judgement = "undecided" // time ran out, or the evidence allows both
)

// deadline is what a search may take; porcupine comes nowhere near it.
const deadline = 20 * time.Second

// byPorcupine searches for an order of a whole history.
func byPorcupine(h storetest.History, limit time.Duration) judgement {
	m, ops := toPorcupine(h)
	return search(m, ops, limit)
}

func search(m *etcdModel, ops []porcupine.Operation, limit time.Duration) judgement {
	switch porcupine.CheckOperationsTimeout(m.porcupine(), ops, limit) {
	case porcupine.Ok:
		return good
	case porcupine.Illegal:
		return bad
	}
	return undecided
}

// byRevision asks the revision checker. It returns the broken guarantees too.
func byRevision(h storetest.History) (judgement, []checkers.Verdict) {
	floors := storage.Floors{Operations: -1, Conflicts: -1, Compactions: -1, Leases: -1, Refusals: -1, Crashes: -1, Members: -1, Hashes: -1}
	c := storage.New(storage.Options{Start: 1, Floors: floors})
	h.Feed(c)
	var broken []checkers.Verdict
	outcome := good
	for _, v := range c.Finish() {
		switch v.Outcome {
		case checkers.Pass:
			continue
		case checkers.Unknown:
			if outcome == good {
				outcome = undecided
			}
		default:
			outcome = bad
		}
		broken = append(broken, v)
	}
	return outcome, broken
}

func guarantees(broken []checkers.Verdict) string {
	var list []string
	for _, v := range broken {
		list = append(list, v.Guarantee)
	}
	return strings.Join(list, " ")
}

// byValidate asks etcd's own validation, as its robustness tests do, about the
// calls that it can express.
func byValidate(t translation, limit time.Duration) (judgement, error) {
	r := validate.ValidateAndReturnVisualize(zap.NewNop(), validate.Config{ExpectRevisionUnique: true},
		[]report.ClientReport{{KeyValue: t.calls}}, nil, limit)
	if err := r.Assumptions.Error(); err != nil {
		return undecided, fmt.Errorf("assumptions of etcd's validation: %w", err)
	}
	switch r.Linearization.Status {
	case validate.Success:
		return good, nil
	case validate.Failure:
		return bad, nil
	}
	return undecided, nil
}

// byNarrow asks porcupine about exactly what etcd's validation was shown, with
// a model that knows no more than etcd's.
func byNarrow(t translation, limit time.Duration) judgement {
	return search(t.model, t.narrow, limit)
}
