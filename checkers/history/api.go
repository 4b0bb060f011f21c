package history

import (
	"encoding/binary"

	"github.com/cespare/xxhash/v2"
)

// This file holds the records of the API history: what the clients of the
// simulation and of the workloads asked of the API servers, attempt by attempt,
// and what they were told. They are taken in the one client layer.
//
// Objects are not kept, only who they are, which version of theirs it is, and
// a hash of the rest: what a checker needs to know of an answer is whether it
// shows a version that was committed, and when. What a version held is in the
// version table.

// APICall is one HTTP attempt, a refused or failed attempt to open a watch
// among them. The zero value of every field means that the request or the
// answer had none.
type APICall struct {
	// ID numbers the calls of one history from 1 in the order in which they
	// were called, as near as concurrent calls have one.
	ID       uint64 `parquet:"id,delta"`
	Class    Class  `parquet:"class,dict"`
	Identity string `parquet:"identity,dict"` // the user name
	// Server is the instance that answered: a process and its start. Answers
	// from a watch cache are promised per instance. "": none answered.
	Server string `parquet:"server,dict"`

	Called   Time `parquet:"called,delta"`
	Returned Time `parquet:"returned,delta"` // when the attempt had ended, well or not

	// The request.
	Verb        string `parquet:"verb,dict"` // as in Request
	Group       string `parquet:"group,dict"`
	Version     string `parquet:"version,dict"`
	Resource    string `parquet:"resource,dict"`
	Subresource string `parquet:"subresource,dict"`
	Namespace   string `parquet:"namespace,dict"`
	Name        string `parquet:"name"` // also of a create, where the body has it
	// The options, as they were sent.
	ResourceVersion string `parquet:"resource_version"` // get, list, watch
	Match           string `parquet:"match,dict"`
	Limit           int64  `parquet:"limit"`
	// Continue is the token's hash, by which pages are put together: the
	// NextPage of one call is the Continue of another.
	Continue      uint64 `parquet:"continue"`
	LabelSelector string `parquet:"label_selector,dict"`
	FieldSelector string `parquet:"field_selector,dict"`
	Bookmarks     bool   `parquet:"bookmarks"`     // allowWatchBookmarks
	InitialEvents string `parquet:"initial,dict"`  // sendInitialEvents: "", true, false
	DryRun        bool   `parquet:"dry_run"`       // dryRun=All
	ContentType   string `parquet:"content,dict"`  // of the request's body; of a patch its type
	FieldManager  string `parquet:"manager,dict"`  // of a server-side apply
	Force         bool   `parquet:"force"`         // of a server-side apply
	GenerateName  bool   `parquet:"generate_name"` // of a create: the server makes up the name
	Propagation   string `parquet:"propagation,dict"`
	// Grace is gracePeriodSeconds of a delete plus one; 0: not given.
	Grace int64 `parquet:"grace"`
	// NeedUID and NeedVersion are the preconditions of a write: those of the
	// DeleteOptions, or uid and resourceVersion of the object that was sent.
	NeedUID     string `parquet:"need_uid"`
	NeedVersion string `parquet:"need_version"`
	// Sets are the marks that the sender says the write sets, and Removes
	// those that it takes away; see Version.Marks. A write with Declared touches
	// no other marks.
	Declared bool     `parquet:"declared"`
	Sets     []Pair   `parquet:"sets,list"`
	Removes  []string `parquet:"removes,list"`
	// Illegal says what the sender did wrong on purpose, where the rest of the
	// record may not show it: one of the names below. "": nothing, or the history
	// is of schema 3, which did not say.
	Illegal string `parquet:"illegal,dict" since:"4"`

	// The answer.
	Status int32  `parquet:"status"`      // HTTP; 0: no whole answer came
	Reason string `parquet:"reason,dict"` // of a failure: Status.reason
	// Cause is the reason of the first of Status.details.causes, such as
	// ResourceVersionTooLarge, and DetailsKind and DetailsName what
	// Status.details is about: of a 404 the thing that is missing may be the
	// namespace.
	Cause       string `parquet:"cause,dict"`
	DetailsKind string `parquet:"details_kind,dict"`
	DetailsName string `parquet:"details_name"`
	Message     string `parquet:"message"` // Status.message of a failure, at most 200 bytes
	// Error is why no whole answer came or, beside a Status of 2xx, why what came
	// cannot be read. Histories from before 23 November 2026 have such answers as
	// Opaque.
	Error string `parquet:"error,dict"`
	// Object is the object of an answer that has one; Object.UID is "" where
	// it has none (a Status, a list, a failure).
	Object APIObject `parquet:"object"`
	// DetailsUID is the uid that a Status-returning delete names.
	DetailsUID string `parquet:"details_uid"`

	// Of a list: its revision, the hash of its continue token (0: the last
	// page; also that of a 410, which may offer one) and what it held. Of more
	// than MaxListed objects only the Chunks are kept. Items come in the order
	// of the answer.
	ListVersion int64       `parquet:"list_version"`
	NextPage    uint64      `parquet:"next_page"`
	Items       []APIObject `parquet:"items,list"`
	Chunks      []APIChunk  `parquet:"chunks,list"`
	// Bytes of the answer's body.
	Bytes int64 `parquet:"bytes"`
	// Opaque: see Request. Nothing is known of what was sent, either.
	Opaque bool `parquet:"opaque"`
}

