package kine

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Suspicions about kine, see docs/findings, that a program with a part of kine decides.
// When one fails, kine was mended, or the version has changed: say so there, and strike it.
func TestPartsOfKine(t *testing.T) {
	if os.Getenv("PLANECHECK_KNOWN") == "" {
		t.Skip("it builds parts of kine, which `make known` does")
	}
	for _, test := range []struct {
		program string
		args    []string
		want    string
	}{
		// K7: the broadcaster leaves a batch out for a subscriber that is full, and sends
		// it the next ones until somebody has ended it.
		{"broadcaster", nil, "a subscriber was sent batch"},
		// K1: the store in memory reads for a stream without its lock.
		{"memory", []string{"-race"}, "(*Memory).ListStream.func"},
	} {
		t.Run(test.program, func(t *testing.T) {
			out := runPart(t, test.program, test.args...)
			for line := range strings.Lines(out) {
				if strings.Contains(line, test.want) {
					t.Log(line)
					return
				}
			}
			t.Errorf("it does not say %q: %s", test.want, out)
		})
	}
}

// runPart runs a program of testdata with the packages of v0.17.5 and returns its
// output.
func runPart(t *testing.T, program string, args ...string) string {
	t.Helper()
	files, err := sources("v0.17.5")
	if err != nil {
		t.Fatal(err)
	}
	if files["main.go"], err = os.ReadFile(filepath.Join("testdata", program+".txt")); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), "go", append(append([]string{"run"}, args...), ".")...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOFLAGS=-mod=readonly", "GOWORK=off")
	out, err := cmd.CombinedOutput()
	t.Logf("%s ended with %v", program, err) // the race detector's own status is no 0
	return string(out)
}
