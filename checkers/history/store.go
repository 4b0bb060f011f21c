package history

// This file holds the records of the storage history: what the API servers
// asked of the store, over gRPC, and what it answered. They are taken between
// the client and the store, in front of anything that might lie.
//
// Values are not kept, only their hashes: what a checker needs to know of a
// value is whether it is the same one.

// StoreMethod names a method of the etcd v3 API as the recorder saw it.
type StoreMethod string

// The methods that the recorder knows. A call of another method that may
// change the store is recorded as MethodUnknown and makes the history Invalid.
const (
	MethodRange       StoreMethod = "Range"
	MethodRangeStream StoreMethod = "RangeStream" // the chunks joined to one answer
	MethodTxn         StoreMethod = "Txn"
	MethodPut         StoreMethod = "Put"
	MethodDeleteRange StoreMethod = "DeleteRange"
	MethodCompact     StoreMethod = "Compact"
	MethodLeaseGrant  StoreMethod = "LeaseGrant"
	MethodLeaseRevoke StoreMethod = "LeaseRevoke"
	// MethodLeaseKeepAlive is one renewal on a keep-alive stream.
	MethodLeaseKeepAlive StoreMethod = "LeaseKeepAlive"
	MethodLeaseTTL       StoreMethod = "LeaseTimeToLive"
	MethodStatus         StoreMethod = "Status"
	MethodHashKV         StoreMethod = "HashKV"
	MethodUnknown        StoreMethod = "Unknown" // its full name is in StoreOp.Error.Message
)

// StoreOp is one call of the store. The zero value of every field means that
// the request or the answer had none.
type StoreOp struct {
	// ID numbers the calls of one history from 1 in the order in which they
	// were called, as near as concurrent calls have one.
	ID     uint64 `parquet:"id,delta"`
	Client uint32 `parquet:"client"`      // the connection; unique in a history
	Member string `parquet:"member,dict"` // the server that was asked

	Method   StoreMethod `parquet:"method,dict"`
	Called   Time        `parquet:"called,delta"`   // before the handler ran or the proxy forwarded
	Returned Time        `parquet:"returned,delta"` // 0: no answer until the end of the history

	// The request. A Range, Put or DeleteRange is one Action in Then.
	Compares []StoreCompare `parquet:"compares,list"`
	Then     []StoreAction  `parquet:"then,list"`
	Else     []StoreAction  `parquet:"else,list"`
	// Revision is the revision of a Compact or HashKV.
	Revision int64 `parquet:"revision"`
	// Physical says that a Compact waits until the old revisions are gone.
	Physical bool  `parquet:"physical"`
	Lease    int64 `parquet:"lease"` // LeaseGrant: the ID that was asked for, 0: any
	TTL      int64 `parquet:"ttl"`   // LeaseGrant: asked for, in seconds

	// The answer.
	Error     StoreError    `parquet:"error"`
	Header    int64         `parquet:"header"` // revision of the header
	Term      uint64        `parquet:"term"`   // of raft, in the header: that of the last entry the member has applied
	Succeeded bool          `parquet:"succeeded"`
	Results   []StoreResult `parquet:"results,list"` // of the executed branch, one per Action
	// GrantedLease and GrantedTTL are those of a LeaseGrant, LeaseKeepAlive (a
	// TTL of 0 or less: there is no such lease) or LeaseTimeToLive.
	GrantedLease int64 `parquet:"granted_lease"`
	GrantedTTL   int64 `parquet:"granted_ttl"`
	// Hash and CompactRevision are those of a HashKV.
	Hash            uint64 `parquet:"hash"`
	CompactRevision int64  `parquet:"compact_revision"`
}

// StoreErrorKind is what an error says of the fate of the operation.
type StoreErrorKind string

// The kinds of errors. All but ErrorUnknown and ErrorNoSpace are definite: the
// store refused before it changed anything.
const (
	ErrorNone            StoreErrorKind = ""
	ErrorUnknown         StoreErrorKind = "unknown"   // timeout, cut connection, leader change: it may have taken effect
	ErrorNoSpace         StoreErrorKind = "no-space"  // applied, then refused: as unknown
	ErrorCompacted       StoreErrorKind = "compacted" // of a read, a Txn with a read, a Compact
	ErrorFutureRev       StoreErrorKind = "future-revision"
	ErrorLeaseNotFound   StoreErrorKind = "lease-not-found"
	ErrorLeaseExists     StoreErrorKind = "lease-exists"
	ErrorInvalid         StoreErrorKind = "invalid" // empty key, duplicate key, too many operations
	ErrorTooLarge        StoreErrorKind = "request-too-large"
	ErrorTooManyRequests StoreErrorKind = "too-many-requests"
)

// StoreError is the error that a call ended with.
type StoreError struct {
	Kind    StoreErrorKind `parquet:"kind,dict"`
	Message string         `parquet:"message,dict"` // gRPC code and text
}

// Definite says that the operation has surely had no effect.
func (e StoreError) Definite() bool {
	return e.Kind != ErrorNone && e.Kind != ErrorUnknown && e.Kind != ErrorNoSpace
}

// CompareTarget is what a comparison of a Txn looks at.
type CompareTarget string

// The targets of comparisons.
const (
	CompareMod     CompareTarget = "mod"
	CompareCreate  CompareTarget = "create"
	CompareVersion CompareTarget = "version"
	CompareLease   CompareTarget = "lease"
	CompareValue   CompareTarget = "value" // Number is the hash; only = and != can be judged
)

// StoreCompare is one comparison of a Txn: Target(key) Op Number, for every key
// of [Key, End), or for Key when End is empty.
type StoreCompare struct {
	Key    string        `parquet:"key"`
	End    string        `parquet:"end"`
	Target CompareTarget `parquet:"target,dict"`
	Op     string        `parquet:"op,dict"` // = != < >
	Number int64         `parquet:"number"`  // the hash of a value, bit by bit
}

