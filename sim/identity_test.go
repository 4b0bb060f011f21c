package sim

import (
	"net/netip"
	"slices"
	"testing"
)

func TestIdentities(t *testing.T) {
	all := Identities(3, 7)
	if len(all) != 6 || all[2].User != "system:node:node-00002" || !slices.Equal(all[2].Groups, []string{"system:nodes"}) {
		t.Errorf("nodes: %+v", all)
	}
	if all[5].User != "system:kube-proxy" || all[5].Groups != nil {
		t.Errorf("kube-proxies: %+v", all[3:])
	}
	tokens := map[string]bool{}
	for i, id := range all {
		tokens[id.Token] = true
		if id.Token != Identities(3, 7)[i].Token {
			t.Errorf("the same seed gave another token to %s", id.User)
		}
	}
	if len(tokens) != 6 {
		t.Errorf("%d different tokens among 6 identities", len(tokens))
	}
	if Identities(1, 8)[0].Token == all[0].Token {
		t.Error("another seed gave the same token")
	}
}

func TestNodeIndex(t *testing.T) {
	for _, i := range []int{0, 42, MaxNodes - 1} {
		if got, ok := nodeIndex(NodeName(i)); !ok || got != i {
			t.Errorf("%s: index %d, %v", NodeName(i), got, ok)
		}
	}
	for _, name := range []string{"", "node-", "node-1", "node-000001", "node--0001", "other-00001", "node-0000x"} {
		if i, ok := nodeIndex(name); ok {
			t.Errorf("%q has index %d", name, i)
		}
	}
}

// TestAddressPlan checks that no two addresses are the same and that all are
// where the plan has them.
func TestAddressPlan(t *testing.T) {
	nodes, pods := netip.MustParsePrefix("10.32.0.0/11"), netip.MustParsePrefix("10.128.0.0/9")
	seen := map[string]bool{}
	check := func(ip string, network netip.Prefix) {
		t.Helper()
		addr, err := netip.ParseAddr(ip)
		if err != nil || !network.Contains(addr) || seen[ip] {
			t.Fatalf("address %s: %v, in its network: %v, given out before: %v", ip, err, network.Contains(addr), seen[ip])
		}
		seen[ip] = true
	}
	for i := 0; i < MaxNodes; i += 127 {
		check(nodeIP(i), nodes)
		for slot := uint8(1); slot <= lastSlot; slot++ {
			check(podIP(i, slot), pods)
			if got := podSlot(i, podIP(i, slot)); got != slot {
				t.Fatalf("slot of %s: %d, want %d", podIP(i, slot), got, slot)
			}
		}
	}
	for _, ip := range []string{"", "10.128.0.1", "10.128.0.255", "10.128.1.2", "x", "::1", nodeIP(0)} {
		if got := podSlot(0, ip); got != 0 {
			t.Errorf("slot of %q on node 0: %d", ip, got)
		}
	}
}
