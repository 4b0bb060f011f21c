package reads

// Guarantee names a guarantee of reads.
type Guarantee string

// The guarantees, in the order of their verdicts.
const (
	MostRecent    Guarantee = "MostRecent"
	NotOlderThan  Guarantee = "NotOlderThan"
	Exact         Guarantee = "Exact"
	Any           Guarantee = "Any"
	Snapshot      Guarantee = "Snapshot"
	Paged         Guarantee = "Paged"
	ExpiredHonest Guarantee = "ExpiredHonest"
	TooNewHonest  Guarantee = "TooNewHonest"
)

// Guarantees returns all of them in the order of their verdicts.
func Guarantees() []Guarantee {
	return []Guarantee{MostRecent, NotOlderThan, Exact, Any, Snapshot, Paged, ExpiredHonest, TooNewHonest}
}

const (
	linkSemantics   = " (https://kubernetes.io/docs/reference/using-api/api-concepts/#semantics-for-get-and-list)"
	linkGone        = " (https://kubernetes.io/docs/reference/using-api/api-concepts/#410-gone-responses)"
	linkUnavailable = " (https://kubernetes.io/docs/reference/using-api/api-concepts/#unavailable-resource-versions)"
	linkLimit       = " (https://kubernetes.io/docs/reference/kubernetes-api/common-parameters/common-parameters/#limit)"
	linkConcepts    = " (https://kubernetes.io/docs/reference/using-api/api-concepts/)"
)

// statements are the guarantees; what is quoted are the documentation's words.
var statements = map[Guarantee]string{
	MostRecent: `GET and LIST without resourceVersion: "Return data at the most recent resource version. The returned data ` +
		`must be consistent": no older than what the store had answered before the call.` + linkSemantics,
	NotOlderThan: `GET at N, LIST at N: "Return data at least as new as the provided resourceVersion." An object may have ` +
		`been changed last before N; a list's own revision is at least N.` + linkSemantics,
	Exact: `LIST at N with resourceVersionMatch=Exact, or with a limit: "Return data at the exact resource version ` +
		`provided"; the list's revision is N.` + linkSemantics,
	Any: `resourceVersion=0: "Return data at any resource version", but at one: an object is a version that was committed, ` +
		`and a list's revision is one that the store had reached.` + linkSemantics,
	Snapshot: `"Kubernetes also provides consistent list operations so that API clients can effectively cache, track, and ` +
		`synchronize the state of resources." A list is exactly the part of one state, that of its resourceVersion, that its ` +
		`namespace and selectors match, in the order of the keys.` + linkConcepts,
	Paged: `"The server guarantees that the objects returned when using continue will be identical to issuing a single list ` +
		`call without a limit": all pages are of one revision, nothing twice or missing. A continue token that came with a ` +
		`410 starts a new snapshot behind the last page. "limit is a maximum number of responses to return for a list call"; ` +
		`only where resourceVersion=0 was asked for there may be more.` + linkLimit,
	ExpiredHonest: `A LIST or a continue token is answered 410 "if a client requests a resourceVersion older than the server ` +
		`has retained": only if the store may have been compacted behind the revision that was asked for. A GET never is.` + linkGone,
	TooNewHonest: `A GET or LIST at a revision that the store has not reached is refused: "timeout with a 504 (Gateway ` +
		`Timeout)", cause ResourceVersionTooLarge; a read that asks for no revision is never refused so.` + linkUnavailable,
}
