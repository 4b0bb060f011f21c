package results

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// TestInputs compares plans and settings.
func TestInputs(t *testing.T) {
	f := func(a, b, want string) {
		t.Helper()
		got := renderInputs(&Run{Plan: json.RawMessage(a)}, &Run{Plan: json.RawMessage(b)})
		if words := strings.Join(strings.Fields(got), " "); words != want {
			t.Errorf("%s and %s: %q, want %q", a, b, words, want)
		}
	}
	many := func(n int) string { return `{"a":[0` + strings.Repeat(",1", n-1) + `]}` }
	long := strings.Repeat("word ", 8)
	f(`{"a":1}`, `{"a":1}`, "nothing")
	f(``, `{"a":null,"b":[]}`, "nothing")
	f(`{"a":{"b":1,"c":2}}`, `{"a":{"b":1,"c":3}}`, "A B plan.a.c 2 3")
	f(`{"seed":18446744073709551615}`, `{"seed":18446744073709551614}`, "A B plan.seed 18446744073709551615 18446744073709551614")
	f(`{"a":true}`, `{}`, "A B plan.a true -")
	f(`{"a":""}`, `{"a":"x"}`, "A B plan.a - x")
	f(`{"a":["x","y"]}`, `{"a":["y","z"]}`, "plan.a A x B z")
	f(`{"a":["x","y"]}`, `{"a":["y","x"]}`, "plan.a the same in another order or number")
	f(`{"a":["x"]}`, `{"a":["x","x"]}`, "plan.a the same in another order or number")
	f(`{"a":["x"]}`, `{"a":["y"]}`, "A B plan.a x y")
	f(`{"a":[1,2]}`, `{"a":[1,3]}`, "A B plan.a[1] 2 3")
	f(`{"a":[{"name":"x","n":1},{"name":"y","n":2}]}`, `{"a":[{"name":"y","n":3},{"name":"x","n":1}]}`, "A B plan.a[y].n 2 3")
	f(`{"a":[{"name":"x"},{"name":"x","n":2}]}`, `{"a":[{"name":"x"},{"name":"x","n":3}]}`, "A B plan.a[1].n 2 3")
	f(many(31), many(31), "nothing")
	f(many(31), strings.Replace(many(31), "0", "2", 1), "A B plan.a 31 items, hash e4a710a9 31 items, hash 2f06cce7")
	f(`{"a":"`+long+`"}`, `{"a":"x"}`, "plan.a A "+strings.TrimSpace(long)+" B x")
}

// What is another in each run of the same plan differs in nothing, and what is beside
// it does.
func TestFleetingSettings(t *testing.T) {
	run := func(addr, dir, arg string) *Run { return &Run{Settings: settingsOf(addr, dir, arg)} }
	a := run("127.0.0.1:3001", "/here/runs/a", "--v=1")
	if got := renderInputs(a, run("127.0.0.1:4001", "/there/b", "--v=1")); got != "  nothing\n" {
		t.Errorf("ports, processes and directories count:\n%s", got)
	}
	got := renderInputs(a, run("127.0.0.1:4001", "/there/b", "--v=2"))
	if want := "  settings.components[kube-apiserver-0].Args\n    A  --v=1\n    B  --v=2\n"; got != want {
		t.Errorf("got\n%s, want\n%s", got, want)
	}
}

// Versions and machines count as well.
func TestInputsOfTheMachine(t *testing.T) {
	a := &Run{Versions: map[string]string{"go": "go1.26.8", "etcd": "3.7.3"}, Host: Host{CPUs: 2, Kernel: "6.18"}}
	b := &Run{Versions: map[string]string{"go": "go1.26.9", "etcd": "3.7.3"}, Host: Host{CPUs: 4, Kernel: "6.18"}}
	got := strings.Join(strings.Fields(renderInputs(a, b)), " ")
	if want := "A B machine: CPUs 2 4 version of go go1.26.8 go1.26.9"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// So many differences that nobody reads them are counted.
func TestManyInputs(t *testing.T) {
	var a, b, c []string
	for i := range 70 {
		a = append(a, fmt.Sprintf(`"k%02d":1`, i))
		b = append(b, fmt.Sprintf(`"k%02d":2`, i))
		c = append(c, fmt.Sprintf(`"x%02d"`, i))
	}
	object := func(members []string) *Run {
		return &Run{Plan: json.RawMessage("{" + strings.Join(members, ",") + "}")}
	}
	if got := renderInputs(object(a), object(b)); !strings.HasSuffix(got, "  and 10 more, see run.json of both\n") || !strings.Contains(got, "plan.k59") {
		t.Errorf("got\n%s", got)
	}
	list := &Run{Plan: json.RawMessage(`{"a":[` + strings.Join(c, ",") + `]}`)}
	if got := renderInputs(list, &Run{}); !strings.HasSuffix(got, "    A  x07\n    A  and 62 more\n") {
		t.Errorf("got\n%s", got)
	}
}
