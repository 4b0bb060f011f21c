package endstate

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// A list of differences is for people; the number of the rest is enough where
// everything differs.
const (
	mostDifferences = 100
	mostChanges     = 10
	longestValue    = 120 // bytes
)

// Kind says what a Difference is.
type Kind string

// The kinds of Difference.
const (
	Missing Kind = "missing" // is wanted and not there
	Surplus Kind = "surplus" // is there and not wanted
	Differs Kind = "differs"
	// More is the last of a list that would be too long: Count says how many
	// differences are left out.
	More Kind = "more"
)

// Difference is one thing in which two states differ.
type Difference struct {
	Kind      Kind   `json:"kind"`
	Resource  string `json:"resource,omitempty"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name,omitempty"`
	// Changes are the first paths that differ. Of a surplus or a missing number
	// of objects they also say what tells it from what is on the other side.
	Changes []Change `json:"changes,omitempty"`
	// Count is how many changes, or differences, are left out.
	Count int `json:"count,omitempty"`
}

// Change is one path with both values as JSON, "(none)" where there is none.
type Change struct {
	Path string `json:"path"`
	Want string `json:"want"`
	Got  string `json:"got"`
}

const none = "(none)"

// String is one line for the object and one for each change.
func (d Difference) String() string {
	if d.Kind == More {
		return fmt.Sprintf("and %d more differences", d.Count)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s", d.Kind, d.Resource)
	if name := strings.TrimPrefix(d.Namespace+"/"+d.Name, "/"); name != "" {
		b.WriteString(" " + name)
	}
	for _, c := range d.Changes {
		fmt.Fprintf(&b, "\n  %s: want %s, got %s", c.Path, c.Want, c.Got)
	}
	if d.Count > 0 {
		fmt.Fprintf(&b, "\n  and %d more", d.Count)
	}
	return b.String()
}

// Compare returns in what got differs from want, sorted by resource, namespace
// and name; nothing if the end states are equal.
func Compare(want, got *State) []Difference {
	list := slices.Concat(compareLists("excluded namespaces", want.Excluded, got.Excluded),
		compareResources(want.Resources, got.Resources))
	w, g := byName(want.Entries), byName(got.Entries)
	var names []identity
	for n := range w {
		names = append(names, n)
	}
	for n := range g {
		if w[n] == nil {
			names = append(names, n)
		}
	}
	slices.SortFunc(names, identity.compare)
	for _, n := range names {
		list = append(list, compareVariants(n, w[n], g[n])...)
	}
	if rest := len(list) - mostDifferences; rest > 0 {
		list = append(list[:mostDifferences:mostDifferences], Difference{Kind: More, Count: rest})
	}
	return list
}

// compareLists refuses to compare states that leave out different things: every
// difference that follows may be due to that.
func compareLists(what string, want, got []string) []Difference {
	if slices.Equal(want, got) {
		return nil
	}
	return []Difference{{Kind: Differs, Resource: what, Changes: []Change{{what, show(want), show(got)}}}}
}

// compareResources finds the resources that only one side was served.
func compareResources(want, got []string) []Difference {
	var list []Difference
	for _, r := range want {
		if !slices.Contains(got, r) {
			list = append(list, Difference{Kind: Missing, Resource: "the resource " + r})
		}
	}
	for _, r := range got {
		if !slices.Contains(want, r) {
			list = append(list, Difference{Kind: Surplus, Resource: "the resource " + r})
		}
	}
	slices.SortFunc(list, func(a, b Difference) int { return cmp.Compare(a.Resource, b.Resource) })
	return list
}

// identity is what the two sides have in common where they have anything.
type identity struct{ resource, namespace, name string }

func identityOf(e *Entry) identity { return identity{e.Resource, e.Namespace, e.Name} }

func (n identity) compare(m identity) int {
	return cmp.Or(cmp.Compare(n.resource, m.resource), cmp.Compare(n.namespace, m.namespace), cmp.Compare(n.name, m.name))
}

func byName(entries []Entry) map[identity][]*Entry {
	m := make(map[identity][]*Entry, len(entries))
	for i := range entries {
		e := &entries[i]
		m[identityOf(e)] = append(m[identityOf(e)], e)
	}
	return m
}

// compareVariants compares what has one name: the templates of a Deployment's
// pods, or one object on each side.
func compareVariants(n identity, want, got []*Entry) []Difference {
	// The most common case by far, without any work.
	if len(want) == 1 && len(got) == 1 {
		return difference(n, want[0], got[0])
	}
	var list []Difference
	var missing []*Entry
	left := slices.Clone(got)
	for _, w := range want {
		i := slices.IndexFunc(left, func(g *Entry) bool { return bytes.Equal(w.Content, g.Content) && slices.Equal(w.Owners, g.Owners) })
		if i < 0 {
			missing = append(missing, w)
			continue
		}
		list = append(list, difference(n, w, left[i])...)
		left = slices.Delete(left, i, i+1)
	}
	if len(missing) == 1 && len(left) == 1 {
		return append(list, difference(n, missing[0], left[0])...)
	}
	for _, w := range missing {
		list = append(list, alone(Missing, n, w, first(got)))
	}
	for _, g := range left {
		list = append(list, alone(Surplus, n, g, first(want)))
	}
	return list
}

func first(list []*Entry) *Entry {
	if len(list) == 0 {
		return nil
	}
	return list[0]
}

// difference compares two entries of one name.
func difference(n identity, want, got *Entry) []Difference {
	c := &changes{}
	c.compare(want, got)
	if len(c.list) == 0 {
		return nil
	}
	return []Difference{c.difference(Differs, n)}
}

// alone is an entry that the other side has not. nearest is what the other
// side has under that name, nil if it has nothing.
func alone(kind Kind, n identity, e, nearest *Entry) Difference {
	c := &changes{}
	want, got := e, &Entry{}
	if kind == Surplus {
		want, got = got, want
	}
	c.counts(want.Counts, got.Counts)
	if nearest != nil {
		want, got = e, nearest
		if kind == Surplus {
			want, got = got, want
		}
		c.contents(want, got)
	}
	return c.difference(kind, n)
}

// changes gathers paths that differ.
type changes struct {
	list []Change
	more int
}

func (c *changes) difference(kind Kind, n identity) Difference {
	return Difference{Kind: kind, Resource: n.resource, Namespace: n.namespace, Name: n.name, Changes: c.list, Count: c.more}
}

func (c *changes) add(path, want, got string) {
	if len(c.list) >= mostChanges {
		c.more++
		return
	}
	c.list = append(c.list, Change{path, want, got})
}

func (c *changes) compare(want, got *Entry) {
	c.counts(want.Counts, got.Counts)
	c.contents(want, got)
}

func (c *changes) counts(want, got map[string]int64) {
	for _, what := range union(want, got) {
		if want[what] != got[what] {
			c.add("number: "+what, fmt.Sprint(want[what]), fmt.Sprint(got[what]))
		}
	}
}

func (c *changes) contents(want, got *Entry) {
	if !slices.Equal(want.Owners, got.Owners) {
		c.add("owners", show(want.Owners), show(got.Owners))
	}
	if bytes.Equal(want.Content, got.Content) {
		return
	}
	c.values("", parse(want.Content), parse(got.Content))
}

// parse leaves numbers as they were written.
func parse(raw json.RawMessage) (v any) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if d.Decode(&v) != nil {
		return string(raw)
	}
	return v
}

