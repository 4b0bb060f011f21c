package storebench

import (
	"fmt"
	"math"
	"math/rand/v2"
)

// A pod's size in protobuf is drawn from a log-normal distribution around
// podMedian that is cut at both ends; nine of ten are between 1.1 and 3.4 KB. A
// pod of a Deployment with one small container is at the lower end, one with
// several containers, probes, volumes and conditions at the upper. A node's Lease
// varies by little more than the names in it.
const (
	podMedian, podSpread  = 1900, 0.35
	podLeast, podMost     = 1 << 10, 4 << 10
	leaseLeast, leaseMost = 280, 320
)

// MeanPod is about the mean of pods' sizes in bytes.
const MeanPod = 2000

// Sizes says in a few words what is drawn.
func Sizes() string {
	return fmt.Sprintf("pods log-normal around %d bytes (σ %.2f, cut at %d and %d), leases %d to %d bytes",
		podMedian, podSpread, podLeast, podMost, leaseLeast, leaseMost)
}

func podSize(r *rand.Rand) int {
	size := podMedian * math.Exp(podSpread*r.NormFloat64())
	return int(min(max(size, podLeast), podMost))
}

func leaseSize(r *rand.Rand) int { return leaseLeast + r.IntN(leaseMost-leaseLeast+1) }

// values are contents of objects: stretches of one noise, which no store can
// compress and which cost nothing to make.
type values struct{ noise []byte }

func newValues(seed uint64) *values {
	v := &values{noise: make([]byte, 1<<20)}
	r := random(seed, "noise", 0)
	for i := range v.noise {
		v.noise[i] = byte(r.Uint32())
	}
	return v
}

func (v *values) cut(r *rand.Rand, size int) []byte {
	from := r.IntN(len(v.noise) - size)
	return v.noise[from : from+size]
}

func (v *values) pod(r *rand.Rand) []byte   { return v.cut(r, podSize(r)) }
func (v *values) lease(r *rand.Rand) []byte { return v.cut(r, leaseSize(r)) }

// random is a stream of draws of its own for each purpose and client.
func random(seed uint64, purpose string, client int) *rand.Rand {
	stream := uint64(client)
	for _, c := range []byte(purpose) {
		stream = stream*1099511628211 + uint64(c)
	}
	return rand.New(rand.NewPCG(seed, stream))
}

// letters are those that Kubernetes makes names of (k8s.io/apimachinery,
// pkg/util/rand).
const letters = "bcdfghjklmnpqrstvwxz2456789"

func name(r *rand.Rand, n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = letters[r.IntN(len(letters))]
	}
	return string(b)
}

// podName is that of a pod of a Deployment. The number makes it unique.
func podName(r *rand.Rand, number int) string {
	return fmt.Sprintf("web-%s-%05d-%s", name(r, 10), number, name(r, 5))
}

func (c *Config) namespace(i int) string {
	return fmt.Sprintf("%s/pods/bench-%04d/", c.Prefix, i%c.Namespaces)
}
