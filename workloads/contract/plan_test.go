package contract

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// drawn is a draw in a form that can be compared.
type drawn struct {
	due            int64
	operation, key string
	seed           uint64
}

func draws(p Plan, client, n int) []drawn {
	s := p.stream(client)
	list := make([]drawn, n)
	for i := range list {
		d := s.next()
		list[i] = drawn{int64(d.due), d.operation.name, d.object.key(), d.seed}
	}
	return list
}

func TestDrawsAreThoseOfTheSeed(t *testing.T) {
	p := NewPlan(7, Options{})
	text, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	var read Plan
	if err := json.Unmarshal(text, &read); err != nil {
		t.Fatal(err)
	}
	for c := range p.Clients {
		a := draws(p, c, 2000)
		if !slices.Equal(a, draws(read, c, 2000)) {
			t.Errorf("client %d: a plan that was written and read draws otherwise", c)
		}
		if slices.Equal(a, draws(NewPlan(8, Options{}), c, 2000)) {
			t.Errorf("client %d: another seed draws the same", c)
		}
		if c > 0 && slices.Equal(a, draws(p, c-1, 2000)) {
			t.Errorf("clients %d and %d draw the same", c-1, c)
		}
	}
}

func TestEveryOperationIsDrawnByItsWeight(t *testing.T) {
	p := NewPlan(1, Options{})
	const n = 20_000
	count, sum := map[string]int{}, 0
	for _, d := range draws(p, 0, n) {
		count[d.operation]++
		o := operationNamed(d.operation)
		for _, fit := range p.objects() {
			if fit.key() == d.key && o.on != nil && !o.on(fit) {
				t.Fatalf("%s drawn for %s, which it is not for", d.operation, d.key)
			}
		}
	}
	for _, w := range p.Table {
		sum += w.Weight
	}
	for _, w := range p.Table {
		want := float64(n*w.Weight) / float64(sum)
		if got := float64(count[w.Name]); got < want*0.7 || got > want*1.3 {
			t.Errorf("%s drawn %.0f times of %d, want about %.0f", w.Name, got, n, want)
		}
	}
}

// Where the store refuses them, each client sends something too large instead of its
// first illegal request, and of every 25th after that; all else is as without.
func TestOversizedIsDrawn(t *testing.T) {
	plain, large := NewPlan(1, Options{}), NewPlan(1, Options{Oversized: true})
	for c := range plain.Clients {
		illegal := 0
		was, is := draws(plain, c, 4000), draws(large, c, 4000)
		for i, d := range was {
			if d.operation == illegalName {
				if illegal%oversizedEvery == 0 {
					d.operation = oversizedName
				}
				illegal++
			}
			if is[i] != d {
				t.Fatalf("client %d, draw %d: %v, want %v", c, i, is[i], d)
			}
		}
		if illegal <= oversizedEvery {
			t.Errorf("client %d drew %d illegal requests", c, illegal)
		}
	}
}

// The rate is that of requests, so operations are as much rarer as they cost.
func TestRate(t *testing.T) {
	p := NewPlan(1, Options{Rate: 50, Clients: 4})
	const n = 20_000
	requests, last := 0.0, int64(0)
	for _, d := range draws(p, 2, n) {
		requests += operationNamed(d.operation).cost
		last = d.due
	}
	if got := requests / (float64(last) / 1e9) * 4; got < 47 || got > 53 {
		t.Errorf("%.1f requests/s are due, want 50", got)
	}
}

func TestOperationsWithoutObjectsAreLeftOut(t *testing.T) {
	p := NewPlan(1, Options{Kinds: []string{"widgets"}, ObjectsPerKind: 1})
	if err := p.Validate(); err != nil {
		t.Fatal(err)
	}
	for _, d := range draws(p, 0, 5000) {
		switch d.operation {
		case "status", "bind", "patch-strategic", "overwrite":
			t.Fatalf("%s drawn, though nothing fits it", d.operation)
		}
	}
}

func TestValidate(t *testing.T) {
	f := func(o Options, want string) {
		t.Helper()
		err := NewPlan(1, o).Validate()
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("Validate of %+v: %v, want %q", o, err, want)
		}
	}
	f(Options{}, "")
	f(Options{Clients: -1}, "clients is -1")
	f(Options{Kinds: []string{"secrets"}}, `unknown kind "secrets"`)
	f(Options{Rate: -3}, "rate is -3")
	f(Options{Weights: map[string]int{"sing": 1}}, `unknown operation "sing"`)
	f(Options{Weights: map[string]int{"get": -1}}, "weight of get is -1")
	f(Options{Kinds: []string{"leases"}, Weights: only("bind")}, "no operation of the table fits")
}

// only turns off all operations but one.
func only(name string) map[string]int {
	weights := map[string]int{}
	for _, op := range table {
		if op.name != name {
			weights[op.name] = 0
		}
	}
	return weights
}

// The table that people read is the one that is drawn from.
func TestDocumentedTable(t *testing.T) {
	text, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	var documented, drawn []string
	for _, m := range regexp.MustCompile(`(?m)^//\t([a-z-]+) +(\d+)  `).FindAllStringSubmatch(string(text), -1) {
		documented = append(documented, m[1]+" "+m[2])
	}
	for _, w := range NewPlan(1, Options{}).Table {
		drawn = append(drawn, fmt.Sprint(w.Name, " ", w.Weight))
	}
	if !slices.Equal(documented, drawn) {
		t.Errorf("documented are %q, drawn from is %q", documented, drawn)
	}
	for what, n := range map[string]int{
		"legal combinations of resourceVersion, match": len(legalLists),
		"legal combinations of resourceVersion, send":  len(legalWatches),
		"other requests that no server may":            len(faults),
	} {
		if !strings.Contains(string(text), fmt.Sprint("one of the ", n, " ", what)) && !strings.Contains(string(text), fmt.Sprint("one of ", n, " ", what)) {
			t.Errorf("the documentation does not say that there are %d %s", n, what)
		}
	}
	for _, n := range []int{len(illegalLists), len(illegalWatches)} {
		if !strings.Contains(string(text), fmt.Sprint("one of the ", n, " others")) {
			t.Errorf("the documentation does not say that there are %d others", n)
		}
	}
}
