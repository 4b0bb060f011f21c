package sim

import "github.com/planecheck/planecheck/apiserver/client"

// Selections are the watches that the processes of a node hold open in one profile or
// another, with their selectors: who judges them has to know these fields.
func Selections() []client.Request {
	n := newNode(&Cluster{behaviour: behaviour{watchOwnNode: true, kubeProxy: true}}, 0)
	var all []client.Request
	for _, w := range append(n.watches(), n.proxyWatches()...) {
		all = append(all, client.Request{Verb: "watch", Resource: w.resource, Query: w.query})
	}
	return all
}
