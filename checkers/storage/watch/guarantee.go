package watch

// Guarantee names a guarantee of watches.
type Guarantee string

// The guarantees, in the order of their verdicts.
const (
	Ordered         Guarantee = "Ordered"
	Unique          Guarantee = "Unique"
	Atomic          Guarantee = "Atomic"
	Reliable        Guarantee = "Reliable"
	Resumable       Guarantee = "Resumable"
	Filtered        Guarantee = "Filtered"
	PrevKV          Guarantee = "PrevKV"
	IsCreate        Guarantee = "IsCreate"
	Bookmarkable    Guarantee = "Bookmarkable"
	CompactedCancel Guarantee = "CompactedCancel"
	Fresh           Guarantee = "Fresh"
)

// Guarantees returns all of them in the order of their verdicts.
func Guarantees() []Guarantee {
	return []Guarantee{
		Ordered, Unique, Atomic, Reliable, Resumable, Filtered, PrevKV, IsCreate,
		Bookmarkable, CompactedCancel, Fresh,
	}
}

const (
	linkGuarantees = " (https://etcd.io/docs/v3.7/learning/api_guarantees/#watch-apis)"
	linkReference  = " (https://etcd.io/docs/v3.7/dev-guide/api_reference_v3/)"
)

// statements are the guarantees in the words of etcd's documentation.
var statements = map[Guarantee]string{
	Ordered: `"Events are ordered by revision. An event will never appear on a watch if it precedes an event in time ` +
		`that has already been posted. The order of events in a watch corresponding to a TXN operation is always the ` +
		`same as within the TXN request."` + linkGuarantees,
	Unique: `"An event will never appear on a watch twice."` + linkGuarantees,
	Atomic: `"A list of events is guaranteed to encompass complete revisions. Updates in the same revision over ` +
		`multiple keys will not be split over several lists of events."` + linkGuarantees,
	Reliable: `"A sequence of events will never drop any subsequence of events within the available history window. ` +
		`If there are events ordered in time as a < b < c, then if the watch receives events a and c, it is guaranteed ` +
		`to receive b as long b is in the available history window."` + linkGuarantees +
		` An event is what was committed: its type, key, revisions, version, lease and value.`,
	Resumable: `"A broken watch can be resumed by establishing a new watch starting after the last revision received ` +
		`in a watch event before the break, so long as the revision is in the history window."` + linkGuarantees +
		` A watch without a start revision is resumed from the header of its created answer.`,
	Filtered: `A watch receives the events of its range [key, range_end), from start_revision "(inclusive)" on, without ` +
		`those that it asked to "filter out", and nothing before its created or after its canceled.` + linkReference,
	PrevKV: `"If prev_kv is set, created watcher gets the previous KV before the event happens. If the previous KV is ` +
		`already compacted, nothing will be returned."` + linkReference,
	IsCreate: `A PUT event shows a creation, with a create_revision that is its mod_revision, if and only if the key did ` +
		`not exist before: create_revision "is the revision of last creation on this key".` + linkReference,
	Bookmarkable: `"Progress notification events guarantee that all events up to a revision have been already delivered."` +
		linkGuarantees + ` "All future events received in this stream are guaranteed to have a higher revision number."` +
		linkReference,
	CompactedCancel: `"canceled is set to true if the response is for a cancel watch request or if the start_revision ` +
		`has already been compacted"; a watch that "cannot catch up" is canceled with a compact_revision and never ` +
		`skips what was compacted.` + linkReference,
	Fresh: `"In correctly working etcd cluster you should expect to see watch events to appear with 10ms delay after ` +
		`them happening." (https://etcd.io/docs/v3.7/learning/api_guarantees/#apis-to-consider) Once no more faults are ` +
		`caused, every event arrives within a stated bound.`,
}
