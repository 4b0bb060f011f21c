package writes

import (
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/planecheck/planecheck/checkers/history"
)

// apply is the moment at which a request takes effect.
func (s *sim) apply(call *history.APICall, lost bool) {
	defer func() {
		if lost {
			call.Status, call.Reason, call.Object, call.DetailsUID = 0, "", history.APIObject{}, ""
		}
	}()
	if call.Status != 0 {
		return // misuse
	}
	if s.chance(2) {
		s.finish(call, 429, "TooManyRequests", nil)
		return
	}
	s.read()
	live := s.live[s.key(call)]
	switch call.Verb {
	case "create":
		if live != nil {
			s.finish(call, 409, "AlreadyExists", nil)
			return
		}
		s.create(call)
	case "delete":
		s.delete(call, live)
	case "deletecollection":
		s.deleteAll(call)
	default:
		s.update(call, live)
	}
}

func (s *sim) create(call *history.APICall) {
	s.uids++
	named := *call
	if call.GenerateName {
		named.Name = fmt.Sprintf("g%d", call.ID)
	}
	v := &history.Version{
		Key: s.key(&named), Group: call.Group, Resource: call.Resource, Namespace: call.Namespace, Name: named.Name,
		UID: fmt.Sprintf("uid-%d", s.uids), Created: int64(s.now), Generation: 1, Marks: slices.Clone(call.Sets),
	}
	if s.chance(30) {
		v.Finalizers = []string{"example.com/wait"}
	}
	if !call.DryRun {
		s.commit(v, 1)
	}
	s.finish(call, 201, "", v)
}

// mismatch says whether an object is not what a request needs.
func mismatch(call *history.APICall, v *history.Version) bool {
	return call.NeedUID != "" && v.UID != call.NeedUID ||
		call.NeedVersion != "" && strconv.FormatInt(v.Revision, 10) != call.NeedVersion
}

func (s *sim) update(call *history.APICall, live *history.Version) {
	switch {
	case live == nil && creates(call) && call.NeedUID == "":
		s.create(call)
		return
	case live == nil && creates(call):
		s.finish(call, 409, "Conflict", nil)
		return
	case live == nil:
		s.finish(call, 404, "NotFound", nil)
		return
	case mismatch(call, live):
		s.finish(call, 409, "Conflict", nil)
		return
	}
	v := live.Clone()
	for _, name := range call.Removes {
		v.Marks = slices.DeleteFunc(v.Marks, func(p history.Pair) bool { return p.Name == name })
	}
	for _, p := range call.Sets {
		v.Marks = slices.DeleteFunc(v.Marks, func(q history.Pair) bool { return p.Name == q.Name })
		v.Marks = append(v.Marks, p)
	}
	released := v.Deleting && len(v.Finalizers) > 0 && s.chance(50)
	if released {
		v.Finalizers = nil
	} else if s.chance(20) {
		v.Generation++
	}
	switch {
	case call.DryRun:
	case released && v.Grace == 0:
		s.remove(live)
		v.Revision = live.Revision // never stored
	case slices.Equal(v.Marks, live.Marks) && v.Generation == live.Generation && !released:
		v = live
	default:
		v.Content = s.r.Uint64()
		s.commit(v, 1)
	}
	s.finish(call, 200, "", v)
}

func (s *sim) remove(live *history.Version) *history.Version {
	return s.commit(&history.Version{
		Key: live.Key, Group: live.Group, Resource: live.Resource, Namespace: live.Namespace, Name: live.Name, Delete: true,
	}, 1)
}

// delete sets the deletionTimestamp, or removes, or does one after the other.
func (s *sim) delete(call *history.APICall, live *history.Version) {
	switch {
	case live == nil:
		s.finish(call, 404, "NotFound", nil)
		return
	case mismatch(call, live):
		s.finish(call, 409, "Conflict", nil)
		return
	case live.Deleting && (live.Grace > 0 || len(live.Finalizers) > 0):
		s.finish(call, 200, "", live)
		return
	}
	if call.DryRun {
		s.finish(call, 200, "", nil)
		call.DetailsUID = live.UID
		return
	}
	graceful := live.Resource == "pods" && s.chance(50) && !live.Deleting
	if graceful || len(live.Finalizers) > 0 {
		v := live.Clone()
		v.Deleting, v.Generation = true, v.Generation+1
		if graceful {
			v.Grace = 30
			// The kubelet removes it later, whatever has become of it.
			s.at(s.now+history.Time(s.r.IntN(300)+100), func() { s.kill(live.Key, live.UID) })
		}
		s.finish(call, 200, "", s.commit(v, 1))
		return
	}
	removed := s.remove(live)
	s.finish(call, 200, "", nil)
	if live.Resource == "pods" { // answers with the object, at the revision of its removal
		v := live.Clone()
		v.Revision = removed.Revision
		s.finish(call, 200, "", v)
		return
	}
	call.DetailsUID = live.UID
}

// deleteAll deletes the objects of a resource, one after the other.
func (s *sim) deleteAll(call *history.APICall) {
	for _, key := range slices.Sorted(maps.Keys(s.live)) {
		if live := s.live[key]; live != nil && live.Resource == call.Resource {
			one := *call
			one.Name = live.Name
			s.delete(&one, live)
			s.now += 3
		}
	}
	s.finish(call, 200, "", nil)
}

// kill is the end of a graceful deletion, by DELETE with a grace period of 0:
// its finalizers permitting, in two commits.
func (s *sim) kill(key, uid string) {
	live := s.live[key]
	if live == nil || live.UID != uid {
		return
	}
	s.ids++
	call := &history.APICall{
		ID: s.ids, Class: history.ClassKubelet, Verb: "delete", Resource: "pods", Version: "v1", Namespace: live.Namespace,
		Name: live.Name, Called: s.now, Grace: 1, NeedUID: uid, NeedVersion: strconv.FormatInt(live.Revision, 10),
	}
	s.calls = append(s.calls, call)
	v := live.Clone()
	v.Grace = 0
	s.now += 5
	s.commit(v, 1)
	s.finish(call, 200, "", v)
	if len(v.Finalizers) == 0 {
		s.now += 5
		after := v.Clone()
		after.Revision = s.remove(v).Revision
		s.finish(call, 200, "", after)
	}
	s.now += 5
	call.Returned = s.now
}
