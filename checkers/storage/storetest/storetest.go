// Package storetest makes storage histories that are valid by construction: it
// runs seeded clients against a simulated etcd in virtual time and records them
// as a recorder between clients and store would have. The checkers are tested
// against these histories and against lies told in copies of them.
//
// The simulated store shares no code with the checkers, so that an error of
// understanding in one of them shows as a false alarm.
package storetest

import (
	"time"

	"github.com/planecheck/planecheck/checkers/history"
)

// Config sizes a history. The zero value of a field means its default; a
// negative value switches off what the field controls.
type Config struct {
	Ops     int // calls by clients, without the closing ones; default 400
	Clients int // default 8
	Members int // default 3
	Keys    int // names that clients create and delete; default 24
	// Prefixes spreads the keys over so many resources; default 3.
	Prefixes int
	// Think is the mean pause of a client between two calls; default 40 ms.
	Think time.Duration
	// Lag is how far a member is behind at most; default 30 ms.
	Lag time.Duration
	// Unknown is the share of calls with an unknown outcome; default 0.04.
	Unknown float64
	// Refused is the share of calls that are refused; default 0.02.
	Refused float64
	// Local is the share of reads that are serializable; default 0.15.
	Local float64
	// Raw is the share of calls that Kubernetes never makes: blind puts,
	// deletions of ranges, transactions over several keys; default 0.1.
	Raw float64
	// Leased is the share of creations with a lease; default 0.2.
	Leased float64
	// CompactEvery is the mean time between compactions; default 1 s.
	CompactEvery time.Duration
	// Streams is the number of watch streams beside those of the whole key
	// space; default 4.
	Streams int
	// Start is the revision before the first call; default 1, an empty store.
	// From a higher one on the store holds keys that no call has put.
	Start int64
}

// History is a storage history in memory: calls in the order of their IDs,
// watch messages in the order of their times.
type History struct {
	Ops     []*history.StoreOp
	Watches []*history.StoreWatch
}

func orInt(v, def int) int {
	switch {
	case v < 0:
		return 0
	case v == 0:
		return def
	}
	return v
}

func orShare(v, def float64) float64 {
	switch {
	case v < 0:
		return 0
	case v == 0:
		return def
	}
	return v
}

func orTime(v, def time.Duration) time.Duration {
	switch {
	case v < 0:
		return 0
	case v == 0:
		return def
	}
	return v
}

func (c Config) withDefaults() Config {
	c.Ops = orInt(c.Ops, 400)
	c.Clients = max(1, orInt(c.Clients, 8))
	c.Members = max(1, orInt(c.Members, 3))
	c.Keys = max(1, orInt(c.Keys, 24))
	c.Prefixes = max(1, orInt(c.Prefixes, 3))
	c.Think = orTime(c.Think, 40*time.Millisecond)
	c.Lag = orTime(c.Lag, 30*time.Millisecond)
	c.Unknown = orShare(c.Unknown, 0.04)
	c.Refused = orShare(c.Refused, 0.02)
	c.Local = orShare(c.Local, 0.15)
	c.Raw = orShare(c.Raw, 0.1)
	c.Leased = orShare(c.Leased, 0.2)
	c.CompactEvery = orTime(c.CompactEvery, time.Second)
	c.Streams = orInt(c.Streams, 4)
	c.Start = max(1, c.Start)
	return c
}

// Generate returns the valid history of a seed. Equal arguments give equal
// histories.
func Generate(seed uint64, cfg Config) History {
	var kept Log
	Run(seed, cfg, &kept)
	return kept.history()
}

// Run is Generate for histories that do not fit in memory: the sink gets each
// record when it would have been recorded, calls without an answer at the end.
func Run(seed uint64, cfg Config, sink history.StoreSink) {
	s := newSim(seed, cfg.withDefaults(), sink)
	s.run()
}

// Feed hands the records to a sink in the order in which a recorder would have
// made them.
func (h History) Feed(sink history.StoreSink) {
	ops := byReturn(h.Ops)
	i := 0
	for _, w := range h.Watches {
		for ; i < len(ops) && ops[i].Returned != 0 && ops[i].Returned <= w.At; i++ {
			sink.StoreOp(ops[i])
		}
		sink.StoreWatch(w)
	}
	for ; i < len(ops); i++ {
		sink.StoreOp(ops[i])
	}
}
