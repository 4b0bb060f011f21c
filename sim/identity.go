package sim

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
)

// Identity is one line of the API server's --token-auth-file.
type Identity struct {
	Token  string
	User   string
	Groups []string
}

// The users of nodes and of kube-proxy, as the Node authorizer and the RBAC
// binding system:node-proxier (which names the user, not a group) expect them.
const (
	nodeUserPrefix = "system:node:"
	nodesGroup     = "system:nodes"
	kubeProxyUser  = "system:kube-proxy"
)

// Identities returns the tokens of a cluster of that many nodes: first those
// of the nodes in order, then those of their kube-proxies, which share one
// user as they share one service account in a real cluster. The same seed
// gives the same tokens.
func Identities(nodes int, seed uint64) []Identity {
	random := rand.New(rand.NewPCG(seed, 0x746f6b656e73)) // a stream of its own
	token := func() string { return fmt.Sprintf("%016x%016x", random.Uint64(), random.Uint64()) }
	identities := make([]Identity, 0, 2*nodes)
	for i := range nodes {
		identities = append(identities, Identity{
			Token: token(), User: nodeUserPrefix + NodeName(i), Groups: []string{nodesGroup},
		})
	}
	for range nodes {
		identities = append(identities, Identity{Token: token(), User: kubeProxyUser})
	}
	return identities
}

// NodeName is the name of the node with that index: node-00000 and so on.
func NodeName(index int) string { return fmt.Sprintf("node-%05d", index) }

// nodeIndex is the inverse of NodeName. It returns false for other names.
func nodeIndex(name string) (int, bool) {
	digits, ok := strings.CutPrefix(name, "node-")
	if !ok {
		return 0, false
	}
	i, err := strconv.Atoi(digits)
	return i, err == nil && i >= 0 && NodeName(i) == name
}

// The address plan: nodes have 10.32.0.0/11, pods 10.128.0.0/9 with a /24 for
// each node, so that an address names its node and its pod by arithmetic. The
// usual service networks (10.0.0.0/24 and 10.96.0.0/12) are left free.

// lastSlot is the highest slot of a pod in its node's /24; slots count from 1,
// and slot s has the address .s+1, behind the bridge at .1.
const lastSlot = 250

func nodeIP(index int) string {
	return fmt.Sprintf("10.%d.%d.%d", 32+index>>16, index>>8&0xff, index&0xff)
}

func podIP(index int, slot uint8) string {
	return fmt.Sprintf("10.%d.%d.%d", 128+index>>8, index&0xff, int(slot)+1)
}

// podSlot is the slot of an address that podIP gave out on that node; 0 for
// every other address.
func podSlot(index int, ip string) uint8 {
	dot := strings.LastIndexByte(ip, '.')
	last, err := strconv.Atoi(ip[dot+1:])
	if err != nil || last < 2 || last > lastSlot+1 {
		return 0
	}
	if slot := uint8(last - 1); podIP(index, slot) == ip {
		return slot
	}
	return 0
}
