package storage

import "time"

// Contract is what a backend promises beyond the etcd API itself. What it does
// not promise is not judged, and is printed with the verdict.
type Contract struct {
	Name string `json:"name"`
	// Dense: revisions have no gaps.
	Dense bool `json:"dense"`
	// HashKV: members can be compared by a hash at a revision.
	HashKV bool `json:"hash_kv"`
	// LocalHeaders: the revision of a header is committed, also in answers that
	// a member gives on its own (Status, serializable reads, keep-alives).
	LocalHeaders bool `json:"local_headers"`
	// CompactsOnRequest: old revisions go when and only when a client asks.
	CompactsOnRequest bool `json:"compacts_on_request"`
	// Uncounted: the changes of a key are not counted from its creation: an answer
	// shows version 0, and the event of a change shows one lease for the key
	// before and after it, and perhaps not when the version before was created.
	Uncounted bool `json:"uncounted,omitempty"`
	// Unasked: the answer of a deletion holds previous versions, or what is given
	// out as such, that nobody asked for.
	Unasked bool `json:"unasked,omitempty"`
	// Terse: the answers of the transaction by which API servers agree who compacts
	// hold nothing but what they read of them.
	Terse bool `json:"terse,omitempty"`
	// Keys is the prefix of all keys that are clients', but for the one that
	// API servers compact by: others are the store's own. "": there are none.
	Keys string `json:"keys,omitempty"`
	// Makes is a key that the store puts by itself when it is new. "": none.
	Makes string `json:"makes,omitempty"`
	// LeaseIDIsTTL: leases of one time to live share one ID, and their keys
	// expire one by one, counted from their last put.
	LeaseIDIsTTL bool `json:"lease_id_is_ttl"`
	// LeaseOverrun is how long a key may outlive its lease. etcd looks for
	// expired leases every 500 ms and revokes at most 1,000 a second
	// (lease/lessor.go), but a new leader starts every lease anew (Promote): the
	// bound is one time to live more than this, after its time has run out and
	// after the first answer of the leader's term.
	LeaseOverrun time.Duration `json:"lease_overrun_ns"`
}

// Etcd returns the contract of etcd, read from go.etcd.io/etcd/server/v3@v3.7.3.
// Automatic compaction must be off.
func Etcd() Contract {
	return Contract{
		Name: "etcd", Dense: true, HashKV: true, LocalHeaders: true, CompactsOnRequest: true,
		LeaseOverrun: 10 * time.Second,
	}
}

// Memory returns the contract of the backend memory, which answers as etcd does.
// It has one member and no hash.
func Memory() Contract {
	c := Etcd()
	c.Name, c.HashKV = "memory", false
	return c
}

// External returns the contract of a part of an etcd that others use as well:
// their writes are gaps in the revisions, and the revision of a header may be one
// of theirs; they compact when they see fit, and a hash would be of their keys
// too.
func External() Contract {
	return Contract{Name: "external", LeaseOverrun: Etcd().LeaseOverrun}
}

// Kine returns the contract of kine on a database, which is the API of etcd as
// far as kube-apiserver reads its answers: revisions are the IDs of rows and
// have gaps, it compacts when it sees fit, there is no hash, a lease is its time
// to live in seconds, and the changes of a key are not counted. Read from
// github.com/k3s-io/kine@v0.17.5.
func Kine() Contract {
	return Contract{
		Name: "kine", LeaseIDIsTTL: true, LeaseOverrun: 30 * time.Second,
		Uncounted: true, Unasked: true, Terse: true, Keys: "/", Makes: "/registry/health",
	}
}

// KineMemory returns the contract of kine's own store in memory, which counts.
func KineMemory() Contract {
	c := Kine()
	c.Uncounted = false
	return c
}

// exceptions lists what the contract does not promise.
func (c Contract) exceptions() []string {
	var list []string
	add := func(promised bool, text string) {
		if !promised {
			list = append(list, text)
		}
	}
	add(c.Dense, "revisions may have gaps")
	add(c.HashKV, "members have no hash")
	add(c.LocalHeaders, "headers of local answers mean nothing")
	add(c.CompactsOnRequest, "it compacts by itself")
	add(!c.Uncounted, "the changes of a key are not counted")
	add(!c.Unasked, "answers hold previous versions unasked")
	add(!c.Terse, "answers about "+compactKey+" are terse")
	add(c.Keys == "", "keys outside of "+c.Keys+" are its own")
	add(c.Makes == "", c.Makes+" is its own")
	add(!c.LeaseIDIsTTL, "a lease is its time to live")
	return list
}

// Floors are the least amounts of evidence below which a guarantee is Invalid
// rather than Pass. A zero field means its default, a negative one none.
type Floors struct {
	Operations  int64 // calls with an answer, for every guarantee; default 1,000
	Conflicts   int64 // transactions whose comparison failed, for Replay; default 50
	Compactions int64 // that succeeded, for CompactionHonest; default 5
	Leases      int64 // whose time ran out while keys held them, for LeaseHonest; default 5
	Refusals    int64 // definite failures of writes, for DefiniteFailureInert; default 1
	Crashes     int64 // members that ended after a write and came back, for Durable; default 1
	// Members is the number of members whose whole key space was read, for
	// MembersAgree; default: every member that was called at all. It is negative
	// where a large key space is not read whole.
	Members int64
	// Hashes is the number of members whose hash at one revision was compared with
	// that of the same other member, for MembersAgree too; default: all but one of
	// those that were called at all, where members have a hash or Members is
	// negative.
	Hashes int64
}

func (f Floors) withDefaults() Floors {
	set := func(v *int64, def int64) {
		if *v == 0 {
			*v = def
		}
		*v = max(*v, 0)
	}
	set(&f.Operations, 1000)
	set(&f.Conflicts, 50)
	set(&f.Compactions, 5)
	set(&f.Leases, 5)
	set(&f.Refusals, 1)
	set(&f.Crashes, 1)
	return f
}
