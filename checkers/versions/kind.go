package versions

import (
	"cmp"
	"iter"
	"slices"
	"strings"

	"github.com/planecheck/planecheck/checkers/history"
)

// Kind holds the objects of one resource.
type Kind struct {
	name kindName
	pool *pool
	// prefix is what the keys of the resource have before namespace/name, once
	// a version was seen that has both.
	prefix  string
	objects map[string]*object // by path
	order   order              // of them all
	log     []place            // every version in the order of revisions
	// labelled are the objects that ever had a label, of labels that were asked for.
	labelled map[history.Pair]*labelled
}

// object is everything that ever was at one key, more than one life of it.
type object struct {
	key      string
	path     string // the end of key
	versions []version
}

// version is what one revision left of an object. What does not change between
// two versions is in a body that they share.
type version struct {
	revision int64
	content  uint64
	body     *history.Version // nil: removed
}

type place struct {
	object *object
	index  int32
}

// Name returns the API group, "" for core, and the plural of the resource.
func (k *Kind) Name() (group, resource string) { return k.name.group, k.name.resource }

// Prefix is what the keys of the resource have before namespace/name, such as
// /registry/pods/. "": no version was seen that has both.
func (k *Kind) Prefix() string { return k.prefix }

// Len returns how many versions of the resource there are, removals included.
func (k *Kind) Len() int { return len(k.log) }

func (k *Kind) add(v *history.Version) {
	o := k.object(v)
	next := version{revision: v.Revision, content: v.Content}
	if !v.Delete {
		var before *history.Version
		if n := len(o.versions); n > 0 {
			before = o.versions[n-1].body
		}
		next.body = k.body(o, before, v)
	}
	o.versions = append(o.versions, next)
	k.log = append(k.log, place{o, int32(len(o.versions) - 1)})
}

// object finds the object of a version, or makes it. A removal and a value that
// could not be read have only a key.
func (k *Kind) object(v *history.Version) *object {
	var p string
	if v.Name != "" {
		p = path(v.Namespace, v.Name)
		if k.prefix == "" {
			k.prefix = strings.Clone(strings.TrimSuffix(v.Key, p))
		}
	} else {
		p = k.guess(v.Key)
	}
	if o := k.objects[p]; o != nil {
		return o
	}
	o := &object{key: strings.Clone(v.Key), path: strings.Clone(p)}
	if strings.HasSuffix(o.key, o.path) {
		o.path = o.key[len(o.key)-len(o.path):]
	}
	k.objects[o.path] = o
	k.order.add(o)
	return o
}

// guess takes namespace/name from a key. As long as no object of the resource
// was read, the last two elements after the resource are taken for them.
func (k *Kind) guess(key string) string {
	if k.prefix != "" && strings.HasPrefix(key, k.prefix) {
		return key[len(k.prefix):]
	}
	rest := key[strings.LastIndexByte(key, '/')+1:]
	if _, after, found := strings.Cut(key, "/"+k.name.resource+"/"); found {
		rest = after
	}
	for strings.Count(rest, "/") > 1 {
		_, rest, _ = strings.Cut(rest, "/")
	}
	return rest
}

// At returns the object as of revision rev, nil if there was none. The result
// stays valid and belongs to the table.
func (k *Kind) At(namespace, name string, rev int64) *history.Version {
	if o := k.find(namespace, name); o != nil {
		return o.at(rev)
	}
	return nil
}

// Next returns the object's first change after rev, a removal too, nil if there
// is none.
func (k *Kind) Next(namespace, name string, rev int64) *history.Version {
	o := k.find(namespace, name)
	if o == nil {
		return nil
	}
	if i := o.after(rev); i < len(o.versions) {
		return k.show(o, i)
	}
	return nil
}

// List yields the state at rev of the objects that a selector surely matches,
// in the order of their keys: namespace/name, byte by byte, as etcd sorts. The
// namespace "" is all of them.
func (k *Kind) List(namespace string, sel Selector, rev int64) iter.Seq[*history.Version] {
	return func(yield func(*history.Version) bool) {
		for _, o := range k.within(namespace) {
			v := o.at(rev)
			if v == nil {
				continue
			}
			if match, known := sel.Matches(v); !match || !known {
				continue
			}
			if !yield(v) {
				return
			}
		}
	}
}

// Change is one version with the one before it.
type Change struct {
	// Now is the version. Of a removal only Revision, Key, Delete, Group,
	// Resource, Namespace and Name are set.
	Now *history.Version
	// Prev is the version that Now replaced, nil where there was no object.
	Prev *history.Version
}

