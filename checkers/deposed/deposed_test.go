package deposed

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/planecheck/planecheck/checkers"
)

const prefix = "instance:"

// story writes audit logs; its times are in milliseconds.
type story struct {
	t     *testing.T
	began time.Time
	lines map[string][]string // by server
	next  int
}

func newStory(t *testing.T) *story {
	s := &story{t: t, began: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), lines: map[string][]string{"0": nil, "1": nil}}
	for i := range 2 * floor {
		s.binds(i, "kube-scheduler-0", 201)
	}
	return s
}

func (s *story) at(ms int) time.Time { return s.began.Add(time.Duration(ms) * time.Millisecond) }

type fields map[string]any

// add adds what a server says of a request that took 4 ms.
func (s *story) add(ms, code int, verb string, user, ref fields, more fields) {
	s.t.Helper()
	e := fields{
		"kind": "Event", "level": "Metadata", "stage": "ResponseComplete", "verb": verb, "user": user, "objectRef": ref,
		"responseStatus":           fields{"code": code},
		"requestReceivedTimestamp": s.at(ms).Format("2006-01-02T15:04:05.000000Z07:00"),
		"stageTimestamp":           s.at(ms + 4).Format("2006-01-02T15:04:05.000000Z07:00"),
	}
	for k, v := range more {
		e[k] = v
	}
	b, err := json.Marshal(e)
	if err != nil {
		s.t.Fatal(err)
	}
	server := fmt.Sprint(s.next % 2)
	s.next++
	s.lines[server] = append(s.lines[server], string(b))
}

func who(instance string) fields {
	return fields{"username": "system:" + kind(instance), "groups": []string{prefix + instance, "system:authenticated"}}
}

func (s *story) binds(ms int, instance string, code int) {
	s.add(ms, code, "create", who(instance), fields{"resource": "pods", "subresource": "binding", "namespace": "d", "name": fmt.Sprint("p", ms)}, nil)
}

// leads writes the Lease as a term has it that was acquired at a time.
func (s *story) leads(ms int, instance string, acquired, code int) {
	s.add(ms, code, "update", who(instance), fields{
		"apiGroup": "coordination.k8s.io", "resource": "leases", "namespace": "kube-system", "name": kind(instance),
	}, fields{"requestObject": fields{"spec": fields{
		"holderIdentity": instance + "_uuid", "acquireTime": s.at(acquired).Format(time.RFC3339Nano),
		"leaseTransitions": 1, "leaseDurationSeconds": 6,
	}}})
}

func (s *story) judge() checkers.Verdict {
	s.t.Helper()
	return Judge(Options{Logs: s.files(), Prefix: prefix})
}

func (s *story) files() (paths []string) {
	s.t.Helper()
	for server, lines := range s.lines {
		path := filepath.Join(s.t.TempDir(), server)
		if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
			s.t.Fatal(err)
		}
		paths = append(paths, path)
	}
	return paths
}

func (s *story) want(outcome checkers.Outcome, said ...string) {
	s.t.Helper()
	v := s.judge()
	text := v.Checked + "\n" + v.Detail
	if v.Outcome != outcome {
		s.t.Errorf("%s, want %s: %s", v.Outcome, outcome, text)
	}
	for _, want := range said {
		if !strings.Contains(text, want) {
			s.t.Errorf("%q is not said: %s", want, text)
		}
	}
}

// deposed is the story of a scheduler that stands still from 2 s to 12 s, while
// another takes its Lease at 10 s.
func deposed(t *testing.T) *story {
	s := newStory(t)
	s.leads(0, "kube-scheduler-0", 0, 200)
	s.leads(1000, "kube-scheduler-0", 0, 200)
	s.leads(10000, "kube-scheduler-1", 9999, 200)
	s.binds(10500, "kube-scheduler-1", 201)
	return s
}

func TestNobodyDeposed(t *testing.T) {
	s := newStory(t)
	s.leads(0, "kube-scheduler-0", 0, 200)
	s.want(checkers.NotExercised, "200 writes", "0 leaders deposed")
}

func TestGivesUp(t *testing.T) {
	s := deposed(t)
	s.want(checkers.Pass, "1 leaders deposed", "takeover: 0")
	s.binds(10003, "kube-scheduler-0", 201) // before the takeover was answered
	s.want(checkers.Pass, "takeover: 0")
	s.binds(12000, "kube-scheduler-0", 409) // refused
	s.want(checkers.Pass, "takeover: 0")
	s.binds(12010, "kube-scheduler-0", 201)
	s.leads(12020, "kube-scheduler-0", 0, 409)
	s.binds(24000, "kube-scheduler-0", 201) // 12 s after its first request
	s.want(checkers.Pass, "takeover: 2 (2 create pods/binding; the first by kube-scheduler-0 2.006s after it, the last of all 13.996s), and 1 refused")
}

