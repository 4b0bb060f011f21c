// Package reads judges what the API servers answer to GET and LIST, by the
// version table and by the window of revisions that the store may have been at.
//
// A GET, and a 404, reveal no revision: such an answer is right if there is one
// revision, among those that its parameters allow, at which it is true. A list
// names its revision, which its parameters bound, and must then be exactly the
// matching part of the state at that revision. What the parameters allow is
// what kube-apiserver v1.37 does with them (k8s.io/apiserver v0.37.1,
// pkg/storage/cacher/delegator/interface.go ShouldDelegateList and
// pkg/storage ValidateListOptions):
//
//	GET   unset      quorum, always of the store            MostRecent
//	GET   0          the watch cache as it is               Any
//	GET   N          the watch cache once it has reached N  NotOlderThan
//	LIST  unset      at least the store's revision          MostRecent
//	LIST  0          the watch cache, limit ignored         Any
//	LIST  N, match NotOlderThan, or no match and no limit   NotOlderThan
//	LIST  N, match Exact, or no match and a limit           Exact
//	LIST  continue   the revision in the token              Paged
//
// A watch cache that is not ready passes reads on to the store, which promises
// more. A list that a field selector narrows to one object (metadata.name=) is
// read with Get rather than List (pkg/registry/generic/registry/store.go
// ListPredicate); then N with a limit is only a lower bound, whatever the
// documentation says: ValidateListOptions takes it for exact only of recursive
// lists. It is judged as NotOlderThan and counted.
//
// Events are not judged: they expire with their leases, several in one
// revision, and no watch cache holds them.
package reads
