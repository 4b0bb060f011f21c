package workloads

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// DensityConfig says how much of what a density run asks for. Zero fields take
// the defaults that are named.
type DensityConfig struct {
	Pods int `json:"pods"` // required
	// Namespaces defaults to one for 3,000 pods, as in the official 5,000-node
	// load test (50 namespaces, 150,000 pods), and to at least 4 as long as there are
	// Deployments for them: what is one namespace alone is no load over namespaces.
	Namespaces int `json:"namespaces"`
	// PodsPerDeployment defaults to 50. A Deployment was measured to cost 30 to
	// 50 writes of its own: itself, its ReplicaSet, the status of both again and
	// again, and 25 events (the event broadcaster's limit for one object). A pod
	// costs four or five. So 50 pods carry a fifth on top; five would carry
	// more than themselves, and 1,000 would let the pace be kept only in jumps.
	PodsPerDeployment int    `json:"podsPerDeployment"`
	Containers        int    `json:"containers"` // a pod; default 2
	Image             string `json:"image"`      // default registry.k8s.io/pause:3.10
	// CPUMilli and MemoryMiB are what each container requests; defaults 50 and
	// 64. At the kubelet's limit of 110 pods with two containers each, a node
	// of 16 CPU and 64 GiB has then given away 11 CPU and 14 GiB: pods are
	// what fills it, and the scheduler still has something to weigh.
	CPUMilli  int64 `json:"cpuMilli"`
	MemoryMiB int64 `json:"memoryMiB"`
	// GraceSeconds is terminationGracePeriodSeconds; default 1. A stop is to
	// measure the control plane and not how long containers sleep, but 0 would
	// be a forced deletion, which passes the kubelet by.
	GraceSeconds int64 `json:"graceSeconds"`
	// Services is the number of Deployments that get a Service, so that there
	// are EndpointSlices to judge; at most one each. Default: none.
	Services int `json:"services,omitempty"`

	// Rate is the pace of the fill, DrainRate that of the drain; default auto.
	Rate      Rate `json:"rate"`
	DrainRate Rate `json:"drainRate"`
	// Hold is how long the full cluster is kept as it is. 0: not at all.
	Hold time.Duration `json:"hold"`
	// Patience is how long a phase, or Rest, may stand still before it is given up.
	// 0: two minutes.
	Patience time.Duration `json:"patience,omitempty"`

	// ChurnPods is how many pods the churn replaces: a rolling update or a
	// delete and create of a Deployment replaces each of its pods. 0: no churn.
	ChurnPods int `json:"churnPods"`
	// ChurnRate is the pace of the churn in pods/s; default 20, the most for
	// which the official SLOs hold.
	ChurnRate float64 `json:"churnRate"`

	// TurnoverRate is how many pods per second a turnover replaces, and
	// TurnoverMost how long it may last. 0: there is none.
	TurnoverRate float64       `json:"turnoverRate,omitempty"`
	TurnoverMost time.Duration `json:"turnoverMost,omitempty"`
}

// leastNamespaces is the default of a small load.
const leastNamespaces = 4

// withDefaults fills in what is left out.
func (c DensityConfig) withDefaults() DensityConfig {
	setDefault(&c.PodsPerDeployment, min(50, max(c.Pods, 1)))
	deployments := (c.Pods + c.PodsPerDeployment - 1) / c.PodsPerDeployment
	setDefault(&c.Namespaces, max((c.Pods+2999)/3000, min(leastNamespaces, deployments)))
	setDefault(&c.Containers, 2)
	setDefault(&c.Image, "registry.k8s.io/pause:3.10")
	setDefault(&c.CPUMilli, 50)
	setDefault(&c.MemoryMiB, 64)
	setDefault(&c.GraceSeconds, 1)
	setDefault(&c.ChurnRate, 20)
	return c
}

func setDefault[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}

// Validate returns what is wrong with the configuration, all of it.
func (c DensityConfig) Validate() error {
	c = c.withDefaults()
	var errs []error
	atLeast := func(name string, v, least float64) {
		if !(v >= least) {
			errs = append(errs, fmt.Errorf("%s is %g, want at least %g", name, v, least))
		}
	}
	atLeast("pods", float64(c.Pods), 1)
	atLeast("namespaces", float64(c.Namespaces), 1)
	atLeast("pods per deployment", float64(c.PodsPerDeployment), 1)
	atLeast("containers", float64(c.Containers), 1)
	atLeast("cpu request", float64(c.CPUMilli), 1)
	atLeast("memory request", float64(c.MemoryMiB), 1)
	atLeast("grace seconds", float64(c.GraceSeconds), 1)
	atLeast("services", float64(c.Services), 0)
	atLeast("rate", c.Rate.PodsPerSecond, 0)
	atLeast("drain rate", c.DrainRate.PodsPerSecond, 0)
	atLeast("hold", c.Hold.Seconds(), 0)
	atLeast("patience", c.Patience.Seconds(), 0)
	atLeast("churn pods", float64(c.ChurnPods), 0)
	atLeast("churn rate", c.ChurnRate, 0.1)
	atLeast("turnover rate", c.TurnoverRate, 0)
	atLeast("turnover bound", c.TurnoverMost.Seconds(), 0)
	return errors.Join(errs...)
}

