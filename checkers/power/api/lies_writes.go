package apipower

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/planecheck/planecheck/checkers/history"
)

// writeLies are about what writes were answered.
func writeLies() []Lie {
	verb := func(v string) pick { return func(c *history.APICall) bool { return c.Verb == v } }
	changes := func(c *history.APICall) bool { return c.Verb == "update" || c.Verb == "patch" }
	return []Lie{
		{Name: "an update of the newest version is refused", Breaks: "ConflictHonest", Tell: needless(verb("update"))},
		{Name: "a patch of the newest version is refused", Breaks: "ConflictHonest", Tell: needless(verb("patch"))},
		{Name: "a dry run of the newest version is refused", Breaks: "ConflictHonest", Tell: dryRefused(changes, conflict)},
		{Name: "a write that needs an old version succeeds", Breaks: "ConflictHonest", Tell: overwrites},

		{Name: "a name that never was exists already", Breaks: "ExistsHonest", Tell: existsElsewhere(false)},
		{Name: "a name that was deleted exists already", Breaks: "ExistsHonest", Tell: existsElsewhere(true)},
		{Name: "a name exists before it was made", Breaks: "ExistsHonest", Tell: moved("AlreadyExists", false)},
		{Name: "a dry run finds what is not there", Breaks: "ExistsHonest", Tell: dryRefused(verb("create"), exists)},

		{Name: "an update does not find what is there", Breaks: "NotFoundHonest", Tell: missingElsewhere(verb("update"))},
		{Name: "a patch does not find what is there", Breaks: "NotFoundHonest", Tell: missingElsewhere(verb("patch"))},
		{Name: "a deletion does not find what is there", Breaks: "NotFoundHonest", Tell: missingElsewhere(verb("delete"))},
		{Name: "an object is missing at a time at which it was there", Breaks: "NotFoundHonest", Tell: moved("NotFound", true)},
		{Name: "a dry run does not find what is there", Breaks: "NotFoundHonest",
			Tell: dryRefused(func(c *history.APICall) bool { return c.Verb != "create" }, notFound)},

		{Name: "a deletion with the uid of another object succeeds", Breaks: "PreconditionHonest", Tell: preconditioned(foreignUID)},
		{Name: "a deletion with an old version succeeds", Breaks: "PreconditionHonest", Tell: preconditioned(oldVersion)},
		{Name: "a deletion with the uid of an earlier life succeeds", Breaks: "PreconditionHonest", Tell: preconditioned(earlierUID)},
		{Name: "a deletion whose preconditions failed succeeds", Breaks: "PreconditionHonest", Tell: unrefused},
		{Name: "a deletion of the newest version is refused", Breaks: "PreconditionHonest", Tell: needless(verb("delete"))},

		{Name: "a create was a dry run", Breaks: "DryRunInert", Tell: wasDry(verb("create"))},
		{Name: "an update was a dry run", Breaks: "DryRunInert", Tell: wasDry(verb("update"))},
		{Name: "a patch was a dry run", Breaks: "DryRunInert", Tell: wasDry(verb("patch"))},
		{Name: "a deletion was a dry run", Breaks: "DryRunInert", Tell: wasDry(verb("delete"))},

		{Name: "a refusal has the code of another one", Breaks: "ErrorHonest", Tell: otherCode},
		{Name: "a refusal has the reason of another one", Breaks: "ErrorHonest", Tell: otherReason},
		{Name: "illegal options are a bad request", Breaks: "ErrorHonest", Tell: illegalAs(400, "BadRequest")},
		{Name: "illegal options get a list", Breaks: "ErrorHonest", Tell: illegalAs(200, "")},

		{Name: "a write shows the content of the version before", Breaks: "NoLostUpdate", Tell: formerContent},
		{Name: "a write is answered with the version that it replaced", Breaks: "NoLostUpdate", Tell: replacedAnswer},
		{Name: "a write is answered with an older version than one before", Breaks: "RVMonotonic", Tell: olderAnswer},
		{Name: "a new life begins with a version of the old one", Breaks: "RVMonotonic", Tell: rebornOld},
		{Name: "a write is answered with an old version of another object", Breaks: "RVMonotonic", Tell: foreignVersion},
		{Name: "a write is answered with a version from after its return", Breaks: "RVMonotonic", Tell: versionToCome},
	}
}

// named draws a write that names an object of the table itself.
func (t *teller) named(fits pick) (*history.APICall, bool) {
	return t.edit(func(c *history.APICall) bool {
		return write(c) && (c.Subresource == "" || c.Subresource == "status") && c.Name != "" && !c.GenerateName &&
			c.Resource != "events" && t.f.names[kindOf(c)] != nil && c.ContentType != "application/apply-patch+yaml" && fits(c)
	})
}

