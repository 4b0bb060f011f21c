package scenarios

import (
	"slices"
	"time"

	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/checkers/api/reads"
	"github.com/planecheck/planecheck/checkers/api/watches"
	"github.com/planecheck/planecheck/checkers/api/writes"
	guarantees "github.com/planecheck/planecheck/checkers/cluster"
	"github.com/planecheck/planecheck/checkers/judge"
	"github.com/planecheck/planecheck/checkers/storage"
	"github.com/planecheck/planecheck/checkers/storage/watch"
	"github.com/planecheck/planecheck/scenarios/faults"
)

// claims are the guarantees that the plan puts to the test for sure. Others are
// judged as well, and pass if there happens to be enough evidence.
func (p *Plan) claims(contradict bool) []string {
	claims := []string{}
	crowd := p.Contract != nil && p.Contract.Rate >= contractRate
	if p.pods() >= fewPods || crowd {
		claims = append(claims,
			storage.Order, storage.Reads, storage.RealTime, storage.NoPhantom, storage.MembersAgree,
			string(watch.Ordered), string(watch.Unique), string(watch.Reliable), string(watch.Filtered),
			string(watch.PrevKV), string(watch.IsCreate))
	}
	if p.Storage != nil {
		claims = append(claims, storageClaims()...)
	}
	switch {
	case crowd && contradict:
		claims = append(claims, p.windowed(contractClaims())...)
		if p.spendsEvents() {
			claims = append(claims, storage.LeaseHonest, string(watch.Resumable), string(watch.CompactedCancel))
		}
		if p.Contract.Oversized { // each client begins with one: no other write of an API server is refused for sure
			claims = append(claims, storage.DefiniteFailureInert)
		}
	case crowd && p.undergoes():
		claims = append(claims, p.windowed(faultClaims())...)
	}
	if crowd && p.crashes() && (contradict || p.undergoes()) {
		claims = append(claims, storage.Durable)
	}
	for _, claim := range p.loadClaims() {
		if !slices.Contains(claims, claim) {
			claims = append(claims, claim)
		}
	}
	if p.uncompacted() {
		claims = slices.DeleteFunc(claims, ofCompaction)
	}
	return claims
}

// loadClaims are what a load of fewPods or more puts to the test by itself, where no
// fault takes a part of it away and nothing is broken. Of those about reads and writes
// a load says nothing for sure: lean nodes read little, and contract traffic may be
// left out.
func (p *Plan) loadClaims() (claims []string) {
	if p.pods() < fewPods || len(p.Interventions) > 0 || len(p.Breaks) > 0 {
		return nil
	}
	add := func(area string, names ...string) {
		for _, g := range names {
			claims = append(claims, judge.Claim(area, g))
		}
	}
	add(checkers.AreaAPI, watches.Ordered, watches.Unique, watches.Delivered, writes.IdentityStable, writes.UIDUnique)
	add(checkers.AreaCluster, guarantees.NoDoubleBind, guarantees.NoOvercommit)
	if !p.has(phaseHold) && !p.has(phaseChurn) { // it is never at rest
		return claims
	}
	add(checkers.AreaCluster, guarantees.NoOrphans) // each pod has an owner
	if p.Density.Config.Hold >= restful && len(p.Density.Turnover) == 0 && p.World.UnreadyEvery == 0 {
		add(checkers.AreaCluster, guarantees.ReplicasConverge)
		if len(p.Density.Services) > 0 {
			add(checkers.AreaCluster, guarantees.EndpointsMatch)
		}
	}
	return claims
}

// restful is a hold at whose end the load was surely at rest for as long as workloads
// and Services have to be, to be judged (cluster.Options.Settle, 30 s).
const restful = 40 * time.Second

// events is the operation of contract traffic that makes an Event and watches such
// from the past, which nothing but the store can tell of: some from a revision that
// was compacted. An API server's own watches begin where it has just listed, and
// only one that starts anew, or loses a member of the store, resumes them.
const events = "watch-events"

// spendsEvents says whether the traffic makes Events all the time, and long enough
// for the leases of most of them to end: see eventTTL.
func (p *Plan) spendsEvents() bool {
	hold := p.Hold
	if p.Density != nil {
		hold = Duration(p.Density.Config.Hold)
	}
	return p.Contract.Weights[events] > 0 && hold >= contractHold
}

