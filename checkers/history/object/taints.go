package object

import (
	"slices"
	"strconv"
	"strings"

	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/history/wire"
)

// The taints that matter: of a node that is cordoned, and of one that failed.
// https://kubernetes.io/docs/reference/labels-annotations-taints/
const (
	unschedulableTaint = "node.kubernetes.io/unschedulable"
	NotReadyTaint      = "node.kubernetes.io/not-ready"
	UnreachableTaint   = "node.kubernetes.io/unreachable"
)

// What FieldStaysNotReady and FieldStaysUnreachable say besides seconds.
const (
	Forever  = "forever"
	NotAtAll = "no"
)

// stays is how long a pod stays on a node that failed. The first toleration that
// fits a taint is the one that counts (GetMatchingTolerations in
// k8s.io/kubernetes/pkg/apis/core/v1/helper).
type stays struct{ notReady, unreachable string }

func (s *stays) set(v *history.Version) {
	for _, f := range [...]struct{ name, value string }{{FieldStaysNotReady, s.notReady}, {FieldStaysUnreachable, s.unreachable}} {
		if f.value == "" {
			f.value = NotAtAll
		}
		set(v, f.name, f.value)
	}
}

// toleration looks which taints a toleration lets the pod bear.
func (s *stays) toleration(v *history.Version, b []byte) error {
	var t toleration
	if err := t.read(b); err != nil {
		return err
	}
	if t.bears(unschedulableTaint, "NoSchedule") && v.Field(FieldTolerates) == "" {
		set(v, FieldTolerates, "True")
	}
	if s.notReady == "" && t.bears(NotReadyTaint, "NoExecute") {
		s.notReady = t.seconds
	}
	if s.unreachable == "" && t.bears(UnreachableTaint, "NoExecute") {
		s.unreachable = t.seconds
	}
	return nil
}

type toleration struct {
	key, operator, value, effect []byte
	seconds                      string
}

func (t *toleration) read(b []byte) error {
	t.seconds = Forever
	f := wire.Walk(b)
	for f.Next() {
		switch f.Number() {
		case 1:
			t.key = f.Bytes()
		case 2:
			t.operator = f.Bytes()
		case 3:
			t.value = f.Bytes()
		case 4:
			t.effect = f.Bytes()
		case 5:
			t.seconds = strconv.FormatInt(max(0, int64(f.Integer())), 10)
		}
	}
	return f.Err()
}

// bears says whether it fits a taint that has no value, by the rules of
// Toleration.ToleratesTaint in k8s.io/api/core/v1.
func (t *toleration) bears(taint, effect string) bool {
	named := len(t.key) == 0 || string(t.key) == taint
	here := len(t.effect) == 0 || string(t.effect) == effect
	equal := string(t.operator) == "Exists" || len(t.value) == 0 && (len(t.operator) == 0 || string(t.operator) == "Equal")
	return named && here && equal
}

// readDisruption takes the reason of the condition DisruptionTarget.
func readDisruption(v *history.Version, b []byte) error {
	typ, status, err := entry(b)
	if err != nil || string(typ) != "DisruptionTarget" || string(status) != "True" {
		return err
	}
	return readText(v, FieldDisruption, b, 5)
}

// readTaints takes the taints of a NodeSpec that evict pods.
func readTaints(v *history.Version, spec []byte) error {
	var keys []string
	f := wire.Walk(spec)
	for f.Next() {
		if f.Number() != 5 {
			continue
		}
		effect, err := text(f.Bytes(), 3)
		f.Nest(err)
		if string(effect) == "NoExecute" {
			key, err := text(f.Bytes(), 1)
			f.Nest(err)
			keys = append(keys, string(key))
		}
	}
	slices.Sort(keys)
	set(v, FieldNoExecute, strings.Join(keys, ","))
	return f.Err()
}
