package fidelity

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// life is the trace of a pod: a read before each write, four status writes.
func life() []Request {
	const strategic = "application/strategic-merge-patch+json"
	status := func(fields ...string) Request {
		return pod(writeStatus, append([]string{"content type", strategic, "body.metadata.uid", "<uid>"}, fields...)...)
	}
	read := pod(readPod, "response", "200")
	return []Request{
		read, status("body.status.startTime", "<time>", "body.status.hostIP", "<address>"),
		read, status("body.status.phase", "Running", "body.status.podIP", "<address>"),
		read, status("body.status.observedGeneration", "2"),
		read, status("body.status.phase", "Succeeded", "body.status.reason", "Done"),
		read, pod("delete pods", "body.gracePeriodSeconds", "0"),
	}
}

func pod(key string, fields ...string) Request {
	r := Request{Subject: SubjectPod, Pod: "web", Key: key, Fields: map[string]string{}}
	for i := 0; i < len(fields); i += 2 {
		r.Fields[fields[i]] = fields[i+1]
	}
	return r
}

func TestCompareSeesEachDeviation(t *testing.T) {
	f := func(name string, deviate func([]Request) []Request, want ...string) {
		t.Helper()
		var got []string
		for _, d := range Compare(life(), deviate(life())) {
			got = append(got, d.String())
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	f("nothing", func(l []Request) []Request { return l })
	f("a status write and its read left out",
		func(l []Request) []Request { return append(l[:4:4], l[6:]...) },
		"get pods: hollow kubelet sent, simulated absent",
		"patch pods/status: hollow kubelet sent, simulated absent")
	f("a write too many",
		func(l []Request) []Request { return append(l, l[9]) },
		"delete pods: hollow kubelet absent, simulated sent")
	f("another patch type",
		func(l []Request) []Request { l[1].Fields["content type"] = "application/merge-patch+json"; return l },
		`patch pods/status: content type: hollow kubelet "application/strategic-merge-patch+json", simulated "application/merge-patch+json"`)
	f("a field left out",
		func(l []Request) []Request { delete(l[3].Fields, "body.status.podIP"); return l },
		`patch pods/status: body.status.podIP: hollow kubelet "<address>", simulated "absent"`)
	f("a field added",
		func(l []Request) []Request { l[9].Fields["body.orphan"] = "x"; return l },
		`delete pods: body.orphan: hollow kubelet "absent", simulated "x"`)
	f("an update for a patch",
		func(l []Request) []Request { l[5].Key = "update pods/status"; return l },
		"patch pods/status: hollow kubelet sent, simulated absent",
		"update pods/status: hollow kubelet absent, simulated sent")
	f("delete before the last status",
		func(l []Request) []Request { l[7], l[9] = l[9], l[7]; return l },
		"get pods: hollow kubelet absent, simulated sent",
		"delete pods: hollow kubelet absent, simulated sent",
		"get pods: hollow kubelet sent, simulated absent",
		"delete pods: hollow kubelet sent, simulated absent")
}

func TestSandboxWriteIsJoinedWithTheNext(t *testing.T) {
	const sandbox = "body.status.conditions[PodReadyToStartContainers]"
	first := pod(writeStatus, sandbox+".status", "False", "body.status.startTime", "<time>")
	split := []Request{
		pod(readPod), first,
		pod(readPod), pod(writeStatus, sandbox+".status", "True", sandbox+".reason", "null"),
		pod(readPod), pod(writeStatus, "body.status.phase", "Running"),
	}
	whole := []Request{
		pod(readPod), first,
		pod(readPod), pod(writeStatus, sandbox+".status", "True", sandbox+".reason", "null", "body.status.phase", "Running"),
	}
	if found := Compare(Of(split, SubjectPod, "web"), Of(whole, SubjectPod, "web")); len(found) > 0 {
		t.Errorf("a split start differs from a whole one: %v", found)
	}
	// Without the write after it, it stands for itself.
	if got := Of(split[:4], SubjectPod, "web"); len(got) != 4 {
		t.Errorf("%d requests of a start that ends with the sandbox, want 4", len(got))
	}
}

func TestOfSelectsAndCompacts(t *testing.T) {
	beat := Request{Subject: SubjectLease, Key: "update leases", Fields: map[string]string{}}
	late := Request{Subject: SubjectLease, Key: "update leases", Fields: map[string]string{"response": "409"}}
	all := append(life(), beat, beat, late, beat,
		Request{Subject: SubjectNode, Key: "patch nodes/status", Fields: map[string]string{"body": "{}"}},
		Request{Subject: SubjectNode, Key: "create nodes", Fields: map[string]string{"body": "{}"}},
		Request{Subject: SubjectWatch, Key: "watch pods"}, Request{Subject: SubjectWatch, Key: "watch nodes"})
	f := func(want string, subject Subject, pod string) {
		t.Helper()
		var keys []string
		for _, r := range Of(all, subject, pod) {
			keys = append(keys, r.Key)
		}
		if got := strings.Join(keys, ", "); got != want {
			t.Errorf("Of(%s, %q) = %q, want %q", subject, pod, got, want)
		}
	}
	f("update leases, update leases, update leases", SubjectLease, "")
	f("watch nodes, watch pods", SubjectWatch, "")
	f("create nodes", SubjectNode, "") // and not the patch without content
	f("", SubjectPod, "other")
	if got := Writes(Of(all, SubjectPod, "web")); got != 5 {
		t.Errorf("%d writes in a pod's life, want 5", got)
	}
}

func TestJudge(t *testing.T) {
	found := []Difference{
		{Request: "watch csidrivers", Hollow: sent, Sim: absent},
		{Request: "create nodes", Field: "body.status.capacity.cpu", Hollow: "1", Sim: "8"},
		{Request: "create nodes", Field: "body.metadata.name", Hollow: "<node>", Sim: "x"},
	}
	allowed := []Allowance{
		{Request: "watch csidrivers", Sim: absent},
		{Request: "create nodes", Field: "body.status.capacity.*"},
		{Request: "create *", Field: "body.metadata.name", Sim: "y"},
		{Request: "watch runtimeclasses", Sometimes: true},
	}
	forbidden, stale := Judge(found, allowed)
	if diff := cmp.Diff(found[2:], forbidden); diff != "" {
		t.Errorf("forbidden (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(allowed[2:3], stale); diff != "" {
		t.Errorf("stale (-want +got):\n%s", diff)
	}
}

func TestTable(t *testing.T) {
	got := Table([]Allowance{
		{Request: "watch *", Hollow: sent, Sim: absent, Reason: "Why."},
		{Request: "get x", Field: "accept", Sometimes: true, Reason: "A race."},
	})
	want := "| request | field | hollow kubelet | simulated | why |\n|---|---|---|---|---|\n" +
		"| `watch *` | (the request) | `sent` | `absent` | Why. |\n" +
		"| `get x` | `accept` | any | any | A race. Not in every run. |\n"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("table (-want +got):\n%s", diff)
	}
}

// An allowance for a field must not allow that the request is missing.
func TestFieldAllowanceDoesNotAllowAbsence(t *testing.T) {
	missing := []Difference{{Request: "create nodes", Hollow: sent, Sim: absent}}
	forbidden, _ := Judge(missing, []Allowance{{Request: "create nodes", Field: "body.*"}})
	if len(forbidden) != 1 {
		t.Error("an allowance for fields allowed the absence of the request")
	}
}

func BenchmarkCompare(b *testing.B) {
	hollow, sim := life(), life()
	sim[3].Fields["body.status.phase"] = "Pending"
	for b.Loop() {
		if found := Compare(hollow, sim); len(found) != 1 {
			b.Fatal(fmt.Sprint(found))
		}
	}
}