// ActionKind is what one operation of a request does.
type ActionKind string

// The kinds of actions. A Txn within a Txn is ActionOther: Kubernetes sends
// none, and a history that holds one is Invalid.
const (
	ActionRange  ActionKind = "range"
	ActionPut    ActionKind = "put"
	ActionDelete ActionKind = "delete"
	ActionOther  ActionKind = "other"
)

// StoreAction is one operation of a request.
type StoreAction struct {
	Kind ActionKind `parquet:"kind,dict"`
	Key  string     `parquet:"key"`
	// End ends the range [Key, End), as in etcd: "" is the one Key, "\x00" is
	// everything from Key on.
	End      string `parquet:"end"`
	Revision int64  `parquet:"revision"` // range: to read at, 0: the current one
	Limit    int64  `parquet:"limit"`
	// Flags of a range.
	Serializable bool `parquet:"serializable"`
	CountOnly    bool `parquet:"count_only"`
	KeysOnly     bool `parquet:"keys_only"`
	Sorted       bool `parquet:"sorted"` // in another order than ascending by key, or filtered by revision
	PrevKV       bool `parquet:"prev_kv"`

	Value       uint64 `parquet:"value"`        // put: hash
	Bytes       int64  `parquet:"bytes"`        // put: size of the value
	Lease       int64  `parquet:"lease"`        // put
	IgnoreValue bool   `parquet:"ignore_value"` // put keeps the present value
	IgnoreLease bool   `parquet:"ignore_lease"` // put keeps the present lease
}

// StoreResult is the answer to one StoreAction.
type StoreResult struct {
	Count   int64 `parquet:"count"` // range: keys that match, regardless of the limit
	More    bool  `parquet:"more"`  // range
	Deleted int64 `parquet:"deleted"`
	// Header is the revision of the inner header; 0: there was none.
	Header int64 `parquet:"header"`
	// KVs are the keys of a range, or the previous ones of a put or delete
	// with PrevKV. Of more than MaxListed keys only the Chunks are kept.
	KVs    []StoreKV    `parquet:"kvs,list"`
	Chunks []StoreChunk `parquet:"chunks,list"`
}

// MaxListed is the number of keys from which on a list is kept as chunks, each
// of at most that many keys.
const MaxListed = 64

// StoreKV is one key as the store showed it.
type StoreKV struct {
	Key     string `parquet:"key"`
	Create  int64  `parquet:"create"`
	Mod     int64  `parquet:"mod"`
	Version int64  `parquet:"version"`
	Lease   int64  `parquet:"lease"`
	Value   uint64 `parquet:"value"` // hash; 0 with KeysOnly
}

// StoreChunk stands for up to MaxListed keys of a long list.
type StoreChunk struct {
	First  string `parquet:"first"`
	Last   string `parquet:"last"`
	Count  int64  `parquet:"count"`
	Digest uint64 `parquet:"digest"` // Digest of its keys, in order
}

// WatchKind says what a StoreWatch record is.
type WatchKind string

// The kinds of records of a watch stream.
const (
	WatchCreate   WatchKind = "create"   // request; Watch is the ID asked for, 0: any
	WatchCreated  WatchKind = "created"  // the answer, which carries the ID
	WatchEvents   WatchKind = "events"   // an answer with events
	WatchProgress WatchKind = "progress" // an answer without
	WatchAsk      WatchKind = "ask"      // request for progress, of all watches of the stream
	WatchCancel   WatchKind = "cancel"   // request
	WatchCanceled WatchKind = "canceled" // the end of one watch, by the store
	WatchClosed   WatchKind = "closed"   // the end of the stream, whoever ended it
)

// StoreWatch is one message on a watch stream.
type StoreWatch struct {
	Stream uint64    `parquet:"stream"` // unique in a history
	Watch  int64     `parquet:"watch"`  // ID within the stream; -1 in a progress for all of it
	Member string    `parquet:"member,dict"`
	Kind   WatchKind `parquet:"kind,dict"`
	At     Time      `parquet:"at,delta"` // before it was handed on
	Header int64     `parquet:"header"`   // revision of an answer's header

	// Of WatchCreate. End is as in StoreAction.
	Key      string `parquet:"key"`
	End      string `parquet:"end"`
	Start    int64  `parquet:"start"` // first revision wanted, inclusive; 0: from now on
	PrevKV   bool   `parquet:"prev_kv"`
	Progress bool   `parquet:"progress_notify"`
	NoPut    bool   `parquet:"no_put"`
	NoDelete bool   `parquet:"no_delete"`
	// Fragmented: of WatchCreate, that fragments are allowed; of WatchEvents,
	// that the rest of the same answer follows.
	Fragmented bool `parquet:"fragmented"`

	Events          []StoreEvent `parquet:"events,list"`
	CompactRevision int64        `parquet:"compact_revision"` // of WatchCanceled
	Reason          string       `parquet:"reason,dict"`      // of WatchCanceled and WatchClosed
}

// StoreEvent is one event of a watch.
type StoreEvent struct {
	Delete bool    `parquet:"delete"`
	KV     StoreKV `parquet:"kv"` // of a deletion only Key and Mod are set
	// Prev is the version before; Prev.Mod is 0 where the store gave none.
	Prev StoreKV `parquet:"prev"`
}

// StoreSink takes the records of a storage history. Its methods are called
// concurrently and keep the records: the caller makes no further use of them.
// They must be quick, and drop a record, counting it, rather than wait: a
// history that lost records is Invalid, a recorder that waits changes the run.
type StoreSink interface {
	StoreOp(*StoreOp)
	StoreWatch(*StoreWatch)
}
