package fidelity

import (
	"maps"
	"slices"
	"strings"
)

// Of returns the requests about one subject, and of SubjectPod about one pod,
// in order; immediate repetitions count once, because how often a node polls or
// heartbeats is a matter of time. Lists and watches come sorted: they are
// started side by side.
func Of(requests []Request, subject Subject, pod string) []Request {
	var trace []Request
	for _, r := range requests {
		if r.Subject == subject && (subject != SubjectPod || r.Pod == pod) && !changesNothing(r) {
			trace = append(trace, r)
		}
	}
	if subject == SubjectWatch {
		slices.SortStableFunc(trace, func(a, b Request) int { return strings.Compare(a.Key, b.Key) })
	}
	if subject == SubjectPod {
		trace = joinSandboxWrites(trace)
	}
	return slices.CompactFunc(trace, same)
}

// changesNothing says whether the request is a patch without content: the
// kubelet sends one when its first status report overtakes its registration,
// which is a race.
func changesNothing(r Request) bool {
	return strings.HasPrefix(r.Key, "patch ") && r.Fields["body"] == "{}"
}

func same(a, b Request) bool {
	return a.Key == b.Key && maps.Equal(a.Fields, b.Fields)
}

const (
	readPod     = "get pods"
	writeStatus = "patch pods/status"
)

// joinSandboxWrites joins a status write that reports nothing but the sandbox
// with the one after it. The kubelet's status manager sends the latest status
// it was told (syncBatch and syncPod in pkg/kubelet/status/status_manager.go),
// so whether "the sandbox is there" and "the containers run" are one write or
// two is a race inside the kubelet.
func joinSandboxWrites(trace []Request) []Request {
	var joined []Request
	for i := 0; i < len(trace); i++ {
		r := trace[i]
		next := i + 1
		if next < len(trace) && trace[next].Key == readPod {
			next++ // each write is preceded by a read
		}
		if len(joined) > 0 && next < len(trace) && sandboxOnly(r) && trace[next].Key == writeStatus {
			merged := maps.Clone(r.Fields)
			maps.Copy(merged, trace[next].Fields)
			r.Fields, i = merged, next
		}
		joined = append(joined, r)
	}
	return joined
}

func sandboxOnly(r Request) bool {
	if r.Key != writeStatus || r.Fields["body.status.conditions[PodReadyToStartContainers].status"] != "True" {
		return false
	}
	for field := range r.Fields {
		path, ok := strings.CutPrefix(field, "body.status.")
		if ok && !strings.HasPrefix(path, "$setElementOrder") &&
			!strings.HasPrefix(path, "conditions[PodReadyToStartContainers]") {
			return false
		}
	}
	return true
}

// Writes counts the requests that change something.
func Writes(trace []Request) int {
	n := 0
	for _, r := range trace {
		if verb, _, _ := strings.Cut(r.Key, " "); verb != "get" && verb != "list" && verb != "watch" {
			n++
		}
	}
	return n
}
