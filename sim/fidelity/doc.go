// Package fidelity compares what a simulated node sends to the API server with
// what a kubelet sends: Kubernetes' own hollow kubelet (pkg/kubemark), which is
// the kubelet's code over a fake container runtime. Both run the same pods on
// one API server; the audit log says what each asked for, and a recording proxy
// in front of the server how it was encoded.
package fidelity
