package cluster

import (
	"fmt"

	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/versions"
)

// orphans looks for objects that the garbage collector left: not yet deleting,
// though every owner was removed. A deletion with the policy Orphan takes the
// references away first, so it leaves none.
func (j *judge) orphans() *finding {
	f := &finding{what: "objects with an owner", floor: j.opts.Floors.Owned}
	owners := map[string]*history.Version{} // by uid: the removal, nil as long as none is known
	var owned []*history.Version
	for _, k := range j.table.Kinds() {
		if _, resource := k.Name(); resource == "events" { // the collector leaves them alone
			continue
		}
		for v := range k.List("", versions.Selector{}, j.last) {
			if len(v.Owners) == 0 {
				continue
			}
			owned = append(owned, v)
			for i := range v.Owners {
				owners[v.Owners[i].UID] = nil
			}
		}
	}
	j.removals(owners)
	var recent int
	for _, v := range owned {
		f.judged++
		last := lastRemoval(v, owners)
		switch {
		case last == nil || v.Deleting:
		case !j.quiet(max(last.Revision, j.born(v)), j.opts.Collect):
			recent++
		default:
			f.violated(j.orphan(v, last))
		}
	}
	f.checked = fmt.Sprintf(", of owners deleted %s before the end; not judged: %d of owners deleted later", j.opts.Collect, recent)
	return f
}

// removals finds the removals of the objects with the uids in owners.
func (j *judge) removals(owners map[string]*history.Version) {
	for _, k := range j.table.Kinds() {
		for c := range k.Changes(0, j.last) {
			if c.Prev == nil || !c.Now.Delete && c.Prev.UID == c.Now.UID {
				continue
			}
			if _, asked := owners[c.Prev.UID]; asked {
				owners[c.Prev.UID] = c.Now
			}
		}
	}
}

// lastRemoval returns the removal of the last of an object's owners, nil if one
// of them is there still or was never seen.
func lastRemoval(v *history.Version, owners map[string]*history.Version) (last *history.Version) {
	for i := range v.Owners {
		removed := owners[v.Owners[i].UID]
		if removed == nil {
			return nil
		}
		if last == nil || removed.Revision > last.Revision {
			last = removed
		}
	}
	return last
}

// born returns the revision that created an object.
func (j *judge) born(v *history.Version) int64 {
	k := j.table.Kind(v.Group, v.Resource)
	first := k.Next(v.Namespace, v.Name, 0)
	for first != nil && first.UID != v.UID {
		first = k.Next(v.Namespace, v.Name, first.Revision)
	}
	if first == nil {
		return v.Revision
	}
	return first.Revision
}

func (j *judge) orphan(v, removed *history.Version) *evidence {
	e := because("%s is there at the end, %s and more after the last of its owners was removed", name(v), j.opts.Collect)
	if k := j.table.Kind(v.Group, v.Resource); k != nil {
		j.row(e, k.At(v.Namespace, v.Name, j.born(v)), "created; uid "+v.UID)
	}
	j.row(e, removed, "the owner was removed")
	for i := range v.Owners {
		o := &v.Owners[i]
		e.note(name(v), fmt.Sprintf("owner %s %s, uid %s, controller %t", o.Kind, o.Name, o.UID, o.Controller))
	}
	return e
}
