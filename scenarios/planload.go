package scenarios

import (
	"strings"
	"time"

	"github.com/planecheck/planecheck/workloads"
	"github.com/planecheck/planecheck/workloads/contract"
)

// addLoad plans what is asked of the cluster, and with it the phases.
func (p *Plan) addLoad(o Options) error {
	if o.Store {
		p.Storage = planStorage(o)
		p.Phases = append(p.Phases, phaseShapes, phaseTraffic)
	}
	if o.Alone {
		return nil
	}
	p.Phases = append(p.Phases, phaseRegister)
	if o.Idle {
		return nil
	}
	if o.Manifest != "" {
		var err error
		if p.Manifest, err = planManifest(o); err != nil {
			return err
		}
		if err = p.Manifest.validateCapacity(o); err != nil {
			return err
		}
		p.Phases = append(p.Phases, phaseManifest)
	}
	if o.Pods > 0 {
		if err := p.addDensity(o); err != nil {
			return err
		}
	}
	bare := o.Pods == 0 && o.Manifest == ""
	if bare && o.Hold == 0 { // no lease would be renewed, and the run prove nothing
		return Usagef("--hold is %s; without pods the hold, of at least %s, is all that there is", o.Hold, heartbeatHold)
	}
	if o.Hold > 0 && o.Pods == 0 {
		if p.Hold = o.Hold; bare {
			p.Hold = max(p.Hold, heartbeatHold)
		}
		p.Phases = append(p.Phases, phaseHold)
	}
	if o.Drain && !bare {
		p.Phases = append(p.Phases, phaseDrain)
	}
	if err := p.addContract(o); err != nil {
		return err
	}
	return p.beginContract(o.ContractFrom)
}

// addContract plans the contract traffic, beside the load that is planned by then.
func (p *Plan) addContract(o Options) error {
	if o.Contract == 0 {
		return nil
	}
	weights := map[string]int{}
	if o.ContractFrom != "" { // short: without these nothing is resumed or too old
		weights["watch-old"], weights[events] = 1, 2
	}
	if o.Contradict && o.World.Lie == "" { // else no lease ends and no watch of the store is too old
		weights[events] = 2
	}
	if o.Pods == 0 { // else its client would be taken for the scheduler of a cluster where nobody else binds
		weights[bind] = 0
	}
	for _, operation := range o.Without {
		weights[operation] = 0
	}
	traffic := contract.NewPlan(o.Seed, contract.Options{
		Rate: o.Contract, Crowded: p.load() > fewPods, Gentle: o.Contract < contractRate, Weights: weights,
		Oversized: o.Contradict && o.World.refusesLarge(),
	})
	if err := traffic.Validate(); err != nil {
		return Usagef("--contract: %v", err)
	}
	p.Contract = &traffic
	return nil
}

// beginContract has the contract traffic begin with a phase of the plan.
func (p *Plan) beginContract(phase string) error {
	if p.Contract == nil || phase == "" {
		return nil
	}
	if !p.has(phase) || phase == phaseRegister || storePhase(phase) {
		return Usagef("--contract-from is %q; it must be a phase of the plan after %s: %s", phase, phaseRegister, strings.Join(p.Phases, " → "))
	}
	p.ContractFrom = phase
	return nil
}

func (p *Plan) addDensity(o Options) error {
	rate, err := workloads.ParseRate(o.Rate)
	if err != nil {
		return Usagef("--rate: %v", err)
	}
	cfg := workloads.DensityConfig{
		Pods: o.Pods, Namespaces: o.Namespaces, PodsPerDeployment: min(o.PodsPerDeployment, o.Pods), Services: o.Services,
		Rate: rate, Hold: time.Duration(o.Hold), Patience: time.Duration(o.Patience),
		ChurnPods: o.Churn.Pods, ChurnRate: o.Churn.Rate,
	}
	if o.Turnover > 0 {
		cfg.TurnoverRate, cfg.TurnoverMost = o.Turnover, time.Duration(o.Hold)+interventionsBound
	}
	if err := cfg.Validate(); err != nil {
		return Usagef("density load: %v", strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	density := workloads.PlanDensity(cfg, o.Seed)
	p.Density = &density
	p.Phases = append(p.Phases, phaseFill)
	if o.Hold > 0 {
		p.Phases = append(p.Phases, phaseHold)
	}
	if o.Churn.Pods > 0 {
		p.Phases = append(p.Phases, phaseChurn)
	}
	return nil
}

// heartbeatHold is the least hold of a run that is about heartbeats alone: every node
// renews its lease twice, and no window of that is shorter than 20.8 s.
const heartbeatHold = Duration(25 * time.Second)
