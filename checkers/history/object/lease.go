package object

import (
	"strconv"

	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/history/wire"
)

// heartbeats is the namespace of the nodes' Leases, of which there are far more
// versions than of all others together, and of which the holder says all.
const heartbeats = "kube-node-lease"

// readLease reads the terms of a Lease only where it elects a leader, which is
// what counting transitions says: else each renewal would be kept whole in the
// version table.
func readLease(v *history.Version, raw []byte) error {
	if v.Namespace == heartbeats {
		return readText(v, "spec.holderIdentity", raw, 2, 1)
	}
	spec, err := text(raw, 2)
	if err != nil {
		return err
	}
	var elects bool
	var transitions, duration, acquired, renewed, strategy string
	f := wire.Walk(spec)
	for f.Next() {
		switch f.Number() {
		case 1:
			set(v, "spec.holderIdentity", string(f.Bytes()))
		case 2:
			duration = strconv.Itoa(int(int32(f.Integer())))
		case 3:
			acquired, err = micros(f.Bytes())
			f.Nest(err)
		case 4:
			renewed, err = micros(f.Bytes())
			f.Nest(err)
		case 5:
			elects, transitions = true, strconv.Itoa(int(int32(f.Integer())))
		case 6:
			strategy = string(f.Bytes())
		}
	}
	if elects {
		set(v, FieldTransitions, transitions)
		set(v, FieldLeaseDuration, duration)
		set(v, FieldAcquired, acquired)
		set(v, FieldRenewed, renewed)
		set(v, FieldStrategy, strategy)
	}
	return f.Err()
}

// micros reads a metav1.MicroTime, which has no more than microseconds.
func micros(b []byte) (string, error) {
	var seconds, nanos int64
	f := wire.Walk(b)
	for f.Next() {
		switch f.Number() {
		case 1:
			seconds = int64(f.Integer())
		case 2:
			nanos = int64(int32(f.Integer()))
		}
	}
	return strconv.FormatInt(seconds*1e6+nanos/1e3, 10), f.Err()
}
