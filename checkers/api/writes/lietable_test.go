package writes

import (
	"slices"
	"strconv"

	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/versions"
)

var lies = slices.Concat(refusalLies, updateLies, identityLies, otherLies)

// refused inserts a refusal of a request on a quiet version.
func refusedLie(verb, reason string, status int32, ok func(*history.Version) bool, change func(*history.APICall, *history.Version)) func(*sim) bool {
	return func(s *sim) bool {
		v, at := s.quiet(ok)
		if v == nil {
			return false
		}
		change(s.insert(verb, v, at, status, reason), v)
		return true
	}
}

func asIs(*history.APICall, *history.Version) {}

func needVersion(c *history.APICall, v *history.Version) { c.NeedVersion = number(v) }
func needUID(c *history.APICall, v *history.Version)     { c.NeedUID = v.UID }

var refusalLies = []lie{
	{ConflictHonest, "conflict without reason, version", refusedLie("update", "Conflict", 409, alive, needVersion)},
	{ConflictHonest, "conflict without reason, uid", refusedLie("update", "Conflict", 409, alive, needUID)},
	{ConflictHonest, "conflict without reason, patch of both", refusedLie("patch", "Conflict", 409, alive,
		func(c *history.APICall, v *history.Version) { needVersion(c, v); needUID(c, v) })},
	{ConflictHonest, "conflict with nothing", refusedLie("patch", "Conflict", 409, removed,
		func(c *history.APICall, _ *history.Version) { c.NeedUID = "uid-0" })},
	{ConflictHonest, "success on a stale version", func(s *sim) bool {
		call, v := s.success(func(c *history.APICall, v *history.Version) bool {
			return c.NeedVersion != "" && s.before(v) != nil && !s.before(v).Delete && s.before(s.before(v)) != nil
		})
		if call == nil {
			return false
		}
		call.NeedVersion = number(s.before(s.before(v)))
		return true
	}},
	{ConflictHonest, "success on another uid", func(s *sim) bool {
		call, _ := s.success(func(c *history.APICall, _ *history.Version) bool { return c.NeedUID != "" })
		if call == nil {
			return false
		}
		call.NeedUID = "uid-0"
		return true
	}},
	{ExistsHonest, "removed before", refusedLie("create", "AlreadyExists", 409, removed, asIs)},
	{ExistsHonest, "never there", refusedLie("create", "AlreadyExists", 409, alive,
		func(c *history.APICall, _ *history.Version) { c.Name, c.DetailsName = "nobody", "nobody" })},
	{ExistsHonest, "in another namespace", refusedLie("create", "AlreadyExists", 409, alive,
		func(c *history.APICall, _ *history.Version) { c.Namespace = "other" })},
	{ExistsHonest, "dry run", refusedLie("create", "AlreadyExists", 409, removed,
		func(c *history.APICall, _ *history.Version) { c.DryRun = true })},
	{NotFoundHonest, "update", refusedLie("update", "NotFound", 404, alive, asIs)},
	{NotFoundHonest, "patch", refusedLie("patch", "NotFound", 404, alive, asIs)},
	{NotFoundHonest, "delete", refusedLie("delete", "NotFound", 404, alive, asIs)},
	{NotFoundHonest, "namespace", refusedLie("create", "NotFound", 404, alive,
		func(c *history.APICall, _ *history.Version) { c.DetailsKind, c.DetailsName = "namespaces", "ns" })},
	{PreconditionHonest, "refused, uid", refusedLie("delete", "Conflict", 409, alive, needUID)},
	{PreconditionHonest, "refused, version", refusedLie("delete", "Conflict", 409, alive, needVersion)},
	{PreconditionHonest, "another uid deleted", func(s *sim) bool { return s.deletion(func(c *history.APICall) { c.NeedUID = "uid-0" }) }},
	{PreconditionHonest, "another version deleted", func(s *sim) bool { return s.deletion(func(c *history.APICall) { c.NeedVersion = "2" }) }},
	{PreconditionHonest, "dry run on another uid", refusedLie("delete", "", 200, alive,
		func(c *history.APICall, _ *history.Version) { c.DryRun, c.NeedUID = true, "uid-0" })},
}

// deletion changes a DELETE that succeeded.
func (s *sim) deletion(change func(*history.APICall)) bool {
	call := pick(s, s.calls, func(c *history.APICall) bool { return c.Verb == "delete" && c.Status == 200 && !c.DryRun })
	if call == nil {
		return false
	}
	change(call)
	return true
}

