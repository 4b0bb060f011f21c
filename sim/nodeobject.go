package sim

import (
	"fmt"
	"math/rand/v2"
	"path"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/planecheck/planecheck/checkers/history/wire"
)

// kubeletVersion is what the simulated kubelets say they are: the version
// whose requests they imitate.
const kubeletVersion = "v1.37.1"

// registration is the body with which a kubelet creates its Node.
func (n *node) registration(now time.Time) []byte {
	n.mu.Lock()
	boots := n.boots
	n.mu.Unlock()
	raw, err := nodeObject(&n.cluster.cfg, n.index, boots, now).Marshal()
	if err != nil {
		// Marshal of a generated type fails on nothing that can be in it; the
		// API server will say what it thinks of an empty body.
		n.cluster.cfg.Log.Error("node cannot be encoded", "node", n.name, "error", err)
	}
	return wire.Wrap("v1", "Node", raw)
}

// nodeObject is the Node that a kubelet registers (initialNode in
// pkg/kubelet/kubelet_node_status.go, with the labels that a cloud's kubelet
// is started with).
func nodeObject(cfg *Config, index int, boots uint16, now time.Time) *corev1.Node {
	name := NodeName(index)
	node := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{
			Name:        name,
			Annotations: map[string]string{"volumes.kubernetes.io/controller-managed-attach-detach": "true"},
			Labels: map[string]string{
				"beta.kubernetes.io/arch":      "amd64",
				"beta.kubernetes.io/os":        "linux",
				corev1.LabelArchStable:         "amd64",
				corev1.LabelHostname:           name,
				corev1.LabelInstanceTypeStable: "sim.4xlarge",
				corev1.LabelOSStable:           "linux",
			},
		},
	}
	zone := cfg.zoneOf(index)
	if zone != "" {
		node.Labels[corev1.LabelTopologyRegion] = region
		node.Labels[corev1.LabelTopologyZone] = zone
	}
	node.Spec.ProviderID = "sim:///" + path.Join(zone, name)
	node.Status = corev1.NodeStatus{
		Capacity:        nodeResources(cfg.PodsPerNode, "16", "64Gi", "100Gi"),
		Allocatable:     nodeResources(cfg.PodsPerNode, "15900m", "62Gi", "90Gi"),
		Addresses:       []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: nodeIP(index)}, {Type: corev1.NodeHostName, Address: name}},
		DaemonEndpoints: corev1.NodeDaemonEndpoints{KubeletEndpoint: corev1.DaemonEndpoint{Port: 10250}},
		NodeInfo:        nodeInfo(index, cfg.Seed, boots),
		Images:          nodeImages(cfg.NodeImages),
		RuntimeHandlers: runtimeHandlers(),
		Features:        &corev1.NodeFeatures{SupplementalGroupsPolicy: new(true)},
	}
	at := metav1.NewTime(now)
	for _, c := range nodeConditions {
		node.Status.Conditions = append(node.Status.Conditions, corev1.NodeCondition{
			Type: corev1.NodeConditionType(c.typ), Status: corev1.ConditionStatus(c.status),
			Reason: c.reason, Message: c.message, LastHeartbeatTime: at, LastTransitionTime: at,
		})
	}
	return node
}

func nodeResources(pods int, cpu, memory, disk string) corev1.ResourceList {
	return corev1.ResourceList{
		corev1.ResourceCPU:              resource.MustParse(cpu),
		corev1.ResourceMemory:           resource.MustParse(memory),
		corev1.ResourceEphemeralStorage: resource.MustParse(disk),
		"hugepages-1Gi":                 resource.MustParse("0"),
		"hugepages-2Mi":                 resource.MustParse("0"),
		corev1.ResourcePods:             *resource.NewQuantity(int64(pods), resource.DecimalSI),
	}
}

func nodeInfo(index int, seed uint64, boots uint16) corev1.NodeSystemInfo {
	random := rand.New(rand.NewPCG(seed, 1<<32|uint64(index)))
	return corev1.NodeSystemInfo{
		MachineID:               fmt.Sprintf("%016x%016x", random.Uint64(), random.Uint64()),
		SystemUUID:              uuid(random),
		BootID:                  bootID(index, seed, boots),
		KernelVersion:           "6.12.48-sim",
		OSImage:                 "Simulated Linux 24.04 LTS",
		ContainerRuntimeVersion: "containerd://2.1.4",
		KubeletVersion:          kubeletVersion,
		OperatingSystem:         "linux",
		Architecture:            "amd64",
	}
}

// bootID changes with every boot, and is the same for the same one.
func bootID(index int, seed uint64, boots uint16) string {
	return uuid(rand.New(rand.NewPCG(seed, 1<<63|uint64(boots)<<32|uint64(index))))
}

func uuid(random *rand.Rand) string {
	a, b := random.Uint64(), random.Uint64()
	return fmt.Sprintf("%08x-%04x-4%03x-8%03x-%012x", a>>32, a>>16&0xffff, a&0xfff, b>>48&0xfff, b&0xffffffffffff)
}

// nodeImages are the images on a node, the largest first. All nodes have the
// same: the image locality of the scheduler sees no difference between them.
func nodeImages(count int) []corev1.ContainerImage {
	images := make([]corev1.ContainerImage, count)
	for i := range images {
		name := fmt.Sprintf("registry.sim.example/library/image-%02d", i)
		images[i] = corev1.ContainerImage{
			Names:     []string{string(appendImageID(nil, []byte(name+":v1"))), name + ":v1"},
			SizeBytes: int64(count-i) * 25_000_000,
		}
	}
	return images
}

func runtimeHandlers() []corev1.NodeRuntimeHandler {
	features := &corev1.NodeRuntimeHandlerFeatures{RecursiveReadOnlyMounts: new(true), UserNamespaces: new(true)}
	return []corev1.NodeRuntimeHandler{{Features: features}, {Name: "runc", Features: features}}
}
