package history

// Crash is that a member of the store ended in the course of a history, killed or
// stopped, and came back with what was on its disk. No record of a history says so:
// whoever ended it does.
type Crash struct {
	Member string `json:"member"` // as StoreOp.Member
	// Ended is a moment before it ended, Back one at which it had been back.
	Ended Time `json:"ended"`
	Back  Time `json:"back"`
}
