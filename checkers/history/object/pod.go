package object

import (
	"strconv"

	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/history/wire"
)

func readPod(v *history.Version, raw []byte) error {
	v.Fields = make([]history.Pair, 0, 11)
	f := wire.Walk(raw)
	for f.Next() {
		switch f.Number() {
		case 2:
			f.Nest(readPodSpec(v, f.Bytes()))
		case 3:
			f.Nest(readPodStatus(v, f.Bytes()))
		}
	}
	return f.Err()
}

func readPodSpec(v *history.Version, b []byte) error {
	var n needs
	var stays stays
	f := wire.Walk(b)
	for f.Next() {
		switch f.Number() {
		case 2:
			f.Nest(n.container(f.Bytes()))
		case 3:
			set(v, "spec.restartPolicy", word(f.Bytes()))
		case 8:
			set(v, "spec.serviceAccountName", word(f.Bytes()))
		case 10:
			set(v, "spec.nodeName", string(f.Bytes()))
		case 19:
			set(v, "spec.schedulerName", word(f.Bytes()))
		case 22:
			f.Nest(stays.toleration(v, f.Bytes()))
		case 20:
			f.Nest(n.initContainer(f.Bytes()))
		case 32:
			f.Nest(n.overhead.take(f.Bytes()))
		case 40:
			f.Nest(requests(f.Bytes(), &n.pod))
		}
	}
	stays.set(v)
	total := n.total()
	if cpu := total.cpu.millis(); cpu != 0 {
		set(v, FieldCPU, strconv.FormatInt(cpu, 10))
	}
	if memory := total.memory.value(); memory != 0 {
		set(v, FieldMemory, strconv.FormatInt(memory, 10))
	}
	return f.Err()
}

func readPodStatus(v *history.Version, b []byte) error {
	var ready, ip bool
	f := wire.Walk(b)
	for f.Next() {
		switch f.Number() {
		case 1:
			set(v, "status.phase", word(f.Bytes()))
		case 2:
			f.Nest(readReady(f.Bytes(), &ready))
			f.Nest(readDisruption(v, f.Bytes()))
		case 6:
			ip = ip || len(f.Bytes()) > 0
		case 11:
			set(v, "status.nominatedNodeName", string(f.Bytes()))
		}
	}
	if ready {
		set(v, FieldReady, "True")
	}
	if ip {
		set(v, FieldHasIP, "True")
	}
	return f.Err()
}

// resources are amounts of what the scheduler counts by node.
type resources struct {
	cpu, memory       amount
	hasCPU, hasMemory bool
}

// take adds an entry of a resource list.
func (r *resources) take(entry []byte) error {
	name, quantity, err := resource(entry)
	switch string(name) {
	case "cpu":
		r.cpu, r.hasCPU = r.cpu.plus(quantity), true
	case "memory":
		r.memory, r.hasMemory = r.memory.plus(quantity), true
	}
	return err
}

func (r *resources) add(other resources) {
	r.cpu, r.memory = r.cpu.plus(other.cpu), r.memory.plus(other.memory)
}

func (r *resources) atLeast(other resources) {
	r.cpu, r.memory = r.cpu.max(other.cpu), r.memory.max(other.memory)
}

// needs sums what a pod requests as PodRequests of
// k8s.io/component-helpers/resource does for a pod that is to be scheduled:
// containers run together, with the init containers that restart; each init
// container runs with those that restart before it; what is set for the whole
// pod replaces the sum; the overhead comes on top.
type needs struct {
	together, restarting, initial, pod, overhead resources
}

func (n *needs) container(b []byte) error {
	request, _, err := readContainer(b)
	n.together.add(request)
	return err
}

func (n *needs) initContainer(b []byte) error {
	request, restarts, err := readContainer(b)
	if restarts {
		n.restarting.add(request)
		return err
	}
	request.add(n.restarting)
	n.initial.atLeast(request)
	return err
}

func (n *needs) total() resources {
	sum := n.together
	sum.add(n.restarting)
	sum.atLeast(n.initial)
	if n.pod.hasCPU {
		sum.cpu = n.pod.cpu
	}
	if n.pod.hasMemory {
		sum.memory = n.pod.memory
	}
	sum.add(n.overhead)
	return sum
}

func readContainer(b []byte) (request resources, restarts bool, err error) {
	f := wire.Walk(b)
	for f.Next() {
		switch f.Number() {
		case 8:
			f.Nest(requests(f.Bytes(), &request))
		case 24:
			restarts = string(f.Bytes()) == "Always"
		}
	}
	return request, restarts, f.Err()
}

// requests adds the requests of a ResourceRequirements.
func requests(b []byte, sum *resources) error {
	f := wire.Walk(b)
	for f.Next() {
		if f.Number() == 2 {
			f.Nest(sum.take(f.Bytes()))
		}
	}
	return f.Err()
}

// resource splits an entry of a resource list.
func resource(b []byte) (name []byte, quantity amount, err error) {
	name, message, err := entry(b)
	if err != nil {
		return nil, amount{}, err
	}
	switch string(name) {
	case "cpu", "memory", "pods":
	default:
		return name, amount{}, nil
	}
	written, err := text(message, 1)
	if err != nil || len(written) == 0 {
		return name, amount{}, err
	}
	quantity, err = parseQuantity(string(written))
	return name, quantity, err
}
