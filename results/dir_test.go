package results

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/planecheck/planecheck/checkers/cluster"
)

func TestSaveAndLoad(t *testing.T) {
	d, err := Create(filepath.Join(t.TempDir(), "runs"), "scale/density")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(d.Path, "Z-scale-density") {
		t.Errorf("path = %s", d.Path)
	}
	want := exampleRun()
	want.Plan = json.RawMessage(`{"pods":3000}`)
	for range 2 { // the second replaces the first
		if err := d.Save(want); err != nil {
			t.Fatal(err)
		}
	}
	got, err := Load(d.Path)
	if err != nil {
		t.Fatal(err)
	}
	// The plan comes back with other blanks.
	sameJSON := cmp.Transformer("json", func(r json.RawMessage) (v any) {
		if len(r) == 0 {
			return nil
		}
		if err := json.Unmarshal(r, &v); err != nil {
			t.Error(err)
		}
		return v
	})
	if diff := cmp.Diff(want, got, sameJSON); diff != "" {
		t.Errorf("loaded run (-want +got):\n%s", diff)
	}
	files, err := os.ReadDir(d.Path)
	if err != nil || len(files) != 1 {
		t.Errorf("files left: %v, %v; want run.json alone", files, err)
	}
	if diff := cmp.Diff(Render(want), Render(got)); diff != "" {
		t.Errorf("rendered again (-want +got):\n%s", diff)
	}
}

func TestCreateTwiceInASecond(t *testing.T) {
	base := t.TempDir()
	a, errA := Create(base, "x")
	b, errB := Create(base, "x")
	if errA != nil || errB != nil || a.Path == b.Path {
		t.Errorf("%v, %v; %v, %v", a, b, errA, errB)
	}
}

func TestCreateSaysWhatIsWrong(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Create(file, "x"); err == nil || !strings.Contains(err.Error(), "create run directory") {
		t.Errorf("base is a file: %v", err)
	}
	// A full disk is /dev/full behind a link: what fails is removed, and that
	// must be the link, never the device.
	full := filepath.Join(t.TempDir(), "full")
	if err := os.Symlink("/dev/full", full); err != nil {
		t.Fatal(err)
	}
	err := writeDurably(full, make([]byte, 100), func(string) error { return nil })
	if err == nil || !strings.Contains(err.Error(), "no space left") {
		t.Errorf("full disk: %v", err)
	}
	if _, err := os.Lstat(full); err == nil {
		t.Error("the file that could not be written is left")
	}
}

func TestSaveKeepsTheOldFileIfItFails(t *testing.T) {
	d, err := Create(t.TempDir(), "x")
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Save(&Run{Name: "first"}); err != nil {
		t.Fatal(err)
	}
	// A directory in the way of the temporary file.
	if err := os.Mkdir(d.File("run.json.tmp"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := d.Save(&Run{Name: "second"}); err == nil {
		t.Error("saved across a directory")
	}
	if r, err := Load(d.Path); err != nil || r.Name != "first" {
		t.Errorf("loaded %v, %v; want the first", r, err)
	}
}

func TestLoadRefuses(t *testing.T) {
	f := func(content, want string) {
		t.Helper()
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "run.json"), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(dir); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want %q", content, err, want)
		}
	}
	f(`{"schema":99}`, "has schema 99, this planecheck reads schema 1")
	f(`{}`, "has schema 0")
	f(`{"schema":1`, "is not the record of a run")
	f(`{"schema":1,"seed":"x"}`, "cannot unmarshal")
	f(`{"schema":1,"phases":[{"duration_seconds":"x"}]}`, "is not a number of seconds")
	if _, err := Load(t.TempDir()); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("no run.json: %v", err)
	}
}

func TestSeconds(t *testing.T) {
	f := func(d time.Duration, text, inJSON string) {
		t.Helper()
		if got := Seconds(d).String(); got != text {
			t.Errorf("%v prints as %q, want %q", d, got, text)
		}
		b, err := json.Marshal(Seconds(d))
		if err != nil || string(b) != inJSON {
			t.Errorf("%v is %s in JSON (%v), want %s", d, b, err, inJSON)
		}
		var back Seconds
		if err := json.Unmarshal(b, &back); err != nil || back != Seconds(d) {
			t.Errorf("%v comes back as %v (%v)", d, back, err)
		}
	}
	f(0, "0µs", "0")
	f(820*time.Microsecond, "820µs", "0.00082")
	f(12_345*time.Microsecond, "12.3ms", "0.012345")
	f(999_600*time.Microsecond, "1000ms", "0.9996")
	f(1234*time.Millisecond, "1.23s", "1.234")
	f(252*time.Second, "252s", "252")
}

// TestMoments reads when a run had settled from new records and from old ones.
func TestMoments(t *testing.T) {
	for text, want := range map[string][]cluster.Moment{
		`{"schema":1}`:                         nil,
		`{"schema":1,"settled_revision":1234}`: {{Revision: 1234}},
		`{"schema":1,"settled":[{"revision":12,"after":"hold"},{"revision":34,"after":"churn","busy":true}]}`: {
			{Revision: 12, After: "hold"}, {Revision: 34, After: "churn", Busy: true}},
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "run.json"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		run, err := Load(dir)
		if err != nil {
			t.Fatal(err)
		}
		if got := run.Moments(); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", text, got, want)
		}
	}
}
