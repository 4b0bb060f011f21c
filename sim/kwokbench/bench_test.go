package main

import (
	"bytes"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/planecheck/planecheck/checkers/history"
)

func TestAuditReaderCountsWhatWasAdded(t *testing.T) {
	var log bytes.Buffer
	reader := newAuditReader(&log)
	const (
		lease  = `{"verb":"update","objectRef":{"resource":"leases","name":"n"},"responseStatus":{"code":200},"requestReceivedTimestamp":"2026-01-01T00:00:`
		patch  = `{"verb":"patch","objectRef":{"resource":"pods","subresource":"status","name":"p"},"responseStatus":{"code":200}}` + "\n"
		refuse = `{"verb":"patch","objectRef":{"resource":"pods","subresource":"status","name":"p"},"responseStatus":{"code":409}}` + "\n"
	)
	f := func(text string, want writes) {
		t.Helper()
		log.WriteString(text)
		got, err := reader.take()
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("writes (-want +got):\n%s", diff)
		}
	}
	f(patch+refuse+lease+`01.5Z"}`+"\n",
		writes{Total: 3, Failed: 1, Kinds: map[string]int{"patch pods/status": 2, "update leases": 1}})
	f(lease+`11.75Z"}`, writes{Kinds: map[string]int{}}) // the line has no end yet
	f("\n"+patch, writes{Total: 2, Kinds: map[string]int{"patch pods/status": 1, "update leases": 1},
		Renewals: []time.Duration{10250 * time.Millisecond}})
}

func TestAuditReaderRefusesGarbage(t *testing.T) {
	if _, err := newAuditReader(strings.NewReader("no JSON\n")).take(); err == nil {
		t.Error("garbage was counted")
	}
}

func TestParseUsage(t *testing.T) {
	const stat = "42 (a (b) c) S 1 42 42 0 -1 4194560 1 0 0 0 150 25 0 0 20 0 9 0 100 1000 20 1\n"
	const status = "Name:\tx\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\n"
	got, err := parseUsage([]byte(stat), []byte(status))
	if want := (usage{CPU: 1.75, RSS: 1 << 20, Peak: 2 << 20}); err != nil || got != want {
		t.Errorf("parseUsage = %+v, %v; want %+v", got, err, want)
	}
	if _, err := parseUsage([]byte(stat), []byte("State:\tZ (zombie)\n")); err == nil {
		t.Error("a zombie has a usage")
	}
	if _, err := parseUsage([]byte("42 (x) S 1\n"), []byte(status)); err == nil {
		t.Error("a short stat was read")
	}
}

func TestParseWatches(t *testing.T) {
	const metrics = `# TYPE apiserver_longrunning_requests gauge
apiserver_longrunning_requests{resource="pods",verb="WATCH"} 5
apiserver_longrunning_requests{resource="nodes",verb="WATCH"} 2
apiserver_longrunning_requests{resource="pods",verb="CONNECT"} 9
`
	if got, err := parseWatches([]byte(metrics)); err != nil || got != 7 {
		t.Errorf("parseWatches = %d, %v; want 7", got, err)
	}
	if _, err := parseWatches([]byte("# nothing\n")); err == nil {
		t.Error("a server without the metric holds watches")
	}
}

func TestFillTimes(t *testing.T) {
	second := history.Time(time.Second)
	got := newFillTimes(0, []history.Time{0, second, 2 * second}, []history.Time{4 * second, 2 * second, 6 * second})
	if want := (fillTimes{PodsPerSecond: 0.5, P50: 4, P99: 4, Max: 4}); got != want {
		t.Errorf("newFillTimes = %+v, want %+v", got, want)
	}
}

func TestQuantile(t *testing.T) {
	f := func(q, want float64, sorted ...float64) {
		t.Helper()
		if got := quantile(sorted, q); got != want {
			t.Errorf("quantile(%v, %v) = %v, want %v", sorted, q, got, want)
		}
	}
	f(0.5, 0)
	f(0.5, 7, 7)
	f(0.5, 2, 1, 2, 3)
	f(0.99, 3, 1, 2, 3)
	f(1, 3, 1, 2, 3)
}

func TestTablePairsTheRounds(t *testing.T) {
	o := options{arms: "lean,kwok", nodes: 1, pods: 10}
	turn := func(cpu float64) result {
		return result{Fill: window{CPU: cpu, Writes: writes{Total: 1000}}}
	}
	// The medians are 2 and 8, their ratio is 0.25; within a round it never is.
	text := table(o, []map[string]result{
		{"lean": turn(1), "kwok": turn(2)},
		{"lean": turn(2), "kwok": turn(10)},
		{"lean": turn(4), "kwok": turn(8)},
	})
	if want := "| simulator CPU per write, while pods start (ms) | 2.000 | 8.000 | 0.5 (0.2–0.5) |\n"; !strings.Contains(text, want) {
		t.Errorf("no line %q in\n%s", want, text)
	}
	if want := "| writes refused or failed | 0 | 0 | – |\n"; !strings.Contains(text, want) {
		t.Errorf("no line %q in\n%s", want, text)
	}
	if math.IsNaN(perWrite(window{})) {
		t.Error("a window without writes has no figure")
	}
}

func TestParseRefuses(t *testing.T) {
	binaries := []string{"--planecheck", "p", "--simulator", "s", "--kwok", "k"}
	if _, err := parse(binaries); err != nil {
		t.Errorf("the defaults are refused: %v", err)
	}
	f := func(args ...string) {
		t.Helper()
		if _, err := parse(append(args, binaries...)); err == nil {
			t.Errorf("%q is accepted", args)
		}
	}
	f("--nodes", "0")
	f("--rounds", "0")
	f("--hold", "5s")
	f("--arms", "lean,kubemark")
	f("--nodes", "1", "--pods", "111")
	for missing := 0; missing < len(binaries); missing += 2 {
		if _, err := parse(slices.Delete(slices.Clone(binaries), missing, missing+2)); err == nil {
			t.Errorf("no %s is accepted", binaries[missing])
		}
	}
}