// forget removes a mark from a version and from those after it that still have
// it.
func (s *sim) forget(v *history.Version, mark history.Pair) {
	for _, w := range s.after(v) {
		if !slices.Contains(w.Marks, mark) {
			return
		}
		w.Marks = slices.DeleteFunc(slices.Clone(w.Marks), func(p history.Pair) bool { return p == mark })
	}
}

var updateLies = []lie{
	{NoLostUpdate, "an update lost by the next one", func(s *sim) bool {
		call, v := s.success(func(c *history.APICall, v *history.Version) bool {
			after := s.after(v)
			return len(after) > 1 && slices.Contains(after[1].Marks, c.Sets[0]) && !s.ambiguous(v.Key, c.Sets[0].Name)
		})
		if call == nil {
			return false
		}
		s.forget(s.after(v)[1], call.Sets[0])
		return true
	}},
	{NoLostUpdate, "an acknowledged mark is not there", func(s *sim) bool {
		call, v := s.success(any2)
		if call == nil {
			return false
		}
		s.forget(v, call.Sets[0])
		return true
	}},
	{NoLostUpdate, "a refused write took effect", func(s *sim) bool {
		call, _ := s.success(any2)
		if call == nil {
			return false
		}
		call.Status, call.Reason, call.Object = 422, "Invalid", history.APIObject{}
		return true
	}},
	{NoLostUpdate, "an acknowledged revision was never committed", func(s *sim) bool {
		call, v := s.success(func(_ *history.APICall, v *history.Version) bool {
			called, _ := s.moments(v.Revision + 1)
			return called != 0 && s.version(v.Revision+1) != nil && s.version(v.Revision+1).Key != v.Key
		})
		if call == nil {
			return false
		}
		call.Object.Version = v.Revision + 1
		return true
	}},
	{NoLostUpdate, "an answer with the content of the version before", func(s *sim) bool {
		call, v := s.success(func(_ *history.APICall, v *history.Version) bool {
			before := s.before(v)
			return !v.Deleting && before != nil && before.Content != 0 && v.Content != 0 && before.Content != v.Content
		})
		if call == nil {
			return false
		}
		call.Object.Content = s.before(v).Content
		return true
	}},
	{NoLostUpdate, "a value that nobody wrote", func(s *sim) bool {
		v := pick(s, s.versions, func(v *history.Version) bool { return len(v.Marks) > 0 })
		v.Marks = slices.Clone(v.Marks)
		v.Marks[0].Value = "nobody's"
		return true
	}},
	{NoLostUpdate, "a deletion without effect", refusedLie("delete", "", 200, alive, asIs)},
	{NoLostUpdate, "a deletion of a collection without effect", refusedLie("deletecollection", "", 200, alive,
		func(c *history.APICall, _ *history.Version) { c.Name = "" })},
	{NoLostUpdate, "a removal that nobody asked for", func(s *sim) bool {
		v := pick(s, s.versions, func(v *history.Version) bool {
			prev := s.before(v)
			return v.Delete && v.Resource != "pods" && prev != nil && !prev.Deleting && len(prev.Marks) > 0
		})
		if v == nil {
			return false
		}
		s.calls = slices.DeleteFunc(s.calls, func(c *history.APICall) bool {
			return s.key(c) == v.Key && (c.Verb == "delete" || unknown(c) || c.Object.Deleting) || c.Verb == "deletecollection"
		})
		return true
	}},
	{RVMonotonic, "a version that had been replaced", func(s *sim) bool {
		call, v := s.success(func(c *history.APICall, v *history.Version) bool { return s.stale(c, v) != nil })
		if call == nil {
			return false
		}
		call.Object.Version = s.stale(call, v).Revision
		return true
	}},
	{RVMonotonic, "a create answered with an old revision", func(s *sim) bool {
		call, _ := s.success(func(c *history.APICall, v *history.Version) bool { return c.Verb == "create" && v.Revision > 100 })
		if call == nil {
			return false
		}
		call.Object.Version -= 90
		return true
	}},
	{RVMonotonic, "a version from after the answer", func(s *sim) bool {
		call, v := s.success(func(c *history.APICall, v *history.Version) bool {
			after := s.after(v)
			if len(after) < 2 {
				return false
			}
			called, _ := s.moments(after[len(after)-1].Revision)
			return called > c.Returned
		})
		if call == nil {
			return false
		}
		after := s.after(v)
		call.Object.Version = after[len(after)-1].Revision
		return true
	}},
}