// Changes yields the changes of the revisions in [from, to], in their order.
func (k *Kind) Changes(from, to int64) iter.Seq[Change] {
	return func(yield func(Change) bool) {
		i, _ := slices.BinarySearchFunc(k.log, from, func(p place, rev int64) int {
			return cmp.Compare(p.object.versions[p.index].revision, rev)
		})
		for ; i < len(k.log) && k.revision(i) <= to; i++ {
			if !yield(k.change(i)) {
				return
			}
		}
	}
}

// Since yields the changes behind the first n, up to the revision to: whoever
// looks at all of them while the table is filled goes on where it was.
func (k *Kind) Since(n int, to int64) iter.Seq[Change] {
	return func(yield func(Change) bool) {
		for i := n; i < len(k.log) && k.revision(i) <= to; i++ {
			if !yield(k.change(i)) {
				return
			}
		}
	}
}

// Within yields the changes of the objects of a namespace at the revisions in
// [from, to], object by object in the order of their keys.
func (k *Kind) Within(namespace string, from, to int64) iter.Seq[Change] {
	return func(yield func(Change) bool) {
		for _, o := range k.within(namespace) {
			for i := o.after(from - 1); i < len(o.versions) && o.versions[i].revision <= to; i++ {
				if !yield(k.changed(o, i)) {
					return
				}
			}
		}
	}
}

// Bodies yields the revisions of the changes behind the first n, and the changes
// without their revisions and contents: those that they show may be of an
// earlier version that was the same but for them. It makes nothing anew, as
// Since has to for most.
func (k *Kind) Bodies(n int) iter.Seq2[int64, Change] {
	return func(yield func(int64, Change) bool) {
		for i := n; i < len(k.log); i++ {
			p := k.log[i]
			c := Change{Now: p.object.versions[p.index].body}
			if c.Now == nil {
				c.Now = k.show(p.object, int(p.index))
			}
			if p.index > 0 {
				c.Prev = p.object.versions[p.index-1].body
			}
			if !yield(k.revision(i), c) {
				return
			}
		}
	}
}

// Outside is Since for the objects that are not in a namespace. Those in it are
// passed over without a look, so each change comes with what n is behind it.
func (k *Kind) Outside(namespace string, n int, to int64) iter.Seq2[int, Change] {
	return func(yield func(int, Change) bool) {
		for i := n; i < len(k.log) && k.revision(i) <= to; i++ {
			path := k.log[i].object.path
			if len(path) > len(namespace) && path[len(namespace)] == '/' && path[:len(namespace)] == namespace {
				continue
			}
			if !yield(i+1, k.change(i)) {
				return
			}
		}
	}
}

func (k *Kind) revision(i int) int64 { return k.log[i].object.versions[k.log[i].index].revision }

func (k *Kind) change(i int) Change {
	return k.changed(k.log[i].object, int(k.log[i].index))
}

// changed is what the i-th version of an object changed.
func (k *Kind) changed(o *object, i int) Change {
	c := Change{Now: k.show(o, i)}
	if i > 0 && o.versions[i-1].body != nil {
		c.Prev = k.show(o, i-1)
	}
	return c
}

// find looks an object up without making a string of its path.
func (k *Kind) find(namespace, name string) *object {
	var buf [128]byte
	b := buf[:0]
	if namespace != "" {
		b = append(append(b, namespace...), '/')
	}
	return k.objects[string(append(b, name...))]
}

// within returns the objects of a namespace, sorted.
func (k *Kind) within(namespace string) []*object {
	sorted := k.order.all()
	if namespace == "" {
		return sorted
	}
	// '0' follows '/' in ASCII: it ends the range of the namespace's keys.
	from, _ := slices.BinarySearchFunc(sorted, namespace+"/", comparePath)
	to, _ := slices.BinarySearchFunc(sorted, namespace+"0", comparePath)
	return sorted[from:to]
}

// after returns the index of the first version after rev.
func (o *object) after(rev int64) int {
	i, _ := slices.BinarySearchFunc(o.versions, rev, func(v version, rev int64) int {
		if v.revision <= rev {
			return -1
		}
		return 1
	})
	return i
}

func (o *object) at(rev int64) *history.Version {
	i := o.after(rev) - 1
	if i < 0 || o.versions[i].body == nil {
		return nil
	}
	return o.versions[i].show()
}

// show returns a version as the records have it. Only one that shares its body
// with an earlier one is made anew.
func (v version) show() *history.Version {
	if v.body.Revision == v.revision {
		return v.body
	}
	whole := *v.body
	whole.Revision, whole.Content = v.revision, v.content
	return &whole
}

func (k *Kind) show(o *object, i int) *history.Version {
	v := o.versions[i]
	if v.body != nil {
		return v.show()
	}
	namespace, name := cutPath(o.path)
	return &history.Version{
		Revision: v.revision, Key: o.key, Delete: true,
		Group: k.name.group, Resource: k.name.resource,
		Namespace: namespace, Name: name,
	}
}
