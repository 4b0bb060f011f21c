package watches

// The guarantees, in the order of their verdicts.
const (
	InitialState     = "InitialState"
	InitialEventsEnd = "InitialEventsEnd"
	BookmarkNotAhead = "BookmarkNotAhead"
	Ordered          = "Ordered"
	Unique           = "Unique"
	Transitions      = "Transitions"
	Delivered        = "Delivered"
	ExpiredHonest    = "WatchExpiredHonest"
	TooNewHonest     = "WatchTooNewHonest"
)

const (
	linkConcepts    = " (https://kubernetes.io/docs/reference/using-api/api-concepts/#"
	linkWatch       = linkConcepts + "semantics-for-watch)"
	linkDetection   = linkConcepts + "efficient-detection-of-changes)"
	linkBookmarks   = linkConcepts + "watch-bookmarks)"
	linkGone        = linkConcepts + "410-gone-responses)"
	linkUnavailable = linkConcepts + "unavailable-resource-versions)"
	linkMeta        = " (https://pkg.go.dev/k8s.io/apimachinery/pkg/apis/meta/v1#"
)

// Guarantees returns all of them in the order of their verdicts.
func Guarantees() []string {
	var names []string
	for _, g := range guarantees {
		names = append(names, g.name)
	}
	return names
}

// guarantee is one of them, in the words of the documentation where it has any.
type guarantee struct{ name, statement string }

var guarantees = []guarantee{
	{InitialState, `"Get State and Start at Most Recent" (no resourceVersion) or "at Any" (0): "To establish initial state, the ` +
		`watch begins with synthetic “Added” events of all resources instances that exist at the starting resource version. ` +
		`All following watch events are for all changes that occurred after the resource version the watch started at."` + linkWatch},
	{InitialEventsEnd, `"Once all such events have been sent, a synthetic "Bookmark" event will be sent. The bookmark will report ` +
		`the ResourceVersion (RV) corresponding to the set of objects, and be marked with "k8s.io/initial-events-end"", and the ` +
		`version is "at least as fresh as the one provided by the ListOptions".` + linkMeta + `ListOptions)`},
	{BookmarkNotAhead, `A bookmark is "to mark that all changes up to a given resourceVersion the client is requesting have already ` +
		`been sent".` + linkBookmarks},
	{Ordered, `The resourceVersions of the changes on a watch, and of its bookmarks, never fall: a client may go on from the last ` +
		`one that it saw "without missing any updates".` + linkDetection},
	{Unique, `"All changes" that occur after the start of a watch are returned, and each of them once.` + linkDetection},
	{Transitions, `With a selector, an object that begins to match is ADDED, one that ceases to match is DELETED, and one that ` +
		`matches before and after is MODIFIED, at the revision of the change. A DELETED event holds "the state of the object ` +
		`immediately before deletion"` + linkMeta + `WatchEvent) with the resourceVersion of the deletion.`},
	{Delivered, `"The server will return all changes (creates, deletes, and updates) that occur after the supplied ` +
		`resourceVersion":` + linkDetection + ` each committed change that matters to an open watch reaches it, with the object as ` +
		`it was committed, and nothing else does.`},
	{ExpiredHonest, `A server "may return a HTTP 410 (Gone) status code if a client requests a resourceVersion older than the ` +
		`server has retained". Judged is that it is none which the server must have: the store's latest, one that the ` +
		`same server serves later, or one as of which no list of everything was read from the store since, with no compaction and ` +
		`fewer than 100 changes of the resource behind it; nor a watch that begins with the state. What else a server retains ` +
		`nobody can tell.` + linkGone},
	{TooNewHonest, `"Watch requests for a unrecognized resource version may wait indefinitely (until the request timeout) for the ` +
		`resource version to become available";` + linkUnavailable + ` only those with initial events are refused, as a "too ` +
		`large resource version", and are not served from an earlier one.`},
}
