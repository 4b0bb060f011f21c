package storage

// The guarantees that this package judges.
const (
	Order                = "Order"
	Replay               = "Replay"
	Reads                = "Reads"
	RealTime             = "RealTime"
	NoPhantom            = "NoPhantom"
	DefiniteFailureInert = "DefiniteFailureInert"
	CompactionHonest     = "CompactionHonest"
	LeaseHonest          = "LeaseHonest"
	Durable              = "Durable"
	MembersAgree         = "MembersAgree"
)

const (
	guaranteesURL = "https://etcd.io/docs/v3.7/learning/api_guarantees/"
	apiURL        = "https://etcd.io/docs/v3.7/learning/api/"
)

// Guarantees returns all of them in the order of their verdicts.
func Guarantees() []string {
	var names []string
	for _, g := range guarantees {
		names = append(names, g.name)
	}
	return names
}

// guarantee is a name with what it promises. The quoted words are those of the
// documentation.
type guarantee struct{ name, statement string }

var guarantees = []guarantee{
	{Order, `"A store revision ... is a 64-bit cluster-wide counter that is incremented each time the key space is modified": ` +
		`every write has a revision of its own, and none is left out. ` + apiURL + "#revisions"},
	{Replay, `"All API requests are atomic; an operation either completes entirely or not at all": ` +
		`each write's comparisons hold, and its answer matches, in the state just before it. ` + guaranteesURL + "#atomicity"},
	{Reads, `"Range retrieves ... the key-value store at the revision": each answer is exactly the state of one revision, ` +
		`the one in its header or the one it was asked for. ` + apiURL + "#range"},
	{RealTime, `"Strict serializability": an operation that is called after another one has returned takes effect after it; ` +
		`its revision is not lower, and higher if it writes. ` + guaranteesURL + "#isolation-level-and-consistency-of-replicas"},
	{NoPhantom, `every revision has one cause: a write that was acknowledged, a write whose outcome is unknown, or the end of a lease. ` +
		guaranteesURL + "#kv-apis"},
	{DefiniteFailureInert, `"an operation either completes entirely or not at all": what was refused has changed nothing. ` +
		guaranteesURL + "#atomicity"},
	{CompactionHonest, `"All superseded keys with revisions less than the compaction revision will be removed": ` +
		`a revision can be read if and only if it is not below the compaction revision. ` + apiURL + "#compaction"},
	{LeaseHonest, `"when a lease expires ... all keys attached to the lease will be deleted": ` +
		`no key dies before the time to live of its lease has passed, and none outlives it by more than the stated bound. ` + apiURL + "#lease-api"},
	{Durable, `"Any completed operations are durable. All accessible data is also durable data": ` +
		`an acknowledged write is never unmade, whichever members of the store end and come back. ` + guaranteesURL + "#durability"},
	{MembersAgree, `every member holds the same key space at the same revision: hashes, events and full reads agree. ` + guaranteesURL},
}
