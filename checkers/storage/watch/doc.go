// Package watch judges whether a store kept the guarantees of its watches. Its
// input are the records of the watch streams, as a recorder between the clients
// and the store took them, and a timeline: what every revision changed.
//
// # What is judged
//
// A watch is one (stream, watch ID) between its created and its end. Within a
// watch an event may appear once; on another watch, for instance one that
// resumes a broken one, the same event may legally appear again.
//
// The rules are those of the documentation of etcd
// (https://etcd.io/docs/v3.7/learning/api_guarantees/#watch-apis and the
// comments of rpc.proto). Where it leaves room they follow what etcd v3.7.3
// does, so that a store that behaves as etcd never fails:
//
//   - A watch from revision 0 starts after the revision that its member had when
//     it was registered (storage/mvcc/watchable_store.go, watch). The header of
//     the created answer is read later (etcdserver/api/v3rpc/watch.go, recvLoop),
//     so events up to it may come; events after it must.
//   - The header of an answer may exceed its events (syncWatchers sends the
//     current revision with a batch that ends earlier), it is never below them.
//   - Progress of a watch is sent only while it is in sync, and progress of a
//     whole stream (ID -1) only while all its watches are (progressIfSync). Both
//     pass through the channel that carries the events, so progress never falls
//     behind an event before it. Progress of the stream that comes before a created
//     says nothing of that watch; progress after it does, because clients have
//     no other way to read it (clientv3/watch.go hands it to every watch that
//     was created). In etcd the created answer takes a channel of its own
//     (ctrlStream) and may overtake progress that was decided before the watch
//     was there. That misleads the client, and is judged as what it is.
//   - A watch is canceled by the store only when the revision that it needs next
//     was compacted (storage/mvcc/watcher_group.go, chooseAll). Members compact
//     in their own time: one that lags may serve what another one refuses.
//     After a snapshot was restored the revision that a watch needs next counts
//     from its last event, not from its last progress (Restore), and such a
//     cancel is legal.
//   - The previous version is read when the event is sent (sendLoop); if the
//     revision before the event was compacted by then, there is none. From the
//     client's request to cancel on, etcd no longer looks it up.
//   - Fragments of an answer are joined, if the watch asked for fragments.
//
// What a watch had not received when it or the history ended is no violation of
// Reliable: nobody promised when it comes. Only Fresh judges it, and only after
// the moment from which on the run caused no faults. An event that was left out
// is seen when a later event or progress of the same watch passes it by.
//
// # How
//
// The distinct ranges of all watches share one index: the revisions that
// changed something in them, found with one search per change and not one
// comparison per change and watch. Each watch walks along its range's
// revisions as its events come in, so the cost is that of the events.
package watch