// still is the version that an object had during a whole call, nil: none.
func (t *teller) still(c *history.APICall, n name) *history.Version {
	v := t.f.at(n, t.b.Window.Lo(c.Called))
	if v == nil || t.f.end(n, v) < t.b.Window.Hi(c.Returned) {
		return nil
	}
	return v
}

// needless lets a refused write have needed what was there.
func needless(fits pick) func(*teller) bool {
	return func(t *teller) bool {
		c, ok := t.named(func(c *history.APICall) bool {
			return fits(c) && c.Reason == "Conflict" && (c.NeedVersion != "" || c.NeedUID != "") && t.still(c, called(c)) != nil
		})
		if ok {
			v := t.still(c, called(c))
			c.NeedUID, c.NeedVersion = v.UID, fmt.Sprint(v.Revision)
		}
		return ok
	}
}

func conflict(c *history.APICall) {
	c.Status, c.Reason, c.Object = 409, "Conflict", history.APIObject{}
	c.DetailsKind, c.DetailsName = c.Resource, c.Name
	c.Message = fmt.Sprintf("Operation cannot be fulfilled on %s %q: the object has been modified", c.Resource, c.Name)
}

func exists(c *history.APICall) {
	conflict(c)
	c.Reason, c.Message = "AlreadyExists", fmt.Sprintf("%s %q already exists", c.Resource, c.Name)
}

// dryRefused refuses a dry run, which left no trace that would excuse it.
func dryRefused(fits pick, how func(*history.APICall)) func(*teller) bool {
	return func(t *teller) bool {
		c, ok := t.named(func(c *history.APICall) bool {
			needs := c.Reason == "" && (c.NeedVersion != "" || c.NeedUID != "")
			return fits(c) && c.DryRun && success(c) && c.Subresource == "" && (c.Verb == "create" || needs)
		})
		if ok {
			how(c)
		}
		return ok
	}
}

// rename lets a refusal be about another object.
func rename(c *history.APICall, to name) {
	c.Namespace, c.Name, c.DetailsName = to.namespace, to.name, to.name
	c.Message = fmt.Sprintf("%s %q: told", c.Resource, to.name)
}

func existsElsewhere(deleted bool) func(*teller) bool {
	return func(t *teller) bool {
		gone := func(c *history.APICall) func(name) bool {
			return func(n name) bool {
				return n.namespace == c.Namespace && t.f.at(n, t.b.Window.Lo(c.Called)) == nil &&
					t.f.after(n, t.b.Window.Lo(c.Called)) == nil
			}
		}
		c, ok := t.named(func(c *history.APICall) bool {
			return c.Reason == "AlreadyExists" && c.Subresource == "" && (!deleted || slices.ContainsFunc(t.f.names[kindOf(c)], gone(c)))
		})
		if !ok {
			return false
		}
		to := name{kindOf(c), c.Namespace, fmt.Sprintf("never-%d", t.rng.IntN(1000))}
		if deleted {
			to, _ = draw(t, t.f.names[kindOf(c)], gone(c))
		}
		rename(c, to)
		return true
	}
}

func missingElsewhere(fits pick) func(*teller) bool {
	return func(t *teller) bool {
		there := func(c *history.APICall) func(name) bool {
			return func(n name) bool { return t.still(c, n) != nil && (n.namespace == "") == (c.Namespace == "") }
		}
		c, ok := t.named(func(c *history.APICall) bool {
			return fits(c) && c.Reason == "NotFound" && c.DetailsName == c.Name && slices.ContainsFunc(t.f.names[kindOf(c)], there(c))
		})
		if !ok {
			return false
		}
		n, _ := draw(t, t.f.names[kindOf(c)], there(c))
		rename(c, n)
		if v := t.still(c, n); c.NeedUID != "" {
			c.NeedUID = v.UID
		}
		return true
	}
}

