package scenarios

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/results"
)

// saved is the directory of a run on a backend that ended as it says; no outcome: it
// was never judged.
func saved(t *testing.T, backend, settings string, plan checkers.Outcome, detail string) string {
	t.Helper()
	p, err := json.Marshal(struct{ World World }{World{Backend: backend}})
	if err != nil {
		t.Fatal(err)
	}
	run := &results.Run{
		Name: "contract/storage", Seed: 7, Nodes: 20, Plan: p, Settings: json.RawMessage(settings),
		Started:  time.Date(2026, 11, 22, 20, 0, 0, 0, time.UTC),
		Versions: map[string]string{"planecheck": "abc", "kubernetes (as served)": "v1.37.1", "go.etcd.io/etcd/server/v3": "v3.7.3"},
	}
	if plan != "" {
		run.Verdict = results.Verdict{Outcome: plan, Guarantees: []checkers.Verdict{
			{Guarantee: planComplete, Outcome: plan, Detail: detail},
			{Area: checkers.AreaStore, Guarantee: "Order", Outcome: checkers.Pass},
		}}
	}
	d := &results.Dir{Path: t.TempDir()}
	if err := d.Save(run); err != nil {
		t.Fatal(err)
	}
	return d.Path
}

// The table says of itself what it is of, and of which backends it has nothing or not all.
func TestMatrix(t *testing.T) {
	absent := filepath.Join(t.TempDir(), "absent")
	if err := os.WriteFile(absent, []byte("kine-mariadb planecheck: --backend kine-mariadb:  no mariadbd\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	err := (&Runner{Out: &out}).Matrix([]string{
		saved(t, "etcd", `{"store":{"members":"3"}}`, checkers.Pass, ""),
		saved(t, "kine-sqlite", `{"store":{"driver":"sqlite","version":"v0.17.5"}}`, checkers.Invalid, "kine died:\n signal: killed"+strings.Repeat("é", 200)),
		saved(t, "memory", `{"store":{"driver":"memory"}}`, "", ""),
	}, absent)
	if err != nil {
		t.Fatal(err)
	}
	want := `| area | guarantee | etcd | kine-sqlite (cut short) | memory (cut short) | kine-mariadb (not run) |
|---|---|---|---|---|---|
| store | Order | Pass | Pass | · | · |
| run | PlanComplete | Pass | Invalid | · | · |

` + "`contract/storage`" + `, one run on each, seed 7, 20 nodes, 22 November 2026 (UTC); planecheck abc, Kubernetes v1.37.1, etcd v3.7.3, kine v0.17.5.

* ` + "`kine-sqlite`" + `, seed 7, was cut short: kine died: signal: killed` + strings.Repeat("é", 137) + ` ...
* ` + "`memory`" + `, seed 7, was cut short: it has no verdict
* ` + "`kine-mariadb`" + ` was not run: planecheck: --backend kine-mariadb: no mariadbd
`
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
}

func TestLastOfLog(t *testing.T) {
	for text, want := range map[string]string{
		"fill: no progress for 2m": "fill: no progress for 2m",
		"kube-scheduler-0 died: exit status 1; from its log /r/s.log:\n  I1 starts\n  E2 cache is corrupted": "kube-scheduler-0 died: exit status 1; its log ends with: E2 cache is corrupted",
		"kine died: exit status 2; from its log /r/k.log:\n  panic: nil\n  goroutine 1\n  main.go:1":         "kine died: exit status 2; its log ends with: panic: nil",
		"x died: exit status 1; from its log /r/x.log:":                                                      "x died: exit status 1; from its log /r/x.log:",
	} {
		if got := oneLine(lastOfLog(text)); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// What cannot be a table is said to be wrong.
func TestMatrixOfNothing(t *testing.T) {
	empty, wrong := filepath.Join(t.TempDir(), "empty"), filepath.Join(t.TempDir(), "wrong")
	for file, text := range map[string]string{empty: "", wrong: "etcd\n"} {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		dirs   []string
		absent string
		want   string
	}{
		{nil, "", "no run directory is named"},
		{nil, empty, "no run directory is named"},
		{nil, wrong, `the line "etcd" is not of a backend and the cause`},
		{nil, empty + "2", "--absent: open "},
		{[]string{t.TempDir()}, "", "is no run directory"},
	} {
		err := (&Runner{Out: &strings.Builder{}}).Matrix(test.dirs, test.absent)
		var usage *UsageError
		if !errors.As(err, &usage) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%q, %q: %v, want a usage error with %q", test.dirs, test.absent, err, test.want)
		}
	}
}
