package results

import (
	"encoding/json"
	"math"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/planecheck/planecheck/checkers"
)

// twice is a run like exampleRun of which every figure is twice as large. Phases are as
// long as there, so that rates are twice as large, too.
func twice() *Run {
	r := exampleRun()
	same := []string{"Schema", "Seed", "Host", "Estimate", "Duration", "Start", "Length", "Threshold", "MinRatio", "Status"}
	double(reflect.ValueOf(r).Elem(), same)
	return r
}

func double(v reflect.Value, same []string) {
	if v.Type() == reflect.TypeFor[time.Time]() {
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if !slices.Contains(same, v.Type().Field(i).Name) {
				double(v.Field(i), same)
			}
		}
	case reflect.Pointer:
		if !v.IsNil() {
			double(v.Elem(), same)
		}
	case reflect.Slice:
		for i := range v.Len() {
			double(v.Index(i), same)
		}
	case reflect.Map:
		for _, key := range v.MapKeys() {
			value := reflect.New(v.Type().Elem()).Elem()
			value.Set(v.MapIndex(key))
			double(value, same)
			v.SetMapIndex(key, value)
		}
	case reflect.Float64:
		v.SetFloat(2 * v.Float())
	case reflect.Int, reflect.Int64:
		v.SetInt(2 * v.Int())
	}
}

// TestDiffKeepsTheSidesApart compares a run with one of which every figure is twice as
// large: wherever one of A stood for one of B, the ratio would be another one.
func TestDiffKeepsTheSidesApart(t *testing.T) {
	a, b := exampleRun(), twice()
	compared := map[string]int{}
	for _, table := range figureTables(a, b) {
		for _, row := range table.rows(a, b) {
			for i, c := range table.columns {
				x, y := row.a[i], row.b[i]
				if c.name == "time" || math.IsNaN(x.value) && math.IsNaN(y.value) {
					continue
				}
				compared[table.title]++
				if math.Abs(y.value-2*x.value) > 1e-9*y.value || y.value != 0 && x.text == y.text {
					t.Errorf("%s, %q, %s: A %s, B %s; B is twice A", table.title, row.labels, c.name, x.text, y.text)
				}
			}
		}
	}
	for _, table := range figureTables(a, b) {
		if compared[table.title] < 2 && table.title != "Life of a pod: hold" {
			t.Errorf("%s: %d figures compared, which proves nothing", table.title, compared[table.title])
		}
	}
	text := RenderDiff(Side{Dir: "a", Run: a}, Side{Dir: "b", Run: b})
	ratios := regexp.MustCompile(`\S+×`).FindAllString(text, -1)
	for _, ratio := range ratios {
		if ratio != "2.00×" {
			t.Errorf("a ratio of %s", ratio)
		}
	}
	if len(ratios) < 30 {
		t.Errorf("%d ratios", len(ratios))
	}
	words := strings.Join(strings.Fields(text), " ")
	for _, want := range []string{
		"fill Running 150,000 300,000 700s 700s 214 429 2.00×",
		"pace with all SLOs met - - - - 201 402 2.00×",
		"created → bound 310ms 620ms 2.00× 700ms 1.40s 2.00× 1.20s 2.40s 2.00×",
		"patch pods/status 150,000 300,000 11.0ms 22.0ms 2.00× 390ms 780ms 2.00×",
		"patch pods/status 150,007 300,014 420ms 840ms 2.00×",
		"fill 340,000 680,000 95.0ms 190ms 2.00× 800ms 1.60s 0 0 0 0",
		"kube-apiserver-0 900 1800 2.00× 8.0 GiB 16 GiB 2.00×",
	} {
		if !strings.Contains(words, want) {
			t.Errorf("%q is missing in\n%s", want, text)
		}
	}
}

