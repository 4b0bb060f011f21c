package faults

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/planecheck/planecheck/apiserver"
	"github.com/planecheck/planecheck/apiserver/link"
)

// ClientLink leads the shared connections of simulated nodes, contract clients
// and the load to one API server. Scheduler, controller manager and administrator
// do not come that way but through the load balancer.
type ClientLink struct {
	Server            string // the API server's name
	Requests, Watches *link.Link
}

// Loss is what clients of an API server have lost, as they were told by their own
// transport: requests without an answer, and watches that broke off.
type Loss struct {
	Requests, Watches int64
	Last              string // how the last of it broke off
}

const (
	// clientRounds is how often connections are reset, or cut, in a row.
	clientRounds = 3
	// trickle is what gets through to all slow readers of an API server together,
	// in bytes per second.
	trickle = 4 << 10
)

func clientFaults() []Fault {
	return []Fault{
		{
			Name: "connections-reset", Area: Clients, Each: true,
			Does:    "all connections of clients to one or all API servers are reset, three times, each time that they have come back",
			targets: clientLinked, inject: resetConnections,
		},
		{
			Name: "watches-cut", Area: Clients, Each: true,
			Does:    "the connections of watches to one or all API servers end in the middle of an event, three times; clients resume",
			targets: clientLinked, inject: cutWatches,
		},
		{
			Name: "slow-readers", Area: Clients, For: 3 * time.Second, Blocks: true, Each: true,
			Does:    "events trickle to the watches of one or all API servers until these give up slow watchers, which resume",
			targets: clientLinked, inject: slowReaders,
		},
	}
}

// clientLinked are all API servers at once and each of them: clients outlive the
// loss of all their connections.
func clientLinked(s Shape) []string {
	if !s.ClientLinks {
		return nil
	}
	return append([]string{all}, instances(apiserver.KubeAPIServer, 1, s.APIServers)...)
}

// linksOf are the links to a target.
func linksOf(e *Env, target string) ([]ClientLink, error) {
	var links []ClientLink
	for _, l := range e.Links {
		if target == all || l.Server == target {
			links = append(links, l)
		}
	}
	if len(links) == 0 {
		return nil, fmt.Errorf("no link leads clients to %s", target)
	}
	return links, nil
}

// route is one way of clients to API servers, as far as it can be counted.
type route struct {
	name  string
	reset func() int // the connections that are open now, and returns their number
	stats func() routeStats
}

// routeStats are counts since the start, but for open.
type routeStats struct {
	open         int
	reset, taken int64
}

// linkRoute is the way over a link.
func linkRoute(name string, l *link.Link) route {
	return route{name: name, reset: l.Reset, stats: func() routeStats {
		s := l.Stats()
		return routeStats{s.Open, s.Reset, s.Accepted}
	}}
}

// balancerRoute is the way through the load balancer. A client that is reset at
// one API server comes back at any, so all count.
func balancerRoute(b *link.Balancer, servers []ClientLink) route {
	return route{
		name: "the load balancer",
		reset: func() (n int) {
			for _, s := range servers {
				n += b.Reset(s.Server)
			}
			return n
		},
		stats: func() (sum routeStats) {
			for _, s := range b.Stats() {
				sum.open += s.Open
				sum.reset += s.Reset
				sum.taken += s.Accepted
			}
			return sum
		},
	}
}

// losses are those of the clients of each API server that links lead to.
func losses(e *Env, links []ClientLink) (list []Loss) {
	for _, l := range links {
		list = append(list, e.Lost(l.Server))
	}
	return list
}