// stale returns a version of the same life that had been replaced before a call.
func (s *sim) stale(call *history.APICall, v *history.Version) *history.Version {
	for old := s.before(v); old != nil && !old.Delete; old = s.before(old) {
		past := s.past[old.Key]
		next := past[slices.Index(past, old)+1]
		if _, returned := s.moments(next.Revision); returned != 0 && returned < call.Called {
			return old
		}
	}
	return nil
}

// second returns a version that is not the first of its life.
func (s *sim) second(ok func(v, prev *history.Version) bool) *history.Version {
	return pick(s, s.versions, func(v *history.Version) bool {
		prev := s.before(v)
		return !v.Delete && prev != nil && !prev.Delete && ok(v, prev)
	})
}

func changeLie(ok func(v, prev *history.Version) bool, change func(*history.Version)) func(*sim) bool {
	return func(s *sim) bool {
		v := s.second(ok)
		if v == nil {
			return false
		}
		for _, w := range s.after(v) {
			change(w)
		}
		return true
	}
}

func always(_, _ *history.Version) bool { return true }

// reuse gives a life the uid of another one that ok accepts.
func reuse(ok func(a, b *history.Version) bool) func(*sim) bool {
	return func(s *sim) bool {
		created := func(v *history.Version) bool {
			prev := s.before(v)
			return !v.Delete && v.Resource != "namespaces" && (prev == nil || prev.Delete)
		}
		a := pick(s, s.versions, created)
		b := pick(s, s.versions, func(v *history.Version) bool { return created(v) && v.UID != a.UID && ok(a, v) })
		if b == nil {
			return false
		}
		uid := a.UID
		for _, w := range s.after(b) {
			w.UID = uid
		}
		return true
	}
}

var identityLies = []lie{
	{IdentityStable, "uid changed", changeLie(always, func(v *history.Version) { v.UID += "x" })},
	{IdentityStable, "creationTimestamp changed", changeLie(always, func(v *history.Version) { v.Created++ })},
	{IdentityStable, "deletionTimestamp unset", changeLie(func(_, prev *history.Version) bool { return prev.Deleting },
		func(v *history.Version) { v.Deleting = false })},
	{IdentityStable, "generation fell", changeLie(always, func(v *history.Version) { v.Generation -= 100 })},
	{IdentityStable, "an answer with another uid", func(s *sim) bool {
		call, _ := s.success(any2)
		if call == nil {
			return false
		}
		call.Object.UID = "uid-0"
		return true
	}},
	{UIDUnique, "two lives of a key", reuse(func(a, b *history.Version) bool { return a.Key == b.Key })},
	{UIDUnique, "two keys", reuse(func(a, b *history.Version) bool { return a.Resource == b.Resource && a.Key != b.Key })},
	{UIDUnique, "two resources", reuse(func(a, b *history.Version) bool { return a.Resource != b.Resource })},
}

// misused changes the answer to a call with illegal options.
func misused(change func(*history.APICall)) func(*sim) bool {
	return func(s *sim) bool {
		call := pick(s, s.calls, func(c *history.APICall) bool { return judgeOptions(c) != nil && c.Status == 422 })
		if call == nil {
			return false
		}
		change(call)
		return true
	}
}

// failed changes an error.
func failed(reason string, change func(*history.APICall)) func(*sim) bool {
	return func(s *sim) bool {
		call := pick(s, s.calls, func(c *history.APICall) bool { return c.Reason == reason })
		if call == nil {
			return false
		}
		change(call)
		return true
	}
}

// emptied takes something away from the answer to a write.
func emptied(change func(*history.APICall)) func(*sim) bool {
	return func(s *sim) bool {
		call, _ := s.success(any2)
		if call == nil {
			return false
		}
		change(call)
		return true
	}
}

