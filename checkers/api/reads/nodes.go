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
type nodes struct {
	known int  // versions of pods that were gone through
	blind bool // some could not be read: they may have been on any node
	pods  map[string]*podList
}

type podList struct {
	names []podName
	fresh bool // the last ones are not sorted in yet
}

type podName struct{ namespace, name string }

const nodeField = "spec.nodeName"

// learn goes through the versions of the pods that have come since it was
// called last.
func (n *nodes) learn(k *versions.Kind) {
	if n.known == k.Len() {
		return
	}
	for _, change := range k.Bodies(n.known) {
		v := change.Now
		n.blind = n.blind || v.Unread
		node := v.Field(nodeField)
		if node == "" || change.Prev != nil && change.Prev.Field(nodeField) == node {
			continue
		}
		list := n.pods[node]
		if list == nil {
			list = &podList{}
			n.pods[node] = list
		}
		list.names, list.fresh = append(list.names, podName{v.Namespace, v.Name}), true
	}
	n.known = k.Len()
}

// of returns the pods of a node.
func (n *nodes) of(node string) []podName {
	list := n.pods[node]
	if list == nil {
		return nil
	}
	if list.fresh {
		slices.SortFunc(list.names, func(a, b podName) int { return strings.Compare(a.key(), b.key()) })
		list.names, list.fresh = slices.Compact(list.names), false // a name may have come back to a node
	}
	return list.names
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
func (c *Checker) candidates(call *history.APICall, k *versions.Kind, selector versions.Selector) iter.Seq[*history.Version] {
	all := k.May(call.Namespace, selector, call.ListVersion)
	node := nodeOf(call)
	if node == "" {
		return all
	}
	if c.nodes.learn(k); c.nodes.blind {
		return all
	}
	return func(yield func(*history.Version) bool) {
		for _, p := range c.nodes.of(node) {
			if call.Namespace != "" && call.Namespace != p.namespace {
				continue
			}
			if v := k.At(p.namespace, p.name, call.ListVersion); v != nil && !yield(v) {
				return
			}
		}
	}
}
