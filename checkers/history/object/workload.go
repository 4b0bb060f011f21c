package object

import (
	"strconv"

	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/history/wire"
)

// workload has the field numbers in the status of a kind that has replicas.
// Their spec has replicas in field 1 and the selector in field 2; where they roll,
// it has the strategy in field 4, and in field 7 whether they are paused.
type workload struct {
	replicas, ready, observed int32
	available                 int32 // 0: it is not kept
	rolls                     bool
}

// rolloutAnnotation numbers the ReplicaSets of a Deployment.
// https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#checking-rollout-history-of-a-deployment
const rolloutAnnotation = "deployment.kubernetes.io/revision"

func readReplicaSet(v *history.Version, raw []byte) error {
	number, err := annotation(raw, rolloutAnnotation)
	if err != nil {
		return err
	}
	set(v, FieldRollout, number)
	return workload{replicas: 1, ready: 4, observed: 3, available: 5}.read(v, raw)
}

func (w workload) read(v *history.Version, raw []byte) error {
	f := wire.Walk(raw)
	for f.Next() {
		switch f.Number() {
		case 2:
			f.Nest(w.spec(v, f.Bytes()))
		case 3:
			f.Nest(w.status(v, f.Bytes()))
		}
	}
	return f.Err()
}

func (w workload) spec(v *history.Version, b []byte) error {
	f := wire.Walk(b)
	for f.Next() {
		switch f.Number() {
		case 1:
			set(v, "spec.replicas", strconv.Itoa(int(int32(f.Integer()))))
		case 2:
			selector, err := labelSelector(f.Bytes())
			f.Nest(err)
			set(v, FieldSelector, selector)
		case 4:
			if w.rolls {
				f.Nest(readStrategy(v, f.Bytes()))
			}
		case 7:
			if w.rolls && f.Integer() != 0 {
				set(v, FieldPaused, "true")
			}
		}
	}
	return f.Err()
}

func readStrategy(v *history.Version, b []byte) error {
	rolling, err := text(b, 2)
	if err != nil {
		return err
	}
	f := wire.Walk(rolling)
	for f.Next() {
		switch f.Number() {
		case 1:
			f.Nest(readShare(v, FieldMaxUnavailable, f.Bytes()))
		case 2:
			f.Nest(readShare(v, FieldMaxSurge, f.Bytes()))
		}
	}
	return f.Err()
}

// readShare takes a number or a percentage (IntOrString in
// k8s.io/apimachinery/pkg/util/intstr).
func readShare(v *history.Version, name string, b []byte) error {
	var isText uint64
	var number int32
	var share string
	f := wire.Walk(b)
	for f.Next() {
		switch f.Number() {
		case 1:
			isText = f.Integer()
		case 2:
			number = int32(f.Integer())
		case 3:
			share = string(f.Bytes())
		}
	}
	if isText == 0 {
		share = strconv.Itoa(int(number))
	}
	set(v, name, share)
	return f.Err()
}

func (w workload) status(v *history.Version, b []byte) error {
	f := wire.Walk(b)
	for f.Next() {
		switch f.Number() {
		case w.replicas:
			set(v, "status.replicas", strconv.Itoa(int(int32(f.Integer()))))
		case w.ready:
			set(v, "status.readyReplicas", strconv.Itoa(int(int32(f.Integer()))))
		case w.observed:
			set(v, "status.observedGeneration", strconv.FormatInt(int64(f.Integer()), 10))
		case w.available:
			set(v, FieldAvailable, strconv.Itoa(int(int32(f.Integer()))))
		}
	}
	return f.Err()
}

func readJob(v *history.Version, raw []byte) error {
	f := wire.Walk(raw)
	for f.Next() {
		switch f.Number() {
		case 2:
			f.Nest(readJobSpec(v, f.Bytes()))
		case 3:
			f.Nest(readJobStatus(v, f.Bytes()))
		}
	}
	return f.Err()
}

func readJobSpec(v *history.Version, b []byte) error {
	f := wire.Walk(b)
	for f.Next() {
		switch f.Number() {
		case 2:
			set(v, FieldCompletions, strconv.Itoa(int(int32(f.Integer()))))
		case 9:
			if string(f.Bytes()) == "Indexed" {
				set(v, FieldIndexed, "true")
			}
		case 15:
			set(v, FieldManagedBy, string(f.Bytes()))
		case 16:
			f.Bytes()
			set(v, FieldSuccessPolicy, "true")
		}
	}
	return f.Err()
}

func readJobStatus(v *history.Version, b []byte) error {
	f := wire.Walk(b)
	for f.Next() {
		switch f.Number() {
		case 1:
			typ, status, err := entry(f.Bytes())
			f.Nest(err)
			if string(typ) == "Complete" && string(status) == "True" {
				set(v, FieldComplete, "True")
			}
		case 5:
			set(v, FieldSucceeded, strconv.Itoa(int(int32(f.Integer()))))
		}
	}
	return f.Err()
}
