package sim

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
	"k8s.io/apimachinery/pkg/api/resource"
)

// worth is what the eviction manager goes by when it chooses among pods. Nothing of
// it changes while a pod lives.
type worth struct {
	over       int64 // bytes of memory that its containers use beyond what the pod requests; they may use less
	priority   int32
	critical   bool // it is never evicted
	bestEffort bool // its QoS class
	tolerates  bool // a node that is under memory pressure
}

// before says whether a pod is evicted before another one (rankMemoryPressure in
// pkg/kubelet/eviction/helpers.go).
func (w *worth) before(other *worth) bool {
	if exceeds := w.over > 0; exceeds != (other.over > 0) {
		return exceeds
	}
	if w.priority != other.priority {
		return w.priority < other.priority
	}
	return w.over > other.over
}

// systemCritical is the least priority of critical pods (SystemCriticalPriority in
// pkg/apis/scheduling/types.go).
const systemCritical = 2_000_000_000

// weigh reads an encoded pod.
func weigh(seed uint64, uid string, raw []byte) worth {
	w := worth{bestEffort: string(field(field(raw, 3), 9)) == "BestEffort"}
	var use int64
	var requests podRequests
	m := message{rest: field(raw, 2)}
	for m.next() {
		switch m.num {
		case 2:
			memory := memoryOf(seed, uid, m.data)
			use += memory.use.Value()
			requests.running += memory.request.Value()
		case 20:
			memory := memoryOf(seed, uid, m.data)
			if isSidecar(m.data) {
				use += memory.use.Value()
			}
			requests.init(memory.request.Value(), isSidecar(m.data))
		case 22:
			w.tolerates = w.tolerates || toleratesPressure(m.data)
		case 25:
			w.priority = int32(m.value)
		case 32:
			if resourceName(m.data) == "memory" {
				requests.overhead = amount(m.data)
			}
		case 40:
			requests.ofPod(m.data)
		}
	}
	w.over = use - requests.total()
	w.critical = w.priority >= systemCritical || isStatic(field(raw, 1))
	return w
}

// podRequests is what a pod requests of memory, in bytes, by the rules of
// GetResourceRequestQuantity in pkg/api/v1/resource/helpers.go.
type podRequests struct {
	running, sidecars int64 // the sum of what runs on, and of the sidecars so far among that
	starting          int64 // the most at any time until all init containers have ended
	overhead          int64
	whole             bool // the pod requests for all of its containers,
	pod               int64
}

// init takes the next init container.
func (r *podRequests) init(request int64, sidecar bool) {
	if sidecar {
		r.running += request
		r.sidecars += request
		request = 0
	}
	r.starting = max(r.starting, r.sidecars+request)
}

// ofPod takes the encoded resources of the pod itself.
func (r *podRequests) ofPod(requirements []byte) {
	m := message{rest: requirements}
	for m.next() {
		name := resourceName(m.data)
		if (m.num != 1 && m.num != 2) || name != "cpu" && name != "memory" && !strings.HasPrefix(name, "hugepages-") {
			continue
		}
		r.whole = true
		if m.num == 2 && name == "memory" {
			r.pod = amount(m.data)
		}
	}
}

func (r *podRequests) total() int64 {
	sum := max(r.running, r.starting)
	if r.whole {
		sum = r.pod
	}
	if sum > 0 {
		sum += r.overhead
	}
	return sum
}

// resourceName is that of an encoded entry of a list of resources, and amount its
// quantity: 0 if that cannot be read.
func resourceName(entry []byte) string { return string(field(entry, 1)) }

func amount(entry []byte) int64 {
	q, err := resource.ParseQuantity(string(field(field(entry, 2), 1)))
	if err != nil {
		return 0
	}
	return q.Value()
}

func isSidecar(container []byte) bool { return string(field(container, 24)) == "Always" }

