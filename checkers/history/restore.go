package history

// Restore is that the store was restored from a snapshot in the course of a
// history, by which it has two epochs: one up to the restoration, and one from
// what the snapshot held on.
type Restore struct {
	// At is a moment at which no member served: what was called before it is of
	// the first epoch, what was called after it of the second.
	At Time `json:"at"`
	// Kept is the last revision in the snapshot.
	Kept int64 `json:"kept"`
	// Told is the last revision before the restoration: those above Kept are lost.
	Told int64 `json:"told"`
	// Bumped is the revision after the restoration. Its state is that of Kept.
	Bumped int64 `json:"bumped"`
}
