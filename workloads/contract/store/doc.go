// Package store puts to the test what a kube-apiserver relies on in its store,
// below any API server.
//
// A Comparison sends the requests of one client, drawn from a seed, to two
// stores, one after the other, and wants the same answers: errors with their
// words, revisions, counts, the events of watches and their order. One is the
// model, the other is judged. The store in memory is compared with etcd in this
// way, in everything that it has; any other store is compared with the store in
// memory, in what a kube-apiserver asks. Revisions are compared by the changes
// that they stand for, so a store may begin at another one and, if it promises no
// more, leave some out.
//
// A difference is told as the few requests that lead to it: they are sent again,
// in parts and to keys that are new, until none of them can be left out.
//
// Traffic is what several API servers do to a store at once. It judges nothing:
// what was answered is on record with the store, and the checkers read it there.
package store
