package reads

import (
	"iter"
	"slices"
	"strings"

	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/versions"
)

// nodes are the pods of each node: those that were ever bound to it, in the
// order of their keys. Each kubelet lists its own pods; without this, each such
// list would cost a look at all pods there are.
type nodes map[string][]podName

type podName struct{ namespace, name string }

const nodeField = "spec.nodeName"

// nodesOf goes through all versions of the pods once. It returns nil if some
// could not be read, as they may have been on any node.
func nodesOf(k *versions.Kind) nodes {
	n, on := nodes{}, map[podName]string{} // on: the last node of each pod
	for change := range k.Changes(0, 1<<62) {
		v := change.Now
		if v.Unread {
			return nil
		}
		node, pod := v.Field(nodeField), podName{v.Namespace, v.Name}
		if node != "" && on[pod] != node {
			on[pod] = node
			n[node] = append(n[node], pod)
		}
	}
	for node, pods := range n {
		slices.SortFunc(pods, func(a, b podName) int { return strings.Compare(a.key(), b.key()) })
		n[node] = slices.Compact(pods) // a name may have come back to a node
	}
	return n
}

func (p podName) key() string { return p.namespace + "/" + p.name }

// nodeOf is the node that a list is of, "" if it is not of one.
func nodeOf(call *history.APICall) string {
	if call.Resource != "pods" || call.Group != "" {
		return ""
	}
	for term := range strings.SplitSeq(call.FieldSelector, ",") {
		if value, ok := strings.CutPrefix(term, nodeField+"="); ok {
			return strings.TrimPrefix(value, "=")
		}
	}
	return ""
}

// candidates yields, in the order of their keys, the objects at a list's
// revision that may belong to it, and maybe others.
func (c *Checker) candidates(call *history.APICall, k *versions.Kind) iter.Seq[*history.Version] {
	all := k.List(call.Namespace, versions.Selector{}, call.ListVersion)
	node := nodeOf(call)
	if node == "" {
		return all
	}
	if !c.indexed {
		c.indexed, c.nodes = true, nodesOf(k)
	}
	if c.nodes == nil {
		return all
	}
	return func(yield func(*history.Version) bool) {
		for _, p := range c.nodes[node] {
			if call.Namespace != "" && call.Namespace != p.namespace {
				continue
			}
			if v := k.At(p.namespace, p.name, call.ListVersion); v != nil && !yield(v) {
				return
			}
		}
	}
}
