// Package watches judges whether API servers kept the guarantees of their
// watches, as clients saw them. Its input are the records of an API history;
// the version table says what every revision changed, and the window which
// revisions the store may have been at.
//
// # What is judged
//
// The rules are those of the documentation
// (https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes);
// where it leaves room they follow k8s.io/apiserver v0.37.1, so that a server
// that behaves as Kubernetes never fails:
//
//   - A watch without sendInitialEvents and resourceVersionMatch from "" or "0"
//     is one with sendInitialEvents (apimachinery, meta/internalversion/defaults.go).
//     "" waits until the cache has the revision that the store had (cacher.go,
//     getWatchCacheResourceVersion), N until it has N, "0" for nothing.
//   - The initial events are the state of the cache at one revision, which is
//     taken before the answer's headers are sent. What follows has greater
//     revisions (cache_watcher.go, processInterval). Nothing marks the end but
//     the bookmark, which comes only with allowWatchBookmarks. Without it the
//     latest revision that fits is taken: if any split of the events fits, then
//     the one after all leading ADDED does.
//   - A watch from N gets what is after N, and a revision that does not exist
//     yet is as good as any (watch_cache_history.go, GetIntervalLocked).
//   - The type of an event says whether the object matched before and matches
//     now, not what the write was (cache_watcher.go, convertToWatchEvent).
//   - Bookmarks go through the channel of the events and name the revision that
//     was dispatched last (cacher.go, dispatchEvents). Equal ones may repeat.
//   - The server may close a watch at any time: a slow watcher, a cache that is
//     built anew. What was not delivered by then is not owed.
//
// A missing event shows when a later event or bookmark of its watch passes it
// by. Nobody promised when an event comes, so what nothing passes by is owed only
// if its watch was open, and the run without faults, for Options.Bound after the
// commit, and if it was the client that gave the watch up. One that the server or
// the network ended may have been silent for that reason, nobody knows since when.
//
// Events (the resource) are not in the watch cache and end with their leases;
// their watches are counted and not judged, and so are those of resources whose
// versions could not be read and those with selectors on fields that the
// version table does not have.
//
// # How
//
// The changes of a resource are indexed by what its watches pin: a node, a
// name or a namespace. Each watch walks along the changes of its own group as
// its events come in, so the cost is that of the events and of what was near
// to them, not that of all changes for all watches. Of events only the initial
// ones of a watch are kept, until the end of the initial state is known.
package watches
