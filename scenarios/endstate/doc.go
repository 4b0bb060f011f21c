// Package endstate compares what two runs of one plan have left behind: the
// end state of a run with faults must equal that of its fault-free twin.
//
// A State is everything that the API serves, cut down by rules to what a plan
// decides: objects by name and spec; Pods and ReplicaSets by owner, template and
// count; EndpointSlices by Service and number of addresses. What the way to the
// end decides is left out: uids and versions, placement, cluster IPs, generated
// names, Events, Leases. Rules lists all of this with reasons. The rules are
// pure functions of one object; only the names of owners wait for the end,
// because a Pod may be listed before its ReplicaSet.
//
// A State is of a settled moment. Capture cannot know when that is: each list
// is a snapshot, but of a revision of its own. The caller waits until nothing
// is left to do, in both runs.
package endstate