// lost waits until clients have lost watches, or requests, of one of the API servers
// that links lead to, or of each, and says what.
func lost(ctx context.Context, e *Env, links []ClientLink, before []Loss, each bool) (evidence string, err error) {
	err = await(ctx, "clients to lose what was cut off", func(context.Context) error {
		var sum Loss
		for i, now := range losses(e, links) {
			requests, watches := now.Requests-before[i].Requests, now.Watches-before[i].Watches
			if requests+watches > 0 {
				sum = Loss{sum.Requests + requests, sum.Watches + watches, now.Last}
			} else if each {
				return fmt.Errorf("clients have lost nothing of %s", links[i].Server)
			}
		}
		if sum.Requests+sum.Watches == 0 {
			return errors.New("clients have lost nothing")
		}
		evidence = fmt.Sprintf("clients lost %d watches and %d requests (%s)", sum.Watches, sum.Requests, sum.Last)
		return nil
	})
	return evidence, err
}

// resetConnections resets what is open on all ways to API servers. The evidence
// is what the ways count, resets, and clients that connect again of themselves, and
// what those clients say that they have lost.
func resetConnections(ctx context.Context, e *Env, target string) (*Active, error) {
	links, err := linksOf(e, target)
	if err != nil {
		return nil, err
	}
	routes := []route{balancerRoute(e.Plane.Balancer(), links)}
	for _, l := range links {
		routes = append(routes, linkRoute("requests to "+l.Server, l.Requests), linkRoute("watches of "+l.Server, l.Watches))
	}
	ways := []route{routes[0]} // a client that is reset at one API server may come back at another
	for _, l := range e.Links {
		ways = append(ways, linkRoute("", l.Requests), linkRoute("", l.Watches))
	}
	before, beforeBalancer, had := sumRoutes(routes), routes[0].stats().reset, losses(e, links)
	n, err := resetRounds(ctx, routes, ways)
	if err != nil {
		return nil, err
	}
	if n == 0 {
		return nil, errors.New("there was no connection to reset")
	}
	say, err := lost(ctx, e, links, had, false)
	if err != nil {
		return nil, err
	}
	now, atBalancer := sumRoutes(routes), routes[0].stats().reset-beforeBalancer
	return &Active{Evidence: fmt.Sprintf("in %d rounds %d connections were reset, %d of them at the load balancer, and %d new ones taken; %s",
		clientRounds, now.reset-before.reset, atBalancer, now.taken-before.taken, say)}, nil
}

func sumRoutes(routes []route) (sum routeStats) {
	for _, r := range routes {
		s := r.stats()
		sum.open += s.open
		sum.reset += s.reset
		sum.taken += s.taken
	}
	return sum
}

// resetRounds resets what is open, some times in a row, and returns how many
// connections that were.
func resetRounds(ctx context.Context, routes, ways []route) (lost int, err error) {
	for range clientRounds {
		n, err := resetRound(ctx, routes, ways)
		if err != nil {
			return 0, err
		}
		lost += n
	}
	return lost, nil
}

// resetRound resets all routes at once and waits until their connections are
// gone and, if there were any, somebody has come back on one of the ways.
func resetRound(ctx context.Context, routes, ways []route) (int, error) {
	before, lost, taken := make([]routeStats, len(routes)), make([]int, len(routes)), sumRoutes(ways).taken
	for i, r := range routes {
		before[i] = r.stats()
		lost[i] = r.reset()
	}
	return total(lost), await(ctx, "clients to connect again", func(context.Context) error {
		for i, r := range routes {
			if now := r.stats(); now.reset-before[i].reset != int64(lost[i]) {
				return fmt.Errorf("%s: %d connections were to be reset, %d were", r.name, lost[i], now.reset-before[i].reset)
			}
		}
		if n := total(lost); n > 0 && sumRoutes(ways).taken == taken {
			return fmt.Errorf("%d connections were reset, nobody came back", n)
		}
		return nil
	})
}

func total(counts []int) (sum int) {
	for _, n := range counts {
		sum += n
	}
	return sum
}