// moved moves a refusal to a time at which it is not true: in the middle of a
// life of the object, or before the first one. Calls come in the order of
// their returns, so the list is sorted again.
func moved(reason string, alive bool) func(*teller) bool {
	return func(t *teller) bool {
		at := func(c *history.APICall) (history.Time, bool) {
			vs := t.f.objects[called(c)]
			for i, v := range vs {
				if v.Delete == alive && !(i == 0 && !alive) {
					continue
				}
				if !alive {
					from, _, ok := t.b.Window.Commit(v.Revision)
					return from - history.Time(50_000_000), ok && i == 0 && !v.Delete
				}
				_, from, ok := t.b.Window.Commit(v.Revision)
				to := from + 1e15
				if i+1 < len(vs) {
					to, _, _ = t.b.Window.Commit(vs[i+1].Revision)
				}
				if took := c.Returned.Sub(c.Called); ok && to.Sub(from) > 2*took {
					return from + history.Time(took/4) + 1, true
				}
			}
			return 0, false
		}
		c, ok := t.named(func(c *history.APICall) bool {
			_, fits := at(c)
			return fits && c.Reason == reason && (reason != "NotFound" || c.DetailsName == c.Name) && c.Returned.Sub(c.Called) < 40_000_000
		})
		if ok {
			when, _ := at(c)
			c.Called, c.Returned = when, when+c.Returned-c.Called
			slices.SortStableFunc(t.calls, func(a, b *history.APICall) int { return cmp.Compare(a.Returned, b.Returned) })
		}
		return ok
	}
}

// preconditioned lets a deletion that succeeded have had a precondition that
// was not met.
func preconditioned(change func(t *teller, c *history.APICall) bool) func(*teller) bool {
	return func(t *teller) bool {
		c, ok := t.named(func(c *history.APICall) bool {
			return c.Verb == "delete" && success(c) && c.Subresource == "" && change(t, c.Clone())
		})
		return ok && change(t, c)
	}
}

func foreignUID(t *teller, c *history.APICall) bool {
	v, ok := draw(t, t.versions, func(v *history.Version) bool { return v.UID != "" && v.Name != c.Name })
	if ok {
		c.NeedUID = v.UID
	}
	return ok
}

func oldVersion(t *teller, c *history.APICall) bool {
	vs := t.older(c, t.f.objects[called(c)])
	if len(vs) == 0 {
		return false
	}
	c.NeedVersion = fmt.Sprint(vs[len(vs)-1].Revision)
	return true
}

func earlierUID(t *teller, c *history.APICall) bool {
	now := t.f.at(called(c), t.b.Window.Lo(c.Called))
	for _, v := range t.older(c, t.f.objects[called(c)]) {
		if now != nil && v.UID != now.UID {
			c.NeedUID = v.UID
			return true
		}
	}
	return false
}

// unrefused lets a deletion that was refused have succeeded, with the object
// that stands.
func unrefused(t *teller) bool {
	c, ok := t.named(func(c *history.APICall) bool {
		return c.Verb == "delete" && c.Reason == "Conflict" && c.Subresource == "" && t.still(c, called(c)) != nil
	})
	if ok {
		v := t.still(c, called(c))
		forget(c)
		c.Status, c.DetailsUID, c.DetailsName = 200, v.UID, c.Name
	}
	return ok
}

// wasDry lets a write that took effect have been a dry run.
func wasDry(fits pick) func(*teller) bool {
	return func(t *teller) bool {
		effect := func(c *history.APICall) bool {
			if c.Verb == "delete" {
				v := t.f.at(called(c), t.b.Window.Lo(c.Called))
				return v != nil && !v.Deleting && t.f.end(called(c), v) < t.b.Window.Hi(c.Returned)
			}
			return c.Object.Version > t.b.Window.Lo(c.Called)
		}
		c, ok := t.named(func(c *history.APICall) bool {
			return fits(c) && success(c) && !c.DryRun && c.Subresource == "" && c.Declared && effect(c)
		})
		if ok {
			c.DryRun = true
		}
		return ok
	}
}

// failed draws a refusal whose reason has one code.
func (t *teller) failed() (*history.APICall, bool) {
	return t.edit(func(c *history.APICall) bool {
		return codes[c.Reason] != 0 && codes[c.Reason] == c.Status && c.Verb != "watch"
	})
}

func otherCode(t *teller) bool {
	c, ok := t.failed()
	if ok {
		c.Status, _ = draw(t, []int32{400, 403, 404, 409, 410, 422}, func(n int32) bool { return n != c.Status })
	}
	return ok
}

func otherReason(t *teller) bool {
	c, ok := t.failed()
	if ok {
		c.Reason, _ = draw(t, []string{"BadRequest", "Forbidden", "NotFound", "AlreadyExists", "Invalid", "Expired"},
			func(r string) bool { return codes[r] != c.Status })
	}
	return ok
}

