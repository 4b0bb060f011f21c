package faults

import (
	"context"
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

// leaderBound is how long a member may take to answer: one that takes longer
// leads nobody.
const leaderBound = 500 * time.Millisecond

// Leaders tells who leads the store and, where there are standbys, schedulers and
// controller managers, until ctx ends: the name of the member or the component,
// "" for nobody. A leader that is dead or stands still does not lead, whatever
// its lease says.
func Leaders(ctx context.Context, e *Env, tell func(of, who string, at history.Time)) {
	watched := []*elected{}
	for _, kind := range []string{apiserver.KubeScheduler, apiserver.KubeControllerManager} {
		if n := count(e.Plane, kind); n > 1 {
			watched = append(watched, &elected{kind: kind})
		}
	}
	members := openMembers(e.Store.Members())
	defer members.close()
	ticker := time.NewTicker(leaderPoll)
	defer ticker.Stop()
	for {
		if who := members.leader(ctx); ctx.Err() == nil {
			tell(e.Store.Name(), who, history.Now())
		}
		for _, k := range watched {
			if who, ok := k.leader(ctx, e); ok {
				tell(k.kind, who, history.Now())
			}
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

func count(p *apiserver.ControlPlane, kind string) int { return len(ofKind(p, kind)) }

// elected is a kind of component that elects a leader.
type elected struct {
	kind   string
	holder string // of the lease, when leads was found
	leads  apiserver.Component
}

// leader asks for the lease, and the components themselves only when it has
// changed hands. While nobody can be asked, it is who led last, if that one
// still acts. ok is false before anybody could say.
func (k *elected) leader(ctx context.Context, e *Env) (who string, ok bool) {
	lease, err := e.API.CoordinationV1().Leases(metav1.NamespaceSystem).Get(ctx, k.kind, metav1.GetOptions{})
	if err == nil && lease.Spec.HolderIdentity != nil && *lease.Spec.HolderIdentity != k.holder {
		if leads, err := whoLeads(ctx, e, k.kind); err == nil {
			k.holder, k.leads = *lease.Spec.HolderIdentity, leads
		}
	}
	switch {
	case k.holder == "":
		return "", false
	case !acts(k.leads.PID):
		return "", true
	}
	return k.leads.Name, true
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

// leader asks every member whether it leads. If none that answers does, nobody
// does.
func (all members) leader(ctx context.Context) string {
	for _, m := range all {
		asking, cancel := context.WithTimeout(ctx, leaderBound)
		s, err := m.Status(asking, m.Endpoint)
		cancel()
		if err == nil && s.Leader == s.Header.MemberId {
			return m.Name
		}
	}
	return ""
}
