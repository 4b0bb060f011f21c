// Package memory is a store in memory that answers those calls of the etcd v3
// API that kube-apiserver v1.37 makes, and answers them as etcd v3.7.3 does. It
// has no log, no consensus and no disk: next to it shows what these cost, and
// whatever a control plane does better on it is the most that another store can
// give.
//
// It serves Range and RangeStream, Txn of comparisons, puts, deletions and
// reads, Compact, Watch with progress and previous values, LeaseGrant,
// LeaseRevoke (which is what the end of a lease is) and Status. Everything else,
// down to sorting and transactions within transactions, is Unimplemented rather
// than done in half. It asks no client to authenticate.
//
// All revisions are kept until a client compacts them. One lock orders all
// calls, so every answer is linearizable. A change never waits for those who
// watch it: it only marks the watches that it concerns, and each stream reads
// what it has missed from the log of revisions at its own pace, see watch.go.
package memory
