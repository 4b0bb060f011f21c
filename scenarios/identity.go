package scenarios

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/planecheck/planecheck/apiserver"
	"github.com/planecheck/planecheck/apiserver/client"
	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/workloads"
	"github.com/planecheck/planecheck/workloads/contract"
)

// The user in whose name the load is sent. It may do everything, but through a
// binding like any other user: members of system:masters are exempt from
// priority and fairness, and a load that is exempt would show an API server
// that nobody has.
const (
	workloadUser  = "planecheck:workload"
	workloadGroup = "planecheck:workload"
)

// workloadToken draws the user's token from the seed, from a stream of its own.
func workloadToken(seed uint64) string {
	random := rand.New(rand.NewPCG(seed, 0x776f726b6c6f6164)) // "workload"
	return fmt.Sprintf("%016x%016x", random.Uint64(), random.Uint64())
}

func workloadLogin(seed uint64) apiserver.Identity {
	return apiserver.Identity{Token: workloadToken(seed), User: workloadUser, Groups: []string{workloadGroup}}
}

func (c *cluster) workloadIdentity() client.Identity {
	return client.Identity{User: workloadUser, Class: history.ClassWorkload, Token: workloadToken(c.seed)}
}

// strangers is how many users there are that only faults speak for: enough for
// some of them to come to each API server.
const strangers = 8

// strangerIdentities are those users, who have the load's rights.
func strangerIdentities(seed uint64) []client.Identity {
	random := rand.New(rand.NewPCG(seed, 0x737472616e676572)) // "stranger"
	list := make([]client.Identity, strangers)
	for i := range list {
		list[i] = client.Identity{
			User: fmt.Sprintf("planecheck:stranger-%d", i), Class: history.ClassContract,
			Token: fmt.Sprintf("%016x%016x", random.Uint64(), random.Uint64()),
		}
	}
	return list
}

func strangerLogins(seed uint64) []apiserver.Identity {
	return workloadLogins(strangerIdentities(seed))
}

// contractUser begins the names of the clients of the contract traffic, and of no
// others: the strangers are of its class, too.
const contractUser = "planecheck:contract-"

// contractIdentities are the clients of the contract traffic.
func contractIdentities(plan *contract.Plan) []client.Identity {
	if plan == nil {
		return nil
	}
	random := rand.New(rand.NewPCG(plan.Seed, 0x636f6e7472616374)) // "contract"
	list := make([]client.Identity, plan.Clients)
	for i := range list {
		list[i] = client.Identity{
			User: fmt.Sprint(contractUser, i), Class: history.ClassContract,
			Token: fmt.Sprintf("%016x%016x", random.Uint64(), random.Uint64()),
		}
	}
	return list
}

// contractLogins are their entries in the API servers' token file. They have
// the load's rights.
func contractLogins(plan *contract.Plan) []apiserver.Identity {
	return workloadLogins(contractIdentities(plan))
}

// workloadLogins are entries of the token file for users with the load's rights.
func workloadLogins(identities []client.Identity) []apiserver.Identity {
	var list []apiserver.Identity
	for _, id := range identities {
		list = append(list, apiserver.Identity{Token: id.Token, User: id.User, Groups: []string{workloadGroup}})
	}
	return list
}

// observerIdentity is the administrator in whose name the measurement watches.
// Being exempt from priority and fairness, it does not compete with the load.
func (c *cluster) observerIdentity() client.Identity {
	return client.Identity{User: "admin", Class: history.ClassObserver, Token: c.plane.AdminToken()}
}

var clusterRoleBindings = client.Resource{Group: "rbac.authorization.k8s.io", Version: "v1", Plural: "clusterrolebindings"}

// grantBound is longer than an API server that is ready gives a request of its own
// accord (--request-timeout, a minute).
const grantBound = 70 * time.Second

// grantWorkload gives the load's user the rights of an administrator. A server that does
// not answer within bound stalls the run.
func (c *cluster) grantWorkload(ctx context.Context, bound time.Duration) error {
	ctx, cancel := context.WithTimeoutCause(ctx, bound, &workloads.StallError{Err: fmt.Errorf("no answer for %v", bound)})
	defer cancel()
	const binding = `{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"ClusterRoleBinding",` +
		`"metadata":{"name":"` + workloadGroup + `"},` +
		`"roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"ClusterRole","name":"cluster-admin"},` +
		`"subjects":[{"kind":"Group","apiGroup":"rbac.authorization.k8s.io","name":"` + workloadGroup + `"}]}`
	_, err := c.layer.Client(c.observerIdentity()).Do(ctx, &client.Request{
		Verb: "create", Resource: clusterRoleBindings, Body: []byte(binding), ContentType: "application/json",
	})
	if cause := context.Cause(ctx); err != nil && cause != nil {
		err = cause // which err is only the echo of
	}
	if err != nil {
		return fmt.Errorf("grant the load its rights: %w", err)
	}
	return nil
}