var otherLies = []lie{
	{DryRunInert, "a dry run was applied", func(s *sim) bool {
		call, _ := s.success(any2)
		if call == nil {
			return false
		}
		call.DryRun = true
		return true
	}},
	{DryRunInert, "a dry run created", func(s *sim) bool {
		call, _ := s.success(func(c *history.APICall, _ *history.Version) bool { return c.Status == 201 })
		if call == nil {
			return false
		}
		call.DryRun, call.Declared, call.Sets = true, false, nil
		return true
	}},
	{DryRunInert, "a dry run removed a mark", func(s *sim) bool {
		call := pick(s, s.calls, func(c *history.APICall) bool {
			v := s.version(c.Object.Version)
			return c.Status == 200 && !c.DryRun && len(c.Removes) > 0 && v != nil && s.before(v) != nil && !v.Delete &&
				named(s.before(v).Marks, c.Removes[0]) && !named(v.Marks, c.Removes[0]) &&
				// Nor may another one that removes it have done so.
				!s.ambiguous(v.Key, c.Removes[0]) && !slices.ContainsFunc(s.calls, func(o *history.APICall) bool {
				return o != c && s.key(o) == v.Key && slices.Equal(o.Removes, c.Removes) && o.Object.Version == v.Revision
			})
		})
		if call == nil {
			return false
		}
		call.DryRun = true
		return true
	}},
	{DryRunInert, "a dry run deleted", func(s *sim) bool {
		v := pick(s, s.versions, func(v *history.Version) bool {
			prev := s.before(v)
			return v.Delete && v.Resource != "pods" && prev != nil && !prev.Deleting && len(prev.Marks) > 0
		})
		if v == nil {
			return false
		}
		// Of all deletions of the key, and updates that may be some, only the one that did it stays.
		uid := s.before(v).UID
		did := pick(s, s.calls, func(c *history.APICall) bool { return c.Verb == "delete" && c.DetailsUID == uid && !c.DryRun })
		if did == nil {
			return false
		}
		s.calls = slices.DeleteFunc(s.calls, func(c *history.APICall) bool {
			return c != did && (s.key(c) == v.Key && (c.Verb == "delete" || unknown(c) || c.Object.Deleting) || c.Verb == "deletecollection")
		})
		did.DryRun = true
		return true
	}},
	{ErrorHonest, "conflict with 500", failed("Conflict", func(c *history.APICall) { c.Status = 500 })},
	{ErrorHonest, "not found with 410", failed("NotFound", func(c *history.APICall) { c.Status = 410 })},
	{ErrorHonest, "exists with 422", failed("AlreadyExists", func(c *history.APICall) { c.Status = 422 })},
	{ErrorHonest, "success with a reason", failed("Conflict", func(c *history.APICall) { c.Status = 200 })},
	{ErrorHonest, "conflict without a reason", failed("Conflict", func(c *history.APICall) { c.Reason = "" })},
	{ErrorHonest, "illegal options accepted", misused(func(c *history.APICall) { c.Status, c.Reason = 200, "" })},
	{ErrorHonest, "illegal options with 400", misused(func(c *history.APICall) { c.Status, c.Reason = 400, "BadRequest" })},
	{ErrorHonest, "illegal options with 404", misused(func(c *history.APICall) { c.Status, c.Reason = 404, "NotFound" })},
	{ErrorHonest, "a legal patch is invalid", refusedLie("patch", "Invalid", 422, alive, func(c *history.APICall, _ *history.Version) {
		c.Class, c.ContentType = history.ClassContract, "application/merge-patch+json"
	})},
	{ErrorHonest, "a legal create is a bad request", refusedLie("create", "BadRequest", 400, removed, func(c *history.APICall, _ *history.Version) {
		c.Class = history.ClassContract
	})},
	{ErrorHonest, "a legal list is invalid", refusedLie("list", "Invalid", 422, alive, func(c *history.APICall, _ *history.Version) { c.Name = "" })},
	{ErrorHonest, "a get is forbidden that was not before", func(s *sim) bool {
		s.calm = 1
		for at, status := range map[history.Time]int32{s.now + 1: 200, s.now + 2: 403} {
			reason := map[int32]string{403: "Forbidden"}[status]
			c := s.insert("get", s.versions[0], at, status, reason)
			c.Server = "apiserver-0"
			if status == 200 {
				c.Object = versions.Object(s.versions[0])
			}
		}
		return true
	}},
	{ErrorHonest, "an answer cannot be read", emptied(func(c *history.APICall) { c.Object, c.Error = history.APIObject{}, "unexpected end" })},
	{ErrorHonest, "an answer without a uid", emptied(func(c *history.APICall) { c.Object.UID = "" })},
	{ErrorHonest, "an answer without a version", emptied(func(c *history.APICall) { c.Object.Version = 0 })},
	{ErrorHonest, "a list without a version", refusedLie("list", "", 200, alive, func(c *history.APICall, _ *history.Version) { c.Name = "" })},
	{ErrorHonest, "an error of a watch with 500", func(s *sim) bool {
		s.watches = append(s.watches, &history.APIWatch{Call: 1, Type: "ERROR", At: s.now, Status: 500, Reason: "Expired"})
		return true
	}},
	{ErrorHonest, "a bad version listed with " + strconv.Itoa(200), func(s *sim) bool {
		s.calls = append(s.calls, &history.APICall{
			ID: 1 << 30, Verb: "list", Resource: "pods", ResourceVersion: "abc", Called: s.now, Returned: s.now, Status: 200,
		})
		return true
	}},
}