// PlannedDeployment is one Deployment of the plan.
type PlannedDeployment struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	Replicas  int    `json:"replicas"`
}

// The operations of a churn.
const (
	RollingUpdate = "rollingUpdate"
	Recreate      = "recreate" // delete, then create again under the same name
)

// ChurnOperation replaces the pods of one Deployment.
type ChurnOperation struct {
	Kind       string        `json:"kind"` // RollingUpdate or Recreate
	Deployment int           `json:"deployment"`
	Due        time.Duration `json:"due"` // from the start of the churn
	// Revision marks the pod template, so that it differs from all before.
	Revision int `json:"revision"`
}

// DensityPlan is everything that a density run will ask for. It is made from a
// configuration and a seed, and from nothing else.
type DensityPlan struct {
	Config      DensityConfig       `json:"config"` // with its defaults
	Seed        uint64              `json:"seed"`
	Namespaces  []string            `json:"namespaces"`
	Deployments []PlannedDeployment `json:"deployments"` // in the order of their creation
	// Services are the Deployments, as indexes, whose pods are selected by a
	// Service of the same name.
	Services []int            `json:"services,omitempty"`
	Churn    []ChurnOperation `json:"churn"`
	// Turnover are the operations of the longest turnover.
	Turnover []ChurnOperation `json:"turnover,omitempty"`
	Drain    []int            `json:"drain"` // order of deletion, as indexes of Deployments
}

// PlanDensity makes the plan. The configuration must be valid.
func PlanDensity(cfg DensityConfig, seed uint64) DensityPlan {
	cfg = cfg.withDefaults()
	rng := rand.New(rand.NewPCG(seed, 0x64656e73697479)) // "density": a stream of its own
	p := DensityPlan{Config: cfg, Seed: seed}
	for i := range cfg.Namespaces {
		p.Namespaces = append(p.Namespaces, fmt.Sprintf("density-%03d", i))
	}
	for i, left := 0, cfg.Pods; left > 0; i++ {
		replicas := min(left, cfg.PodsPerDeployment)
		p.Deployments = append(p.Deployments, PlannedDeployment{
			Namespace: p.Namespaces[i%len(p.Namespaces)],
			Name:      fmt.Sprintf("web-%05d", i),
			Replicas:  replicas,
		})
		left -= replicas
	}
	rng.Shuffle(len(p.Deployments), func(i, j int) {
		p.Deployments[i], p.Deployments[j] = p.Deployments[j], p.Deployments[i]
	})
	for i := range min(cfg.Services, len(p.Deployments)) {
		p.Services = append(p.Services, i) // they are in random order
	}
	p.Churn = planChurn(cfg, p.Deployments, rng)
	p.Drain = rng.Perm(len(p.Deployments))
	p.Turnover = planTurnover(cfg, p.Deployments, rng)
	return p
}

// Replaced is how many pods the churn makes and removes if each operation runs to its
// end: it takes whole Deployments, so that it may be more than was asked for.
func (p DensityPlan) Replaced() (pods int) {
	for _, op := range p.Churn {
		pods += p.Deployments[op.Deployment].Replicas
	}
	return pods
}

// planChurn goes through all Deployments in a random order, again and again,
// until enough pods are replaced. Each operation is due when the pods of those
// before it are replaced at the churn's pace.
func planChurn(cfg DensityConfig, deployments []PlannedDeployment, rng *rand.Rand) []ChurnOperation {
	var churn []ChurnOperation
	var round []int
	for pods := 0; pods < cfg.ChurnPods; {
		if len(round) == 0 {
			round = rng.Perm(len(deployments))
		}
		op := ChurnOperation{
			Kind:       RollingUpdate,
			Deployment: round[0],
			Due:        time.Duration(float64(pods) / cfg.ChurnRate * float64(time.Second)),
			Revision:   len(churn) + 1,
		}
		if len(churn)%2 == 1 {
			op.Kind = Recreate
		}
		churn = append(churn, op)
		pods += deployments[op.Deployment].Replicas
		round = round[1:]
	}
	return churn
}
