package endstate

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

// Whatever an API server serves, its custom resources may hold anything:
// normalization must not panic, must not depend on anything but the object, and
// its result must survive the file.
func FuzzNormalize(f *testing.F) {
	resources := []string{"things.example.com"}
	for _, r := range rules() {
		resources = append(resources, r.of...)
	}
	slices.Sort(resources)
	resources = slices.Compact(resources)
	for _, o := range parseObjects(f, "a", shop+way) {
		raw, err := marshal(o.object)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(slices.Index(resources, o.resource), raw)
	}
	f.Add(0, []byte(`{"metadata":{"name":"","generateName":"x","uid":"u","labels":[],"annotations":null,"ownerReferences":[{"uid":"u","controller":true},7]},"spec":[],"status":0}`))
	f.Add(0, []byte(`null`))
	f.Fuzz(func(t *testing.T, which int, raw []byte) {
		if which < 0 {
			which = -(which + 1)
		}
		resource := resources[which%len(resources)]
		state := func() *State {
			b := newBuilder(rules(), []string{"excluded"})
			for range 2 { // the same object twice, as an owner of itself perhaps
				var object map[string]any
				if json.Unmarshal(raw, &object) != nil {
					t.Skip()
				}
				if err := b.add(resource, object); err != nil {
					t.Fatal(err)
				}
			}
			return b.state()
		}
		first, second := state(), state()
		if found := Compare(first, second); len(found) > 0 {
			t.Fatalf("an object differs from itself:\n%s", strings.Join(said(found), "\n"))
		}
		data, err := first.encode()
		if err != nil {
			t.Fatal(err)
		}
		loaded, err := decode(data)
		if err != nil {
			t.Fatal(err)
		}
		if found := Compare(first, loaded); len(found) > 0 {
			t.Fatalf("a state differs after it was saved:\n%s", strings.Join(said(found), "\n"))
		}
		for _, e := range first.Entries {
			_ = e.Render()
		}
	})
}
