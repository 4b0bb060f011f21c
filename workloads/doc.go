// Package workloads asks the API for pods: it plans a density run from one
// seed, paces it so that the pods' start-up time stays within its SLO, and
// watches what becomes of every pod.
//
// The load is an open loop: each operation has a time at which it is due, and
// one that starts late is a slow operation, never a lower rate. What sets the
// pace is the Pacer; see Decide for its rules and for why an unpaced load
// measures nothing but its own queue.
package workloads