// cutWatches ends watches in the middle of what an API server sends. The evidence
// is what the links count, bytes that had come and never went on, and clients that
// connect again, and what those clients say that they have lost. That they resume
// where they were is for the checkers to see.
func cutWatches(ctx context.Context, e *Env, target string) (*Active, error) {
	links, err := linksOf(e, target)
	if err != nil {
		return nil, err
	}
	var torn, dropped, passed, taken int64
	had := losses(e, links)
	for _, l := range links {
		before := l.Watches.Stats()
		for range clientRounds {
			if err := tearRound(ctx, l); err != nil {
				return nil, err
			}
		}
		l.Watches.Heal() // spares those that had nothing to tell
		now := l.Watches.Stats()
		torn += now.Torn - before.Torn
		dropped += now.Down.Dropped - before.Down.Dropped
		passed += now.Down.Passed - before.Down.Passed
		taken += now.Accepted - before.Accepted
	}
	say, err := lost(ctx, e, links, had, true)
	if err != nil {
		return nil, err
	}
	return &Active{Evidence: fmt.Sprintf("%d connections were cut after %d bytes, in the middle of %d more that were lost, and %d new ones taken; %s",
		torn, passed, dropped, taken, say)}, nil
}

// tearRound cuts what is open on a link, and waits until one at least was in the
// middle of something and its client is back.
func tearRound(ctx context.Context, l ClientLink) error {
	before := l.Watches.Stats()
	armed := l.Watches.Tear(before.Torn)
	err := await(ctx, "watches of "+l.Server+" to be cut", func(context.Context) error {
		now := l.Watches.Stats()
		switch {
		case now.Torn == before.Torn:
			armed = max(armed, l.Watches.Tear(before.Torn)) // the first ones may be on their way only now
			return fmt.Errorf("none of %d connections was", armed)
		case now.Accepted == before.Accepted:
			return fmt.Errorf("nobody came back")
		}
		return nil
	})
	if err != nil {
		l.Watches.Heal()
	}
	return err
}

// slowReaders lets events trickle until every API server of the target has given
// up watchers that read too slowly. The evidence is its own count of them
// (apiserver_terminated_watchers_total, k8s.io/apiserver/pkg/storage/cacher), and
// the bytes that wait at the link. That takes many events: see ballast.
func slowReaders(ctx context.Context, e *Env, target string) (_ *Active, err error) {
	links, err := linksOf(e, target)
	if err != nil {
		return nil, err
	}
	before, err := terminatedWatchers(ctx, e, links)
	if err != nil {
		return nil, err
	}
	b, err := newBallast(ctx, e)
	if err != nil {
		return nil, err
	}
	for _, l := range links {
		l.Watches.Set(link.Down, link.Condition{Rate: trickle})
	}
	a := &Active{heal: func(ctx context.Context) (string, error) {
		for _, l := range links {
			l.Watches.Heal()
		}
		return b.end(ctx)
	}}
	var more []float64
	err = b.write(ctx, func() error {
		now, err := terminatedWatchers(ctx, e, links)
		if err != nil {
			return err
		}
		more = now
		for i := range now {
			if more[i] -= before[i]; more[i] == 0 {
				return fmt.Errorf("%s has given up nobody; %d bytes wait", links[i].Server, links[i].Watches.Stats().Down.Waiting)
			}
		}
		return nil
	})
	if err != nil {
		return nil, healed(ctx, a, err)
	}
	for i, l := range links {
		a.Evidence += fmt.Sprintf("%s has ended %g slow watchers, %d bytes wait; ", l.Server, more[i], l.Watches.Stats().Down.Waiting)
	}
	a.Evidence += fmt.Sprintf("after %d writes", b.written)
	return a, nil
}

// terminatedWatchers is how many watchers each API server has given up so far.
func terminatedWatchers(ctx context.Context, e *Env, links []ClientLink) ([]float64, error) {
	sums := make([]float64, len(links))
	for i, l := range links {
		metrics, err := e.Plane.Metrics(ctx, l.Server)
		if err != nil {
			return nil, err
		}
		sums[i] = sumOf(string(metrics), "apiserver_terminated_watchers_total")
	}
	return sums, nil
}