// isStatic says whether a pod comes from elsewhere than the API, or stands there for
// one that does (IsStaticPod and IsMirrorPod in pkg/kubelet/types/pod_update.go).
func isStatic(meta []byte) bool {
	m := message{rest: meta}
	for m.next() {
		if m.num != 12 {
			continue
		}
		switch string(field(m.data, 1)) {
		case "kubernetes.io/config.mirror":
			return true
		case "kubernetes.io/config.source":
			if string(field(m.data, 2)) != "api" {
				return true
			}
		}
	}
	return false
}

// toleratesPressure says whether an encoded toleration is one of the taint
// node.kubernetes.io/memory-pressure:NoSchedule, which has no value
// (ToleratesTaint in k8s.io/api/core/v1).
func toleratesPressure(b []byte) bool {
	key, operator, value, effect := field(b, 1), string(field(b, 2)), field(b, 3), string(field(b, 4))
	if len(key) > 0 && string(key) != pressureTaint || effect != "" && effect != "NoSchedule" {
		return false
	}
	return operator == "Exists" || len(value) == 0 && (operator == "" || operator == "Equal")
}

const pressureTaint = "node.kubernetes.io/memory-pressure"

// memory is what a container uses, and what it has requested of it, in bytes.
type memory struct{ use, request resource.Quantity }

func (m memory) over() int64 { return m.use.Value() - m.request.Value() }

// What containers without a request use, in bytes.
const leastMemory, mostMemory = 16 << 20, 144 << 20

// memoryOf is how much memory a container uses: always the same for the same one,
// by the seed, in whole KiB, and never more than its limit. It is between a half of
// its request and one and a half of that, so that about every other container
// exceeds it.
func memoryOf(seed uint64, uid string, container []byte) memory {
	m := memory{request: quantity(container, 2)}
	least, most := int64(leastMemory), int64(mostMemory)
	if request := m.request.Value(); request > 0 {
		least, most = request/2, request+request/2
	}
	use := least + int64(share(seed, uid, string(field(container, 1)))*float64(most-least))
	if limit := quantity(container, 1); limit.Sign() > 0 {
		use = min(use, limit.Value())
	}
	m.use = *resource.NewQuantity(use&^1023, resource.BinarySI)
	return m
}

// quantity is the memory in the limits (1) or the requests (2) of an encoded
// container; zero if there is none.
func quantity(container []byte, list protowire.Number) resource.Quantity {
	m := message{rest: field(container, 8)}
	for m.next() {
		if m.num == list && string(field(m.data, 1)) == "memory" {
			if q, err := resource.ParseQuantity(string(field(field(m.data, 2), 1))); err == nil {
				return q
			}
		}
	}
	return resource.Quantity{}
}

// share draws from [0, 1), always the same for the same words.
func share(seed uint64, words ...string) float64 {
	h := fnv.New64a()
	for _, word := range words {
		_, _ = h.Write([]byte(word)) // never fails
		_, _ = h.Write([]byte{0})
	}
	return rand.New(rand.NewPCG(seed, h.Sum64())).Float64()
}

// The threshold of the kubelet's defaults (DefaultEvictionHard in
// pkg/kubelet/eviction/defaults_linux.go), and the least that is left below it.
const memoryThreshold, memoryLeft = 100 << 20, 20 << 20

// evictionMessage is what the eviction manager says of a pod (evictionMessage in
// pkg/kubelet/eviction/helpers.go), with the blank at its end.
func evictionMessage(seed uint64, uid string, v *podView) string {
	var b strings.Builder
	available := (memoryLeft + int64(share(seed, uid)*(memoryThreshold-memoryLeft))) &^ 1023
	fmt.Fprintf(&b, "The node was low on resource: memory. Threshold quantity: %v, available: %v. ",
		resource.NewQuantity(memoryThreshold, resource.BinarySI), resource.NewQuantity(available, resource.BinarySI))
	say := func(c *containerView) {
		if m := memoryOf(seed, uid, c.raw); m.over() > 0 {
			fmt.Fprintf(&b, "Container %s was using %s, request is %s, has larger consumption of memory. ",
				c.name, m.use.String(), m.request.String())
		}
	}
	for i := range v.containers {
		say(&v.containers[i])
	}
	for i := range v.inits {
		if v.inits[i].restarts {
			say(&v.inits[i])
		}
	}
	return b.String()
}