// differing is a run that was made otherwise than exampleRun, and came to something else.
func differing() *Run {
	r := twice()
	r.Plan = json.RawMessage(`{"seed":43,"world":{"backend":"memory","nodes":5000},"phases":["register","fill"],"judge":{"claimed":["Order"]}}`)
	r.Settings = settingsOf("127.0.0.1:4001", "/there/runs/b", "--v=2")
	r.Seed, r.Versions = 43, map[string]string{"kubernetes": "v1.37.2", "planecheck": "b123456"}
	r.Verdict = Verdict{Outcome: Pass, Guarantees: []checkers.Verdict{
		{Guarantee: "EveryPodRunning", Outcome: Pass}, {Guarantee: "NoLeaseMissed", Outcome: Pass},
		{Area: checkers.AreaStore, Guarantee: "Order", Outcome: checkers.Invalid, Detail: "a segment\nis missing"},
	}}
	r.Phases = append(r.Phases, Phase{Name: "churn", Duration: Seconds(10 * time.Second), Pods: PodFigures{Counts: PodCounts{Deleted: 50}}})
	r.Phases[0].Pods.Hops = r.Phases[0].Pods.Hops[1:]
	r.Phases[0].Servers.Calls[1].Full.Beyond = 300_000
	r.Calls = append(r.Calls, CallFigures{Call: Call{"get", "", "widgets", "", "resource"}}) // none counted: no row
	delete(r.Peak.Components, "kube-apiserver-0")
	return r
}

func settingsOf(addr, dir, arg string) json.RawMessage {
	_, number, _ := strings.Cut(addr, ":")
	return json.RawMessage(`{"components":[{"Name":"kube-apiserver-0","PID":` + number + `,"Addr":"` + addr + `","LogFile":"` + dir +
		`/logs/kube-apiserver-0.log","Args":["--secure-port=` + number + `","--etcd-servers=http://` + addr + `","--cert=` + dir + `/pki/a.crt","` + arg + `"]}]}`)
}

func TestRenderDiff(t *testing.T) {
	a := exampleRun()
	a.Plan = json.RawMessage(`{"seed":42,"world":{"backend":"etcd","nodes":5000},"phases":["register","fill","hold"],"judge":{"claimed":["Order","Reads"]}}`)
	a.Settings = settingsOf("127.0.0.1:3001", "/here/runs/a", "--v=1")
	got := RenderDiff(Side{Dir: "runs/a", Run: a}, Side{Dir: "runs/b", Run: differing(), Gaps: []string{"series.jsonl is missing"}})
	golden(t, "diff", got)
	checkWidth(t, got)
}

func TestDiffIsNeverTooWide(t *testing.T) {
	full := Side{Dir: "a", Run: fullRun()}
	checkWidth(t, RenderDiff(full, full))
	checkWidth(t, RenderDiff(full, Side{Dir: "b", Run: &Run{Name: "x"}}))
}

// Of the same run nothing differs, and of runs without figures there is nothing to show.
func TestDiffOfTheSame(t *testing.T) {
	same := Side{Dir: "a", Run: differing()}
	text := RenderDiff(same, same)
	for _, want := range []string{"as far as they differ\n  nothing\n", "Verdicts that differ\n  none of 3\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in\n%s", want, text)
		}
	}
	for _, ratio := range regexp.MustCompile(`\S+×`).FindAllString(text, -1) {
		if ratio != "1.00×" {
			t.Errorf("a ratio of %s", ratio)
		}
	}
	none := Side{Dir: "a", Run: &Run{Name: "x"}}
	if text := RenderDiff(none, none); strings.Contains(text, "×") || strings.Contains(text, "Leases") {
		t.Errorf("of runs without figures:\n%s", text)
	}
}

func TestRatio(t *testing.T) {
	f := func(a, b cell, want string) {
		t.Helper()
		if got := ratioText(a, b); got != want {
			t.Errorf("%v to %v: %s, want %s", a, b, got, want)
		}
	}
	f(digitsCell(2), digitsCell(3), "1.50×")
	f(digitsCell(2), digitsCell(0), "0.00×")
	f(digitsCell(0), digitsCell(2), "-")
	f(digitsCell(0), digitsCell(0), "-")
	f(unmeasured(), digitsCell(2), "-")
	f(digitsCell(2), unmeasured(), "-")
}
