package reads

import "github.com/planecheck/planecheck/checkers/history"

// backwards counts reads that show an older state than a read that had returned
// before they were called. resourceVersion=0 allows that, between servers by
// design and on one server because the revision of a watch cache is set without
// a look at the one before (watch_cache.go UpdateResourceVersion). It is worth
// knowing all the same: it is what breaks clients that do not expect it.
type backwards struct {
	objects map[objectName]seen // GET at 0
	lists   map[listOf]seen     // LIST at 0, over all servers
	servers map[listOf]seen     // every list that is not of a stated revision, by server

	objectsAcross, objectsOnOne int64
	listsAcross, listsOnOne     int64
	reads                       int64
}

type objectName struct{ group, resource, namespace, name string }

type listOf struct{ group, resource, server string }

// seen is the highest version, who showed it and when it was there.
type seen struct {
	version  int64
	returned history.Time
	server   string
}

func newBackwards() backwards {
	return backwards{objects: map[objectName]seen{}, lists: map[listOf]seen{}, servers: map[listOf]seen{}}
}

// object takes a GET at 0 that found an object.
func (b *backwards) object(call *history.APICall) {
	b.reads++
	name := objectName{call.Group, call.Resource, call.Namespace, call.Name}
	if before, fell := fall(b.objects, name, call, call.Object.Version); !fell {
		return
	} else if before.server == call.Server {
		b.objectsOnOne++
	} else {
		b.objectsAcross++
	}
}

// list takes a list whose revision the server chose.
func (b *backwards) list(call *history.APICall, g Guarantee) {
	b.reads++
	if _, fell := fall(b.servers, listOf{call.Group, call.Resource, call.Server}, call, call.ListVersion); fell {
		b.listsOnOne++
	}
	if g != Any {
		return
	}
	before, fell := fall(b.lists, listOf{call.Group, call.Resource, ""}, call, call.ListVersion)
	if fell && before.server != call.Server {
		b.listsAcross++
	}
}

// fall says whether a version is below one that had been shown before the call.
func fall[K comparable](m map[K]seen, key K, call *history.APICall, version int64) (seen, bool) {
	before, ok := m[key]
	if !ok || version > before.version {
		m[key] = seen{version, call.Returned, call.Server}
		return before, false
	}
	return before, version < before.version && before.returned < call.Called
}