func TestGoesOn(t *testing.T) {
	s := deposed(t)
	s.leads(12000, "kube-scheduler-0", 0, 409)
	s.binds(24001, "kube-scheduler-0", 201)
	s.want(checkers.Fail, "kube-scheduler-0 was deposed by kube-scheduler-1", "1 writes later than 12s", "create pods/binding d/p24001", `holder "kube-scheduler-1_uuid"`)
}

// A renewal of the old term by one that nothing fences off is no new term.
func TestUnfenced(t *testing.T) {
	for _, busy := range []bool{true, false} {
		s := deposed(t)
		for ms := 12000; ms < 40000; ms += 2000 {
			s.leads(ms, "kube-scheduler-0", 0, 200)
			s.leads(ms+1000, "kube-scheduler-1", 9999, 200)
			if busy {
				s.binds(ms+1500, "kube-scheduler-0", 201)
			}
		}
		takeover := "takeover: 0"
		if busy {
			takeover = "takeover: 14"
		}
		s.want(checkers.Fail, "1 leaders deposed", takeover, "writes later than 12s")
	}
}

// Who is elected again may act, from the time that it says itself: the server that
// let it have the Lease may not have lived to log it.
func TestElectedAgain(t *testing.T) {
	s := deposed(t)
	s.leads(12000, "kube-scheduler-0", 0, 409)
	s.binds(50010, "kube-scheduler-0", 201)
	s.leads(52000, "kube-scheduler-0", 50000, 200)
	s.want(checkers.Pass, "2 leaders deposed", "takeover: 0")
}

// The controllers of a manager write under other names, with tokens that it had made.
func TestServiceAccounts(t *testing.T) {
	s := newStory(t)
	m0, m1 := "kube-controller-manager-0", "kube-controller-manager-1"
	s.leads(0, m0, 0, 200)
	s.add(100, 201, "create", who(m0), fields{"resource": "serviceaccounts", "subresource": "token", "namespace": "kube-system", "name": "rs"},
		fields{"annotations": fields{issuedID: "JTI=a"}})
	s.leads(10000, m1, 9999, 200)
	creates := func(ms int, token string) {
		s.add(ms, 201, "create", fields{"username": "system:serviceaccount:kube-system:rs", "extra": fields{credentialID: []string{token}}},
			fields{"resource": "pods", "namespace": "d"}, nil)
	}
	creates(12000, "JTI=a")
	creates(30000, "JTI=b") // of nobody known
	s.want(checkers.Pass, "1 of which nobody knows", "takeover: 1 (1 create pods; the first by kube-controller-manager-0 1.996s after it")
	creates(30000, "JTI=a")
	s.want(checkers.Fail, m0+" was deposed by "+m1)
}

// What changes nothing is no act: events, reviews, and who else writes.
func TestNoActs(t *testing.T) {
	s := deposed(t)
	for _, ms := range []int{12000, 40000} {
		s.add(ms, 201, "create", who("kube-scheduler-0"), fields{"resource": "events", "namespace": "d"}, nil)
		s.add(ms, 201, "create", who("kube-scheduler-0"), fields{"apiGroup": "authorization.k8s.io", "resource": "subjectaccessreviews"}, nil)
		s.add(ms, 200, "get", who("kube-scheduler-0"), fields{"resource": "pods"}, nil)
		s.add(ms, 201, "create", fields{"username": "someone"}, fields{"resource": "pods"}, nil)
	}
	s.want(checkers.Pass, "201 writes", "0 of which", "takeover: 0")
}

// A log that says too little proves nothing.
func TestTooLittle(t *testing.T) {
	v := Judge(Options{Logs: []string{filepath.Join(t.TempDir(), "none")}})
	if v.Outcome != checkers.Invalid {
		t.Errorf("without a log: %v", v)
	}
	if v := Judge(Options{}); v.Outcome != checkers.Invalid {
		t.Errorf("without logs: %v", v)
	}
	s := deposed(t)
	s.lines["0"] = s.lines["0"][len(s.lines["0"])-1:]
	s.lines["1"] = append(s.lines["1"][len(s.lines["1"])-2:], `{"stage":"Respon`)
	s.want(checkers.Invalid, "the floor is 100", "1 lines that could not be read")
}