func illegalAs(status int32, reason string) func(*teller) bool {
	return func(t *teller) bool {
		c, ok := t.edit(func(c *history.APICall) bool { return illegal(c) && c.Status == 422 && c.Resource != "events" })
		if ok {
			forget(c)
			c.Status, c.Reason = status, reason
			if status == 200 {
				c.ListVersion = t.b.Window.Lo(c.Called)
				t.answer(c, c.ListVersion, "")
			}
		}
		return ok
	}
}

// answered draws an acknowledged write of the object itself.
func (t *teller) answered(fits pick) (*history.APICall, bool) {
	return t.named(func(c *history.APICall) bool {
		return success(c) && !c.DryRun && c.Subresource == "" && c.Verb != "delete" && c.Object.UID != "" && len(c.Sets) > 0 && fits(c)
	})
}

// olderAnswer answers a write with a version that another one had replaced, and
// answered, before the write was called.
func olderAnswer(t *teller) bool {
	older := func(c *history.APICall) *history.Version {
		before := slices.DeleteFunc(t.older(c, t.f.objects[called(c)]), func(v *history.Version) bool { return v.UID != c.Object.UID })
		if len(before) == 0 {
			return nil
		}
		return before[len(before)-1]
	}
	c, ok := t.answered(func(c *history.APICall) bool { return c.Verb != "create" && older(c) != nil })
	if ok {
		c.Object = show(older(c))
	}
	return ok
}

func formerContent(t *teller) bool {
	former := func(c *history.APICall) *history.Version { return t.f.at(called(c), c.Object.Version-1) }
	c, ok := t.answered(func(c *history.APICall) bool {
		v := former(c)
		return c.Object.Content != 0 && !c.Object.Deleting && v != nil && v.Content != 0 && v.Content != c.Object.Content
	})
	if ok {
		c.Object.Content = former(c).Content
	}
	return ok
}

func replacedAnswer(t *teller) bool {
	c, ok := t.answered(func(c *history.APICall) bool {
		v := t.f.at(called(c), c.Object.Version)
		prev := t.f.at(called(c), c.Object.Version-1)
		return c.Verb != "create" && v != nil && v.Revision == c.Object.Version && prev != nil
	})
	if ok {
		c.Object.Version = t.f.at(called(c), c.Object.Version-1).Revision
	}
	return ok
}

func rebornOld(t *teller) bool {
	old := func(c *history.APICall) []*history.Version {
		return slices.DeleteFunc(slices.Clone(t.f.objects[called(c)]), func(v *history.Version) bool {
			return v.Delete || v.Revision >= c.Object.Version
		})
	}
	c, ok := t.answered(func(c *history.APICall) bool { return c.Verb == "create" && len(old(c)) > 0 })
	if ok {
		v, _ := draw(t, old(c), func(*history.Version) bool { return true })
		c.Object.Version = v.Revision
	}
	return ok
}

// overwrites lets a write have needed a version that had been replaced before it
// was called.
func overwrites(t *teller) bool {
	older := func(c *history.APICall) []*history.Version { return t.older(c, t.f.objects[called(c)]) }
	c, ok := t.answered(func(c *history.APICall) bool { return c.Verb != "create" && !c.Object.Deleting && len(older(c)) > 0 })
	if ok {
		v, _ := draw(t, older(c), func(*history.Version) bool { return true })
		c.NeedVersion = fmt.Sprint(v.Revision)
	}
	return ok
}

// foreignVersion answers a write with a revision at which another object was
// written, before the call and after the object had come to be.
func foreignVersion(t *teller) bool {
	old := func(c *history.APICall) []*history.Version {
		began := t.f.objects[called(c)]
		lo := t.b.Window.Lo(c.Called)
		return slices.DeleteFunc(slices.Clone(t.b.Versions), func(v *history.Version) bool {
			return len(began) == 0 || v.Revision <= began[0].Revision || v.Revision >= lo || nameMust(v) == called(c)
		})
	}
	c, ok := t.answered(func(c *history.APICall) bool { return !c.Object.Deleting && len(old(c)) > 0 })
	if ok {
		v, _ := draw(t, old(c), func(*history.Version) bool { return true })
		c.Object.Version = v.Revision
	}
	return ok
}

// versionToCome answers a write with a version that was made after its return.
func versionToCome(t *teller) bool {
	later := func(c *history.APICall) *history.Version {
		v := t.f.after(called(c), t.b.Window.Hi(c.Returned))
		if v == nil || v.Delete || v.UID != c.Object.UID {
			return nil
		}
		return v
	}
	c, ok := t.answered(func(c *history.APICall) bool { return !c.Object.Deleting && later(c) != nil })
	if ok {
		c.Object = show(later(c))
	}
	return ok
}
