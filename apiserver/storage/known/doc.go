// Package known shows the checkers known bugs of released software: the same
// scenario runs against a version that has the bug and against one that has it
// fixed, is recorded by the proxy, and is judged. The bad version must fail by
// the guarantee that the bug breaks, the good one by none. It holds nothing but
// tests.
//
// The bug so far is etcd #18667 (https://github.com/etcd-io/etcd/issues/18667).
// A Txn that holds a write and a Range at a compacted or future revision is
// refused by the member that was asked, and yet applied by the others: they
// leave out the Ranges of a Txn whose answer nobody waits for
// (server/v3@v3.6.16 etcdserver/server.go, applyEntryNormal and
// removeNeedlessRangeReqs), and with them the reason for the refusal. Since
// v3.7.0 the Ranges are only not executed, and still checked
// (etcdserver/txn/txn.go, checkTxn).
//
// The bad version is the module ../oldetcd, which is built on demand and runs
// as three processes. As building it takes a minute the first time, this
// happens only if PLANECHECK_KNOWN says how often every case is to be repeated,
// each time with a new cluster:
//
//	PLANECHECK_KNOWN=5 go test -count=1 -v ./apiserver/storage/known
//
// The good version is the one that planecheck links; it always runs. A full make power
// does so with both, and has the table in docs/power.md; a quick one does not, for the
// sake of what building takes.
package known
