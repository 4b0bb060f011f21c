package writes

import (
	"cmp"
	"container/heap"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"

	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/checkers/api/window"
	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/versions"
)

// story is a history of both sides, made up or tampered with.
type story struct {
	calls    []*history.APICall
	opaque   []*history.APICall // handed over as such
	watches  []*history.APIWatch
	versions []*history.Version
	ops      []*history.StoreOp
	calm     history.Time // 0: never
	struck   history.Time // Options.Struck
	from     int64        // Options.From
	// undeclared is Options.Undeclared.
	undeclared bool
}

// judge runs the checker over a story and returns its verdicts by guarantee.
func (s *story) judge(floors Floors) map[string]checkers.Verdict {
	table, b := versions.New(), window.New()
	events := &history.StoreWatch{}
	for _, v := range s.versions {
		table.Add(v)
		events.Events = append(events.Events, history.StoreEvent{KV: history.StoreKV{Key: v.Key, Mod: v.Revision}})
	}
	for _, op := range s.ops {
		b.StoreOp(op)
	}
	b.StoreWatch(events)
	c := New(Options{Versions: table, Window: b.Window(), Floors: floors, Calm: s.calm, Struck: s.struck, From: s.from, Undeclared: s.undeclared})
	slices.SortStableFunc(s.calls, func(a, b *history.APICall) int { return cmp.Compare(a.Returned, b.Returned) })
	for _, call := range s.calls {
		c.Call(call)
	}
	for _, call := range s.opaque {
		unread := *call
		unread.Opaque = true
		c.Call(&unread)
	}
	for _, w := range s.watches {
		c.Watch(w)
	}
	verdicts := map[string]checkers.Verdict{}
	for _, v := range c.Finish() {
		verdicts[v.Guarantee] = v
	}
	return verdicts
}

// noFloors lets small histories pass.
var noFloors = Floors{-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1}

// sim is a versioned store with API servers and concurrent writers in front of
// it, in simulated time: each write takes effect at moments between its call and
// its return, or after that if the client gives up.
type sim struct {
	story
	r     *rand.Rand
	queue events
	rev   int64
	now   history.Time
	live  map[string]*history.Version
	past  map[string][]*history.Version // what a key was; nil: absent
	uids  int
	ids   uint64
}

// event is something that happens at a moment of simulated time.
type event struct {
	at history.Time
	do func()
}

type events []event

func (q events) Len() int           { return len(q) }
func (q events) Less(i, j int) bool { return q[i].at < q[j].at }
func (q events) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }
func (q *events) Push(e any)        { *q = append(*q, e.(event)) }
func (q *events) Pop() any {
	last := len(*q) - 1
	e := (*q)[last]
	*q = (*q)[:last]
	return e
}

func (s *sim) at(t history.Time, do func()) { heap.Push(&s.queue, event{t, do}) }

// resources of the simulation: PUT creates Leases, Pods are deleted gracefully.
var simResources = []struct{ group, resource string }{
	{"", "configmaps"}, {"", "pods"}, {"coordination.k8s.io", "leases"}, {"example.com", "widgets"},
}

const simClients = 6

// simulate makes a history of a number of requests that a correct server may
// have left behind.
func simulate(seed uint64, requests int) *sim {
	s := &sim{
		r: rand.New(rand.NewPCG(seed, 7)), rev: 1, now: 1000,
		live: map[string]*history.Version{}, past: map[string][]*history.Version{},
	}
	ns := &history.Version{Resource: "namespaces", Name: "ns", Key: "/registry/namespaces/ns", UID: "ns-uid"}
	s.at(10, func() { s.commit(ns, 10) })
	for i := range requests {
		s.at(history.Time(100+i*20+s.r.IntN(40)), s.request)
	}
	for len(s.queue) > 0 {
		e := heap.Pop(&s.queue).(event)
		s.now = max(s.now, e.at)
		s.now++ // moments are distinct
		e.do()
	}
	return s
}

// commit makes a version the current one of its key, as a transaction that was
// called a little before and answered a little after.
func (s *sim) commit(v *history.Version, slack history.Time) *history.Version {
	s.rev++
	v.Revision = s.rev
	s.versions = append(s.versions, v)
	s.past[v.Key] = append(s.past[v.Key], v)
	s.live[v.Key] = v
	if v.Delete {
		s.live[v.Key] = nil
	}
	if s.chance(2) {
		return v // the store's answer was lost: only its watch tells
	}
	s.ops = append(s.ops, &history.StoreOp{
		Method: history.MethodTxn, Called: s.now - slack, Returned: s.now + slack, Header: s.rev, Succeeded: true,
		Then:    []history.StoreAction{{Kind: history.ActionPut, Key: v.Key}},
		Results: []history.StoreResult{{}},
	})
	return v
}