// What may be illegal of a request, as Request.Illegal and APICall.Illegal have
// it.
const (
	ForceWithoutApply        = "force without apply"
	ApplyWithoutManager      = "apply without a manager"
	LongManager              = "manager of 129 characters"
	UnknownDryRun            = "unknown dry run"
	UnknownFieldValidation   = "unknown field validation"
	PatchNoJSON              = "patch that is no JSON"
	UnknownPatch             = "patch of an unknown type"
	StrategicCustom          = "strategic merge of a custom resource"
	UnknownPropagation       = "unknown propagation"
	PropagationTwice         = "propagation told twice"
	CollectionEverywhere     = "collection in all namespaces"
	CollectionWithoutVersion = "collection with a match but no version"
	OtherName                = "update under another name"
	BadName                  = "create with a bad name"
	MissingNamespace         = "create in a namespace that is not there"
	UnknownFieldSelector     = "unknown field selector"
	BadLabelSelector         = "label selector that is none"
	UnknownResource          = "unknown resource"
	MalformedContinue        = "malformed continue token"
	// TooLarge is what its store must refuse: the sender knows of its limit.
	TooLarge = "create of more than the store takes"
)

// Marks are what the sender of a write says that it does to the marks of the
// object; see Version.Marks.
type Marks struct {
	Sets    []Pair
	Removes []string
}

// Pair is a name with a value.
type Pair struct {
	Name  string `parquet:"name,dict"`
	Value string `parquet:"value"`
}

// APIObject is one version of one object, as an answer or an event showed it.
type APIObject struct {
	Namespace string `parquet:"namespace,dict"`
	Name      string `parquet:"name"`
	UID       string `parquet:"uid"`
	// Version is the resourceVersion, 0 if it is none.
	Version int64 `parquet:"version"`
	// Content is the hash of the rest, by package object: the same as
	// Version.Content of the version that it is.
	Content  uint64 `parquet:"content"`
	Deleting bool   `parquet:"deleting"` // deletionTimestamp is set
}

// APIChunk stands for up to MaxListed objects of a long list.
type APIChunk struct {
	First  string `parquet:"first"` // namespace/name, or the name of a cluster-scoped object
	Last   string `parquet:"last"`
	Count  int64  `parquet:"count"`
	Digest uint64 `parquet:"digest"` // DigestObjects of its objects, in order
}

// DigestObjects folds objects of a list into the digest of their chunk.
func DigestObjects(objects []APIObject) uint64 {
	d := xxhash.New()
	var buf [40]byte
	for i := range objects {
		o := &objects[i]
		b := buf[:0]
		for _, n := range [...]uint64{
			uint64(o.Version), o.Content, uint64(len(o.Namespace)), uint64(len(o.Name)), uint64(len(o.UID)),
		} {
			b = binary.LittleEndian.AppendUint64(b, n)
		}
		_, _ = d.Write(b) // a hash.Hash never fails
		_, _ = d.WriteString(o.Namespace)
		_, _ = d.WriteString(o.Name)
		_, _ = d.WriteString(o.UID)
	}
	return d.Sum64()
}

// Key is namespace/name, or the name of a cluster-scoped object.
func (o *APIObject) Key() string {
	if o.Namespace == "" {
		return o.Name
	}
	return o.Namespace + "/" + o.Name
}

// ChunkObjects cuts a list into the chunks that stand for it in a history.
func ChunkObjects(objects []APIObject) []APIChunk {
	var chunks []APIChunk
	for len(objects) > 0 {
		part := objects[:min(len(objects), MaxListed)]
		objects = objects[len(part):]
		chunks = append(chunks, APIChunk{
			First: part[0].Key(), Last: part[len(part)-1].Key(),
			Count: int64(len(part)), Digest: DigestObjects(part),
		})
	}
	return chunks
}

// The kinds of APIWatch beside the types of events, ADDED, MODIFIED, DELETED,
// BOOKMARK and ERROR.
const (
	APIWatchOpen   = "open"   // the answer's headers have come
	APIWatchClosed = "closed" // the stream has ended
)

// APIWatch is one message on a watch.
type APIWatch struct {
	// Call is the ID of the APICall that opened the watch, where its
	// parameters and its server are.
	Call uint64 `parquet:"call"`
	Type string `parquet:"type,dict"`
	At   Time   `parquet:"at,delta"` // when its last byte had been read
	// Object of ADDED, MODIFIED and DELETED; of BOOKMARK only Version.
	Object APIObject `parquet:"object"`
	// InitialEnd marks the bookmark that carries k8s.io/initial-events-end.
	InitialEnd bool `parquet:"initial_end"`
	// Of ERROR: those of its Status. Of closed: Error says what ended the
	// stream: "" the server, "by client" the client, or what the transport said.
	Status int32  `parquet:"status"`
	Reason string `parquet:"reason,dict"`
	Error  string `parquet:"error,dict"`
}

// ClosedByClient is APIWatch.Error of a watch that its client gave up.
const ClosedByClient = "by client"

// APISink takes the records of an API history, with the rules of StoreSink.
type APISink interface {
	APICall(*APICall)
	APIWatch(*APIWatch)
}

// Clone returns a copy that shares nothing with c but strings.
func (c *APICall) Clone() *APICall {
	d := *c
	d.Sets, d.Removes = append([]Pair(nil), c.Sets...), append([]string(nil), c.Removes...)
	d.Items, d.Chunks = append([]APIObject(nil), c.Items...), append([]APIChunk(nil), c.Chunks...)
	return &d
}
