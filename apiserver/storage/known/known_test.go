package known

import (
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/semver"

	"github.com/planecheck/planecheck/apiserver/storage"
	"github.com/planecheck/planecheck/checkers"
	checker "github.com/planecheck/planecheck/checkers/storage"
)

// repeatVariable says how often every case is repeated, and that the old
// version is to be built.
const repeatVariable = "PLANECHECK_KNOWN"

// oldVersion is the last release with the bug; fixedFrom the first without.
const (
	oldVersion = "3.6.16"
	fixedFrom  = "3.7.0"
)

// repetitions returns 0 if the variable is not set.
func repetitions(t testing.TB) int {
	t.Helper()
	text := os.Getenv(repeatVariable)
	if text == "" {
		return 0
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("%s=%q: want a number of repetitions from 1 on", repeatVariable, text)
	}
	return n
}

// TestOldEtcd shows the bug to the checkers: they have to see it every time,
// and must not see anything where the transaction is harmless.
func TestOldEtcd(t *testing.T) {
	n := repetitions(t)
	if n == 0 {
		t.Skipf("%s is not set: etcd %s is not built and not run", repeatVariable, oldVersion)
	}
	binary := buildOld(t)
	start := func(t testing.TB) []storage.Member { return startOld(t, binary) }
	for _, read := range []readAt{compacted, future} {
		repeat(t, n, read, start, checkBroken)
	}
	repeat(t, n, readable, start, checkSound)
}

// TestFixedEtcd is the same with the version that planecheck links.
func TestFixedEtcd(t *testing.T) {
	n := max(repetitions(t), 1)
	for _, read := range []readAt{compacted, future, readable} {
		repeat(t, n, read, startFixed, checkFixed)
	}
}

// check judges one repetition.
type check func(*testing.T, readAt, testimony, map[string]checkers.Verdict)

// repeat plays a case n times, each time with a new cluster, and says what it
// came to. Six repetitions go through all members that are asked, with the next
// write to the same member and to another one.
func repeat(t *testing.T, n int, read readAt, start func(testing.TB) []storage.Member, check check) {
	t.Run(read.name, func(t *testing.T) {
		var took []time.Duration
		good, differ, version := 0, 0, ""
		tally := map[string]int{}
		for i := range n {
			began := time.Now()
			if t.Run(strconv.Itoa(i), func(t *testing.T) {
				r := startRecorded(t, start(t))
				asked, next := i%size, (i+i%2)%size
				said := play(t, r, r.members[asked], r.members[next], read)
				r.stop(t)
				t.Log(said)
				if version = said.version; !said.agree() {
					differ++
				}
				verdicts := r.sink.judge()
				for _, name := range failures(verdicts) {
					tally[name]++
				}
				check(t, read, said, verdicts)
			}) {
				good++
			}
			took = append(took, time.Since(began))
		}
		publish(t, row{version: version, read: read.name, runs: len(took), differ: differ, failed: tally})
		slices.Sort(took)
		t.Logf("as expected in %d of %d repetitions; each took %v, at most %v; failed verdicts: %v", good, n,
			took[len(took)/2].Round(time.Millisecond), took[len(took)-1].Round(time.Millisecond), tally)
	})
}

// checkBroken wants the members to disagree, and the checkers to say so.
func checkBroken(t *testing.T, read readAt, said testimony, verdicts map[string]checkers.Verdict) {
	t.Helper()
	if said.version != oldVersion {
		t.Errorf("the old etcd is %s, want %s", said.version, oldVersion)
	}
	if said.refusal != read.refusal {
		t.Errorf("the Txn ended with %q, want %q", said.refusal, read.refusal)
	}
	if said.agree() {
		t.Error("the members agree: the bug did not show")
	}
	t.Logf("failed: %s", strings.Join(failures(verdicts), " "))
	// The members differ, and what some of them show was refused.
	for _, name := range []string{checker.MembersAgree, checker.DefiniteFailureInert} {
		if v := verdicts[name]; v.Outcome == checkers.Fail {
			t.Log(v)
		} else {
			t.Errorf("the checkers do not see it: %s", v)
		}
	}
}

// checkFixed wants a version from the fix on.
func checkFixed(t *testing.T, read readAt, said testimony, verdicts map[string]checkers.Verdict) {
	t.Helper()
	if semver.Compare("v"+said.version, "v"+fixedFrom) < 0 {
		t.Errorf("the fixed etcd is %s, want %s or later", said.version, fixedFrom)
	}
	checkSound(t, read, said, verdicts)
}

// checkSound wants the transaction to be done everywhere or refused everywhere,
// and no guarantee to fail.
func checkSound(t *testing.T, read readAt, said testimony, verdicts map[string]checkers.Verdict) {
	t.Helper()
	if said.refusal != read.refusal {
		t.Errorf("the Txn ended with %q, want %q", said.refusal, read.refusal)
	}
	if done := said.victims[0] == "txn"; done != (read.refusal == "") || !said.agree() {
		t.Error("the members do not all hold what the Txn's answer says")
	}
	for _, name := range failures(verdicts) {
		t.Errorf("a false alarm: %s", verdicts[name])
	}
	judged := []string{
		checker.Order, checker.Reads, checker.RealTime, checker.NoPhantom, checker.CompactionHonest, checker.MembersAgree,
	}
	if read.refusal != "" {
		judged = append(judged, checker.DefiniteFailureInert)
	}
	for _, name := range judged {
		if v := verdicts[name]; v.Outcome != checkers.Pass && v.Outcome != checkers.Fail {
			t.Errorf("not judged: %s (%s)", v, v.Checked)
		}
	}
}

// failures are the guarantees that failed, by name.
func failures(verdicts map[string]checkers.Verdict) []string {
	var failed []string
	for _, name := range slices.Sorted(maps.Keys(verdicts)) {
		if verdicts[name].Outcome == checkers.Fail {
			failed = append(failed, name)
		}
	}
	return failed
}
