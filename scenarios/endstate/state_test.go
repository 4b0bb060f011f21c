package endstate

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func example(t testing.TB) *State {
	s := capturedBy(t, rules(), parseObjects(t, "a", shop))
	s.Resources, s.Excluded = []string{"configmaps", "pods"}, []string{"contract-0"}
	return s
}

func TestSaveAndLoad(t *testing.T) {
	dir := t.TempDir()
	want := example(t)
	for range 2 { // the second replaces the first
		if err := want.Save(dir); err != nil {
			t.Fatal(err)
		}
	}
	got, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("loaded state (-want +got)\n%s", diff)
	}
	if found := Compare(want, got); len(found) > 0 {
		t.Errorf("a loaded state differs from the saved one:\n%s", strings.Join(said(found), "\n"))
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 1 || files[0].Name() != File {
		t.Errorf("files left: %v, %v; want %s alone", files, err, File)
	}
}

func TestSaveKeepsTheOldFile(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing")
	if err := example(t).Save(missing); err == nil || !strings.HasPrefix(err.Error(), "save end state: ") {
		t.Errorf("save in a missing directory: %v", err)
	}
	// A directory in the place of the file cannot be replaced.
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, File, "x"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := example(t).Save(dir); err == nil {
		t.Error("saved over a directory")
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) != 1 {
		t.Errorf("files left: %v, %v", files, err)
	}
}

func TestLoadSaysWhatIsWrong(t *testing.T) {
	dir := t.TempDir()
	if _, err := Load(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	f := func(data, want string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, File), []byte(data), 0o644); err != nil {
			t.Fatal(err)
		}
		_, err := Load(dir)
		if err == nil || !strings.HasPrefix(err.Error(), "load end state: "+dir) || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: error %v, want %q in it", data, err, want)
		}
	}
	f("", "broken: unexpected end of JSON input")
	f("not JSON", "broken: invalid character")
	f("{}", "no schema version")
	f(`{"schema":2,"anything":[1]}`, "it has schema 2, this planecheck reads schema 1")
	f(`{"schema":1}`, "broken: unexpected end of JSON input")
	f(`{"schema":1,"state":{}}`, "its checksum does not fit")
}

// No part of a file, and no file with another byte, reads as a state.
func TestDamageIsSeen(t *testing.T) {
	s := example(t)
	data, err := s.encode()
	if err != nil {
		t.Fatal(err)
	}
	for n := range len(data) - 1 { // the last byte ends the line
		if n%13 != 0 && n < len(data)-2 {
			continue
		}
		if _, err := decode(data[:n]); err == nil {
			t.Fatalf("the first %d of %d bytes are taken for a state", n, len(data))
		}
		damaged := bytes.Clone(data)
		damaged[n] ^= 1
		if got, err := decode(damaged); err == nil && !cmp.Equal(s, got) {
			t.Fatalf("a state with byte %d changed is taken for another", n)
		}
	}
}

func TestFileIsForPeople(t *testing.T) {
	s := example(t)
	data, err := s.encode()
	if err != nil {
		t.Fatal(err)
	}
	if lines := bytes.Count(data, []byte("\n{\"resource\":")); lines != len(s.Entries) {
		t.Errorf("%d lines for %d entries", lines, len(s.Entries))
	}
	if bytes.Contains(data, []byte("aHVudGVyMg==")) || bytes.Contains(data, []byte("applied")) {
		t.Error("the value of a Secret is in the file")
	}
	for _, e := range s.Entries {
		if e.Name == "Deployment/web" && e.Resource == "pods" {
			want := "# pods shop/Deployment/web: 2 Running, ready\nmetadata:\n  annotations:\n    planecheck.dev/revision: \"2\"\n"
			if got := e.Render(); !strings.HasPrefix(got, want) || !strings.Contains(got, "name: kube-api-access-*") {
				t.Errorf("rendered:\n%s\nwant it to begin with\n%s", got, want)
			}
			return
		}
	}
	t.Error("the pods of the Deployment are not in the state")
}
