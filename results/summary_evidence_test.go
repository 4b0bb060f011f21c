package results

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// The record of a fault says how it and its heal showed, in whole; the summary in
// one line.
func TestEvidenceOfFaults(t *testing.T) {
	a := newAvailability()
	w := a.Begin("etcd-stop", "etcd-0", at(time.Second))
	w.Shown("etcd-0 refuses connections,\netcd-1 leads")
	w.Healed(at(2 * time.Second))
	w.ShownHealed("etcd-1 leads in term 2")
	f := onlyFault(t, a, 3*time.Second)
	if f.Evidence != "etcd-0 refuses connections,\netcd-1 leads" || f.Healed != "etcd-1 leads in term 2" {
		t.Errorf("evidence %q, healed %q", f.Evidence, f.Healed)
	}
	want := "  etcd-stop of etcd-0: etcd-0 refuses connections, etcd-1 leads; healed: etcd-1 leads in term 2\n"
	if got := evidenceNote(&f); got != want || !strings.Contains(faultNotes(&f), want) {
		t.Errorf("%q in %q, want %q", got, faultNotes(&f), want)
	}
}

func TestEvidenceIsNeverTooLong(t *testing.T) {
	long, short := strings.Repeat("é seen ", 60), "seen"
	f := func(fault, evidence, healed string, want ...string) {
		t.Helper()
		text := evidenceNote(&FaultFigures{Fault: fault, Evidence: evidence, Healed: healed})
		line := oneLine(text)
		if line != "" {
			line += "\n"
		}
		if n := utf8.RuneCountInString(line) - 1; n > evidenceWidth {
			t.Errorf("%d characters: %q", n, line)
		}
		for _, l := range strings.Split(text, "\n") {
			if n := utf8.RuneCountInString(l); n > 106 {
				t.Errorf("%d columns: %q", n, l)
			}
		}
		for _, w := range want {
			if !strings.Contains(line, w) {
				t.Errorf("%q, want %q in it", line, w)
			}
		}
	}
	f("fault", "", "")
	f("fault", short, "", "fault: seen\n")
	f("fault", "", short)
	f("fault", long, short, "seen é", "…; healed: seen\n")
	f("fault", short, long, "fault: seen; healed: é seen é", "…\n")
	f(strings.Repeat("f", 90), long, long, "f…: é seen é seen", "…; healed: é seen", "…\n")
}
