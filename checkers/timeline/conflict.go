package timeline

import "github.com/planecheck/planecheck/checkers/history"

// Options of a Builder. All hooks may be nil.
type Options struct {
	// Start is the revision before the first one of the history; 1 is a new
	// store. 0: it is inferred from the first records.
	Start int64
	// Initial is the timeline to go on with; it is used up. Nil: a new one, from
	// Start on.
	Initial *Timeline
	// Gaps says that the store leaves out revisions, as kine does. Without it a
	// revision that nobody is known to have written is a Hole.
	Gaps bool
	// Uncounted says that the store does not count the versions of a key: all that
	// are there have the version Uncounted.
	Uncounted bool
	// Sealed is called for every revision, in order, after it was appended.
	Sealed func(Sealed)
	// Conflict is called for whatever does not fit.
	Conflict func(Conflict)
	// Hole is asked at the end for the changes of a revision that neither an
	// acknowledged write nor an event explains; view is the state before.
	Hole func(rev int64, view View) []Change
}

// Sealed is a revision whose changes are settled.
type Sealed struct {
	Rev     int64
	Changes []Change
	Op      *history.StoreOp // the acknowledged write, nil if there was none yet
	Seen    history.Time     // when a watch showed it first, 0: not yet
}

// ConflictKind says what does not fit.
type ConflictKind string

// The kinds of conflicts.
const (
	Duplicate     ConflictKind = "duplicate"      // two acknowledged writes, one revision
	Hole          ConflictKind = "hole"           // revisions [Rev, To] that nobody wrote
	EffectDiffers ConflictKind = "effect differs" // an event is not what the write does
	MembersDiffer ConflictKind = "members differ" // a member's event is not what is known
	MemberMissed  ConflictKind = "member missed"  // a member's watch passed over the revision
	Late          ConflictKind = "late"           // a write came after its revision was given up
)

// Conflict is a contradiction between records.
type Conflict struct {
	Kind      ConflictKind
	Rev, To   int64
	Op, Other *history.StoreOp
	Want, Got []Change
	Member    string // whose watch
	At        history.Time
}
