package writes

import (
	"slices"
	"strconv"
	"testing"

	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/checkers/history"
)

// lie changes one thing in a history so that a guarantee is broken, and says
// whether it found something to change.
type lie struct {
	guarantee, name string
	tell            func(s *sim) bool
}

// pick returns a random one of those that ok accepts, nil if there is none.
func pick[T any](s *sim, list []*T, ok func(*T) bool) *T {
	list = slices.DeleteFunc(slices.Clone(list), func(v *T) bool { return !ok(v) })
	if len(list) == 0 {
		return nil
	}
	return list[s.r.IntN(len(list))]
}

// version returns the version of a key with a revision.
func (s *sim) version(rev int64) *history.Version {
	for _, v := range s.versions {
		if v.Revision == rev {
			return v
		}
	}
	return nil
}

// after returns the versions of a key from a revision on, to the end of a life.
func (s *sim) after(v *history.Version) []*history.Version {
	var list []*history.Version
	for _, w := range s.past[v.Key] {
		if w.Delete && w.Revision > v.Revision {
			break
		}
		if w.Revision >= v.Revision {
			list = append(list, w)
		}
	}
	return list
}

func (s *sim) before(v *history.Version) *history.Version {
	i := slices.Index(s.past[v.Key], v)
	if i <= 0 {
		return nil
	}
	return s.past[v.Key][i-1]
}

// moments returns the call and the answer of the transaction of a revision, 0
// where it has none.
func (s *sim) moments(rev int64) (called, returned history.Time) {
	for _, op := range s.ops {
		if op.Header == rev && len(op.Then) > 0 {
			return op.Called, op.Returned
		}
	}
	return 0, 0
}

// quiet returns a version that ok accepts, and a moment of a long time in which
// it was the current one and nothing was about to change it.
func (s *sim) quiet(ok func(*history.Version) bool) (*history.Version, history.Time) {
	v := pick(s, s.versions, func(v *history.Version) bool {
		return v.Resource != "namespaces" && ok(v) && s.lull(v) != 0
	})
	if v == nil {
		return nil, 0
	}
	return v, s.lull(v)
}

// lull returns a moment between the answer to the transaction of a version and
// the call of that of the next one of its key; 0: there is none.
func (s *sim) lull(v *history.Version) history.Time {
	last, end := s.rev, s.now
	if i := slices.Index(s.past[v.Key], v); i+1 < len(s.past[v.Key]) {
		last = s.past[v.Key][i+1].Revision
		end, _ = s.moments(last)
	}
	// What surely came after it is the revision after it, if that was answered.
	_, begin := s.moments(v.Revision + 1)
	for rev := v.Revision + 2; rev < last && begin != 0; rev++ {
		if called, _ := s.moments(rev); called > begin && called < end-2 {
			return called
		}
	}
	return 0
}

// insert adds a call on the key of a version that takes no time.
func (s *sim) insert(verb string, v *history.Version, at history.Time, status int32, reason string) *history.APICall {
	s.ids++
	call := &history.APICall{
		ID: s.ids, Class: history.ClassWorkload, Identity: "liar", Called: at, Returned: at, Verb: verb,
		Group: v.Group, Resource: v.Resource, Namespace: v.Namespace, Name: v.Name, Status: status, Reason: reason,
	}
	if reason != "" {
		call.DetailsKind, call.DetailsName = v.Resource, v.Name
	}
	s.calls = append(s.calls, call)
	return call
}

func alive(v *history.Version) bool   { return !v.Delete && !v.Deleting }
func removed(v *history.Version) bool { return v.Delete }

// success returns a call that made the version that it answered with, and whose
// mark no other call sets.
func (s *sim) success(ok func(*history.APICall, *history.Version) bool) (*history.APICall, *history.Version) {
	call := pick(s, s.calls, func(c *history.APICall) bool {
		v := s.version(c.Object.Version)
		return c.Status/100 == 2 && !c.DryRun && c.Verb != "delete" && c.Object.UID != "" && v != nil && !v.Delete &&
			len(c.Sets) > 0 && slices.Contains(v.Marks, c.Sets[0]) &&
			(s.before(v) == nil || !slices.Contains(s.before(v).Marks, c.Sets[0])) && ok(c, v) &&
			!slices.ContainsFunc(s.calls, func(o *history.APICall) bool { return o != c && slices.Contains(o.Sets, c.Sets[0]) })
	})
	if call == nil {
		return nil, nil
	}
	return call, s.version(call.Object.Version)
}

// ambiguous says whether a call without a version may have removed a mark too.
func (s *sim) ambiguous(key, mark string) bool {
	return slices.ContainsFunc(s.calls, func(c *history.APICall) bool {
		return unknown(c) && s.key(c) == key && slices.Contains(c.Removes, mark)
	})
}

func any2(*history.APICall, *history.Version) bool { return true }

func number(v *history.Version) string { return strconv.FormatInt(v.Revision, 10) }

func TestLies(t *testing.T) {
	for _, l := range lies {
		t.Run(l.guarantee+"/"+l.name, func(t *testing.T) {
			told, caught := 0, 0
			for seed := range uint64(15) {
				s := simulate(1000+seed, 500)
				if !l.tell(s) {
					continue
				}
				told++
				if v := s.judge(noFloors)[l.guarantee]; v.Outcome == checkers.Fail {
					caught++
				}
			}
			t.Logf("%d of %d caught", caught, told)
			if told < 5 || caught < told {
				t.Errorf("%d told, %d caught", told, caught)
			}
		})
	}
}