// undergoes says whether the plan has faults that leave all of its traffic in place
// and its history in one piece: a swarm leaves more kinds of requests out than all do,
// an overload refuses them, what is broken may not get through, and each epoch of a
// store that is brought back has a part of the history only.
func (p *Plan) undergoes() bool {
	return len(p.Interventions) > 0 && len(p.Breaks) == 0 && !p.swarms() &&
		!p.restores() && !slices.ContainsFunc(p.Interventions, slows)
}

// crashes says whether the plan ends members of the store that come back: without
// that a store in memory would keep what it has acknowledged as well as any other.
func (p *Plan) crashes() bool {
	return slices.ContainsFunc(p.Interventions, func(i Intervention) bool {
		f, _ := faults.Find(i.Fault)
		return f.Crashes
	})
}

// swarms says whether the seed has chosen among the kinds of operations.
func (p *Plan) swarms() bool {
	for operation, weight := range p.Contract.Weights {
		if operation != bind && weight == 0 {
			return true
		}
	}
	return false
}

// faultClaims are what contract traffic at its full rate puts to the test within the
// minute or so of a scenario about faults, where a part of it is in vain. Those are
// left out of which it brings little more than the floor of evidence: lists of
// an exact or any version, and watches from one that is compacted.
func faultClaims() []string {
	claims := []string{storage.Replay, string(watch.Fresh)}
	for _, g := range []string{
		string(reads.MostRecent), string(reads.Snapshot), string(reads.Paged), string(reads.ExpiredHonest),
		watches.InitialState, watches.InitialEventsEnd, watches.BookmarkNotAhead, watches.Ordered, watches.Unique,
		watches.Transitions, watches.Delivered,
		writes.ConflictHonest, writes.ExistsHonest, writes.NotFoundHonest, writes.PreconditionHonest, writes.NoLostUpdate,
		writes.IdentityStable, writes.UIDUnique, writes.RVMonotonic, writes.DryRunInert, writes.ErrorHonest,
	} {
		claims = append(claims, judge.Claim(checkers.AreaAPI, g))
	}
	return claims
}

// windowed leaves out what no server that starts anew puts to the test.
func (p *Plan) windowed(claims []string) []string {
	if slices.ContainsFunc(p.Interventions, renews) {
		return claims
	}
	return slices.DeleteFunc(claims, ofWindow)
}

// renews says that an API server is started anew, so that its watch caches begin with
// what is there then.
func renews(i Intervention) bool {
	f, _ := faults.Find(i.Fault)
	return f.Renews
}

// ofWindow says whether a claim is about what is too old: for a store that is the
// compact revision, for an API server also where the window of its cache begins, which
// is tested in earnest by one that moves while clients hold versions from before it.
// Without that a run judges these by what evidence there is, and claims nothing:
// contract/api does, whose servers stay, because nothing is to be done to a clean run,
// and contract/faults claims them.
func ofWindow(claim string) bool {
	switch claim {
	case storage.CompactionHonest,
		judge.Claim(checkers.AreaAPI, string(reads.ExpiredHonest)), judge.Claim(checkers.AreaAPI, watches.ExpiredHonest):
		return true
	}
	return false
}

// fewBindings is the floor of evidence of NoDoubleBind.
const fewBindings = 100

// tests are the guarantees that a scenario tests with a load of this size.
func (p *Plan) tests(list []string) []string {
	if p.pods() >= fewBindings {
		return list
	}
	return slices.DeleteFunc(slices.Clone(list), func(g string) bool {
		return g == judge.Claim(checkers.AreaCluster, guarantees.NoDoubleBind)
	})
}

// contractClaims are what contract traffic at its full rate puts to the test.
//
// Those about what is too old stand only where an API server starts anew; see ofWindow.
func contractClaims() []string {
	claims := []string{
		storage.Replay, storage.CompactionHonest,
		string(watch.Bookmarkable), string(watch.Fresh),
	}
	add := func(guarantee string) { claims = append(claims, judge.Claim(checkers.AreaAPI, guarantee)) }
	for _, g := range reads.Guarantees() {
		add(string(g))
	}
	for _, g := range []string{
		watches.InitialState, watches.InitialEventsEnd, watches.BookmarkNotAhead, watches.Ordered, watches.Unique,
		watches.Transitions, watches.Delivered, watches.ExpiredHonest, watches.TooNewHonest,
		writes.ConflictHonest, writes.ExistsHonest, writes.NotFoundHonest, writes.PreconditionHonest, writes.NoLostUpdate,
		writes.IdentityStable, writes.UIDUnique, writes.RVMonotonic, writes.DryRunInert, writes.ErrorHonest,
	} {
		add(g)
	}
	return claims
}
