package endstate

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// What is kept of an object is bounded, and still shows that it differs.
func TestLargeObjects(t *testing.T) {
	f := func(name string, most int, object func(change string) string, want string) {
		t.Helper()
		state := func(change string) *State {
			o := map[string]any{}
			if err := json.Unmarshal([]byte(object(change)), &o); err != nil {
				t.Fatal(err)
			}
			return capturedBy(t, rules(), []listed{{"configmaps", o}})
		}
		a, b := state("a"), state("b")
		if n := len(a.Entries[0].Content); n > most {
			t.Errorf("%s: %d bytes are kept, at most %d were expected", name, n, most)
		}
		if found := Compare(a, state("a")); len(found) > 0 {
			t.Errorf("%s: differs from itself\n%s", name, strings.Join(said(found), "\n"))
		}
		found := Compare(a, b)
		if len(found) != 1 || !strings.Contains(found[0].String(), want) {
			t.Errorf("%s: differences %q, want one with %q", name, said(found), want)
		}
	}
	f("a long text", 300, func(change string) string {
		return `{"metadata":{"name":"x"},"data":{"text":"` + strings.Repeat("long ", 100_000) + change + `"}}`
	}, `data.text: want "long long`)
	f("a large part", 500, func(change string) string {
		var list []string
		for i := range 20_000 {
			list = append(list, fmt.Sprintf(`{"name":"item-%d"}`, i))
		}
		return `{"metadata":{"name":"x"},"spec":{"list":[` + strings.Join(list, ",") + `],"a":1,"b":"` + change + `"}}`
	}, `spec.b: want "a", got "b"`)
	f("many small parts", 500, func(change string) string {
		var list []string
		for i := range 20_000 {
			list = append(list, fmt.Sprintf(`"key-%d":"%s"`, i, change))
		}
		return `{"metadata":{"name":"x"},"data":{` + strings.Join(list, ",") + `}}`
	}, `object: want "sha256:`)
}