func (s *sim) chance(percent int) bool { return s.r.IntN(100) < percent }

// request starts one request of a random client on one of few objects.
func (s *sim) request() {
	res := simResources[s.r.IntN(len(simResources))]
	client := s.r.IntN(simClients)
	s.ids++
	call := &history.APICall{
		ID: s.ids, Class: history.ClassWorkload, Identity: fmt.Sprintf("client-%d", client), Server: "apiserver-0",
		Called: s.now, Group: res.group, Version: "v1", Resource: res.resource, Namespace: "ns",
		Name: "o" + strconv.Itoa(s.r.IntN(3)), DryRun: s.chance(8),
	}
	s.calls = append(s.calls, call)
	s.ask(call, client)
	applied, returned := s.now+history.Time(s.r.IntN(100)+10), s.now+history.Time(s.r.IntN(150)+20)
	lost := s.chance(6) // the client gives up, or hears of a failure
	if !lost {
		returned = max(returned, applied+10)
	}
	s.at(applied, func() { s.apply(call, lost) })
	s.at(returned, func() {
		if lost {
			call.Status, call.Reason = 0, ""
			if s.chance(50) {
				call.Status, call.Reason = 504, "Timeout"
			}
		}
		call.Returned = s.now
	})
}

// ask makes up what the client asks for.
func (s *sim) ask(call *history.APICall, client int) {
	switch n := s.r.IntN(100); {
	case n < 20:
		call.Verb = "create"
		if s.chance(15) {
			call.GenerateName, call.Name = true, ""
		}
	case n < 50:
		call.Verb = "update"
	case n < 78:
		call.Verb, call.ContentType = "patch", "application/merge-patch+json"
		if s.chance(30) {
			call.ContentType, call.FieldManager = "application/apply-patch+yaml", call.Identity
		}
	case n < 94:
		call.Verb = "delete"
	case n < 95:
		call.Verb, call.Name = "deletecollection", ""
		return
	default:
		s.misuse(call)
		return
	}
	if call.Verb != "delete" {
		s.declare(call, client)
	}
	past := s.past[s.key(call)]
	if call.Verb == "create" || len(past) == 0 || s.chance(40) {
		return
	}
	seen := past[max(0, len(past)-1-s.r.IntN(3))] // what the client has read, perhaps long ago
	if seen.Delete {
		return
	}
	if s.chance(80) {
		call.NeedVersion = strconv.FormatInt(seen.Revision, 10)
	}
	if s.chance(40) {
		call.NeedUID = seen.UID
	}
}

// declare gives a write marks of its client: a new value, the one that is there,
// or none any more.
func (s *sim) declare(call *history.APICall, client int) {
	name := fmt.Sprintf("c%d.%d", client, s.r.IntN(2))
	call.Declared = true
	live := s.live[s.key(call)]
	switch n := s.r.IntN(10); {
	case n < 1 && live != nil && len(live.Marks) > 0 && call.Verb == "patch":
		call.Sets = []history.Pair{live.Marks[0]}
	case n < 3 && call.Verb != "create":
		call.Removes = []string{name}
	default:
		call.Sets = []history.Pair{{Name: name, Value: strconv.FormatUint(call.ID, 10)}}
	}
}

// misuse makes a call with options that exclude each other.
func (s *sim) misuse(call *history.APICall) {
	call.Verb, call.Name, call.DryRun, call.Status, call.Reason = "list", "", false, 422, "Invalid"
	switch s.r.IntN(4) {
	case 0:
		call.Match = "Exact"
	case 1:
		call.Match, call.ResourceVersion = "Exact", "0"
	case 2:
		call.Continue, call.ResourceVersion = 7, "5"
		call.Status, call.Reason = 400, "BadRequest"
	case 3:
		call.Verb, call.InitialEvents = "watch", "true"
	}
}

func (s *sim) key(call *history.APICall) string {
	return "/registry/" + call.Resource + "/" + call.Namespace + "/" + call.Name
}

// read is a transaction that changed nothing.
func (s *sim) read() {
	s.ops = append(s.ops, &history.StoreOp{
		Method: history.MethodTxn, Called: s.now - 1, Returned: s.now + 1, Header: s.rev,
		Results: []history.StoreResult{{}},
	})
}

// finish sets an answer, unless the client hears of none.
func (s *sim) finish(call *history.APICall, status int32, reason string, v *history.Version) {
	call.Status, call.Reason = status, reason
	if reason != "" {
		call.DetailsKind, call.DetailsName = call.Resource, call.Name
	}
	if v != nil {
		call.Object = versions.Object(v)
	}
}
