package scenarios

import (
	"math"

	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/checkers/api/reads"
	"github.com/planecheck/planecheck/checkers/api/watches"
	"github.com/planecheck/planecheck/checkers/api/writes"
	"github.com/planecheck/planecheck/checkers/judge"
)

// scaleRate is the rate, in requests per second, of the contract traffic beside a load
// unless a person wants another. Slower traffic brings less even of a thousand requests,
// for a watch sees fewer changes before it is cut.
const scaleRate = 15

// share is one floor of evidence of a guarantee, and how much of that a thousand requests
// of contract traffic bring for sure, whatever the load and the nodes beside it bring.
type share struct {
	floor    int64
	perMille float64
}

// brought is what contract traffic of every kind brings for a guarantee of the API.
type brought struct {
	guarantee string
	shares    []share
}

// inAll are the floors that all guarantees of reads have, and most of writes.
var (
	readsInAll  = share{1000, 300}
	writesInAll = share{1000, 450}
)

// contractBrings has the guarantees of the API that contract traffic puts to the test if
// it lasts. Each share is a tenth or more below the least that was seen in seven runs of
// contract/api (150 requests/s, 50 to 90 s, seeds 1 to 5, 31 and 32; 23 November 2026),
// those of reads also in thirty (seeds 1 to 25; a day later), or, where the load or the
// nodes bring most of that, below what the traffic's own requests must have brought by
// their numbers.
//
// Three are not there. ExpiredHonest and WatchExpiredHonest take compactions, of which
// upstream makes one in five minutes, and an API server that starts anew. TooNewHonest
// takes reads that a server keeps waiting for three seconds, which would be what the
// objectives of a load measure; see contract.Options.Gentle. They are claimed by the
// scenarios about the API.
var contractBrings = []brought{
	{string(reads.MostRecent), []share{{200, 140}, readsInAll}},
	{string(reads.NotOlderThan), []share{{100, 39}, readsInAll}},
	{string(reads.Exact), []share{{50, 15}, readsInAll}},
	{string(reads.Any), []share{{100, 14}, readsInAll}},
	{string(reads.Snapshot), []share{{200, 85}, readsInAll}},
	{string(reads.Paged), []share{{50, 22}, readsInAll}},
	{watches.InitialState, []share{{20, 10}}},
	{watches.InitialEventsEnd, []share{{20, 5}}},
	{watches.BookmarkNotAhead, []share{{20, 6}}},
	{watches.Transitions, []share{{20, 15}, {20, 6}, {20, 6}}},
	{watches.TooNewHonest, []share{{5, 5.5}}},
	{writes.ConflictHonest, []share{writesInAll, {50, 25}}},
	{writes.ExistsHonest, []share{writesInAll, {10, 40}}},
	{writes.NotFoundHonest, []share{writesInAll, {10, 40}}},
	{writes.PreconditionHonest, []share{writesInAll, {10, 18}}},
	{writes.NoLostUpdate, []share{writesInAll, {100, 170}}},
	{writes.RVMonotonic, []share{writesInAll, {100, 150}}},
	{writes.DryRunInert, []share{writesInAll, {10, 20}}},
	{writes.ErrorHonest, []share{{50, 250}, {10, 32}}},
}

// lastingClaims are the guarantees of the API that the plan's contract traffic puts to
// the test once it has sent so many requests: what a plan cannot know is how long its
// load takes, as the pace is found on the way, and how many of them a slow machine sends. There are none where a fault, an
// operation left out or something broken takes a part of the evidence away; where the
// traffic is slower than what was measured; and where it is as fast as that of the
// scenarios about the API, which claim what they test, and of comparisons, whose stores
// may not carry it.
func (p *Plan) lastingClaims() map[string]int64 {
	if p.Contract == nil || p.Contract.Rate < scaleRate || !p.Contract.Gentle ||
		len(p.Interventions) > 0 || len(p.Breaks) > 0 || p.swarms() {
		return nil
	}
	after := map[string]int64{}
	for _, b := range contractBrings {
		requests := 0.0
		for _, s := range b.shares {
			requests = max(requests, 1000*surely(s.floor)/s.perMille)
		}
		after[judge.Claim(checkers.AreaAPI, b.guarantee)] = int64(math.Ceil(requests))
	}
	return after
}

// surely is how much of something has to be expected for its floor to be reached, but
// for one run in some ten thousand: operations are drawn, and so their numbers vary by
// the root of what is expected.
func surely(floor int64) float64 { return float64(floor) + 4*math.Sqrt(float64(floor)) + 4 }
