package cluster

import (
	"fmt"

	"github.com/planecheck/planecheck/checkers/history"
)

// parent is an owner as far as the table has it.
type parent struct {
	seen    bool
	removed int64            // 0: it was not
	gone    *history.Version // its removal
}

// orphans looks for objects that the garbage collector left: not yet deleting,
// though every owner was removed, or never was. A deletion with the policy Orphan
// takes the references away first, so it leaves none.
func (j *judge) orphans() *finding {
	f := &finding{what: "objects with an owner", floor: j.opts.Floors.Owned}
	owners := map[string]*parent{}
	var owned []*history.Version
	for _, k := range j.table.Kinds() {
		if _, resource := k.Name(); resource == "events" { // the collector leaves them alone
			continue
		}
		for v := range k.List("", everything, j.last) {
			if len(v.Owners) == 0 {
				continue
			}
			owned = append(owned, v)
			for i := range v.Owners {
				owners[v.Owners[i].UID] = &parent{}
			}
		}
	}
	unread := j.findParents(owners)
	var recent int
	for _, v := range owned {
		f.judged++
		lost, last, known := lostParents(v, owners)
		switch {
		case !lost || v.Deleting || !known && !j.absent(v, unread):
		case !j.quiet(max(last.removed, j.born(v)), j.opts.Collect, j.late.orphans.w):
			recent++
		default:
			f.violated(j.orphan(v, last.gone))
		}
	}
	f.checked = fmt.Sprintf(", of owners deleted %s before the end; not judged: %d of owners deleted later", j.opts.Collect, recent)
	return f
}

// findParents finds the objects with the uids in owners, and their removals. It
// says whether there are versions that could not be read.
func (j *judge) findParents(owners map[string]*parent) (unread bool) {
	for _, k := range j.table.Kinds() {
		for rev, c := range j.bodies(k) {
			unread = unread || c.Now.Unread
			if p := owners[c.Now.UID]; p != nil {
				p.seen = true
			}
			if c.Prev == nil || !c.Now.Delete && c.Prev.UID == c.Now.UID {
				continue
			}
			if p := owners[c.Prev.UID]; p != nil {
				p.removed, p.gone = rev, c.Now
			}
		}
	}
	return unread
}

// lostParents says whether an object has lost all its owners, and which the last
// was. known is false where one of them never was there.
func lostParents(v *history.Version, owners map[string]*parent) (lost bool, last *parent, known bool) {
	last, known = &parent{}, true
	for i := range v.Owners {
		p := owners[v.Owners[i].UID]
		if p.seen && p.removed == 0 {
			return false, nil, true
		}
		known = known && p.seen
		if p.removed > last.removed {
			last = p
		}
	}
	return true, last, known
}

// absent says that an owner of an object that is not in the table is surely none:
// the table begins with the store and was read wholly, and the owner is of a kind
// that it has. One of no kind of the API, or with a namespace for an object without,
// the collector takes for an error of the reference, and leaves the object
// (isDangling in k8s.io/kubernetes/pkg/controller/garbagecollector).
func (j *judge) absent(v *history.Version, unread bool) bool {
	first, _ := j.table.Bounds()
	if first > 1 || unread || v.Namespace == "" {
		return false
	}
	for i := range v.Owners {
		if !j.stores(v.Owners[i].Kind) {
			return false
		}
	}
	return true
}

// stores says that the table has objects of a kind.
func (j *judge) stores(kind string) bool {
	for _, k := range j.table.Kinds() {
		for _, c := range k.Bodies(0) {
			if c.Now.Kind == kind {
				return true
			}
			if c.Now.Kind != "" {
				break
			}
		}
	}
	return false
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
	e := because("%s is there %s, %s and more after the last of its owners was", name(v), j.when(), j.opts.Collect)
	if k := j.table.Kind(v.Group, v.Resource); k != nil {
		j.row(e, k.At(v.Namespace, v.Name, j.born(v)), "created; uid "+v.UID)
	}
	if removed != nil {
		j.row(e, removed, "the owner was removed")
	} else {
		e.note("its owners", "are not in the history, which begins with the store")
	}
	for i := range v.Owners {
		o := &v.Owners[i]
		e.note(name(v), fmt.Sprintf("owner %s %s, uid %s, controller %t", o.Kind, o.Name, o.UID, o.Controller))
	}
	return e
}
