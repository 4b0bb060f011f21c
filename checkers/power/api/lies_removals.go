package apipower

import (
	"slices"

	"github.com/planecheck/planecheck/checkers/history"
)

// removalLies are about what deletions do and do not.
func removalLies() []Lie {
	return []Lie{
		{Name: "an object is removed that nobody deleted", Breaks: "NoLostUpdate", Tell: unasked},
		{Name: "a deletion of a collection removes what it does not select", Breaks: "NoLostUpdate", Tell: beyond},
		{Name: "a deletion of a collection leaves what it selects", Breaks: "NoLostUpdate", Tell: leaves},
		{Name: "a deletion that did nothing succeeds", Breaks: "NoLostUpdate", Tell: idle},
		{Name: "a finalizer is passed over", Breaks: "NoLostUpdate", Tell: unheld},
		{Name: "a deletion of a collection was a dry run", Breaks: "DryRunInert", Tell: drySweep},
	}
}

// taken draws a removal that somebody has to have asked for, and all calls that may
// have made it, if they are few.
func (t *teller) taken(fits func(v, prev *history.Version, by []*history.APICall) bool) (v *history.Version, by []*history.APICall) {
	for _, i := range t.rng.Perm(len(t.versions)) {
		v := t.versions[i]
		n, ok := nameOf(v)
		if !ok || !v.Delete && !v.Deleting || v.Resource == "events" {
			continue
		}
		prev := t.f.at(n, v.Revision-1)
		if prev == nil || !t.f.loses(prev, v) || t.f.othersMay(n, v.Revision) {
			continue
		}
		by = nil
		for _, c := range t.calls {
			if removing(c) && t.f.mayRemove(t.b.Window, c, n, prev, v) {
				by = append(by, c)
			}
		}
		if fits(v, prev, by) {
			return v, by
		}
	}
	return nil, nil
}

// unasked takes away the one call that removed an object.
func unasked(t *teller) bool {
	v, by := t.taken(func(_, _ *history.Version, by []*history.APICall) bool { return len(by) == 1 })
	if v != nil {
		t.calls = slices.DeleteFunc(t.calls, func(c *history.APICall) bool { return c == by[0] })
		t.rewrites = true
	}
	return v != nil
}

// swept draws a deletion of a collection that alone removed something.
func (t *teller) swept() (*history.APICall, *history.Version) {
	v, by := t.taken(func(_, _ *history.Version, by []*history.APICall) bool {
		return len(by) == 1 && by[0].Verb == "deletecollection" && success(by[0]) && understood(by[0])
	})
	if v == nil {
		return nil, nil
	}
	c, _ := t.edit(func(c *history.APICall) bool { return c == by[0] })
	t.rewrites = true
	return c, v
}

// beyond lets it have been asked for less.
func beyond(t *teller) bool {
	c, _ := t.swept()
	if c != nil {
		if c.LabelSelector != "" {
			c.LabelSelector += ","
		}
		c.LabelSelector += "told=never"
	}
	return c != nil
}

func drySweep(t *teller) bool {
	c, _ := t.swept()
	if c != nil {
		c.DryRun = true
	}
	return c != nil
}

// leaves takes a removal by a deletion of a collection back.
func leaves(t *teller) bool {
	v, by := t.taken(func(v, prev *history.Version, by []*history.APICall) bool {
		return v.Delete && !prev.Deleting && t.f.after(nameMust(v), v.Revision) == nil &&
			slices.ContainsFunc(by, func(c *history.APICall) bool { return c.Verb == "deletecollection" && success(c) && understood(c) })
	})
	if v == nil {
		return false
	}
	t.lose(v)
	t.edit(func(c *history.APICall) bool {
		return slices.Contains(by, c) && c.Verb == "deletecollection" && success(c) && understood(c)
	})
	return true
}

// idle lets a deletion that was refused for its preconditions have had none, and be
// acknowledged.
func idle(t *teller) bool {
	c, ok := t.named(func(c *history.APICall) bool {
		v := t.still(c, called(c))
		return c.Verb == "delete" && c.Reason == "Conflict" && c.Subresource == "" && !c.DryRun && v != nil && !v.Deleting
	})
	if ok {
		v := t.still(c, called(c))
		forget(c)
		c.NeedUID, c.NeedVersion = "", ""
		c.Status, c.DetailsUID, c.DetailsName = 200, v.UID, c.Name
	}
	return ok
}

// unheld lets an object that was deleted have had a finalizer all its life.
func unheld(t *teller) bool {
	v, _ := t.taken(func(v, prev *history.Version, _ []*history.APICall) bool { return v.Delete && !heldBy(prev) })
	if v != nil {
		t.alter(t.life(nameMust(v), t.f.at(nameMust(v), v.Revision-1)), func(v *history.Version) {
			v.Finalizers = append(slices.Clone(v.Finalizers), "example.com/told")
		})
	}
	return v != nil
}
