package watch

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/planecheck/planecheck/checkers"
)

// TestDetail pins the text of a counter-example, and that of several violations
// the one with the fewest lines is shown.
func TestDetail(t *testing.T) {
	s := newScript().watch("a/", "a0", 2).created(0, 1).events(0, 2, 2).events(0, 5, 5).events(0, 7, 7).closed()
	c := NewChecker(s.tl, Options{Commit: handCommit, Floors: noFloors})
	for _, r := range s.records {
		c.Add(r)
	}
	for _, v := range c.Finish() {
		if v.Guarantee != string(Reliable) {
			continue
		}
		want := strings.TrimSpace(`
2 violations, of which the smallest: An event was left out: what came after it shows that the watch had passed it by.
TIME        STREAM  WATCH  MEMBER  WHAT        REVISION  KEY
+1.490000s  1       0      m1      last event  2         "a/1"
+2.990000s  1       0      m1      missing     4         "a/1"
+4.490000s  1       0      m1      event       5         "a/1"`)
		if diff := cmp.Diff(want, v.Detail); diff != "" || v.Outcome != checkers.Fail {
			t.Errorf("%s, (-want +got)\n%s", v.Outcome, diff)
		}
		if !strings.Contains(v.Statement, "guaranteed to receive b") || !strings.Contains(v.Statement, "https://etcd.io/docs/") {
			t.Errorf("the statement does not quote its source: %s", v.Statement)
		}
	}

	f := &finding{}
	c.found[Unique] = f
	c.fail(Unique, "long", row{}, row{})
	c.fail(Unique, "short", row{})
	c.fail(Unique, "long again", row{}, row{}, row{})
	if f.count != 3 || f.note != "short" {
		t.Errorf("kept %q of %d", f.note, f.count)
	}
}

// TestResumed: a resumed watch is evidence if something of its range lies behind where it
// begins; else it had nothing to deliver that was before it.
func TestResumed(t *testing.T) {
	for _, test := range []struct {
		start, header, any, resumed int64
	}{
		{9, 8, 1, 0}, // from now on
		{8, 8, 1, 0}, // revision 8 is of another range
		{7, 6, 1, 0}, // and 7 is not there yet
		{7, 8, 1, 1},
		{3, 8, 1, 1},
		{3, 3, 1, 0},
		{0, 8, 0, 0},
	} {
		s := newScript().watch("a/", "a0", 2).created(0, 1).events(0, 2, 2).closed()
		s.next().watch("a/", "a0", test.start).created(0, test.header).closed()
		c := NewChecker(s.tl, Options{Commit: handCommit, Floors: noFloors})
		for _, r := range s.records {
			c.Add(r)
		}
		c.Finish()
		if c.counts.resumedAny != test.any || c.counts.resumed != test.resumed {
			t.Errorf("%+v: %d resumed, %d with a past", test, c.counts.resumedAny, c.counts.resumed)
		}
	}
}
