// Package contract is the traffic that makes checking worth it: many clients
// on few objects, through every API server, in every way that the API allows
// and in some that it does not. It judges nothing. What was sent and answered
// is on record with the client layer, and the checkers read it there.
//
// # Objects
//
// A plan has a few objects of each kind with fixed names, spread over its
// namespaces: ConfigMaps, Pods, Leases, and Widgets, a custom resource whose
// definition Prepare makes. Servers make up the names of more. All bear the
// label app.kubernetes.io/part-of: planecheck-contract. The pods name a
// scheduler that does not exist, so they stay unscheduled and are deleted at
// once; those that an operation binds, to a node that does not exist, are
// deleted with grace, which ends with a deletion with grace 0. (The pod garbage
// collector of a controller-manager also removes them, after a minute or so.)
//
// # Marks
//
// Every write declares what it does to the marks of its object, which are its
// annotations with history.MarkPrefix:
//
//   - c07 belongs to client 7: its creates, updates and patches set it.
//   - c07.apply is set by its server-side applies only, because a manager
//     conflicts with whoever set a field in another way.
//   - n is the counter that all clients share. It is only written by an update
//     with the resourceVersion that it was read at, and so never loses one.
//
// A value is written once: it holds the client, the plan's seed and a number
// that only rises. No request is ever sent again, whatever became of it. (The
// one exception is Prepare, which makes namespaces and the definition until
// they are there; neither bears marks.) Loose objects (loose-3) are also
// overwritten by updates without a resourceVersion. Such an update declares that
// it removes all the marks that there can be but its own, and loose objects have
// no counter.
//
// # Operations
//
// Each client draws from this table with a random stream of its own:
//
//	operation         weight  what is sent
//	get                    8  GET; resourceVersion unset, 0, seen before, compacted; rarely future, malformed
//	list                  12  one of the 85 legal combinations of resourceVersion, match, limit and continue
//	list-illegal           2  one of the 363 others
//	pages                  3  a list in pages, to its end, with pauses; goes on with the token of a 410
//	watch                  4  one of the 36 legal combinations of resourceVersion, sendInitialEvents, match and bookmarks
//	watch-illegal          1  one of the 132 others
//	create                 8  POST under a fixed name, which is often taken; 1 in 8 with a finalizer
//	generate               3  POST with generateName
//	update                 8  PUT with resourceVersion, of what is there now or of what the client saw last
//	increment             10  GET and PUT, of the counter
//	overwrite              2  PUT without resourceVersion, of a loose object; 1 in 3 with a uid
//	patch-json             4  PATCH, RFC 6902; 1 in 3 tests the resourceVersion
//	patch-merge            4  PATCH, RFC 7386; some with resourceVersion, uid, or both
//	patch-strategic        4  PATCH, strategic merge; not of Widgets
//	apply                  4  PATCH, server-side apply; the clients compete for a label
//	apply-force            3  the same, with force
//	status                 2  PATCH of a pod's status: another phase
//	bind                   2  POST to a pod's binding
//	delete                 6  DELETE with or without preconditions, gracePeriodSeconds, propagationPolicy
//	deletecollection       1  DELETE of what a selector matches in a namespace
//	finalizer-add          2  PATCH that sets a finalizer
//	finalizer-remove       5  PATCH that removes all finalizers
//	illegal                2  one of 18 other requests that no server may carry out
//	illegal-large          0  POST of a Lease of 1.6 MiB, which etcd refuses
//	watch-old              0  a watch of Widgets from revision 1, which no watch cache of theirs ever held
//	watch-events           0  POST of an Event, and a watch of such from before it; 1 in 4 from revision 1
//
// The last two are for traffic too short for watches to break, or to fall behind,
// by themselves: what resumes a watch, and is refused as too old, is then theirs.
// Events have no watch cache, so that these watches are the store's, and those from
// revision 1 are what it cancels for a compaction; and they go with their leases, if
// the API servers let them live for seconds. The scenarios about the API have some of
// them for that. Where the
// store is known to refuse that much (Options.Oversized) the first illegal request
// of each client, and every 25th after it, is illegal-large: a write of an API
// server that the store refuses.
//
// What is illegal of a request is said with it (client.Request.Illegal) where
// options alone do not show it: its record then holds what it has to be refused
// for, and package writes below checkers/api knows the documented error.
// A request that says nothing is taken for legal there: who adds one that a correct
// server may refuse has to say so, or to see that the checker knows the reason.
//
// One write in ten is a dry run, except among the illegal. One operation in a
// few, where that makes sense, is about an object with a generated name. Lists
// and watches are of one namespace or of all, with label and field selectors or
// without. A resourceVersion is one of: unset, 0, the last that any client saw,
// an earlier one, 1 or the first ever seen (which is compacted where compactions
// run), one a million ahead, and none at all ("abc"). Continue tokens and
// versions are shared by all clients, so that they get from one API server to
// another.
//
// A watch is cut after 8 s on the average, or after some events, or by the
// server after a timeout, and resumed up to four times from the last version
// that it showed, after pauses of up to a minute. A client has four watches at
// most: one more cuts the oldest.
//
// # Pace and seed
//
// The load is an open loop: operations are due at exponential intervals such
// that the plan's rate of requests is met, and one that starts late for want of
// a slot is counted and has its due time on record. What each client draws, the
// time, the operation, the object and a seed for all the choices inside, depends
// on the plan alone. What becomes of it depends on what the client has seen.
package contract
