package faults

import (
	"context"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/planecheck/planecheck/apiserver"
	"github.com/planecheck/planecheck/apiserver/storage"
	"github.com/planecheck/planecheck/checkers/history"
)

// leaderPoll is how often it is looked at who leads: a tenth of what the shortest
// election takes.
const leaderPoll = 100 * time.Millisecond

// leaderBound is how long a member, or the API, may take to answer: one that takes
// longer leads nobody.
const leaderBound = 500 * time.Millisecond

// claimBound is how long a component may take to say whether it leads. What it
// says is the least part of all its metrics.
const claimBound = time.Second

// namelessBound is how long it may take to find out who holds a lease. One that
// does not say so for longer does nothing.
const namelessBound = 2 * claimBound

// Leaders tells who leads the store and, where there are standbys, schedulers and
// controller managers, until ctx ends: the name of the member or the component,
// "" for nobody. A leader that is dead or stands still does not lead, whatever
// its lease says. Each is sampled by itself, so that one which does not answer
// takes no samples of the others.
func Leaders(ctx context.Context, e *Env, tell func(of, who string, at history.Time)) {
	var sampling sync.WaitGroup
	for _, kind := range []string{apiserver.KubeScheduler, apiserver.KubeControllerManager} {
		if len(ofKind(e.Plane, kind)) < 2 {
			continue
		}
		k := electedOf(e, kind)
		sampling.Go(func() {
			sample(ctx, func() {
				if who, at, ok := k.leader(ctx); ok {
					tell(kind, who, at)
				}
			})
		})
	}
	members := openMembers(e.Store.Members())
	defer members.close()
	sampling.Go(func() {
		sample(ctx, func() {
			if who := members.leader(ctx); ctx.Err() == nil {
				tell(e.Store.Name(), who, history.Now())
			}
		})
	})
	sampling.Wait()
}

// sample looks again and again until ctx ends.
func sample(ctx context.Context, look func()) {
	ticker := time.NewTicker(leaderPoll)
	defer ticker.Stop()
	for {
		look()
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

func count(p Plane, kind string) int { return len(ofKind(p, kind)) }

// elected is a kind of component that elects a leader.
type elected struct {
	lease  func(context.Context) (holder string, err error)
	claims func(context.Context) []apiserver.Component // those that say they lead
	acts   func(pid int) bool

	known  bool                // there was a leader
	holder string              // of the lease, when leads was found
	leads  apiserver.Component // the last that was found
	next   string              // holds the lease since, and it is not known yet who that is
	since  history.Time
}

func electedOf(e *Env, kind string) *elected {
	return &elected{
		acts: acts,
		lease: func(ctx context.Context) (string, error) {
			ctx, cancel := context.WithTimeout(ctx, leaderBound)
			defer cancel()
			lease, err := e.API.CoordinationV1().Leases(metav1.NamespaceSystem).Get(ctx, kind, metav1.GetOptions{})
			if err != nil || lease.Spec.HolderIdentity == nil {
				return "", err
			}
			return *lease.Spec.HolderIdentity, nil
		},
		claims: func(ctx context.Context) (found []apiserver.Component) {
			names, _ := allLeading(ctx, e, kind) // who does not answer does not count
			for _, name := range names {
				if c, err := component(e.Plane, name); err == nil {
					found = append(found, c)
				}
			}
			return found
		},
	}
}

// leader asks for the lease, and the components themselves only when it has
// changed hands; until one says that it leads, nothing is known, and then it is
// since it has the lease. While nobody can be asked, it is who led last, if that one still acts. ok
// is false where there is nothing to tell.
func (k *elected) leader(ctx context.Context) (who string, at history.Time, ok bool) {
	now := history.Now()
	holder, err := k.lease(ctx)
	if err == nil && holder != "" && holder != k.holder {
		if holder != k.next {
			k.next, k.since = holder, history.Now()
		}
		leads, found := k.successor(k.claims(ctx))
		if !found {
			if since := k.since; now.Sub(since) > namelessBound {
				k.since = now
				return "", since, true
			}
			return "", now, false
		}
		k.known, k.holder, k.leads, k.next = true, holder, leads, ""
		now = k.since
	}
	switch {
	case !k.known:
		return "", now, false
	case err == nil && holder == "", !k.acts(k.leads.PID):
		return "", now, true
	}
	return k.leads.Name, now, true
}

// successor is the one that leads now, among those that say they do: the process
// that led before may not have noticed yet.
func (k *elected) successor(claims []apiserver.Component) (apiserver.Component, bool) {
	for _, c := range claims {
		if c.PID != k.leads.PID {
			return c, true
		}
	}
	return apiserver.Component{}, false
}

// acts says whether a process runs, and is not stopped.
func acts(pid int) bool {
	state, err := processState(pid)
	return err == nil && state != 'T'
}

// members are clients of all members, kept open.
type members []memberClient

type memberClient struct {
	storage.Member
	*clientv3.Client
}

func openMembers(list []storage.Member) members {
	var all members
	for _, m := range list {
		if c, err := client(m); err == nil {
			all = append(all, memberClient{m, c})
		}
	}
	return all
}

func (all members) close() {
	for _, m := range all {
		_ = m.Client.Close()
	}
}

// leader asks all members at once whom they follow, until the answers say who
// leads. One that does not answer in time follows nobody.
func (all members) leader(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(ctx, leaderBound)
	defer cancel()
	answers := make(chan *following, len(all))
	for _, m := range all {
		go func() { answers <- m.follows(ctx) }()
	}
	var known []following
	for silent := len(all) - 1; silent >= 0; silent-- {
		if f := <-answers; f != nil {
			known = append(known, *f)
		}
		if who, decided := leads(known, silent, len(all)); decided {
			return who
		}
	}
	return ""
}

// following is what a member says: who it is, and whom it follows.
type following struct {
	name     string
	self, of uint64 // of is 0: nobody
}

func (m memberClient) follows(ctx context.Context) *following {
	s, err := m.Status(ctx, m.Endpoint)
	if err != nil {
		return nil
	}
	return &following{m.Name, s.Header.MemberId, s.Leader}
}

// leads is the member that says it leads, and that most of all say they follow: one
// that was cut off from the others believes in itself for as long as an election
// takes, and can have nothing written. decided is false while those who have not
// answered yet could make a leader.
func leads(known []following, silent, all int) (who string, decided bool) {
	followers, most := map[uint64]int{}, 0
	for _, f := range known {
		followers[f.of]++
		if f.of != 0 {
			most = max(most, followers[f.of])
		}
	}
	for _, f := range known {
		if f.of == f.self && followers[f.self] > all/2 {
			return f.name, true
		}
	}
	return "", silent == 0 || most+silent <= all/2
}
