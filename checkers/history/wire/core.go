package wire

import "fmt"

// notReadyTaint is set on a node by the TaintNodesByCondition admission plugin
// at its creation and removed by the node lifecycle controller once the node
// is Ready (k8s.io/api/core/v1/well_known_taints.go).
const notReadyTaint = "node.kubernetes.io/not-ready"

// Pod is what we read of corev1.Pod.
type Pod struct {
	Meta
	NodeName string // spec.nodeName; empty until the pod is bound
	Phase    string // status.phase
	Ready    bool   // the condition Ready is True
}

// ScanPod reads a pod without its envelope.
func ScanPod(raw []byte) (Pod, error) {
	var m meta
	var nodeName []byte
	var p Pod
	f := walk(raw)
	for f.next() {
		switch f.num {
		case 1:
			f.nest(m.scan(f.bytes()))
		case 2:
			f.nest(scanPodSpec(f.bytes(), &nodeName))
		case 3:
			f.nest(p.scanStatus(f.bytes()))
		}
	}
	if f.err != nil {
		return Pod{}, fmt.Errorf("scan pod: %w", f.err)
	}
	p.Meta, p.NodeName = m.detach(nodeName)
	return p, nil
}

func scanPodSpec(b []byte, nodeName *[]byte) error {
	f := walk(b)
	for f.next() {
		if f.num == 10 {
			*nodeName = f.bytes()
		}
	}
	return f.err
}

func (p *Pod) scanStatus(b []byte) error {
	f := walk(b)
	for f.next() {
		switch f.num {
		case 1:
			p.Phase = intern(f.bytes())
		case 2:
			f.nest(scanReady(f.bytes(), &p.Ready))
		}
	}
	return f.err
}

// Node is what we read of corev1.Node.
type Node struct {
	Meta
	Ready         bool // the condition Ready is True
	Taints        int  // the number of taints
	NotReadyTaint bool // one of them is node.kubernetes.io/not-ready
}

// ScanNode reads a node without its envelope.
func ScanNode(raw []byte) (Node, error) {
	var m meta
	var n Node
	f := walk(raw)
	for f.next() {
		switch f.num {
		case 1:
			f.nest(m.scan(f.bytes()))
		case 2:
			f.nest(n.scanSpec(f.bytes()))
		case 3:
			f.nest(n.scanStatus(f.bytes()))
		}
	}
	if f.err != nil {
		return Node{}, fmt.Errorf("scan node: %w", f.err)
	}
	n.Meta, _ = m.detach(nil)
	return n, nil
}

func (n *Node) scanSpec(b []byte) error {
	f := walk(b)
	for f.next() {
		if f.num == 5 {
			n.Taints++
			f.nest(n.scanTaint(f.bytes()))
		}
	}
	return f.err
}

func (n *Node) scanTaint(b []byte) error {
	var key []byte
	f := walk(b)
	for f.next() {
		if f.num == 1 {
			key = f.bytes()
		}
	}
	if string(key) == notReadyTaint {
		n.NotReadyTaint = true
	}
	return f.err
}

func (n *Node) scanStatus(b []byte) error {
	f := walk(b)
	for f.next() {
		if f.num == 4 {
			f.nest(scanReady(f.bytes(), &n.Ready))
		}
	}
	return f.err
}

// scanReady sets *ready if b is the condition Ready. PodCondition and
// NodeCondition both have their type in field 1 and their status in field 2.
func scanReady(b []byte, ready *bool) error {
	var typ, status []byte
	f := walk(b)
	for f.next() {
		switch f.num {
		case 1:
			typ = f.bytes()
		case 2:
			status = f.bytes()
		}
	}
	if string(typ) == "Ready" && f.err == nil {
		*ready = string(status) == "True"
	}
	return f.err
}