// absent stands for a value that one side has not, which is not null.
type absent struct{}

func (c *changes) values(path string, want, got any) {
	switch w := want.(type) {
	case map[string]any:
		if g, ok := got.(map[string]any); ok {
			for _, key := range union(w, g) {
				c.values(join(path, key), valueOf(w, key), valueOf(g, key))
			}
			return
		}
	case []any:
		if g, ok := got.([]any); ok {
			for i := range max(len(w), len(g)) {
				c.values(fmt.Sprintf("%s[%d]", path, i), element(w, i), element(g, i))
			}
			return
		}
	}
	if a, b := show(want), show(got); a != b {
		c.add(path, cut(a), cut(b))
	}
}

func union[V any](a, b map[string]V) []string {
	both := maps.Clone(a)
	if both == nil {
		both = map[string]V{}
	}
	maps.Copy(both, b)
	return slices.Sorted(maps.Keys(both))
}

func valueOf(m map[string]any, key string) any {
	if v, found := m[key]; found {
		return v
	}
	return absent{}
}

func element(list []any, i int) any {
	if i < len(list) {
		return list[i]
	}
	return absent{}
}

func show(v any) string {
	if _, nothing := v.(absent); nothing {
		return none
	}
	raw, err := marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(raw)
}

func cut(s string) string {
	if len(s) <= longestValue {
		return s
	}
	return start(s, longestValue) + "..."
}
