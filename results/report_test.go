package results

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/planecheck/planecheck/checkers"
)

// wholeRun has a value in every field that a record of a run can have.
func wholeRun() *Run {
	r := &Run{}
	n := 0
	fill(reflect.ValueOf(r).Elem(), &n)
	r.Schema = Schema
	for i, area := range []string{"", checkers.AreaStore, checkers.AreaAPI, checkers.AreaCluster} {
		r.Verdict.Guarantees = append(r.Verdict.Guarantees, r.Verdict.Guarantees[i%2])
		r.Verdict.Guarantees[len(r.Verdict.Guarantees)-1].Area = area
	}
	return r
}

// fill gives every field below v another value, two to each list and map.
func fill(v reflect.Value, n *int) {
	*n++
	switch v.Interface().(type) {
	case time.Time:
		v.Set(reflect.ValueOf(time.Date(2026, 11, 23, 10, 0, *n, 0, time.UTC)))
		return
	case json.RawMessage:
		v.Set(reflect.ValueOf(json.RawMessage(`{"number":1}`)))
		return
	case Seconds:
		v.SetInt(int64(*n) * int64(time.Millisecond))
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i), n)
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), n)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fill(v.Index(0), n)
		fill(v.Index(1), n)
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		for range 2 {
			key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
			fill(key, n)
			fill(value, n)
			v.SetMapIndex(key, value)
		}
	case reflect.String:
		v.SetString("text " + strings.Repeat("x", *n%7))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Float64:
		v.SetFloat(float64(*n) + 0.1)
	case reflect.Uint64:
		v.SetUint(1<<63 + uint64(*n)) // a float would lose digits of it
	default:
		v.SetInt(int64(*n))
	}
}

// Whatever a run knows is in its directory, so that `planecheck report` prints what the
// run did.
func TestNothingOfARunIsLost(t *testing.T) {
	d := &Dir{Path: t.TempDir()}
	r := wholeRun()
	if err := d.Save(r); err != nil {
		t.Fatal(err)
	}
	saved, err := Load(d.Path)
	if err != nil {
		t.Fatal(err)
	}
	r.Plan, r.Settings, saved.Plan, saved.Settings = nil, nil, nil, nil // these get other blanks
	if diff := cmp.Diff(r, saved); diff != "" {
		t.Errorf("lost on the way to the disk (-want +got):\n%s", diff)
	}
	for name, run := range map[string]*Run{"whole": r, "example": exampleRun(), "faults": {Name: "faults/swarm", Availability: exampleAvailability()}} {
		if err := d.Save(run); err != nil {
			t.Fatal(err)
		}
		saved, err := Load(d.Path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(Summary(run, "runs/x"), Summary(saved, "runs/x")); diff != "" {
			t.Errorf("%s: what the run printed, and what its directory gives (-want +got):\n%s", name, diff)
		}
	}
}

func TestSummarySaysWhereTheRestIs(t *testing.T) {
	if got := Summary(exampleRun(), "runs/x"); got != Render(exampleRun())+"\nEverything measured: runs/x\n" {
		t.Errorf("it ends with %q", got[max(0, len(got)-60):])
	}
}

func TestSummarySaysWhatATimeSeriesLeavesOut(t *testing.T) {
	r := &Run{LeftOut: map[string]int64{TimeSeries: 12345}}
	const want = "\nseries.jsonl was kept below 64 MiB: 12,345 rows are left out, the later the more\n"
	if got := Summary(r, "runs/x"); !strings.HasSuffix(got, want+"\nEverything measured: runs/x\n") {
		t.Errorf("it ends with %q", got[max(0, len(got)-200):])
	}
}

// What is missing in a directory is said, and only that.
func TestGaps(t *testing.T) {
	ended := exampleRun()
	killed := exampleRun()
	killed.Ended = time.Time{}
	faulty := exampleRun()
	faulty.Availability = exampleAvailability()
	rows := "{\"t\":1}\n{\"t\":2}\n"
	for name, test := range map[string]struct {
		run   *Run
		files map[string]string // a directory for "/"
		want  []string
	}{
		"whole":          {ended, map[string]string{TimeSeries: rows}, nil},
		"empty series":   {ended, map[string]string{TimeSeries: ""}, nil},
		"no series":      {ended, nil, []string{"series.jsonl is missing; no figure here comes from it"}},
		"cut series":     {ended, map[string]string{TimeSeries: rows[:12]}, []string{"series.jsonl ends within a row"}},
		"a directory":    {ended, map[string]string{TimeSeries: "/"}, []string{"series.jsonl cannot be read"}},
		"killed":         {killed, map[string]string{TimeSeries: rows}, []string{"the run has not ended, or was killed"}},
		"unmeasured":     {&Run{Name: "up", Ended: ended.Ended}, nil, nil},
		"whole faults":   {faulty, map[string]string{TimeSeries: rows, AvailabilitySeries: rows}, nil},
		"faults, no one": {faulty, map[string]string{TimeSeries: rows[:1]}, []string{"series.jsonl ends within a row", "availability.jsonl is missing"}},
	} {
		dir := t.TempDir()
		for file, text := range test.files {
			var err error
			if path := filepath.Join(dir, file); text == "/" {
				err = os.Mkdir(path, 0o700)
			} else {
				err = os.WriteFile(path, []byte(text), 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		got := Gaps(test.run, dir)
		for i, want := range test.want {
			if i >= len(got) || !strings.HasPrefix(got[i], want) {
				t.Errorf("%s: gaps %q, want %q", name, got, test.want)
			}
		}
		if len(got) != len(test.want) {
			t.Errorf("%s: gaps %q, want %d", name, got, len(test.want))
		}
	}
}

// FuzzDecode reads any bytes as a run.json: they are refused in one line, or can be
// rendered, alone and beside another run, and give the same text when they were saved
// again.
func FuzzDecode(f *testing.F) {
	for _, r := range []*Run{wholeRun(), exampleRun(), {Schema: Schema, Name: "x", Availability: exampleAvailability()}} {
		b, err := json.Marshal(r)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
		f.Add(b[:len(b)/2])
	}
	for _, text := range []string{
		"", "{}", "[]", "null", `{"schema":1}`, `{"schema":2}`, `{"schema":1,"phases":[null],"verdict":null}`, "\xff",
		`{"schema":1,"name":"a\nb","phases":[{"duration_seconds":-1,"pods":{"counts":{"created":-5}},"slos":[{}]}]}`,
		`{"schema":1,"plan":[1,"a",{"name":1}],"settings":{"components":[{"LogFile":"/logs/"}]}}`,
		`{"schema":1,"history":{"operations":-1,"bytes":1},"contract":{"seconds":1e-9},"peak":{"components":{"":{"cpu_seconds":-1e308}}}}`,
	} {
		f.Add([]byte(text))
	}
	other := Side{Dir: "b", Run: exampleRun()}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := decode(b)
		if err != nil {
			if strings.ContainsAny(err.Error(), "\n\r") {
				t.Errorf("an error of several lines: %q", err)
			}
			return
		}
		text := Summary(r, "a")
		RenderDiff(Side{Dir: "a", Run: r}, other)
		RenderDiff(other, Side{Dir: "a", Run: r})
		again, err := json.Marshal(r)
		if err != nil {
			t.Fatalf("it cannot be saved again: %v", err)
		}
		saved, err := decode(again)
		if err != nil {
			t.Fatalf("it cannot be read again: %v", err)
		}
		if diff := cmp.Diff(text, Summary(saved, "a")); diff != "" {
			t.Errorf("saved again it gives another text:\n%s", diff)
		}
	})
}
